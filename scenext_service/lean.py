"""requests' transport adapter without what a client of one JSON API never uses.

Of the CPU time of a call, requests spends a third on looking up anew what stays the same from call to call, and on
parts of its Response that nobody reads here. urllib3 adds locks for threads that wait for a connection: none does.

Source: requests 2.34, `adapters.HTTPAdapter`, the methods that are "exposed for use when subclassing"; measured with
benchmarks/run.py.
"""

import queue
from collections import deque
from typing import Any

import requests
from requests.adapters import HTTPAdapter


class Stack:
    """A pool's idle connections, last in, first out. queue.LifoQueue can wait for one, and pays for it each time.

    Source: urllib3 2.8, `connectionpool.ConnectionPool.QueueCls`, `HTTPConnectionPool._get_conn` and `_put_conn`.
    """

    def __init__(self, maxsize: int) -> None:
        self._items: deque[Any] = deque(maxlen=maxsize)

    def get(self, block: bool = False, timeout: Any = None) -> Any:
        """Return the newest. Raises queue.Empty."""
        try:
            return self._items.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, item: Any, block: bool = False) -> None:
        """Add a connection."""
        self._items.append(item)


class LeanAdapter(HTTPAdapter):
    """An adapter that finds its pool once, and whose responses have no encoding, no cookies and no reason."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pools: dict[Any, Any] = {}

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """Return the pool for the request's origin and these settings."""
        origin = request.url.split("/", 3)[:3]
        key = (*origin, verify, cert, *(proxies or {}).items())
        pool = self._pools.get(key)
        if pool is None:
            pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
            super().cert_verify(pool, request.url, verify, cert)
            self._pools[key] = pool
        return pool

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the pool was told when it was made how to verify certificates."""

    def request_url(self, request: Any, proxies: Any) -> Any:
        """Return what stands in the request line: the path, or the whole URL for a proxy."""
        return super().request_url(request, proxies) if proxies else request.path_url

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """Return the response as requests does, less encoding, cookies and reason."""
        return _Response(req, resp)

    def close(self) -> None:
        """Close the connections that are not in use; the next request opens new ones."""
        self._pools.clear()
        super().close()


class _Response(requests.Response):
    """A response without what requests makes for each: a jar for cookies alone takes longer than all that is here."""

    _content = _content_consumed = False  # what `close` and `content` go by
    encoding: Any = None
    reason: Any = None

    def __init__(self, request: Any, raw: Any) -> None:
        self.history = []
        self.status_code = raw.status
        self.headers = raw.headers
        self.raw = raw
        self.url = request.url
        self.request = request
