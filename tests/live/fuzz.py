"""Fuzz the whole WSGI application: `python -m tests.live.fuzz [seconds] [seed]`.

A third of the requests are mutated golden exchanges, a third those of a client that signs in. The others are WSGI
environments with arbitrary content. A round fails, and reports the smallest failing request found, on any of these: an
exception; a 5xx; unexpected HTML or other non-JSON; a response without its id; a header with a control character; an
API key in a response; an error in the log.

Each round has its own seed. `python -m tests.live.fuzz 1 SEED` repeats a failed round.
"""

import io
import json
import logging
import random
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlencode

import hypothesis
import orjson
from hypothesis import strategies as st

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.scenext.sandbox.adapter import Sandbox
from scenext_service.server import logs
from scenext_service.signin import SignIn
from scenext_service.signin.clients import Client
from scenext_service.tools.waiting import Clock
from tests.exchanges import FILES, load
from tests.support.messages import KEY, Lines
from tests.support.names import SUPPORTED, TOOLS
from tests.support.scripted import NOW
from tests.support.signing_in import CHALLENGE, CLAUDE, PATH, SECRET, URL, VERIFIER

SECONDS = 120.0
ROUND = 200  # requests for each seed

Application = Callable[..., Iterable[bytes]]


class Request(NamedTuple):
    """A request as a WSGI server passes it on; `environ` holds only the values that differ between requests."""

    environ: dict[str, Any]
    body: bytes


class Answer(NamedTuple):
    """A response as a WSGI server receives it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Failed(Exception):
    """A round failed; the message contains its seed."""


def exchanges() -> list[Request]:
    """Return the requests of the golden exchanges."""
    found = []
    for path in FILES:
        sent = load(path)["request"]
        environ = {"REQUEST_METHOD": sent["method"], "PATH_INFO": sent["path"]}
        environ.update({variable(name): value for name, value in sent["headers"].items()})
        found.append(Request(environ, orjson.dumps(sent["body"]) if "body" in sent else b""))
    return found


def variable(header: str) -> str:
    """Return the WSGI environment key of a header."""
    name = header.upper().replace("-", "_")
    return name if name == "CONTENT_TYPE" else f"HTTP_{name}"


GOLDEN = exchanges()
HEADERS = sorted(
    {
        *(name for golden in GOLDEN for name in golden.environ if name.startswith("HTTP_")),
        *(
            "HTTP_X_API_KEY",
            "HTTP_HOST",
            "HTTP_ORIGIN",
            "HTTP_X_REQUEST_ID",
            "HTTP_TRACEPARENT",
            "HTTP_CONTENT_ENCODING",
        ),
        *("HTTP_ACCEPT", "HTTP_TRANSFER_ENCODING", "HTTP_X_FORWARDED_FOR", "HTTP_COOKIE", "HTTP_MCP_SESSION_ID"),
        *("HTTP_ACCEPT_LANGUAGE", "HTTP_SEC_FETCH_SITE"),
        *("HTTP_RANGE", "HTTP_IF_NONE_MATCH", "HTTP_EXPECT", "HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_LAST_EVENT_ID"),
        *("HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PREFIX", "HTTP_FORWARDED"),
        *("HTTP_IF_RANGE", "CONTENT_TYPE", "CONTENT_LENGTH"),
    }
)
METHODS = (
    "initialize",
    "ping",
    "tools/list",
    "tools/call",
    "server/discover",
    "tasks/get",
    "tasks/cancel",
    "notifications/initialized",
    "logging/setLevel",
)
WORDS = (
    *(
        "application/json",
        "application/json; charset=utf-16",
        "text/html",
        "",
        " ",
        "0",
        "-1",
        "9" * 30,
        "chunked",
        "gzip",
    ),
    *(
        *SUPPORTED,
        "v999",
        "=?base64?Z2VuX3ZpZGVv?=",
        "=?base64??=",
    ),
    *(*METHODS, *TOOLS, "null", "http://localhost", "https://[", "http://127.0.0.1:x", "*"),
    *("https", "a.example:8443", "[::1]", "/sub", "host=a;proto=https", "bytes=0-1", "bytes=-9", "bytes=99999-"),
    *("Bearer", "Bearer x", "sandbox-refused-key", "YOUR_API_KEY", "a,b", "a\r\nX-Evil: 1", "\x00", "\xff", "é"),
)
# Header values and headers that contain an API key, which no response may repeat. Message bodies may be echoed.
SECRETS = (KEY, f"Bearer {KEY}", f"Basic {KEY}", f"{KEY},{KEY}", f"bearer \t{KEY}\x01", f"api_key={KEY}", f"\r\n{KEY}")
SECRET_HEADERS = ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "HTTP_COOKIE")

# A WSGI header value is a string of code points below 256.
latin = st.text(st.characters(max_codepoint=255), max_size=30)
values = st.sampled_from(WORDS) | latin
secrets = st.sampled_from(SECRETS)
texts = st.sampled_from(WORDS) | st.text(max_size=30)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 2**53, 2**63, 2**64, -(2**63) - 1, 10**400, 1e400, -0.0])
    | st.floats()
    | texts
)
jsons = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)


@st.composite
def mutated(draw: st.DrawFn) -> Request:
    """Mutate the headers, the JSON values or the raw bytes of a golden exchange."""
    environ, body = draw(st.sampled_from(GOLDEN))
    environ = dict(environ)
    for name in draw(st.lists(st.sampled_from(HEADERS), max_size=2)):
        changed = draw(st.none() | values | secrets if name in SECRET_HEADERS else st.none() | values)
        environ.pop(name, None)
        if changed is not None:
            environ[name] = changed
    if body and draw(st.booleans()):
        message = orjson.loads(body)
        for _ in range(draw(st.integers(1, 3))):
            message = _replaced(draw, message)
        body = json.dumps(message, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    elif draw(st.booleans()):
        body = _cut(draw, body)
    return Request(environ, body)


def _replaced(draw: st.DrawFn, value: Any) -> Any:
    """Return a JSON value with one part replaced, added or removed."""
    inner = isinstance(value, (dict, list)) and value and draw(st.integers(0, 4))
    if not inner:
        return draw(jsons)
    if isinstance(value, list):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], _replaced(draw, value[index]), *value[index + 1 :]]
    key = draw(st.sampled_from(sorted(value)))
    rest = {name: item for name, item in value.items() if name != key}
    if inner == 1:
        return rest
    return {**rest, (draw(texts) if inner == 2 else key): _replaced(draw, value[key])}


def _cut(draw: st.DrawFn, body: bytes) -> bytes:
    """Return bytes with a piece removed, inserted or repeated."""
    start = draw(st.integers(0, len(body)))
    end = min(len(body), start + draw(st.integers(0, 20)))
    piece = draw(
        st.binary(max_size=20) | st.just(body[start:end] * 2) | st.just(b"[" * 2000) | st.just(b'{"a":' * 2000)
    )
    return body[:start] + piece + body[end:]


@st.composite
def environs(draw: st.DrawFn) -> Request:
    """Generate an arbitrary environment that a WSGI server may pass on."""
    media = ["/sandbox/sandbox-completed/video.mp4", "/sandbox/sandbox-1795000000000/frame1.svg", "/sandbox/a/b"]
    others = ["/healthz", "/mcp//", "", "/", "/icon.svg", "/favicon.ico", "*", "/.well-known/x"]
    paths = st.sampled_from(["/mcp", "/mcp/", *media, *others])
    environ: dict[str, Any] = {
        "REQUEST_METHOD": draw(st.sampled_from(["POST", "GET", "HEAD", "OPTIONS", "TRACE", "DELETE", "post"]) | latin),
        "PATH_INFO": draw(paths | latin | secrets.map("/mcp/{}".format)),
        "SCRIPT_NAME": draw(st.sampled_from(["", "/x", "/mcp"])),
        "QUERY_STRING": draw(st.just("") | latin | secrets),
        "CONTENT_TYPE": draw(st.just("application/json") | values),
        "wsgi.input_terminated": draw(st.booleans()),
    }
    environ.update(draw(st.dictionaries(st.sampled_from(HEADERS), values, max_size=6)))
    environ.update(draw(st.dictionaries(st.sampled_from(SECRET_HEADERS), secrets, max_size=2)))
    body = draw(st.sampled_from([golden.body for golden in GOLDEN]) | st.binary(max_size=200) | jsons.map(_written))
    return Request(environ, body)


def _written(value: Any) -> bytes:
    return json.dumps(value).encode()


SIGN_IN = SignIn(URL, (SECRET,), now=lambda: NOW)
CLIENT = Client(0, "A client", (CLAUDE,)).id()
QUERY = [
    *(("client_id", CLIENT), ("redirect_uri", CLAUDE), ("response_type", "code"), ("state", "s"), ("resource", URL)),
    *(("code_challenge", CHALLENGE), ("code_challenge_method", "S256"), ("lang", "zh")),
]


def _form() -> list[tuple[str, str]]:
    """Return a token request with a new code."""
    code = SIGN_IN.issue_code(SIGN_IN.read_request(QUERY), KEY)
    return [
        *(("grant_type", "authorization_code"), ("client_id", CLIENT), ("redirect_uri", CLAUDE)),
        *(("code_verifier", VERIFIER), ("code", code)),
    ]


@cache
def _token() -> str:
    """Return the one token of all calls. Its code is not that of FORM, which a request may have used before."""
    token: str = SIGN_IN.exchange(_form(), None)["access_token"]
    return token


FORM = _form()
REGISTRATION = {"redirect_uris": [CLAUDE], "client_name": "A client", "token_endpoint_auth_method": "none"}


@st.composite
def signing_in(draw: st.DrawFn) -> Request:
    """Mutate a request of a client that signs in."""
    step = draw(st.sampled_from(["register", "authorize", "authorize", "token", "documents", "call"]))
    environ: dict[str, Any] = {"REQUEST_METHOD": "POST", "PATH_INFO": f"{PATH}/{step}"}
    body = b""
    if step == "register":
        body = _written(_replaced(draw, REGISTRATION))
    elif step == "call":
        token = _token()
        sent = draw(st.just(token) | st.sampled_from(SECRETS) | latin.map(lambda text: token[:40] + text))
        body = draw(st.sampled_from([golden.body for golden in GOLDEN]))
        environ |= {"PATH_INFO": draw(st.sampled_from([PATH, f"{PATH}/"])), "HTTP_AUTHORIZATION": f"Bearer {sent}"}
        environ |= {"CONTENT_TYPE": "application/json"}
    elif step == "documents":
        kinds = ("oauth-protected-resource", "oauth-authorization-server")
        environ |= {"PATH_INFO": f"/.well-known/{draw(st.sampled_from(kinds))}{PATH}", "REQUEST_METHOD": "GET"}
    else:
        form = QUERY if step == "authorize" else FORM
        if step == "authorize":
            environ["QUERY_STRING"] = _changed(draw, form)
            environ["HTTP_SEC_FETCH_SITE"] = draw(st.sampled_from(["same-origin", "same-origin", "cross-site"]))
            environ["REQUEST_METHOD"] = draw(st.sampled_from(["GET", "POST", "POST"]))
            form = [("key", KEY), *draw(st.sampled_from([[], [("cancel", "1")]]))]
        environ["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
        body = _changed(draw, form).encode("latin-1", "replace")
    body = _cut(draw, body) if draw(st.integers(0, 5)) == 0 else body
    environ.update(draw(st.dictionaries(st.sampled_from(HEADERS), values, max_size=2)))
    return Request(environ, body)


def _changed(draw: st.DrawFn, fields: Sequence[tuple[str, str]]) -> str:
    """Return an encoded form with some fields changed, repeated or left out, and sometimes with arbitrary text."""
    kept = [field for field in fields if draw(st.integers(0, 19))]
    more = draw(st.lists(st.tuples(st.sampled_from([*dict(fields), "x"]), values), max_size=draw(st.integers(0, 2))))
    return urlencode([*kept, *more]) + draw(st.just("") | st.just("") | st.just("&%ff=%") | latin)


requests = mutated() | environs() | signing_in()


def send(app: Application, request: Request) -> Answer:
    """Call the application as a WSGI server does."""
    environ: dict[str, Any] = {
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **request.environ,
    }
    started: list[tuple[str, list[tuple[str, str]]]] = []
    chunks = app(environ, lambda status, headers, error=None: started.append((status, headers)))
    body = b"".join(chunks)
    close = getattr(chunks, "close", None)
    if close is not None:
        close()
    (status, headers) = started[-1]
    return Answer(int(status.split(" ")[0]), headers, body)


STATUSES = (200, 201, 202, 204, 206, 302, 304, 400, 401, 403, 404, 405, 411, 413, 415, 416)
# Non-JSON responses for browsers: media type, and the bytes at the start of the body. A video may be sent in parts.
PEOPLE = {
    "text/html; charset=utf-8": b"<!doctype html>\n",
    "image/svg+xml": b"<svg ",
    "image/vnd.microsoft.icon": b"\0\0\1\0",
    "video/mp4": b"",
}
_LINK = re.compile(rb'href="\?[^"]*"')
_VISIBLE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def check(request: Request, answer: Answer) -> None:
    """Raise AssertionError if the response is one that no request may get."""
    assert answer.status in STATUSES, f"status {answer.status}"
    for name, value in answer.headers:
        assert _VISIBLE.fullmatch(name + value), f"the header {name} has a control character in it"
        # A redirect repeats the client's own state, and a link to the other language the whole query.
        assert KEY not in value or name == "Location", "a key in a header"
    assert KEY.encode() not in _LINK.sub(b"", answer.body), "a key in the answer"
    if request.environ["REQUEST_METHOD"] == "HEAD" or answer.status in (202, 204, 302, 304):
        assert answer.body == b"", "a body where none may be"
        return
    media_type = answer.header("Content-Type")
    for_people = request.environ["REQUEST_METHOD"] == "GET" or request.environ["PATH_INFO"] == f"{PATH}/authorize"
    if for_people and media_type in PEOPLE:
        assert answer.body.startswith(PEOPLE[media_type]), "a page that is none"
        return
    assert media_type == "application/json", f"a {media_type}"
    value = json.loads(answer.body)
    for message in value if isinstance(value, list) else [value]:
        _check_message(message)
    assert isinstance(value, dict) or answer.status == 200, "a refusal that is an array"


def _check_message(message: Any) -> None:
    """Check that a body is a JSON-RPC message, an HTTP error or the response of /healthz."""
    if "jsonrpc" not in message:
        known: tuple[set[str], ...] = ({"error"}, {"error", "message"}, {"status", "version", "sandbox"})
        oauth = [{"error", "error_description"}, {"access_token", "token_type", "expires_in", "scope"}]
        documents = (SIGN_IN.address.resource_document(), SIGN_IN.address.server_document())
        assert message in documents or "client_id" in message or set(message) in [*known, *oauth], f"{sorted(message)}"
        assert isinstance(message.get("error", ""), str), "a refusal that is no word"
        return
    assert message["jsonrpc"] == "2.0", "no JSON-RPC 2.0"
    assert set(message) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"}), f"a message of {sorted(message)}"
    assert message["id"] is None or type(message["id"]) in (str, int), "an id that is none"
    assert "error" in message or message["id"] is not None, "a result without an id"
    if "error" in message:
        assert message["error"]["code"] != -32603, "an internal error"


@contextmanager
def listening() -> Iterator[list[str]]:
    """Collect the log lines of the application instead of printing them."""
    logger = logging.getLogger(logs.ROOT)
    shown = logger.handlers
    collected = Lines()
    logger.handlers = [collected]
    try:
        yield collected.lines
    finally:
        logger.handlers = shown


def one(app: Application, request: Request, lines: list[str]) -> Answer:
    """Send one request, and check its response and its log lines."""
    lines.clear()
    answer = send(app, request)
    check(request, answer)
    for line in lines:
        assert " level=error " not in line[:60], f"an error in the log: {line[-500:]}"
        assert line.isprintable(), "a control character in the log"
        assert KEY not in line, "a key in the log"
    return answer


def run(app: Application, seconds: float, seed: int) -> int:
    """Send requests for the given number of seconds; return how many were sent. Raise Failed if a round fails."""
    end = time.monotonic() + seconds
    sent = 0
    with listening() as lines:
        while time.monotonic() < end:

            @hypothesis.seed(seed)
            @hypothesis.settings(
                max_examples=ROUND,
                database=None,
                deadline=None,
                suppress_health_check=list(hypothesis.HealthCheck),
                phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
            )
            @hypothesis.given(requests)
            def a_round(request: Request) -> None:
                nonlocal sent
                sent += 1
                one(app, request, lines)

            try:
                a_round()
            except Exception as error:
                raise Failed(f"seed {seed}, after {sent} requests") from error
            seed += 1
    return sent


def main(arguments: list[str]) -> int:
    """Fuzz the application in sandbox mode; return the exit status."""
    seconds = float(arguments[0]) if arguments else SECONDS
    seed = int(arguments[1]) if len(arguments) > 1 else random.SystemRandom().randrange(10**6) * 1000
    config = Config(sandbox=True, oauth_url=URL, oauth_secret=(SECRET,))
    clock = Clock(unix=lambda: NOW)  # that of the codes and tokens above
    app = create_app(config, Sandbox(clock=lambda: NOW, sleep=lambda _: None), clock)
    started = time.monotonic()
    try:
        sent = run(app, seconds, seed)
    except Failed as failed:
        sys.excepthook(type(failed), failed, failed.__traceback__)
        seed = int(str(failed).split(",")[0].split()[1])
        sys.stdout.write(f"fuzz: 1 failure, {failed}; repeat it with: python -m tests.live.fuzz 1 {seed}\n")
        return 1
    sys.stdout.write(f"fuzz: {sent} requests, 0 failures (seed {seed}, {time.monotonic() - started:.0f} s)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
