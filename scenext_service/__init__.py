"""A Flask service that speaks MCP over plain HTTP and answers with the Scenext API. `create_app` wires it.

`mcp/`, `scenext/` and `serving/` know nothing of each other; `tools/` knows `mcp/` and `scenext/`. This module knows
all, and it alone knows the configuration.
"""

import logging
import os

from flask import Flask
from requests.adapters import BaseAdapter

from . import config as configuration
from . import mcp
from .config import Config
from .scenext.auth import PLACEHOLDER
from .scenext.client import Scenext
from .scenext.sandbox import Sandbox
from .serving import health, logs
from .serving.application import Service
from .serving.metrics import Metrics
from .tools import INSTRUCTIONS, tools
from .tools.credentials import Credentials
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
    scenext = Scenext(
        config.api_base_url,
        timeout=config.timeout,
        slots=config.upstream_slots,
        adapter=adapter or (Sandbox() if config.sandbox else None),
        in_use=metrics.occupy if metrics else lambda change: None,
    )
    server = mcp.Server(
        info={"name": "scenext_service", "title": "Scenext", "version": VERSION},
        instructions=INSTRUCTIONS,
        tools=mcp.Registry(tools(scenext, Credentials(config.api_key, config.access_token), config.default_quality)),
    )
    origins = mcp.Origins(config.allowed_origins, own=config.public)

    def report(record: mcp.Record) -> None:
        if metrics is None and not logs.wanted():
            return
        fields = record.fields()
        logs.write_request(fields)
        if metrics is not None:
            metrics.observe(fields)

    app = Service(__name__)
    app.register_blueprint(mcp.create_blueprint(server, origins, config.max_body, report))
    app.register_blueprint(health.create_blueprint(config.sandbox, metrics))
    return app


def _warn(config: Config) -> None:
    """Log a warning for each setting that could surprise the operator."""
    if config.sandbox:
        log.warning("SCENEXT_SANDBOX is on: no call reaches Scenext, jobs and videos are made up")
    if config.api_key == PLACEHOLDER:
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
