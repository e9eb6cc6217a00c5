"""A requests transport adapter whose timeout bounds the whole call, not the silence between two bytes.

`requests` and urllib3 start their read timeout anew with every byte that arrives, and their connect timeout with every
address of a host; an upstream that drips can hold a thread for as long as it likes. Here every wait on the socket, from
connect to the last byte of the body, gets what is left of one timeout.

Source: measured against a dripping server; urllib3 2.8, `connectionpool.HTTPConnectionPool._make_request`.
"""

import http.client
import io
import socket
import ssl
import time
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.connection import allowed_gai_family

from .lean import LeanAdapter, Stack

CONNECT_TIMEOUT = 5.0  # seconds for each address of a host, so that a dead one leaves time for the next

_LEAST = 0.001  # seconds; 0 would make the socket non-blocking

_SLACK = 0.01  # seconds that one wait may pass the deadline


class HandshakeFailed(urllib3.exceptions.NewConnectionError):
    """Indicate that TLS failed before a request was sent; requests' SSLError also stands for failures after that."""


class DeadlineAdapter(LeanAdapter):
    """An adapter of `pool_size` kept connections. `send(timeout=…)` is the total in seconds, and nothing is retried."""

    def __init__(self, pool_size: int) -> None:
        retries = urllib3.Retry(0, read=False)
        super().__init__(pool_connections=1, pool_maxsize=pool_size, max_retries=retries)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool manager, with our connections in it."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make or find the pool manager of a proxy, with our connections in it."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: Any, stream: bool = False, timeout: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Send the request. Raises what HTTPAdapter.send raises."""
        total: Any = None if timeout is None else _Total(timeout)
        return super().send(request, stream, total, *args, **kwargs)


class _Total(urllib3.Timeout):
    """A timeout that counts from its making: the pool starts its own anew when a proxy's tunnel is open."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self._end = time.monotonic() + seconds

    def clone(self) -> "_Total":
        return self

    def start_connect(self) -> float:
        return time.monotonic()

    @property
    def connect_timeout(self) -> float:
        return max(self._end - time.monotonic(), _LEAST)

    read_timeout = connect_timeout


class _Deadline:
    """The part of a connection that counts down: the pool sets `timeout`, and reading it gives the seconds left."""

    host: str
    port: int
    sock: Any
    socket_options: Any
    _dns_host: str
    _end: float | None = None  # time.monotonic()

    @property
    def timeout(self) -> float | None:
        return None if self._end is None else max(self._end - time.monotonic(), _LEAST)

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers; urllib3 would give each of them the whole time."""
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, allowed_gai_family(), socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise urllib3.exceptions.NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]
        failure: OSError | None = None
        for family, kind, protocol, _, address in found:
            left = self.timeout
            if left == _LEAST:
                break
            sock = socket.socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(CONNECT_TIMEOUT if left is None else min(left, CONNECT_TIMEOUT))
                sock.connect(address)
            except OSError as error:
                sock.close()
                failure = error
                continue
            sock.settimeout(self.timeout)  # for the TLS handshake
            return sock
        raise urllib3.exceptions.NewConnectionError(self, f"Failed to connect: {failure}") from failure  # type: ignore[arg-type]

    def send(self, data: Any) -> None:
        if self.sock is not None:
            _limit(self.sock, self.timeout)
        try:
            super().send(data)  # type: ignore[misc]
        except TimeoutError as error:
            raise urllib3.exceptions.ReadTimeoutError(None, "", "Write timed out.") from error  # type: ignore[arg-type]


def _limit(sock: socket.socket, left: float | None) -> None:
    """Let the next wait on a socket end with the time that is left. To set it costs a system call, to look does not."""
    current = sock.gettimeout()
    if left is None or current is None or abs(current - left) > _SLACK:
        sock.settimeout(left)


class _Reader(io.RawIOBase):
    """A socket's raw file that gives each read what is left of the timeout that the socket had at the start."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        timeout = sock.gettimeout()
        self._end = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._end is not None:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            _limit(self._sock, left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """A response whose status line, headers and body share one timeout."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock))


class _Connection(_Deadline, HTTPConnection):
    response_class = _Response


class _SecureConnection(_Deadline, HTTPSConnection):
    response_class = _Response

    def connect(self) -> None:
        try:
            super().connect()
        except (ssl.SSLError, urllib3.exceptions.SSLError, ConnectionError) as error:
            raise HandshakeFailed(self, f"TLS handshake failed: {error}") from error


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection
    QueueCls = Stack  # type: ignore[assignment]


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection
    QueueCls = Stack  # type: ignore[assignment]


_POOLS = {"http": _Pool, "https": _SecurePool}
