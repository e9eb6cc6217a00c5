"""The bytes of requests, and how any bytes of a response are read."""

import http.client
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, NamedTuple

import orjson
import pytest
import urllib3

from scenext_service import __version__
from scenext_service.scenext.client import Scenext
from scenext_service.scenext.transport.connection import Connection, TotalTimeout
from tests.support.cases import case
from tests.support.messages import KEY
from tests.support.server import receive
from tests.support.upstream import GOOD, JOB, answer

pytestmark = pytest.mark.usefixtures("no_network_settings")

TIMEOUT = 5  # seconds

JOB_REQUEST = {"question": "求 1+1"}
TRACE = {"X-Request-ID": "r1", "traceparent": "00-1-2-01"}


class Sent(NamedTuple):
    """The parts of a request."""

    line: str
    headers: list[str]  # sorted lines
    body: bytes


def status_query(scenext: Scenext, started: float) -> dict[str, Any]:
    return scenext.get_status("12345", KEY, started, TRACE)


def job(scenext: Scenext, started: float) -> dict[str, Any]:
    return scenext.gen_video(JOB_REQUEST, KEY, started, TRACE)


def request_of(call: Callable[[Scenext, float], Any], url: str, listener: socket.socket) -> Sent:
    """Make a call that reaches a listener; return its request."""
    scenext = Scenext(url, timeout=TIMEOUT, slots=1)
    with ThreadPoolExecutor(1) as threads:
        result = threads.submit(call, scenext, TotalTimeout(0).end)
        connection, _ = listener.accept()
        with connection:
            data = b""
            while b"\r\n\r\n" not in data or (call is job and not data.endswith(b"}")):
                data += receive(connection)
            connection.sendall(answer(200, GOOD))
            assert result.result(TIMEOUT) == JOB
    head, _, body = data.partition(b"\r\n\r\n")
    line, *headers = head.decode("latin-1").split("\r\n")
    return Sent(line, sorted(headers), body)


@pytest.mark.parametrize(
    ("proxy", "prefix", "host"),
    [
        pytest.param(False, "", "127.0.0.1:{port}", id="direct"),
        pytest.param(True, "http://api.invalid", "api.invalid", id="proxy"),
        pytest.param(True, "http://api.invalid:8080", "api.invalid:8080", id="proxy, with a port"),
        pytest.param(True, "http://[::1]:8080", "[::1]:8080", id="proxy, IPv6"),
    ],
)
def test_a_request_has_exactly_these_lines(
    monkeypatch: pytest.MonkeyPatch, proxy: bool, prefix: str, host: str
) -> None:
    """Spec: RFC 9112, sections 3.2 and 5; Scenext API. With a proxy, the target is the whole URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if proxy:
            monkeypatch.setenv("http_proxy", f"http://user:secret@127.0.0.1:{port}")
        url = f"{prefix or f'http://127.0.0.1:{port}'}/api"
        shared = [
            "Accept: application/json",
            "Accept-Encoding: gzip, deflate",
            f"Authorization: Bearer {KEY}",
            f"Host: {host.format(port=port)}",
            f"User-Agent: scenext-service/{__version__}",
            "X-Request-ID: r1",
            "traceparent: 00-1-2-01",
            *(["Proxy-Authorization: Basic dXNlcjpzZWNyZXQ="] if proxy else []),
        ]
        line = f"GET {prefix}/api/get_status/12345 HTTP/1.1"
        assert request_of(status_query, url, listener) == Sent(line, sorted(shared), b"")
        body = orjson.dumps(JOB_REQUEST)
        own = ["Connection: close", f"Content-Length: {len(body)}", "Content-Type: application/json"]
        assert request_of(job, url, listener) == Sent(
            f"POST {prefix}/api/gen_video HTTP/1.1", sorted([*shared, *own]), body
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("X", "a\r\nY: b", id="line"),
        pytest.param("X", "a\nY: b", id="LF"),
        pytest.param("X", "a\rY: b", id="CR"),
        pytest.param("X", "a\r\n", id="line end"),
        pytest.param("X", "\r\n\r\nGET / HTTP/1.1", id="request"),
        pytest.param("X", "a\r\n b", id="folded line"),
        pytest.param("X", "a\0b", id="NUL"),
        pytest.param("X", "求", id="not latin-1"),
        pytest.param("X\r\nY", "a", id="line in the name"),
        pytest.param("X: a\r\nY", "b", id="line and value in the name"),
        pytest.param("X ", "a", id="space in the name"),
        pytest.param("", "a", id="empty name"),
    ],
)
def test_an_invalid_request_header_is_not_sent(name: str, value: str) -> None:
    """Spec: RFC 9110, sections 5.1 and 5.5. A line break would begin a header, or a request, of its own."""
    ours, theirs = socket.socketpair()
    connection = Connection("upstream.invalid")
    connection.sock = ours
    with theirs, closing(connection):
        for headers in ({name: value}, {"A": "b", name: value, "C": "d"}):
            with pytest.raises(ValueError, match=r"header|latin-1"):
                connection.request("GET", "/", headers=headers)
        connection.request("GET", "/", headers={"A": "ü"})
        assert theirs.recv(65536) == b"GET / HTTP/1.1\r\nHost: upstream.invalid\r\nA: \xfc\r\n\r\n"


KEPT, ENDED, UNTIL_CLOSE = "kept", "ended", "until close"

Outcome = tuple[int, dict[str, str], bytes, str]  # status, headers, body, and what happens to the connection


def read(raw: bytes, *, closed: bool, seconds: float = TIMEOUT) -> Outcome:
    """Read a response that the server has sent, before or after it closes the connection."""
    ours, theirs = socket.socketpair()
    connection = Connection("upstream.invalid")
    connection.sock, connection.timeout = ours, TotalTimeout(seconds)
    with theirs, closing(connection):
        connection.request("GET", "/", headers={"A": "b"}, preload_content=False, decode_content=False)
        theirs.settimeout(TIMEOUT)
        theirs.sendall(raw)
        if closed:
            theirs.shutdown(socket.SHUT_WR)
        response = connection.getresponse()
        body = response.read(2**20)
        headers = {name.lower(): value for name, value in response.headers.itermerged()}
        if response.length_remaining:
            raise http.client.IncompleteRead(body)
        return response.status, headers, body, KEPT if connection.is_connected else ENDED


def outcome(raw: bytes) -> Outcome:
    """Read a response. A body ends with the connection if it includes a byte that follows the response."""
    status, headers, body, _ = read(raw + b"!", closed=True)
    if body.endswith(b"!"):
        return status, headers, body[:-1], UNTIL_CLOSE
    return read(raw, closed=False)


OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 5\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
BODY = b"hello"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
END = b"\r\n"
REST = LENGTH + END + BODY

# Headers of a response with the status 200, its body as sent, and the expected body and state of the connection.
FRAMINGS: dict[str, tuple[bytes, bytes, bytes, str]] = {
    "length": (LENGTH, BODY, BODY, KEPT),
    "length, no space": (b"Content-Length:5\r\n", BODY, BODY, KEPT),
    "length, spaces": (b"Content-Length: \t5 \t\r\n", BODY, BODY, KEPT),
    "length, zeros": (b"content-length: 0005\r\n", BODY, BODY, KEPT),
    "length, zero": (b"Content-Length: 0\r\n", b"", b"", KEPT),
    "length, plus": (b"Content-Length: +5\r\n", BODY, BODY, ENDED),
    "length, twice": (LENGTH * 2, BODY, BODY, ENDED),
    "length, list": (b"Content-Length: 5, 5\r\n", BODY, BODY, ENDED),
    "length, minus": (b"Content-Length: -1\r\n", BODY, BODY, UNTIL_CLOSE),
    "length, word": (b"Content-Length: five\r\n", BODY, BODY, UNTIL_CLOSE),
    "length, hexadecimal": (b"Content-Length: 0x5\r\n", BODY, BODY, UNTIL_CLOSE),
    "length, empty": (b"Content-Length:\r\n", BODY, BODY, UNTIL_CLOSE),
    "length, too many digits": (b"Content-Length: " + b"9" * 5000 + END, BODY, BODY, UNTIL_CLOSE),
    "chunked": (CHUNKED, CHUNKS, BODY, KEPT),
    "chunked, upper case": (b"TRANSFER-ENCODING: CHUNKED\r\n", CHUNKS, BODY, KEPT),
    "chunked, spaces": (b"Transfer-Encoding: chunked \r\n", CHUNKS, BODY, KEPT),
    "chunked, trailer": (CHUNKED, CHUNKS[:-2] + b"X: y\r\n\r\n", BODY, KEPT),
    "chunked, twice": (CHUNKED * 2, CHUNKS, BODY, ENDED),
    "chunked, then length": (CHUNKED + LENGTH, CHUNKS, BODY, ENDED),
    "length, then chunked": (LENGTH + CHUNKED, CHUNKS, BODY, ENDED),
    "lengths, then chunked": (LENGTH + b"Content-Length: 4\r\n" + CHUNKED, CHUNKS, BODY, ENDED),
    "chunked, gzip": (b"Transfer-Encoding: chunked, gzip\r\n", CHUNKS, CHUNKS, UNTIL_CLOSE),
    "gzip, chunked": (b"Transfer-Encoding: gzip, chunked\r\n", CHUNKS, CHUNKS, UNTIL_CLOSE),
    "gzip": (b"Transfer-Encoding: gzip\r\n", BODY, BODY, UNTIL_CLOSE),
    "gzip, then length": (b"Transfer-Encoding: gzip\r\n" + LENGTH, BODY, BODY, ENDED),
    "identity, then length": (b"Transfer-Encoding: identity\r\n" + LENGTH, BODY, BODY, ENDED),
    "neither": (b"", BODY, BODY, UNTIL_CLOSE),
    "close": (b"Connection: Close\r\n" + LENGTH, BODY, BODY, ENDED),
    "close, second": (b"Connection: keep-alive\r\nConnection: close\r\n" + LENGTH, BODY, BODY, ENDED),
    "bytes after a length": (LENGTH, BODY + b"x", BODY, ENDED),
    "bytes after chunks": (CHUNKED, CHUNKS + b"x", BODY, ENDED),
}


@pytest.mark.parametrize("name", FRAMINGS)
def test_a_connection_is_kept_only_if_the_end_of_the_body_is_certain(name: str) -> None:
    """Spec: RFC 9112, sections 6.1, 6.3 and 9.2. Ours: an uncertain body is read if possible, as http.client does."""
    headers, sent, body, state = FRAMINGS[name]
    found = outcome(OK + headers + END + sent)
    assert (found[0], *found[2:]) == (200, body, state)


# Header lines before `Content-Length: 5`, and the expected headers and state of the connection.
LINES: dict[str, tuple[bytes, dict[str, str], str]] = {
    "field": (b"X: y\r\n", {"x": "y"}, KEPT),
    "repeated field": (b"X: y\r\nx: z\r\n", {"x": "y, z"}, KEPT),
    "bare LF": (b"X: y\n", {"x": "y"}, KEPT),
    "tab and spaces": (b"X:\t y z \t\r\n", {"x": "y z"}, KEPT),
    "empty value": (b"X:\r\n", {"x": ""}, KEPT),
    "colons": (b"X: y: z\r\n", {"x": "y: z"}, KEPT),
    "not ASCII": (b"X: \xfcber\r\n", {"x": "über"}, KEPT),
    "control characters": (b"X: y\x01\x0b\x0c\x1c\x7f\x85z\r\n", {"x": "y\x01\x0b\x0c\x1c\x7f\x85z"}, KEPT),
    "longest line": (b"X: " + b"y" * 65531 + END, {"x": "y" * 65531}, KEPT),
    "98 lines": (b"X: y\r\n" * 98, {"x": ", ".join("y" * 98)}, KEPT),
    "folded line": (b"X: y\r\n z\r\n", {"x": "y z"}, ENDED),
    "folded line, tab and LF": (b"X: y\n\t z\r\n", {"x": "y z"}, ENDED),
    "folded line, spaces": (b"X: y\r\n \r\n", {"x": "y"}, ENDED),
    "folded first line": (b" X: y\r\n", {}, ENDED),
    "NUL": (b"X: y\0z\r\n", {"x": "y z"}, ENDED),
    "CR": (b"X: y\rZ: z\r\n", {"x": "y Z: z"}, ENDED),
    "two CR": (b"X: y\r\r\n", {"x": "y"}, ENDED),
    "no colon": (b"garbage\r\n", {}, ENDED),
    "space before the colon": (b"Content-Length : 4\r\n", {}, ENDED),
    "space in the name": (b"X y: z\r\n", {}, ENDED),
    "no name": (b": y\r\n", {}, ENDED),
    "name with brackets": (b"X[1]: y\r\n", {}, ENDED),
    "name that is not ASCII": (b"\xfc: y\r\n", {}, ENDED),
    "NUL in the name": (b"X\0: y\r\n", {}, ENDED),
}


@pytest.mark.parametrize("name", LINES)
def test_an_invalid_header_line_ends_the_connection(name: str) -> None:
    """Spec: RFC 9110, section 5.5; RFC 9112, sections 2.2 and 5. Ours: the response is used, as with http.client."""
    line, headers, state = LINES[name]
    assert outcome(OK + line + REST) == (200, {**headers, "content-length": "5"}, BODY, state)


@pytest.mark.parametrize(
    ("line", "status", "state"),
    [
        pytest.param(b"HTTP/1.1 200 OK\n", 200, KEPT, id="bare LF"),
        pytest.param(b"HTTP/1.1 200 \r\n", 200, KEPT, id="no reason"),
        pytest.param(b"HTTP/1.1 200\r\n", 200, KEPT, id="no reason, no space"),
        pytest.param(b"HTTP/1.1 200 \xe9\xff\r\n", 200, KEPT, id="reason that is not ASCII"),
        pytest.param(b" HTTP/1.1\t200  OK\r\n", 200, KEPT, id="more space"),
        pytest.param(b"HTTP/1.1 999 What\r\n", 999, KEPT, id="largest status"),
        pytest.param(b"HTTP/1.0 200 OK\r\n", 200, ENDED, id="1.0"),
        pytest.param(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", 200, ENDED, id="1.0, kept by the server"),
        pytest.param(b"HTTP/0.9 200 OK\r\n", 200, ENDED, id="0.9"),
        pytest.param(b"HTTP/1.10 200 OK\r\n", 200, ENDED, id="1.10"),
    ],
)
def test_a_status_line_of_http_1_is_accepted(line: bytes, status: int, state: str) -> None:
    """Spec: RFC 9112, sections 2.3 and 4. Ours: only HTTP/1.1 keeps a connection."""
    found = outcome(line + REST)
    assert (found[0], *found[2:]) == (status, BODY, state)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(b"", http.client.RemoteDisconnected, id="nothing"),
        pytest.param(b"\r\n" + OK + REST, http.client.BadStatusLine, id="empty line first"),
        pytest.param(b"http/1.1 200 OK\r\n" + REST, http.client.BadStatusLine, id="lower case"),
        pytest.param(b"HTTP/1.1 2000 OK\r\n" + REST, http.client.BadStatusLine, id="four digits"),
        pytest.param(b"HTTP/1.1 20 OK\r\n" + REST, http.client.BadStatusLine, id="two digits"),
        pytest.param(b"HTTP/1.1 099 OK\r\n" + REST, http.client.BadStatusLine, id="leading zero"),
        pytest.param(b"HTTP/1.1 +200 OK\r\n" + REST, http.client.BadStatusLine, id="plus"),
        pytest.param(b"HTTP/1.1 101 Switching\r\n\r\n" + OK + REST, http.client.BadStatusLine, id="101"),
        pytest.param(b"HTTP/2 200 OK\r\n" + REST, http.client.UnknownProtocol, id="HTTP/2"),
        pytest.param(b"HTTP/1 200 OK\r\n" + REST, http.client.UnknownProtocol, id="HTTP/1"),
        pytest.param(b"HTTP/1.1 103 Early\r\n\r\n", http.client.RemoteDisconnected, id="interim response only"),
        pytest.param(b"HTTP/1.1 103 Early\r\n\r\n" * 101 + OK + REST, http.client.HTTPException, id="101 interim"),
        pytest.param(OK + b"X: " + b"y" * 65532 + END + REST, http.client.LineTooLong, id="line of 65,537 bytes"),
        pytest.param(OK + b"X: " + b"y" * 70000 + END + REST, http.client.LineTooLong, id="line of 70 kB"),
        pytest.param(b"HTTP/1.1 200 " + b"y" * 70000 + END + REST, http.client.LineTooLong, id="status line of 70 kB"),
        pytest.param(OK + b"X: y\r\n" * 99 + REST, http.client.HTTPException, id="100 header lines"),
        pytest.param(OK + LENGTH + b"Content-Length: 4\r\n\r\n" + BODY, urllib3.exceptions.InvalidHeader, id="lengths"),
        pytest.param(
            OK + b"Content-Length: 5, 4\r\n\r\n" + BODY, urllib3.exceptions.InvalidHeader, id="list of lengths"
        ),
    ],
)
def test_an_invalid_response_is_an_error(raw: bytes, expected: type[Exception]) -> None:
    """Spec: RFC 9112, sections 2.3, 4 and 6.3. Ours: the exceptions are those of http.client and urllib3."""
    with pytest.raises(expected) as caught:
        read(raw, closed=True)
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\n", 204, id="204"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n" + LENGTH, 204, id="204, length"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n" + CHUNKED, 204, id="204, chunked"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\n" + LENGTH, 304, id="304, length"),
    ],
)
def test_a_response_without_a_body_ends_the_connection(head: bytes, status: int) -> None:
    """Spec: RFC 9112, section 6.3. Ours: some servers send a body, which would be read as the next response."""
    found = outcome(head + END)
    assert (found[0], *found[2:]) == (status, b"", ENDED)


@pytest.mark.parametrize(
    ("size", "valid"),
    [
        *(("5", True), ("0005", True), ("5 ", True), ("5;a=b", True)),
        *(("+5", False), ("-5", False), ("-1", False), ("0x5", False), ("0_5", False), ("five", False), ("", False)),
    ],
)
def test_the_size_of_a_chunk_is_hexadecimal_digits(size: str, valid: bool) -> None:
    """Spec: RFC 9112, section 7.1. For `-5`, http.client raises a ValueError, which is no class of `failures`."""
    raw = OK + CHUNKED + END + size.encode() + b"\r\nhello\r\n0\r\n\r\n"
    if valid:
        assert outcome(raw)[2:] == (BODY, KEPT)
    else:
        with pytest.raises(urllib3.exceptions.ProtocolError):
            read(raw, closed=True)


def test_interim_responses_are_skipped() -> None:
    """Spec: RFC 9110, section 15.2. Their headers do not count."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 199 Odd\r\nContent-Length: 9\r\nConnection: close\r\n\r\n" * 50
    assert outcome(interim + OK + REST) == (200, {"content-length": "5"}, BODY, KEPT)


def test_nothing_is_read_after_the_deadline() -> None:
    """Ours: bytes that are always there interrupt no wait, so they would extend the deadline."""
    with pytest.raises(TimeoutError):
        read(OK + REST, closed=False, seconds=0)


def test_a_response_cut_off_anywhere_is_empty_or_an_error() -> None:
    """Ours: it never has a body. An unknown length is that of an empty body, and a known one is not reached."""
    raw = OK + b"X: y\r\n" + REST
    status, length = raw.index(b" OK"), raw.index(b"5\r\n\r\n") + 1
    for size in range(len(raw)):
        with case(size):
            if status <= size < length:
                assert read(raw[:size], closed=True)[2] == b""
            else:
                with pytest.raises((http.client.HTTPException, urllib3.exceptions.ProtocolError)):
                    read(raw[:size], closed=True)
