"""A requests transport adapter whose timeout bounds the whole call, not the silence between two bytes.

`requests` and urllib3 start their read timeout anew with every byte that arrives, and their connect timeout with every
address of a host; a Scenext that drips can hold a thread for as long as it likes. Here every wait on the socket, from
the look-up of the name to the last byte of the body, gets what is left of one timeout.

Source: measured against a dripping server; urllib3 2.8, `connectionpool.HTTPConnectionPool._make_request`.
"""

import time
from typing import Any, NamedTuple

import urllib3
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from .adapter import LeanAdapter, Lending
from .connection import LEAST, Connection, SecureConnection


class Deadline(NamedTuple):
    """The end of a call, as a time.monotonic(), and the seconds that it has in all."""

    end: float
    seconds: float

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.end - time.monotonic()


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
        return max(self._end - time.monotonic(), LEAST)

    read_timeout = connect_timeout


class _Pool(Lending, HTTPConnectionPool):
    ConnectionCls = Connection


class _SecurePool(Lending, HTTPSConnectionPool):
    ConnectionCls = SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}
