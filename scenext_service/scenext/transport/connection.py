"""Connections to Scenext whose every wait, from the name lookup to the last byte, gets the rest of one timeout.

A response on them belongs to its request: if the end of a response is uncertain, the connection is not reused.

Source: RFC 9110, section 15.2; RFC 9112, sections 6.3 and 9.2; CPython 3.11 to 3.13, `http.client.HTTPResponse`;
urllib3 2.8, `connection.HTTPConnection`.
"""

import contextlib
import http.client
import io
import math
import socket
import ssl
import time
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NameResolutionError, NewConnectionError, ReadTimeoutError
from urllib3.util.connection import allowed_gai_family

from .sockets import Resolver, connect

MIN_TIMEOUT = 0.001  # seconds; 0 would make the socket non-blocking

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


class _Response(http.client.HTTPResponse):
    """A response whose status line, headers and body share one timeout. Bytes after its end close the connection."""

    def __init__(self, timeout: TotalTimeout | None, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._sock = sock
        self._reader = _Reader(self.fp.detach(), sock, timeout)
        self.fp = io.BufferedReader(self._reader)

    def _read_status(self) -> tuple[str, int, str]:
        """Read up to the final status. http.client skips only 100, and treats any other 1xx as a final response."""
        parent: Any = super()
        while True:
            version, status, reason = parent._read_status()
            if status == 101:
                raise http.client.BadStatusLine("101 without a request to upgrade")
            if not 100 < status < 200:
                return version, status, reason
            http.client.parse_headers(self.fp)

    def begin(self) -> None:
        """Read the headers. http.client keeps connections with ambiguous framing, so mark them to be closed."""
        super().begin()
        names = [*map(str.lower, self.headers.keys())]
        if names.count("content-length") + names.count("transfer-encoding") != 1 or self.status in (204, 304):
            self.will_close = True

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
