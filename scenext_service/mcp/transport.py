"""The MCP endpoint over HTTP, as a Flask blueprint: what is refused before a message is read, and how it is answered.

Source: MCP 2026-07-28, basic/transports/streamable-http "Security & Endpoint" and "Sending Messages"; 2025-11-25,
basic/transports; Fetch, "CORS protocol".
"""

import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import Rule
from werkzeug.wsgi import get_content_length, get_input_stream

from .dispatch import Answer, Dispatcher
from .eras import Headers
from .jsonrpc import INVALID_REQUEST, PARSE_ERROR, RpcError, error
from .origins import Origins
from .registry import Caller
from .server import Server

log = logging.getLogger(__name__)

Observer = Callable[[Mapping[str, Any]], None]

PATHS = ("/mcp", "/mcp/")  # both, without a redirect: clients lose their Authorization on one

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_UNREADABLE = (400, "Parse error: the body could not be read to its end", PARSE_ERROR)
_LATE = (408, "Request Timeout: the body did not come to its end in time", INVALID_REQUEST)

_ALLOW = "POST, OPTIONS"
_CORS = {
    "Access-Control-Allow-Methods": _ALLOW,
    "Access-Control-Allow-Headers": "Authorization, X-API-Key, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method,"
    " Mcp-Name, Mcp-Session-Id, Last-Event-ID, traceparent, tracestate",
    "Access-Control-Expose-Headers": "X-Request-ID",
    "Access-Control-Max-Age": "86400",  # seconds
    "Vary": "Origin",
}


class _Refused(Exception):
    """A request that is answered without a look at any message in it."""

    def __init__(self, status: int, message: str, code: int = INVALID_REQUEST) -> None:
        super().__init__(message)
        self.answer = Answer(status, error(None, RpcError(code, message)))


def create_blueprint(server: Server, origins: Origins, max_body: int, observe: Observer | None = None) -> Blueprint:
    """Make the blueprint that serves `server`; a body of more than `max_body` bytes is refused.

    `observe` gets the fields of each log line.
    """
    blueprint = Blueprint("mcp", __name__)
    dispatcher = Dispatcher(server)

    @blueprint.endpoint("mcp")
    def endpoint() -> Response:
        started = time.perf_counter()
        environ = request.environ
        environ["scenext.path"] = str(request.url_rule)  # for gunicorn's access log
        fields: dict[str, Any] = {"request_id": _request_id(environ)}
        origin = environ.get("HTTP_ORIGIN")
        allowed = origin is None or origins.accept(origin, environ.get("HTTP_HOST", ""))
        try:
            _check_headers(environ, allowed)
            if environ["REQUEST_METHOD"] == "OPTIONS":
                answer = Answer(204, None)
            else:
                body = _body(environ, max_body, fields["request_id"])
                answer = dispatcher.handle(body, _mcp_headers(environ), _caller(environ, fields))
        except _Refused as refusal:
            answer = refusal.answer
        fields["status"] = answer.status
        fields["ms"] = round((time.perf_counter() - started) * 1000, 1)
        log.info("call", extra={"fields": fields})
        if observe is not None:
            observe(fields)
        return _response(answer, fields["request_id"], origin if allowed else None)

    def add_rules(state: BlueprintSetupState) -> None:
        # Rules without methods: the view answers every method, so that a 405 has its Allow and its CORS headers.
        for path in PATHS:
            state.app.url_map.add(Rule(path, endpoint="mcp"))

    blueprint.record_once(add_rules)
    return blueprint


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
    if environ.get("HTTP_TRANSFER_ENCODING") and not environ.get("wsgi.input_terminated"):
        # uWSGI hands no chunks over, unless a proxy put them together; Werkzeug would overlook the length it tells.
        if not environ.get("CONTENT_LENGTH"):
            raise _Refused(411, "Length Required: this server hands no chunked body over; send a Content-Length")
        del environ["HTTP_TRANSFER_ENCODING"]


def _body(environ: dict[str, Any], limit: int, request_id: str) -> bytes:
    """Read the request's body. Raises _Refused where it is too large, cut short, wrongly chunked or late."""
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


def _mcp_headers(environ: dict[str, Any]) -> Headers:
    def header(name: str) -> str | None:
        value: str | None = environ.get(f"HTTP_{name}")
        # Surrounding blanks are no part of a value (RFC 9110, section 5.5), but not every server takes them away.
        return value and value.strip(" \t")

    return Headers(
        header("MCP_PROTOCOL_VERSION"),
        header("MCP_METHOD"),
        header("MCP_NAME"),
        header("TRACEPARENT"),
        lambda name: header(f"MCP_PARAM_{name.upper().replace('-', '_')}"),
    )


def _caller(environ: dict[str, Any], fields: dict[str, Any]) -> Caller:
    return Caller(
        authorization=environ.get("HTTP_AUTHORIZATION"),
        api_key=environ.get("HTTP_X_API_KEY"),
        received=time.monotonic(),
        request_id=fields["request_id"],
        log=fields,
    )


def _request_id(environ: dict[str, Any]) -> str:
    """Return the caller's X-Request-ID where it is a plain word, else a new one."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


class _Response(Response):
    """A response that is sent as it stands; Werkzeug would copy its headers and go through them once more."""

    default_mimetype = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[Any]:
        start_response(self.status, self.headers.to_wsgi_list())
        return () if environ["REQUEST_METHOD"] == "HEAD" else self.response


def _response(answer: Answer, request_id: str, origin: str | None) -> Response:
    """Write the answer; with `origin`, so that a page of that origin may read it."""
    headers = [("X-Request-ID", request_id)]
    if answer.body is not None:
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(answer.body)))]
    elif answer.status != 204:  # which has none: RFC 9110, section 8.6
        headers.append(("Content-Length", "0"))
    if answer.status == 405:
        headers.append(("Allow", _ALLOW))
    if origin is not None:
        headers += [("Access-Control-Allow-Origin", origin), *_CORS.items()]
    return _Response([answer.body or b""], answer.status, headers)
