"""Limit the time that clients of a worker may take, and close their connections cleanly.

The package's docstring lists the changes to gunicorn, each with its reason and its test.

The kernel enforces the limits (SO_RCVTIMEO, SO_SNDTIMEO), which costs no system call per request. Python's own timeouts
cost one for each read and write. With gunicorn's own TLS, Python's timeouts apply, except during the handshake. Its
HTTP/2 has no limits.

Source: gunicorn 27.0.1, `workers/gthread.py` `TConn`, `http/unreader.py` `SocketUnreader`, `http/body.py`,
`http/parser.py` `finish_body`; socket(7); RFC 9112, sections 9.3 and 9.6 (reading bodies, closing).
"""

import contextlib
import socket
import struct
import time
from typing import Any

from gunicorn.http import errors
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn

REQUEST_TIMEOUT = 60.0  # seconds from the first byte of a request to its last
WRITE_TIMEOUT = 30.0  # seconds within which a response must make progress, by at least a byte
MIN_READ_RATE = 10_000  # bytes per second, on average, once a response has blocked for WRITE_TIMEOUT
MAX_HEAD = 72 * 1024  # bytes that may arrive before a request's head ends: 64 KiB, plus one read's part of the body
SOCKET_TIMEOUT = 1.0  # seconds after which the kernel interrupts a read or write, to check the limits above

MAX_DRAIN = 48 * 1024  # bytes of a rejected body that are read so that its connection can be kept alive
DRAIN_TIMEOUT = 1.0  # seconds within which these bytes must arrive

LINGER_TIMEOUT = 2.0  # seconds that a client has to read its last response and close

_RESET = struct.pack("ii", 1, 0)  # for SO_LINGER: discard unsent data


class RequestTimeout(errors.ParseException):
    """The headers of a request did not arrive in time."""


class Connection(TConn):
    """gunicorn's connection with time limits. It is passed to a thread only when there is data to read."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, _Socket(sock.family, sock.type, sock.proto, sock.detach()), client, server)
        self.data_ready = True

    def init(self) -> None:
        """Create the parser, with an unreader that enforces the time limits."""
        if self.initialized:
            return
        super().init()
        if self.is_http2:
            return
        if not self.cfg.is_ssl:
            self._set_socket_timeout(SOCKET_TIMEOUT)
        unreader = (_TlsUnreader if self.cfg.is_ssl else Unreader)(self.sock)
        unreader.buf = self.parser.unreader.buf
        self.parser.unreader = unreader

    def remove_time_limits(self) -> None:
        """Remove the time limits, for a protocol with concurrent requests (HTTP/2)."""
        self._set_socket_timeout(0)

    def _set_socket_timeout(self, seconds: float) -> None:
        timeval = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)


class Unreader(SocketUnreader):
    """gunicorn's reader of a connection, which raises `timeout_error` when a request times out."""

    _receive = SocketUnreader.chunk

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self.start_request()

    def start_request(self) -> None:
        """Start the timeout of a request. Until its headers are complete, `timeout_error` makes gunicorn reject it."""
        self.deadline = time.monotonic() + REQUEST_TIMEOUT
        self.timeout_error: type[Exception] = RequestTimeout
        self._received = 0
        if isinstance(self.sock, _Socket):
            self.sock.start_request()

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return the next bytes, at most `size_hint`, or no bytes at the end of the stream.

        Raises `timeout_error` after the timeout, and LimitRequestHeaders if a head exceeds MAX_HEAD.
        """
        while time.monotonic() < self.deadline:
            try:
                data: bytes = self._receive(size_hint)
            except (BlockingIOError, TimeoutError):
                continue
            self._received += len(data)
            if self._received > MAX_HEAD and self.timeout_error is RequestTimeout:
                raise errors.LimitRequestHeaders("the head is too large")
            return data
        raise self.timeout_error


class _TlsUnreader(Unreader):
    def _receive(self, size_hint: int | None) -> Any:
        self.sock.settimeout(max(self.deadline - time.monotonic(), 0.001))
        try:
            return super()._receive(size_hint)
        finally:
            self.sock.settimeout(WRITE_TIMEOUT)  # for the response


class _Socket(socket.socket):
    """A socket whose writes raise TimeoutError if they make no progress, or if a response takes too long in total.

    A client that reads a few bytes every few seconds would occupy a thread without a limit. So the total time for which
    a response blocks is limited to WRITE_TIMEOUT seconds, plus one second for each MIN_READ_RATE bytes sent.

    gunicorn makes the socket non-blocking while it is in the poller, and blocking afterwards. These two system calls
    per request are useless, because nothing is read before the poller reports data. Here the socket is always
    blocking, and `setblocking` only sets a flag. `send` uses MSG_DONTWAIT if the flag is off.
    """

    _blocking = True
    _blocked_seconds = 0.0
    _sent_bytes = 0

    def start_request(self) -> None:
        """Reset the blocked time and the sent bytes for the next response."""
        self._blocked_seconds, self._sent_bytes = 0.0, 0

    def setblocking(self, flag: bool) -> None:
        self._blocking = flag

    def send(self, data: Any, flags: int = 0) -> int:
        if not self._blocking:
            return super().send(data, flags | socket.MSG_DONTWAIT)
        waited = 0.0
        while True:
            try:
                return super().send(data, flags)
            except BlockingIOError:
                waited += SOCKET_TIMEOUT
                if waited >= WRITE_TIMEOUT:
                    raise TimeoutError from None

    def sendall(self, data: Any, flags: int = 0) -> None:
        sent = self.send(data, flags)
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:], flags)
        self._sent_bytes += sent

    def _send_rest(self, data: memoryview, flags: int) -> None:
        """Send the data that did not fit into the kernel's buffer, within the time limit of the response."""
        started = time.monotonic()
        while data:
            blocked = self._blocked_seconds + time.monotonic() - started
            if blocked > WRITE_TIMEOUT + self._sent_bytes / MIN_READ_RATE:
                raise TimeoutError
            sent = self.send(data, flags)
            self._sent_bytes += sent
            data = data[sent:]
        self._blocked_seconds += time.monotonic() - started


def drain_body(request: Any) -> bool:
    """Read the rest of a request's body, unless it is long. Return whether the body has been read to its end."""
    unreader, body = getattr(request, "unreader", None), request.body
    if not isinstance(unreader, Unreader) or _is_complete(body):  # HTTP/2 ends its bodies itself
        return True
    if body.failed or getattr(body.reader, "length", 0) > MAX_DRAIN or request.should_close():
        return False
    unreader.deadline = min(unreader.deadline, time.monotonic() + DRAIN_TIMEOUT)
    remaining = MAX_DRAIN
    with contextlib.suppress(Exception):  # the body is malformed or late
        while remaining > 0 and (data := body.read(min(remaining, 8192))):
            remaining -= len(data)
    return _is_complete(body)


def _is_complete(body: Any) -> bool:
    # A body with a length counts its remaining bytes. A chunked one drops its parser at its end.
    return not (body.failed or getattr(body.reader, "length", 0) or getattr(body.reader, "parser", None))


def lingering_close(sock: Any) -> None:
    """Close the sending side, then read until the client closes, for at most LINGER_TIMEOUT seconds.

    Closing a socket with unread bytes resets the connection, and the client could lose its response.
    """
    deadline = time.monotonic() + LINGER_TIMEOUT
    with contextlib.suppress(OSError):  # TimeoutError is one
        sock.shutdown(socket.SHUT_WR)
        while (remaining := deadline - time.monotonic()) > 0:
            sock.settimeout(remaining)
            if not sock.recv(65536):
                break
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)  # so that gunicorn closes it without waiting


def reset(sock: Any) -> None:
    """Reset the connection of a client that does not read. Its unsent data would occupy memory for minutes."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        sock.shutdown(socket.SHUT_RDWR)
