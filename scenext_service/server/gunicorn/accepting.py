"""Accept new connections. The package's docstring lists the changes to gunicorn, each with its reason and its test.

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

ACCEPT_DELAY = 0.00005  # seconds of delay before an accept, for each connection of the worker
MAX_ACCEPT_DELAY = 0.001  # seconds

# Seconds until a silent connection is closed. gunicorn checks once a second, so it can take 10.
SILENT_TIMEOUT = 9.0

# Another worker accepted the connection, or the client disconnected.
LOST_CONNECTION_ERRORS = {errno.EAGAIN, errno.ECONNABORTED}
RESOURCE_ERRORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC}  # ENOSPC: epoll is full
ACCEPT_PAUSE = 0.05  # seconds without accepting after a resource error
WARNING_INTERVAL = 60.0  # seconds between warnings about pauses


class AcceptingWorker(ThreadWorker):
    """gunicorn's `gthread` worker with another way to accept connections."""

    sockets: list[Any]

    _paused_until = 0.0
    _next_warning = 0.0

    def accept(self, listener: Any) -> None:
        """Accept a connection. A worker with more connections waits longer, so that the others get a share."""
        if self.cfg.workers > 1:
            time.sleep(min(self.nr_conns * ACCEPT_DELAY, MAX_ACCEPT_DELAY))
        try:
            sock, client = listener.accept()
            self._register(sock, client, listener.getsockname())
        except OSError as error:
            if error.errno in RESOURCE_ERRORS:
                self._pause_accepting(error)
            elif error.errno not in LOST_CONNECTION_ERRORS:
                raise

    def _register(self, sock: Any, client: Any, server: Any) -> None:
        """Register a connection with the poller, which waits for its first byte without a thread."""
        conn = Connection(self.cfg, sock, client, server)
        try:
            readable = partial(self.on_pending_socket_readable, conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, readable)
        except OSError:
            conn.close()
            raise
        conn.timeout = time.monotonic() + SILENT_TIMEOUT
        self.pending_conns.append(conn)
        self.nr_conns += 1

    def _pause_accepting(self, error: OSError) -> None:
        now = time.monotonic()
        self._paused_until = now + ACCEPT_PAUSE
        self.set_accept_enabled(False)
        if now >= self._next_warning:
            self._next_warning = now + WARNING_INTERVAL
            fields = {"reason": str(error.strerror).lower(), "retry_s": ACCEPT_PAUSE}
            log.warning("accept paused", extra={"fields": fields})

    def set_accept_enabled(self, enabled: bool) -> None:
        """Start or stop accepting. Accept nothing during a pause, and close the listeners at shutdown.

        gunicorn calls this repeatedly, so accepting resumes after a pause.
        """
        stopping = not self.alive
        super().set_accept_enabled(enabled and not stopping and time.monotonic() >= self._paused_until)
        if stopping:
            self._close_listeners()

    def _close_listeners(self) -> None:
        listeners, self.sockets = self.sockets, []
        for listener in listeners:
            while self.nr_conns < self.worker_connections:
                try:
                    sock, client = listener.accept()
                    self._register(sock, client, listener.getsockname())
                except OSError as error:
                    if error.errno != errno.ECONNABORTED:
                        break
            listener.close()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for the next events, at most until a pause ends."""
        if self._paused_until:
            timeout = min(timeout, max(self._paused_until - time.monotonic(), 0.0))
            if not timeout:
                self._paused_until = 0.0
        super().wait_for_and_dispatch_events(timeout)

    def murder_pending(self) -> None:
        """Close silent connections that have timed out. At shutdown, they have as long as idle connections."""
        if not self.alive:
            end = time.monotonic() + STOP_KEEPALIVE_LINGER
            for conn in self.pending_conns:
                conn.timeout = min(conn.timeout, end)
        super().murder_pending()
