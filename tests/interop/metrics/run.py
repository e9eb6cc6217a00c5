"""Have Debian's Prometheus scrape two workers of the service, and test the alerts of `docs/alerts.yaml`.

    python -m tests.interop.metrics.run

Installs prometheus (as root, if it is missing), starts a real gunicorn with the shipped configuration in the sandbox,
and a Prometheus that scrapes it every second. Makes calls with known outcomes and queries Prometheus for their sums.
`promtool` checks the metrics page and the rules, and `alerts_test.yaml` covers each alert both firing and silent. Exits
with status 1 if anything differs.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from scenext_service import __version__
from tests.interop import debian
from tests.support.pages import ROOT
from tests.support.server import Server, booted, free_port, running, wait_until, workers
from tests.support.waiters import start_and_leave

HERE = Path(__file__).parent
RULES = ROOT / "docs" / "alerts.yaml"

SLOTS = 70  # concurrent Scenext calls in each of the two workers
SETTLE = 20  # seconds until Prometheus must return the expected values

CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: scenext
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

# For each job of the sandbox, the number of calls and the failure that they cause.
CALLS: Mapping[str, tuple[int, str]] = {
    "sandbox-completed": (20, ""),
    "sandbox-not-found": (5, "NotFound"),
    "sandbox-down": (7, "ServerFault"),
    "sandbox-unreachable": (3, "ConnectionFailed"),
    "sandbox-broken": (2, "BadResponse"),
    "sandbox-busy": (4, "RateLimited"),
    "sandbox-firewall": (6, "ForeignResponse"),
}
SLOW, WAITS, PINGS = 6, 4, 9  # calls of `sandbox-slow`, which takes 3 s; calls that wait 3 s; pings
LOST = 2  # jobs started by clients that have disconnected

Vector = dict[str, float]  # maps the value of the queried label to the sample's value


class Prometheus:
    """Query a running Prometheus over its HTTP API."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ready(self) -> bool:
        try:
            return requests.get(f"{self._url}/-/ready", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def ask(self, query: str) -> Vector:
        """Return the current result of a query whose samples have at most one label."""
        answer = requests.get(f"{self._url}/api/v1/query", {"query": query}, timeout=5).json()
        return {"".join(one["metric"].values()): float(one["value"][1]) for one in answer["data"]["result"]}

    def rules(self) -> dict[str, str]:
        """Return the health of each alert."""
        groups = requests.get(f"{self._url}/api/v1/rules", timeout=5).json()["data"]["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}


@contextmanager
def prometheus(folder: Path, service: Server) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes the service."""
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(rules=RULES, port=service.port), encoding="utf-8")
    program("promtool", "check", "config", str(config))
    found = Prometheus(port := free_port())
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        try:
            wait_until(found.ready)
            wait_until(lambda: bool(found.ask("up")))  # the first scrape comes seconds later
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def program(*command: str, given: str = "") -> None:
    """Run a program that must succeed. Raises AssertionError with its output."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    print(f"ok  {' '.join(Path(word).name if '/' in word else word for word in command)}")


def post(url: str, method: str, params: Any = None) -> None:
    """Post a message on a new connection, which either worker may accept."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
    headers = {"X-API-Key": "any-key-will-do", "Accept": "application/json, text/event-stream", "Connection": "close"}
    assert requests.post(f"{url}/mcp", json=message, headers=headers, timeout=30).status_code == 200


def query(url: str, job: str, **more: Any) -> None:
    """Query the status of a job."""
    post(url, "tools/call", {"name": "query_video_status", "arguments": {"task_id": job, **more}})


def converse(service: Server) -> None:
    """Make the calls, up to 16 at a time."""
    url = service.url
    for _ in range(LOST):
        start_and_leave(service.port)
    with ThreadPoolExecutor(16) as pool:
        jobs = [job for job, (count, _) in CALLS.items() for _ in range(count)]
        pending = [pool.submit(query, url, job) for job in jobs]
        pending += [pool.submit(post, url, "ping") for _ in range(PINGS)]
        for one in pending:
            one.result()
        pending = [pool.submit(query, url, "sandbox-slow") for _ in range(SLOW)]
        pending += [pool.submit(query, url, "sandbox-in-progress", wait_seconds=3) for _ in range(WAITS)]
        for one in pending:
            one.result()


def occupy_both(service: Server) -> None:
    """Post `tools/list` until both workers have answered, because a worker's slots count only from its first request.

    The expected sums do not include these requests.
    """

    def both() -> bool:
        post(service.url, "tools/list")
        return f"scenext_upstream_slots {2 * SLOTS}.0" in requests.get(f"{service.url}/metrics", timeout=5).text

    wait_until(both)


def expected() -> dict[str, Vector]:
    """Return each query and its expected result."""
    by_failure = {failure: float(count) for count, failure in CALLS.values()}
    by_failure[""] += SLOW + WAITS
    failed = sum(count for failure, count in by_failure.items() if failure)
    tool = '{tool="query_video_status"}'
    histogram = "scenext_upstream_seconds"
    return {
        "up": {"": 1},
        f"sum by (failure) (scenext_requests_total{tool})": by_failure,
        f"sum by (outcome) (scenext_requests_total{tool})": {"ok": by_failure[""], "tool_error": failed},
        'sum(scenext_requests_total{method="ping", era="legacy", status="200"})': {"": PINGS},
        'sum(scenext_request_seconds_count{method="ping"})': {"": PINGS},
        f"sum(scenext_request_seconds_count{tool})": {"": sum(by_failure.values())},
        # A call that waits 3 s polls once before the wait, and once or twice during it.
        f'sum({histogram}_count{{failure!=""}})': {"": failed},
        f'sum({histogram}_count{{failure="", operation="get_status"}}) >= bool {by_failure[""] + WAITS}': {"": 1},
        f'sum({histogram}_count{{failure="", operation="get_status"}}) <= bool {by_failure[""] + 2 * WAITS}': {"": 1},
        f'sum({histogram}_bucket{{le="5.0"}}) - sum({histogram}_bucket{{le="2.5"}})': {"": SLOW},
        # Neither histogram includes the pauses of waiting calls between polls.
        'sum(scenext_request_seconds_bucket{tool="query_video_status", le="2.5"})': {
            "": sum(by_failure.values()) - SLOW
        },
        "scenext_upstream_slots": {"": 2 * SLOTS},
        "scenext_upstream_slots_in_use": {"": 0},
        "max_over_time(scenext_upstream_slots_in_use[1m])": {"": SLOW},
        "scenext_waiting_calls": {"": 0},
        "max_over_time(scenext_waiting_calls[1m])": {"": WAITS},
        "scenext_errors_total": {"": 0},
        "scenext_jobs_undelivered_total": {"": LOST},
        'sum by (status) (scenext_requests_total{tool="gen_video", outcome="cancelled"})': {"499": LOST},
        "sum by (version) (scenext_build_info)": {__version__: 1},
        'sum by (alertname) (ALERTS{alertstate="firing"})': {"ScenextJobsUndelivered": 1},
    }


def differences(monitor: Prometheus, queries: Mapping[str, Vector]) -> list[str]:
    """Return the queries with other results than expected, after Prometheus has had time for its last scrape."""
    end = time.monotonic() + SETTLE
    while True:
        sampled = {query: monitor.ask(plain(query)) for query in queries}
        different = [
            f"{query}\n    {sampled[query]}, not {queries[query]}"
            for query in queries
            if sampled[query] != queries[query]
        ]
        if not different or time.monotonic() > end:
            return different
        time.sleep(0.5)


def plain(query: str) -> str:
    """Return the query without the labels that the scrape adds to its result."""
    return query if query.startswith("sum") else f"sum without (instance, job, __name__) ({query})"


def replace_a_worker(service: Server) -> None:
    """Kill a worker and wait for its replacement."""
    old = workers(service)
    os.kill(old[0], signal.SIGKILL)
    wait_until(lambda: old[0] not in workers(service) and booted(service))
    occupy_both(service)


def main() -> None:
    """Install, run, compare and print."""
    debian.install((HERE / "debian.txt").read_text(encoding="utf-8").split())
    program("promtool", "check", "rules", str(RULES))
    program("promtool", "test", "rules", str(HERE / "alerts_test.yaml"))
    folder = Path(tempfile.mkdtemp())
    environ = {"SCENEXT_METRICS": "1", "SCENEXT_UPSTREAM_SLOTS": str(SLOTS), "TMPDIR": str(folder)}
    try:
        with running(folder, environ) as service, prometheus(folder, service) as monitor:
            occupy_both(service)
            converse(service)
            program("promtool", "check", "metrics", given=requests.get(f"{service.url}/metrics", timeout=5).text)
            counted = [file for file in folder.glob("*/counter_*.db") if b"query_video_status" in file.read_bytes()]
            assert len(counted) == 2, "one worker had all the calls"
            different = differences(monitor, expected())
            replace_a_worker(service)
            different += [f"after a worker's end: {one}" for one in differences(monitor, expected())]
            if set(monitor.rules().values()) != {"ok"}:
                different.append(f"rules: {json.dumps(monitor.rules())}")
    finally:
        shutil.rmtree(folder)
    print(f"{'not' if different else 'ok '} {len(expected())} queries over two workers, also once one was killed")
    for one in different:
        print(f"    {one}")
    if different:
        sys.exit(1)


if __name__ == "__main__":
    main()
