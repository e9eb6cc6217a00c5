"""gunicorn's own lines in the form of the service's, so that all lines of a process have one time format.

Source: gunicorn 27.0.1, `glogging.Logger.setup`; its `logconfig_dict` would bring the access log back.
"""

from typing import Any

from gunicorn.glogging import Logger

from .logs import Formatter, JsonFormatter


class LogfmtLogger(Logger):
    """gunicorn's logger with our formatter."""

    formatter = Formatter

    def setup(self, cfg: Any) -> None:
        """Set the handlers up, then give them the formatter."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(self.formatter())


class JsonLogger(LogfmtLogger):
    """The same for SCENEXT_LOG_FORMAT=json."""

    formatter = JsonFormatter
