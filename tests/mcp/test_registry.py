"""The registry of tools, with small sample tools."""

from typing import Any

import orjson
import pytest

from scenext_service.mcp import Call, LogRecord, Tool, ToolError, ToolResult
from scenext_service.mcp.context import Caller
from scenext_service.mcp.jsonrpc import RpcError
from scenext_service.mcp.registry import INTERNAL_FAILURE, Registry
from tests.support.messages import fields, immediate, last

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


ECHO = Tool("echo", "Echo", "Echoes.", SCHEMA, immediate(echo), aliases={"theWord": "word"})
REFUSE = Tool("refuse", "Refuse", "Refuses.", {"type": "object"}, immediate(refuse))
BREAK = Tool("break", "Break", "Breaks.", {"type": "object"}, immediate(break_down))
SILENT = Tool(
    name="silent",
    title="Silent",
    description="Says nothing.",
    schema={"type": "object"},
    call=immediate(lambda arguments, call: ToolResult([])),
    output_schema={"type": "object"},
    annotations={"readOnlyHint": True},
)
DEAR = Tool(
    "dear",
    "Dear",
    "Costs something.",
    SCHEMA,
    immediate(echo),
    meanings={"s": ("small", "小"), "l": ("large", "大")},
    rejects_unknown_arguments=True,
    error_suffix=("Nothing spent.", "未花费。"),
)
REGISTRY = Registry([ECHO, REFUSE, BREAK, SILENT, DEAR])


def call(arguments: Any, name: Any = "echo", record: LogRecord | None = None) -> dict[str, Any]:
    caller = Caller(request_id="abc-123")
    result: dict[str, Any] = last(
        REGISTRY.call({"name": name, "arguments": arguments}, Call(caller, record or LogRecord()))
    )
    return result


def error_result(text: str) -> dict[str, Any]:
    """Return the result that reports a failure to the model. It has no structured content."""
    return {"content": [{"type": "text", "text": text}], "isError": True}


def test_a_definition_omits_empty_and_private_fields() -> None:
    """Spec: 2026-07-28, server/tools "Tool". Ours: aliases and checks beyond the schema are not published."""
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
        pytest.param({"word": "讲"}, {"word": "讲"}, id="canonical name"),
        pytest.param({"word": ""}, {"word": ""}, id="empty string"),
        pytest.param({"theWord": "a"}, {"word": "a"}, id="alias"),
        pytest.param({"word": "a", "theWord": None}, {"word": "a"}, id="null alias"),
        pytest.param({"word": "a", "count": None, "other": None}, {"word": "a"}, id="null value"),
        pytest.param({"word": "a", "count": 0, "flag": False, "box": {"width": 0}}, ..., id="zero and false"),
        pytest.param({"word": "a", "size": "s", "images": ["b"], "box": {"width": 1}}, ..., id="every type"),
        pytest.param({"word": "a", "either": 1}, ..., id="one of two types"),
        pytest.param({"word": "a", "other": [1]}, {"word": "a"}, id="unknown argument"),
    ],
)
def test_a_tool_receives_its_arguments_under_canonical_names(arguments: Any, received: Any) -> None:
    """Ours: null counts as absent, because models fill in every argument. Unknown arguments are ignored."""
    expected = arguments if received is ... else received
    result = call(arguments)
    assert result["structuredContent"] == expected
    assert result["content"] == [
        {"type": "text", "text": orjson.dumps(expected).decode()},  # for clients that show only the content
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


def wrong_type(where: str, kind: str, shown_value: str, chinese: str) -> str:
    return TYPE.format(where, kind, shown_value, chinese, ARTICLES.get(kind, "a"))


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
        pytest.param({}, MISSING.format("word"), id="missing argument"),
        pytest.param({"word": None}, MISSING.format("word"), id="null for a required argument"),
        pytest.param({"Word": "a"}, MISSING.format("word"), id="name in another case"),
        pytest.param({"word": "a", "box": {}}, MISSING.format("box.width"), id="missing inside an object"),
        pytest.param({"word": 5}, wrong_type("word", "string", "5", "字符串"), id="integer for string"),
        pytest.param({"theWord": 5}, wrong_type("word", "string", "5", "字符串"), id="alias of the wrong type"),
        pytest.param({"word": True}, wrong_type("word", "string", "true", "字符串"), id="boolean for string"),
        pytest.param({"word": ["a"]}, wrong_type("word", "string", "an array", "字符串"), id="array for string"),
        pytest.param({"word": {"a": 1}}, wrong_type("word", "string", "an object", "字符串"), id="object for string"),
        pytest.param(
            {"word": "a", "count": "x"}, wrong_type("count", "integer", "'x'", "整数"), id="string for integer"
        ),
        pytest.param(
            {"word": "a", "count": 1.5}, wrong_type("count", "integer", "1.5", "整数"), id="fraction for integer"
        ),
        pytest.param(
            {"word": "a", "count": True}, wrong_type("count", "integer", "true", "整数"), id="boolean for integer"
        ),
        pytest.param({"word": "a", "flag": 0}, wrong_type("flag", "boolean", "0", "布尔值"), id="zero for boolean"),
        pytest.param({"word": "a", "ratio": "x"}, wrong_type("ratio", "number", "'x'", "数字"), id="string for number"),
        pytest.param({"word": "a", "images": "b"}, wrong_type("images", "array", "'b'", "数组"), id="string for array"),
        pytest.param({"word": "a", "box": 1}, wrong_type("box", "object", "1", "object"), id="integer for object"),
        pytest.param(
            {"word": "a", "images": ["b", 2]},
            wrong_type("images[1]", "string", "2", "字符串"),
            id="wrong type of an item",
        ),
        pytest.param(
            {"word": "a", "images": [None]}, wrong_type("images[0]", "string", "null", "字符串"), id="null item"
        ),
        pytest.param(
            {"word": "a", "box": {"width": "b"}},
            wrong_type("box.width", "integer", "'b'", "整数"),
            id="wrong type inside an object",
        ),
        pytest.param(
            {"word": "a", "count": LONG},
            wrong_type("count", "integer", "'" + "x" * 76 + "…", "整数"),
            id="long value, truncated",
        ),
        pytest.param(
            {"word": "a", "either": [1]},
            wrong_type("either", "['string', 'integer']", "an array", "['string', 'integer']"),
            id="neither of two types",
        ),
        pytest.param({"word": "a", "size": "m"}, ENUM.format("size", "'m'"), id="unknown enum value"),
        pytest.param({"word": "a", "size": "S"}, ENUM.format("size", "'S'"), id="enum value in another case"),
        pytest.param(
            {"word": "a", "ratio": 2},
            OTHER.format("data.ratio must be smaller than or equal to 1"),
            id="other schema rule",
        ),
    ],
)
def test_wrong_arguments_are_a_result_that_names_the_correction(arguments: Any, text: str) -> None:
    """Spec: SEP-1303; 2026-07-28, server/tools "Error Handling". Ours: argument and value, in both languages."""
    record = LogRecord()
    assert call(arguments, record=record) == error_result(text)
    assert fields(record) == {"tool": "echo", "outcome": "tool_error"}


KNOWN_ARGUMENTS = "word, count, size, images, flag, ratio, box, either"
UNKNOWN = (
    "The tool dear has no argument {0}; its arguments are: " + KNOWN_ARGUMENTS + ". Call it again with these only."
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
        pytest.param({"word": "a", "Size": "s"}, UNKNOWN.format("'Size'"), id="name in another case"),
        pytest.param({"Word": "a"}, UNKNOWN.format("'Word'"), id="unknown name before a missing one"),
        pytest.param({"word": "a", "x": 1, "y": 2}, UNKNOWN.format("'x', 'y'"), id="two names"),
        pytest.param({"word": "a", LONG: 1}, UNKNOWN.format("'" + "x" * 76 + "…"), id="long name, truncated"),
        pytest.param({"word": "a", "a\nb": 1}, UNKNOWN.format(r"'a\nb'"), id="name with a newline"),
        pytest.param(
            {"word": "a", **{f"x{n}": n for n in range(9)}},
            UNKNOWN.format("'x0', 'x1', 'x2', 'x3', 'x4', …"),
            id="many names",
        ),
        pytest.param(
            {"word": "a", "size": "m"},
            MEANT.format("'m'"),
            id="enum with meanings",
        ),
    ],
)
def test_a_paid_tool_rejects_unknown_arguments(arguments: Any, text: str) -> None:
    """Ours: the user would pay for a result that ignores the argument."""
    assert call(arguments, "dear") == error_result(text)


@pytest.mark.parametrize(
    "added",
    [
        pytest.param({"x": None}, id="null value"),
        pytest.param({"_meta": {"progressToken": 1}}, id="_meta"),
        pytest.param({"_auth_auth_type": "admin"}, id="proxy"),
        pytest.param({"toolCallId": "1", "sessionId": "2", "chatInput": "3", "action": "sendMessage"}, id="n8n"),
        pytest.param({"task_progress": "- [x] Read the question"}, id="Cline"),
        pytest.param({"wait_for_previous": False}, id="Gemini CLI"),
    ],
)
def test_arguments_that_clients_add_are_not_unknown_arguments(added: Any) -> None:
    """Ours: n8n, Cline, Gemini CLI and proxies add arguments that the model cannot remove."""
    assert call({"word": "a", **added}, "dear")["isError"] is False


def test_non_object_arguments_spend_nothing() -> None:
    """Spec: 2026-07-28, server/tools "Error Handling": a protocol error. Ours: it states that nothing was spent."""
    with pytest.raises(RpcError) as caught:
        call(["a"], "dear")
    assert str(caught.value) == 'Invalid params: "arguments" must be an object. Nothing spent.'


def test_a_tool_failure_keeps_its_own_text() -> None:
    """Spec: 2026-07-28, server/tools "Error Handling": tool execution errors."""
    record = LogRecord()
    assert call({}, "refuse", record) == error_result("It did not work. / 没有成功。")
    assert fields(record) == {"tool": "refuse", "outcome": "tool_error"}


def test_the_metadata_of_a_tool_failure_is_sent() -> None:
    """Spec: 2026-07-28, basic/index "_meta". Ours: for programs, beside the text for the model."""

    def fail(arguments: dict[str, Any], call: Call) -> ToolResult:
        raise ToolError("No. / 不。", {"example/reason": "x"})

    registry = Registry([Tool("fail", "Fail", "Fails.", {"type": "object"}, immediate(fail))])
    result = last(registry.call({"name": "fail"}, Call(Caller(), LogRecord())))
    assert result == {**error_result("No. / 不。"), "_meta": {"example/reason": "x"}}


def test_a_tool_exception_is_logged_and_its_details_are_hidden(lines: list[str]) -> None:
    """Ours: the model can inform the user. The details are for the operator."""
    record = LogRecord()
    assert call({}, "break", record) == error_result(INTERNAL_FAILURE.format(id="abc-123"))
    assert INTERNAL_FAILURE.startswith("This server failed while running the tool; the request did not cause it. ")
    assert "\n\n服务器在执行工具时出错，与请求内容无关" in INTERNAL_FAILURE
    assert fields(record) == {"tool": "break", "outcome": "internal_error"}
    (line,) = lines
    assert ' level=error msg="tool failed" tool=break request_id=abc-123 exception="Traceback ' in line
    assert line.endswith('ZeroDivisionError: internals-of-ours"')


KNOWN = "Known tools: echo, refuse, break, silent, dear"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({"name": "none"}, f"Unknown tool: none. {KNOWN}", id="unknown name"),
        pytest.param({"name": "ECHO"}, f"Unknown tool: ECHO. {KNOWN}", id="name in another case"),
        pytest.param({"name": ""}, f"Unknown tool: . {KNOWN}", id="empty name"),
        pytest.param({"name": LONG}, f"Unknown tool: {'x' * 100}. {KNOWN}", id="long name, truncated"),
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
        last(REGISTRY.call(params, Call(Caller(), LogRecord())))
    assert (caught.value.code, str(caught.value), caught.value.data) == (-32602, message, None)


def test_the_repr_of_a_caller_hides_its_keys() -> None:
    """Ours: a key never reaches a log line or a traceback."""
    shown = repr(Caller(authorization="Bearer secret-one", api_key="secret-two", request_id="abc"))
    assert "secret" not in shown
    assert "request_id='abc'" in shown
