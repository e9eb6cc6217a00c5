"""Prometheus metrics over all worker processes, for operators who ask for them with `SCENEXT_METRICS=1`.

They count what the log lines say, so their labels are those of the log and never hold what a client made up.

Source: prometheus-client's manual, "Multiprocess Mode (E.g. Gunicorn)".
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The metrics of this service. Made before gunicorn forks, so that all workers write into one directory."""

    def __init__(self) -> None:
        if _DIRECTORY not in os.environ:
            # prometheus-client reads the variable when it is imported, which is why that happens below.
            os.environ[_DIRECTORY] = directory = tempfile.mkdtemp(prefix="scenext-metrics-")
            atexit.register(remove, directory, os.getpid())
        from prometheus_client import Counter, Gauge, Histogram

        self._requests = Counter(
            "scenext_requests_total",
            "MCP requests by era, method, tool, outcome and HTTP status",
            ("era", "method", "tool", "outcome", "status"),
            registry=None,
        )
        self._seconds = Histogram(
            "scenext_upstream_seconds",
            "Time that a tool waited for Scenext",
            ("tool",),
            registry=None,
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
        )
        self._slots = Gauge(
            "scenext_upstream_slots_in_use",
            "Calls of Scenext that are under way",
            registry=None,
            multiprocess_mode="livesum",
        )

        self._waiting = Gauge(
            "scenext_waiting_calls",
            "Calls that wait for a job to end",
            registry=None,
            multiprocess_mode="livesum",
        )

    def observe(self, fields: Mapping[str, Any]) -> None:
        """Count one answered message, from the fields of its log line."""
        labels = ("era", "method", "tool", "outcome", "status")
        self._requests.labels(*(str(value) if (value := fields.get(name)) is not None else "" for name in labels)).inc()
        if "upstream_ms" in fields:
            self._seconds.labels(fields["tool"]).observe(fields["upstream_ms"] / 1000)

    def occupy(self, change: int) -> None:
        """Add to the slots in use; negative when one is free again."""
        self._slots.inc(change)

    def wait(self, change: int) -> None:
        """Add to the calls that wait; negative when one has ended."""
        self._waiting.inc(change)

    def page(self) -> tuple[bytes, str]:
        """Return what Prometheus reads, over all processes, and its media type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST


def remove(directory: str, owner: int) -> None:
    """Remove the directory when the process that made it ends; its forked workers run this too."""
    if os.getpid() == owner:
        shutil.rmtree(directory, ignore_errors=True)
