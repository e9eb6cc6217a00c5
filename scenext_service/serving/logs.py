"""Log lines: one for each event, on stdout, as `time level event key=value …` or as JSON objects.

A line never holds a key, a query string, a response of Scenext, or a name that a client made up.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from typing import Any

ROOT = __package__.partition(".")[0]  # the logger above all of ours

log = logging.getLogger(__name__)

_PLAIN = re.compile(r"[A-Za-z0-9._:/+-]+")


class Formatter(logging.Formatter):
    """Writes a record as one line. `extra={"fields": {...}}` are its pairs; None leaves a pair out."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; the trace of an exception is one of its pairs."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields: dict[str, Any] = dict(getattr(record, "fields", {}))
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        given = {key: value for key, value in fields.items() if value is not None}
        return self.line(f"{stamp}.{record.msecs:03.0f}Z", record.levelname.lower(), record.getMessage(), given)

    def line(self, stamp: str, level: str, event: str, fields: dict[str, Any]) -> str:
        """Write the parts in logfmt, after three words that every line has."""
        return f"{stamp} {level} {_value(event)}" + "".join(f" {key}={_value(value)}" for key, value in fields.items())


class JsonFormatter(Formatter):
    """Writes the same as a JSON object."""

    def line(self, stamp: str, level: str, event: str, fields: dict[str, Any]) -> str:
        """Write the parts as one object."""
        return json.dumps({"time": stamp, "level": level, "event": event, **fields}, default=str)


FORMATTERS = {"logfmt": Formatter, "json": JsonFormatter}


def configure(level: str, form: str = "logfmt") -> None:
    """Send this package's log lines of `level` and above to stdout. Other loggers are left alone."""
    logger = logging.getLogger(ROOT)
    logger.setLevel(level)
    logger.propagate = False
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(FORMATTERS[form]())
    logger.handlers = [handler]


def wanted(level: int) -> bool:
    """Return whether lines of a level are written at all."""
    return log.isEnabledFor(level)


def write_request(fields: Mapping[str, Any], level: int = logging.INFO) -> None:
    """Write the line of a request, or of a message in one: who asked for what, what came of it, how long it took."""
    log.log(level, "request", extra={"fields": fields})


def _value(value: object) -> str:
    """Write a value so that it stays on the line: quoted and escaped unless it is a plain word."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
