"""Check an HTTP request and read its body, or reject it. Detect that its client has disconnected.

The web pages that may call the server are limited. So are the size of each body and the memory of all bodies together.

Source: MCP 2026-07-28, basic/transports/streamable-http "Security & Endpoint" and "Sending Messages"; Fetch Metadata,
"Sec-Fetch-Site"; RFC 9110, sections 15.5 (4xx) and 15.6.4 (503); RFC 9112, sections 6.1 (Transfer-Encoding) and 8
(incomplete messages); gunicorn 27.0.1, `http/wsgi.py` `create`; waitress's manual, "client_disconnected"; poll(2),
recv(2).
"""

import logging
import re
import select
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from werkzeug.wsgi import get_content_length, get_input_stream

from .jsonrpc import INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR, RpcError, error


class RequestRejected(Exception):
    """A request rejected before its body is parsed.

    `retry_after` is in seconds. `reason` is logged, and set only if the operator has to see the rejection. `headers`
    are those that the response has because of the rejection.
    """

    headers: tuple[tuple[str, str], ...] = ()

    def __init__(
        self,
        status: int,
        message: str,
        code: int = INVALID_REQUEST,
        *,
        retry_after: int | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = error(None, RpcError(code, message))
        if retry_after is not None:
            self.headers = (("Retry-After", str(retry_after)),)
        self.reason = reason


def check_origin(allowed: bool) -> None:
    """Raise RequestRejected if the page that sends the request may not call this server."""
    if not allowed:
        raise RequestRejected(
            403, "Forbidden: pages of this origin may not call this server. Add it to SCENEXT_ALLOWED_ORIGINS."
        )


def check_headers(environ: dict[str, Any]) -> None:
    """Raise RequestRejected if the request line or the headers alone rule the request out."""
    if environ["REQUEST_METHOD"] != "POST":
        raise RequestRejected(405, "Method Not Allowed: this server has no sessions; send each message by POST")
    media_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise RequestRejected(415, "Unsupported Media Type: send the message with Content-Type: application/json")
    if environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() != "identity":
        raise RequestRejected(415, "Unsupported Media Type: send the message without Content-Encoding")
    coding = environ.get("HTTP_TRANSFER_ENCODING", "")
    # WSGI servers decode chunked only. RFC 9112 recommends 501 for other codings, but no bad request gets a 5xx here.
    if coding and coding.strip().lower() != "chunked":
        raise RequestRejected(400, "Bad Request: the only accepted Transfer-Encoding is chunked")
    chunked = coding and not environ.get("wsgi.input_terminated")
    if chunked and not environ.get("CONTENT_LENGTH"):  # uWSGI passes on a chunked body only if a proxy joined it
        raise RequestRejected(411, "Length Required: this server accepts no chunked bodies; send a Content-Length")


log = logging.getLogger(__name__)

_CLOSED = getattr(select, "POLLRDHUP", 0)  # Linux: the client has closed, even if unread data remains; also with TLS

LARGE_BODY = 64 * 1024  # bytes; only larger bodies require credentials and count against the budget
RETRY_AFTER = 5  # seconds

# Part of each error text, because the rejected body may have been a call that starts a job.
_NOTHING = "Nothing was started or charged."
_TIMED_OUT = (408, f"Request Timeout: the body was not complete in time. {_NOTHING}")
_UNREADABLE = (400, f"Parse error: the body could not be read completely. {_NOTHING}", PARSE_ERROR)


class MemoryBudget:
    """Limit the bytes that all large request bodies in one process take together. Thread-safe.

    Without this limit, the concurrent requests of one client could exhaust the memory of the process.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._lock = threading.Lock()

    def reserve(self, size: int) -> bool:
        """Reserve a number of bytes. Return False, and reserve none, if fewer are left."""
        with self._lock:
            if size > self._free:
                return False
            self._free -= size
            return True

    def release(self, size: int) -> None:
        """Return reserved bytes to the budget."""
        with self._lock:
            self._free += size


class Reservation:
    """The part of the budget that one request holds until `release`; none for a body of up to `LARGE_BODY` bytes."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._size = 0

    def reserve(self, size: int) -> None:
        """Reserve the bytes of a body. Raises RequestRejected if the budget has too few left."""
        if not self._budget.reserve(size):
            raise RequestRejected(
                503,
                f"Service Unavailable: too many large requests at the same time. Retry in {RETRY_AFTER} seconds."
                " Nothing was started or charged.",
                INTERNAL_ERROR,
                retry_after=RETRY_AFTER,
                reason="request bodies over their budget",
            )
        self._size = size

    def release(self) -> None:
        """Return the reserved bytes, if any, to the budget."""
        if self._size:
            self._budget.release(self._size)


@dataclass(frozen=True, slots=True)
class BodyReader:
    """Read request bodies within the limits of one process."""

    limit: int  # bytes of one body
    budget: MemoryBudget  # for all large bodies together
    anonymous: bool  # whether requests without credentials are served, and so may have large bodies

    @classmethod
    def with_budget(cls, limit: int, memory: int, *, anonymous: bool) -> "BodyReader":
        """Create a reader of bodies up to `limit` bytes, of which large ones share `memory` bytes."""
        return cls(limit, MemoryBudget(memory), anonymous)

    def read(self, environ: dict[str, Any], reservation: Reservation, request_id: str) -> bytes:
        """Read a request's body. Raises RequestRejected if it is too large, incomplete, badly chunked or late.

        The announced size is reserved before the body is read. A chunked body announces no size, so the whole limit is
        reserved once the body turns out to be large.
        """
        if not environ.get("wsgi.input_terminated"):
            # If a proxy joined the chunks for uWSGI but kept this header, Werkzeug 3.1.9 would ignore the
            # Content-Length. Remove the header.
            environ.pop("HTTP_TRANSFER_ENCODING", None)
        content_length = get_content_length(environ)
        small = environ.get("CONTENT_LENGTH") and content_length is not None and content_length <= LARGE_BODY
        keyless = not (small or self.anonymous or self.limit <= LARGE_BODY or _has_credentials(environ))
        limit = LARGE_BODY if keyless else self.limit
        if content_length is not None:
            if content_length > limit:
                raise _too_large(limit, keyless)
            if content_length > LARGE_BODY:
                reservation.reserve(content_length)
        try:
            body = _read(environ, content_length, limit, reservation)
        except RequestRejected:
            raise
        except Exception as failure:
            # Each WSGI server has its own exceptions for a body that does not arrive as announced. Their messages and
            # tracebacks quote parts of the body, so log only the name of the exception.
            log.info("unreadable body", extra={"fields": {"request_id": request_id, "reason": type(failure).__name__}})
            raise RequestRejected(*(_TIMED_OUT if isinstance(failure, TimeoutError) else _UNREADABLE)) from None
        if len(body) > limit:
            raise _too_large(limit, keyless)
        # gunicorn 27.0.1 returns the received part of an incomplete body, which can be a complete message by itself.
        # Reject it: RFC 9112, section 8.
        if content_length is not None and len(body) < content_length:
            raise RequestRejected(*_UNREADABLE)
        return body


def _read(environ: dict[str, Any], content_length: int | None, limit: int, reservation: Reservation) -> bytes:
    """Return the body, or its first `limit + 1` bytes if it is longer. Raises RequestRejected if memory is short."""
    # This stream ends with the body, even under servers that leave that check to the application.
    stream = get_input_stream(environ)
    capacity = max(content_length or 0, min(LARGE_BODY, limit))
    body: bytes = stream.read(capacity + 1)
    # A single read may return fewer bytes than requested.
    while len(body) != content_length and len(body) <= limit:
        if len(body) > capacity:
            reservation.reserve(limit)
            capacity = limit
        rest = stream.read(capacity + 1 - len(body))
        if not rest:
            break
        body += rest
    return body


def _has_credentials(environ: dict[str, Any]) -> bool:
    return any(environ.get(name, "").strip() for name in ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY"))


def _too_large(limit: int, keyless: bool) -> RequestRejected:
    if keyless:
        return RequestRejected(
            413,
            f"Content Too Large: the limit is {limit} bytes for a request without a key. Send the key in the header"
            " Authorization or X-API-Key. Nothing was started or charged.",
        )
    return RequestRejected(413, f"Content Too Large: the limit is {limit} bytes. Send images as URLs. {_NOTHING}")


def client_disconnected(environ: dict[str, Any]) -> bool:
    """Return whether the client has closed its connection. False if the server is neither waitress nor gunicorn."""
    disconnected = environ.get("waitress.client_disconnected")
    if disconnected is not None:
        return bool(disconnected())
    sock = environ.get("gunicorn.socket")
    return sock is not None and _is_closed(sock)


def _is_closed(sock: Any) -> bool:
    poll = select.poll()
    with suppress(OSError, ValueError):  # closed on our side
        poll.register(sock.fileno(), select.POLLIN | _CLOSED)
        for _, events in poll.poll(0):
            # gevent's poll reports a closed connection only as readable. Peek: an empty read is the end of the stream.
            return bool(events & ~select.POLLIN) or socket.socket.recv(sock, 1, socket.MSG_PEEK) == b""
        return False
    return True


_HTTPS = re.compile(r"https://[^\s/?#@\\,]+", re.IGNORECASE)
_LOOPBACK = re.compile(r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Origins:
    """The web pages that may call. `allowed` holds whole origins, such as `https://app.example.com`; `*` allows all.

    `own` holds the schemes under which the server's own origin, as named by the Host header, is accepted too. It is for
    servers that the public reaches under their own name. `http` admits DNS rebinding: an attacker points a name at this
    server, and for a browser the attacker's page and the server have the same origin. So include `http` only if such a
    page gains nothing that its author could not get by calling the server themselves.

    `Sec-Fetch-Site: same-origin` is trusted for any page loaded over HTTPS, even behind a proxy that does not forward
    the Host header. A page can set neither Origin nor Sec-Fetch-Site, and the server has no certificate for a rebound
    name. Over plain HTTP the header is not trusted, because a browser sends it for a rebound name too.
    """

    allowed: frozenset[str] = frozenset()
    own: tuple[str, ...] = ()

    def accept(self, origin: str, host: str, site: str | None = None) -> bool:
        """Return whether a page of this origin may call the server that it reached as `host`.

        `site` is the header Sec-Fetch-Site, in which the browser states how page and server are related.
        """
        if origin in self.allowed or "*" in self.allowed or _LOOPBACK.fullmatch(origin):
            return True
        if site == "same-origin" and _HTTPS.fullmatch(origin):
            return True
        name = host.lower()
        return name != "" and "@" not in name and origin.lower() in [f"{scheme}://{name}" for scheme in self.own]
