"""Clients that violate HTTP: raw sockets against a real gunicorn, with a Scenext behind it that records requests.

Whatever a client sends, it gets JSON or nothing, never a 5xx, within bounded time and without an API key. `gen_video`
reaches Scenext once if the request was valid, otherwise not at all.
"""

import gzip
import io
import json
import re
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient
from gunicorn.http import errors

from scenext_service.server.gunicorn import connections
from scenext_service.server.gunicorn.connections import RequestTimeout
from scenext_service.server.gunicorn.worker import Worker
from tests.conftest import connected
from tests.support.messages import BEARER, KEY
from tests.support.server import Server, receive, running
from tests.support.upstream import MIB, Upstream

TIMEOUT = 20.0  # seconds to the last byte of a response, generous because the machine may be busy with other work
PROMPT = 8.0  # seconds for responses that wait for no other client; each such wait would take 2 s
LIMIT = 8 * MIB  # bytes of a body

GEN = b'{"jsonrpc":"2.0","id":"g","method":"tools/call","params":{"name":"gen_video","arguments":{"question":"1+1?"}}}'
PING = b'{"jsonrpc":"2.0","id":"p","method":"ping"}'
PONG = {"jsonrpc": "2.0", "id": "p", "result": {}}
CHUNKED = "Transfer-Encoding: chunked"
CLOSE = "Connection: close"


class Answer(NamedTuple):
    """An HTTP response: its status, and its body as JSON, or None if it is empty."""

    status: int
    body: Any

    @property
    def error(self) -> Any:
        """The word of an HTTP error, the code of a JSON-RPC error, or None."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        return error["code"] if isinstance(error, dict) else error


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    """Return a raw request with a key and the given headers; it has no Content-Length of its own."""
    lines = [line, "Host: 127.0.0.1", "Content-Type: application/json", f"Authorization: Bearer {KEY}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def post(body: bytes, *headers: str, line: str = "POST /mcp HTTP/1.1") -> bytes:
    """Return a request with a body and its correct Content-Length."""
    return request(line, *headers, f"Content-Length: {len(body)}", body=body)


def gen(*headers: str, line: str = "POST /mcp HTTP/1.1") -> bytes:
    """Return a valid call of gen_video, apart from the given headers and request line."""
    return post(GEN, *headers, line=line)


def framed(*headers: str, body: bytes = GEN) -> bytes:
    """Return a call of gen_video; the given headers define the framing of its body."""
    return request("POST /mcp HTTP/1.1", *headers, body=body)


def chunks(*parts: bytes, last: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + last


def parsed(received: bytes, *, head: bool = False) -> list[Answer]:
    """Split the bytes that a server sent into responses. Fail unless each is a response of this service."""
    assert KEY.encode() not in received
    assert b"<" not in received.split(b"\r\n\r\n")[-1]  # HTML
    answers = []
    while received:
        top, blank, rest = received.partition(b"\r\n\r\n")
        first, *lines = top.decode("latin-1").split("\r\n")
        status = re.fullmatch(r"HTTP/1\.[019] ([1-4]\d\d) [A-Za-z ]+", first)
        assert blank
        assert status, first
        received = rest
        if status[1] == "100":
            continue
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = 0 if head else int(headers["content-length"])
        body, received = rest[:length], rest[length:]
        assert len(body) == length
        assert length == 0 or headers["content-type"] == "application/json"
        answers.append(Answer(int(status[1]), json.loads(body) if body else None))
    return answers


def read(connection: socket.socket) -> bytes:
    """Read until the server closes."""
    connection.settimeout(TIMEOUT)
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def talk(server: Server, raw: bytes) -> bytes:
    """Send bytes, close for writing, and return everything that the server sends."""
    with server.connect() as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # rejected before the end
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
        return read(connection)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """Run a Scenext that records requests, and that can hold its responses."""
    with Upstream() as started:
        started.let_go.set()
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Server]:
    """Run one server for the module, connected to the upstream instead of the sandbox."""
    with running(tmp_path_factory.mktemp("hostile"), upstream.environ("hold")) as started:
        yield started


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Limit the duration of every test."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < TIMEOUT


SOUND = [
    pytest.param(gen(), id="plain"),
    pytest.param(gen(line="POST /mcp HTTP/1.0"), id="HTTP-1.0"),
    pytest.param(gen(line="POST /mcp HTTP/1.9"), id="HTTP-1.9"),
    pytest.param(gen(line="POST http://elsewhere.example/mcp HTTP/1.1"), id="absolute-form"),
    pytest.param(gen(line="POST //mcp HTTP/1.1"), id="two-leading-slashes"),
    pytest.param(gen(line="POST /%6dcp HTTP/1.1"), id="percent-encoded-letter"),
    pytest.param(gen(line="POST /mcp%2f HTTP/1.1"), id="percent-encoded-slash"),
    pytest.param(gen(line=f"POST /mcp?key={KEY}&api_key={KEY} HTTP/1.1"), id="key-in-the-query"),
    pytest.param(gen(line="POST /mcp?" + "a" * 4000 + " HTTP/1.1"), id="long-query"),
    pytest.param(gen().replace(b"Host: 127.0.0.1\r\n", b""), id="no-Host"),
    pytest.param(gen().replace(b"Host: 127.0.0.1", b"Host: a b@[c:99999"), id="invalid-Host"),
    pytest.param(gen().replace(b"Host: 127.0.0.1", b"Host: " + b"a" * 300 + b"\xff"), id="long-Host"),
    pytest.param(gen("X_API_KEY: another", "AUTHORIZATION_: another"), id="underscores-in-names"),
    pytest.param(gen("SCRIPT_NAME: /mcp", "PATH_INFO: /healthz"), id="WSGI-variables-as-headers"),
    pytest.param(gen("X-Forwarded-Proto: https", "X-Forwarded-Ssl: off"), id="contradictory-schemes"),
    pytest.param(gen("X-Blank:", "X-Obs: \xe9\xff", 'X-Quote: "\\'), id="odd-values"),
    pytest.param(gen(*["X-Many: x"] * 56), id="many-headers"),
    pytest.param(gen("X-Long: " + "x" * 8000), id="long-header"),
    pytest.param(gen("Expect: 100-continue"), id="expect-continue"),
    pytest.param(
        gen("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Connection: Upgrade"), id="upgrade-to-HTTP-2"
    ),
    pytest.param(b"\r\n" + gen(), id="leading-empty-line"),
    pytest.param(framed(CHUNKED, body=chunks(*(bytes([byte]) for byte in GEN))), id="chunks-of-one-byte"),
    pytest.param(framed("Transfer-Encoding: Chunked", body=chunks(GEN)), id="capitalized-chunked"),
    pytest.param(
        framed(CHUNKED, body=b'%x ; a="b;\\"" ;c\r\n%b\r\n0;d\r\nX-Sum: 1\r\n\r\n' % (len(GEN), GEN)),
        id="extensions-and-trailer",
    ),
    pytest.param(framed(CHUNKED, body=b"000%X\r\n%b\r\n000\r\n\r\n" % (len(GEN), GEN)), id="sizes-with-leading-zeros"),
]


@pytest.mark.parametrize("raw", SOUND)
def test_an_unusual_but_valid_request_is_served_once(server: Server, upstream: Upstream, raw: bytes) -> None:
    """Spec: RFC 9112, sections 2.2, 3.2 and 7.1; RFC 9110, sections 5.5 and 10.1.1."""
    before = len(upstream.requests)
    answers = parsed(talk(server, raw))
    assert [(answer.status, answer.body["id"], answer.error) for answer in answers] == [(200, "g", None)]
    assert answers[0].body["result"]["isError"] is False
    sent = upstream.requests[before:]
    assert [(one.target, one.headers["authorization"]) for one in sent] == [("/hold/gen_video", f"Bearer {KEY}")]


NO_REQUEST = [
    pytest.param(b"\r\n\r\n", 400, id="only-line-ends"),
    pytest.param(bytes(range(256)) * 4, 400, id="all-byte-values"),
    pytest.param(b"GET /mcp\r\n\r\n", 400, id="HTTP-0.9"),
    pytest.param(f"POST /mcp?key={KEY}\r\n\r\n".encode(), 400, id="key-without-version"),
    pytest.param(gen().replace(b"\r\n", b"\n"), 400, id="bare-LF"),
    pytest.param(gen().replace(b"\r\n", b"\r"), None, id="bare-CR"),
    pytest.param(b" " + gen(), 400, id="leading-space"),
    pytest.param(gen(line="POST  /mcp HTTP/1.1"), 400, id="two-spaces"),
    pytest.param(gen(line="POST\t/mcp\tHTTP/1.1"), 400, id="tabs"),
    pytest.param(gen(line="POST /mcp HTTP/1.1 more"), 400, id="four-words"),
    pytest.param(gen(line="POST /m cp HTTP/1.1"), 400, id="space-in-the-target"),
    pytest.param(gen(line="POST /m\x00cp HTTP/1.1"), 400, id="NUL-in-the-target"),
    pytest.param(gen(line="POST /m\xe9cp HTTP/1.1"), 400, id="unencoded-target"),
    pytest.param(gen(line="POST mcp HTTP/1.1"), 400, id="target-without-slash"),
    pytest.param(gen(line="POST * HTTP/1.1"), 400, id="POST-with-asterisk-form"),
    pytest.param(gen(line="POST http://[x/mcp HTTP/1.1"), 400, id="broken-IPv6"),
    pytest.param(gen(line="post /mcp HTTP/1.1"), 400, id="lower-case-method"),
    pytest.param(gen(line=f"{KEY} /mcp HTTP/1.1"), 400, id="key-as-method"),
    pytest.param(gen(line="P(ST /mcp HTTP/1.1"), 400, id="method-with-a-parenthesis"),
    pytest.param(gen(line="POST /mcp HTTP/2.0"), 400, id="HTTP-2.0-in-the-request-line"),
    pytest.param(gen(line="POST /mcp HTTP/1.10"), 400, id="HTTP-1.10"),
    pytest.param(gen(line="POST /mcp http/1.1"), 400, id="lower-case-version"),
    pytest.param(gen(line=f"POST /mcp HTTP/{KEY}"), 400, id="key-as-version"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP-2-preface"),
    pytest.param(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + gen(), 400, id="PROXY-protocol"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", None, id="TLS"),
    pytest.param(b"", None, id="no-bytes"),
    pytest.param(b"POST /mcp HTT", None, id="truncated-request-line"),
    pytest.param(gen()[:60], None, id="truncated-header"),
    pytest.param(gen(line="POST /mcp?" + "a" * 9000 + " HTTP/1.1"), 414, id="too-long-target"),
    pytest.param(gen("X-Long: " + "x" * 9000), 431, id="too-long-header"),
    pytest.param(gen(*["X-Many: x"] * 200), 431, id="too-many-headers"),
    pytest.param(gen("X-Fold: a", " b"), 400, id="folded-header"),
    pytest.param(gen("X-API-Key:", f"\t{KEY}"), 400, id="folded-key"),
    pytest.param(gen(f"X-API-Key : {KEY}"), 400, id="space-after-a-name"),
    pytest.param(gen(KEY), 400, id="key-without-a-name"),
    pytest.param(gen(f"{KEY}\xff: 1"), 400, id="key-as-an-invalid-name"),
    pytest.param(gen(f": {KEY}"), 400, id="empty-name"),
    pytest.param(gen(f"X-API-Key: {KEY}\x00"), 400, id="NUL-in-a-value"),
    pytest.param(gen(f"X-API-Key: {KEY}\rX: 1"), 400, id="CR-in-a-value"),
    pytest.param(gen(f"X-API-Key: {KEY}\x7f"), 400, id="DEL-in-a-value"),
    pytest.param(gen("Host: elsewhere.example"), 400, id="two-Hosts"),
    pytest.param(gen("Content-Type: application/json"), 400, id="two-Content-Types"),
    pytest.param(gen(f"Expect: {KEY}"), 417, id="unknown-expectation"),
    pytest.param(gen(f"Content-Length: {len(GEN)}"), 400, id="two-equal-lengths"),
    pytest.param(gen("Content-Length: 0"), 400, id="two-lengths"),
    pytest.param(gen(CHUNKED), 400, id="length-and-chunked"),
    *(
        pytest.param(framed(f"Content-Length: {length}"), 400, id=f"length-{name}")
        for name, length in {
            "negative": "-1",
            "signed": f"+{len(GEN)}",
            "hexadecimal": f"0x{len(GEN):x}",
            "list": f"{len(GEN)}, {len(GEN)}",
            "fraction": f"{len(GEN)}.0",
            "underscore": "1_1",
            "superscript": "\xb2",
            "empty": "",
            "key": KEY,
            "5000-digits": "9" * 5000,
        }.items()
    ),
    *(
        pytest.param(framed(f"Transfer-Encoding: {coding}", body=chunks(GEN)), 400, id=f"coding-{name}")
        for name, coding in {
            "unknown": "zork",
            "key": KEY,
            "almost-chunked": "xchunked",
            "identity": "identity",
            "gzip": "gzip",
            "twice": "chunked, chunked",
            "not-last": "chunked, gzip",
            "control": "\x0bchunked",
            "empty": "",
        }.items()
    ),
    pytest.param(framed(CHUNKED, CHUNKED, body=chunks(GEN)), 400, id="coding-in-two-headers"),
    pytest.param(request("POST /mcp HTTP/1.0", CHUNKED, body=chunks(GEN)), 400, id="chunked-in-HTTP-1.0"),
]
WORDS = {400: "bad_request", 414: "uri_too_long", 417: "expectation_failed", 431: "request_header_fields_too_large"}


@pytest.mark.parametrize(("raw", "status"), NO_REQUEST)
def test_an_invalid_http_request_gets_a_json_error_and_is_closed(
    server: Server, upstream: Upstream, raw: bytes, status: int | None
) -> None:
    """Spec: RFC 9112, sections 2.2, 3, 5 and 6.3. Ours: in JSON; gunicorn sends HTML, and a 5xx for some of them."""
    before = len(upstream.requests)
    # The following request must not be served, because the end of a request with invalid framing is unknown.
    after = gen() if status else b""
    expected = [Answer(status, {"error": WORDS[status]})] if status else []
    assert parsed(talk(server, raw + after)) == expected
    assert len(upstream.requests) == before


CUT = -32700
REFUSED = [
    pytest.param(gen(line="POST /mcp// HTTP/1.1"), 404, "not_found", id="two-trailing-slashes"),
    pytest.param(gen(line="POST /./mcp HTTP/1.1"), 404, "not_found", id="dot-segment"),
    pytest.param(gen(line="POST /x/../mcp HTTP/1.1"), 404, "not_found", id="double-dot-segment"),
    pytest.param(gen(line="POST /mcp;v=1 HTTP/1.1"), 404, "not_found", id="path-parameter"),
    pytest.param(gen(line="POST /MCP HTTP/1.1"), 404, "not_found", id="capitals"),
    pytest.param(gen(line="POST /mcp%00 HTTP/1.1"), 404, "not_found", id="encoded-NUL"),
    pytest.param(gen(line="POST /mcp%0d%0aX:1 HTTP/1.1"), 404, "not_found", id="encoded-line-end"),
    pytest.param(gen(line="POST /%ff%fe HTTP/1.1"), 404, "not_found", id="encoded-non-UTF-8"),
    pytest.param(gen(line="POST /%zz% HTTP/1.1"), 404, "not_found", id="broken-percent-encoding"),
    pytest.param(gen(line=f"POST /mcp/{KEY} HTTP/1.1"), 404, "not_found", id="key-in-the-path"),
    pytest.param(gen("SCRIPT_NAME: /x", line="POST /x/mcp HTTP/1.1"), 404, "not_found", id="SCRIPT_NAME-as-header"),
    pytest.param(gen(line="CONNECT 127.0.0.1:1 HTTP/1.1"), 404, "not_found", id="CONNECT"),
    pytest.param(gen(line="OPTIONS * HTTP/1.1"), 404, "not_found", id="OPTIONS-with-asterisk-form"),
    pytest.param(gen(line="POST /healthz HTTP/1.1"), 405, "method_not_allowed", id="POST-to-healthz"),
    pytest.param(gen(line="TRACE /mcp HTTP/1.1"), 405, -32600, id="TRACE"),
    pytest.param(gen(line="DELETE /mcp HTTP/1.1"), 405, -32600, id="DELETE"),
    pytest.param(
        gen(line="X-~!# /mcp HTTP/1.1".replace("#", "")), 405, "method_not_allowed", id="punctuation-as-method"
    ),
    pytest.param(gen("Content-Encoding: gzip"), 415, -32600, id="content-encoding"),
    pytest.param(framed(f"Content-Length: {LIMIT + 1}"), 413, -32600, id="Content-Length-over-the-limit"),
    pytest.param(framed(f"Content-Length: {'9' * 30}"), 413, -32600, id="Content-Length-of-30-digits"),
    pytest.param(framed(), 400, CUT, id="no-length"),
    pytest.param(framed(f"Content-Length: {len(GEN) + 1}"), 400, CUT, id="truncated-after-the-message"),
    pytest.param(framed(f"Content-Length: {len(GEN)}", body=GEN[:-1]), 400, CUT, id="truncated-within-the-message"),
    pytest.param(framed("Content-Length: 5", body=b""), 400, CUT, id="truncated-before-the-body"),
    pytest.param(framed(f"Content-Length: {len(GEN) - 1}", CLOSE), 400, CUT, id="longer-than-Content-Length"),
    *(
        pytest.param(framed(CHUNKED, body=body), 400, CUT, id=f"chunks-{name}")
        for name, body in {
            "size-negative": b"-1\r\n" + chunks(GEN),
            "size-signed": b"+%x\r\n%b\r\n0\r\n\r\n" % (len(GEN), GEN),
            "size-0x": b"0x%x\r\n%b\r\n0\r\n\r\n" % (len(GEN), GEN),
            "size-underscore": b"1_0\r\n" + chunks(GEN),
            "size-empty": b"\r\n" + chunks(GEN),
            "size-blank": b" %x\r\n%b\r\n0\r\n\r\n" % (len(GEN), GEN),
            "size-not-ASCII": "\u0661\r\n".encode() + chunks(GEN),
            "size-huge": b"f" * 40 + b"\r\n" + GEN,
            "size-beyond-64-bits": b"1" + b"0" * 16 + b"\r\n" + GEN,
            "size-is-a-key": KEY.encode() + b"\r\n" + chunks(GEN),
            "size-endless": b"0" * 10_000,
            "size-too-small": b"%x\r\n%b\r\n0\r\n\r\n" % (len(GEN) - 1, GEN),
            "size-too-large": b"%x\r\n%b\r\n0\r\n\r\n" % (len(GEN) + 1, GEN),
            "extension-NUL": b"%x;a=\x00\r\n%b\r\n0\r\n\r\n" % (len(GEN), GEN),
            "extension-CR": b"%x;a=\rb\r\n%b\r\n0\r\n\r\n" % (len(GEN), GEN),
            "extension-endless": b"%x;a=%b" % (len(GEN), b"b" * 10_000),
            "bare-LF": chunks(GEN).replace(b"\r\n", b"\n"),
            "no-line-end-after-data": b"%x\r\n%b0\r\n\r\n" % (len(GEN), GEN),
            "trailer-forbidden": chunks(GEN, last=f"0\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()),
            "trailer-without-colon": chunks(GEN, last=f"0\r\n{KEY}\r\n\r\n".encode()),
            "trailer-folded": chunks(GEN, last=b"0\r\nX: 1\r\n 2\r\n\r\n"),
            "trailer-endless": chunks(GEN, last=b"0\r\n" + b"X: 1\r\n" * 200_000),
            "cut-in-the-size": b"%x" % len(GEN),
            "cut-in-the-data": chunks(GEN)[:50],
            "cut-after-the-data": chunks(GEN, last=b""),
            "cut-before-the-last-line": chunks(GEN, last=b"0\r\n"),
            "cut-in-the-trailer": chunks(GEN, last=b"0\r\nX: 1\r\n"),
            "none": b"",
        }.items()
    ),
]


@pytest.mark.parametrize(("raw", "status", "error"), REFUSED)
def test_a_rejected_request_starts_no_job(
    server: Server, upstream: Upstream, raw: bytes, status: int, error: str | int
) -> None:
    """Spec: RFC 9112, sections 7.1 and 8: incomplete messages are not processed; RFC 9110, sections 9 and 15.5."""
    before = len(upstream.requests)
    assert [(answer.status, answer.error) for answer in parsed(talk(server, raw))] == [(status, error)]
    assert len(upstream.requests) == before


@pytest.mark.parametrize("body", [chunks(gzip.compress(GEN)), chunks(GEN)], ids=["coded", "plain"])
@pytest.mark.parametrize(
    "headers",
    [
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: gzip", CHUNKED],
        ["Transfer-Encoding: deflate,chunked"],
        ["Transfer-Encoding: identity, chunked"],
    ],
    ids=["gzip", "two-headers", "deflate", "identity"],
)
def test_a_transfer_coding_other_than_chunked_is_rejected_and_closed(
    server: Server, upstream: Upstream, headers: list[str], body: bytes
) -> None:
    """Spec: RFC 9112, sections 6.1 and 7. Ours: 400 with the reason; gunicorn passes the coded body on."""
    before = len(upstream.requests)
    (answer,) = parsed(talk(server, framed(*headers, body=body) + gen()))
    message = "Bad Request: the only accepted Transfer-Encoding is chunked"
    error = {"code": -32600, "message": message}
    assert answer == Answer(400, {"jsonrpc": "2.0", "id": None, "error": error})
    assert len(upstream.requests) == before


@pytest.mark.parametrize(("path", "status"), [("/mcp", 405), ("/healthz", 200), ("/none", 404)])
def test_head_is_answered_without_a_body(server: Server, path: str, status: int) -> None:
    """Spec: RFC 9110, section 9.3.2."""
    received = talk(server, request(f"HEAD {path} HTTP/1.1"))
    assert parsed(received, head=True) == [Answer(status, None)]


BROKEN_AFTERWARDS = [
    pytest.param("Content-Encoding: gzip", CHUNKED, b"zz\r\n", 415, id="invalid-size"),
    pytest.param("Content-Encoding: gzip", CHUNKED, b"1\r\n{}\r\n", 415, id="invalid-line-end"),
    pytest.param("Origin: https://elsewhere.example", CHUNKED, b"1;\x00\r\n", 403, id="invalid-extension"),
]


@pytest.mark.parametrize(("reason", "framing", "body", "status"), BROKEN_AFTERWARDS)
def test_a_rejected_request_with_an_invalid_body_is_answered_once(
    server: Server, upstream: Upstream, reason: str, framing: str, body: bytes, status: int
) -> None:
    """Ours: gunicorn finds the error after the response; a second one would be taken for that of the next request."""
    before = len(upstream.requests)
    answers = parsed(talk(server, framed(reason, framing, body=body) + gen()))
    assert [answer.status for answer in answers] == [status]
    assert len(upstream.requests) == before


TOO_LARGE = b" " * (LIMIT + 1)


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        pytest.param(request("GET /mcp HTTP/1.1"), [405, 200], id="rejected-without-a-body"),
        pytest.param(post(PING, line="DELETE /mcp HTTP/1.1"), [405, 200], id="rejected-with-an-unread-body"),
        pytest.param(framed("Content-Encoding: br", CHUNKED, body=chunks(PING)), [415, 200], id="rejected-with-chunks"),
        pytest.param(post(b"{"), [400, 200], id="invalid-JSON"),
        pytest.param(post(TOO_LARGE[1:]), [400, 200], id="as-large-as-allowed"),
        pytest.param(post(TOO_LARGE), [413], id="too-large"),
        pytest.param(framed(CHUNKED, body=chunks(*[b" " * MIB] * 9)), [413], id="too-large-in-chunks"),
        pytest.param(framed(CHUNKED, body=chunks(TOO_LARGE * 2)), [413], id="too-large-in-one-chunk"),
        pytest.param(framed(CHUNKED, body=chunks(TOO_LARGE)), [413, 200], id="too-large-by-a-byte"),
        pytest.param(framed(CHUNKED, body=chunks(PING) + b"zz"), [200, 400], id="bytes-after-the-last-chunk"),
        pytest.param(
            request("POST /mcp HTTP/1.1", CLOSE, "Content-Length: 1", body=b"{"), [400], id="Connection-close"
        ),
        pytest.param(post(PING, line="POST /mcp HTTP/1.0"), [200], id="HTTP-1.0"),
        pytest.param(
            post(PING, "Connection: keep-alive", line="POST /mcp HTTP/1.0"), [200, 200], id="HTTP-1.0-keep-alive"
        ),
    ],
)
def test_a_connection_is_usable_after_an_error_or_closed(server: Server, first: bytes, expected: list[int]) -> None:
    """Spec: RFC 9112, section 9.3: a server reads the whole body or closes the connection after its response."""
    answers = parsed(talk(server, first + post(PING)))
    assert [answer.status for answer in answers] == expected
    assert answers[-1].status != 200 or answers[-1].body == PONG


LONG = 300_000  # bytes, more than the server reads of a rejected body to keep its connection open
SHORT = 40_000
BR = "Content-Encoding: br"
UNREAD = [
    pytest.param(post(bytes(size), *headers, line=f"{line} HTTP/1.1"), status, kept, id=f"{status}-{size}")
    for size, kept in ((LONG, False), (SHORT, True), (1, True))
    for status, line, headers in (
        (415, "POST /mcp", [BR]),
        (404, "POST /nothing", []),
        (405, "PUT /mcp", []),
        (405, "POST /healthz", []),
        (403, "POST /mcp", ["Origin: https://elsewhere.example"]),
    )
] + [
    pytest.param(post(TOO_LARGE), 413, False, id="413"),
    pytest.param(framed(BR, CHUNKED, body=chunks(bytes(LONG))), 415, False, id="415-chunks"),
    pytest.param(framed(BR, CHUNKED, body=chunks(bytes(9), b"x")), 415, True, id="415-short-chunks"),
    pytest.param(framed(BR, CHUNKED, body=b"zz\r\n"), 415, False, id="415-broken-chunks"),
    pytest.param(framed(BR, CHUNKED, body=b"9\r\n"), 415, False, id="415-missing-chunks"),
    pytest.param(framed(BR, "Content-Length: 9", body=b""), 415, False, id="415-missing-body"),
    pytest.param(post(bytes(LONG), CLOSE, BR), 415, False, id="415-closing"),
    pytest.param(post(bytes(9), CLOSE, BR), 415, False, id="415-closing-short"),
]


@pytest.mark.parametrize(("raw", "status", "kept"), UNREAD)
def test_an_error_announces_whether_its_connection_is_kept(server: Server, raw: bytes, status: int, kept: bool) -> None:
    """Spec: RFC 9112, section 9.6. A proxy reuses a keep-alive connection for requests of other clients."""
    with server.connect() as connection:
        connection.sendall(raw)
        head = b""
        while b"\r\n\r\n" not in head:
            head += receive(connection)
        announced = re.search(rb"\r\nConnection: (\S+)\r\n", head)
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert announced
        assert announced[1] == (b"keep-alive" if kept else b"close")
        if kept:
            connection.sendall(post(PING, CLOSE))
        received = head + read(connection)
    assert [answer.status for answer in parsed(received)] == [status, 200][: 1 + kept]


def test_pipelined_requests_are_answered_up_to_the_first_invalid_one(server: Server, upstream: Upstream) -> None:
    """Spec: RFC 9112, section 9.3.2."""
    before = len(upstream.requests)
    sound = [post(PING), gen(), request("GET /healthz HTTP/1.1"), post(b"[]"), gen(), request("GET /none HTTP/1.1")]
    answers = parsed(talk(server, b"".join(sound) + b"nonsense\r\n\r\n" + gen()))
    assert [answer.status for answer in answers] == [200, 200, 200, 400, 200, 404, 400]
    assert [answer.body.get("id", "none") for answer in answers] == ["p", "g", "none", None, "g", "none", "none"]
    assert len(upstream.requests) == before + 2


@pytest.mark.parametrize(
    "raw", [gen(CLOSE), framed(CLOSE, CHUNKED, body=chunks(GEN[:9], GEN[9:]))], ids=["length", "chunks"]
)
def test_a_request_may_arrive_byte_by_byte(server: Server, upstream: Upstream, raw: bytes) -> None:
    """Ours: TCP does not preserve message boundaries."""
    before = len(upstream.requests)
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in raw:
            connection.sendall(bytes([byte]))
        answers = parsed(read(connection))
    assert [(answer.status, answer.body["id"]) for answer in answers] == [(200, "g")]
    assert len(upstream.requests) == before + 1


def test_expect_continue_is_answered_before_the_body_is_sent(server: Server) -> None:
    """Spec: RFC 9110, section 10.1.1."""
    raw = post(PING, CLOSE, "Expect: 100-continue")
    with server.connect() as connection:
        connection.sendall(raw.removesuffix(PING))
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(PING)
        assert parsed(read(connection)) == [Answer(200, PONG)]


# A request, and the number of bytes at its end that are sent late.
SLOW = {
    "request line": (gen(CLOSE), len(gen(CLOSE)) - 9),
    "headers": (gen(CLOSE), len(GEN) + 9),
    "body": (gen(CLOSE), 9),
    "chunk": (framed(CLOSE, CHUNKED, body=chunks(GEN)), 9),
}
STALLED = 5  # connections of each kind


@contextmanager
def stalled(server: Server, *sent: bytes) -> Iterator[list[socket.socket]]:
    """Open one connection for each byte string, and send only that."""
    with ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in sent]
        for connection, data in zip(connections, sent, strict=True):
            connection.sendall(data)
        yield connections


def assert_prompt(server: Server) -> None:
    """Fail unless new connections are served at once, whichever worker accepts them."""
    started = time.monotonic()
    for _ in range(8):
        assert parsed(talk(server, post(PING, CLOSE))) == [Answer(200, PONG)]
    assert time.monotonic() - started < PROMPT


def test_slow_senders_do_not_delay_other_requests_and_are_served(server: Server, upstream: Upstream) -> None:
    """Ours: each occupies one of many threads."""
    before = len(upstream.requests)
    requests = list(SLOW.values()) * STALLED
    with stalled(server, *(raw[:-held] for raw, held in requests)) as connections:
        assert_prompt(server)
        assert len(upstream.requests) == before
        for connection, (raw, held) in zip(connections, requests, strict=True):
            connection.sendall(raw[-held:])
        answers = [parsed(read(connection)) for connection in connections]
    assert [(answer.status, answer.body["id"]) for (answer,) in answers] == [(200, "g")] * len(requests)
    assert len(upstream.requests) == before + len(requests)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(post(PING, CLOSE), id="answered"),
        pytest.param(b"nonsense\r\n\r\n", id="rejected"),
        pytest.param(framed(f"Content-Length: {LIMIT + 1}", CLOSE), id="rejected-before-its-body"),
    ],
)
def test_clients_that_do_not_close_do_not_delay_other_requests(server: Server, raw: bytes) -> None:
    """Ours: gunicorn waits for each of them, up to two seconds, in the thread that accepts connections."""
    with stalled(server, *[raw] * 40) as connections:
        for connection in connections:
            assert connection.recv(1)  # the response has arrived, so the wait has begun
        assert_prompt(server)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_disconnect_while_a_job_starts_does_not_start_it_twice(server: Server, upstream: Upstream, how: str) -> None:
    """Ours: a job is charged for, so a request that has reached Scenext is neither cancelled nor repeated."""
    while upstream.arrived.acquire(blocking=False):
        pass
    before, logged = len(upstream.requests), server.output().count(" tool=gen_video ")
    upstream.let_go.clear()
    try:
        with server.connect() as connection:
            connection.sendall(gen())
            assert upstream.arrived.acquire(timeout=TIMEOUT)
            if how == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert_prompt(server)
    finally:
        upstream.let_go.set()
    end = time.monotonic() + TIMEOUT
    while server.output().count(" tool=gen_video ") == logged:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert_prompt(server)
    assert len(upstream.requests) == before + 1


def test_a_half_closed_client_gets_its_response(server: Server, upstream: Upstream) -> None:
    """Spec: RFC 9112, section 9.6: a half-closed connection is not an aborted request."""
    while upstream.arrived.acquire(blocking=False):
        pass
    before = len(upstream.requests)
    upstream.let_go.clear()
    try:
        with server.connect() as connection:
            connection.sendall(gen())
            connection.shutdown(socket.SHUT_WR)
            assert upstream.arrived.acquire(timeout=TIMEOUT)
            upstream.let_go.set()
            answers = parsed(read(connection))
    finally:
        upstream.let_go.set()
    assert [(answer.status, answer.body["id"]) for answer in answers] == [(200, "g")]
    assert len(upstream.requests) == before + 1


LINE = re.compile(
    r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d+\] \[INFO\] .*"  # gunicorn's own, at the start
    r"|ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=(?:info|warning) msg=.*"  # this service's
)


def test_hostile_input_is_not_logged(server: Server) -> None:
    """Ours: each event is one line of printable characters, without API keys, request paths or client headers."""
    table = [*SOUND, *NO_REQUEST, *REFUSED]
    for row in table:
        raw = row.values[0]
        assert isinstance(raw, bytes)
        talk(server, raw)
    talk(server, request("GET /x%0a[23/Nov/2026:07:47:01%20+0000]%20access%20POST%20/mcp%20200%1b[2J HTTP/1.1"))
    printed = server.output()
    assert len(printed.splitlines()) > 2 * len(SOUND) + len(NO_REQUEST)
    assert 'level=info msg="malformed request" reason=InvalidHeader status=400' in printed
    assert re.search(r'level=info msg="unreadable body" request_id=\w+ reason=InvalidChunkSize\n', printed)
    assert KEY not in printed
    assert [line for line in printed.split("\n")[:-1] if not LINE.fullmatch(line) or not line.isprintable()] == []


@pytest.mark.parametrize(
    ("failure", "status", "error"),
    [
        pytest.param(errors.InvalidRequestLine(KEY), 400, "bad_request", id="request-line"),
        pytest.param(errors.InvalidHeader(KEY), 400, "bad_request", id="header"),
        pytest.param(errors.UnsupportedTransferCoding(KEY), 400, "bad_request", id="coding"),
        pytest.param(errors.InvalidProxyHeader(KEY), 400, "bad_request", id="PROXY-protocol"),
        pytest.param(ssl.SSLError(1, KEY), 400, "bad_request", id="TLS"),
        pytest.param(errors.ForbiddenProxyRequest(KEY), 403, "forbidden", id="untrusted-proxy"),
        pytest.param(errors.ConfigurationProblem(KEY), 404, "not_found", id="outside-SCRIPT_NAME"),
        pytest.param(RequestTimeout(), 408, "request_timeout", id="timeout"),
        pytest.param(errors.LimitRequestLine(9, 8), 414, "uri_too_long", id="long-line"),
        pytest.param(errors.ExpectationFailed(KEY), 417, "expectation_failed", id="expectation"),
        pytest.param(errors.LimitRequestHeaders(KEY), 431, "request_header_fields_too_large", id="headers"),
    ],
)
def test_each_client_error_has_a_status_and_a_log_line_without_data(
    worker: Worker, log_lines: list[str], failure: Exception, status: int, error: str
) -> None:
    """Spec: RFC 9110, section 15.5. Ours: never a 5xx; the line contains only the kind of error."""
    with connected(worker) as (client, conn):
        worker.handle_error(None, conn.sock, conn.client, failure)
        conn.sock.close()
        assert parsed(read(client)) == [Answer(status, {"error": error})]
    assert [line.split(" ", 1)[1] for line in log_lines] == [
        f'level=info msg="malformed request" reason={type(failure).__name__} status={status}'
    ]


def test_a_request_outside_script_name_is_not_found(worker: Worker) -> None:
    """Ours: if SCRIPT_NAME is set, gunicorn detects this only after it has read the request, and sends a 500."""
    with connected(worker) as (client, conn):
        worker.handle_error(object(), conn.sock, conn.client, errors.ConfigurationProblem("/x"))
        conn.sock.close()
        assert parsed(read(client)) == [Answer(404, {"error": "not_found"})]


def test_an_answered_request_gets_no_second_response(worker: Worker, log_lines: list[str]) -> None:
    """Ours: an application that lets such an error through may have started its response."""
    with connected(worker) as (client, conn):
        worker.handle_error(object(), conn.sock, conn.client, errors.InvalidChunkSize(KEY))
        conn.sock.close()
        assert read(client) == b""
    assert log_lines[0].endswith(' level=info msg="malformed request" reason=InvalidChunkSize status=400')


@pytest.mark.parametrize("length", [len(PING) + 1, LIMIT])
def test_a_truncated_body_is_rejected(client: FlaskClient, length: int) -> None:
    """Spec: RFC 9112, section 8. Ours: a server that terminates its input, as gunicorn does, does not report this."""
    overrides = {"CONTENT_LENGTH": str(length), "wsgi.input": io.BytesIO(PING), "wsgi.input_terminated": True}
    response = client.post("/mcp", content_type="application/json", headers=BEARER, environ_overrides=overrides)
    assert (response.status_code, response.get_json()["error"]["code"]) == (400, CUT)


def test_a_bug_gets_a_500_in_json_and_logs_its_traceback(worker: Worker, log_lines: list[str]) -> None:
    """Ours: if the bug occurs outside the application, or if the application lets it through."""
    with connected(worker) as (client, conn):
        worker.handle_error(None, conn.sock, conn.client, RuntimeError("broken"))
        conn.sock.close()
        head, _, body = read(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 Internal Error\r\n")
    assert json.loads(body) == {"error": "internal_error"}
    assert 'level=error msg="unhandled exception" exception=' in log_lines[0]
    assert "RuntimeError: broken" in log_lines[0]


def test_a_disconnected_client_gets_no_response(worker: Worker, log_lines: list[str]) -> None:
    """Ours: the disconnect itself is not logged as an error."""
    with connected(worker) as (client, conn):
        client.close()
        worker.handle_error(None, conn.sock, conn.client, errors.InvalidHeader("x"))
    assert len(log_lines) == 1


def test_a_keep_alive_connection_stays_open(worker: Worker) -> None:
    """Ours: only a connection that ends is closed."""
    with connected(worker) as (client, conn):
        client.sendall(post(PING))
        assert worker.handle(conn) is True
        assert parsed(client.recv(65536)) == [Answer(200, PONG)]
        client.sendall(post(PING, CLOSE))
        client.shutdown(socket.SHUT_WR)
        assert worker.handle(conn) is False
        assert parsed(read(client)) == [Answer(200, PONG)]


def test_unread_bytes_do_not_cost_the_client_its_response(worker: Worker) -> None:
    """Spec: RFC 9112, section 9.6: if a server closes at once, a reset may destroy its last response."""
    with connected(worker) as (client, conn):
        client.sendall(b"nonsense\r\n\r\n" + b"x" * 100_000)
        client.shutdown(socket.SHUT_WR)
        assert worker.handle(conn) is False
        assert parsed(read(client)) == [Answer(400, {"error": "bad_request"})]


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_the_wait_for_a_client_to_close_is_limited(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Ours: after that, gunicorn closes the connection without a wait of its own."""
    monkeypatch.setattr(connections, "LINGER_TIMEOUT", seconds)
    with connected(worker) as (client, conn):
        client.sendall(b"nonsense\r\n\r\n")
        assert worker.handle(conn) is False
        conn.sock.settimeout(TIMEOUT)
        assert conn.sock.recv(1) == b""
        assert parsed(read(client)) == [Answer(400, {"error": "bad_request"})]
