"""A Flask service that exposes the Scenext API over MCP and plain HTTP; `create_app` creates the application.

`mcp/`, `scenext/`, `server/` and `web/` do not import each other. `tools/` imports `mcp/` and `scenext/`. `app` imports
all of them.
"""

import platform
import sys
from typing import TYPE_CHECKING

if sys.version_info < (3, 11):  # noqa: UP036 - with an older version, the next import fails
    sys.exit(f"scenext_service cannot start: Python 3.11 or newer is required; this is {platform.python_version()}")

if TYPE_CHECKING:
    from requests.adapters import BaseAdapter

    from .config import Config
    from .server.application import Service
    from .tools.waiting import Clock

__all__ = ["__version__", "create_app"]

__version__ = "2.0.0"


def create_app(
    config: "Config | None" = None, adapter: "BaseAdapter | None" = None, clock: "Clock | None" = None
) -> "Service":
    """Create the application. The configuration defaults to that of the environment.

    `adapter` replaces the Scenext client's HTTP transport, and `clock` that of waits. Raises environment.ConfigError.
    """
    # Imported here because gunicorn imports its settings from this package, before gevent has patched ssl.
    from . import app as factory

    return factory.create_app(config, adapter, clock)
