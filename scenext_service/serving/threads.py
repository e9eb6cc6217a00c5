"""The threads of a worker.

concurrent.futures makes a Future for each request, with locks for those who wait for it; here none does. And a worker
that may not start another thread would die with all that it holds; here the request waits for a free one.
"""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)


class Threads:
    """Up to `most` threads that call `serve` with what is submitted, each started when all others are busy.

    `finish` gets what was submitted and what came of it. The threads are daemons: at the end the worker has waited for
    them already, for as long as `graceful_timeout` says.
    """

    def __init__(self, most: int, serve: Callable[[Any], Any], finish: Callable[[Any, Any], None]) -> None:
        self._most = most
        self._serve = serve
        self._finish = finish
        self._work: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._started = 0
        self._idle = 0  # idle threads; negative when connections wait
        self._lock = threading.Lock()  # for `_idle`

    def submit(self, conn: Any) -> None:
        """Have a connection served. Only the thread that accepts calls this."""
        self._work.put(conn)
        with self._lock:
            self._idle -= 1
            needed = self._idle < 0
        if needed and self._started < self._most:
            self._start()

    def _start(self) -> None:
        try:
            threading.Thread(target=self._run, daemon=True).start()
        except RuntimeError:  # the platform allows no more
            if not self._started:
                raise
            log.warning("cannot start more than %d threads; requests wait for a free one", self._started)
            return
        self._started += 1
        with self._lock:
            self._idle += 1

    def _run(self) -> None:
        while True:
            conn = self._work.get()
            kept = self._serve(conn)
            # Count this thread as idle first: the next request may arrive at once.
            with self._lock:
                self._idle += 1
            self._finish(conn, kept)

    def shutdown(self, wait: bool) -> None:
        """Do nothing: the threads are daemons."""
