"""Waiting calls under a real gunicorn with the shipped configuration: when they end, and how they affect others."""

import os
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.interop.hosting.pages import Pages
from tests.support.messages import PING
from tests.support.server import Server, booted, running, wait_until, workers
from tests.support.waiters import BODY, STREAM, Waiter, collect, wait

CLASSES = [
    pytest.param("", id="shipped configuration"),
    pytest.param("-k gthread", id="gthread", marks=pytest.mark.live),
    pytest.param("--config {directory}/gunicorn.gevent.py", id="gevent, from docs/deploy", marks=pytest.mark.live),
]


def start(arguments: str, directory: Path) -> str:
    """Write the gevent configuration of docs/deploy/server.md to the directory; return the arguments with its path."""
    (directory / "gunicorn.gevent.py").write_text(Pages().file("server.md", "gunicorn.gevent.py"), encoding="utf-8")
    return arguments.format(directory=directory)


def nine(server: Server) -> list[Waiter]:
    """Start nine waiting calls, some streaming and some not; return them once all are in flight."""
    waiters = [wait(server.port, 45, (STREAM, BODY)[number % 2]) for number in range(9)]
    streams = waiters[::2]
    collect(streams, 10, until_first=True)
    assert all(waiter.first for waiter in streams)
    collect(waiters, 1)  # give the non-streaming calls time to start waiting
    assert [waiter.ended for waiter in waiters] == [0.0] * 9
    return waiters


def test_a_stream_starts_at_once_and_ends_after_wait_seconds(tmp_path: Path) -> None:
    """Spec: 2026-07-28, basic/transports/streamable-http: events "are delivered to clients immediately"."""
    with running(tmp_path) as server:
        waiter, body = wait(server.port, 2), wait(server.port, 2, BODY)
        collect([waiter, body], 10)
    assert (waiter.answered, body.answered) == (True, True)
    assert waiter.first - waiter.asked < 1
    assert 1.9 < waiter.ended - waiter.asked < 3
    assert 1.9 < body.first - body.asked < 3
    assert waiter.data.count(b"notifications/progress") == 1


@pytest.mark.parametrize("accept", [STREAM, pytest.param(BODY, marks=pytest.mark.live)], ids=["stream", "body"])
def test_a_disconnected_client_frees_its_place(accept: str, tmp_path: Path) -> None:
    """Spec: 2026-07-28, basic/patterns/cancellation. Ours: within three seconds, whether streaming or not."""
    with running(tmp_path, {"WEB_CONCURRENCY": "1", "SCENEXT_WAITING_CALLS": "1"}) as server:
        first = wait(server.port, 40, accept)
        collect([first], 1)
        second = wait(server.port, 40, accept)
        collect([second], 5)
        assert (first.ended, second.refused) == (0.0, True)
        first.leave()
        disconnected = time.monotonic()
        wait_until(lambda: "outcome=cancelled" in server.output(), 10)
        seconds = time.monotonic() - disconnected
        third = wait(server.port, 2, accept)
        collect([third], 10)
        assert third.answered
    assert seconds < 3


@pytest.mark.parametrize("arguments", CLASSES)
def test_sigterm_ends_every_wait_with_its_response(arguments: str, tmp_path: Path) -> None:
    """Ours: no response is cut off and no wait delays the stop, whatever the worker class."""
    with running(tmp_path, arguments=start(arguments, tmp_path)) as server:
        waiters = nine(server)
        stopped = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        collect(waiters, 10)
        status = server.process.wait(20)
        seconds = time.monotonic() - stopped
    assert [waiter.answered for waiter in waiters] == [True] * 9
    assert max(waiter.ended for waiter in waiters) - stopped < 2.5
    assert (status, seconds < 5) == (0, True)


@pytest.mark.parametrize("arguments", CLASSES)
def test_a_reload_ends_every_wait_with_its_response(arguments: str, tmp_path: Path) -> None:
    """Ours: the new workers serve the next call."""
    with running(tmp_path, arguments=start(arguments, tmp_path)) as server:
        waiters = nine(server)
        before = set(workers(server))
        stopped = time.monotonic()
        server.process.send_signal(signal.SIGHUP)
        collect(waiters, 10)
        assert [waiter.answered for waiter in waiters] == [True] * 9
        assert max(waiter.ended for waiter in waiters) - stopped < 2.5
        wait_until(lambda: before.isdisjoint(workers(server)) and booted(server))
        another = wait(server.port, 1)
        collect([another], 10)
        assert another.answered


# 500 simultaneous waits

CROWD, SECONDS, PROMPT = 500, 45, 0.05
ATTEMPTS = 3  # because the machine may be busy with other work


def memory(server: Server) -> int:
    """Return the total PSS of the workers in kB."""
    rollups = [Path(f"/proc/{worker}/smaps_rollup").read_text(encoding="ascii") for worker in workers(server)]
    return sum(int(rollup.partition("\nPss:")[2].split()[0]) for rollup in rollups)


def listing(server: Server, calls: int) -> float:
    """Call tools/list the given number of times in sequence; return the p99 in seconds."""
    message: Any = {**PING, "method": "tools/list"}
    times = []
    with requests.Session() as session:
        for _ in range(calls):
            started = time.monotonic()
            assert session.post(f"{server.url}/mcp", json=message, timeout=30).status_code == 200
            times.append(time.monotonic() - started)
    return statistics.quantiles(times, n=100)[98]


@pytest.mark.load
def test_500_simultaneous_waits_do_not_delay_other_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: as shipped, with two workers; tools/list stays fast, and each wait takes less than 100 kB."""
    with running(tmp_path) as server:
        listing(server, 100)
        alone, before = listing(server, 1000), memory(server)
        waiters = [wait(server.port, SECONDS, (STREAM, BODY)[number % 5 == 0]) for number in range(CROWD)]
        collect([waiter for number, waiter in enumerate(waiters) if number % 5], 20, until_first=True)
        collect(waiters, 2)
        beside = min(listing(server, 1000) for _ in range(ATTEMPTS))
        each = (memory(server) - before) / CROWD
        assert [waiter for waiter in waiters if waiter.ended] == []
        waiters.pop().leave()
        disconnected = time.monotonic()
        wait_until(lambda: "outcome=cancelled" in server.output(), 10)
        noticed = time.monotonic() - disconnected
        stopped = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        collect(waiters, 20)
        status = server.process.wait(20)
        exited = time.monotonic() - stopped
    slowest = max(waiter.ended for waiter in waiters) - stopped
    with capsys.disabled():
        sys.stdout.write(
            f"\n{CROWD} waiting (load {os.getloadavg()[0]:.1f}): tools/list p99 {alone * 1000:.1f} ms alone,"
            f" {beside * 1000:.1f} ms beside them; {each:.0f} kB each; one who left is noticed after {noticed:.1f} s;"
            f" SIGTERM: last answer after {slowest:.2f} s, gone after {exited:.2f} s\n"
        )
    assert [waiter.answered for waiter in waiters] == [True] * (CROWD - 1)
    assert beside < PROMPT
    assert each < 100
    assert noticed < 3
    assert (status, exited < 5) == (0, True)


@pytest.mark.load
def test_500_simultaneous_waits_end_on_time(tmp_path: Path) -> None:
    """Ours: each wait lasts as long as requested, however many there are."""
    with running(tmp_path) as server:
        waiters = [wait(server.port, 20, (STREAM, BODY)[number % 2]) for number in range(CROWD)]
        collect(waiters, 40)
    assert [waiter.answered for waiter in waiters] == [True] * CROWD
    durations = [waiter.ended - waiter.asked for waiter in waiters]
    assert min(durations) > 19.5
    assert max(durations) < 23
