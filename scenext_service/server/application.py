"""The Flask application: request IDs, JSON errors and the request log.

Each request has an ID, and each response returns it, whichever view produces it. Requests outside `/mcp` are logged
here, at the level in the environ's `scenext.log_level` if a view sets it. Errors that Flask raises itself, such as 404
and 405, are returned as JSON. Parts of Flask that the application does not use are skipped.

Source: Flask 3.1.3, `app.py` and `ctx.py`; Werkzeug 3.1.9, `routing/matcher.py`.
"""

import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from flask import (
    Flask,
    Request,
    Response,
    appcontext_tearing_down,
    current_app,
    jsonify,
    request,
    request_tearing_down,
)
from flask.ctx import RequestContext
from flask.globals import _cv_request
from flask.sessions import NullSession
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestedRangeNotSatisfiable
from werkzeug.routing import MapAdapter, Rule

from . import logs
from .capacity import server_threads

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Probed by clients and crawlers: the older transport, OAuth, robots.txt. A 404 on one is logged with its path.
_PROBED_PATHS = frozenset(
    {
        "/sse",
        "/sse/",
        "/message",
        "/messages",
        "/messages/",
        "/register",
        "/authorize",
        "/token",
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

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")  # logged by name

_NO_SESSION = NullSession()  # can be read but not written, so all requests share it


class LeanFlask(Flask):
    """Flask 3.1.3 without the cost of features that an application does not use, and without building URLs.

    For each request, Flask opens a session, and looks for functions to call before the view, after it and at the end.
    This service has none. Here each method first checks whether there are any (benchmarks/prices.py, "empty hooks"). If
    so, Flask's own code runs, so no extension is ignored: `test_extensions_of_flask_work_as_usual`,
    `test_signals_of_flask_are_sent`. `tests/test_borrowed_names.py` lists the names of Flask on which this depends.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fixed_paths: dict[tuple[str, str], Rule] = {}  # rules without variables, by path and method

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return an adapter that finds the view of a path (benchmarks/prices.py, "path without host").

        Flask's own adapter parses the Host header as well, twice, so that it can build URLs.
        """
        if request is None:
            return None
        return MapAdapter(self.url_map, "", "/", "", "http", request.path, request.method)

    def request_context(self, environ: dict[str, Any]) -> RequestContext:
        """Create the context of a request. It opens a session only if the application has sessions."""
        return RememberingContext(self, environ, session=None if self._has_sessions() else _NO_SESSION)

    def _has_sessions(self) -> bool:
        """Return whether the application has sessions. Flask's own need a secret key."""
        return bool(self.secret_key) or self.session_interface is not Flask.session_interface

    def preprocess_request(self) -> Any:
        """Call the functions that run before the view."""
        if self.before_request_funcs or self.url_value_preprocessors:
            return super().preprocess_request()
        return None

    def process_response(self, response: Response) -> Response:
        """Call the functions that run after the view, and save the session."""
        if self.after_request_funcs or _cv_request.get()._after_request_functions or self._has_sessions():
            return super().process_response(response)
        return response

    def do_teardown_request(self, *args: Any, **options: Any) -> None:
        """Call the functions that run at the end of a request."""
        if self.teardown_request_funcs or request_tearing_down.receivers:
            super().do_teardown_request(*args, **options)

    def do_teardown_appcontext(self, *args: Any, **options: Any) -> None:
        """Call the functions that run at the end of an application context."""
        if self.teardown_appcontext_funcs or appcontext_tearing_down.receivers:
            super().do_teardown_appcontext(*args, **options)


class RememberingContext(RequestContext):
    """The context of a request, which remembers the rules of paths without variables."""

    app: LeanFlask

    def match_request(self) -> None:
        """Find the rule of the request, in a dictionary if possible (benchmarks/prices.py, "path in a dictionary").

        Werkzeug 3.1.9 splits each path and walks through a tree of rules. It prefers a rule without variables to all
        others, and the one that was added first, so the dictionary is never outdated:
        `test_a_remembered_rule_wins_over_rules_that_are_added_later`. Clients cannot fill it, because only registered
        paths and methods match: `test_only_registered_paths_and_methods_are_remembered`.
        """
        place = (self.request.path, self.request.method)
        rule = self.app.fixed_paths.get(place)
        if rule is not None:
            self.request.url_rule, self.request.view_args = rule, {}
            return
        super().match_request()
        found = self.request.url_rule
        if found is not None and found.methods and not self.request.view_args:
            self.app.fixed_paths[place] = found


class Service(LeanFlask):
    """A Flask application for a service that responds in JSON."""

    stopping = False
    threads: int | None = None  # of this process; 0 if the server does not expose the number
    on_threads: Callable[[int], None] | None = None
    startup_fields: Mapping[str, Any] = {}  # of the log

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)
        self.url_map.merge_slashes = False  # `/mcp//` returns 404 instead of a redirect
        self.register_error_handler(HTTPException, _http_error)
        self.register_error_handler(Exception, _internal_error)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Record the request's start time and its ID.

        The ID is the client's X-Request-ID if it is well-formed, otherwise a random one.
        """
        client_id = environ.get("HTTP_X_REQUEST_ID", "")
        if self.threads is None:
            self.use_threads(server_threads(environ) or 0)
        environ["scenext.started"] = time.monotonic()
        environ["scenext.request_id"] = client_id if _REQUEST_ID.fullmatch(client_id) else secrets.token_hex(16)
        return self.wsgi_app(environ, start_response)

    def use_threads(self, threads: int) -> None:
        """Divide this process's threads among calls; 0 means that the number is unknown.

        Runs at startup, or at the first request if the server exposes the number only there.
        """
        if threads != self.threads:
            self.threads = threads
            if threads and self.on_threads is not None:
                self.on_threads(threads)

    def log_startup(self, **fields: Any) -> None:
        """Log the startup record. `fields` are those that only the server knows: its address, its workers."""
        log.info("started", extra={"fields": {**self.startup_fields, **fields}})

    def stop(self) -> None:
        """End waiting calls with the results that they have so far, because the process is shutting down."""
        self.stopping = True

    def process_response(self, response: Response) -> Response:
        """Complete a response, then log the request."""
        return _log_request(super().process_response(response))


def _log_request(response: Response) -> Response:
    """Log a request, and add its ID to the response. The MCP endpoint does both for its own responses."""
    if "X-Request-ID" in response.headers:
        return response
    environ = request.environ
    request_id = environ["scenext.request_id"]
    response.headers["X-Request-ID"] = request_id
    fields = {
        "http_method": request.method if request.method in _METHODS else "unknown",
        "path": _loggable_path() if request.url_rule is None else request.url_rule.rule,
        "status": response.status_code,
        "bytes": response.content_length,
        "ms": round((time.monotonic() - environ["scenext.started"]) * 1000, 1),
        "request_id": request_id,
    }
    logs.write_request(fields, environ.get("scenext.log_level", logging.INFO))
    return response


def _loggable_path() -> str:
    """Return the path of a request without a matching route, or "unknown".

    Only registered paths and common probes are returned, so that no path invented by a client is logged.
    """
    known = request.path in _PROBED_PATHS or any(rule.rule == request.path for rule in current_app.url_map.iter_rules())
    return request.path if known else "unknown"


def _http_error(error: HTTPException) -> Response:
    """Return an HTTP error that Flask raised as JSON: `{"error": "not_found"}`. OAuth clients parse the body of a 404.

    A 404, and any error on `/`, also names the path of the MCP endpoint.
    """
    fields = {"error": error.name.lower().replace(" ", "_")}
    if isinstance(error, NotFound) or request.path == "/":
        fields["message"] = "the MCP endpoint is /mcp"
    response = jsonify(fields)
    response.status_code = error.code or 500
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    if isinstance(error, RequestedRangeNotSatisfiable):
        response.headers["Content-Range"] = f"{error.units} */{error.length}"
    return response


def _internal_error(error: Exception) -> Response:
    log.error("unhandled exception", exc_info=error)
    response = jsonify(error="internal_error")
    response.status_code = 500
    return response
