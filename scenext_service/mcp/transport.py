"""The MCP endpoint over HTTP, as a Flask blueprint: what is refused before a message is read, and how it is answered.

Source: MCP 2026-07-28, basic/transports/streamable-http "Security & Endpoint" and "Sending Messages"; 2025-11-25,
basic/transports; Fetch, "CORS protocol".
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, current_app, request
from werkzeug.wsgi import get_content_length, get_input_stream

from .call import Caller, Record
from .dispatch import Answer, Dispatcher
from .jsonrpc import INVALID_REQUEST, PARSE_ERROR, RpcError, error
from .origins import Origins
from .registry import Server

log = logging.getLogger(__name__)

Report = Callable[[Record], None]

PATHS = ("/mcp", "/mcp/")  # both, without a redirect: clients lose their Authorization on one

# The view answers them all, so that a 405 says why, and has its CORS headers.
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")

_ALLOW = "POST, OPTIONS"
_CORS = {
    "Access-Control-Allow-Methods": _ALLOW,
    "Access-Control-Allow-Headers": "Authorization, X-API-Key, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method,"
    " Mcp-Name, Mcp-Session-Id, Last-Event-ID, traceparent, tracestate",
    "Access-Control-Expose-Headers": "X-Request-ID",
    "Access-Control-Max-Age": "86400",  # seconds
    "Vary": "Origin",
}

_LATE = (408, "Request Timeout: the body did not come to its end in time")
_UNREADABLE = (400, "Parse error: the body could not be read to its end", PARSE_ERROR)


class _Refused(Exception):
    """A request refused before its body is parsed."""

    def __init__(self, status: int, message: str, code: int = INVALID_REQUEST) -> None:
        super().__init__(message)
        self.status = status
        self.body = error(None, RpcError(code, message))


def create_blueprint(server: Server, origins: Origins, max_body: int, report: Report) -> Blueprint:
    """Make the blueprint that serves `server`; a body of more than `max_body` bytes is refused.

    `report` gets the record of each message once it is answered. The application says in each request's environ when it
    came, `scenext.started` (time.monotonic()), and by which id it is known, `scenext.request_id`.
    """
    blueprint = Blueprint("mcp", __name__)
    dispatcher = Dispatcher(server)

    def mcp() -> Response:
        environ = request.environ
        path = request.path
        request_id = environ["scenext.request_id"]
        origin = environ.get("HTTP_ORIGIN")
        allowed = origin is None or origins.accept(origin, environ.get("HTTP_HOST", ""))
        try:
            _check_headers(environ, allowed)
            if environ["REQUEST_METHOD"] == "OPTIONS":
                answer = Answer(204, None, (Record(request_id=request_id),))
            else:
                answer = dispatcher.handle(_body(environ, max_body, request_id), _caller(environ, request_id))
        except _Refused as refusal:
            answer = Answer(refusal.status, refusal.body, (Record(request_id=request_id),))
        for record in answer.records:
            _complete(record, answer, environ, path)
            report(record)
        headers = _headers(answer, request_id, origin if allowed else None)
        return current_app.response_class([answer.body or b""], answer.status, headers)

    for path in PATHS:
        blueprint.add_url_rule(path, view_func=mcp, methods=_METHODS, provide_automatic_options=False)
    return blueprint


def _complete(record: Record, answer: Answer, environ: dict[str, Any], path: str) -> None:
    """Note what HTTP knows. A message of a batch has its own time and size already."""
    record.http_method = environ["REQUEST_METHOD"]
    record.path = path
    record.status = answer.status
    if record.ms is None:
        record.measure(environ["scenext.started"], len(answer.body or b""))


def _check_headers(environ: dict[str, Any], origin_allowed: bool) -> None:
    """Raise _Refused for what the request line and the headers alone rule out."""
    if not origin_allowed:
        raise _Refused(403, "Forbidden: pages of this Origin may not call this server; see SCENEXT_ALLOWED_ORIGINS")
    method = environ["REQUEST_METHOD"]
    if method == "OPTIONS":
        return
    if method != "POST":
        raise _Refused(405, "Method Not Allowed: this server has no sessions and no streams; send each message by POST")
    media_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise _Refused(415, "Unsupported Media Type: send the message with Content-Type: application/json")
    if environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() != "identity":
        raise _Refused(415, "Unsupported Media Type: send the message without Content-Encoding")
    chunked = environ.get("HTTP_TRANSFER_ENCODING") and not environ.get("wsgi.input_terminated")
    if chunked and not environ.get("CONTENT_LENGTH"):  # uWSGI passes no chunked body on unless a proxy joined it
        raise _Refused(411, "Length Required: this server hands no chunked body over; send a Content-Length")


def _body(environ: dict[str, Any], limit: int, request_id: str) -> bytes:
    """Read the request's body. Raises _Refused where it is too large, cut short, wrongly chunked or late."""
    if not environ.get("wsgi.input_terminated"):
        # Where a proxy joined the chunks for uWSGI, this header would make Werkzeug ignore the Content-Length.
        environ.pop("HTTP_TRANSFER_ENCODING", None)
    announced = get_content_length(environ)
    if announced is not None and announced > limit:
        raise _too_large(limit)
    try:
        # The stream ends where the body does, also under servers that leave that to the application.
        stream = get_input_stream(environ)
        body = stream.read(limit + 1)
        # One read may return less than there is.
        while len(body) != announced and len(body) <= limit and (more := stream.read(limit + 1 - len(body))):
            body += more
    except Exception as failure:
        # Each WSGI server has exceptions of its own for a body that does not arrive as announced; their messages and
        # traces repeat parts of it.
        log.info("unreadable body", extra={"fields": {"request_id": request_id, "reason": type(failure).__name__}})
        raise _Refused(*(_LATE if isinstance(failure, TimeoutError) else _UNREADABLE)) from None
    if len(body) > limit:
        raise _too_large(limit)
    # gunicorn hands over what came of a body that was cut, and that may be a whole message: RFC 9112, section 8.
    if announced is not None and len(body) < announced:
        raise _Refused(*_UNREADABLE)
    return body


def _too_large(limit: int) -> _Refused:
    return _Refused(413, f"Content Too Large: the limit is {limit} bytes")


def _caller(environ: dict[str, Any], request_id: str) -> Caller:
    def header(name: str) -> str | None:
        value: str | None = environ.get(name)
        # Surrounding blanks are no part of a value (RFC 9110, section 5.5), but not every server takes them away.
        return value and value.strip(" \t")

    return Caller(
        protocol_version=header("HTTP_MCP_PROTOCOL_VERSION"),
        method=header("HTTP_MCP_METHOD"),
        name=header("HTTP_MCP_NAME"),
        traceparent=header("HTTP_TRACEPARENT"),
        authorization=environ.get("HTTP_AUTHORIZATION"),
        api_key=environ.get("HTTP_X_API_KEY"),
        request_id=request_id,
        received=time.monotonic(),
    )


def _headers(answer: Answer, request_id: str, origin: str | None) -> list[tuple[str, str]]:
    """Return the answer's headers; with `origin`, so that a page of that origin may read it."""
    headers = [("X-Request-ID", request_id)]
    if answer.body is not None:
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(answer.body)))]
    elif answer.status != 204:  # which must not have one: RFC 9110, section 8.6
        headers.append(("Content-Length", "0"))
    if answer.status == 405:
        headers.append(("Allow", _ALLOW))
    if origin is not None:
        headers += [("Access-Control-Allow-Origin", origin), *_CORS.items()]
    return headers
