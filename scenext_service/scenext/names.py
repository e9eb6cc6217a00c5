"""Name look-ups that end in time: `socket.getaddrinfo` has no timeout, and a resolver may stall for half a minute.

A look-up runs in a thread of its own, which cannot be ended. So there is one for a name at a time, and those who want
the name meanwhile wait for that one, each for as long as its own time lasts.
"""

import ipaddress
import socket
import threading
import time
from concurrent.futures import Future
from typing import Any, NamedTuple

STUCK = 30.0  # seconds; a look-up that takes longer is not waited for by those who come then


class _LookUp(NamedTuple):
    begun: float  # time.monotonic()
    found: "Future[Any]"  # the addresses, or the error as a value: raised in two threads, it would tie one to the other


class Names:
    """Looks names up; shared by all threads. It keeps no result: that is the resolver's business."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[tuple[Any, ...], _LookUp] = {}

    def addresses(self, host: str, port: int, family: int, seconds: float | None) -> list[Any]:
        """Return what `socket.getaddrinfo` finds for a stream socket. Raises OSError; TimeoutError is one."""
        query = (host, port, family, socket.SOCK_STREAM)
        found = _find(query) if _is_address(host) else self._look_up(query).result(seconds)
        if isinstance(found, Exception):
            raise OSError(str(found)) from found
        return list(found)

    def _look_up(self, query: tuple[Any, ...]) -> "Future[Any]":
        now = time.monotonic()
        with self._lock:
            look_up = self._under_way.get(query)
            if look_up is not None and now - look_up.begun < STUCK:
                return look_up.found
            look_up = self._under_way[query] = _LookUp(now, Future())
        try:
            threading.Thread(target=self._run, args=(query, look_up), daemon=True).start()
        except RuntimeError:  # the platform allows no more threads: then without a limit
            self._run(query, look_up)
        return look_up.found

    def _run(self, query: tuple[Any, ...], look_up: _LookUp) -> None:
        found = _find(query)
        with self._lock:
            if self._under_way.get(query) is look_up:
                del self._under_way[query]
        look_up.found.set_result(found)


def _find(query: tuple[Any, ...]) -> Any:
    try:
        return socket.getaddrinfo(*query)
    except (OSError, UnicodeError) as error:
        return error.with_traceback(None)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
