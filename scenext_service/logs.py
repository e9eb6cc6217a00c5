"""Log lines: one an event, on stdout, as `time level event key=value …`.

Never in a line: a key, a query string, an upstream body, or a name that a client made up.
"""

import json
import logging
import re
import sys
import time
from typing import Any

ROOT = __package__  # the logger above all of ours

_PLAIN = re.compile(r"[A-Za-z0-9._:/+-]+")


class Formatter(logging.Formatter):
    """Writes a record as one line. `extra={"fields": {...}}` are its pairs; None leaves a pair out."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; the trace of an exception is one of its pairs."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields: dict[str, Any] = dict(getattr(record, "fields", {}))
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        pairs = "".join(f" {key}={_value(value)}" for key, value in fields.items() if value is not None)
        message = record.getMessage()
        return f"{stamp}.{record.msecs:03.0f}Z {record.levelname.lower()} {_value(message)}{pairs}"


def configure(level: str) -> None:
    """Send this package's log lines of `level` and above to stdout. Other loggers are left alone."""
    logger = logging.getLogger(ROOT)
    logger.setLevel(level)
    logger.propagate = False
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Formatter())
    logger.handlers = [handler]


def _value(value: object) -> str:
    """Write a value so that it stays on the line: quoted and escaped unless it is a plain word."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
