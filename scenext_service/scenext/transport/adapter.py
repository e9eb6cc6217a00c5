"""A requests transport adapter for one JSON API and many callers: one deadline for a call, and connections by key.

The timeout limits the whole call. requests and urllib3 restart their read timeout with every byte, and their connect
timeout with every address of a host, so a slow-drip upstream can hold a thread without limit. Here every wait, from the
name lookup to the last byte of the body, gets the rest of one timeout.

A connection is never reused for another key, so whatever goes wrong on it, a late or duplicate response cannot reach
another caller. This costs 2 % of a call if all calls use one key, and a new connection for each new key
(benchmarks/run.py, "another key in every request").

The adapter looks the pool up once, whereas requests does so for every call. It does not create the parts of a Response
that this package does not read (benchmarks/prices.py, "pool looked up once", "request target").

Source: measured against a slow-drip server; requests 2.34, `adapters.HTTPAdapter`, the methods that are "exposed for
use when subclassing"; urllib3 2.8, `connectionpool.HTTPConnectionPool` and `response.HTTPResponse.release_conn`.
"""

import queue
import threading
import time
from collections import deque
from functools import partial
from hashlib import sha256
from types import SimpleNamespace
from typing import Any, NamedTuple, Self

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from .connection import Connection, SecureConnection, TotalTimeout


class Deadline(NamedTuple):
    """The end of a call, as a time.monotonic(), and its total time in seconds."""

    end: float
    seconds: float

    def remaining(self) -> float:
        """Return the remaining seconds, negative after the end."""
        return self.end - time.monotonic()


class DeadlineAdapter(HTTPAdapter):
    """An adapter with up to `pool_size` idle connections and no retries. `send(timeout=…)` is the total in seconds.

    Its responses have no encoding, cookies or reason. A request other than GET must not be repeated, so it gets a new
    connection, which is closed afterwards.
    """

    def __init__(self, pool_size: int) -> None:
        retries = urllib3.Retry(0, read=False)
        super().__init__(pool_connections=1, pool_maxsize=pool_size, max_retries=retries)
        self._pools: dict[Any, Any] = {}

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create the pool manager, with this module's pools."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pool manager of a proxy, with this module's pools."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: Any, stream: bool = False, timeout: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Send the request. Raises the same exceptions as HTTPAdapter.send."""
        total: Any = None if timeout is None else _SharedTimeout(timeout)
        return super().send(request, stream, total, *args, **kwargs)

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """Return the pool for the request's origin and these settings, limited to connections of the request's key."""
        origin = request.url.split("/", 3)[:3]
        key = (*origin, verify, cert, *(proxies or {}).items())
        pool: Any = self._pools.get(key)
        if pool is None:
            pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
            super().cert_verify(pool, request.url, verify, cert)
            self._pools[key] = pool
        return pool.view_for(_owner(request))

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing, because a pool gets its certificate settings when it is created."""

    def request_url(self, request: Any, proxies: Any) -> Any:
        """Return the target in the request line: the path, or the whole URL for a proxy."""
        return super().request_url(request, proxies) if proxies else request.path_url

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """Return the response as requests does, without encoding, cookies and reason."""
        return _Response(req, resp)

    def close(self) -> None:
        """Close the idle connections. The next request opens new ones."""
        self._pools.clear()
        super().close()


def _owner(request: Any) -> bytes | None:
    """Return a digest of the request's key, because connections outlive calls and keys should not; None unless GET."""
    if request.method != "GET":
        return None
    return sha256(request.headers.get("Authorization", "").encode("latin-1")).digest()


class IdleConnections:
    """A pool's idle connections, each with its owner. If there are more than `maxsize`, the oldest is closed.

    Thread-safe. Replaces urllib3's queue, `connectionpool.ConnectionPool.QueueCls`. `take` and `give` accept the
    arguments of a queue's `get` and `put`, and ignore them.
    """

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self._idle: deque[tuple[bytes, Any]] = deque()  # oldest first
        self._lock = threading.Lock()

    def take(self, owner: bytes | None, block: bool = False, timeout: Any = None) -> Any:
        """Return the owner's newest connection, so that unneeded ones stay idle and expire. Raises queue.Empty."""
        with self._lock:
            for index in reversed(range(len(self._idle))):
                if self._idle[index][0] == owner:
                    connection = self._idle[index][1]
                    del self._idle[index]
                    return connection
        raise queue.Empty

    def give(self, owner: bytes | None, connection: Any, block: bool = False) -> None:
        """Keep a connection for its owner, or close it if there is none. `connection` is None after a failure."""
        if connection is None or connection.sock is None:  # the response may have closed the connection
            return
        excess = connection
        if owner is not None:
            with self._lock:
                self._idle.append((owner, connection))
                excess = self._idle.popleft()[1] if len(self._idle) > self._maxsize else None
        if excess is not None:
            excess.close()

    def get(self, block: bool = False, timeout: Any = None) -> Any:
        """Return any connection; urllib3 calls this when it closes the pool. Raises queue.Empty."""
        try:
            return self._idle.popleft()[1]
        except IndexError:
            raise queue.Empty from None

    def put(self, item: None, block: bool = False) -> None:
        """Do nothing, because a new pool puts in one None for each connection that it may open."""


class PerKeyPoolMixin:
    """Mixin for connection pools that keep idle connections by owner."""

    pool: Any
    QueueCls: Any = IdleConnections

    def view_for(self, owner: bytes | None) -> Self:
        """Return a view of this pool for one request of `owner`; with None, the request gets a new connection."""
        view = object.__new__(type(self))
        idle = SimpleNamespace(get=partial(self.pool.take, owner), put=partial(self.pool.give, owner))
        vars(view).update(vars(self), pool=idle)
        return view


class _Pool(PerKeyPoolMixin, HTTPConnectionPool):
    ConnectionCls = Connection


class _SecurePool(PerKeyPoolMixin, HTTPSConnectionPool):
    ConnectionCls = SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}


class _SharedTimeout(urllib3.Timeout):
    """One timeout for connecting and reading. urllib3 2.8 restarts its own once a proxy's tunnel is open."""

    connect_timeout: Any = None
    read_timeout: Any = None

    def __init__(self, seconds: float) -> None:
        self.connect_timeout = self.read_timeout = TotalTimeout(seconds)

    def clone(self) -> "_SharedTimeout":
        return self

    def start_connect(self) -> float:
        return 0.0  # not used, because the timeout counts from its creation


class _Response(requests.Response):
    """A response without the parts that requests creates for each one, such as a cookie jar.

    The connection returns to the pool on `close()`, not at the last byte as with urllib3 2.8. Until then, `raw.close()`
    can still discard it if the response turns out to belong to another request.
    """

    _content = _content_consumed = False  # read by the property `content`
    encoding: Any = None
    reason: Any = None

    def __init__(self, request: Any, raw: Any) -> None:
        self.history = []
        self.status_code = raw.status
        self.headers = raw.headers
        self.raw = raw
        self.url = request.url
        self.request = request
        self._pool, raw._pool = raw._pool, None

    def close(self) -> None:
        """Return the connection to the pool if the body was read to its end; otherwise close it."""
        if self.raw.closed:
            self._pool.pool.put(self.raw._connection)
            self.raw._connection = None
        else:
            self.raw.close()
