"""What is refused before a message is read: by method, Origin and media type, by the coding, size or end of its body.

Source: MCP 2026-07-28, basic/transports/streamable-http "Security & Endpoint" and "Sending Messages"; RFC 9110, section
15.5; RFC 9112, sections 6.1 and 8.
"""

import logging
from typing import Any

from werkzeug.wsgi import get_content_length, get_input_stream

from .jsonrpc import INVALID_REQUEST, PARSE_ERROR, RpcError, error

log = logging.getLogger(__name__)

# Whoever sent the body may have meant to start something.
_NOTHING = "nothing was started or charged"
_LATE = (408, f"Request Timeout: the body did not come to its end in time; {_NOTHING}")
_UNREADABLE = (400, f"Parse error: the body could not be read to its end; {_NOTHING}", PARSE_ERROR)


class Refused(Exception):
    """A request refused before its body is parsed."""

    def __init__(self, status: int, message: str, code: int = INVALID_REQUEST) -> None:
        super().__init__(message)
        self.status = status
        self.body = error(None, RpcError(code, message))


def check_headers(environ: dict[str, Any], origin_allowed: bool) -> None:
    """Raise Refused for what the request line and the headers alone rule out."""
    if not origin_allowed:
        raise Refused(403, "Forbidden: pages of this Origin may not call this server; see SCENEXT_ALLOWED_ORIGINS")
    method = environ["REQUEST_METHOD"]
    if method == "OPTIONS":
        return
    if method != "POST":
        raise Refused(405, "Method Not Allowed: this server has no sessions; send each message by POST")
    media_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Refused(415, "Unsupported Media Type: send the message with Content-Type: application/json")
    if environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() != "identity":
        raise Refused(415, "Unsupported Media Type: send the message without Content-Encoding")
    coding = environ.get("HTTP_TRANSFER_ENCODING", "")
    # Servers undo the chunks alone. RFC 9112 has a 501 for another coding; here no bad request is answered with a 5xx.
    if coding and coding.strip().lower() != "chunked":
        raise Refused(400, "Bad Request: send the message without a Transfer-Encoding other than chunked")
    chunked = coding and not environ.get("wsgi.input_terminated")
    if chunked and not environ.get("CONTENT_LENGTH"):  # uWSGI passes no chunked body on unless a proxy joined it
        raise Refused(411, "Length Required: this server hands no chunked body over; send a Content-Length")


def read_body(environ: dict[str, Any], limit: int, request_id: str) -> bytes:
    """Read the request's body. Raises Refused where it is too large, cut short, wrongly chunked or late."""
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
        raise Refused(*(_LATE if isinstance(failure, TimeoutError) else _UNREADABLE)) from None
    if len(body) > limit:
        raise _too_large(limit)
    # gunicorn hands over what came of a body that was cut, and that may be a whole message: RFC 9112, section 8.
    if announced is not None and len(body) < announced:
        raise Refused(*_UNREADABLE)
    return body


def _too_large(limit: int) -> Refused:
    return Refused(413, f"Content Too Large: the limit is {limit} bytes; {_NOTHING}; give images as URLs")
