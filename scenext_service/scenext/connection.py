"""Connections to Scenext: every wait on them, from the name to the last byte, gets what is left of one timeout.

And a response belongs to its request: what http.client takes for the end of one, and is not, ends the connection.

Source: RFC 9110, section 15.2; RFC 9112, sections 6.3 and 9.2; CPython 3.11 to 3.13, `http.client.HTTPResponse`;
urllib3 2.8, `connection.HTTPConnection`.
"""

import contextlib
import http.client
import io
import socket
import ssl
import time
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NameResolutionError, NewConnectionError, ReadTimeoutError
from urllib3.util.connection import allowed_gai_family

from .names import Names

CONNECT_TIMEOUT = 5.0  # seconds for each address of a host, so that a dead one leaves time for the next

LEAST = 0.001  # seconds; 0 would make the socket non-blocking

_NAMES = Names()


class HandshakeFailed(NewConnectionError):
    """Indicate that TLS failed before a request was sent; requests' SSLError also stands for failures after that."""


class _Deadline(HTTPConnection):
    """The part of a connection that counts down: the pool sets `timeout`, and reading it gives the seconds left."""

    sock: Any
    _end: float | None = None  # time.monotonic()

    @property
    def timeout(self) -> float | None:
        return None if self._end is None else max(self._end - time.monotonic(), LEAST)

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers; urllib3 would give each of them the whole time."""
        try:
            found = _NAMES.addresses(self._dns_host, self.port, allowed_gai_family(), self.timeout)
        except OSError as error:
            raise NameResolutionError(self.host, self, socket.gaierror(str(error))) from error
        failure: OSError = TimeoutError("no time left")
        for family, kind, protocol, _, address in found:
            left = self.timeout
            if left == LEAST:
                break
            sock = None
            try:
                sock = socket.socket(family, kind, protocol)
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(CONNECT_TIMEOUT if left is None else min(left, CONNECT_TIMEOUT))
                sock.connect(address)
            except OSError as error:
                if sock is not None:
                    sock.close()
                failure = error.with_traceback(None)  # which holds this frame, and the frame the error
                continue
            sock.settimeout(self.timeout)  # for the TLS handshake
            return sock
        raise NewConnectionError(self, f"Failed to connect: {failure}") from failure

    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(self.timeout)
        try:
            super().send(data)
        except TimeoutError as error:
            pool: Any = None
            raise ReadTimeoutError(pool, "", "Write timed out.") from error


class _Reader(io.RawIOBase):
    """A socket's raw file that gives each read what is left of the timeout that the socket had at the start."""

    ended = False  # with the response, after which nothing is read

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        timeout = sock.gettimeout()
        self._end = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.ended:
            return 0
        if self._end is not None:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """A response whose status line, headers and body share one timeout, and after which nothing of it is left."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._sock = sock
        self._reader = _Reader(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._reader)

    def _read_status(self) -> tuple[str, int, str]:
        """Read up to the final status. http.client skips 100 alone, and takes any other 1xx for a whole response."""
        parent: Any = super()
        while True:
            version, status, reason = parent._read_status()
            if status == 101:
                raise http.client.BadStatusLine("101, which was not asked for")
            if not 100 < status < 200:
                return version, status, reason
            http.client.parse_headers(self.fp)

    def begin(self) -> None:
        """Read the headers. http.client keeps connections on which the end of a response is not certain."""
        super().begin()
        framings = [name for name in self.headers if name.lower() in ("content-length", "transfer-encoding")]
        if len(framings) != 1 or self.status in (204, 304):
            self.will_close = True

    def _close_conn(self) -> None:
        """End the response; with bytes behind it, the connection too: http.client forgets those that it has read."""
        self._reader.ended = True
        if self.fp.peek(1):
            with contextlib.suppress(OSError):  # it has ended already
                self._sock.shutdown(socket.SHUT_RDWR)
        parent: Any = super()
        parent._close_conn()


class Connection(_Deadline):
    """A plain connection."""

    response_class = _Response


class SecureConnection(_Deadline, HTTPSConnection):
    """A connection over TLS, perhaps through a proxy's tunnel."""

    response_class = _Response

    @property
    def is_connected(self) -> bool:
        """Whether another request may follow. urllib3 asks the socket, which TLS may have emptied already."""
        pending = getattr(self.sock, "pending", None)  # not there: TLS inside of a proxy's TLS
        return pending is not None and not pending() and super().is_connected

    def connect(self) -> None:
        """Connect. Raises HandshakeFailed or NewConnectionError: whatever goes wrong here, no request was sent."""
        try:
            super().connect()
        except (TimeoutError, ReadTimeoutError) as error:
            raise NewConnectionError(self, f"Failed to connect: {error}") from error
        except (ssl.SSLError, urllib3.exceptions.SSLError, ConnectionError) as error:
            raise HandshakeFailed(self, f"TLS handshake failed: {error}") from error
        except http.client.HTTPException as error:
            raise NewConnectionError(self, f"Failed to open a tunnel: {error}") from error
