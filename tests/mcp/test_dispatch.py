"""From a body to its answer: batches, bugs of ours, and what a call leaves in its log line."""

import math
from typing import Any

import orjson
import pytest

from scenext_service.mcp import Call, Caller, Registry, Server, Tool, ToolError, ToolResult
from scenext_service.mcp.dispatch import Answer, Dispatcher
from tests.support.messages import META, PING, Mcp, failure, last, outcome, refusal
from tests.support.names import SUPPORTED

NOTIFICATION = {"jsonrpc": "2.0", "method": "notifications/initialized"}
RESPONSE = {"jsonrpc": "2.0", "id": 9, "result": {}}
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
OTHER = f"00-{'b' * 32}-00f067aa0ba902b7-00"


def ping(id: Any) -> dict[str, Any]:
    return {**PING, "id": id}


def pong(id: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "result": {}}


@pytest.mark.parametrize("headers", [{}, {"MCP-Protocol-Version": "2025-03-26"}], ids=["no header", "2025-03-26"])
def test_a_batch_is_answered_in_order_without_what_is_owed_no_answer(mcp: Mcp, headers: dict[str, str]) -> None:
    """Spec: 2025-03-26, basic "Batching": MUST receive; JSON-RPC 2.0, section 6."""
    unknown = {**PING, "id": "c", "method": "none"}
    batch = [NOTIFICATION, ping("b"), 7, RESPONSE, ping(0), unknown, {"jsonrpc": "2.0", "id": ""}, ping("b")]
    answers = [
        pong("b"),
        refusal("Invalid Request: a JSON-RPC message is a JSON object"),
        pong(0),
        failure(-32601, "Method not found: none", "c"),
        failure(-32600, 'Invalid Request: "method" is missing', ""),
        pong("b"),
    ]
    assert outcome(mcp.post(batch, headers)) == (200, answers)


@pytest.mark.parametrize("batch", [[NOTIFICATION], [NOTIFICATION, NOTIFICATION], [RESPONSE], [RESPONSE, RESPONSE]])
def test_a_batch_that_is_owed_no_answer_is_accepted_without_a_body(mcp: Mcp, batch: list[Any]) -> None:
    """Spec: 2025-03-26, basic/transports "Sending Messages": 202 with no body."""
    response = mcp.post(batch)
    assert (response.status_code, response.data, response.headers.get("Content-Type")) == (202, b"", None)


def test_a_batch_of_one_is_answered_with_an_array(mcp: Mcp) -> None:
    """Spec: JSON-RPC 2.0, section 6."""
    assert outcome(mcp.post([PING])) == (200, [pong(1)])


@pytest.mark.parametrize("size", [0, 21, 10_000])
def test_an_empty_batch_and_one_above_the_cap_are_refused_as_a_whole(mcp: Mcp, size: int) -> None:
    """Spec: JSON-RPC 2.0, section 6: an empty array is one error. Ours: the cap, as they run in turn."""
    assert outcome(mcp.post([PING] * size)) == (400, refusal("Invalid Request: a batch has 1 to 20 messages"))


def test_a_batch_may_be_as_long_as_the_cap(mcp: Mcp) -> None:
    """Ours: the cap of 20."""
    assert outcome(mcp.post([ping(id) for id in range(20)])) == (200, [pong(id) for id in range(20)])


@pytest.mark.parametrize("version", [*(it for it in SUPPORTED if it != "2025-03-26"), "v999", ""])
@pytest.mark.parametrize("batch", [[], [PING], [NOTIFICATION]], ids=["empty", "request", "notification"])
def test_a_batch_under_any_other_version_is_refused(mcp: Mcp, version: str, batch: list[Any]) -> None:
    """Spec: 2025-06-18, changelog: batching removed. 2024-11-05 has no Streamable HTTP to have it in."""
    answer = refusal("Invalid Request: only protocol version 2025-03-26 has batches")
    assert outcome(mcp.post(batch, {"MCP-Protocol-Version": version})) == (400, answer)


def test_batch_refuses_initialize_modern_requests_and_batches(mcp: Mcp) -> None:
    """Spec: 2025-03-26, basic/lifecycle "Initialization": initialize is never in a batch. 2026-07-28 has none."""
    initialize = {**PING, "id": 2, "method": "initialize", "params": {"protocolVersion": "2025-03-26"}}
    modern = {**PING, "id": 3, "method": "tools/list", "params": {"_meta": META}}
    refused = "Invalid Request: this message cannot be in a batch"
    nested = refusal("Invalid Request: a JSON-RPC message is a JSON object")
    answers = [failure(-32600, refused, 2), failure(-32600, refused, 3), nested, pong(1)]
    assert outcome(mcp.post([initialize, modern, [PING], PING])) == (200, answers)


def unwritable(arguments: dict[str, Any], call: Call) -> ToolResult:
    return ToolResult([{"type": object()}])  # no JSON: found out when the answer is written


def refuse(arguments: dict[str, Any], call: Call) -> ToolResult:
    raise ToolError("no")


BROKEN = Dispatcher(
    Server(
        info={"name": "internals-of-ours", "version": "1"},
        instructions="",
        tools=Registry(
            [
                Tool("unwritable", "Unwritable", "Breaks.", {"type": "object"}, unwritable),
                Tool("refuse", "Refuse", "Refuses.", {"type": "object"}, refuse),
            ]
        ),
    )
)


def handle(
    method: str, params: Any = None, headers: Caller | None = None, id: str | int = 1
) -> tuple[Answer, dict[str, Any]]:
    """Dispatch one request; return the answer and the fields of its log line."""
    body = orjson.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    answer = last(BROKEN.handle(body, headers or Caller()))
    (record,) = answer.records
    return answer, record.fields()


@pytest.mark.parametrize(
    ("era", "status", "meta", "headers"),
    [
        pytest.param("legacy", 200, {}, Caller(), id="legacy"),
        pytest.param("modern", 400, META, Caller("2026-07-28", "tools/call", "unwritable"), id="modern"),
    ],
)
def test_a_bug_of_ours_is_an_internal_error_logged_with_its_trace(
    lines: list[str], era: str, status: int, meta: dict[str, Any], headers: Caller
) -> None:
    """Spec: JSON-RPC 2.0, section 5.1. Ours: HTTP 200 legacy and 400 modern, as for any error; the id comes back."""
    answer, fields = handle("tools/call", {"name": "unwritable", "_meta": meta}, headers, id=0)
    assert (answer.status, orjson.loads(answer.body or b"")) == (status, failure(-32603, "Internal error", 0))
    expected = {"request_id": "", "era": era, "method": "tools/call", "tool": "unwritable", "outcome": -32603}
    assert fields == expected
    (line,) = lines
    assert ' error "method tools/call failed" request_id="" exception="Traceback ' in line
    assert line.endswith('TypeError: Type is not JSON serializable: object"')


def test_a_bug_in_one_message_of_a_batch_leaves_the_others_alone() -> None:
    """Ours: each message of a batch has its own answer."""
    call = {**PING, "id": "a", "method": "tools/call", "params": {"name": "unwritable"}}
    answer = last(BROKEN.handle(orjson.dumps([call, PING]), Caller()))
    assert (answer.status, orjson.loads(answer.body or b"")) == (
        200,
        [failure(-32603, "Internal error", "a"), pong(1)],
    )


def test_each_call_of_a_batch_has_its_own_time_and_all_have_one_end() -> None:
    """Ours: a call's time counts from when it begins, and the answer is there before platforms give up."""
    callers: list[Caller] = []

    def note(arguments: dict[str, Any], call: Call) -> ToolResult:
        callers.append(call.caller)
        return ToolResult([])

    noting = Registry([Tool("note", "Note", "Notes.", {"type": "object"}, note)])
    dispatcher = Dispatcher(Server({"name": "example", "version": "1"}, "", noting))
    call = {**PING, "method": "tools/call", "params": {"name": "note"}}
    last(dispatcher.handle(orjson.dumps([call, call]), Caller(received=100.0, patience=50.0)))
    last(dispatcher.handle(orjson.dumps(call), Caller(received=100.0, patience=50.0)))
    first, second, alone = callers
    assert 100.0 != first.received < second.received
    assert (first.until, second.until, alone.until) == (125.0, 125.0, math.inf)
    assert (first.patience, second.patience, alone.received) == (0.0, 0.0, 100.0)


def test_each_message_of_a_batch_has_its_own_record() -> None:
    """Ours: as many lines as messages, each with its outcome, its time and its size."""
    call = {**PING, "id": "a", "method": "tools/call", "params": {"name": "refuse"}}
    answer = last(BROKEN.handle(orjson.dumps([call, {**PING, "method": "none"}, NOTIFICATION, 7]), Caller()))
    noted = [(record.method, record.tool, record.outcome) for record in answer.records]
    expected = [("tools/call", "refuse", "tool_error"), ("unknown", None, -32601), ("notification", None, "ok")]
    assert noted == [*expected, (None, None, -32600)]
    assert [record.ms is not None and record.ms >= 0 for record in answer.records] == [True] * 4
    bodies = orjson.loads(answer.body or b"")
    assert [record.bytes for record in answer.records if record.bytes] == [len(orjson.dumps(body)) for body in bodies]


def trace_id(params: Any, headers: Caller) -> Any:
    answer, fields = handle("ping", params, headers)
    assert (answer.status, answer.body) == (200, b'{"jsonrpc":"2.0","id":1,"result":{}}')
    return fields.get("trace_id")


@pytest.mark.parametrize(
    ("params", "header", "expected"),
    [
        pytest.param(None, None, None, id="none"),
        pytest.param(None, TRACEPARENT, TRACE, id="header"),
        pytest.param({"_meta": {"traceparent": TRACEPARENT}}, None, TRACE, id="metadata"),
        pytest.param({"_meta": {"traceparent": TRACEPARENT}}, OTHER, TRACE, id="metadata beats the header"),
        pytest.param({"_meta": {"progressToken": 1}}, TRACEPARENT, TRACE, id="other metadata"),
        pytest.param({"_meta": [TRACEPARENT]}, TRACEPARENT, TRACE, id="metadata an array"),
        pytest.param(None, f"01-{TRACE}-00f067aa0ba902b7-01", TRACE, id="a later version"),
        pytest.param(None, f"01-{TRACE}-00f067aa0ba902b7-01-more", TRACE, id="a later version with more"),
    ],
)
def test_a_trace_id_comes_from_the_metadata_or_the_header(params: Any, header: str | None, expected: Any) -> None:
    """Spec: 2026-07-28, basic/index "OpenTelemetry trace context"; W3C Trace Context, "traceparent Header"."""
    assert trace_id(params, Caller(traceparent=header)) == expected


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("", id="empty"),
        pytest.param("injected outcome=ok", id="words"),
        pytest.param(TRACEPARENT.upper(), id="capital letters"),
        pytest.param(TRACEPARENT[:-1], id="cut"),
        pytest.param(f"{TRACEPARENT}\n", id="newline at the end"),
        pytest.param(f"{TRACEPARENT},{TRACEPARENT}", id="two headers, joined"),
        pytest.param(f"{TRACEPARENT}-more", id="more than version 00 has"),
        pytest.param(f"ff-{TRACE}-00f067aa0ba902b7-01", id="the version that is never valid"),
        pytest.param(f"00-{'0' * 32}-00f067aa0ba902b7-01", id="trace id of zeros"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", id="parent id of zeros"),
    ],
)
def test_an_invalid_trace_context_is_ignored(given: str) -> None:
    """Spec: W3C Trace Context, "traceparent Header Field Values": vendors MUST ignore it when it is invalid."""
    assert trace_id(None, Caller(traceparent=given)) is None
    assert trace_id({"_meta": {"traceparent": given}}, Caller()) is None


@pytest.mark.parametrize("given", [None, 1, ["00"], {}])
def test_a_trace_context_that_is_no_string_is_ignored(given: Any) -> None:
    """Ours: a wrong type in optional metadata is no reason to refuse a call."""
    assert trace_id({"_meta": {"traceparent": given}}, Caller()) is None


@pytest.mark.parametrize(
    ("method", "params", "headers", "fields"),
    [
        pytest.param("made-up", None, Caller(), {"method": "unknown", "outcome": -32601}, id="unknown method"),
        pytest.param("made-up", [], Caller(), {"method": "unknown", "outcome": -32602}, id="unknown, wrong params"),
        pytest.param("ping", None, Caller("made-up"), {"method": "ping", "outcome": -32022}, id="unknown version"),
        pytest.param(
            "tools/call",
            {"name": "made-up"},
            Caller(),
            {"method": "tools/call", "tool": "unknown", "outcome": -32602},
            id="unknown tool",
        ),
        pytest.param(
            "tools/call",
            {"name": ["made-up"]},
            Caller(),
            {"method": "tools/call", "tool": "unknown", "outcome": -32602},
            id="a tool's name that is no string",
        ),
        pytest.param("ping", {"name": "made-up"}, Caller(), {"method": "ping", "outcome": "ok"}, id="name elsewhere"),
        pytest.param(
            "tools/call",
            {"name": "refuse", "arguments": {"made-up": "made-up"}},
            Caller(),
            {"method": "tools/call", "tool": "refuse", "outcome": "tool_error"},
            id="argument",
        ),
    ],
)
def test_a_name_that_a_client_made_up_never_gets_into_a_log_line(
    method: str, params: Any, headers: Caller, fields: dict[str, Any]
) -> None:
    """Ours: a log line holds our own words only, so that nobody writes into it, and it can be counted."""
    _, logged = handle(method, params, headers)
    assert logged == {"request_id": "", "era": "legacy", **fields}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        pytest.param(b"{", {"outcome": -32700}, id="not JSON"),
        pytest.param(b'{"jsonrpc":"2.0","method":1}', {"outcome": -32600}, id="no message"),
        pytest.param(
            b'{"jsonrpc":"2.0","method":"made-up"}', {"method": "notification", "outcome": "ok"}, id="one-way"
        ),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"result":1}', {"method": "response", "outcome": "ok"}, id="response"),
        pytest.param(b"[]", {"outcome": -32600}, id="empty batch"),
    ],
)
def test_what_is_no_request_leaves_its_kind_and_its_outcome(body: bytes, fields: dict[str, Any]) -> None:
    """Ours: a line says what came of every body, also where it holds no request."""
    (record,) = last(BROKEN.handle(body, Caller())).records
    assert record.fields() == {"request_id": "", **fields}
