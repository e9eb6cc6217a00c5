"""The conversation that every host has to carry, in both eras, over a plain HTTP client.

`converse` returns the outcome of each step: `ok`, or a few words that describe the deviation. A host whose page
documents a quirk has to produce exactly those words.

The steps cover MCP 2025-11-25 and 2026-07-28, and the README: both paths, both key headers, images as Base64.
"""

import http.client
import itertools
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from tests.support.messages import META, NOT_FOUND
from tests.support.names import TOOLS
from tests.support.pictures import picture

OK = "ok"
ERAS = ("legacy", "modern")
KEY = "sentinel-key-of-the-hosting-run"  # must not occur in any output of a host
_CALLERS = itertools.count()  # each waiting call uses a new key, because one key may take only half of the places
LARGE = 6 * 1024 * 1024  # characters of a Base64 image
TIMEOUT = 60  # seconds for one answer
WAIT = 3  # seconds that a call of the conversation waits
PUNCTUAL = 1.5  # seconds; a later event was buffered by the host
TOKEN = "hosting"  # progress token
AT_ONCE = "answered at once"

_ALLOW = "POST, OPTIONS"


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body as an object; empty if it is not a JSON object."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


class Event(NamedTuple):
    """An event and its seconds since the request. The message is None for a comment of a stream."""

    seconds: float
    message: Any


class WaitResponse(NamedTuple):
    """The answer to a waiting call: its events, or its body as the only event, and the tool's structured content."""

    media_type: str
    events: list[Event]
    job: Any


class Unexpected(Exception):
    """Indicate that a step went differently; the message describes how in a few words."""


class Secure(NamedTuple):
    """HTTPS at a loopback port: the server's name, and the context with the trusted certificates."""

    name: str
    context: ssl.SSLContext

    def connect(self, port: int, timeout: float) -> socket.socket:
        """Open a connection and verify the certificate."""
        plain = socket.create_connection(("127.0.0.1", port), timeout)
        return self.context.wrap_socket(plain, server_hostname=self.name)


class _SecureConnection(http.client.HTTPSConnection):
    """A connection to a loopback port with the `Host` of the server's name and default port."""

    def __init__(self, port: int, secure: Secure) -> None:
        super().__init__(secure.name, timeout=TIMEOUT)
        self._there, self._secure = port, secure

    def connect(self) -> None:
        self.sock = self._secure.connect(self._there, TIMEOUT)


@dataclass(slots=True)
class Talk:
    """One era's side of the conversation, on one connection that is reused while the host keeps it alive."""

    era: str
    port: int
    prefix: str = ""
    secure: Secure | None = None
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        plain = partial(http.client.HTTPConnection, "127.0.0.1", self.port, timeout=TIMEOUT)
        self.connection = _SecureConnection(self.port, self.secure) if self.secure else plain()

    def alone(self) -> "Talk":
        """Return the same on a new connection."""
        return Talk(self.era, self.port, self.prefix, self.secure)

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """Send one request; a list of bytes as the body is sent chunked."""
        with self._answering(method, path, body, headers or {}) as response:
            return Answer(response.status, response.headers, response.read())

    def ask(
        self,
        method: str,
        params: dict[str, Any],
        headers: dict[str, str] | None = None,
        path: str = "/mcp",
        split: Callable[[bytes], Iterable[bytes]] | None = None,
    ) -> Answer:
        """Send one MCP request as a client of the era does; `split` divides its body into chunks."""
        body, sent = self.write(method, params, headers)
        if split:
            sent["Transfer-Encoding"] = "chunked"
        return self.send("POST", path, list(split(body)) if split else body, sent)

    def write(
        self, method: str, params: dict[str, Any], headers: dict[str, str] | None = None
    ) -> tuple[bytes, dict[str, str]]:
        """Return the body and headers of an MCP request as a client of the era writes them."""
        sent = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **(headers or {})}
        if self.era == "modern":
            params = {**params, "_meta": {**META, **params.get("_meta", {})}}
            sent |= {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
            if method == "tools/call":
                sent["Mcp-Name"] = params["name"]
        elif method != "initialize":
            sent["MCP-Protocol-Version"] = "2025-11-25"
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        return json.dumps(message if method.startswith("notifications/") else {"id": 1, **message}).encode(), sent

    def call(self, tool: str, arguments: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
        """Call a tool and return the result; the key goes into X-API-Key unless other headers are given."""
        sent = {"X-API-Key": KEY} if headers is None else headers
        return _result(self.ask("tools/call", {"name": tool, "arguments": arguments}, sent))

    def wait(self, seconds: float, kind: str, begun: Callable[[], object] = lambda: None) -> WaitResponse:
        """Make a call that waits for a job without end. `kind` is one of `WAITS`; `begun` is called at the first event.

        Raises Unexpected if there is no answer.
        """
        events: list[Event] = []
        started = time.monotonic()
        with self._answering("POST", "/mcp", *self.write("tools/call", *waiting(seconds, kind))) as response:
            media_type = response.headers.get_content_type()
            for data in _events(response) if media_type == "text/event-stream" else [response.read()]:
                events.append(Event(time.monotonic() - started, json.loads(data) if data else None))
                if len(events) == 1:
                    begun()
        last = events[-1].message if events else None
        if response.status != 200 or not last or "result" not in last:
            raise Unexpected(f"{response.status} without a response after {len(events)} events")
        return WaitResponse(media_type, events, _succeeds(last["result"]))

    @contextmanager
    def _answering(
        self, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request and yield its unread response. Raises Unexpected if either fails."""
        try:
            # HTTP allows a host to answer and close the connection before it has read the whole request.
            with suppress(BrokenPipeError, ConnectionResetError):
                chunked = isinstance(body, list)
                self.connection.request(method, self.prefix + path, body, headers, encode_chunked=chunked)
            yield self.connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise Unexpected(f"no answer ({type(error).__name__})") from error


# For each kind of wait, the `Accept` header and whether the client asks for progress.
WAITS: dict[str, tuple[str, bool]] = {
    "progress": ("application/json, text/event-stream", True),
    "comments": ("application/json, text/event-stream", False),
    "one body": ("application/json", False),
}


def takes_stream(kind: str) -> bool:
    """Return whether a waiting call may be answered with a stream; `kind` is one of `WAITS`."""
    return "text/event-stream" in WAITS[kind][0]


def waiting(seconds: float, kind: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the parameters and headers of a waiting call; `kind` is one of `WAITS`."""
    accept, progress = WAITS[kind]
    arguments = {"task_id": "sandbox-in-progress", "wait_seconds": seconds, "frames": "none"}
    meta = {"_meta": {"progressToken": TOKEN}} if progress else {}
    headers = {"X-API-Key": f"{KEY}-{next(_CALLERS)}", "Accept": accept}
    return {"name": "query_video_status", "arguments": arguments, **meta}, headers


def _events(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the data of each event; empty for a comment or a nameless event, which strict clients drop."""
    data, named = b"", False
    while line := response.readline():
        if line == b"\n":
            yield data if named else b""
            data, named = b"", False
        elif line.startswith(b"data: "):
            data += line.removeprefix(b"data: ")
        else:
            named = named or line == b"event: message\n"


def converse(port: int, prefix: str = "", secure: Secure | None = None) -> dict[str, str]:
    """Have the conversation with the service at a loopback port, below a path prefix."""
    outcomes = {}
    for era in ERAS:
        talk = Talk(era, port, prefix, secure)
        for name, step in STEPS.items():
            try:
                step(talk)
                outcomes[f"{era} {name}"] = OK
            except Unexpected as unexpected:
                outcomes[f"{era} {name}"] = str(unexpected)
        talk.connection.close()
    return outcomes


def healthy(port: int, prefix: str = "", secure: Secure | None = None) -> bool:
    """Return whether the service answers."""
    talk = Talk("modern", port, prefix, secure)
    with suppress(Unexpected):
        return talk.send("GET", "/healthz").status == 200
    return False


def crowd(calls: int, port: int, prefix: str = "") -> float:
    """Make concurrent calls for a job that takes three seconds to answer; return the seconds that all of them took.

    Raises Unexpected if one of them fails.
    """

    def one(number: int) -> None:
        talk = Talk("modern" if number % 2 else "legacy", port, prefix)
        _succeeds(talk.call("query_video_status", {"task_id": "sandbox-slow"}))
        talk.connection.close()

    started = time.monotonic()
    with ThreadPoolExecutor(calls) as pool:
        list(pool.map(one, range(calls)))
    return time.monotonic() - started


def _result(answer: Answer) -> Any:
    if answer.status != 200 or "result" not in answer.json:
        raise Unexpected(_words(answer))
    return answer.json["result"]


def _words(answer: Answer) -> str:
    """Describe a response by its status and its error or media type."""
    error = answer.json.get("error", answer.headers.get_content_type() if answer.body else "empty")
    return f"{answer.status} {error.get('message') if isinstance(error, dict) else error}"


def _expect(right: bool, words: str) -> None:
    if not right:
        raise Unexpected(words)


def _succeeds(result: Any) -> Any:
    """Return the structured content of a tool's result. If it is an error, raise Unexpected with its first sentence."""
    if result.get("isError"):
        raise Unexpected(result["content"][0]["text"].partition(". ")[0])
    return result["structuredContent"]


def _health(talk: Talk) -> None:
    answer = talk.send("GET", "/healthz")
    _expect((answer.status, answer.json.get("sandbox")) == (200, True), _words(answer))
    unknown = talk.send("GET", "/.well-known/oauth-protected-resource/mcp")
    _expect((unknown.status, unknown.json) == (404, NOT_FOUND), _words(unknown))


def _open(talk: Talk) -> None:
    if talk.era == "modern":
        _expect("2026-07-28" in _result(talk.ask("server/discover", {}))["supportedVersions"], "not supported")
        return
    client = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "hosting", "version": "1"}}
    _expect(_result(talk.ask("initialize", client))["protocolVersion"] == "2025-11-25", "another version")
    accepted = talk.ask("notifications/initialized", {})
    _expect((accepted.status, accepted.body) == (202, b""), _words(accepted))


def _list(talk: Talk) -> None:
    _listed(talk.ask("tools/list", {}))


def _slash(talk: Talk) -> None:
    _listed(talk.ask("tools/list", {}, path="/mcp/"))


def _chunked(talk: Talk) -> None:
    alone = talk.alone()  # a host that does not read the body has to close the connection
    try:
        _listed(alone.ask("tools/list", {}, split=lambda body: (body[:7], body[7:])))
    finally:
        alone.connection.close()


def _listed(answer: Answer) -> None:
    _expect([tool["name"] for tool in _result(answer)["tools"]] == [*TOOLS], "other tools")


def _generate(talk: Talk) -> None:
    task_id = _succeeds(talk.call("gen_video", {"question": "天空为什么是蓝色的？"}))["task_id"]
    _expect(re.fullmatch(r"sandbox-\d{13}-[\w-]+", task_id) is not None, task_id)
    status = _succeeds(talk.call("query_video_status", {"task_id": task_id}))["status"]
    _expect(status == "IN_PROGRESS", status)


def _query(talk: Talk) -> None:
    _succeeds(talk.call("query_video_status", {"task_id": "sandbox-completed"}))


def _video(talk: Talk) -> None:
    """Follow the links, which point to the address at which the client reached the service.

    Some proxies do not forward the port: nginx's `$host`, used in Debian's `uwsgi_params`, omits it.
    """
    job = _succeeds(talk.call("query_video_status", {"task_id": "sandbox-completed"}))
    links = {"image/svg+xml": job["progress"][-1]["image"], "video/mp4": job["result"]["video_url"]}
    secure = talk.secure and f"https://{re.escape(talk.secure.name)}"
    there = secure or rf"http://127\.0\.0\.1(?::{talk.port})?"
    for media_type, link in links.items():
        found = re.fullmatch(rf"{there}{talk.prefix}(/sandbox/.*)", link)
        _expect(found is not None, link)
        path = found[1] if found else ""
        answer = talk.send("GET", path)
        _expect((answer.status, answer.headers.get_content_type()) == (200, media_type), _words(answer))
        if media_type == "video/mp4":
            part = talk.send("GET", path, headers={"Range": "bytes=4-11"})
            # Passenger may answer from a cache that does not support ranges, which HTTP allows.
            _expect((part.status, part.body) in ((206, answer.body[4:12]), (200, answer.body)), _words(part))


def _wait(talk: Talk) -> None:
    def one(kind: str) -> WaitResponse:
        alone = talk.alone()
        try:
            return alone.wait(WAIT, kind)
        finally:
            alone.connection.close()

    talk.connection.close()  # some hosts close an idle connection sooner
    with ThreadPoolExecutor() as pool:
        stream, plain = pool.map(one, ("progress", "one body"))
    _expect(stream.job == plain.job, "two objects")
    _expect(plain.media_type == "application/json", plain.media_type)
    if "cannot wait for the job now" in plain.job["next"]:
        _expect(stream.media_type == "application/json", stream.media_type)
        _expect(max(stream.events[-1].seconds, plain.events[-1].seconds) < PUNCTUAL, "answered late")
        raise Unexpected(AT_ONCE)
    _expect(stream.media_type == "text/event-stream", stream.media_type)
    expect_moments(stream, 0, WAIT)
    expect_moments(plain, WAIT)
    first = stream.events[0].message
    _expect((first["method"], first["params"]["progressToken"]) == ("notifications/progress", TOKEN), "no progress")


def expect_moments(waited: WaitResponse, *moments: float) -> None:
    """Expect messages at these seconds after the request, and comments at any time. Raises Unexpected."""
    seconds = [event.seconds for event in waited.events if event.message]
    right = len(seconds) == len(moments) and all(-0.5 < s - m < PUNCTUAL for s, m in zip(seconds, moments, strict=True))
    _expect(right, f"{waited.media_type} after {', '.join(f'{second:.1f}' for second in seconds)} s")


def _error(talk: Talk) -> None:
    answer = talk.ask("tools/call", {"name": "no_such_tool", "arguments": {}})
    rpc_error = answer.json.get("error", {"code": None})
    _expect((answer.status, rpc_error["code"]) == (200 if talk.era == "legacy" else 400, -32602), _words(answer))
    _fails(talk.call("query_video_status", {"task_id": "sandbox-not-found"}), "no such job")


def _no_key(talk: Talk) -> None:
    _fails(talk.call("gen_video", {"question": "1 + 1?"}, {}), "No Scenext API key was sent")


def _fails(result: Any, text: str) -> None:
    _expect(result["isError"] is True and text in result["content"][0]["text"], "not the error that was asked for")


def _method(talk: Talk) -> None:
    for method in ("GET", "DELETE"):
        answer = talk.send(method, "/mcp", headers={"Accept": "text/event-stream"})
        _expect((answer.status, answer.headers["Allow"]) == (405, _ALLOW), _words(answer))
        _expect("send each message by POST" in _words(answer), _words(answer))


def _large(talk: Talk) -> None:
    _succeeds(talk.call("gen_video", {"question_images": [picture(LARGE)]}))


def _authorization(talk: Talk) -> None:
    _succeeds(talk.call("query_video_status", {"task_id": "sandbox-completed"}, {"Authorization": f"Bearer {KEY}"}))


def _api_key(talk: Talk) -> None:
    _succeeds(talk.call("query_video_status", {"task_id": "sandbox-completed"}, {"X-API-Key": KEY}))


STEPS: dict[str, Callable[[Talk], None]] = {
    "health": _health,
    "open": _open,
    "list": _list,
    "generate": _generate,
    "query": _query,
    "video": _video,
    "wait": _wait,
    "error": _error,
    "no key": _no_key,
    "405": _method,
    "/mcp/": _slash,
    "chunked": _chunked,
    "large": _large,
    "Authorization": _authorization,
    "X-API-Key": _api_key,
}
