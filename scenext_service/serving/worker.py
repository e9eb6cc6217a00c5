"""gunicorn's threaded worker with four changes, beside those of `accepting` and `connections`.

- Bytes that are not an HTTP request are refused in JSON. gunicorn answers them with an HTML page, some with a 5xx, and
  repeats what came in that page and in a log line: a header that a client spelled wrong shows its key in both.
- A connection that is to be closed is closed in its own thread. gunicorn does it in the thread that accepts all others,
  and waits up to two seconds for the client to close first: with one such client a second, it serves none.
- What is announced is done. gunicorn announces that a connection is kept, then looks at what the application left of
  the body, and may close: a proxy that took its word loses the next caller's request.
- Less work for each request: gunicorn makes a Future, looks each setting up by a function call, and drains bodies that
  have been read (benchmarks/prices.py, "worker and threads").

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
from .connections import RequestTimeout, abandon, close_gently, read_to_its_end
from .threads import Threads

log = logging.getLogger(__name__)

# The first that fits; an error that is not listed is a bad request.
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
    """gunicorn's `gthread` with these changes."""

    wsgi: Any

    def init_process(self) -> None:
        """Copy the settings into attributes: gunicorn looks each up by a function call."""
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
        except BaseException as error:  # gunicorn lets SystemExit through
            log.error("unhandled", exc_info=error)
            return False

    def _finish(self, conn: Any, kept: Any) -> None:
        self.method_queue.defer(self.finish_request, conn, _FinishedFuture(kept))

    def load_wsgi(self) -> None:
        """Load the application, and put `_answer` between it and gunicorn."""
        super().load_wsgi()
        self._application = self.wsgi
        self.wsgi = self._answer

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer: Iterable[bytes] = self._application(environ, start_response)
        response = start_response.__self__
        coded = environ.get("HTTP_TRANSFER_ENCODING", "chunked").lower() != "chunked"  # who knows where that ends
        if not response.must_close and (coded or not read_to_its_end(response.req)):
            response.force_close()
        return answer

    def handle(self, conn: Any) -> Any:
        """Serve a connection's next request; return what gunicorn returns, false where the connection ends."""
        if conn.initialized:
            conn.parser.unreader.begin()
        kept = super().handle(conn)
        if not kept:
            close_gently(conn.sock)
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
        """Return whether a connection can have a next request, and forget the one it had."""
        conn.parser.mesg = None  # so that the next request does not drain it again
        return keepalive

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what gunicorn could not hand to the application: `{"error": "bad_request"}`."""
        if not isinstance(exc, (errors.ParseException, OSError)):  # OSError: TLS
            log.error("unhandled", exc_info=exc)
            _refuse(client, 500, "Internal Error")
            return
        status, reason = next((found for kind, found in STATUS.items() if isinstance(exc, kind)), _BAD_REQUEST)
        log.info("malformed request", extra={"fields": {"reason": type(exc).__name__, "status": status}})
        # If there is a request, it has been answered already; a second answer would be taken for the next one's.
        if req is None or isinstance(exc, errors.ConfigurationProblem):
            _refuse(client, status, reason)


class _FinishedFuture(NamedTuple):
    """A finished Future, as far as `finish_request` needs one."""

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
