"""The JSON-RPC envelope: which bodies are parsed as messages, which are rejected, and how responses are serialized."""

from typing import Any

import orjson
import pytest

from scenext_service.mcp import jsonrpc
from scenext_service.mcp.jsonrpc import Message, Notification, Request, Response, RpcError
from tests.support.messages import Mcp

# schema.ts of 2026-07-28, "Standard JSON-RPC error codes" and the codes that MCP allocates.
SPECIFIED_CODES = {
    "PARSE_ERROR": -32700,
    "INVALID_REQUEST": -32600,
    "METHOD_NOT_FOUND": -32601,
    "INVALID_PARAMS": -32602,
    "INTERNAL_ERROR": -32603,
    "HEADER_MISMATCH": -32020,
    "MISSING_REQUIRED_CLIENT_CAPABILITY": -32021,
    "UNSUPPORTED_PROTOCOL_VERSION": -32022,
}

NOT_JSON = [
    pytest.param(b"", id="empty"),
    pytest.param(b" \r\n\t", id="whitespace only"),
    pytest.param(b"{", id="truncated object"),
    pytest.param(b'{"jsonrpc":"2.0"}x', id="text after the value"),
    pytest.param(b"{}{}", id="two values"),
    pytest.param(b"{'a':1}", id="single quotes"),
    pytest.param(b'{"a":1,}', id="trailing comma"),
    pytest.param(b"[1 /* one */]", id="comment"),
    pytest.param(b"01", id="leading zero"),
    pytest.param(b"+1", id="plus sign"),
    pytest.param(b'"\x01"', id="control character"),
    pytest.param(b'{"id":NaN}', id="NaN"),
    pytest.param(b'{"id":Infinity}', id="Infinity"),
    pytest.param(b'{"id":-Infinity}', id="-Infinity"),
    pytest.param(b'{"id":1e999}', id="1e999"),
    pytest.param(b'{"id":-1e999}', id="-1e999"),
    pytest.param(b'{"id":' + b"1" * 5_000 + b"}", id="integer of 5,000 digits"),
    pytest.param(b'"\\ud800"', id="lone high surrogate, escaped"),
    pytest.param(b'"\\udc00"', id="lone low surrogate, escaped"),
    pytest.param(b'{"\\ud800":1}', id="lone surrogate in a name"),
    pytest.param(b'"\xed\xa0\x80"', id="lone surrogate, encoded"),
    pytest.param(b'"\xff"', id="not UTF-8"),
    pytest.param(b'"\xe4\xbd"', id="truncated UTF-8"),
    pytest.param(b'"\xc0\xaf"', id="overlong UTF-8"),
    pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
    pytest.param("{}".encode("utf-16"), id="UTF-16"),
    pytest.param("{}".encode("utf-32"), id="UTF-32"),
    pytest.param(b"[" * 10_000, id="10,000 brackets"),
    pytest.param(b"[" * 10_000 + b"]" * 10_000, id="array 10,000 deep"),
    pytest.param(b'{"a":' * 10_000 + b"1" + b"}" * 10_000, id="object 10,000 deep"),
]


def read(raw: str) -> Message:
    return jsonrpc.parse(jsonrpc.loads(raw.encode()))


def test_error_codes_are_those_of_the_specification() -> None:
    """Spec: 2026-07-28, basic/index "Error Codes". The server defines no code in a reserved range."""
    codes = {name: value for name, value in vars(jsonrpc).items() if isinstance(value, int) and value < 0}
    assert codes == SPECIFIED_CODES


@pytest.mark.parametrize("body", NOT_JSON)
def test_invalid_json_is_a_parse_error_without_an_id(body: bytes) -> None:
    """Spec: JSON-RPC 2.0, section 5.1; RFC 8259."""
    with pytest.raises(RpcError, match=r"^Parse error: the body is not valid JSON \(") as caught:
        jsonrpc.loads(body)
    failure = caught.value
    assert (failure.code, failure.id, failure.data) == (-32700, None, None)


CONTAINERS = "Invalid Request: the body has 20001 objects and arrays; at most 20000 are allowed"
VALUES = "Invalid Request: the body has more than 100001 values; at most 100000 are allowed"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"[" * 20_001, CONTAINERS, id="unclosed arrays"),
        pytest.param(b"[" + b",".join([b"[]"] * 20_000) + b"]", CONTAINERS, id="arrays"),
        pytest.param(b'{"a":' * 20_001 + b"1" + b"}" * 20_001, CONTAINERS, id="objects"),
        pytest.param(b"[" + b"1," * 100_001 + b"1]", VALUES, id="numbers"),
        pytest.param(b"[" + b'"a",' * 100_001 + b'"a"]', VALUES, id="strings"),
        pytest.param(b'{"a":1' + b',"a":1' * 100_001 + b"}", VALUES, id="members"),
        pytest.param(b'["\\\\",' + b'"\\"",' * 100_000 + b'"\\\\"]', VALUES, id="strings with escapes"),
    ],
)
def test_a_body_with_too_many_values_is_rejected(body: bytes, message: str) -> None:
    """Ours: the structure of a body is bounded like its size. Values are counted before the expensive decoding."""
    with pytest.raises(RpcError) as caught:
        jsonrpc.loads(body)
    assert (caught.value.code, caught.value.id, caught.value.message) == (-32600, None, message)


def test_a_body_with_too_many_strings_to_count_is_rejected() -> None:
    """Ours: inspecting each string would take as long as decoding them all."""
    with pytest.raises(RpcError, match=r"^Invalid Request: the body has more than 2000000 values; at most 100000 "):
        jsonrpc.loads(b"[" + b'"",' * 2_000_000 + b'""]')


IMAGES = ["A" * 3_000_000, "data:image/png;base64," + "/9j+" * 700_000, "https://example.com/1.png?a=1,2&b={c}"]
SVG = "data:image/svg+xml,<path d='" + "M10,10 " * 300_000 + "'/>"
PROSE = 'f(x) = \\frac{a}{b}, "x" \\ [1, 2], ' * 60_000


@pytest.mark.parametrize("arguments", [{"question_images": IMAGES}, {"question_images": [SVG]}, {"question": PROSE}])
def test_large_images_and_long_texts_count_as_one_value(arguments: dict[str, Any]) -> None:
    """Ours: every legitimate gen_video passes, whatever its strings contain."""
    value = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "gen_video", "arguments": arguments}}
    body = orjson.dumps(value)
    assert 1_500_000 < len(body) < 8 * 1024 * 1024
    assert jsonrpc.loads(body) == value


@pytest.mark.parametrize("body", NOT_JSON)
def test_invalid_json_is_answered_in_json_with_status_400(mcp: Mcp, body: bytes) -> None:
    """Spec: 2025-11-25, basic/transports "Sending Messages": an HTTP error status. Ours: the id is null."""
    response = mcp.post(body)
    assert (response.status_code, response.content_type) == (400, "application/json")
    answer = response.get_json()
    message = answer["error"].pop("message")
    assert answer == {"jsonrpc": "2.0", "id": None, "error": {"code": -32700}}
    assert message.startswith("Parse error: the body is not valid JSON")


def test_json_is_utf_8_and_the_last_duplicate_name_wins() -> None:
    """Spec: RFC 8259, sections 4 and 8.1. Ours: the last value wins, as in nearly every parser."""
    value = jsonrpc.loads('{"a": 1, "a": ["讲解", "\\ud83d\\ude00", 1.5, -0, null]}'.encode())
    assert value == {"a": ["讲解", "😀", 1.5, 0, None]}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("0", 0, id="zero"),
        pytest.param("-1", -1, id="negative integer"),
        pytest.param('""', "", id="empty string"),
        pytest.param('"a"', "a", id="string"),
        pytest.param('"讲解"', "讲解", id="Chinese string"),
        pytest.param('"0"', "0", id="string of a digit"),
        pytest.param("18446744073709551615", 2**64 - 1, id="largest of 64 bits"),
        pytest.param("-9223372036854775808", -(2**63), id="smallest of 64 bits"),
    ],
)
def test_string_and_integer_ids_are_returned_unchanged(mcp: Mcp, raw: str, expected: str | int) -> None:
    """Spec: 2026-07-28, basic/index "Requests": a string or integer; the same id in the response."""
    body = f'{{"jsonrpc":"2.0","id":{raw},"method":"ping"}}'
    assert read(body) == Request(expected, "ping", None)
    response = mcp.post(body.encode())
    assert (response.status_code, response.get_json()) == (200, {"jsonrpc": "2.0", "id": expected, "result": {}})


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("null", id="null"),
        pytest.param("1.5", id="fraction"),
        pytest.param("1.0", id="whole number with a fraction"),
        pytest.param("1e2", id="exponent"),
        pytest.param("true", id="true"),
        pytest.param("false", id="false"),
        pytest.param("[]", id="array"),
        pytest.param('["a"]', id="array of a string"),
        pytest.param("{}", id="object"),
        pytest.param("18446744073709551616", id="above 64 bits"),
        pytest.param("-9223372036854775809", id="below 64 bits"),
    ],
)
def test_an_invalid_id_is_answered_with_a_null_id(mcp: Mcp, raw: str) -> None:
    """Spec: 2026-07-28, basic/index "Requests": never null. Ours: numbers that JSON may alter are invalid too."""
    response = mcp.post(f'{{"jsonrpc":"2.0","id":{raw},"method":"ping"}}'.encode())
    message = 'Invalid Request: "id" must be a string or an integer'
    assert response.status_code == 400
    assert response.get_json() == {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": message}}


NO_OBJECT = "Invalid Request: a JSON-RPC message must be a JSON object"
NO_VERSION = 'Invalid Request: "jsonrpc" must be "2.0"'
NO_METHOD = 'Invalid Request: "method" is missing'
NO_STRING = 'Invalid Request: "method" must be a string'


@pytest.mark.parametrize(
    ("raw", "message", "id"),
    [
        pytest.param("null", NO_OBJECT, None, id="null"),
        pytest.param("true", NO_OBJECT, None, id="boolean"),
        pytest.param("1", NO_OBJECT, None, id="number"),
        pytest.param('"ping"', NO_OBJECT, None, id="string"),
        pytest.param("{}", NO_VERSION, None, id="empty object"),
        pytest.param('{"id":1,"method":"ping"}', NO_VERSION, 1, id="no jsonrpc"),
        pytest.param('{"jsonrpc":"1.0","id":0,"method":"ping"}', NO_VERSION, 0, id="jsonrpc 1.0, id 0"),
        pytest.param('{"jsonrpc":2.0,"id":"","method":"ping"}', NO_VERSION, "", id="jsonrpc as a number, empty id"),
        pytest.param('{"jsonrpc":"2.0"}', NO_METHOD, None, id="only jsonrpc"),
        pytest.param('{"jsonrpc":"2.0","id":7}', NO_METHOD, 7, id="no method"),
        pytest.param('{"jsonrpc":"2.0","id":true}', NO_METHOD, None, id="no method, unusable id"),
        pytest.param('{"jsonrpc":"2.0","id":7,"method":null}', NO_STRING, 7, id="method is null"),
        pytest.param('{"jsonrpc":"2.0","id":7,"method":1}', NO_STRING, 7, id="method is a number"),
        pytest.param('{"jsonrpc":"2.0","id":7,"method":["ping"]}', NO_STRING, 7, id="method is an array"),
        pytest.param('{"jsonrpc":"2.0","method":{}}', NO_STRING, None, id="notification, method is an object"),
        pytest.param('{"jsonrpc":"2.0","id":7,"result":{},"error":{}}', NO_METHOD, 7, id="result and error"),
        pytest.param('{"jsonrpc":"2.0","result":{}}', NO_METHOD, None, id="result without an id"),
        pytest.param('{"jsonrpc":"2.0","id":null,"error":{}}', NO_METHOD, None, id="error with a null id"),
    ],
)
def test_an_invalid_message_is_rejected_with_its_id_if_usable(
    mcp: Mcp, raw: str, message: str, id: str | int | None
) -> None:
    """Spec: JSON-RPC 2.0, sections 4 and 5.1; 2026-07-28, basic/index "Error Responses"."""
    response = mcp.post(raw.encode())
    assert (response.status_code, response.content_type) == (400, "application/json")
    assert response.get_json() == {"jsonrpc": "2.0", "id": id, "error": {"code": -32600, "message": message}}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param('{"jsonrpc":"2.0","method":"a"}', Notification("a", None), id="without params"),
        pytest.param('{"jsonrpc":"2.0","method":"a","params":[1]}', Notification("a", [1]), id="with params"),
        pytest.param('{"jsonrpc":"2.0","id":1,"result":null}', Response(), id="result"),
        pytest.param('{"jsonrpc":"2.0","id":"","error":{"code":1,"message":""}}', Response(), id="error"),
        pytest.param('{"jsonrpc":"2.0","id":0,"method":"a","params":[]}', Request(0, "a", []), id="id 0"),
        pytest.param('{"jsonrpc":"2.0","id":1,"method":"","result":1}', Request(1, "", None), id="method and result"),
        pytest.param('{"jsonrpc":"2.0","id":1,"method":"a","x":1}', Request(1, "a", None), id="unknown member"),
    ],
)
def test_method_and_id_distinguish_the_kinds_of_messages(raw: str, expected: Message) -> None:
    """Spec: JSON-RPC 2.0, sections 4, 4.1 and 5: a notification has a method and no id, a response no method."""
    assert read(raw) == expected


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param(None, {}, id="absent or null"),
        pytest.param({}, {}, id="empty"),
        pytest.param({"a": 1}, {"a": 1}, id="object"),
    ],
)
def test_params_are_an_object_or_absent(params: Any, expected: dict[str, Any]) -> None:
    """Spec: 2026-07-28, basic/index "Requests"."""
    assert jsonrpc.params_of(Request(1, "a", params)) == expected


@pytest.mark.parametrize("params", [[], [1], "a", "", 0, 1.5, True, False])
def test_params_that_are_not_an_object_are_invalid_params(params: Any) -> None:
    """Spec: 2026-07-28, basic/index "Requests"; JSON-RPC 2.0, section 5.1."""
    with pytest.raises(RpcError) as caught:
        jsonrpc.params_of(Request(1, "a", params))
    assert (caught.value.code, str(caught.value)) == (-32602, 'Invalid params: "params" must be an object')


@pytest.mark.parametrize("id", [0, "", 1, "a"])
def test_a_result_is_serialized_with_its_id(id: str | int) -> None:
    """Spec: 2026-07-28, basic/index "Result Responses"."""
    assert jsonrpc.loads(jsonrpc.result(id, {"a": "讲"})) == {"jsonrpc": "2.0", "id": id, "result": {"a": "讲"}}


def test_a_prepared_result_is_sent_byte_for_byte() -> None:
    """Ours: a response has the same bytes whether its result is serialized once or for each response."""
    value = {"tools": [{"name": "a", "description": "讲\n\u2028"}], "ttlMs": 1.5, "none": None}
    assert jsonrpc.result("a", jsonrpc.prepared(value)) == jsonrpc.result("a", value)


@pytest.mark.parametrize("id", [None, 0, "", "a"])
def test_an_error_has_its_id_or_null_and_no_empty_data(id: str | int | None) -> None:
    """Spec: 2026-07-28, basic/index "Error Responses". Ours: null, because clients lose a message without the field."""
    assert jsonrpc.loads(jsonrpc.error(id, RpcError(-32600, "no", id="other"))) == {
        "jsonrpc": "2.0",
        "id": id,
        "error": {"code": -32600, "message": "no"},
    }


def test_an_error_carries_its_data() -> None:
    """Spec: 2026-07-28, basic/index "Error Responses"."""
    written = jsonrpc.error(1, RpcError(-32022, "no", data={"supported": ("a", "b")}))
    error = {"code": -32022, "message": "no", "data": {"supported": ["a", "b"]}}
    assert jsonrpc.loads(written) == {"jsonrpc": "2.0", "id": 1, "error": error}
