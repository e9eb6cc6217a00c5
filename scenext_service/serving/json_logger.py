"""gunicorn's own lines as JSON objects, where the service's are: SCENEXT_LOG_FORMAT=json.

Source: gunicorn 27.0.1, `glogging.Logger.setup`; its `logconfig_dict` would bring the access log back.
"""

from typing import Any

from gunicorn.glogging import Logger

from .logs import JsonFormatter


class JsonLogger(Logger):
    """gunicorn's logger with our formatter."""

    def setup(self, cfg: Any) -> None:
        """Set the handlers up, then give them the formatter."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonFormatter())
