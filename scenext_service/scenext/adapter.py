"""requests' transport adapter for one JSON API and many callers, whose connections never meet.

A connection that carried one key never carries another: whatever goes wrong on it, a response that comes late or twice
cannot reach another caller. Idle connections are kept by key. That costs 2 % of a call where all have one key, and a
new connection where the key is new (benchmarks/run.py, "another key in every request").

And it looks the pool up once, where requests does so for every call, and makes no part of a Response that is not read
here (benchmarks/prices.py, "pool looked up once", "request target").

Source: requests 2.34, `adapters.HTTPAdapter`, the methods that are "exposed for use when subclassing"; urllib3 2.8,
`connectionpool.HTTPConnectionPool` and `response.HTTPResponse.release_conn`.
"""

import queue
import threading
from collections import deque
from hashlib import sha256
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter


class Idle:
    """A pool's idle connections, each with its owner; beyond `maxsize` of them the oldest is closed.

    It takes the place of urllib3's queue, `connectionpool.ConnectionPool.QueueCls`.
    """

    def __init__(self, maxsize: int) -> None:
        self._most = maxsize
        self._kept: deque[tuple[bytes, Any]] = deque()  # the oldest first
        self._lock = threading.Lock()

    def take(self, owner: bytes) -> Any:
        """Return the owner's newest connection: the others grow old together, and end together. Raises queue.Empty."""
        with self._lock:
            for place in reversed(range(len(self._kept))):
                if self._kept[place][0] == owner:
                    connection = self._kept[place][1]
                    del self._kept[place]
                    return connection
        raise queue.Empty

    def give(self, owner: bytes, connection: Any) -> None:
        """Keep a connection for its owner."""
        oldest = None
        with self._lock:
            self._kept.append((owner, connection))
            if len(self._kept) > self._most:
                oldest = self._kept.popleft()[1]
        if oldest is not None:
            oldest.close()

    def get(self, block: bool = False, timeout: Any = None) -> Any:
        """Return any of them: the pool is being closed. Raises queue.Empty."""
        try:
            return self._kept.popleft()[1]
        except IndexError:
            raise queue.Empty from None

    def put(self, item: None, block: bool = False) -> None:
        """Do nothing: a new pool puts in a None for each connection that it may open."""


class _Lease:
    """A pool's queue as one request sees it: with its owner's connections only, or with none where `owner` is None."""

    def __init__(self, idle: Idle, owner: bytes | None) -> None:
        self._idle = idle
        self._owner = owner

    def get(self, block: bool = False, timeout: Any = None) -> Any:
        if self._owner is None:
            raise queue.Empty
        return self._idle.take(self._owner)

    def put(self, connection: Any, block: bool = False) -> None:
        if connection is None or connection.is_closed:  # the request failed, or its response ends the connection
            return
        if self._owner is None:
            connection.close()
        else:
            self._idle.give(self._owner, connection)


class Lending:
    """What a pool needs to lend its connections by owner."""

    pool: Any
    QueueCls: Any = Idle

    def lend(self, owner: bytes | None) -> Self:
        """Return this pool as one request of that owner sees it; of None, with a connection of its own."""
        view = object.__new__(type(self))
        vars(view).update(vars(self), pool=_Lease(self.pool, owner))
        return view


class LeanAdapter(HTTPAdapter):
    """An adapter that looks a pool up once, and whose responses have no encoding, no cookies and no reason.

    A request other than GET may not be repeated, so it gets a new connection, which ends with it.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pools: dict[Any, Any] = {}

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """Return the pool for the request's origin and these settings, with the connections of the request's key."""
        origin = request.url.split("/", 3)[:3]
        key = (*origin, verify, cert, *(proxies or {}).items())
        pool: Any = self._pools.get(key)
        if pool is None:
            pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
            super().cert_verify(pool, request.url, verify, cert)
            self._pools[key] = pool
        return pool.lend(_owner(request))

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the pool was told when it was made how to verify certificates."""

    def request_url(self, request: Any, proxies: Any) -> Any:
        """Return the target in the request line: the path, or the whole URL for a proxy."""
        return super().request_url(request, proxies) if proxies else request.path_url

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """Return the response as requests does, less encoding, cookies and reason."""
        return _Response(req, resp)

    def close(self) -> None:
        """Close the connections that are not in use; the next request opens new ones."""
        self._pools.clear()
        super().close()


def _owner(request: Any) -> bytes | None:
    """Return a digest of the key: connections outlive the calls, and the callers' keys should not."""
    if request.method != "GET":
        return None
    return sha256(request.headers.get("Authorization", "").encode("latin-1")).digest()


class _Response(requests.Response):
    """A response without what requests makes for each, such as a jar for cookies.

    `close` gives its connection back, and not, as with urllib3, the last byte: until then, `raw.close()` ends a
    connection whose response turns out to be another request's.
    """

    _content = _content_consumed = False  # read by `content`
    encoding: Any = None
    reason: Any = None

    def __init__(self, request: Any, raw: Any) -> None:
        self.history = []
        self.status_code = raw.status
        self.headers = raw.headers
        self.raw = raw
        self.url = request.url
        self.request = request
        self._lender, raw._pool = raw._pool, None

    def close(self) -> None:
        """Give the connection back where it was read to its end; end it where it was not."""
        if self.raw.closed:
            self._lender.pool.put(self.raw.connection)
            self.raw._connection = None
        else:
            self.raw.close()
