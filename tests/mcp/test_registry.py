"""The registry of tools, with small tools of its own."""

from typing import Any

import orjson
import pytest

from scenext_service.mcp import Call, Caller, Record, Registry, Tool, ToolError, ToolResult
from scenext_service.mcp.jsonrpc import RpcError
from scenext_service.mcp.registry import INTERNAL_FAILURE
from tests.support.messages import last

SCHEMA = {
    "type": "object",
    "properties": {
        "word": {"type": "string"},
        "count": {"type": "integer"},
        "size": {"type": "string", "enum": ["s", "l"]},
        "images": {"type": "array", "items": {"type": "string"}},
        "flag": {"type": "boolean"},
        "ratio": {"type": "number", "maximum": 1},
        "box": {"type": "object", "properties": {"width": {"type": "integer"}}, "required": ["width"]},
        "either": {"type": ["string", "integer"]},
    },
    "required": ["word"],
}


def echo(arguments: dict[str, Any], call: Call) -> ToolResult:
    return ToolResult([{"type": "text", "text": "echoed"}], arguments)


def refuse(arguments: dict[str, Any], call: Call) -> ToolResult:
    raise ToolError("It did not work. / 没有成功。")


def break_down(arguments: dict[str, Any], call: Call) -> ToolResult:
    raise ZeroDivisionError("internals-of-ours")


ECHO = Tool("echo", "Echo", "Echoes.", SCHEMA, echo, aliases={"theWord": "word"})
REFUSE = Tool("refuse", "Refuse", "Refuses.", {"type": "object"}, refuse)
BREAK = Tool("break", "Break", "Breaks.", {"type": "object"}, break_down)
SILENT = Tool(
    name="silent",
    title="Silent",
    description="Says nothing.",
    schema={"type": "object"},
    call=lambda arguments, call: ToolResult([]),
    output_schema={"type": "object"},
    annotations={"readOnlyHint": True},
)
DEAR = Tool(
    "dear",
    "Dear",
    "Costs something.",
    SCHEMA,
    echo,
    meanings={"s": ("small", "小"), "l": ("large", "大")},
    unspent=("Nothing spent.", "未花费。"),
)
REGISTRY = Registry([ECHO, REFUSE, BREAK, SILENT, DEAR])


def call(arguments: Any, name: Any = "echo", record: Record | None = None) -> dict[str, Any]:
    caller = Caller(request_id="abc-123")
    return last(REGISTRY.call({"name": name, "arguments": arguments}, Call(caller, record or Record())))


def told(text: str) -> dict[str, Any]:
    """Return the result that tells the model of a failure: no structured content."""
    return {"content": [{"type": "text", "text": text}], "isError": True}


def test_a_definition_has_what_the_tool_gives_and_nothing_empty() -> None:
    """Spec: 2026-07-28, server/tools "Tool". Aliases, and what is enforced beside the schema, are not published."""
    assert REGISTRY.definitions() == [
        {"name": "echo", "title": "Echo", "description": "Echoes.", "inputSchema": SCHEMA},
        {"name": "refuse", "title": "Refuse", "description": "Refuses.", "inputSchema": {"type": "object"}},
        {"name": "break", "title": "Break", "description": "Breaks.", "inputSchema": {"type": "object"}},
        {
            "name": "silent",
            "title": "Silent",
            "description": "Says nothing.",
            "inputSchema": {"type": "object"},
            "outputSchema": {"type": "object"},
            "annotations": {"readOnlyHint": True},
        },
        {"name": "dear", "title": "Dear", "description": "Costs something.", "inputSchema": SCHEMA},
    ]


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        pytest.param({"word": "讲"}, {"word": "讲"}, id="as named"),
        pytest.param({"word": ""}, {"word": ""}, id="empty string is a value"),
        pytest.param({"theWord": "a"}, {"word": "a"}, id="alias"),
        pytest.param({"word": "a", "theWord": None}, {"word": "a"}, id="alias null"),
        pytest.param({"word": "a", "count": None, "other": None}, {"word": "a"}, id="null is absent"),
        pytest.param(
            {"word": "a", "count": 0, "flag": False, "images": []}, ..., id="zero, false and empty are values"
        ),
        pytest.param({"word": "a", "size": "s", "images": ["b"], "box": {"width": 1}}, ..., id="every kind"),
        pytest.param({"word": "a", "either": 1}, ..., id="one of two types"),
        pytest.param({"word": "a", "other": [1]}, ..., id="an unknown argument is no error"),
    ],
)
def test_a_tool_receives_its_arguments_under_its_own_names(arguments: Any, received: Any) -> None:
    """Ours: null counts as absent, because models fill every argument; unknown arguments are ignored."""
    expected = arguments if received is ... else received
    result = call(arguments)
    assert result["structuredContent"] == expected
    assert result["content"] == [
        {"type": "text", "text": orjson.dumps(expected).decode()},  # for clients that show the content only
        {"type": "text", "text": "echoed"},
    ]


def test_a_result_without_an_object_has_no_structured_content() -> None:
    """Spec: 2026-07-28, server/tools "Tool Result": structured content is optional."""
    assert call({}, "silent") == {"content": [], "isError": False}


MISSING = (
    'Missing argument "{0}" of the tool echo. Call it again with "{0}".\n\n'
    "工具 echo 缺少参数 {0}。请补上 {0} 后重新调用。"
)
TYPE = (
    'The argument "{0}" of the tool echo must be of type {1}; got {2}. Call it again with {4} {1}.\n\n'
    "工具 echo 的参数 {0} 必须是{3}，收到的是 {2}。请改正后重新调用。"
)
ARTICLES = {"string": "a", "integer": "an", "boolean": "a", "number": "a", "array": "an", "object": "an"}


def wrong_type(where: str, kind: str, came: str, chinese: str) -> str:
    return TYPE.format(where, kind, came, chinese, ARTICLES.get(kind, "a"))


ENUM = (
    'The argument "{0}" of the tool echo must be one of: s, l; got {1}. Call it again with one of these.\n\n'
    "工具 echo 的参数 {0} 只能是 s, l 之一，收到的是 {1}。请改正后重新调用。"
)
OTHER = (
    "Wrong arguments for the tool echo: {0}. Call it again with arguments that fit its inputSchema.\n\n"
    "工具 echo 的参数不符合 inputSchema：{0}。请改正后重新调用。"
)
LONG = "x" * 500


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(None, MISSING.format("word"), id="no arguments"),
        pytest.param({}, MISSING.format("word"), id="missing"),
        pytest.param({"word": None}, MISSING.format("word"), id="required and null"),
        pytest.param({"Word": "a"}, MISSING.format("word"), id="another case"),
        pytest.param({"word": "a", "box": {}}, MISSING.format("box.width"), id="missing inside an object"),
        pytest.param({"word": 5}, wrong_type("word", "string", "5", "字符串"), id="integer for string"),
        pytest.param({"theWord": 5}, wrong_type("word", "string", "5", "字符串"), id="alias of the wrong type"),
        pytest.param({"word": True}, wrong_type("word", "string", "true", "字符串"), id="boolean for string"),
        pytest.param({"word": ["a"]}, wrong_type("word", "string", "an array", "字符串"), id="array for string"),
        pytest.param({"word": {"a": 1}}, wrong_type("word", "string", "an object", "字符串"), id="object for string"),
        pytest.param({"word": "a", "count": "1"}, wrong_type("count", "integer", "'1'", "整数"), id="string"),
        pytest.param({"word": "a", "count": 1.5}, wrong_type("count", "integer", "1.5", "整数"), id="fraction"),
        pytest.param({"word": "a", "count": True}, wrong_type("count", "integer", "true", "整数"), id="boolean"),
        pytest.param({"word": "a", "flag": 0}, wrong_type("flag", "boolean", "0", "布尔值"), id="zero for boolean"),
        pytest.param({"word": "a", "ratio": "x"}, wrong_type("ratio", "number", "'x'", "数字"), id="string for number"),
        pytest.param({"word": "a", "images": "b"}, wrong_type("images", "array", "'b'", "数组"), id="string for array"),
        pytest.param({"word": "a", "box": 1}, wrong_type("box", "object", "1", "object"), id="integer for object"),
        pytest.param({"word": "a", "images": ["b", 2]}, wrong_type("images[1]", "string", "2", "字符串"), id="item"),
        pytest.param(
            {"word": "a", "images": [None]}, wrong_type("images[0]", "string", "null", "字符串"), id="null item"
        ),
        pytest.param(
            {"word": "a", "box": {"width": "b"}}, wrong_type("box.width", "integer", "'b'", "整数"), id="in an object"
        ),
        pytest.param(
            {"word": "a", "count": LONG},
            wrong_type("count", "integer", "'" + "x" * 76 + "…", "整数"),
            id="a long value is cut",
        ),
        pytest.param(
            {"word": "a", "either": []},
            wrong_type("either", "['string', 'integer']", "an array", "['string', 'integer']"),
            id="neither of two types",
        ),
        pytest.param({"word": "a", "size": "m"}, ENUM.format("size", "'m'"), id="not one of the values"),
        pytest.param({"word": "a", "size": "S"}, ENUM.format("size", "'S'"), id="value in another case"),
        pytest.param(
            {"word": "a", "ratio": 2}, OTHER.format("data.ratio must be smaller than or equal to 1"), id="another rule"
        ),
    ],
)
def test_wrong_arguments_are_a_result_that_tells_the_model_what_to_mend(arguments: Any, text: str) -> None:
    """Spec: SEP-1303; 2026-07-28, server/tools "Error Handling". Ours: the argument, what came, in both languages."""
    record = Record()
    assert call(arguments, record=record) == told(text)
    assert record.fields() == {"tool": "echo", "outcome": "tool_error"}


KNOWN_ARGUMENTS = "word, count, size, images, flag, ratio, box, either"
UNKNOWN = (
    "The tool dear does not know the argument {0}; it knows: " + KNOWN_ARGUMENTS + ". Call it again with these only."
    " Nothing spent.\n\n工具 dear 没有参数 {0}；可用的参数：" + KNOWN_ARGUMENTS + "。请只用这些参数重新调用。未花费。"
)
MEANT = (
    'The argument "size" of the tool dear must be one of: s (small), l (large); got {0}. Call it again with one of'
    " these. Nothing spent.\n\n工具 dear 的参数 size 只能是 s (小), l (大) 之一，收到的是 {0}。请改正后重新调用。"
    "未花费。"
)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param({"word": "a", "Size": "s"}, UNKNOWN.format("'Size'"), id="another case"),
        pytest.param({"Word": "a"}, UNKNOWN.format("'Word'"), id="before what is missing"),
        pytest.param({"word": "a", "x": 1, "y": 2}, UNKNOWN.format("'x', 'y'"), id="two"),
        pytest.param({"word": "a", LONG: 1}, UNKNOWN.format("'" + "x" * 76 + "…"), id="a long name is cut"),
        pytest.param({"word": "a", "a\nb": 1}, UNKNOWN.format(r"'a\nb'"), id="a name of two lines"),
        pytest.param(
            {"word": "a", **{f"x{n}": n for n in range(9)}},
            UNKNOWN.format("'x0', 'x1', 'x2', 'x3', 'x4', …"),
            id="many",
        ),
        pytest.param(
            {"word": "a", "size": "m"},
            MEANT.format("'m'"),
            id="wrong, with meanings",
        ),
    ],
)
def test_a_tool_that_costs_something_refuses_what_it_does_not_know(arguments: Any, text: str) -> None:
    """Ours: a wish that is ignored would be paid for all the same."""
    assert call(arguments, "dear") == told(text)


@pytest.mark.parametrize(
    "added",
    [
        pytest.param({"x": None}, id="null is absent"),
        pytest.param({"_meta": {"progressToken": 1}}, id="_meta"),
        pytest.param({"_auth_auth_type": "admin"}, id="a proxy's"),
        pytest.param({"toolCallId": "1", "sessionId": "2", "chatInput": "3", "action": "sendMessage"}, id="n8n"),
    ],
)
def test_what_clients_add_of_their_own_is_no_unknown_argument(added: Any) -> None:
    """Ours: n8n, and proxies, add arguments that the model did not write and cannot take away."""
    assert call({"word": "a", **added}, "dear")["isError"] is False


def test_arguments_that_are_no_object_spend_nothing_either() -> None:
    """Spec: 2026-07-28, server/tools "Error Handling": a protocol error. Ours: it says so too."""
    with pytest.raises(RpcError) as caught:
        call(["a"], "dear")
    assert str(caught.value) == 'Invalid params: "arguments" must be an object. Nothing spent.'


def test_the_failure_of_a_tool_is_told_in_its_own_words() -> None:
    """Spec: 2026-07-28, server/tools "Error Handling": tool execution errors."""
    record = Record()
    assert call({}, "refuse", record) == told("It did not work. / 没有成功。")
    assert record.fields() == {"tool": "refuse", "outcome": "tool_error"}


def test_a_bug_in_a_tool_is_told_without_internals_and_logged_with_trace(lines: list[str]) -> None:
    """Ours: the model can tell the user; what broke is for the operator."""
    record = Record()
    assert call({}, "break", record) == told(INTERNAL_FAILURE.format(id="abc-123"))
    assert INTERNAL_FAILURE.startswith("This server failed while it ran the tool; the request was not at fault. ")
    assert "\n\n服务器在执行工具时出错，与请求内容无关" in INTERNAL_FAILURE
    assert record.fields() == {"tool": "break", "outcome": "internal_error"}
    (line,) = lines
    assert ' error "tool break failed" request_id=abc-123 exception="Traceback ' in line
    assert line.endswith('ZeroDivisionError: internals-of-ours"')


KNOWN = "Known tools: echo, refuse, break, silent, dear"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({"name": "none"}, f"Unknown tool: none. {KNOWN}", id="unknown"),
        pytest.param({"name": "ECHO"}, f"Unknown tool: ECHO. {KNOWN}", id="another case"),
        pytest.param({"name": ""}, f"Unknown tool: . {KNOWN}", id="empty"),
        pytest.param({"name": LONG}, f"Unknown tool: {'x' * 100}. {KNOWN}", id="long, cut"),
        *[
            pytest.param(params, 'Invalid params: "name" must be a string, the name of a tool', id=id)
            for params, id in [
                ({}, "no name"),
                ({"name": None}, "name null"),
                ({"name": 1}, "name a number"),
                ({"name": ["echo"]}, "name an array"),
                ({"name": {"echo": 1}}, "name an object"),
                ({"name": True}, "name a boolean"),
            ]
        ],
        *[
            pytest.param({"name": "echo", "arguments": value}, 'Invalid params: "arguments" must be an object', id=id)
            for value, id in [
                ([], "arguments an empty array"),
                (["a"], "arguments an array"),
                ("", "arguments an empty string"),
                ("{}", "arguments a string of JSON"),
                (0, "arguments zero"),
                (False, "arguments false"),
            ]
        ],
    ],
)
def test_a_malformed_call_and_an_unknown_tool_are_invalid_params(params: dict[str, Any], message: str) -> None:
    """Spec: 2026-07-28, server/tools "Error Handling": protocol errors."""
    with pytest.raises(RpcError) as caught:
        last(REGISTRY.call(params, Call(Caller(), Record())))
    assert (caught.value.code, str(caught.value), caught.value.data) == (-32602, message, None)


def test_a_caller_hides_its_keys_when_it_is_shown() -> None:
    """Ours: a key never gets into a log line or a trace."""
    shown = repr(Caller(authorization="Bearer secret-one", api_key="secret-two", request_id="abc"))
    assert "secret" not in shown
    assert "request_id='abc'" in shown
