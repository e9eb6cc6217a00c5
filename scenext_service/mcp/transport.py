"""The MCP endpoint over HTTP, as a Flask blueprint: what is refused before a message is read, and how it is answered.

Source: MCP 2026-07-28, basic/transports/streamable-http "Security & Endpoint" and "Sending Messages"; 2025-11-25,
basic/transports; Fetch, "CORS protocol".
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Blueprint, Response, current_app, request

from . import browsers
from .call import Caller, Record
from .dispatch import Answer, Dispatcher
from .origins import Origins
from .refusals import Refused, check_headers, read_body
from .registry import Server
from .streaming import HEADERS as STREAM_HEADERS
from .streaming import Events, exhaust

Report = Callable[[Record], None]
Left = Callable[[dict[str, Any]], bool]
Address = Callable[[dict[str, Any]], str]

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


def create_blueprint(
    server: Server,
    origins: Origins,
    max_body: int,
    report: Report,
    patience: float = 0.0,
    left: Left = lambda environ: False,
    address: Address | None = None,
) -> Blueprint:
    """Make the blueprint that serves `server`. The other arguments are those of `Endpoint`."""
    blueprint = Blueprint("mcp", __name__)
    endpoint = Endpoint(Dispatcher(server), origins, max_body, report, patience, left, address)
    for path in PATHS:
        blueprint.add_url_rule(path, "mcp", endpoint.answer, methods=_METHODS, provide_automatic_options=False)
    return blueprint


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Answers HTTP requests. The application says in each one's environ when it came, and by which id it is known.

    They are `scenext.started`, a time.monotonic(), and `scenext.request_id`.
    """

    dispatcher: Dispatcher
    origins: Origins
    max_body: int  # bytes; a larger body is refused
    report: Report  # gets the record of each message once it is answered
    patience: float  # seconds that a call may take, as far as the server is concerned
    left: Left  # tells of a request's environ whether its client has gone
    address: Address | None  # tells of a request's environ at which URL its client reached the service

    def answer(self) -> Response:
        """Answer the current request of Flask."""
        environ = request.environ
        request_id = environ["scenext.request_id"]
        origin = environ.get("HTTP_ORIGIN")
        site = environ.get("HTTP_SEC_FETCH_SITE")
        allowed = origin is None or self.origins.accept(origin, environ.get("HTTP_HOST", ""), site)
        answer: Answer | Events
        try:
            check_headers(environ, allowed)
            if environ["REQUEST_METHOD"] == "OPTIONS":
                answer = Answer(204, None, (Record(request_id=request_id),))
            else:
                body = read_body(environ, self.max_body, request_id)
                answer = self._begin(body, self._caller(environ, request_id), environ, request.path)
        except Refused as refusal:
            answer = _refusal(refusal, environ, request.path, Record(request_id=request_id))
        headers = _headers(request_id, origin if allowed else None)
        if isinstance(answer, Events):
            return current_app.response_class(answer, 200, [*headers, *STREAM_HEADERS])
        self._end(environ, request.path, answer, answer.status, len(answer.body or b""))
        return current_app.response_class([answer.body or b""], answer.status, [*headers, *_content(answer)])

    def _begin(self, body: bytes, caller: Caller, environ: dict[str, Any], path: str) -> Answer | Events:
        """Return the answer, or a stream that ends in it."""
        steps = self.dispatcher.handle(body, caller)
        try:
            first = next(steps)
        except StopIteration as stop:
            answer: Answer = stop.value
            return answer
        gone = partial(self.left, environ)
        if not caller.takes_stream:
            return exhaust(steps, gone)
        return Events(first, steps, gone, partial(self._end, environ, path))

    def _caller(self, environ: dict[str, Any], request_id: str) -> Caller:
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
            accept=environ.get("HTTP_ACCEPT", ""),
            request_id=request_id,
            received=time.monotonic(),
            # Without threads he would keep the process from all others.
            patience=self.patience if environ.get("wsgi.multithread") else 0.0,
            address=self.address(environ) if self.address else "",
        )

    def _end(self, environ: dict[str, Any], path: str, answer: Answer, status: int, size: int) -> None:
        for record in answer.records:
            _complete(record, environ, path, status, size)
            self.report(record)


def _refusal(refusal: Refused, environ: dict[str, Any], path: str, record: Record) -> Answer:
    if refusal.status == 405 and browsers.is_browser(environ):
        return Answer(405, browsers.page(path), (record,), browsers.HEADERS)
    return Answer(refusal.status, refusal.body, (record,))


def _complete(record: Record, environ: dict[str, Any], path: str, status: int, size: int) -> None:
    """Note what HTTP knows. A message of a batch has its own time and size already."""
    record.http_method = environ["REQUEST_METHOD"]
    record.path = path
    record.status = status
    if record.ms is None:
        record.measure(environ["scenext.started"], size)


def _headers(request_id: str, origin: str | None) -> list[tuple[str, str]]:
    """Return the headers of every answer; with `origin`, so that a page of that origin may read it."""
    headers = [("X-Request-ID", request_id)]
    if origin is not None:
        headers += [("Access-Control-Allow-Origin", origin), *_CORS.items()]
    return headers


def _content(answer: Answer) -> list[tuple[str, str]]:
    """Return the headers that say what an answer is."""
    if answer.body is not None:
        headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
    elif answer.status == 204:  # which must not have a length: RFC 9110, section 8.6
        headers = []
    else:
        headers = [("Content-Length", "0")]
    return [*headers, ("Allow", _ALLOW)] if answer.status in (204, 405) else headers
