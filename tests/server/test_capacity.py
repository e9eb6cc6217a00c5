"""The number of threads and connections of a worker, given the platform's limits."""

import resource
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scenext_service.server import capacity as module
from scenext_service.server.capacity import (
    divide,
    raise_descriptor_limit,
    server_threads,
    thread_limit,
    threads_for_calls,
    worker_capacity,
)
from tests.support.cases import case

ANY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("workers", "allowed", "threads"),
    [
        pytest.param(2, None, 1000, id="no limit"),
        pytest.param(2, 95_000, 1000, id="high limit"),
        pytest.param(2, 1024, 504, id="container limit"),
        pytest.param(2, 256, 120, id="Heroku Standard-1X"),
        pytest.param(4, 512, 124, id="Heroku Standard-2X"),
        pytest.param(8, 32, 5, id="very low limit"),
    ],
)
def test_threads_stay_below_the_platforms_limit(workers: int, allowed: int | None, threads: int) -> None:
    """Ours: if planned threads could not start, waiting calls would leave no thread for other requests."""
    assert worker_capacity(workers, allowed, None) == (threads, 4000)


@pytest.mark.parametrize(
    ("found", "threads", "connections"),
    [
        pytest.param(1_048_576, 1_000, 4_000, id="container"),
        pytest.param(4_096, 1_000, 2_032, id="older Debian"),
        pytest.param(1_024, 256, 448, id="fixed at 1024"),
        pytest.param(256, 64, 96, id="fixed at 256"),
        pytest.param(64, 16, 24, id="fixed at 64"),
        pytest.param(None, 1_000, 4_000, id="no limit"),
    ],
)
def test_threads_and_connections_stay_below_the_descriptor_limit(
    found: int | None, threads: int, connections: int
) -> None:
    """Ours: a thread may need three descriptors, an idle connection one.

    gunicorn keeps no idle connection if it may have fewer connections than threads.
    """
    assert worker_capacity(2, None, found) == (threads, connections)


@pytest.mark.parametrize(
    ("limit", "pids", "expected"),
    [
        pytest.param(ANY, "max\n", None, id="no limit"),
        pytest.param(256, "max\n", 256, id="user limit"),
        pytest.param(ANY, "1024\n", 1024, id="container limit"),
        pytest.param(256, "1024\n", 256, id="smaller of both"),
        pytest.param(256, None, 256, id="no pids.max file"),
    ],
)
def test_the_thread_limit_is_read_from_the_system(
    limit: int, pids: str | None, expected: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Spec: getrlimit(2), RLIMIT_NPROC; the kernel's documentation of cgroup v2, "pids.max"."""
    file = tmp_path / "pids.max"
    if pids:
        file.write_text(pids, encoding="ascii")
    monkeypatch.setattr(module, "_PIDS_MAX", file)
    monkeypatch.setattr(resource, "getrlimit", {resource.RLIMIT_NPROC: (limit, limit)}.__getitem__)
    assert thread_limit() == expected


@pytest.mark.parametrize(
    ("soft", "hard", "expected", "after"),
    [
        pytest.param(1_024, 4_096, 4_096, 4_096, id="raised"),
        pytest.param(4_096, 4_096, 4_096, 4_096, id="already at the hard limit"),
        pytest.param(ANY, ANY, None, ANY, id="no limit"),
        pytest.param(256, ANY, 256, 256, id="macOS"),
    ],
)
def test_the_soft_descriptor_limit_is_raised(
    soft: int, hard: int, expected: int | None, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: 1024 is for programs that use select(). macOS reports no hard limit, but refuses to set that value."""

    def setrlimit(of: int, limits: tuple[int, int]) -> None:
        if limits[0] == ANY:
            raise ValueError("current limit exceeds maximum limit")
        found[of] = limits

    found: dict[int, Any] = {resource.RLIMIT_NOFILE: (soft, hard)}
    monkeypatch.setattr(resource, "getrlimit", found.__getitem__)
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    assert raise_descriptor_limit() == expected
    assert found[resource.RLIMIT_NOFILE][0] == after


def test_calls_leave_a_tenth_of_the_threads_and_at_least_eight() -> None:
    """Ours: `/healthz` responds while every call hangs. With fewer than 16 threads, half of them are left."""
    for threads in (*range(1, 200), 256, 999, 1000, 4000):
        with case(threads):
            reserved = threads - threads_for_calls(threads)
            assert reserved >= min(threads / 10, threads - 1)
            assert reserved >= min(8, threads // 2)
            assert threads_for_calls(threads) >= 1


@pytest.mark.parametrize("threads", [1, 2, 4, 15, 16, 25, 120, 256, 1000, 4000])
def test_calls_and_waits_together_stay_within_the_limit(threads: int) -> None:
    """Ours: whatever the operator sets. Values that fit are used unchanged."""
    for slots, waiting_calls in product((None, 1, 56, 800, 10_000), (None, 1, 32, 500, 10_000)):
        with case(slots, waiting_calls):
            shares = divide(threads, slots, waiting_calls)
            total = threads_for_calls(threads)
            assert sum(shares) <= total
            assert (shares.slots >= 1, shares.waiting_calls >= 0) == (True, True)
            if slots and waiting_calls and slots + waiting_calls <= total:
                assert shares == (slots, waiting_calls)


@pytest.mark.parametrize(
    ("threads", "slots", "waiting_calls", "expected"),
    [
        pytest.param(1000, None, None, (400, 500), id="defaults"),
        pytest.param(120, None, None, (48, 60), id="Heroku"),
        pytest.param(256, None, None, (103, 127), id="1024 descriptors"),
        pytest.param(15, None, None, (4, 3), id="mod_wsgi"),
        pytest.param(4, None, None, (1, 1), id="waitress"),
        pytest.param(1, None, None, (1, 0), id="one thread"),
        pytest.param(1000, 120, None, (120, 500), id="few slots"),
        pytest.param(1000, 800, None, (800, 100), id="many slots"),
        pytest.param(1000, 2000, None, (900, 0), id="more slots than threads"),
        pytest.param(1000, None, 60, (840, 60), id="few waits"),
        pytest.param(1000, None, 2000, (1, 899), id="more waits than threads"),
        pytest.param(1000, 800, 500, (553, 347), id="reduced in proportion"),
        pytest.param(4, 120, 60, (1, 1), id="very few threads"),
    ],
)
def test_threads_are_divided_between_calls_and_waits(
    threads: int, slots: int | None, waiting_calls: int | None, expected: tuple[int, int]
) -> None:
    """Ours: docs/configuration.md."""
    assert divide(threads, slots, waiting_calls) == expected


def test_the_thread_count_of_known_servers_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spec: mod_wsgi's and uWSGI's modules, waitress's "client_disconnected". Other servers do not expose it."""

    class Channel:
        server = SimpleNamespace(adj=SimpleNamespace(threads=4))

        def check_client_disconnected(self) -> bool:
            return False

    assert server_threads({}) is None
    assert server_threads({"waitress.client_disconnected": lambda: False}) is None
    assert server_threads({"waitress.client_disconnected": Channel().check_client_disconnected}) == 4
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(cores=40))
    assert server_threads({}) == 40
    monkeypatch.setitem(sys.modules, "mod_wsgi", SimpleNamespace(threads_per_process=15))
    assert server_threads({}) == 15
