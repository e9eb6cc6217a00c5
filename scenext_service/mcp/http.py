"""The MCP endpoint as a Flask blueprint: validate HTTP requests, dispatch their messages and send the responses.

Source: MCP 2026-07-28, basic/transports/streamable-http "Security & Endpoint" and "Sending Messages"; 2025-11-25,
basic/transports; Fetch, "CORS protocol".
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Blueprint, Response, request

from .context import Caller, LogRecord, Steps, TimeBudget, takes_stream
from .dispatch import JSON_CONTENT, Dispatcher, HttpResponse
from .gate import Gate
from .http_request import (
    BodyReader,
    Origins,
    RequestRejected,
    Reservation,
    check_headers,
    check_origin,
    client_disconnected,
)
from .registry import Server
from .streaming import HEADERS as STREAM_HEADERS
from .streaming import Events, TrackedBody, exhaust, mark_cancelled

Report = Callable[[LogRecord], None]
Address = Callable[[dict[str, Any]], str]

PATHS = ("/mcp", "/mcp/")  # both without a redirect, on which clients drop Authorization

CLIENT_CLOSED_REQUEST = 499  # logged only, as by nginx; the client may not have got the response
CLIENT_DISCONNECTED = "client disconnected"  # a reason for the log

# The view handles all methods, so that a 405 states its reason and has the CORS headers.
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")

_CALLER_HEADERS = ("HTTP_MCP_PROTOCOL_VERSION", "HTTP_MCP_METHOD", "HTTP_MCP_NAME", "HTTP_TRACEPARENT")

_ALLOW = "POST, OPTIONS"
_CORS = {
    "Access-Control-Allow-Methods": _ALLOW,
    "Access-Control-Allow-Headers": "Authorization, X-API-Key, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method,"
    " Mcp-Name, Mcp-Session-Id, Last-Event-ID, traceparent, tracestate",
    "Access-Control-Expose-Headers": "X-Request-ID",
    "Access-Control-Max-Age": "86400",  # seconds
    "Vary": "Origin",
}


class PlainResponse(Response):
    """A response whose headers are sent unchanged (benchmarks/prices.py, "response as it stands").

    Werkzeug 3.1.9 would copy the headers and iterate over them once more.
    """

    default_mimetype = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[Any]:
        start_response(self.status, self.headers.to_wsgi_list())
        return () if environ["REQUEST_METHOD"] == "HEAD" else self.response


def create_blueprint(
    server: Server,
    origins: Origins,
    bodies: BodyReader,
    report: Report,
    max_wait: float = 0.0,
    address: Address | None = None,
    gate: Gate | None = None,
) -> Blueprint:
    """Create the blueprint that serves `server` at /mcp, or behind the gate. The other arguments are `Endpoint`'s."""
    blueprint = Blueprint("mcp" if gate is None else "gate", __name__)
    endpoint = Endpoint(Dispatcher(server), origins, bodies, report, max_wait, address, gate)
    for path in PATHS if gate is None else (gate.path, f"{gate.path}/"):
        blueprint.add_url_rule(path, "mcp", endpoint.handle, methods=_METHODS, provide_automatic_options=False)
    return blueprint


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Handle HTTP requests, whose start time and id the application stores in the environ.

    They are `scenext.started`, a time.monotonic(), and `scenext.request_id`.
    """

    dispatcher: Dispatcher
    origins: Origins
    bodies: BodyReader
    report: Report  # called with the record of each message once the response is sent
    max_wait: float  # seconds that the server lets a call wait
    address: Address | None  # takes the environ, and returns the URL at which the client reached the service
    gate: Gate | None  # admits only clients that have signed in

    def handle(self) -> Response:
        """Handle Flask's current request."""
        environ, path = request.environ, request.path  # read once, because `request` is a slow proxy
        request_id = environ["scenext.request_id"]
        origin = environ.get("HTTP_ORIGIN")
        site = environ.get("HTTP_SEC_FETCH_SITE")
        allowed = origin is None or self.origins.accept(origin, environ.get("HTTP_HOST", ""), site)
        response: HttpResponse | Events
        try:
            check_origin(allowed)
            if environ["REQUEST_METHOD"] == "OPTIONS":
                response = HttpResponse(204, None, (LogRecord(request_id=request_id),))
            else:
                response = self._respond(environ, request_id, path)
        except RequestRejected as rejection:
            response = _rejection(rejection, environ, path, LogRecord(request_id=request_id))
        headers = _headers(request_id, origin if allowed else None, self.gate)
        if isinstance(response, Events):
            return PlainResponse(response, 200, [*headers, *STREAM_HEADERS])
        body = self._body(response, environ, path)
        return PlainResponse(body, response.status, [*headers, *_content(response)])

    def _body(self, response: HttpResponse, environ: dict[str, Any], path: str) -> TrackedBody | list[bytes]:
        """Return the parts of a response body, and log the response: at once or, if it is tracked, once it is written.

        A client that disconnected during a call still gets the response, because it may have closed only its own side.
        """
        body = response.body or b""
        tool_calls = [record for record in response.records if record.tool]
        if tool_calls:
            if client_disconnected(environ):
                mark_cancelled(response)
            elif [record for record in tool_calls if record.undelivered]:
                return TrackedBody(response, partial(self._end, environ, path))
        self._end(environ, path, response, response.status, len(body))
        return [body]

    def _respond(self, environ: dict[str, Any], request_id: str, path: str) -> HttpResponse | Events:
        """Return the response to a message, or a stream that ends in it. Raises RequestRejected."""
        if self.gate is not None:
            self.gate.admit(environ, path)
        check_headers(environ)
        reservation = Reservation(self.bodies.budget)
        try:
            response = self._dispatch(environ, reservation, request_id)
            ended = response if isinstance(response, HttpResponse) else self._run(response, environ, path)
        finally:
            reservation.release()
        if self.gate is not None and isinstance(ended, HttpResponse):
            return self.gate.replaced(ended, path)
        return ended

    def _dispatch(
        self, environ: dict[str, Any], reservation: Reservation, request_id: str
    ) -> HttpResponse | Steps[HttpResponse]:
        """Read the body and dispatch it. The body is released when this method returns, before a call waits."""
        body = self.bodies.read(environ, reservation, request_id)
        return self.dispatcher.handle(body, self._caller(environ, request_id, len(body)))

    def _run(self, steps: Steps[HttpResponse], environ: dict[str, Any], path: str) -> HttpResponse | Events:
        """Return the response at the end of the steps, or a stream if there is something to send before it."""
        try:
            first = next(steps)
        except StopIteration as stop:
            response: HttpResponse = stop.value
            return response
        is_disconnected = partial(client_disconnected, environ)
        if not takes_stream(environ.get("HTTP_ACCEPT", "")):
            return exhaust(steps, is_disconnected)
        return Events(first, steps, is_disconnected, partial(self._end, environ, path))

    def _caller(self, environ: dict[str, Any], request_id: str, body_size: int) -> Caller:
        # Surrounding whitespace is not part of a value (RFC 9110, section 5.5), but not every server strips it.
        version, method, name, traceparent = [
            value and value.strip(" \t") for value in map(environ.get, _CALLER_HEADERS)
        ]
        return Caller(
            protocol_version=version,
            method=method,
            name=name,
            traceparent=traceparent,
            authorization=environ.get("HTTP_AUTHORIZATION"),
            api_key=environ.get("HTTP_X_API_KEY"),
            signed_in=self.gate is not None,
            accept=environ.get("HTTP_ACCEPT", ""),
            body_size=body_size,
            request_id=request_id,
            # Without threads, a waiting call would block all other requests of the process.
            time=TimeBudget(time.monotonic(), self.max_wait if environ.get("wsgi.multithread") else 0.0),
            address=self.address(environ) if self.address else "",
        )

    def _end(self, environ: dict[str, Any], path: str, response: HttpResponse, status: int, size: int) -> None:
        for record in response.records:
            _complete(record, environ, path, status, size)
            self.report(record)


def _rejection(rejection: RequestRejected, environ: dict[str, Any], path: str, record: LogRecord) -> HttpResponse:
    record.reason = rejection.reason
    if rejection.status == 405 and is_browser(environ):
        return HttpResponse(405, browser_page(path), (record,), BROWSER_HEADERS)
    return HttpResponse(rejection.status, rejection.body, (record,), (JSON_CONTENT, *rejection.headers))


def _complete(record: LogRecord, environ: dict[str, Any], path: str, status: int, size: int) -> None:
    """Add the HTTP facts to a record. A message of a batch already has its own time and size."""
    record.http_method = environ["REQUEST_METHOD"]
    record.path = path
    record.status = status
    if record.outcome == "cancelled":
        record.status = CLIENT_CLOSED_REQUEST
        record.reason = record.undelivered or record.reason or CLIENT_DISCONNECTED
    if record.ms is None:
        record.ms = round((time.monotonic() - environ["scenext.started"]) * 1000, 1)
        record.bytes = size


def _headers(request_id: str, origin: str | None, gate: Gate | None) -> list[tuple[str, str]]:
    """Return the headers of every response. With `origin`, they allow a page of that origin to read it."""
    headers = [("X-Request-ID", request_id)]
    if origin is not None:
        cors = _CORS if gate is None else {**_CORS, "Access-Control-Expose-Headers": "X-Request-ID, WWW-Authenticate"}
        headers += [("Access-Control-Allow-Origin", origin), *cors.items()]
    return headers


def _content(response: HttpResponse) -> list[tuple[str, str]]:
    """Return the headers that describe the content of a response."""
    if response.body is not None:
        headers = [*response.headers, ("Content-Length", str(len(response.body)))]
    elif response.status == 204:  # must not have a Content-Length: RFC 9110, section 8.6
        headers = []
    else:
        headers = [("Content-Length", "0")]
    return [*headers, ("Allow", _ALLOW)] if response.status in (204, 405) else headers


# The page that the endpoint serves to a browser. It explains that the address is for MCP clients.
BROWSER_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),  # other clients get a different response at this address
)

_BROWSER_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>MCP</title>
<main>
<h1>MCP</h1>
<p>This address is for MCP clients, which send POST requests. <a href="START">Open the start page</a>.</p>
<p lang="zh-CN">此地址供 MCP 客户端使用（POST 请求）。<a href="START">打开首页</a></p>
</main>
</html>
"""


def is_browser(environ: dict[str, Any]) -> bool:
    """Return whether a browser opens the address: it accepts HTML, and neither media type that MCP clients accept."""
    accept = environ.get("HTTP_ACCEPT", "").lower()
    clients = ("text/event-stream", "application/json")
    return (
        environ["REQUEST_METHOD"] in ("GET", "HEAD")
        and "text/html" in accept
        and not any(media_type in accept for media_type in clients)
    )


def browser_page(path: str) -> bytes:
    """Return the page. It links to the start page, relative, so that it works under any path prefix."""
    return _BROWSER_PAGE.replace("START", "../" if path.endswith("/") else "./").encode()
