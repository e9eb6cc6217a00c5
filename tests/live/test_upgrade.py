"""Upgrade and rollback of a running gunicorn, as docs/deploy/server.md describes them for hosts without systemd."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from tests.support import checkout, crowd
from tests.support.crowd import Group, Plan, Report
from tests.support.server import Server, booted, children, grown, running, wait_until, workers
from tests.support.waiters import BODY, STREAM, Waiter, collect, wait

pytestmark = pytest.mark.load

OLD, NEW = "0.0.1", "0.0.2"
BUSTLE = [Group("missing", 10, pause=0.02), Group("list", 10, kept=False, pause=0.05), Group("health", 5, pause=0.5)]
HUP_SECONDS, USR2_SECONDS = 10.0, 20.0  # duration of the load; the whole upgrade happens within it
LONG = 50  # seconds of a wait that a signal ends early
ASKED = 20  # times, each on a new connection, so that every listening worker answers at least once


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Copy the checkout, and set its version to OLD."""
    folder = tmp_path / "code"
    checkout.copy(folder)
    checkout.set_version(folder, OLD)
    return folder


def versions(server: Server) -> set[str]:
    """Return the versions that the server reports over many requests."""
    return {requests.get(f"{server.url}/healthz", timeout=30).json()["version"] for _ in range(ASKED)}


def reexecute(server: Server) -> int:
    """Send USR2; return the process id of the new master once its workers run beside the old ones."""
    old = set(workers(server))
    server.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: len(workers(server)) == len(old) + 1)
    (new,) = set(workers(server)) - old
    wait_until(lambda: grown(new))
    return new


def exited(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return False
    return True


@contextmanager
def busy(server: Server, seconds: float) -> Iterator[list[Report]]:
    """Keep clients calling, and three more waiting, during an upgrade. Check that every wait is answered early."""
    waiters = [wait(server.port, LONG, accept) for accept in (STREAM, STREAM, BODY)]
    collect(waiters[:2], LONG, until_first=True)
    reports: list[Report] = []
    with crowd.crowd(server.port, Plan(BUSTLE, seconds)) as calls:
        calls.wait_until("there")
        calls.wait_until("warm")
        yield reports
        reports.append(calls.report())
    collect(waiters, LONG)
    assert all(map(answered, waiters))


def answered(waiter: Waiter) -> bool:
    return waiter.answered and waiter.ended < waiter.asked + LONG


def assert_nothing_lost(reports: list[Report], done: float) -> None:
    (report,) = reports
    assert (report.losses, report.wrong) == ([], [])
    assert set(report.last) == {"ok"}
    assert report.last["ok"] > done


def test_hup_keeps_the_old_code(tmp_path: Path, code: Path) -> None:
    """Ours: the application is loaded once, before the fork, so new workers run the code that was loaded."""
    with running(tmp_path, folder=code) as server:
        with busy(server, HUP_SECONDS) as reports:
            checkout.set_version(code, NEW)
            old = set(workers(server))
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: old.isdisjoint(workers(server)) and booted(server))
            assert versions(server) == {OLD}
            done = time.monotonic()
        assert_nothing_lost(reports, done)


def test_usr2_and_term_upgrade_and_roll_back(tmp_path: Path, code: Path) -> None:
    """Spec: gunicorn, "Upgrading to a new binary on the fly"; ours: every call gets its response."""
    with running(tmp_path, folder=code) as server:
        with busy(server, USR2_SECONDS) as reports:
            checkout.set_version(code, NEW)
            withdrawn = reexecute(server)
            assert NEW in versions(server)
            os.kill(withdrawn, signal.SIGTERM)
            wait_until(lambda: withdrawn not in children(server.process.pid))
            assert versions(server) == {OLD}
            new = reexecute(server)
            try:
                server.stop()
                assert versions(server) == {NEW}
                done = time.monotonic()
            except BaseException:
                os.kill(new, signal.SIGKILL)
                raise
        assert_nothing_lost(reports, done)
        os.kill(new, signal.SIGTERM)
        wait_until(lambda: exited(new))
