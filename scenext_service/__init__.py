"""A Flask service that speaks MCP over plain HTTP and answers with the Scenext API. `create_app` wires it."""

import logging
import os

from flask import Flask, Request, Response, jsonify
from requests.adapters import BaseAdapter
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import MapAdapter

from . import config as configuration
from . import mcp, tools
from .config import Config
from .scenext.client import Scenext
from .scenext.sandbox import Sandbox
from .serving import health, logs
from .serving.metrics import Metrics
from .tools import definitions
from .version import VERSION

__all__ = ["create_app"]

log = logging.getLogger(__name__)


def create_app(config: Config | None = None, adapter: BaseAdapter | None = None) -> Flask:
    """Make the application; the configuration comes from the environment where it is left out.

    `adapter` replaces the transport under the Scenext client. Raises config.ConfigError.
    """
    config = config or configuration.from_env(os.environ)
    logs.configure(config.log_level, config.log_format)
    _warn(config)
    metrics = Metrics() if config.metrics else None
    scenext = Scenext(config, adapter or (Sandbox() if config.sandbox else None), metrics.occupy if metrics else None)
    server = mcp.Server(
        info={"name": "scenext_service", "title": "Scenext", "version": VERSION},
        instructions=definitions.INSTRUCTIONS,
        tools=mcp.Registry(tools.tools(config, scenext)),
    )
    origins = mcp.Origins(config.allowed_origins, own=config.public)
    app = _Service(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # `/mcp//` is not found, rather than redirected from
    app.register_blueprint(mcp.create_blueprint(server, origins, config.max_body, metrics.observe if metrics else None))
    app.register_blueprint(health.create_blueprint(config.sandbox, metrics))
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _internal_error)
    return app


class _Service(Flask):
    """Flask for an application that never builds a URL."""

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what finds the view of a path. Flask also reads the Host header, twice, for URLs to be built."""
        if request is None:
            return None
        return MapAdapter(self.url_map, "", "/", "", "http", request.path, request.method)


def _warn(config: Config) -> None:
    """Say at the start what an operator must not be surprised by."""
    if config.sandbox:
        log.warning("SCENEXT_SANDBOX is on: no call reaches Scenext, jobs and videos are made up")
    if config.api_key == configuration.PLACEHOLDER:
        log.warning("SCENEXT_API_KEY is the placeholder of the documentation and counts as none")
    elif config.api_key is None:
        if config.access_token:
            log.warning("SCENEXT_ACCESS_TOKEN has no effect: there is no SCENEXT_API_KEY to lend")
    elif config.access_token:
        log.warning("SCENEXT_API_KEY is lent to every caller who presents SCENEXT_ACCESS_TOKEN")
    else:
        log.warning(
            "SCENEXT_API_KEY is lent to every caller who brings no key: whoever reaches this server spends its points;"
            " set SCENEXT_ACCESS_TOKEN to ask for a token"
        )


def _http_error(error: HTTPException) -> Response:
    """Answer whatever Flask refuses in JSON: `{"error": "not_found"}`. OAuth clients parse the body of a 404."""
    response = jsonify(error=error.name.lower().replace(" ", "_"))
    response.status_code = error.code or 500
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return response


def _internal_error(error: Exception) -> Response:
    log.error("unhandled", exc_info=error)
    response = jsonify(error="internal_error")
    response.status_code = 500
    return response
