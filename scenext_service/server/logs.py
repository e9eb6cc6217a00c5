"""Log records, one line each: `ts=… level=… msg=… key=value …` (logfmt) or a JSON object.

Records below WARNING go to stdout, the others to stderr. A line never holds a key, a query string, a response from
Scenext, or a name that a client invented.

Source: Cloud Logging's manual, "Structured logging" and "LogSeverity"; Loki's manual, "logfmt" parser.
"""

import json
import logging
import string
import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol

ROOT = __package__.partition(".")[0]  # the parent of all loggers of this package

log = logging.getLogger(__name__)

_PLAIN = f"{string.ascii_letters}{string.digits}._:/+-".encode()  # a value of these characters needs no quotes
_JSON = json.JSONEncoder(default=str)  # json.dumps(default=…) would create an encoder for each line


class Formatter(logging.Formatter):
    """Format a record as one line of logfmt. `extra={"fields": {...}}` holds its pairs. A pair with None is omitted."""

    _second = (0, "1970-01-01T00:00:00")  # the last formatted second and its text

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. The traceback of an exception is the pair `exception`."""
        fields: Mapping[str, Any] = getattr(record, "fields", {})
        if record.exc_info:
            fields = {**fields, "exception": self.formatException(record.exc_info)}
        if None in fields.values():
            fields = {key: value for key, value in fields.items() if value is not None}
        return self.line(self._timestamp(record), record.levelname, record.getMessage(), fields)

    def line(self, timestamp: str, severity: str, message: str, fields: Mapping[str, Any]) -> str:
        """Return the line: the three pairs that every line has, then its own.

        Most lines have only plain values, so check all values of a line at once: without the plain characters, only a
        space and an equals sign remain of each pair. This also finds a value that looks like a pair.
        """
        named = {"msg": message, **fields}
        pairs = "".join([f" {key}={value!s}" for key, value in named.items()])
        if _without_plain(pairs) != b" =" * len(named) or "= " in f"{pairs} ":  # an empty value needs quotes too
            pairs = "".join([f" {key}={_value(value)}" for key, value in named.items()])
        return f"ts={timestamp} level={severity.lower()}{pairs}"

    def _timestamp(self, record: logging.LogRecord) -> str:
        """Return the time of a record (RFC 3339, in UTC). The text of a second is cached for the lines that follow."""
        second, text = self._second
        if second != (now := int(record.created)):
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
            self._second = (now, text)
        return f"{text}.{record.msecs:03.0f}Z"


class JsonFormatter(Formatter):
    """Format a record as a JSON object. `severity` is for Cloud Logging, `level` for most other services."""

    def line(self, timestamp: str, severity: str, message: str, fields: Mapping[str, Any]) -> str:
        """Return the line: the four members that every line has, then its own."""
        first = {"time": timestamp, "severity": severity, "level": severity.lower(), "message": message}
        return _JSON.encode({**first, **fields})


FORMATTERS = {"logfmt": Formatter, "json": JsonFormatter}


class StandardStreams(logging.StreamHandler[Any]):
    """Write records below WARNING to stdout, the others to stderr."""

    def __init__(self, log_format: str) -> None:
        super().__init__()
        self.setFormatter(FORMATTERS[log_format]())
        self._stdout, self._stderr = sys.stdout, sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. Thread-safe, because logging holds this handler's lock during the call."""
        self.stream = self._stderr if record.levelno >= logging.WARNING else self._stdout
        super().emit(record)


def configure(level: str, log_format: str = "logfmt") -> None:
    """Write this package's log records of `level` and above. Other loggers are not changed."""
    logger = logging.getLogger(ROOT)
    logger.setLevel(level)
    logger.propagate = False
    logger.handlers = [StandardStreams(log_format)]


def is_enabled(level: int) -> bool:
    """Return whether records of a level are written at all."""
    return log.isEnabledFor(level)


def write_request(fields: Mapping[str, Any], level: int = logging.INFO) -> None:
    """Log a request, or one message of a request: its client, its method, its outcome and its duration.

    Creates the record itself, because `log.log` would search the stack for its caller, which no line names.
    """
    if log.isEnabledFor(level):
        log.handle(log.makeRecord(log.name, level, __file__, 0, "request", (), None, extra={"fields": fields}))


def _value(value: object) -> str:
    """Return a value as text on one line: quoted and escaped unless it is a plain word."""
    text = str(value)
    return text if text and not _without_plain(text) else json.dumps(text)


def _without_plain(text: str) -> bytes:
    """Return a text without its plain characters. Others than ASCII become question marks."""
    return text.encode("ascii", "replace").translate(None, _PLAIN)


class RequestMetrics(Protocol):
    """The methods of `metrics.Metrics` that the request log calls."""

    def observe(self, fields: Mapping[str, Any]) -> None: ...
    def on_job_undelivered(self) -> None: ...


class RequestLog:
    """Log MCP messages, and update the metrics if there are any."""

    def __init__(self, metrics: RequestMetrics | None = None) -> None:
        self._metrics = metrics

    def write(self, record: Any) -> None:
        """Log a record, an object with slots, as a warning if it has a reason.

        Slots that are None are omitted, and so is `undelivered`.
        """
        level = logging.WARNING if record.reason else logging.INFO
        if self._metrics is None and not is_enabled(level):
            return
        fields = {name: value for name in record.__slots__ if (value := getattr(record, name)) is not None}
        undelivered = fields.pop("undelivered", None)
        write_request(fields, level)
        if self._metrics is not None:
            self._metrics.observe(fields)
            if undelivered and record.outcome == "cancelled":
                self._metrics.on_job_undelivered()
