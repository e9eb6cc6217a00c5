"""A Flask service that speaks MCP over plain HTTP and answers with the Scenext API; `create_app` makes it.

`mcp/`, `scenext/`, `serving/` and `views/` know nothing of each other; `tools/` knows `mcp/` and `scenext/`. `factory`
knows all.
"""

import platform
import sys
from typing import TYPE_CHECKING

if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts it with an older one fails on the next import
    sys.exit(f"scenext_service cannot start: it needs Python 3.11 or newer; this is {platform.python_version()}")

if TYPE_CHECKING:
    from requests.adapters import BaseAdapter

    from .config import Config
    from .serving.application import Service

__all__ = ["create_app"]


def create_app(config: "Config | None" = None, adapter: "BaseAdapter | None" = None) -> "Service":
    """Make the application; the configuration comes from the environment where it is left out.

    `adapter` replaces the transport under the Scenext client. Raises environment.ConfigError.
    """
    from . import factory  # not above: gunicorn's settings are in this package too, and gevent must come before ssl

    return factory.create_app(config, adapter)
