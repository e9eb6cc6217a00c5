"""Connections to Scenext whose every wait, from the name lookup to the last byte, gets the rest of one timeout.

A response on them belongs to its request: if the end of a response is uncertain, the connection is not reused.

Source: RFC 9110, sections 5.5 and 15.2; RFC 9112, sections 2.2, 4, 5, 6.3, 7.1 and 9.2; CPython 3.11 to 3.13,
`http.client.HTTPResponse`; urllib3 2.8, `connection.HTTPConnection`.
"""

import contextlib
import http.client
import io
import math
import re
import socket
import ssl
import time
from typing import Any

import urllib3
from urllib3 import HTTPHeaderDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import InvalidHeader, NameResolutionError, NewConnectionError, ReadTimeoutError
from urllib3.util.connection import allowed_gai_family

from .sockets import Resolver, connect

MIN_TIMEOUT = 0.001  # seconds; 0 would make the socket non-blocking

MAX_LINE = 65536  # bytes of a status or header line, as in http.client
MAX_LINES = 100  # header lines of a response, with the empty one at their end, as in http.client
MAX_INTERIM = 100  # interim responses before the final one

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_STATUS_LINE = re.compile(r"\s*(HTTP/\S+)\s+([1-9][0-9]{2})(?!\S)(.*)", re.ASCII)
_FIELD = re.compile(rf"^({_NAME}):([^\r\n]*)\r?$", re.MULTILINE)
_FOLD_OR_CONTROL = re.compile(r"\r?\n[ \t]+|\r(?!\n)|\0")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]+")
_SENT_FIELD = re.compile(rf"{_NAME}: [^\0\r\n]*")

_RESOLVER = Resolver()


class HandshakeFailed(NewConnectionError):
    """TLS failed before a request was sent. requests' SSLError also covers failures after that."""


class TotalTimeout(float):
    """A timeout in seconds for several waits together, counted from its creation.

    It is a number, because urllib3 sets the timeouts of sockets to it. This module sets them to the remaining time
    before each wait.
    """

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the remaining seconds, or MIN_TIMEOUT after the end."""
        return max(self.end - time.monotonic(), MIN_TIMEOUT)


class _Reader(io.RawIOBase):
    """A socket's raw file whose reads share one timeout."""

    ended = False  # true at the end of the response, after which reads return no bytes

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, timeout: TotalTimeout | None) -> None:
        self._raw = raw
        self._sock = sock
        self._end = None if timeout is None else timeout.end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.ended:
            return 0
        if self._end is not None:
            remaining = self._end - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(remaining)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _read_line(file: io.BufferedIOBase) -> bytes:
    """Read a line with its end, or to the end of the connection."""
    line = file.readline(MAX_LINE + 1)
    if len(line) > MAX_LINE:
        raise http.client.LineTooLong("status or header line")
    return line


def _read_fields(file: io.BufferedIOBase) -> tuple[HTTPHeaderDict, bool]:
    """Read the header lines; return their fields, and whether all lines are valid.

    The headers end with an empty line or with the connection. A folded line, NUL or CR becomes a space, as RFC 9110 and
    RFC 9112 require. Any other invalid line is ignored.
    """
    lines = []
    while (line := _read_line(file)) not in (b"\r\n", b"\n", b""):
        lines.append(line)
        if len(lines) == MAX_LINES:
            raise http.client.HTTPException(f"more than {MAX_LINES} header lines")
    text, repairs = _FOLD_OR_CONTROL.subn(" ", b"".join(lines).decode("latin-1"))
    found = _FIELD.findall(text)
    fields = HTTPHeaderDict()
    for name, value in found:
        fields.add(name, value.strip(" \t"))
    return fields, not repairs and len(found) == len(lines)


def _body_length(values: list[str]) -> int | None:
    """Return the value of the Content-Length headers, None if invalid. Raises InvalidHeader if they contradict."""
    try:
        lengths = {int(value) for value in ",".join(values).split(",")}
    except ValueError:
        return None
    if len(lengths) > 1:
        raise InvalidHeader("different values of Content-Length")
    length = lengths.pop()
    return length if length >= 0 else None


class _Response(http.client.HTTPResponse):
    """A response whose status line, headers and body share one timeout. Bytes after its end close the connection."""

    chunk_left: int | None
    headers: Any
    length: int | None
    msg: Any

    def __init__(self, timeout: TotalTimeout | None, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._sock = sock
        self._reader = _Reader(self.fp.detach(), sock, timeout)
        self.fp = io.BufferedReader(self._reader)

    def _read_status(self) -> tuple[str, int, str]:
        """Read up to the final status. http.client skips only 100, and treats any other 1xx as a final response."""
        for _ in range(MAX_INTERIM + 1):
            line = _read_line(self.fp).decode("latin-1")
            if not line:
                raise http.client.RemoteDisconnected("no response")
            match = _STATUS_LINE.match(line)
            if match is None:
                raise http.client.BadStatusLine(line)
            status = int(match[2])
            if status == 101:
                raise http.client.BadStatusLine("101 without a request to upgrade")
            if status >= 200:
                return match[1], status, match[3]
            _read_fields(self.fp)
        raise http.client.HTTPException(f"more than {MAX_INTERIM} interim responses")

    def begin(self) -> None:
        """Read the status and the headers. http.client reads them with `email`, and allows ambiguous framing."""
        version, self.status, reason = self._read_status()
        if not version.startswith(("HTTP/1.", "HTTP/0.9")):
            raise http.client.UnknownProtocol(version)
        self.version = 11 if version == "HTTP/1.1" else 10
        self.reason = reason.strip()
        self.headers, valid = _read_fields(self.fp)
        self.msg = self.headers
        certain = self._frame(self.headers.getlist("transfer-encoding"), self.headers.getlist("content-length"))
        closing = "close" in self.headers.get("connection", "").lower()
        self.will_close = closing or self.version == 10 or not valid or not certain

    def _frame(self, codings: list[str], lengths: list[str]) -> bool:
        """Decide where the body ends: at its last chunk, at its length, or with the connection.

        Return whether the end is certain: there is either one `Transfer-Encoding: chunked` or one Content-Length of
        digits, not both. After 204 and 304 it never is, because some servers send a body. Raises InvalidHeader.
        """
        self.chunk_left = self.length = None
        self.chunked = False
        if self.status in (204, 304):
            self.length = 0
            return False
        if codings and codings[0].lower() == "chunked":
            self.chunked = True
            return len(codings) == 1 and not lengths
        self.length = _body_length(lengths)
        return not codings and self.length is not None and len(lengths) == 1 and lengths[0].isdecimal()

    def _read_next_chunk_size(self) -> int:
        """Read the size of a chunk. http.client accepts signs, and raises a ValueError for the body after a minus."""
        size = _read_line(self.fp).partition(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(size):
            raise ValueError("The size of a chunk must be hexadecimal digits.")  # http.client raises IncompleteRead
        return int(size, 16)

    def _close_conn(self) -> None:
        """End the response. If bytes follow it, shut the connection down, because http.client drops buffered bytes."""
        self._reader.ended = True
        if self.fp.peek(1):
            with contextlib.suppress(OSError):  # already closed
                self._sock.shutdown(socket.SHUT_RDWR)
        parent: Any = super()
        parent._close_conn()


class Connection(HTTPConnection):
    """A plain connection. urllib3's pool sets its `timeout` to a TotalTimeout or None."""

    sock: Any
    timeout: Any
    _method: str
    _output: Any

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers, within the timeout.

        urllib3 2.8 tries one address after the other, each for the whole timeout. A lookup that leaves no time counts
        as failed, because no connection was attempted. Raises NameResolutionError or NewConnectionError.
        """
        end = math.inf if self.timeout is None else self.timeout.end
        try:
            addresses = _RESOLVER.resolve(self._dns_host, self.port, allowed_gai_family(), self._remaining())
            if time.monotonic() >= end:
                raise TimeoutError("no time left after the name lookup")
        except OSError as error:
            raise NameResolutionError(self.host, self, socket.gaierror(str(error))) from error
        try:
            sock = connect(addresses, self.socket_options or (), end)
        except OSError as error:
            raise NewConnectionError(self, f"Failed to connect: {error}") from error
        sock.settimeout(self._remaining())  # for the TLS handshake
        return sock

    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(self._remaining())
        try:
            super().send(data)
        except TimeoutError as error:
            pool: Any = None
            raise ReadTimeoutError(pool, "", "Write timed out.") from error

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        """Send a request. A plain dict has all headers except Host, as strings (benchmarks/prices.py, "headers sent").

        urllib3 and http.client check and encode each header several times. Raises ValueError for an invalid name, for
        NUL, CR and LF, and for characters that are not latin-1.
        """
        if options.get("chunked") or not isinstance(headers, dict):
            super().request(method, url, body, headers, **options)
            return
        lines = [f"{name}: {value}" for name, value in headers.items()]
        if not all(map(_SENT_FIELD.fullmatch, lines)):
            raise ValueError("A request header contains a character that HTTP does not allow.")
        fields = "\r\n".join(lines).encode("latin-1")
        self.putrequest(method, url, skip_accept_encoding=True)
        self._output(fields)
        self.endheaders(body)

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        """Read the head of a response (benchmarks/prices.py, "headers received").

        urllib3 2.8 expects headers that `email` has parsed, and copies them. requests always asks for a body that is
        neither read nor decoded yet.
        """
        found: Any = http.client.HTTPConnection.getresponse(self)
        return urllib3.HTTPResponse(
            found,
            found.headers,
            found.status,
            found.version,
            reason=found.reason,
            preload_content=False,
            decode_content=False,
            original_response=found,
            request_method=self._method,
        )

    def response_class(self, *args: Any, **kwargs: Any) -> _Response:  # type: ignore[override]
        """Create a response that shares this connection's timeout."""
        return _Response(self.timeout, *args, **kwargs)

    def _remaining(self) -> float | None:
        return None if self.timeout is None else self.timeout.remaining()


class SecureConnection(Connection, HTTPSConnection):
    """A connection over TLS, perhaps through a proxy's tunnel."""

    @property
    def is_connected(self) -> bool:
        """Whether the connection may be reused. urllib3 2.8 checks only the socket, whose bytes TLS may have read."""
        pending = getattr(self.sock, "pending", None)  # missing with TLS inside a proxy's TLS
        return pending is not None and not pending() and super().is_connected

    def connect(self) -> None:
        """Connect. Raises HandshakeFailed or NewConnectionError for every failure, because no request was sent."""
        try:
            super().connect()
        except (TimeoutError, ReadTimeoutError) as error:
            raise NewConnectionError(self, f"Failed to connect: {error}") from error
        except (ssl.SSLError, urllib3.exceptions.SSLError, ConnectionError) as error:
            raise HandshakeFailed(self, f"TLS handshake failed: {error}") from error
        except http.client.HTTPException as error:
            raise NewConnectionError(self, f"Failed to open a tunnel: {error}") from error
