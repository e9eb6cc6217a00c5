"""gunicorn's threaded worker, but for six things.

Bytes that are no HTTP request never reach the application. gunicorn answers them with an HTML page, some with a 5xx,
and repeats what came in that page and in a log line: a header that a client spelled wrong shows its key in both.

A connection that is to be closed is closed in the thread that accepts all others, which waits up to two seconds for the
client to close first. One such client a second, and nobody is served.

It announces that a connection is kept, then looks at what the application left of the body, and may close. A proxy
that took its word loses the next caller's request.

It waits for clients that are slow as long as they like (connections.py), and takes connections in a way of its own
(accepting.py).

And it spends a quarter of its time on what it need not do: a Future for each request, settings, which do not change in
a worker, looked up by a function call each, and bodies drained that have been read (benchmarks/run.py).

Source: gunicorn 27.0.1, `workers/base.py` `Worker.handle_error`, `workers/gthread.py` `enqueue_req`, `finish_request`,
`handle_request` and `_keepalive_after`, `config.py` `Config.__getattr__`.
"""

import contextlib
import errno
import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from gunicorn.http import errors
from gunicorn.util import write_nonblock

from .accepting import AcceptingWorker
from .connections import RequestTimeout, abandon, part, read_to_its_end
from .threads import Threads

log = logging.getLogger(__name__)

# The first that fits; whatever is not named here is a bad request.
STATUS: Mapping[type[Exception], tuple[int, str]] = {
    errors.ForbiddenProxyRequest: (403, "Forbidden"),
    errors.ConfigurationProblem: (404, "Not Found"),  # a path outside the prefix that SCRIPT_NAME names
    RequestTimeout: (408, "Request Timeout"),
    errors.LimitRequestLine: (414, "URI Too Long"),
    errors.ExpectationFailed: (417, "Expectation Failed"),
    errors.LimitRequestHeaders: (431, "Request Header Fields Too Large"),
}
_BAD_REQUEST = (400, "Bad Request")


class Worker(AcceptingWorker):
    """gunicorn's `gthread`, which refuses in JSON and waits for clients where it holds up nobody else."""

    wsgi: Any

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

    def load_wsgi(self) -> None:
        """Load the application, and stand between it and gunicorn."""
        super().load_wsgi()
        self._application = self.wsgi
        self.wsgi = self._answer

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer: Iterable[bytes] = self._application(environ, start_response)
        response = start_response.__self__
        if not (response.must_close or read_to_its_end(response.req)):
            response.force_close()
        return answer

    def handle(self, conn: Any) -> Any:
        """Serve a connection's next request; return what gunicorn returns, false where the connection ends."""
        if conn.initialized:
            conn.parser.unreader.begin()
        kept = super().handle(conn)
        if not kept:
            part(conn.sock)
        return kept

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request whose headers are there."""
        conn.parser.unreader.failure = TimeoutError  # the application answers what becomes of the body
        try:
            return super().handle_request(req, conn)
        except TimeoutError:
            abandon(conn.sock)
            raise BrokenPipeError(errno.EPIPE, "the client does not read") from None

    def handle_h2c_upgrade(self, conn: Any, req: Any, settings: Any) -> Any:
        """Go on in HTTP/2, which gunicorn does not offer unless it is told to."""
        conn.unlimit()
        return super().handle_h2c_upgrade(conn, req, settings)

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """Tell whether a connection can have a next request, and let go of the one it had."""
        conn.parser.mesg = None  # or the next request looks for what is left of this one's body
        return keepalive

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what gunicorn could not hand to the application: `{"error": "bad_request"}`."""
        if not isinstance(exc, (errors.ParseException, OSError)):  # OSError: TLS
            log.error("unhandled", exc_info=exc)
            _refuse(client, 500, "Internal Error")
            return
        status, reason = next((found for kind, found in STATUS.items() if isinstance(exc, kind)), _BAD_REQUEST)
        log.info("malformed request", extra={"fields": {"reason": type(exc).__name__, "status": status}})
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
