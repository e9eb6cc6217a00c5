"""gunicorn's threaded worker, but for five things.

Bytes that are no HTTP request never reach the application. gunicorn answers them with an HTML page, some with a 5xx,
and repeats what came in that page and in a log line: a header that a client spelled wrong shows its key in both.

A connection that is to be closed is closed in the thread that accepts all others, which waits up to two seconds for the
client to close first. One such client a second, and nobody is served.

A worker that is awake accepts all connections that come at once, while the others are still waking up. They stay with
it, and one of two cores has nothing to do.

At the end it gives connections on which nothing was ever said the whole `graceful_timeout`.

And it spends a quarter of its time on what it need not do: a Future for each request, settings, which do not change in
a worker, looked up by a function call each, and bodies drained that have been read (benchmarks/run.py).

Source: gunicorn 27.0.1, `workers/base.py` `Worker.handle_error`, `workers/gthread.py` `accept`, `enqueue_req`,
`finish_request`, `_keepalive_after` and `run`, `config.py` `Config.__getattr__`; RFC 9112, section 9.6 (how to close).
"""

import contextlib
import logging
import socket
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from gunicorn.http import errors
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from .threads import Threads

log = logging.getLogger(__name__)

STAND_BACK = 0.00005  # seconds for each connection that a worker has, before it takes another
LONGEST_STAND_BACK = 0.001  # seconds

LINGER = 2.0  # seconds in which a client may read its last answer and close

# The first that fits; whatever is not named here is a bad request.
STATUS: Mapping[type[Exception], tuple[int, str]] = {
    errors.ForbiddenProxyRequest: (403, "Forbidden"),
    errors.ConfigurationProblem: (404, "Not Found"),  # a path outside the prefix that SCRIPT_NAME names
    errors.LimitRequestLine: (414, "URI Too Long"),
    errors.ExpectationFailed: (417, "Expectation Failed"),
    errors.LimitRequestHeaders: (431, "Request Header Fields Too Large"),
}
_BAD_REQUEST = (400, "Bad Request")


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's `gthread`, which refuses in JSON and waits for clients where it holds up nobody else."""

    def init_process(self) -> None:
        """Serve until the end, with the settings as plain attributes."""
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        super().init_process()

    def get_thread_pool(self) -> Threads:
        """Make the threads that serve."""
        return Threads(self.cfg.threads, self._serve, self._finish)

    def enqueue_req(self, conn: Any) -> None:
        """Have a thread serve a connection's next request."""
        self.tpool.submit(conn)

    def _serve(self, conn: Any) -> Any:
        try:
            return self.handle(conn)
        except BaseException as error:  # gunicorn lets through what is no Exception
            log.error("unhandled", exc_info=error)
            return False

    def _finish(self, conn: Any, kept: Any) -> None:
        self.method_queue.defer(self.finish_request, conn, _Served(kept))

    def accept(self, listener: Any) -> None:
        """Accept a connection. The more of them a worker has, the longer it leaves a new one to the other workers."""
        if self.cfg.workers > 1:
            time.sleep(min(self.nr_conns * STAND_BACK, LONGEST_STAND_BACK))
        super().accept(listener)

    def handle(self, conn: Any) -> Any:
        """Serve a connection's next request; return what gunicorn returns, false where the connection ends."""
        kept = super().handle(conn)
        if not kept:
            _part(conn.sock)
        return kept

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """Tell whether a connection can have a next request, and let go of the one it had."""
        body = conn.parser.mesg.body
        # Looking for what the application left of a body takes three system calls, and it has left nothing.
        read = keepalive and getattr(body.reader, "length", None) == 0 and not body.failed
        if not read and not super()._keepalive_after(conn, keepalive):
            return False
        conn.parser.mesg = None  # else the next request looks once more
        return True

    def murder_pending(self) -> None:
        """Close the silent connections whose time is over; at the end, they have as long as idle ones."""
        if not self.alive:
            end = time.monotonic() + STOP_KEEPALIVE_LINGER
            for conn in self.pending_conns:
                conn.timeout = min(conn.timeout, end)
        super().murder_pending()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what gunicorn could not hand to the application: `{"error": "bad_request"}`."""
        if not isinstance(exc, (errors.ParseException, OSError)):  # OSError: TLS
            log.error("unhandled", exc_info=exc)
            _refuse(client, 500, "Internal Error")
            return
        status, reason = next((found for kind, found in STATUS.items() if isinstance(exc, kind)), _BAD_REQUEST)
        log.info("no request", extra={"fields": {"reason": type(exc).__name__, "status": status}})
        # With a request, its body turned out to be broken after it had been answered: a second answer would pass for
        # the next request's.
        if req is None or isinstance(exc, errors.ConfigurationProblem):
            _refuse(client, status, reason)


class _Served(NamedTuple):
    """What came of a request, with the two methods of a Future that `finish_request` calls."""

    kept: Any

    def cancelled(self) -> bool:
        return False

    def result(self) -> Any:
        return self.kept


def _refuse(client: Any, status: int, reason: str) -> None:
    body = b'{"error":"%s"}\n' % reason.lower().replace(" ", "_").encode()
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    with contextlib.suppress(OSError):  # the client left, or does not read
        write_nonblock(client, f"{head}Connection: close\r\n\r\n".encode() + body)


def _part(sock: Any) -> None:
    """End our side of a connection, then read until the client ends its own: unread bytes would cost it the answer."""
    end = time.monotonic() + LINGER
    with contextlib.suppress(OSError):  # TimeoutError is one
        sock.shutdown(socket.SHUT_WR)
        while (left := end - time.monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv(65536):
                break
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)  # so that gunicorn, which closes it, has nothing to wait for
