"""Dispatch of a body: batches, internal errors, trace context, and the log record of each message."""

import math
from typing import Any

import orjson
import pytest

from scenext_service.mcp import Call, Server, Tool, ToolError, ToolResult
from scenext_service.mcp.context import Caller, TimeBudget
from scenext_service.mcp.dispatch import Dispatcher, HttpResponse
from tests.support.messages import META, PING, Mcp, failure, fields, immediate, last, outcome, refusal
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
def test_a_batch_is_answered_in_order(mcp: Mcp, headers: dict[str, str]) -> None:
    """Spec: 2025-03-26, basic "Batching": MUST receive; JSON-RPC 2.0, section 6: no response to a notification."""
    unknown = {**PING, "id": "c", "method": "none"}
    batch = [NOTIFICATION, ping("b"), 7, RESPONSE, ping(0), unknown, {"jsonrpc": "2.0", "id": ""}, ping("b")]
    answers = [
        pong("b"),
        refusal("Invalid Request: a JSON-RPC message must be a JSON object"),
        pong(0),
        failure(-32601, "Method not found: none", "c"),
        failure(-32600, 'Invalid Request: "method" is missing', ""),
        pong("b"),
    ]
    assert outcome(mcp.post(batch, headers)) == (200, answers)


@pytest.mark.parametrize("batch", [[NOTIFICATION], [NOTIFICATION, NOTIFICATION], [RESPONSE], [RESPONSE, RESPONSE]])
def test_a_batch_without_requests_is_accepted_without_a_body(mcp: Mcp, batch: list[Any]) -> None:
    """Spec: 2025-03-26, basic/transports "Sending Messages": 202 with no body."""
    response = mcp.post(batch)
    assert (response.status_code, response.data, response.headers.get("Content-Type")) == (202, b"", None)


def test_a_batch_of_one_is_answered_with_an_array(mcp: Mcp) -> None:
    """Spec: JSON-RPC 2.0, section 6."""
    assert outcome(mcp.post([PING])) == (200, [pong(1)])


@pytest.mark.parametrize("size", [0, 21, 1_000])
def test_an_empty_batch_and_one_over_the_limit_are_rejected(mcp: Mcp, size: int) -> None:
    """Spec: JSON-RPC 2.0, section 6: an empty array is one error. Ours: the limit, because messages run one by one."""
    assert outcome(mcp.post([PING] * size)) == (400, refusal("Invalid Request: a batch must have 1 to 20 messages"))


def test_a_batch_may_be_as_long_as_the_limit(mcp: Mcp) -> None:
    """Ours: the limit of 20 messages."""
    assert outcome(mcp.post([ping(id) for id in range(20)])) == (200, [pong(id) for id in range(20)])


@pytest.mark.parametrize("version", [*(it for it in SUPPORTED if it != "2025-03-26"), "v999", ""])
@pytest.mark.parametrize("batch", [[], [PING], [NOTIFICATION]], ids=["empty", "request", "notification"])
def test_a_batch_under_any_other_version_is_rejected(mcp: Mcp, version: str, batch: list[Any]) -> None:
    """Spec: 2025-06-18, changelog: batching removed. 2024-11-05 does not define Streamable HTTP."""
    answer = refusal("Invalid Request: only protocol version 2025-03-26 supports batches")
    assert outcome(mcp.post(batch, {"MCP-Protocol-Version": version})) == (400, answer)


def test_a_batch_rejects_initialize_modern_requests_and_batches(mcp: Mcp) -> None:
    """Spec: 2025-03-26, basic/lifecycle "Initialization": initialize is never in a batch. 2026-07-28 has no batches."""
    initialize = {**PING, "id": 2, "method": "initialize", "params": {"protocolVersion": "2025-03-26"}}
    modern = {**PING, "id": 3, "method": "tools/list", "params": {"_meta": META}}
    refused = "Invalid Request: this method is not allowed in a batch"
    nested = refusal("Invalid Request: a JSON-RPC message must be a JSON object")
    answers = [failure(-32600, refused, 2), failure(-32600, refused, 3), nested, pong(1)]
    assert outcome(mcp.post([initialize, modern, [PING], PING])) == (200, answers)


def unwritable(arguments: dict[str, Any], call: Call) -> ToolResult:
    return ToolResult([{"type": object()}])  # not JSON: fails when the response is serialized


def refuse(arguments: dict[str, Any], call: Call) -> ToolResult:
    raise ToolError("no")


BROKEN = Dispatcher(
    Server(
        info={"name": "internals-of-ours", "version": "1"},
        instructions="",
        tools=[
            Tool("unwritable", "Unwritable", "Breaks.", {"type": "object"}, immediate(unwritable)),
            Tool("refuse", "Refuse", "Refuses.", {"type": "object"}, immediate(refuse)),
        ],
    )
)


def handle(
    method: str, params: Any = None, headers: Caller | None = None, id: str | int = 1
) -> tuple[HttpResponse, dict[str, Any]]:
    """Dispatch one request; return the answer and the fields of its log record."""
    body = orjson.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    answer = last(BROKEN.handle(body, headers or Caller()))
    (record,) = answer.records
    return answer, fields(record)


@pytest.mark.parametrize(
    ("era", "status", "meta", "headers"),
    [
        pytest.param("legacy", 200, {}, Caller(), id="legacy"),
        pytest.param("modern", 400, META, Caller("2026-07-28", "tools/call", "unwritable"), id="modern"),
    ],
)
def test_an_unhandled_exception_is_logged_as_an_internal_error(
    lines: list[str], era: str, status: int, meta: dict[str, Any], headers: Caller
) -> None:
    """Spec: JSON-RPC 2.0, section 5.1. Ours: HTTP 200 in the legacy era and 400 in the modern era; the id is kept."""
    answer, fields = handle("tools/call", {"name": "unwritable", "_meta": meta}, headers, id=0)
    assert (answer.status, orjson.loads(answer.body or b"")) == (status, failure(-32603, "Internal error", 0))
    expected = {"request_id": "", "era": era, "method": "tools/call", "tool": "unwritable", "outcome": "-32603"}
    assert fields == expected
    (line,) = lines
    assert ' level=error msg="method failed" method=tools/call request_id="" exception="Traceback ' in line
    assert line.endswith('TypeError: Type is not JSON serializable: object"')


def test_an_internal_error_in_a_batch_affects_one_message_only() -> None:
    """Ours: each message of a batch has its own response."""
    call = {**PING, "id": "a", "method": "tools/call", "params": {"name": "unwritable"}}
    answer = last(BROKEN.handle(orjson.dumps([call, PING]), Caller()))
    assert (answer.status, orjson.loads(answer.body or b"")) == (
        200,
        [failure(-32603, "Internal error", "a"), pong(1)],
    )


def test_calls_of_a_batch_have_their_own_start_and_one_deadline() -> None:
    """Ours: the time of a call counts from its own start, and the response arrives before platforms time out."""
    callers: list[Caller] = []

    def note(arguments: dict[str, Any], call: Call) -> ToolResult:
        callers.append(call.caller)
        return ToolResult([])

    noting = [Tool("note", "Note", "Notes.", {"type": "object"}, immediate(note))]
    dispatcher = Dispatcher(Server({"name": "example", "version": "1"}, "", noting))
    call = {**PING, "method": "tools/call", "params": {"name": "note"}}
    last(dispatcher.handle(orjson.dumps([call, call]), Caller(time=TimeBudget(started=100.0, max_wait=50.0))))
    last(dispatcher.handle(orjson.dumps(call), Caller(time=TimeBudget(started=100.0, max_wait=50.0))))
    first, second, alone = (caller.time for caller in callers)
    assert 100.0 != first.started < second.started
    assert (first.deadline, second.deadline, alone.deadline) == (125.0, 125.0, math.inf)
    assert (first.max_wait, second.max_wait, alone.started) == (0.0, 0.0, 100.0)


def test_each_message_of_a_batch_has_its_own_log_record() -> None:
    """Ours: one line for each message, with its own outcome, duration and size."""
    call = {**PING, "id": "a", "method": "tools/call", "params": {"name": "refuse"}}
    answer = last(BROKEN.handle(orjson.dumps([call, {**PING, "method": "none"}, NOTIFICATION, 7]), Caller()))
    recorded = [(record.method, record.tool, record.outcome) for record in answer.records]
    expected = [("tools/call", "refuse", "tool_error"), ("unknown", None, "-32601"), ("notification", None, "ok")]
    assert recorded == [*expected, (None, None, "-32600")]
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
        pytest.param(None, None, None, id="no trace"),
        pytest.param(None, TRACEPARENT, TRACE, id="header"),
        pytest.param({"_meta": {"traceparent": TRACEPARENT}}, None, TRACE, id="metadata"),
        pytest.param({"_meta": {"traceparent": TRACEPARENT}}, OTHER, TRACE, id="metadata beats the header"),
        pytest.param({"_meta": {"progressToken": 1}}, TRACEPARENT, TRACE, id="other metadata"),
        pytest.param({"_meta": [TRACEPARENT]}, TRACEPARENT, TRACE, id="metadata is an array"),
        pytest.param(None, f"01-{TRACE}-00f067aa0ba902b7-01", TRACE, id="later version"),
        pytest.param(None, f"01-{TRACE}-00f067aa0ba902b7-01-more", TRACE, id="later version with more fields"),
    ],
)
def test_a_trace_id_comes_from_the_metadata_or_the_header(params: Any, header: str | None, expected: Any) -> None:
    """Spec: 2026-07-28, basic/index "OpenTelemetry trace context"; W3C Trace Context, "traceparent Header"."""
    assert trace_id(params, Caller(traceparent=header)) == expected


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("", id="empty"),
        pytest.param("injected outcome=ok", id="injected text"),
        pytest.param(TRACEPARENT.upper(), id="capital letters"),
        pytest.param(TRACEPARENT[:-1], id="truncated"),
        pytest.param(f"{TRACEPARENT}\n", id="trailing newline"),
        pytest.param(f"{TRACEPARENT},{TRACEPARENT}", id="two headers, joined"),
        pytest.param(f"{TRACEPARENT}-more", id="version 00 with more fields"),
        pytest.param(f"ff-{TRACE}-00f067aa0ba902b7-01", id="invalid version ff"),
        pytest.param(f"00-{'0' * 32}-00f067aa0ba902b7-01", id="trace id of zeros"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", id="parent id of zeros"),
    ],
)
def test_an_invalid_trace_context_is_ignored(given: str) -> None:
    """Spec: W3C Trace Context, "traceparent Header Field Values": vendors MUST ignore it when it is invalid."""
    assert trace_id(None, Caller(traceparent=given)) is None
    assert trace_id({"_meta": {"traceparent": given}}, Caller()) is None


@pytest.mark.parametrize("given", [None, 1, ["00"], {}])
def test_a_trace_context_that_is_not_a_string_is_ignored(given: Any) -> None:
    """Ours: a wrong type in optional metadata is not a reason to reject a call."""
    assert trace_id({"_meta": {"traceparent": given}}, Caller()) is None


@pytest.mark.parametrize(
    ("method", "params", "headers", "fields"),
    [
        pytest.param("made-up", None, Caller(), {"method": "unknown", "outcome": "-32601"}, id="unknown method"),
        pytest.param(
            "made-up", [], Caller(), {"method": "unknown", "outcome": "-32602"}, id="unknown method, wrong params"
        ),
        pytest.param("ping", None, Caller("made-up"), {"method": "ping", "outcome": "-32022"}, id="unknown version"),
        pytest.param(
            "tools/call",
            {"name": "made-up"},
            Caller(),
            {"method": "tools/call", "tool": "unknown", "outcome": "-32602"},
            id="unknown tool",
        ),
        pytest.param(
            "tools/call",
            {"name": ["made-up"]},
            Caller(),
            {"method": "tools/call", "tool": "unknown", "outcome": "-32602"},
            id="tool name that is not a string",
        ),
        pytest.param(
            "ping", {"name": "made-up"}, Caller(), {"method": "ping", "outcome": "ok"}, id="name of another method"
        ),
        pytest.param(
            "tools/call",
            {"name": "refuse", "arguments": {"made-up": "made-up"}},
            Caller(),
            {"method": "tools/call", "tool": "refuse", "outcome": "tool_error"},
            id="unknown argument",
        ),
    ],
)
def test_names_from_a_client_never_reach_the_log(
    method: str, params: Any, headers: Caller, fields: dict[str, Any]
) -> None:
    """Ours: log lines contain known names only, so that clients cannot inject text and metrics stay bounded."""
    _, logged = handle(method, params, headers)
    assert logged == {"request_id": "", "era": "legacy", **fields}


@pytest.mark.parametrize(
    ("body", "logged"),
    [
        pytest.param(b"{", {"outcome": "-32700"}, id="not JSON"),
        pytest.param(b'{"jsonrpc":"2.0","method":1}', {"outcome": "-32600"}, id="not a message"),
        pytest.param(
            b'{"jsonrpc":"2.0","method":"made-up"}', {"method": "notification", "outcome": "ok"}, id="notification"
        ),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"result":1}', {"method": "response", "outcome": "ok"}, id="response"),
        pytest.param(b"[]", {"outcome": "-32600"}, id="empty batch"),
    ],
)
def test_a_body_without_a_request_is_logged_with_kind_and_outcome(body: bytes, logged: dict[str, Any]) -> None:
    """Ours: each body leaves a line with its outcome, even if it contains no request."""
    (record,) = last(BROKEN.handle(body, Caller())).records
    assert fields(record) == {"request_id": "", **logged}
