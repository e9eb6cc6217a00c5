"""Prometheus metrics over all worker processes, for operators who ask for them with `SCENEXT_METRICS=1`.

They count what the log lines say, so their labels are those of the log and never hold what a client made up.

Source: prometheus-client's manual, "Multiprocess Mode (E.g. Gunicorn)"; Prometheus' manual, "Metric and label naming".
"""

import atexit
import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any

from ..version import VERSION
from .logs import ROOT

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"

_LABELS = ("era", "method", "tool", "outcome", "failure", "status")

# Seconds. A call of Scenext ends within SCENEXT_TIMEOUT, which is 24 at most.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30)


class Metrics:
    """The metrics of this service. Made before gunicorn forks, so that all workers write into one directory.

    `slots` are the calls of Scenext that one process allows at the same time.
    """

    def __init__(self, slots: int) -> None:
        if _DIRECTORY not in os.environ:
            # prometheus-client reads the variable when it is imported, which is why that happens below.
            os.environ[_DIRECTORY] = directory = tempfile.mkdtemp(prefix="scenext-metrics-")
            atexit.register(remove, directory, os.getpid())
        from prometheus_client import Counter, Gauge, Histogram

        self._slots = slots
        self._counted: int | None = None  # the process whose slots are counted

        def gauge(name: str, text: str, labels: tuple[str, ...] = (), mode: Any = "livesum") -> Gauge:
            return Gauge(name, text, labels, registry=None, multiprocess_mode=mode)

        def histogram(name: str, text: str, labels: tuple[str, ...]) -> Histogram:
            return Histogram(name, text, labels, registry=None, buckets=_BUCKETS)

        self._requests = Counter("scenext_requests_total", "MCP messages that were answered", _LABELS, registry=None)
        self._seconds = histogram(
            "scenext_request_seconds", "Time to an answer, less the pauses of a call that waits", ("method", "tool")
        )
        self._upstream = histogram(
            "scenext_upstream_seconds", "Time that a call of Scenext took", ("operation", "failure")
        )
        self._in_use = gauge("scenext_upstream_slots_in_use", "Calls of Scenext that are under way")
        self._there = gauge("scenext_upstream_slots", "Calls of Scenext that may be under way")
        self._waiting = gauge("scenext_waiting_calls", "Calls that wait for a job to end")
        errors = Counter("scenext_errors_total", "Errors of this service itself", registry=None)
        build = gauge("scenext_build_info", "What runs, as labels; always 1", ("version", "python"), "livemax")
        build.labels(VERSION, platform.python_version()).set(1)
        logging.getLogger(ROOT).addHandler(_Counting(errors))

    def observe(self, fields: Mapping[str, Any]) -> None:
        """Count one answered message, from the fields of its log line."""
        self._count_slots()
        self._requests.labels(*(fields.get(name, "") for name in _LABELS)).inc()
        seconds = (fields["ms"] - fields.get("waited_ms", 0.0)) / 1000
        self._seconds.labels(fields.get("method", ""), fields.get("tool", "")).observe(max(seconds, 0.0))

    def took(self, operation: str, failure: str, seconds: float) -> None:
        """Note how long a call of Scenext took, and how it failed; blank where it did not."""
        self._upstream.labels(operation, failure).observe(seconds)

    def occupy(self, change: int) -> None:
        """Add to the slots in use; negative when one is free again."""
        self._count_slots()
        self._in_use.inc(change)

    def wait(self, change: int) -> None:
        """Add to the calls that wait; negative when one has ended."""
        self._waiting.inc(change)

    def page(self) -> tuple[bytes, str]:
        """Return what Prometheus reads, over all processes, and its media type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        self._count_slots()
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST

    def _count_slots(self) -> None:
        """Add this process's slots once it serves: gunicorn's master, which made this object, never does."""
        if self._counted != (process := os.getpid()):
            self._counted = process
            self._there.set(self._slots)


class _Counting(logging.Handler):
    """Counts what is logged as an error: whatever was not foreseen."""

    def __init__(self, counter: Any) -> None:
        super().__init__(logging.ERROR)
        self._counter = counter

    def emit(self, record: logging.LogRecord) -> None:
        self._counter.inc()


def remove(directory: str, owner: int) -> None:
    """Remove the directory when the process that made it ends; its forked workers run this too."""
    if os.getpid() == owner:
        shutil.rmtree(directory, ignore_errors=True)
