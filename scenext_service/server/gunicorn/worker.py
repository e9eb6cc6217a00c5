"""Serve requests in threads. The package's docstring lists the changes to gunicorn, each with its reason and its test.

Source: gunicorn 27.0.1, `workers/base.py` `Worker.handle_error`, `workers/gthread.py` `enqueue_req`, `finish_request`,
`handle_request` and `_keepalive_after`, `config.py` `Config.__getattr__`, `http/wsgi.py` `Response`.
"""

import contextlib
import errno
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from gunicorn.http import errors, wsgi
from gunicorn.util import http_date, write_nonblock

from .accepting import AcceptingWorker
from .connections import RequestTimeout, drain_body, lingering_close, reset

log = logging.getLogger(__name__)

# The first match applies. Any other error is a bad request.
STATUSES: Mapping[type[Exception], tuple[int, str]] = {
    errors.ForbiddenProxyRequest: (403, "Forbidden"),
    errors.ConfigurationProblem: (404, "Not Found"),  # a path outside the SCRIPT_NAME prefix
    RequestTimeout: (408, "Request Timeout"),
    errors.LimitRequestLine: (414, "URI Too Long"),
    errors.ExpectationFailed: (417, "Expectation Failed"),
    errors.LimitRequestHeaders: (431, "Request Header Fields Too Large"),
}
_BAD_REQUEST = (400, "Bad Request")


class ThreadPool:
    """Up to `limit` threads that call `serve` with each submitted connection. One is started when all others are busy.

    `finish` is called with the connection and the result of `serve`. Nothing waits for a result, so there is no Future.
    If no further thread can be started, requests wait for a free one. The threads are daemons, because at shutdown the
    worker has already waited for them, for up to `graceful_timeout`.
    """

    def __init__(self, limit: int, serve: Callable[[Any], Any], finish: Callable[[Any, Any], None]) -> None:
        self._limit = limit
        self._serve = serve
        self._finish = finish
        self._work: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._started = 0
        self._idle = 0  # idle threads; negative if connections are queued
        self._lock = threading.Lock()  # for `_idle`

    def submit(self, conn: Any) -> None:
        """Queue a connection. Not thread-safe: only the accepting thread may call this."""
        self._work.put(conn)
        with self._lock:
            self._idle -= 1
            needed = self._idle < 0
        if needed and self._started < self._limit:
            self._start()

    def _start(self) -> None:
        try:
            threading.Thread(target=self._run, daemon=True).start()
        except RuntimeError:  # the platform allows no more threads
            if not self._started:
                raise
            log.warning("thread start failed", extra={"fields": {"threads": self._started, "limit": self._limit}})
            return
        self._started += 1
        with self._lock:
            self._idle += 1

    def _run(self) -> None:
        while True:
            conn = self._work.get()
            result = self._serve(conn)
            # Count this thread as idle first: the next request may arrive at once.
            with self._lock:
                self._idle += 1
            self._finish(conn, result)

    def shutdown(self, wait: bool) -> None:
        """Do nothing, because the threads are daemons."""


class _SendBuffer(bytearray):
    """A replacement for a response's socket, which collects the bytes."""

    sendall = bytearray.extend


# The Date header changes once a second.
_http_date = lru_cache(maxsize=1)(http_date)


class Response(wsgi.Response):
    """gunicorn's response, with fewer writes."""

    sock: Any

    def default_headers(self) -> list[str]:
        """Return the status line and the headers that gunicorn adds."""
        connection = "upgrade" if self.upgrade else "close" if self.should_close() else "keep-alive"
        lines = [
            "HTTP/{}.{} {}\r\n".format(*self.req.version, self.status),
            f"Server: {self.version}\r\n",
            f"Date: {_http_date(int(time.time()))}\r\n",
            f"Connection: {connection}\r\n",
        ]
        return [*lines, "Transfer-Encoding: chunked\r\n"] if self.chunked else lines

    def write(self, arg: bytes) -> None:
        """Send a part of the body, and the headers together with the first part, even if it is empty.

        See benchmarks/prices.py, "one write per response".
        """
        if self.headers_sent:
            super().write(arg)
            return
        sock, self.sock = self.sock, _SendBuffer()
        try:
            super().write(arg)
        finally:
            collected, self.sock = self.sock, sock
            sock.sendall(collected)


class Worker(AcceptingWorker):
    """gunicorn's `gthread` worker with all changes of this package."""

    wsgi: Any

    def init_process(self) -> None:
        """Copy the settings into attributes, because gunicorn calls a function for each lookup."""
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        wsgi.Response = Response  # `wsgi.create` has a parameter for the class, but `handle_request` does not pass it
        super().init_process()

    def get_thread_pool(self) -> ThreadPool:
        """Return the pool of threads that serve requests."""
        return ThreadPool(self.cfg.threads, self._serve, self._finish)

    def enqueue_req(self, conn: Any) -> None:
        """Queue a connection whose next request is readable."""
        self.tpool.submit(conn)

    def _serve(self, conn: Any) -> Any:
        try:
            return self.handle(conn)
        except BaseException as error:  # gunicorn does not catch SystemExit
            log.error("unhandled exception", exc_info=error)
            return False

    def _finish(self, conn: Any, result: Any) -> None:
        self.method_queue.defer(self.finish_request, conn, _FinishedFuture(result))

    def load_wsgi(self) -> None:
        """Load the application, and wrap it in `_call_application`."""
        super().load_wsgi()
        self._application = self.wsgi
        self.wsgi = self._call_application

    def _call_application(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body: Iterable[bytes] = self._application(environ, start_response)
        response = start_response.__self__
        unknown_end = environ.get("HTTP_TRANSFER_ENCODING", "chunked").lower() != "chunked"
        if not response.must_close and (unknown_end or not drain_body(response.req)):
            response.force_close()
        return body

    def handle(self, conn: Any) -> Any:
        """Serve a connection's next request. Return gunicorn's result, which is false if the connection ends."""
        if conn.initialized:
            conn.parser.unreader.start_request()
        keep_alive = super().handle(conn)
        if not keep_alive:
            lingering_close(conn.sock)
        return keep_alive

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Serve a request whose headers are complete."""
        conn.parser.unreader.timeout_error = TimeoutError  # from here on, the application handles a late body
        try:
            return super().handle_request(req, conn)
        except TimeoutError:
            reset(conn.sock)
            raise BrokenPipeError(errno.EPIPE, "the client does not read") from None

    def handle_h2c_upgrade(self, conn: Any, req: Any, settings: Any) -> Any:
        """Switch to HTTP/2, which gunicorn offers only if configured to, and remove the time limits."""
        conn.remove_time_limits()
        return super().handle_h2c_upgrade(conn, req, settings)

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """Return `keepalive` unchanged, and clear the finished request."""
        conn.parser.mesg = None  # otherwise the parser drains its body again before the next request
        return keepalive

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Respond to a request that gunicorn could not pass to the application: `{"error": "bad_request"}`."""
        if not isinstance(exc, (errors.ParseException, OSError)):  # OSError: TLS
            log.error("unhandled exception", exc_info=exc)
            _reject(client, 500, "Internal Error")
            return
        status, reason = next((found for kind, found in STATUSES.items() if isinstance(exc, kind)), _BAD_REQUEST)
        log.info("malformed request", extra={"fields": {"reason": type(exc).__name__, "status": status}})
        # If there is a request, it has been answered already. The client would take a second response for that of its
        # next request.
        if req is None or isinstance(exc, errors.ConfigurationProblem):
            _reject(client, status, reason)


class _FinishedFuture(NamedTuple):
    """A finished Future, with only the methods that `finish_request` calls."""

    value: Any

    def cancelled(self) -> bool:
        return False

    def result(self) -> Any:
        return self.value


def _reject(client: Any, status: int, reason: str) -> None:
    body = b'{"error":"%s"}\n' % reason.lower().replace(" ", "_").encode()
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    with contextlib.suppress(OSError):  # the client disconnected or does not read
        write_nonblock(client, f"{head}Connection: close\r\n\r\n".encode() + body)
