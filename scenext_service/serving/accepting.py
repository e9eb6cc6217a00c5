"""How a worker takes new connections: gunicorn's threaded worker with five changes.

- A worker leaves new connections to the others, the more the more it has. The one that is awake would accept all that
  come at once, while the others are still waking up, and one of two cores would have nothing to do.
- A worker outlives a connection for which there is no descriptor left. gunicorn's dies, with all that it holds.
- A new connection has no thread until there is something to read. gunicorn's has one for 5 s, and waits in the poller
  for 95 s more: a few hundred silent ones take all threads.
- At the end, silent connections have as long as idle ones. gunicorn gives them the whole `graceful_timeout`.
- At the end, it takes who came before, and listens no more. gunicorn's goes on listening, takes nobody, and hangs up on
  all of them when it goes: callers whom a router would have sent elsewhere, had they been refused.

Source: gunicorn 27.0.1, `workers/gthread.py` `accept`, `handle`, `murder_pending` and `run`; accept(2), epoll_ctl(2).
"""

import errno
import logging
import selectors
import time
from functools import partial
from typing import Any

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from .connections import Connection

log = logging.getLogger(__name__)

ACCEPT_DELAY = 0.00005  # seconds for each connection that a worker has, before it takes another
MAX_ACCEPT_DELAY = 0.001  # seconds

# Seconds until a connection on which nothing was said is closed; gunicorn looks for them once a second, so it is 10.
SILENT = 9.0

NOT_THERE = {errno.EAGAIN, errno.ECONNABORTED}  # another worker took the connection, or its client left
SHORT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC}  # the last: no place in the poller
PAUSE = 0.05  # seconds without new connections where the system is short of something
WARN_AGAIN = 60.0  # seconds


class AcceptingWorker(ThreadWorker):
    """gunicorn's `gthread` with these changes."""

    sockets: list[Any]

    _paused_until = 0.0
    _warned_until = 0.0

    def accept(self, listener: Any) -> None:
        """Accept a connection. Wait longer the more this worker has, so that the others get a share."""
        if self.cfg.workers > 1:
            time.sleep(min(self.nr_conns * ACCEPT_DELAY, MAX_ACCEPT_DELAY))
        try:
            sock, client = listener.accept()
            self._take(sock, client, listener.getsockname())
        except OSError as error:
            if error.errno in SHORT:
                self._pause(error)
            elif error.errno not in NOT_THERE:
                raise

    def _take(self, sock: Any, client: Any, server: Any) -> None:
        """Wait for a connection's first byte without a thread."""
        conn = Connection(self.cfg, sock, client, server)
        try:
            readable = partial(self.on_pending_socket_readable, conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, readable)
        except OSError:
            conn.close()
            raise
        conn.timeout = time.monotonic() + SILENT
        self.pending_conns.append(conn)
        self.nr_conns += 1

    def _pause(self, reason: OSError) -> None:
        now = time.monotonic()
        self._paused_until = now + PAUSE
        self.set_accept_enabled(False)
        if now >= self._warned_until:
            self._warned_until = now + WARN_AGAIN
            log.warning("no new connections until others end: %s", reason.strerror)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept new connections, or none; in a pause and at the end, none. gunicorn calls this again and again."""
        ending = not self.alive
        super().set_accept_enabled(enabled and not ending and time.monotonic() >= self._paused_until)
        if ending:
            self._close_listeners()

    def _close_listeners(self) -> None:
        listeners, self.sockets = self.sockets, []
        for listener in listeners:
            while self.nr_conns < self.worker_connections:
                try:
                    sock, client = listener.accept()
                    self._take(sock, client, listener.getsockname())
                except OSError as error:
                    if error.errno != errno.ECONNABORTED:
                        break
            listener.close()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for what happens next, not beyond the end of a pause."""
        if self._paused_until:
            timeout = min(timeout, max(self._paused_until - time.monotonic(), 0.0))
            if not timeout:
                self._paused_until = 0.0
        super().wait_for_and_dispatch_events(timeout)

    def murder_pending(self) -> None:
        """Close the silent connections whose time is over; at the end, they have as long as idle ones."""
        if not self.alive:
            end = time.monotonic() + STOP_KEEPALIVE_LINGER
            for conn in self.pending_conns:
                conn.timeout = min(conn.timeout, end)
        super().murder_pending()
