"""Prometheus metrics: off by default, aggregated over all processes, and without client-supplied label values."""

import configparser
import gc
import os
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask

from scenext_service import __version__, create_app
from scenext_service.config import Config, ConfigError, from_env
from scenext_service.scenext import failures
from scenext_service.scenext.sandbox.adapter import Sandbox
from scenext_service.server import logs
from scenext_service.server.metrics import remove_directory
from tests.support import pages
from tests.support.messages import BEARER, KEY, NOT_FOUND, PING, Mcp
from tests.support.scripted import Reply, ScriptedScenext
from tests.support.server import running

SENTINEL = "sentinel-name-0b7d"


@pytest.fixture(scope="module")
def directory() -> Iterator[str]:
    """Return the directory that this process writes metrics to. prometheus-client never closes its files there."""
    create_app(Config(sandbox=True, metrics=True), Sandbox())
    yield os.environ["PROMETHEUS_MULTIPROC_DIR"]
    logs.configure("INFO")  # removes the error counter
    # Not at the top of the file, because prometheus-client reads the variable when it is imported.
    from prometheus_client.mmap_dict import MmapedDict

    for file in [value for value in gc.get_objects() if isinstance(value, MmapedDict)]:
        file.close()
    del os.environ["PROMETHEUS_MULTIPROC_DIR"]


@pytest.fixture
def app(directory: str) -> Flask:
    return create_app(Config(sandbox=True, metrics=True), Sandbox())


def samples(page: str) -> dict[str, float]:
    """Return the samples of a page as a mapping of name and labels to value."""
    lines = [line.rsplit(" ", 1) for line in page.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def read(mcp: Mcp) -> dict[str, float]:
    return samples(mcp.client.get("/metrics").get_data(as_text=True))


def requests_total(era: str, method: str, tool: str, outcome: str, status: int, failure: str = "") -> str:
    labels = f'era="{era}",failure="{failure}",method="{method}",outcome="{outcome}",status="{status}",tool="{tool}"'
    return f"scenext_requests_total{{{labels}}}"


def upstream_count(failure: str = "") -> str:
    return f'scenext_upstream_seconds_count{{failure="{failure}",operation="get_status"}}'


def test_without_the_variable_there_is_no_metrics_endpoint() -> None:
    """Ours: metrics are off by default."""
    client = create_app(Config(sandbox=True)).test_client()
    assert (client.get("/metrics").status_code, client.get("/metrics").get_json()) == (404, NOT_FOUND)


def test_requests_are_counted_by_kind_and_outcome(mcp: Mcp) -> None:
    """Ours: docs/configuration.md."""
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
        requests_total("modern", "tools/call", "query_video_status", "tool_error", 200, "NotFound"): 1,
        requests_total("legacy", "ping", "", "ok", 200): 1,
        requests_total("legacy", "unknown", "", "-32601", 200): 1,
        requests_total("", "", "", "", 405): 1,
    }
    upstream = {name: value for name, value in grown.items() if name.startswith("scenext_upstream_seconds_count")}
    assert upstream == {upstream_count(): 1, upstream_count("NotFound"): 1}
    answered = {name: value for name, value in grown.items() if name.startswith("scenext_request_seconds_count")}
    assert answered == {
        'scenext_request_seconds_count{method="tools/call",tool="query_video_status"}': 2,
        'scenext_request_seconds_count{method="ping",tool=""}': 1,
        'scenext_request_seconds_count{method="unknown",tool=""}': 1,
        'scenext_request_seconds_count{method="",tool=""}': 1,
    }
    assert after["scenext_upstream_slots_in_use"] == 0
    assert SENTINEL not in str(after)


def test_waiting_calls_are_counted_and_their_pauses_not_timed(mcp: Mcp) -> None:
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
    assert [page["scenext_waiting_calls"] for page in (before, during, after)] == [0.0, 1.0, 0.0]
    spent = 'scenext_upstream_seconds_sum{failure="",operation="get_status"}'
    answered = 'scenext_request_seconds_sum{method="tools/call",tool="query_video_status"}'
    assert [after[name] - before.get(name, 0.0) < 0.5 for name in (spent, answered)] == [True, True]


@pytest.mark.parametrize(
    ("name", "arguments", "has_left", "lost"),
    [
        pytest.param("gen_video", {"question": "1+1"}, True, 1.0, id="job"),
        pytest.param("gen_video", {"question": "1+1"}, False, 0.0, id="delivered job"),
        pytest.param("gen_video", {}, True, 0.0, id="no job"),
        pytest.param("query_video_status", {"task_id": "sandbox-completed"}, True, 0.0, id="status query"),
    ],
)
def test_jobs_with_a_disconnected_client_are_counted(
    mcp: Mcp, name: str, arguments: dict[str, Any], has_left: bool, lost: float
) -> None:
    """Ours: docs/operating.md, "Undelivered jobs"; waitress reports a disconnected client in this way."""
    before = read(mcp)["scenext_jobs_undelivered_total"]
    message = {**PING, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
    environ = {"waitress.client_disconnected": lambda: has_left}
    mcp.client.post("/mcp", json=message, headers=BEARER, environ_overrides=environ, buffered=True)
    assert read(mcp)["scenext_jobs_undelivered_total"] - before == lost


def test_repeated_calls_are_counted(directory: str) -> None:
    """Ours: docs/operating.md, "Repeated calls". The first call does not count."""
    mcp = Mcp(create_app(Config(sandbox=True, metrics=True, repeat_window=30), Sandbox()).test_client())
    before = read(mcp)["scenext_repeats_total"]
    for _ in range(3):
        mcp.call("gen_video", {"question": "1+1"})
    assert read(mcp)["scenext_repeats_total"] - before == 2.0


def test_the_slot_gauge_follows_the_thread_count(directory: str) -> None:
    """Ours: the number is known once the server has reported its thread count."""
    app = create_app(Config(sandbox=True, metrics=True), Sandbox())
    app.use_threads(1000)
    mcp = Mcp(app.test_client())
    mcp.post(PING)
    assert read(mcp)["scenext_upstream_slots"] == 400


def test_slots_in_use_are_counted(lines: list[str], directory: str) -> None:
    """Ours: docs/operating.md, "Metrics": slots in use, all slots, and a call without a free slot."""
    pages: list[dict[str, float]] = []

    def script(request: requests.PreparedRequest) -> Reply:
        pages.append(read(mcp))
        mcp.call("query_video_status", {"task_id": "1"})
        return Reply(200, {"status": "success", "data": {}})

    mcp = Mcp(create_app(Config(metrics=True, upstream_slots=1), ScriptedScenext(script)).test_client())
    before = read(mcp)
    mcp.call("query_video_status", {"task_id": "1"})
    (during,), after = pages, read(mcp)
    assert [page["scenext_upstream_slots_in_use"] for page in (before, during, after)] == [0, 1, 0]
    assert [page["scenext_upstream_slots"] for page in (before, during, after)] == [1, 1, 1]
    busy = requests_total("modern", "tools/call", "query_video_status", "tool_error", 200, "Busy")
    assert (before.get(busy, 0.0), after[busy]) == (0, 1)
    # A call without a slot is not a measurement of Scenext's latency.
    assert [name for name in after if "upstream_seconds" in name and "Busy" in name] == []


def test_internal_errors_in_tools_and_views_are_counted(mcp: Mcp, directory: str) -> None:
    """Ours: docs/operating.md, "Metrics". The counter exists from the start, so that an increase is visible."""
    before = read(mcp)["scenext_errors_total"]

    def script(*request: Any) -> Any:
        raise ZeroDivisionError

    app = create_app(Config(metrics=True), ScriptedScenext(script))
    app.add_url_rule("/broken", view_func=script)
    broken = Mcp(app.test_client())
    broken.call("query_video_status", {"task_id": "1"})
    assert broken.client.get("/broken").status_code == 500
    mcp.call("query_video_status", {"task_id": "sandbox-down"})
    assert read(mcp)["scenext_errors_total"] == before + 2


def test_build_info_is_a_gauge_with_version_labels(mcp: Mcp) -> None:
    """Ours: docs/operating.md, "Metrics"."""
    labels = f'python="{platform.python_version()}",version="{__version__}"'
    assert read(mcp)[f"scenext_build_info{{{labels}}}"] == 1


@pytest.mark.parametrize("name", ["docs/operating.md", "docs/operating.zh.md"])
def test_the_documentation_lists_the_exposed_metrics(mcp: Mcp, name: str) -> None:
    """Ours: each metric with its type and labels, and no others."""
    mcp.call("query_video_status", {"task_id": "sandbox-completed"})
    exposed = mcp.client.get("/metrics").get_data(as_text=True)
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", exposed, re.MULTILINE))
    labels = {
        metric: set(
            re.findall(r'(\w+)="', " ".join(re.findall(rf"^{metric}(?:_count)?{{(.*)}}", exposed, re.MULTILINE)))
        )
        for metric in types
    }
    rows = next(
        found.rows for found in pages.tables(pages.page(name)) if found.rows[0][0] == "`scenext_requests_total`"
    )
    documented = {row[0].strip("`"): (row[1], set(re.findall(r"`(\w+)`", row[2]))) for row in rows}
    assert documented == {metric: (kind, labels[metric]) for metric, kind in types.items()}


@pytest.mark.parametrize("name", ["docs/operating.md", "docs/operating.zh.md"])
def test_the_documented_line_for_heroku_matches_the_extra(name: str) -> None:
    """Ours: Heroku installs `requirements.txt`, which includes no extra."""
    setup = configparser.ConfigParser()
    setup.read_string(pages.page("setup.cfg"))
    assert f"`{setup['options.extras_require']['metrics'].strip()}`" in pages.page(name)


def test_the_alerts_use_existing_metrics_and_failures(mcp: Mcp) -> None:
    """Ours: a stale name results in an alert that never fires."""
    text = pages.page("docs/alerts.yaml")
    exposed = mcp.client.get("/metrics").get_data(as_text=True)
    named = {name.removesuffix("_count") for name in re.findall(r"\bscenext_(?!service)\w+", text)}
    assert named <= set(re.findall(r"^# TYPE (\w+)", exposed, re.MULTILINE))
    assert len(named) == 6
    failing = set(re.search(r'failure=~"([\w|]+)"', text)[1].split("|"))  # type: ignore[index]
    every = [kind for kind in vars(failures).values() if isinstance(kind, type) and not kind.__subclasses__()]
    outages = {kind.__name__ for kind in every if issubclass(kind, failures.OUTAGES)}
    assert failing == outages - {"Busy"}  # Busy has its own alert


def test_each_message_of_a_batch_is_counted(mcp: Mcp) -> None:
    """Ours: a batch counts as its messages. A label that a message lacks is empty, never "None"."""
    call = {**PING, "method": "tools/call"}
    down = {**call, "params": {"name": "query_video_status", "arguments": {"task_id": "sandbox-down"}}}
    has_left = {**call, "params": {"name": "query_video_status", "arguments": {"task_id": "sandbox-not-found"}}}
    before = read(mcp)
    assert mcp.post([down, has_left, 7], BEARER).status_code == 200
    after = read(mcp)
    grown = {name: value - before.get(name, 0.0) for name, value in after.items() if value != before.get(name)}
    counted = {name: value for name, value in grown.items() if name.startswith("scenext_requests_total")}
    failed = [
        requests_total("legacy", "tools/call", "query_video_status", "tool_error", 200, name)
        for name in ("ServerFault", "NotFound")
    ]
    assert ([counted.pop(name) for name in failed], list(counted.values())) == ([1, 1], [1])
    assert grown[upstream_count("ServerFault")] == 1
    assert '"None"' not in str(after)


def test_metrics_have_the_prometheus_text_format(mcp: Mcp) -> None:
    """Spec: Prometheus, "Exposition formats"."""
    mcp.legacy("ping")
    response = mcp.client.get("/metrics")
    assert (response.status_code, response.mimetype) == (200, "text/plain")
    assert "# TYPE scenext_requests_total counter" in response.get_data(as_text=True)


def test_metrics_cover_all_workers_and_are_deleted_at_exit(tmp_path: Path) -> None:
    """Ours: two workers respond, and either one serves the totals of both. The master deletes the directory."""
    home = tmp_path / "tmp"
    home.mkdir()
    environ = {"SCENEXT_METRICS": "1", "SCENEXT_UPSTREAM_SLOTS": "70", "TMPDIR": str(home)}
    with running(tmp_path, environ) as server:
        message: Any = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        for _ in range(20):
            requests.post(f"{server.url}/mcp", json=message, timeout=30)
        found = samples(requests.get(f"{server.url}/metrics", timeout=30).text)
        assert found[requests_total("legacy", "ping", "", "ok", 200)] == 20
        assert found["scenext_upstream_slots"] in (70, 140)  # of one worker, if the other has not served yet
        assert [name.name[:16] for name in home.iterdir() if name.name.startswith("scenext")] == ["scenext-metrics-"]
        server.stop()
    assert [name for name in home.iterdir() if name.name.startswith("scenext")] == []


@pytest.mark.usefixtures("directory")
def test_without_prometheus_client_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: an invalid value ends the start with the variable's name."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(
        ConfigError, match=r"^SCENEXT_METRICS: prometheus-client is not installed\. Install the `metrics` extra\.$"
    ):
        from_env({"SCENEXT_METRICS": "1"})


def test_only_the_process_that_created_the_directory_removes_it(tmp_path: Path) -> None:
    """Ours: workers also run exit handlers that were registered before the fork."""
    made = tmp_path / "made"
    made.mkdir()
    remove_directory(str(made), os.getpid() + 1)
    assert made.exists()
    remove_directory(str(made), os.getpid())
    assert not made.exists()


def test_no_metric_contains_a_key(mcp: Mcp) -> None:
    """Ours: README, "Whose key is used"."""
    mcp.call("query_video_status", {"task_id": "sandbox-failed"})
    assert not re.search(KEY, mcp.client.get("/metrics").get_data(as_text=True))
