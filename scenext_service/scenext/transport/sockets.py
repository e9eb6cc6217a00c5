"""Open a socket: look the name up, then connect to the first address that answers, all within one deadline.

`socket.getaddrinfo` has no timeout, and a resolver may stall for half a minute. A lookup therefore runs in its own
thread. The thread cannot be stopped, so concurrent callers share one lookup of the same name, and each waits for it no
longer than its own timeout.

A dead address usually drops packets, so an attempt to connect ends only at its timeout. Each further attempt therefore
starts after a short delay, in parallel with those in progress, and the first one that succeeds wins.

Source: RFC 8305 ("Happy Eyeballs Version 2"), sections 4 and 5.
"""

import ipaddress
import itertools
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple, Self

SHARED_LOOKUP_TIME = 30.0  # seconds; new callers do not share a lookup that is older, and start another

ATTEMPT_DELAY = 0.25  # seconds from one attempt to the next; RFC 8305, section 5, recommends this value
ATTEMPT_TIMEOUT = 5.0  # seconds for one attempt; a lost SYN is sent again after 1 s and after 3 s


class _Lookup(NamedTuple):
    started: float  # time.monotonic()
    result: "Future[Any]"  # addresses, or an error as a value: threads that raise the same one share its traceback


class Resolver:
    """Name lookups in progress. Thread-safe. Results are not cached, because the system's resolver does that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lookups: dict[tuple[Any, ...], _Lookup] = {}

    def resolve(self, host: str, port: int, family: int, timeout: float | None) -> list[Any]:
        """Return `socket.getaddrinfo`'s results for a stream socket. `timeout` is in seconds; None means no limit.

        Raises OSError, of which TimeoutError is a subclass.
        """
        query = (host, port, family, socket.SOCK_STREAM)
        result = _getaddrinfo(query) if _is_ip_address(host) else self._lookup(query).result(timeout)
        if isinstance(result, Exception):
            raise OSError(str(result)) from result
        return list(result)

    def _lookup(self, query: tuple[Any, ...]) -> "Future[Any]":
        now = time.monotonic()
        with self._lock:
            lookup = self._lookups.get(query)
            if lookup is not None and now - lookup.started < SHARED_LOOKUP_TIME:
                return lookup.result
            lookup = self._lookups[query] = _Lookup(now, Future())
        try:
            threading.Thread(target=self._run, args=(query, lookup), daemon=True).start()
        except RuntimeError:  # the platform allows no more threads, so look up without a timeout
            self._run(query, lookup)
        return lookup.result

    def _run(self, query: tuple[Any, ...], lookup: _Lookup) -> None:
        result = _getaddrinfo(query)
        with self._lock:
            if self._lookups.get(query) is lookup:
                del self._lookups[query]
        lookup.result.set_result(result)


def _getaddrinfo(query: tuple[Any, ...]) -> Any:
    try:
        return socket.getaddrinfo(*query)
    except (OSError, UnicodeError) as error:
        return error.with_traceback(None)


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def connect(addresses: Sequence[Any], options: Iterable[Any], end: float) -> socket.socket:
    """Connect to one of the addresses, in `socket.getaddrinfo`'s format; return the socket, which is non-blocking.

    `options` are arguments of `setsockopt`. `end` is the time.monotonic() at which all attempts stop. Raises OSError.
    """
    with _Attempts(options) as attempts:
        untried = deque(_interleaved(addresses))
        while (untried or attempts.pending) and (now := time.monotonic()) < end:
            if untried and now >= attempts.next_start:
                attempts.start(untried.popleft(), now)
            connected = attempts.wait(min(end, attempts.next_start) if untried else end)
            if connected is not None:
                return connected
        raise attempts.failure


def _interleaved(addresses: Sequence[Any]) -> list[Any]:
    """Alternate between the address families, starting with the one that the resolver prefers."""
    families: dict[int, list[Any]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    return [address for each in itertools.zip_longest(*families.values()) for address in each if address is not None]


class _Attempts:
    """The attempts of one call. On exit, every socket is closed except the connected one that `wait` returned.

    One selector watches all of them in the calling thread. It is a `DefaultSelector`, because `select.select` fails
    from descriptor 1024 on, and because gevent replaces `DefaultSelector` with a cooperative one.
    """

    def __init__(self, options: Iterable[Any]) -> None:
        self.failure: OSError = TimeoutError("timed out")  # the latest one
        self.pending: dict[socket.socket, float] = {}  # the end of each attempt, a time.monotonic()
        self.next_start = 0.0  # a time.monotonic()
        self._options = options
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._selector.close()
        for sock in self.pending:
            sock.close()

    def start(self, address: Any, now: float) -> None:
        """Start an attempt to connect."""
        family, kind, protocol, _, target = address
        self.next_start = now + ATTEMPT_DELAY
        sock = None
        try:
            sock = socket.socket(family, kind, protocol)
            for option in self._options:
                sock.setsockopt(*option)
            sock.setblocking(False)
            with suppress(BlockingIOError):
                sock.connect(target)
            self._selector.register(sock, selectors.EVENT_WRITE)
            self.pending[sock] = now + ATTEMPT_TIMEOUT
        except OSError as error:
            if sock is not None:
                sock.close()
            self._fail(error)

    def wait(self, until: float) -> socket.socket | None:
        """Wait until an attempt ends, at most until `until`, a time.monotonic(). Return the socket if it succeeded."""
        if not self.pending:
            return None
        until = min(until, *self.pending.values())
        for key, _ in self._selector.select(max(until - time.monotonic(), 0.0)):
            sock: socket.socket = key.fileobj  # type: ignore[assignment]
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                del self.pending[sock]
                return sock
            self._drop(sock, OSError(code, os.strerror(code)))
        now = time.monotonic()
        for sock in [sock for sock, end in self.pending.items() if end <= now]:
            self._drop(sock, TimeoutError("timed out"))
        return None

    def _drop(self, sock: socket.socket, error: OSError) -> None:
        del self.pending[sock]
        self._selector.unregister(sock)
        sock.close()
        self._fail(error)

    def _fail(self, error: OSError) -> None:
        self.failure = error.with_traceback(None)  # the traceback's frame references this object
        self.next_start = 0.0  # the next attempt need not wait
