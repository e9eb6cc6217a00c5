"""The Flask application: what every answer has, whichever view gives it.

Each request has an id, each answer tells it, and each request outside of `/mcp` has its line in the log from here.
Whatever Flask refuses is answered in JSON.
"""

import logging
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Flask, Request, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import MapAdapter

from . import logs

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Paths that clients and crawlers try unasked: the older transport, OAuth, icons. A 404 on one is logged by its name.
_GUESSES = frozenset(
    {
        "/sse",
        "/sse/",
        "/message",
        "/messages",
        "/messages/",
        "/register",
        "/authorize",
        "/token",
        "/favicon.ico",
        "/robots.txt",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/openid-configuration",
        "/.well-known/openid-configuration/mcp",
        "/mcp/.well-known/openid-configuration",
        "/.well-known/mcp.json",
        "/.well-known/agent-card.json",
    }
)

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")  # those that are logged


class PlainResponse(Response):
    """A response that is sent as it stands (benchmarks/prices.py, "response as it stands").

    Werkzeug would copy its headers and go through them once more.
    """

    default_mimetype = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[Any]:
        start_response(self.status, self.headers.to_wsgi_list())
        return () if environ["REQUEST_METHOD"] == "HEAD" else self.response


class Service(Flask):
    """Flask for a service that answers in JSON and never builds a URL."""

    response_class = PlainResponse
    stopping = False
    about: Mapping[str, Any] = {}  # what the line of the start says

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)
        self.url_map.merge_slashes = False  # `/mcp//` is not found, rather than redirected from
        self.register_error_handler(HTTPException, _http_error)
        self.register_error_handler(Exception, _internal_error)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Note when the request came and by which id it is known: the caller's X-Request-ID where it is a word."""
        given = environ.get("HTTP_X_REQUEST_ID", "")
        environ["scenext.started"] = time.monotonic()
        environ["scenext.request_id"] = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        return self.wsgi_app(environ, start_response)

    def announce(self, **where: Any) -> None:
        """Write the line of the start; `where` is what the server knows: its address, its workers."""
        log.info("started", extra={"fields": {**self.about, **where}})

    def stop(self) -> None:
        """End the calls that wait, with the answers that they have: the process is told to end."""
        self.stopping = True

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what finds the view of a path (benchmarks/prices.py, "path without host").

        Flask also parses the Host header, twice, for URLs to be built.
        """
        if request is None:
            return None
        return MapAdapter(self.url_map, "", "/", "", "http", request.path, request.method)


def noted(response: Response, level: int = logging.INFO) -> Response:
    """Write the line of a request outside of `/mcp`, and return its response with the request's id."""
    environ = request.environ
    request_id = environ["scenext.request_id"]
    response.headers["X-Request-ID"] = request_id
    fields = {
        "http_method": request.method if request.method in _METHODS else "unknown",
        "path": _named() if request.url_rule is None else request.url_rule.rule,
        "status": response.status_code,
        "bytes": response.content_length,
        "ms": round((time.monotonic() - environ["scenext.started"]) * 1000, 1),
        "request_id": request_id,
    }
    logs.write_request(fields, level)
    return response


def _named() -> str:
    """Return the path of a request that no view takes, where it is one of ours, or a usual guess."""
    known = request.path in _GUESSES or any(rule.rule == request.path for rule in current_app.url_map.iter_rules())
    return request.path if known else "unknown"


def _http_error(error: HTTPException) -> Response:
    """Answer whatever Flask refuses in JSON: `{"error": "not_found"}`. OAuth clients parse the body of a 404.

    A client with a wrong path, or with none, is told the right one.
    """
    fields = {"error": error.name.lower().replace(" ", "_")}
    if isinstance(error, NotFound) or request.path == "/":
        fields["message"] = "the MCP endpoint is /mcp"
    response = jsonify(fields)
    response.status_code = error.code or 500
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return noted(response)


def _internal_error(error: Exception) -> Response:
    log.error("unhandled", exc_info=error)
    response = jsonify(error="internal_error")
    response.status_code = 500
    return noted(response)
