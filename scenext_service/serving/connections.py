"""A worker's connections: how long their clients may take, and how they end.

gunicorn waits for a client as long as it likes: for a request of which some bytes came, and for a client that does not
read its answer. Each costs a thread, and whoever opens as many connections as there are threads stops the service.

The kernel keeps the time (SO_RCVTIMEO, SO_SNDTIMEO), which costs no system call for a request; Python's own timeouts
cost one for each read and write. gunicorn's own TLS has Python's, but none for its handshake; its HTTP/2 has none.

Source: gunicorn 27.0.1, `workers/gthread.py` `TConn`, `http/unreader.py` `SocketUnreader`, `http/body.py`,
`http/parser.py` `finish_body`; socket(7); RFC 9112, sections 9.3 and 9.6 (what must be read, how to close).
"""

import contextlib
import socket
import struct
import time
from typing import Any

from gunicorn.http import errors
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn

REQUEST = 60.0  # seconds from the first byte of a request to its last
WRITE = 30.0  # seconds in which an answer must get on, if only by a byte
TICK = 1.0  # seconds after which a read or a write that waits looks at the time

DRAINED = 48 * 1024  # bytes of a refused body that are read, so that its connection can be kept
DRAIN = 1.0  # seconds that they may take

LINGER = 2.0  # seconds in which a client may read its last answer and close

_RESET = struct.pack("ii", 1, 0)  # as SO_LINGER: what is not sent yet is thrown away


class RequestTimeout(errors.ParseException):
    """Indicate a request whose headers did not come in time."""


class Connection(TConn):
    """gunicorn's connection with limits in time. It is handed to a thread only when there is something to read."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, _Socket(sock.family, sock.type, sock.proto, sock.detach()), client, server)
        self.data_ready = True

    def init(self) -> None:
        """Make the parser, with an unreader that minds the time."""
        if self.initialized:
            return
        super().init()
        if self.is_http2:
            return
        if not self.cfg.is_ssl:
            self._tick(TICK)
        unreader = (_TlsUnreader if self.cfg.is_ssl else Unreader)(self.sock)
        unreader.buf = self.parser.unreader.buf
        self.parser.unreader = unreader

    def unlimit(self) -> None:
        """Take the limits away, for a protocol that has requests side by side."""
        self._tick(0)

    def _tick(self, seconds: float) -> None:
        timeval = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)


class Unreader(SocketUnreader):
    """gunicorn's reader of a connection, which raises `failure` once a request's time is over."""

    _receive = SocketUnreader.chunk

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self.begin()

    def begin(self) -> None:
        """Begin to count a request's time. Until its headers are there, it ends in what makes gunicorn refuse it."""
        self.end = time.monotonic() + REQUEST
        self.failure: type[Exception] = RequestTimeout

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return what comes next, at most as much as is asked for; nothing at the end."""
        while time.monotonic() < self.end:
            try:
                data: bytes = self._receive(size_hint)
            except (BlockingIOError, TimeoutError):
                continue
            return data
        raise self.failure


class _TlsUnreader(Unreader):
    def _receive(self, size_hint: int | None) -> Any:
        self.sock.settimeout(max(self.end - time.monotonic(), 0.001))
        try:
            return super()._receive(size_hint)
        finally:
            self.sock.settimeout(WRITE)  # for the answer


class _Socket(socket.socket):
    """A socket whose writes end in a TimeoutError where nothing moves.

    gunicorn makes it non-blocking for the time in its poller, and blocking after that: two system calls for a request,
    and without use, because nothing is read before the poller says so. Here it never is, but writes know of it.
    """

    _blocking = True

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
                waited += TICK
                if waited >= WRITE:
                    raise TimeoutError from None

    def sendall(self, data: Any, flags: int = 0) -> None:
        sent = self.send(data, flags)
        while sent < len(data):
            sent += self.send(memoryview(data)[sent:], flags)


def read_to_its_end(request: Any) -> bool:
    """Return whether a request's body has been read to its end; where little is left, read that first."""
    unreader, body = getattr(request, "unreader", None), request.body
    if not isinstance(unreader, Unreader) or _ended(body):  # HTTP/2 ends its bodies in a way of its own
        return True
    if body.failed or getattr(body.reader, "length", 0) > DRAINED or request.should_close():
        return False
    unreader.end = min(unreader.end, time.monotonic() + DRAIN)
    left = DRAINED
    with contextlib.suppress(Exception):  # it is broken, or late
        while left > 0 and (data := body.read(min(left, 8192))):
            left -= len(data)
    return _ended(body)


def _ended(body: Any) -> bool:
    # A body with a length counts what is left of it; a chunked one lets its parser go at its end.
    return not (body.failed or getattr(body.reader, "length", 0) or getattr(body.reader, "parser", None))


def close_gently(sock: Any) -> None:
    """Close our side, then read until the client closes: closing with unread bytes would lose it the answer."""
    end = time.monotonic() + LINGER
    with contextlib.suppress(OSError):  # TimeoutError is one
        sock.shutdown(socket.SHUT_WR)
        while (left := end - time.monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv(65536):
                break
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)  # so that gunicorn, which closes it, has nothing to wait for


def abandon(sock: Any) -> None:
    """End a connection whose client does not read: what it was sent would keep its memory for minutes."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        sock.shutdown(socket.SHUT_RDWR)
