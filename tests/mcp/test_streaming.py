"""A tool that takes its time, over HTTP: a stream for those who take one, one body for the others, an end for all."""

import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from werkzeug.test import EnvironBuilder, TestResponse

from scenext_service.mcp import (
    Call,
    Origins,
    Record,
    Registry,
    Server,
    Steps,
    Tool,
    ToolError,
    ToolResult,
    create_blueprint,
)
from scenext_service.mcp.streaming import SILENCE
from scenext_service.serving.application import Service
from tests.support.messages import META

BOTH = {"Accept": "application/json, text/event-stream"}
JSON_ONLY = {"Accept": "application/json"}
CONTENT: list[dict[str, Any]] = [{"type": "text", "text": "done"}]
RESPONSE = {"jsonrpc": "2.0", "id": 1, "result": {"content": CONTENT, "isError": False}}


class Scene:
    """A server with one tool, `slow`, which does what a test says. `closed` tells whether its steps came to an end."""

    def __init__(self, script: Callable[[Call], Steps[ToolResult]], patience: float = 50.0) -> None:
        self.ended: list[str] = []
        self.records: list[Record] = []
        self.gone = False
        self.patience: list[float] = []

        def slow(arguments: dict[str, Any], call: Call) -> Steps[ToolResult]:
            self.patience.append(call.patience)
            try:
                return (yield from script(call))
            finally:
                self.ended.append("slow")

        plain = Tool("plain", "Plain", "Answers.", {"type": "object"}, lambda arguments, call: ToolResult([]))
        tools = Registry([Tool("slow", "Slow", "Takes time.", {"type": "object"}, slow), plain])
        server = Server({"name": "example", "version": "1.0.0"}, "", tools)
        self.app = Service("example")
        self.app.register_blueprint(
            create_blueprint(server, Origins(), 10_000, self.records.append, patience, lambda environ: self.gone)
        )

    def post(
        self, headers: dict[str, str], token: Any = None, era: str = "legacy", body: Any = None, threads: bool = True
    ) -> TestResponse:
        """Call `slow`, of a server with threads; or post another body."""
        meta = {} if token is None else {"progressToken": token}
        params: dict[str, Any] = {"name": "slow", "_meta": meta}
        if era == "modern":
            params["_meta"] = {**META, **meta}
            named = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "slow"}
            headers = {**headers, **named}
        message = body or {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        content = {"data": orjson.dumps(message), "content_type": "application/json"}
        environ = {"wsgi.multithread": threads}
        return self.app.test_client().post("/mcp", headers=headers, environ_overrides=environ, **content)

    def outcomes(self) -> list[tuple[Any, ...]]:
        return [(record.outcome, record.status, record.bytes) for record in self.records]


def halves(call: Call) -> Steps[ToolResult]:
    """Tell of the beginning and of the middle."""
    yield call.progress(0, "begun", 2)
    yield None
    yield call.progress(1, "half", 2)
    return ToolResult(CONTENT)


def events(response: TestResponse) -> list[Any]:
    """Return the events of a stream, a comment as its bytes; and close it, as a server does."""
    assert response.status_code == 200
    parts = response.get_data().split(b"\n\n")
    response.close()
    assert parts.pop() == b""
    return [orjson.loads(part[6:]) if part.startswith(b"data: ") else part for part in parts]


def notification(progress: int, message: str, token: Any = "t") -> dict[str, Any]:  # noqa: S107
    params = {"progressToken": token, "progress": progress, "message": message, "total": 2}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}


@pytest.mark.parametrize("token", ["t", 7, 0, ""])
def test_a_caller_who_asks_for_progress_sees_it_before_the_answer(token: str | int) -> None:
    """Spec: 2026-07-28, basic/transports/streamable-http "Receiving Messages"; basic/patterns/progress."""
    scene = Scene(halves)
    response = scene.post(BOTH, token)
    assert events(response) == [notification(0, "begun", token), notification(1, "half", token), RESPONSE]
    assert scene.outcomes() == [("ok", 200, len(response.get_data()))]
    assert scene.ended == ["slow"]


def test_a_modern_answer_in_a_stream_has_its_stamp() -> None:
    """Spec: 2026-07-28, basic/index "_meta": of every result; notifications have none."""
    response = Scene(halves).post(BOTH, "t", "modern")
    first, second, last = events(response)
    assert (first, second) == (notification(0, "begun"), notification(1, "half"))
    assert (last["id"], last["result"]["resultType"], last["result"]["content"]) == (1, "complete", CONTENT)


@pytest.mark.parametrize("token", [None, True, 1.5, [1], {"a": 1}])
def test_without_a_token_comments_keep_the_stream_open(token: Any) -> None:
    """Spec: 2026-07-28, basic/transports/streamable-http: a comment as a keep-alive. A token is a string or integer."""
    assert events(Scene(halves).post(BOTH, token)) == [b":", b":", RESPONSE]


def silent(call: Call) -> Steps[ToolResult]:
    """Say nothing for a little longer than a stream may be silent, after a first word."""
    yield call.progress(0, "begun", 2)
    end = time.monotonic() + SILENCE + 0.5
    while time.monotonic() < end:
        time.sleep(0.1)
        yield None
    return ToolResult(CONTENT)


@pytest.mark.parametrize(("token", "first"), [("t", notification(0, "begun")), (None, b":")], ids=["token", "none"])
def test_no_silence_of_a_stream_is_long(token: str | None, first: Any) -> None:
    """Spec: 2026-07-28, basic/transports/streamable-http: a comment as a keep-alive. Ours: httpx gives up after 5 s."""
    assert SILENCE < 5
    assert events(Scene(silent).post(BOTH, token)) == [first, b":", RESPONSE]


def test_the_headers_of_a_stream_keep_it_from_being_held_back() -> None:
    """Spec: 2026-07-28, basic/transports/streamable-http: `X-Accel-Buffering`; no ids, because nothing is resumed."""
    response = Scene(halves).post({**BOTH, "X-Request-ID": "me-1", "Origin": "http://localhost:1234"}, "t")
    assert response.content_type == "text/event-stream"
    assert (response.headers["X-Accel-Buffering"], response.headers["Cache-Control"]) == ("no", "no-cache")
    assert (response.headers["X-Request-ID"], "Content-Length" in response.headers) == ("me-1", False)
    assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:1234"
    assert b"id:" not in response.get_data()


@pytest.mark.parametrize("token", [None, "t"])
def test_a_caller_who_takes_no_stream_gets_one_body(token: str | None) -> None:
    """Spec: 2026-07-28, basic/transports/streamable-http: a single JSON object. Ours: for who accepts only that."""
    scene = Scene(halves)
    response = scene.post(JSON_ONLY, token)
    assert (response.status_code, response.content_type, response.get_json()) == (200, "application/json", RESPONSE)
    assert response.headers["Content-Length"] == str(len(response.get_data()))
    assert scene.outcomes() == [("ok", 200, len(response.get_data()))]


def at_once(call: Call) -> Steps[ToolResult]:
    """Have nothing to wait for."""
    yield from ()
    return ToolResult(CONTENT)


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_what_has_nothing_to_wait_for_is_plain_json(era: str) -> None:
    """Ours: a stream is for who has to wait; errors keep their status."""
    scene = Scene(at_once)
    assert scene.post(BOTH, "t", era).get_json()["result"]["content"] == CONTENT
    unknown = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "none", "_meta": META}}
    named = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "none"}
    response = scene.post({**BOTH, **named}, body=unknown)
    assert (response.status_code, response.get_json()["error"]["code"]) == (400, -32602)


def failing(error: Exception) -> Callable[[Call], Steps[ToolResult]]:
    """Fail half-way."""

    def script(call: Call) -> Steps[ToolResult]:
        yield call.progress(0, "begun", 2)
        raise error

    return script


def unwritable(call: Call) -> Steps[ToolResult]:
    """Return what is no JSON, half-way."""
    yield call.progress(0, "begun", 2)
    return ToolResult([{"type": object()}])


@pytest.mark.parametrize(
    ("script", "outcome", "said"),
    [
        pytest.param(failing(ToolError("no / 不")), "tool_error", "no / 不", id="tool"),
        pytest.param(failing(RuntimeError("sentinel")), "internal_error", "This server failed", id="bug"),
        pytest.param(unwritable, -32603, "Internal error", id="unwritable"),
    ],
)
@pytest.mark.parametrize("accept", [BOTH, JSON_ONLY], ids=["stream", "json"])
def test_a_failure_after_the_first_step_is_the_answer_all_the_same(
    lines: list[str], script: Callable[[Call], Steps[ToolResult]], outcome: str | int, said: str, accept: dict[str, str]
) -> None:
    """Ours: the status of a stream is sent already; the answer and the log line say what came of it."""
    scene = Scene(script)
    response = scene.post(accept, "t")
    answer = events(response)[-1] if accept is BOTH else response.get_json()
    assert (answer["id"], said in str(answer), "sentinel" in str(answer)) == (1, True, False)
    assert scene.outcomes() == [(outcome, 200, len(response.get_data()))]
    assert scene.ended == ["slow"]


# Who leaves


def for_ever(call: Call) -> Steps[ToolResult]:
    """Take steps without an end."""
    step = 0
    while not (yield call.progress(step, "waiting", 2)):
        step += 1
    return ToolResult(CONTENT)


def test_who_left_before_the_first_event_gets_none() -> None:
    """Spec: 2026-07-28, basic/patterns/cancellation: "The server MUST treat a client disconnect as cancellation"."""
    scene = Scene(for_ever)
    scene.gone = True
    assert events(scene.post(BOTH, "t")) == []
    assert (scene.outcomes(), scene.ended) == ([("cancelled", 200, 0)], ["slow"])


def test_who_takes_no_stream_and_left_is_not_answered() -> None:
    """Ours: as nginx does, the log shows 499."""
    scene = Scene(for_ever)
    scene.gone = True
    response = scene.post(JSON_ONLY, "t")
    assert (response.status_code, response.get_data()) == (499, b"")
    assert (scene.outcomes(), scene.ended) == ([("cancelled", 499, 0)], ["slow"])


@pytest.mark.parametrize("sent", [0, 1, 3])
def test_a_server_that_closes_the_stream_ends_the_call(sent: int) -> None:
    """Spec: PEP 3333, "close": whatever became of the client, also where nothing was sent yet."""
    scene = Scene(for_ever)
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "slow", "_meta": {}}}
    builder = EnvironBuilder("/mcp", method="POST", json=message, headers=[*BOTH.items()], multithread=True)
    stream: Any = scene.app(builder.get_environ(), lambda status, headers, exc_info=None: None)
    taken = [event for event, _ in zip(stream, range(sent), strict=False)]
    assert scene.ended == []
    stream.close()
    assert (taken[:1], scene.ended) == ([b":\n\n"] * min(sent, 1), ["slow"])
    assert [(record.outcome, record.status) for record in scene.records] == [("cancelled", 200)]
    assert scene.records[0].bytes is not None
    assert scene.records[0].bytes >= 3 * sent


# Batches, and servers without threads

BATCH = [{"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": {"name": "slow"}} for n in (1, 2)]


@pytest.mark.parametrize(
    ("body", "threads", "patience"),
    [
        pytest.param(None, True, [50.0], id="by itself"),
        pytest.param(BATCH, True, [0.0, 0.0], id="in a batch"),
        pytest.param(None, False, [0.0], id="of a server with one thread"),
    ],
)
def test_who_would_hold_others_up_is_not_to_be_kept(body: Any, threads: bool, patience: list[float]) -> None:
    """Ours: the messages of a batch wait for each other, the requests of a process with one thread too."""
    scene = Scene(at_once)
    assert scene.post(BOTH, body=body, threads=threads).status_code == 200
    assert scene.patience == patience


def test_a_batch_may_be_a_stream_too() -> None:
    """Spec: 2025-03-26, basic/transports: the responses of a batch may come in one event."""
    scene = Scene(halves)
    response = scene.post(BOTH, body=BATCH)
    assert events(response) == [b":", b":", b":", b":", [{**RESPONSE, "id": 1}, {**RESPONSE, "id": 2}]]
    assert [outcome for outcome, _, _ in scene.outcomes()] == ["ok", "ok"]


def test_who_leaves_a_batch_leaves_all_of_it() -> None:
    """Spec: 2026-07-28, basic/patterns/cancellation. Ours: one line for each message, as ever."""
    scene = Scene(for_ever)
    scene.gone = True
    assert scene.post(JSON_ONLY, body=BATCH).get_data() == b""
    assert [outcome for outcome, _, _ in scene.outcomes()] == ["cancelled", "cancelled"]
    assert scene.ended == ["slow", "slow"]
