"""The repeat window under a real gunicorn with two workers: equal calls are charged once, whatever happens to them."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.messages import BEARER, PING
from tests.support.server import Server, running, wait_until, workers
from tests.support.upstream import Upstream

CALL = {"name": "gen_video", "arguments": {"question": "Why is the sky blue?"}}
MESSAGE: dict[str, Any] = {**PING, "method": "tools/call", "params": CALL}
LIST: dict[str, Any] = {**PING, "method": "tools/list"}
TIMEOUT = 60  # seconds for a response
STREAM = {**BEARER, "Accept": "application/json, text/event-stream"}


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as started:
        yield started


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as executor:
        yield executor


def environ(upstream: Upstream, behaviour: str = "api", **others: str) -> dict[str, str]:
    return {**upstream.environ(behaviour), "SCENEXT_REPEAT_WINDOW": "30", **others}


def start(server: Server, timeout: float = TIMEOUT) -> dict[str, Any]:
    """Start the job over a new connection, which any worker may accept."""
    response = requests.post(f"{server.url}/mcp", json=MESSAGE, headers=BEARER, timeout=timeout)
    result: dict[str, Any] = response.json()["result"]
    return result


def text(result: dict[str, Any]) -> str:
    found: str = result["content"][-1]["text"]
    return found


def is_started(result: dict[str, Any]) -> bool:
    """Return whether a result names the job."""
    return result["isError"] is False and result["structuredContent"]["task_id"] == "12345"


def in_flight(server: Server, upstream: Upstream, threads: ThreadPoolExecutor) -> Future[dict[str, Any]]:
    """Start a job, and return once Scenext has the request and holds its response."""
    first = threads.submit(start, server)
    assert upstream.arrived.acquire(timeout=20)
    return first


def test_equal_calls_in_a_row_are_charged_once(upstream: Upstream, tmp_path: Path) -> None:
    """Ours: models plan the same step again, and hosts run a call twice."""
    with running(tmp_path, environ(upstream)) as server:
        results = [start(server) for _ in range(8)]
    assert [is_started(result) for result in results] == [True] * 8
    assert ["already started" in text(result) for result in results] == [False] + [True] * 7
    assert len(upstream.requests) == 1


def test_equal_calls_at_once_are_charged_once(upstream: Upstream, threads: ThreadPoolExecutor, tmp_path: Path) -> None:
    """Ours: all wait for the first one, in both workers, and get its job."""
    with running(tmp_path, environ(upstream, "hold")) as server:
        first = in_flight(server, upstream, threads)
        others = [threads.submit(start, server) for _ in range(5)]
        wait_until(lambda: [call.running() for call in others] == [True] * 5)
        upstream.let_go.set()
        assert [is_started(call.result(TIMEOUT)) for call in (first, *others)] == [True] * 6
    assert len(upstream.requests) == 1


def test_a_client_that_timed_out_gets_the_job_when_it_tries_again(upstream: Upstream, tmp_path: Path) -> None:
    """Ours: the job was paid for, and its id has not been delivered yet."""
    with running(tmp_path, environ(upstream, "hold")) as server:
        with pytest.raises(requests.Timeout):
            start(server, timeout=1.0)
        upstream.let_go.set()
        result = start(server)
    assert is_started(result)
    assert len(upstream.requests) == 1


def test_a_repeat_after_a_killed_worker_is_not_sent(
    upstream: Upstream, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """Ours: the call may have been charged, and no process will record its result."""
    with running(tmp_path, environ(upstream, "hold")) as server:
        first = in_flight(server, upstream, threads)
        for worker in workers(server):
            os.kill(worker, signal.SIGKILL)
        with pytest.raises(requests.ConnectionError):
            first.result(TIMEOUT)
        result = start(server)
    assert "got no answer from Scenext and may have been charged, so this one was not sent" in text(result)
    assert len(upstream.requests) == 1


@pytest.mark.live
def test_a_stream_is_kept_alive_while_a_call_waits(
    upstream: Upstream, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """Ours: clients based on httpx end a stream after 5 seconds of silence."""
    with running(tmp_path, environ(upstream, "hold")) as server:
        first = in_flight(server, upstream, threads)
        second = requests.post(f"{server.url}/mcp", json=MESSAGE, headers=STREAM, stream=True, timeout=TIMEOUT)
        assert second.headers["Content-Type"] == "text/event-stream"
        comments = second.iter_content(3)
        assert [next(comments) for _ in range(2)] == [b":\n\n"] * 2
        upstream.let_go.set()
        assert b'"task_id":"12345"' in b"".join(comments)
        assert is_started(first.result(TIMEOUT))
    assert len(upstream.requests) == 1


@pytest.mark.live
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_the_window_outlives_a_restart(upstream: Upstream, tmp_path: Path, number: signal.Signals) -> None:
    """Ours: the memory belongs to the machine, not to a process."""
    with running(tmp_path, environ(upstream)) as server:
        assert is_started(start(server))
        before = set(workers(server))
        if number is signal.SIGHUP:
            server.process.send_signal(number)
            wait_until(lambda: len(workers(server)) == 2 and not before & set(workers(server)))
            assert is_started(start(server))
        else:
            server.stop()
    with running(tmp_path, environ(upstream)) as server:
        assert is_started(start(server))
    assert len(upstream.requests) == 1


@pytest.mark.live
def test_two_services_of_a_user_share_the_window(upstream: Upstream, tmp_path: Path) -> None:
    """Ours: of one machine, if both use the same Scenext."""
    logs = [tmp_path / "one", tmp_path / "two"]
    for folder in logs:
        folder.mkdir()
    settings = environ(upstream, TMPDIR=str(tmp_path))
    with running(logs[0], settings) as one, running(logs[1], settings) as two:
        assert [is_started(start(server)) for server in (one, two)] == [True, True]
    assert len(upstream.requests) == 1


@pytest.mark.live
def test_waiting_equal_calls_leave_threads_for_other_requests(
    upstream: Upstream, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """Ours: calls without a place are refused as busy, so that the server lists its tools as always."""
    settings = environ(upstream, "hold", WEB_CONCURRENCY="1")
    with running(tmp_path, settings, arguments="--threads 24") as server:
        first = in_flight(server, upstream, threads)
        others = [threads.submit(start, server) for _ in range(39)]
        wait_until(lambda: sum(call.done() for call in others) >= 30)
        listed = requests.post(f"{server.url}/mcp", json=LIST, timeout=TIMEOUT)
        assert not first.done()
        assert len(listed.json()["result"]["tools"]) == 2
        upstream.let_go.set()
        results = [call.result(TIMEOUT) for call in (first, *others)]
    waited = [result for result in results if is_started(result)]
    refused = [result for result in results if "This call was not sent" in text(result)]
    assert len(waited) >= 2
    assert len(waited) + len(refused) == 40
    assert len(upstream.requests) == 1


def replace_the_folder(folder: Path) -> None:
    """Replace the folder with a file."""
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.touch()


def damage_the_file(folder: Path) -> None:
    """Overwrite the memory."""
    for file in folder.glob("*.sqlite3"):
        file.write_bytes(b"no database" * 1000)


def open_the_folder(folder: Path) -> None:
    """Let other users read the folder."""
    folder.chmod(0o755)


@pytest.mark.live
@pytest.mark.parametrize("break_it", [replace_the_folder, damage_the_file, open_the_folder])
def test_a_broken_memory_stops_no_call(upstream: Upstream, tmp_path: Path, break_it: Callable[[Path], None]) -> None:
    """Ours: the call is sent, with one to three warnings."""
    with running(tmp_path, environ(upstream)) as server:
        (folder,) = tmp_path.glob("scenext-service-*")
        break_it(folder)
        assert is_started(start(server))
        warnings = server.output().count('level=warning msg="repeat window unavailable" reason=')
    assert 1 <= warnings <= 3
    assert len(upstream.requests) == 1


@pytest.mark.live
def test_a_locked_memory_delays_a_call_by_seconds_only(upstream: Upstream, tmp_path: Path) -> None:
    """Ours: the platform's 30 seconds for a first byte are kept."""
    with running(tmp_path, environ(upstream)) as server:
        (file,) = tmp_path.glob("scenext-service-*/*.sqlite3")
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            asked = time.monotonic()
            assert is_started(start(server))
            assert time.monotonic() - asked < 15  # LOCK_TIMEOUT is 3 seconds; the rest is for a busy machine
        assert 'reason="database is locked"' in server.output()
    assert len(upstream.requests) == 1
