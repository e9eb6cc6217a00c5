"""Prometheus metrics over all worker processes, enabled with `SCENEXT_METRICS=1`.

They aggregate the log records, so their labels are fields of the log and never hold a name that a client chose.

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

from .. import __version__
from .logs import ROOT

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"

_LABELS = ("era", "method", "tool", "outcome", "failure", "status")

# Seconds. A call to Scenext ends within SCENEXT_TIMEOUT, which is at most 24.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30)


class Metrics:
    """The metrics of this service. Create them before gunicorn forks, so that all workers write to one directory.

    `slots` is the number of concurrent calls to Scenext that one process allows. It may change until the process serves
    its first request.
    """

    def __init__(self, slots: int) -> None:
        if _DIRECTORY not in os.environ:
            # prometheus-client reads the variable when it is imported, so import it only below.
            os.environ[_DIRECTORY] = directory = tempfile.mkdtemp(prefix="scenext-metrics-")
            atexit.register(remove_directory, directory, os.getpid())
        from prometheus_client import Counter, Gauge, Histogram

        self.slots = slots
        self._published_by: int | None = None  # ID of the process that has published its slots

        def gauge(name: str, text: str, labels: tuple[str, ...] = (), mode: Any = "livesum") -> Gauge:
            return Gauge(name, text, labels, registry=None, multiprocess_mode=mode)

        def histogram(name: str, text: str, labels: tuple[str, ...]) -> Histogram:
            return Histogram(name, text, labels, registry=None, buckets=_BUCKETS)

        self._requests = Counter("scenext_requests_total", "MCP requests answered", _LABELS, registry=None)
        self._seconds = histogram(
            "scenext_request_seconds", "MCP request duration, without the pauses of waiting calls", ("method", "tool")
        )
        self._upstream = histogram("scenext_upstream_seconds", "Scenext API call duration", ("operation", "failure"))
        self._in_use = gauge("scenext_upstream_slots_in_use", "Concurrent Scenext API calls")
        self._slot_limit = gauge("scenext_upstream_slots", "Limit of concurrent Scenext API calls")
        self._waiting = gauge("scenext_waiting_calls", "Tool calls that wait for a job to finish")
        self._undelivered = Counter(
            "scenext_jobs_undelivered_total", "Jobs started for clients that had disconnected", registry=None
        )
        self._repeats = Counter("scenext_repeats_total", "Repeated gen_video calls that were not sent", registry=None)
        errors = Counter("scenext_errors_total", "Internal errors", registry=None)
        build = gauge("scenext_build_info", "Versions, as labels; always 1", ("version", "python"), "livemax")
        build.labels(__version__, platform.python_version()).set(1)
        logging.getLogger(ROOT).addHandler(_ErrorCounter(errors))

    def observe(self, fields: Mapping[str, Any]) -> None:
        """Count one request that was answered, given the fields of its log record."""
        self._publish_slots()
        self._requests.labels(*(fields.get(name, "") for name in _LABELS)).inc()
        if "repeat_age_s" in fields:
            self._repeats.inc()
        seconds = (fields["ms"] - fields.get("waited_ms", 0.0)) / 1000
        self._seconds.labels(fields.get("method", ""), fields.get("tool", "")).observe(max(seconds, 0.0))

    def on_job_undelivered(self) -> None:
        """Count a job that was started, but whose client had disconnected before it got the result."""
        self._undelivered.inc()

    def on_complete(self, operation: str, failure: str, seconds: float) -> None:
        """Record the duration of a call to Scenext and the class of its failure, which is "" on success."""
        self._upstream.labels(operation, failure).observe(seconds)

    def on_slot_change(self, change: int) -> None:
        """Add to the slots in use: 1 when a slot is acquired, -1 when it is released."""
        self._publish_slots()
        self._in_use.inc(change)

    def on_wait_change(self, change: int) -> None:
        """Add to the waiting calls: 1 when a wait begins, -1 when it ends."""
        self._waiting.inc(change)

    def render(self) -> tuple[bytes, str]:
        """Return the metrics of all processes in Prometheus' text format, and its media type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        self._publish_slots()
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST

    def _publish_slots(self) -> None:
        """Add this process's slots, once it serves. gunicorn's master creates this object, but never serves."""
        if self._published_by != (process := os.getpid()):
            self._published_by = process
            self._slot_limit.set(self.slots)


class _ErrorCounter(logging.Handler):
    """Count the log records of level ERROR, each of which reports a bug."""

    def __init__(self, counter: Any) -> None:
        super().__init__(logging.ERROR)
        self._counter = counter

    def emit(self, record: logging.LogRecord) -> None:
        self._counter.inc()


def remove_directory(directory: str, owner: int) -> None:
    """Remove the directory if this process created it: forked workers run the same handler when they exit."""
    if os.getpid() == owner:
        shutil.rmtree(directory, ignore_errors=True)
