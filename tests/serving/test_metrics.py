"""Prometheus metrics: off by default, counted over all processes, and nothing in their labels is a client's."""

import gc
import os
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from flask import Flask

from scenext_service import create_app
from scenext_service.config import Config, ConfigError, from_env
from scenext_service.scenext.sandbox import Sandbox
from scenext_service.serving.metrics import remove
from tests.support.messages import BEARER, KEY, NOT_FOUND, PING, Mcp
from tests.support.pages import ROOT
from tests.support.server import running

SENTINEL = "sentinel-name-0b7d"


@pytest.fixture(scope="module")
def directory() -> Iterator[str]:
    """Return the directory that this process writes to; prometheus-client never closes its files there."""
    create_app(Config(sandbox=True, metrics=True), Sandbox())
    yield os.environ["PROMETHEUS_MULTIPROC_DIR"]
    # Not above: it has to find the variable when it is imported.
    from prometheus_client.mmap_dict import MmapedDict

    for file in [value for value in gc.get_objects() if isinstance(value, MmapedDict)]:
        file.close()
    del os.environ["PROMETHEUS_MULTIPROC_DIR"]


@pytest.fixture
def app(directory: str) -> Flask:
    return create_app(Config(sandbox=True, metrics=True), Sandbox())


def samples(page: str) -> dict[str, float]:
    """Return the samples of a page: name and labels to value."""
    lines = [line.rsplit(" ", 1) for line in page.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def read(mcp: Mcp) -> dict[str, float]:
    return samples(mcp.client.get("/metrics").get_data(as_text=True))


def requests_total(era: str, method: str, tool: str, outcome: str, status: int) -> str:
    labels = f'era="{era}",method="{method}",outcome="{outcome}",status="{status}",tool="{tool}"'
    return f"scenext_requests_total{{{labels}}}"


def test_without_the_variable_there_are_no_metrics() -> None:
    """Ours: off by default."""
    client = create_app(Config(sandbox=True)).test_client()
    assert (client.get("/metrics").status_code, client.get("/metrics").get_json()) == (404, NOT_FOUND)


def test_what_was_asked_and_how_it_ended_is_counted(mcp: Mcp) -> None:
    """Ours: README, "Configure"."""
    before = read(mcp)
    mcp.call("query_video_status", {"task_id": "sandbox-completed"})
    mcp.call("query_video_status", {"task_id": "sandbox-not-found"})
    mcp.legacy("ping")
    mcp.legacy(SENTINEL)
    mcp.client.get("/mcp")
    after = read(mcp)
    grown = {name: value - before.get(name, 0.0) for name, value in after.items() if value != before.get(name)}
    counted = {name: value for name, value in grown.items() if name.startswith("scenext_requests_total")}
    assert counted == {
        requests_total("modern", "tools/call", "query_video_status", "ok", 200): 1,
        requests_total("modern", "tools/call", "query_video_status", "tool_error", 200): 1,
        requests_total("legacy", "ping", "", "ok", 200): 1,
        requests_total("legacy", "unknown", "", "-32601", 200): 1,
        requests_total("", "", "", "", 405): 1,
    }
    assert grown['scenext_upstream_seconds_count{tool="query_video_status"}'] == 2
    assert [value for name, value in after.items() if name.startswith("scenext_upstream_slots_in_use")] == [0]
    assert SENTINEL not in str(after)


def test_calls_that_wait_are_counted_and_their_pauses_are_not_scenexts(mcp: Mcp) -> None:
    """Ours: docs/operating.md, "Metrics"."""
    call = {"name": "query_video_status", "arguments": {"task_id": "sandbox-in-progress", "wait_seconds": 1}}
    message = {**PING, "method": "tools/call", "params": call}
    headers = {**BEARER, "Accept": "application/json, text/event-stream"}
    before = read(mcp)
    environ = {"wsgi.multithread": True}
    response = mcp.client.post("/mcp", json=message, headers=headers, environ_overrides=environ, buffered=False)
    events = response.iter_encoded()
    next(events)
    during = read(mcp)
    assert b'"result"' in b"".join(events)
    response.close()
    after = read(mcp)
    waiting = [name for name in after if name.startswith("scenext_waiting_calls")]
    assert [[page.get(name, 0.0) for page in (before, during, after)] for name in waiting] == [[0.0, 1.0, 0.0]]
    spent = 'scenext_upstream_seconds_sum{tool="query_video_status"}'
    assert after[spent] - before.get(spent, 0.0) < 0.5


def test_each_call_of_a_batch_is_counted_with_its_tool_and_outcome(mcp: Mcp) -> None:
    """Ours: a batch is as many messages; a label that a message lacks is empty, and never "None"."""
    call = {**PING, "method": "tools/call"}
    down = {**call, "params": {"name": "query_video_status", "arguments": {"task_id": "sandbox-down"}}}
    gone = {**call, "params": {"name": "query_video_status", "arguments": {"task_id": "sandbox-not-found"}}}
    before = read(mcp)
    assert mcp.post([down, gone, 7], BEARER).status_code == 200
    after = read(mcp)
    grown = {name: value - before.get(name, 0.0) for name, value in after.items() if value != before.get(name)}
    counted = {name: value for name, value in grown.items() if name.startswith("scenext_requests_total")}
    failed = requests_total("legacy", "tools/call", "query_video_status", "tool_error", 200)
    assert (counted.pop(failed), list(counted.values())) == (2, [1])
    assert grown['scenext_upstream_seconds_count{tool="query_video_status"}'] == 2
    assert '"None"' not in str(after)


def test_the_page_is_in_prometheus_own_format(mcp: Mcp) -> None:
    """Spec: Prometheus, "Exposition formats"."""
    mcp.legacy("ping")
    response = mcp.client.get("/metrics")
    assert (response.status_code, response.mimetype) == (200, "text/plain")
    assert "# TYPE scenext_requests_total counter" in response.get_data(as_text=True)


def test_all_workers_are_counted_and_an_ended_one_is_forgotten(tmp_path: Path) -> None:
    """Ours: two workers answer, and either serves the numbers of both; the directory goes with the master."""
    home = tmp_path / "tmp"
    home.mkdir()
    with running(tmp_path, {"SCENEXT_METRICS": "1", "TMPDIR": str(home)}) as server:
        message: Any = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        for _ in range(20):
            requests.post(f"{server.url}/mcp", json=message, timeout=30)
        found = samples(requests.get(f"{server.url}/metrics", timeout=30).text)
        assert found[requests_total("legacy", "ping", "", "ok", 200)] == 20
        assert [name.name[:16] for name in home.iterdir() if name.name.startswith("scenext")] == ["scenext-metrics-"]
        server.stop()
    assert [name for name in home.iterdir() if name.name.startswith("scenext")] == []


def test_a_worker_that_ends_takes_its_gauge_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: `kill -9` of a worker must not leave its slots in use for ever."""
    hook = runpy.run_path(str(ROOT / "gunicorn.conf.py"))["child_exit"]
    gauge = tmp_path / "gauge_livesum_4711.db"
    gauge.write_bytes(b"")
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    hook(None, SimpleNamespace(pid=4711))
    assert gauge.exists()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    hook(None, SimpleNamespace(pid=4711))
    assert not gauge.exists()


@pytest.mark.usefixtures("directory")
def test_without_the_package_the_start_ends_with_a_word_about_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a bad value ends the start with the variable's name."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match=r"^SCENEXT_METRICS needs prometheus-client: install the `metrics` extra$"):
        from_env({"SCENEXT_METRICS": "1"})


def test_only_the_process_that_made_the_directory_removes_it(tmp_path: Path) -> None:
    """Ours: workers run what was registered before they were forked."""
    made = tmp_path / "made"
    made.mkdir()
    remove(str(made), os.getpid() + 1)
    assert made.exists()
    remove(str(made), os.getpid())
    assert not made.exists()


def test_a_key_is_in_no_metric(mcp: Mcp) -> None:
    """Ours: README, "Whose key is used"."""
    mcp.call("query_video_status", {"task_id": "sandbox-failed"})
    assert not re.search(KEY, mcp.client.get("/metrics").get_data(as_text=True))
