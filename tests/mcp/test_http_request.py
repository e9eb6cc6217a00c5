"""Memory of requests: the budget for large bodies, and the part of a request that a waiting call retains."""

import io
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.mcp import BodyReader, Call, LogRecord, Origins, Server, Steps, Tool, ToolResult
from scenext_service.mcp.context import MAX_WAITING_BODY, Caller, TimeBudget
from scenext_service.mcp.dispatch import Dispatcher, HttpResponse
from scenext_service.mcp.http import create_blueprint
from scenext_service.mcp.http_request import LARGE_BODY, MemoryBudget
from scenext_service.server.application import Service
from tests.support.messages import BEARER, KEY, META, PING, Mcp, immediate, outcome, refusal
from tests.support.names import TOOLS

PING_BODY = orjson.dumps(PING)
PONG = (200, {"jsonrpc": "2.0", "id": 1, "result": {}})
LIMIT = 4 * LARGE_BODY
BUSY = (
    503,
    refusal(
        "Service Unavailable: too many large requests at the same time. Retry in 5 seconds. Nothing was started or"
        " charged.",
        -32603,
    ),
)
KEYLESS = (
    413,
    refusal(
        "Content Too Large: the limit is 65536 bytes for a request without a key. Send the key in the header"
        " Authorization or X-API-Key. Nothing was started or charged."
    ),
)


class Unread:
    """A body that must not be read."""

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("the body was read")


class Scene:
    """An endpoint with a budget for bodies. Its tool `hold` calls `inside` while its own request is in flight."""

    def __init__(self, budget: int, *, anonymous: bool = False) -> None:
        self.records: list[Any] = []
        self.inside: Any = lambda: None
        self.length = ""  # CONTENT_LENGTH of a chunked body; some servers set it

        def hold(arguments: dict[str, Any], call: Call) -> ToolResult:
            self.inside()
            return ToolResult([])

        server = Server({"name": "a", "version": "1"}, "", [Tool("hold", "Hold", "Holds.", TEXT, immediate(hold))])
        self.budget = MemoryBudget(budget)
        bodies = BodyReader(LIMIT, self.budget, anonymous)
        app = Service("example")
        app.register_blueprint(create_blueprint(server, Origins(), bodies, self.records.append))
        self.client: FlaskClient = app.test_client()

    def post(self, body: bytes = PING_BODY, headers: Any = BEARER, **overrides: Any) -> Any:
        kind = {"data": body, "content_type": "application/json"}
        return self.client.post("/mcp", headers=headers, environ_overrides=overrides, **kind)

    def chunked(self, body: bytes, headers: Any = BEARER) -> Any:
        overrides = {"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True, "CONTENT_LENGTH": self.length}
        return self.post(b"", headers, **overrides)


TEXT = {"type": "object", "properties": {"text": {"type": "string"}}}


def hold(size: int) -> bytes:
    """Return a call of `hold` as a body of `size` bytes."""
    params = {"name": "hold", "arguments": {"text": ""}}
    message = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    return message.replace(b'""', b'"%b"' % (b"x" * (size - len(message))))


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("size", "busy"),
    [
        pytest.param(LARGE_BODY, False, id="small body, outside the budget"),
        pytest.param(LARGE_BODY + 1, True, id="large body"),
        pytest.param(LIMIT, True, id="largest body"),
    ],
)
def test_large_bodies_over_the_budget_get_503_with_retry_after(size: int, busy: bool, chunked: bool) -> None:
    """Spec: RFC 9110, section 15.6.4: 503 with Retry-After. Ours: one client cannot take all memory."""
    scene = Scene(LIMIT)
    inner: list[Any] = []
    send = scene.chunked if chunked else scene.post
    scene.inside = lambda: inner.append(send(PING_BODY.ljust(size)))
    assert scene.post(hold(LIMIT)).status_code == 200
    assert outcome(inner[0]) == (BUSY if busy else PONG)
    assert inner[0].headers.get("Retry-After") == ("5" if busy else None)
    assert outcome(send(PING_BODY.ljust(size))) == PONG  # the first request has released its share


def test_a_body_over_the_budget_is_rejected_unread_and_logged() -> None:
    """Ours: the operator sees the reason, because a field named `reason` raises the line to a warning."""
    scene = Scene(LARGE_BODY)
    unread: dict[str, Any] = {"CONTENT_LENGTH": str(LIMIT), "wsgi.input": Unread()}
    response = scene.post(**unread)
    assert outcome(response) == BUSY
    assert [(record.status, record.reason) for record in scene.records] == [(503, "request bodies over their budget")]


@pytest.mark.parametrize(
    "failing",
    [
        pytest.param({"CONTENT_LENGTH": str(LIMIT)}, id="truncated"),
        pytest.param({"CONTENT_LENGTH": str(LIMIT), "wsgi.input": io.StringIO()}, id="unreadable"),
    ],
)
def test_a_failed_request_releases_its_share_of_the_budget(failing: dict[str, Any]) -> None:
    """Ours: the budget never leaks."""
    scene = Scene(LIMIT)
    for _ in range(3):
        assert scene.post(**failing).status_code == 400
    assert scene.chunked(PING_BODY.ljust(LIMIT + 1)).status_code == 413
    assert scene.post(b"[".ljust(LIMIT)).status_code == 400
    assert outcome(scene.post(PING_BODY.ljust(LIMIT))) == PONG


@pytest.mark.parametrize(
    ("headers", "anonymous", "expected"),
    [
        pytest.param({}, False, KEYLESS, id="no key"),
        pytest.param({"Authorization": "  "}, False, KEYLESS, id="blank Authorization"),
        pytest.param({"X-API-Key": KEY}, False, PONG, id="X-API-Key"),
        pytest.param(BEARER, False, PONG, id="Authorization"),
        pytest.param({}, True, PONG, id="no key, server with a shared key"),
    ],
)
def test_a_large_body_needs_a_key(headers: dict[str, str], anonymous: bool, expected: Any) -> None:
    """Ours: without this check, the body would be read before the request is rejected for its missing key."""
    scene = Scene(LIMIT, anonymous=anonymous)
    assert outcome(scene.post(PING_BODY.ljust(LARGE_BODY), headers)) == PONG
    assert outcome(scene.post(PING_BODY.ljust(LARGE_BODY + 1), headers)) == expected
    assert outcome(scene.chunked(PING_BODY.ljust(LARGE_BODY), headers)) == PONG
    assert outcome(scene.chunked(PING_BODY.ljust(LARGE_BODY + 1), headers)) == expected
    if expected is KEYLESS:
        unread: dict[str, Any] = {"CONTENT_LENGTH": str(LARGE_BODY + 1), "wsgi.input": Unread()}
        assert outcome(scene.post(headers=headers, **unread)) == KEYLESS


@pytest.mark.parametrize(
    ("shared", "expected"),
    [
        pytest.param((None, None), KEYLESS, id="no key"),
        pytest.param((KEY, None), PONG, id="shared key"),
        pytest.param((KEY, "a-token-of-the-operator"), KEYLESS, id="shared key with an access token"),
    ],
)
def test_a_shared_key_permits_large_bodies_without_a_key(shared: tuple[str | None, str | None], expected: Any) -> None:
    """Ours: the application configures whether the endpoint serves requests without a key."""
    mcp = Mcp(create_app(Config(sandbox=True, api_key=shared[0], access_token=shared[1])).test_client())
    assert outcome(mcp.post(PING_BODY.ljust(LARGE_BODY + 1))) == expected


# Memory of a waiting call


def waiting(arguments: dict[str, Any], call: Call) -> Steps[ToolResult]:
    """Wait for one step."""
    yield None
    return ToolResult([], arguments)


DISPATCHER = Dispatcher(Server({"name": "a", "version": "1"}, "", [Tool("wait", "W", "W.", TEXT, waiting)]))
NUMBERS = b"[" + b"1234567,1.5," * 40_000 + b"1]"  # 2 MB as objects


@contextmanager
def traced() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize(
    "place",
    [
        pytest.param(b'{"name":"wait","arguments":{"text":"a","other":%b}%b}', id="unknown argument"),
        pytest.param(b'{"name":"wait","arguments":{"text":"a"},"other":%b%b}', id="unknown member of params"),
    ],
)
def test_a_waiting_call_retains_only_its_own_arguments(era: str, place: bytes) -> None:
    """Ours: 100 waiting calls of 8 MB each used over 1 GiB."""
    meta = b"" if era == "legacy" else b',"_meta":' + orjson.dumps(META)
    caller = Caller() if era == "legacy" else Caller("2026-07-28", "tools/call", "wait")
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%b}' % (place % (NUMBERS, meta))
    references = sys.getrefcount(body)
    with traced():
        steps = DISPATCHER.handle(body, caller)
        assert not isinstance(steps, HttpResponse)
        next(steps)
        assert sys.getrefcount(body) == references
        assert tracemalloc.get_traced_memory()[0] < 100_000
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert orjson.loads(stop.value.value.body)["result"]["structuredContent"] == {"text": "a"}


def test_a_waiting_call_does_not_retain_client_capabilities() -> None:
    """Ours: a client's capabilities may be as large as its request."""
    capabilities = {"io.modelcontextprotocol/clientCapabilities": {"extensions": {"a": list(range(40_000))}}}
    params = {"name": "wait", "arguments": {}, "_meta": {**META, **capabilities}}
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    with traced():
        steps = DISPATCHER.handle(body, Caller("2026-07-28", "tools/call", "wait"))
        assert not isinstance(steps, HttpResponse)
        next(steps)
        assert tracemalloc.get_traced_memory()[0] < 100_000


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize(
    ("token", "accepted"),
    [
        pytest.param("t" * 256, True, id="256 characters"),
        pytest.param("t" * 257, False, id="257 characters"),
        pytest.param(2**60, True, id="integer"),
    ],
)
def test_a_long_progress_token_is_rejected(mcp: Mcp, name: str, token: Any, accepted: bool) -> None:
    """Ours: each notification would repeat it. Spec: basic/patterns/progress sets no limit."""
    params = {"name": name, "arguments": {}, "_meta": {"progressToken": token}}
    response = mcp.post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).get_json()
    refused = 'Invalid params: "progressToken" must have at most 256 characters'
    assert ("result" in response) is accepted
    assert accepted or response["error"] == {"code": -32602, "message": refused}


@pytest.mark.parametrize("accept", ["application/json", "application/json, text/event-stream"])
def test_a_request_too_large_to_wait_is_answered_immediately(accept: str) -> None:
    """Ours: a waiting call occupies memory. The result states how to call again."""
    mcp = Mcp(create_app(Config(sandbox=True)).test_client())
    arguments = {"task_id": "sandbox-in-progress", "wait_seconds": 50, "frames": "none"}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    params = {"name": "query_video_status", "arguments": arguments}
    body = orjson.dumps({**message, "params": params}).ljust(MAX_WAITING_BODY + 1)
    response = mcp.post(body, {**BEARER, "Accept": accept})
    assert response.get_json()["result"]["structuredContent"]["next"] == (
        "This request was too large to wait for the job. Call query_video_status again now with task_id"
        ' sandbox-in-progress and wait_seconds=50, frames="none", and nothing else; start no other job.'
        " Sandbox: this is simulated, and nothing is charged."
    )
    assert response.get_json()["result"]["isError"] is False


@pytest.mark.parametrize(
    ("size", "max_wait"),
    [
        pytest.param(MAX_WAITING_BODY, 25.0, id="8 KiB"),
        pytest.param(MAX_WAITING_BODY + 1, 0.0, id="8 KiB and one byte"),
    ],
)
def test_only_a_small_request_waits(size: int, max_wait: float) -> None:
    """Ours: `docs/protocol.md`, "Wait for its end"."""
    assert Call(Caller(time=TimeBudget(max_wait=50.0), body_size=size), LogRecord()).max_wait == max_wait
