"""Repair of arguments that hosts altered between model and server: which values a tool receives, which are rejected."""

from typing import Any

import pytest

from scenext_service.mcp import Call, LogRecord, Tool, ToolResult
from scenext_service.mcp.context import Caller
from scenext_service.mcp.registry import Registry
from tests.support.messages import halves, immediate, last

SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "text": {"type": "string"},
        "size": {"type": "string", "enum": ["s", "l"]},
        "images": {"type": "array", "items": {"type": "string"}},
        "numbers": {"type": "array", "items": {"type": "integer"}},
        "count": {"type": "integer"},
        "ratio": {"type": "number"},
        "flag": {"type": "boolean"},
    },
    "required": ["id"],
}


def echo(arguments: dict[str, Any], call: Call) -> ToolResult:
    return ToolResult([], arguments)


TOOL = Tool(
    name="echo",
    title="Echo",
    description="Echoes.",
    schema=SCHEMA,
    call=immediate(echo),
    aliases={"theId": "id", "theImages": "images"},
    numeric=frozenset({"id"}),
    rejects_unknown_arguments=True,
    error_suffix=("Nothing spent.", "未花费。"),
)


def call(arguments: dict[str, Any]) -> dict[str, Any]:
    steps = Registry([TOOL]).call({"name": "echo", "arguments": arguments}, Call(Caller(), LogRecord()))
    result: dict[str, Any] = last(steps)
    return result


BLANKS = [None, "", " \t\n", "　", [], [""], ["", " "], "[]", ' [""] ']


@pytest.mark.parametrize("name", ["text", "size", "images", "numbers", "count", "ratio", "flag"])
@pytest.mark.parametrize("blank", BLANKS[:-2], ids=repr)
def test_a_blank_optional_argument_is_absent(name: str, blank: Any) -> None:
    """Ours: hosts fill in every argument (coder/xum#2887, anomalyco/opencode#33341, moltis-org/moltis#283)."""
    assert call({"id": "a", name: blank})["structuredContent"] == {"id": "a"}


@pytest.mark.parametrize("blank", BLANKS, ids=repr)
def test_a_blank_list_is_absent_also_as_json_text(blank: Any) -> None:
    """Ours: the same for JSON text as for an array. A blank value does not hide the value of an alias."""
    assert call({"id": "a", "images": blank})["structuredContent"] == {"id": "a"}
    assert call({"id": "a", "images": blank, "theImages": ["b"]})["structuredContent"] == {"id": "a", "images": ["b"]}


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        pytest.param({"id": ""}, {"id": ""}, id="canonical name"),
        pytest.param({"theId": " "}, {"id": " "}, id="alias"),
        pytest.param({"id": "", "theId": "a"}, {"id": "a"}, id="blank canonical name, alias set"),
        pytest.param({"id": "a", "theId": ""}, {"id": "a"}, id="canonical name set, blank alias"),
        pytest.param({"id": "a", "theId": "b"}, {"id": "a"}, id="both set"),
        pytest.param({"theId": "b", "id": "a"}, {"id": "a"}, id="both set, alias first"),
        pytest.param({"id": None, "theId": "b"}, {"id": "b"}, id="null canonical name"),
        pytest.param({"id": "", "theId": " "}, {"id": " "}, id="both blank"),
    ],
)
def test_a_blank_required_argument_reaches_the_tool(arguments: Any, received: Any) -> None:
    """Ours: the tool's own error is more specific. A value wins over a blank, otherwise the canonical name wins."""
    assert call(arguments)["structuredContent"] == received


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        pytest.param({"images": '["a","b"]'}, {"images": ["a", "b"]}, id="list as JSON text"),
        pytest.param({"images": ' [\n "a" ] '}, {"images": ["a"]}, id="list with whitespace"),
        pytest.param({"theImages": '["a"]'}, {"images": ["a"]}, id="list under its alias"),
        pytest.param({"images": r'["\u9898 \"a\""]'}, {"images": ['题 "a"']}, id="list with escapes"),
        pytest.param({"images": ["[]", '["a"]']}, {"images": ["[]", '["a"]']}, id="entries unchanged"),
        pytest.param({"text": '["a"]'}, {"text": '["a"]'}, id="string that is a JSON array"),
        pytest.param({"text": '{"a": 1}'}, {"text": '{"a": 1}'}, id="string that is a JSON object"),
        pytest.param({"text": "50"}, {"text": "50"}, id="string of digits"),
        pytest.param({"text": "null"}, {"text": "null"}, id="string that is a JSON literal"),
        pytest.param({"count": "50"}, {"count": 50}, id="integer as text"),
        pytest.param({"count": " 50\n"}, {"count": 50}, id="integer with whitespace"),
        pytest.param({"count": "-5"}, {"count": -5}, id="negative integer"),
        pytest.param({"count": "+5"}, {"count": 5}, id="plus sign"),
        pytest.param({"count": "007"}, {"count": 7}, id="leading zeros"),
        pytest.param({"count": "50.0"}, {"count": 50}, id="integer with a zero fraction"),
        pytest.param({"count": 50.0}, {"count": 50.0}, id="float that JSON Schema accepts as an integer"),
        pytest.param({"count": 0}, {"count": 0}, id="zero"),
        pytest.param({"flag": False}, {"flag": False}, id="false"),
        pytest.param({"id": 12345}, {"id": "12345"}, id="numeric id"),
        pytest.param({"theId": 0}, {"id": "0"}, id="zero as an id, under its alias"),
        pytest.param({"id": 2**64 - 1}, {"id": "18446744073709551615"}, id="largest integer of 64 bits"),
    ],
)
def test_a_type_that_a_host_changed_is_restored(arguments: Any, received: Any) -> None:
    """Ours: anthropics/claude-code#22394, github/github-mcp-server#2044, lmstudio-bug-tracker#1626."""
    content = call({"id": "a", **arguments} if "theId" not in arguments else arguments)["structuredContent"]
    assert content == {"id": "a", **received}
    assert {name: type(value) for name, value in content.items()} == {
        name: type(value) for name, value in {"id": "a", **received}.items()
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param({"id": True}, '"id" of the tool echo must be of type string; got true', id="true as an id"),
        pytest.param({"id": 1.5}, '"id" of the tool echo must be of type string; got 1.5', id="fraction as an id"),
        pytest.param({"id": -1}, '"id" of the tool echo must be of type string; got -1', id="negative id"),
        pytest.param({"id": 1e25}, '"id" of the tool echo must be of type string; got 1e+25', id="id beyond 64 bits"),
        pytest.param({"id": 12345.0}, '"id" of the tool echo must be of type string; got 12345.0', id="float as an id"),
        pytest.param({"text": 5}, '"text" of the tool echo must be of type string; got 5', id="number as a string"),
        pytest.param(
            {"images": "a"}, '"images" of the tool echo must be of type array', id="string that is not a list"
        ),
        pytest.param({"images": '"a"'}, '"images" of the tool echo must be of type array', id="JSON text of a string"),
        pytest.param({"images": '["a"'}, '"images" of the tool echo must be of type array', id="truncated JSON"),
        pytest.param({"images": "['a']"}, '"images" of the tool echo must be of type array', id="Python list literal"),
        pytest.param(
            {"images": '["a", 1]'}, '"images[1]" of the tool echo must be of type string; got 1', id="mixed item types"
        ),
        pytest.param({"images": '[["a"]]'}, '"images[0]" of the tool echo must be of type string', id="nested list"),
        pytest.param(
            {"images": [None]}, '"images[0]" of the tool echo must be of type string; got null', id="null item"
        ),
        pytest.param(
            {"numbers": "[1]"}, '"numbers" of the tool echo must be of type array', id="list of integers as text"
        ),
        pytest.param({"count": "5 s"}, '"count" of the tool echo must be of type integer; got', id="with a unit"),
        pytest.param({"count": "1.5"}, '"count" of the tool echo must be of type integer; got', id="fraction as text"),
        pytest.param({"count": "1e3"}, '"count" of the tool echo must be of type integer; got', id="exponent"),
        pytest.param(
            {"count": "０５"}, '"count" of the tool echo must be of type integer; got', id="full-width digits"
        ),
        pytest.param({"count": "9" * 5000}, '"count" of the tool echo must be of type integer; got', id="5,000 digits"),
        pytest.param(
            {"count": True}, '"count" of the tool echo must be of type integer; got true', id="true as an integer"
        ),
        pytest.param({"flag": "true"}, '"flag" of the tool echo must be of type boolean', id="true as text"),
        pytest.param({"ratio": "0.5"}, '"ratio" of the tool echo must be of type number', id="number as text"),
        pytest.param({"size": "null"}, '"size" of the tool echo must be one of', id="JSON literal for an enum"),
        pytest.param({"text": {}}, '"text" of the tool echo must be of type string', id="empty object"),
        pytest.param({"Text": ""}, "has no argument 'Text'", id="unknown name, blank value"),
        pytest.param({"tasks": []}, "has no argument 'tasks'", id="unknown name, empty list"),
    ],
)
def test_any_other_wrong_type_is_rejected(arguments: Any, words: str) -> None:
    """Spec: SEP-1303: the model can correct it."""
    result = call({"id": "a", **arguments})
    assert result["isError"] is True
    english, chinese = halves(result["content"][0]["text"])
    assert words in english
    assert (english.endswith(" Nothing spent."), chinese.endswith("未花费。")) == (True, True)


def test_json_text_has_the_same_limits_as_a_body() -> None:
    """Ours: JSON text with 20,001 lists would block every other thread, exactly as in a body."""
    result = call({"id": "a", "images": "[" + "[]," * 20_000 + "[]]"})
    assert '"images" of the tool echo must be of type array' in result["content"][0]["text"]
    assert call({"id": "a", "images": '["' + "[]," * 20_000 + '"]'})["isError"] is False


def test_restoring_changes_neither_the_schema_nor_the_request() -> None:
    """Ours: the published schema stays the same, and the request stays intact for the log and for later checks."""
    arguments: dict[str, Any] = {"theId": 5, "images": '["a"]', "count": ""}
    call(arguments)
    assert arguments == {"theId": 5, "images": '["a"]', "count": ""}
    assert TOOL.definition()["inputSchema"] is SCHEMA
