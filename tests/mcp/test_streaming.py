"""Long-running tools over HTTP: event streams, single JSON responses, and client disconnects."""

import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from werkzeug.test import EnvironBuilder, TestResponse

from scenext_service.mcp import Call, LogRecord, Origins, Server, Steps, Tool, ToolError, ToolResult, create_blueprint
from scenext_service.mcp.streaming import KEEP_ALIVE_INTERVAL
from scenext_service.server.application import Service
from tests.support.messages import META, bodies, immediate

NAMED = b"event: message\ndata: "
BOTH = {"Accept": "application/json, text/event-stream"}
JSON_ONLY = {"Accept": "application/json"}
CONTENT: list[dict[str, Any]] = [{"type": "text", "text": "done"}]
RESPONSE = {"jsonrpc": "2.0", "id": 1, "result": {"content": CONTENT, "isError": False}}


class Scene:
    """A server with one tool, `slow`, that runs a script of the test. `ended` holds an entry for each finished call."""

    def __init__(self, script: Callable[[Call], Steps[ToolResult]], max_wait: float = 50.0) -> None:
        self.ended: list[str] = []
        self.records: list[LogRecord] = []
        self.has_left = False
        self.max_waits: list[float] = []

        def slow(arguments: dict[str, Any], call: Call) -> Steps[ToolResult]:
            self.max_waits.append(call.max_wait)
            try:
                return (yield from script(call))
            finally:
                self.ended.append("slow")

        plain = Tool(
            "plain", "Plain", "Answers.", {"type": "object"}, immediate(lambda arguments, call: ToolResult([]))
        )
        tools = [Tool("slow", "Slow", "Takes time.", {"type": "object"}, slow), plain]
        server = Server({"name": "example", "version": "1.0.0"}, "", tools)
        self.app = Service("example")
        self.app.register_blueprint(create_blueprint(server, Origins(), bodies(10_000), self.records.append, max_wait))

    def post(
        self, headers: dict[str, str], token: Any = None, era: str = "legacy", body: Any = None, threads: bool = True
    ) -> TestResponse:
        """Call `slow` on a server with threads, or post another body."""
        meta = {} if token is None else {"progressToken": token}
        params: dict[str, Any] = {"name": "slow", "_meta": meta}
        if era == "modern":
            params["_meta"] = {**META, **meta}
            named = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "slow"}
            headers = {**headers, **named}
        message = body or {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        content = {"data": orjson.dumps(message), "content_type": "application/json"}
        environ = {"wsgi.multithread": threads, "waitress.client_disconnected": lambda: self.has_left}
        return self.app.test_client().post("/mcp", headers=headers, environ_overrides=environ, **content)

    def outcomes(self) -> list[tuple[Any, ...]]:
        return [(record.outcome, record.status, record.bytes) for record in self.records]


def halves(call: Call) -> Steps[ToolResult]:
    """Report progress at the start and at the half."""
    yield call.progress(0, "begun", 2)
    yield None
    yield call.progress(1, "half", 2)
    return ToolResult(CONTENT)


def events(response: TestResponse) -> list[Any]:
    """Return the events of a stream, parsed, with comments as bytes. Close the response, as a server does."""
    assert response.status_code == 200
    parts = response.get_data().split(b"\n\n")
    response.close()
    assert parts.pop() == b""
    return [orjson.loads(part.removeprefix(NAMED)) if part.startswith(NAMED) else part for part in parts]


def notification(progress: int, message: str, token: Any = "t") -> dict[str, Any]:  # noqa: S107
    params = {"progressToken": token, "progress": progress, "message": message, "total": 2}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}


@pytest.mark.parametrize("token", ["t", 7, 0, ""])
def test_progress_precedes_the_response(token: str | int) -> None:
    """Spec: 2026-07-28, basic/transports/streamable-http "Receiving Messages"; basic/patterns/progress."""
    scene = Scene(halves)
    response = scene.post(BOTH, token)
    assert events(response) == [notification(0, "begun", token), notification(1, "half", token), RESPONSE]
    assert scene.outcomes() == [("ok", 200, len(response.get_data()))]
    assert scene.ended == ["slow"]


def test_a_modern_result_in_a_stream_has_its_stamp() -> None:
    """Spec: 2026-07-28, basic/index "_meta": every result has it, notifications do not."""
    response = Scene(halves).post(BOTH, "t", "modern")
    first, second, last = events(response)
    assert (first, second) == (notification(0, "begun"), notification(1, "half"))
    assert (last["id"], last["result"]["resultType"], last["result"]["content"]) == (1, "complete", CONTENT)


@pytest.mark.parametrize("token", [None, True, 1.5, [1], {"a": 1}])
def test_without_a_token_comments_keep_the_stream_open(token: Any) -> None:
    """Spec: 2026-07-28, basic/transports/streamable-http: a comment as a keep-alive. A token is a string or integer."""
    assert events(Scene(halves).post(BOTH, token)) == [b":", b":", RESPONSE]


@pytest.mark.parametrize(("token", "blocks"), [("t", 3), (None, 1)], ids=["progress", "comments"])
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_each_event_with_data_is_named_message(era: str, token: str | None, blocks: int) -> None:
    """Spec: HTML, "Server-sent events". Ours: strict clients drop a block without the field, and hang."""
    lines = Scene(halves).post(BOTH, token, era).get_data().split(b"\n")
    fields = [line.partition(b" ")[0] for line in lines]
    answered = [b"event:", b"data:", b""]
    assert fields == [*([b":", b""] * (3 - blocks)), *(answered * blocks), b""]
    assert {line for line in lines if line.startswith(b"event:")} == {b"event: message"}


@pytest.mark.parametrize(("token", "first"), [("t", notification(0, "begun")), (None, b":")], ids=["token", "none"])
def test_a_silent_stream_gets_keep_alive_comments(
    monkeypatch: pytest.MonkeyPatch, token: str | None, first: Any
) -> None:
    """Spec: 2026-07-28, basic/transports/streamable-http: a comment as a keep-alive. Ours: httpx times out at 5 s."""
    now = time.monotonic

    def silent(call: Call) -> Steps[ToolResult]:
        """Report progress once, then stay silent for slightly longer than a stream may be."""
        yield call.progress(0, "begun", 2)
        for tenths in range(int(10 * KEEP_ALIVE_INTERVAL) + 5):
            monkeypatch.setattr(time, "monotonic", lambda skipped=tenths / 10: now() + skipped)
            yield None
        return ToolResult(CONTENT)

    assert KEEP_ALIVE_INTERVAL < 5
    assert events(Scene(silent).post(BOTH, token)) == [first, b":", RESPONSE]


def test_the_headers_of_a_stream_prevent_buffering() -> None:
    """Spec: 2026-07-28, basic/transports/streamable-http: `X-Accel-Buffering`; no ids, as streams cannot be resumed."""
    response = Scene(halves).post({**BOTH, "X-Request-ID": "me-1", "Origin": "http://localhost:1234"}, "t")
    assert response.content_type == "text/event-stream"
    assert (response.headers["X-Accel-Buffering"], response.headers["Cache-Control"]) == ("no", "no-cache")
    assert (response.headers["X-Request-ID"], "Content-Length" in response.headers) == ("me-1", False)
    assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:1234"
    assert b"id:" not in response.get_data()


@pytest.mark.parametrize("token", [None, "t"])
def test_a_client_that_accepts_only_json_gets_one_body(token: str | None) -> None:
    """Spec: 2026-07-28, basic/transports/streamable-http: a single JSON object."""
    scene = Scene(halves)
    response = scene.post(JSON_ONLY, token)
    assert (response.status_code, response.content_type, response.get_json()) == (200, "application/json", RESPONSE)
    assert response.headers["Content-Length"] == str(len(response.get_data()))
    assert scene.outcomes() == [("ok", 200, len(response.get_data()))]


def at_once(call: Call) -> Steps[ToolResult]:
    """Return without a step."""
    yield from ()
    return ToolResult(CONTENT)


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_call_that_does_not_wait_is_answered_in_json(era: str) -> None:
    """Ours: only calls that wait use a stream, so errors keep their HTTP status."""
    scene = Scene(at_once)
    assert scene.post(BOTH, "t", era).get_json()["result"]["content"] == CONTENT
    unknown = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "none", "_meta": META}}
    named = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "none"}
    response = scene.post({**BOTH, **named}, body=unknown)
    assert (response.status_code, response.get_json()["error"]["code"]) == (400, -32602)


def failing(error: Exception) -> Callable[[Call], Steps[ToolResult]]:
    """Return a script that raises `error` after its first step."""

    def script(call: Call) -> Steps[ToolResult]:
        yield call.progress(0, "begun", 2)
        raise error

    return script


def unwritable(call: Call) -> Steps[ToolResult]:
    """Report progress, then return a result that is not JSON."""
    yield call.progress(0, "begun", 2)
    return ToolResult([{"type": object()}])


@pytest.mark.parametrize(
    ("script", "outcome", "result_text"),
    [
        pytest.param(failing(ToolError("no / 不")), "tool_error", "no / 不", id="tool error"),
        pytest.param(
            failing(RuntimeError("sentinel")), "internal_error", "This server failed", id="unhandled exception"
        ),
        pytest.param(unwritable, "-32603", "Internal error", id="unserializable result"),
    ],
)
@pytest.mark.parametrize("accept", [BOTH, JSON_ONLY], ids=["stream", "json"])
def test_a_failure_after_the_first_step_is_answered_and_logged(
    lines: list[str],
    script: Callable[[Call], Steps[ToolResult]],
    outcome: str,
    result_text: str,
    accept: dict[str, str],
) -> None:
    """Ours: the status of a stream is already sent, so the response and the log line report the failure."""
    scene = Scene(script)
    response = scene.post(accept, "t")
    answer = events(response)[-1] if accept is BOTH else response.get_json()
    assert (answer["id"], result_text in str(answer), "sentinel" in str(answer)) == (1, True, False)
    assert scene.outcomes() == [(outcome, 200, len(response.get_data()))]
    assert scene.ended == ["slow"]


# Client disconnects


def for_ever(call: Call) -> Steps[ToolResult]:
    """Yield steps until the client disconnects."""
    step = 0
    while not (yield call.progress(step, "waiting", 2)):
        step += 1
    return ToolResult(CONTENT)


def test_a_disconnect_ends_a_stream_with_the_current_result() -> None:
    """Spec: 2026-07-28, basic/patterns/cancellation: "The server MUST treat a client disconnect as cancellation".

    Ours: a client that has closed only its sending side still reads the result.
    """
    scene = Scene(for_ever)
    scene.has_left = True
    response = scene.post(BOTH, "t")
    assert events(response) == [RESPONSE]
    assert (scene.outcomes(), scene.ended) == ([("cancelled", 499, len(response.get_data()))], ["slow"])


def test_a_disconnect_without_a_stream_gets_the_current_result() -> None:
    """Ours: HTTP allows a client to close its sending side after the request. The log records 499, as nginx does."""
    scene = Scene(for_ever)
    scene.has_left = True
    response = scene.post(JSON_ONLY, "t")
    assert (response.status_code, response.get_json()) == (200, RESPONSE)
    assert (scene.outcomes(), scene.ended) == ([("cancelled", 499, len(response.get_data()))], ["slow"])


@pytest.mark.parametrize("sent", [0, 1, 3])
def test_closing_the_stream_ends_the_call(sent: int) -> None:
    """Spec: PEP 3333, "close": called however the request ended, even if nothing was sent yet."""
    scene = Scene(for_ever)
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "slow", "_meta": {}}}
    builder = EnvironBuilder("/mcp", method="POST", json=message, headers=[*BOTH.items()], multithread=True)
    stream: Any = scene.app(builder.get_environ(), lambda status, headers, exc_info=None: None)
    taken = [event for event, _ in zip(stream, range(sent), strict=False)]
    assert scene.ended == []
    stream.close()
    assert (taken[:1], scene.ended) == ([b":\n\n"] * min(sent, 1), ["slow"])
    assert [(record.outcome, record.status) for record in scene.records] == [("cancelled", 499)]
    assert scene.records[0].bytes is not None
    assert scene.records[0].bytes >= 3 * sent


# Delivery of the response

LOST = "client disconnected, job undelivered"
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "slow"}}


def outcomes_of(scene: Scene) -> list[tuple[Any, ...]]:
    return [(record.outcome, record.status, record.reason) for record in scene.records]


def important(call: Call) -> Steps[ToolResult]:
    """Return without a step a result whose loss must be logged."""
    call.record.undelivered = LOST
    return (yield from at_once(call))


def leaves_at_the_end(scene: Scene) -> Callable[[Call], Steps[ToolResult]]:
    def script(call: Call) -> Steps[ToolResult]:
        yield call.progress(0, "begun", 2)
        scene.has_left = True
        return ToolResult(CONTENT)

    return script


@pytest.mark.parametrize("accept", [BOTH, JSON_ONLY], ids=["stream", "json"])
@pytest.mark.parametrize("script", [at_once, important])
def test_a_disconnect_before_the_response_is_logged(script: Callable[[Call], Any], accept: dict[str, str]) -> None:
    """Ours: this includes calls without steps. The response is still sent, in case only the sending side is closed."""
    scene = Scene(script)
    scene.has_left = True
    response = scene.post(accept)
    assert (response.status_code, response.get_json()) == (200, RESPONSE)
    assert outcomes_of(scene) == [("cancelled", 499, LOST if script is important else "client disconnected")]


def test_a_disconnect_in_the_last_step_of_a_stream_is_logged() -> None:
    """Ours: logged like an earlier disconnect."""
    scene = Scene(lambda call: leaves_at_the_end(scene)(call))
    assert events(scene.post(BOTH, "t")) == [notification(0, "begun"), RESPONSE]
    assert outcomes_of(scene) == [("cancelled", 499, "client disconnected")]


def test_a_failure_remains_the_reason_after_a_disconnect() -> None:
    """Ours: the failure explains more than the disconnect does."""

    def script(call: Call) -> Steps[ToolResult]:
        call.record.reason = "HTTP 503"
        yield from ()
        raise ToolError("down / 不")

    scene = Scene(script)
    scene.has_left = True
    assert scene.post(JSON_ONLY).status_code == 200
    assert outcomes_of(scene) == [("cancelled", 499, "HTTP 503")]


def test_a_disconnect_cancels_only_tool_calls() -> None:
    """Ours: other requests lose nothing."""
    scene = Scene(at_once)
    scene.has_left = True
    assert scene.post({}, body={"jsonrpc": "2.0", "id": 1, "method": "ping"}).status_code == 200
    assert outcomes_of(scene) == [("ok", 200, None)]


def served(scene: Scene) -> Any:
    """Return the response of `slow` as a WSGI server receives it."""
    builder = EnvironBuilder("/mcp", method="POST", json=CALL, headers=[*BOTH.items()], multithread=True)
    return scene.app(builder.get_environ(), lambda status, headers, exc_info=None: None)


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        pytest.param(0, ("cancelled", 499, LOST), id="before the write"),
        pytest.param(1, ("cancelled", 499, LOST), id="during the write"),
        pytest.param(2, ("ok", 200, None), id="after the write"),
    ],
)
def test_a_response_that_could_not_be_written_is_logged(taken: int, expected: tuple[Any, ...]) -> None:
    """Spec: PEP 3333: a server requests the next part after writing the previous one, and always calls `close`."""
    scene = Scene(important)
    parts = served(scene)
    iterator = iter(parts)
    for _ in range(taken):
        next(iterator, None)
    parts.close()
    parts.close()
    assert outcomes_of(scene) == [expected]


@pytest.mark.parametrize(("taken", "outcome"), [(3, "cancelled"), (4, "ok")])
def test_a_stream_whose_last_event_could_not_be_written_is_logged(taken: int, outcome: str) -> None:
    """Spec: PEP 3333: a server requests the next part after writing the previous one, and always calls `close`."""
    scene = Scene(halves)
    parts = served(scene)
    iterator = iter(parts)
    for _ in range(taken):
        next(iterator, None)
    parts.close()
    assert [each[0] for each in outcomes_of(scene)] == [outcome]


# Batches, and servers without threads

BATCH = [{"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": {"name": "slow"}} for n in (1, 2)]


@pytest.mark.parametrize(
    ("body", "threads", "limits"),
    [
        pytest.param(None, True, [50.0], id="single call"),
        pytest.param(BATCH, True, [0.0, 0.0], id="batch"),
        pytest.param(None, False, [0.0], id="server with one thread"),
    ],
)
def test_calls_that_would_block_others_do_not_wait(body: Any, threads: bool, limits: list[float]) -> None:
    """Ours: messages of a batch wait for each other, as do requests of a process with one thread."""
    scene = Scene(at_once)
    assert scene.post(BOTH, body=body, threads=threads).status_code == 200
    assert scene.max_waits == limits


def test_a_batch_may_be_streamed() -> None:
    """Spec: 2025-03-26, basic/transports: the responses of a batch may come in one event."""
    scene = Scene(halves)
    response = scene.post(BOTH, body=BATCH)
    assert events(response) == [b":", b":", b":", b":", [{**RESPONSE, "id": 1}, {**RESPONSE, "id": 2}]]
    assert [outcome for outcome, _, _ in scene.outcomes()] == ["ok", "ok"]


def test_a_disconnect_cancels_all_calls_of_a_batch() -> None:
    """Spec: 2026-07-28, basic/patterns/cancellation. Ours: one log record for each message."""
    scene = Scene(for_ever)
    scene.has_left = True
    assert scene.post(JSON_ONLY, body=BATCH).get_json() == [RESPONSE, {**RESPONSE, "id": 2}]
    assert [outcome for outcome, _, _ in scene.outcomes()] == ["cancelled", "cancelled"]
    assert scene.ended == ["slow", "slow"]
