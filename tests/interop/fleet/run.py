"""Run three instances behind haproxy as `docs/scale.md` describes. They share all jobs, and any of them may end.

    python -m tests.interop.fleet.run

Needs haproxy and nginx, and installs them from Debian as root if they are missing. Starts jobs through one instance and
queries them through the others, in both eras. Lets callers send each call twice behind routers that choose the instance
by key, which has to be charged once. Then kills one instance and replaces another while callers start jobs, query and
wait. Only calls that the killed instance held may be lost, and none may be sent twice. Finally measures one instance
alone. Everything runs on loopback with a simulated Scenext. Exits with status 1 if anything differs.
"""

import os
import resource
import signal
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.interop import debian
from tests.interop.hosting.conversation import ERAS, Talk
from tests.support.scenext import Scenext, scenext
from tests.support.server import Server, free_port, running, wait_until, workers

from .alone import alone
from .callers import ASK, START, WAIT, Call, ask, callers, start
from .repeats import CALLERS, charged_more, charged_once
from .router import Route, Router, listens, nginx_by_key, router

HERE = Path(__file__).parent
NAMES = ("a", "b", "c")
KILLED, REPLACED = "b", "c"
JOBS = 4  # per era, each queried three times
ACTIVE, PATIENT = 16, 18  # callers
MOMENT = 4  # seconds between two events
DESCRIPTORS = 8192


class Fleet:
    """The instances by name, each at a fixed port."""

    def __init__(self, folder: Path, upstream: Scenext) -> None:
        self.ports = {name: free_port() for name in NAMES}
        self.servers: dict[str, Server] = {}
        self._folder = folder
        self._upstream = upstream
        self._stack = ExitStack()

    def __enter__(self) -> "Fleet":
        for name in NAMES:
            self.start(name)
        return self

    def __exit__(self, *args: Any) -> None:
        self._stack.close()

    def start(self, name: str) -> None:
        """Start an instance, or replace one that ended."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._folder))
        port = self.ports[name]
        environ = {
            "SCENEXT_SANDBOX": "0",
            "SCENEXT_API_BASE_URL": self._upstream.url(name),
            "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port}",
        }
        self.servers[name] = self._stack.enter_context(running(folder, environ, port=port))

    def kill(self, name: str) -> tuple[float, float]:
        """Kill all processes of an instance at once, as in a machine failure; return the times before and after."""
        server = self.servers[name]
        before = time.monotonic()
        for pid in (server.process.pid, *workers(server)):
            os.kill(pid, signal.SIGKILL)
        server.process.wait()
        wait_until(lambda: not listens(self.ports[name]))  # until the last process has exited
        return before, time.monotonic()


def shared(at: Router, upstream: Scenext) -> str:
    """Check that jobs started through one instance can be queried through all others. Raises AssertionError."""
    calls: list[Call] = []
    for era in ERAS * JOBS:
        talk = Talk(era, at.port)
        calls.append(job := start(talk))
        calls += [ask(talk, job.task_id) for _ in NAMES]
        talk.connection.close()
    assert not [one.problem for one in calls if one.problem], calls
    through: dict[str, set[str]] = {}
    for question in upstream.questions:
        if question.starts:
            through[question.task_id] = {question.instance}
            starter = question.instance
        elif question.instance != starter:
            through[question.task_id].add(question.instance)
    few = {job: names for job, names in through.items() if names != {*NAMES}}
    assert not few, f"not asked for through each of the others: {few}"
    return f"{len(through)} jobs that were started through one instance were asked for through both others"


def repeated(fleet: Fleet, folder: Path, at: Router, upstream: Scenext) -> str:
    """Check that a router by key leads to one charge for each caller who calls twice. Raises AssertionError."""
    ports = [*fleet.ports.values()]
    by_haproxy, by_nginx = folder / "haproxy-by-key", folder / "nginx-by-key"
    by_haproxy.mkdir()
    by_nginx.mkdir()
    with router(by_haproxy, ports, by_key=True) as keyed, nginx_by_key(by_nginx, ports) as port:
        charges = [
            charged_once("haproxy by key", keyed.port, upstream, {*NAMES}),
            charged_once("nginx by key", port, upstream, {*NAMES}),
            charged_more("haproxy with roundrobin", at.port, upstream),
        ]
    return f"{CALLERS} callers who called twice had these charges: {', '.join(charges)}"


def disturbed(fleet: Fleet, at: Router, upstream: Scenext) -> str:
    """Kill an instance and replace another during calls, and check all outcomes. Raises AssertionError."""
    with callers(at.port, ACTIVE, PATIENT) as calls:
        time.sleep(MOMENT)
        before, after = fleet.kill(KILLED)
        killed = fleet.servers[KILLED].output()
        time.sleep(MOMENT)
        status, seconds = fleet.servers[REPLACED].stop()
        fleet.start(REPLACED)
        time.sleep(MOMENT)
        fleet.start(KILLED)
        back = time.monotonic()
        time.sleep(MOMENT)
    wait_until(lambda: {one.request_id for one in calls if not one.problem} <= set(at.routes()))
    lost = {one.request_id: one for one in calls if one.problem}
    routes = at.routes()
    there = open_at_killed(calls, routes, upstream, before, after)
    # An instance logs each call before it sends the answer. A call in its log was therefore not held any more.
    held = {request_id: one for request_id, one in there.items() if request_id not in killed}
    elsewhere, unknown = {*lost.values()} - {*there.values()}, {*held.values()} - {*lost.values()}
    assert not elsewhere, [(one, routes.get(one.request_id)) for one in elsewhere]
    assert not unknown, [(one, routes.get(one.request_id)) for one in unknown]
    kinds = Counter(one.kind for one in held.values())
    assert min(kinds[START] + kinds[ASK], kinds[WAIT]) > 0, f"the killed one held only {kinds}"
    assert (status, seconds < MOMENT) == (0, True), f"the replaced one ended with {status} after {seconds:.1f} s"
    assert_once(calls, upstream)
    serving = {question.instance for question in upstream.questions if question.came > back}
    assert serving == {*NAMES}, f"in the end only {serving} served"
    retried = sum(route.retries != "0" for route in routes.values())
    assert retried, "no connection failed: the killed one was not missed"
    summary = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    return (
        f"of {len(calls)} calls {len(lost)} were lost, all at the instance that was killed, which held {len(held)}"
        f" ({summary}), and none at the one that was replaced, gone after {seconds:.1f} s; {retried} went elsewhere"
    )


def open_at_killed(
    calls: list[Call], routes: dict[str, Route], upstream: Scenext, before: float, after: float
) -> dict[str, Call]:
    """Return the calls that were open at the killed instance, by their request ids.

    haproxy does not log a call that got no answer if it was not the first on its connection: it closes the connection
    so that the client may retry. For such a call, only the instance of its request to Scenext is known, if there was
    one.
    """
    elsewhere = {question.request_id for question in upstream.questions if question.instance != KILLED}
    then = {call.request_id: call for call in calls if call.began < after and call.ended > before}
    return {
        request_id: call
        for request_id, call in then.items()
        if (routes[request_id].server == KILLED if request_id in routes else request_id not in elsewhere)
    }


def assert_once(calls: list[Call], upstream: Scenext) -> None:
    """Assert that no call reached Scenext through two instances, and that only waits reached it more than once."""
    requests_by_id = Counter(question.request_id for question in upstream.questions)
    through = Counter(
        request_id for request_id, _ in {(question.request_id, question.instance) for question in upstream.questions}
    )
    assert not [one for one in calls if through[one.request_id] > 1], "a call was repeated through another instance"
    assert not [one for one in calls if one.kind != WAIT and requests_by_id[one.request_id] > 1], (
        "a call was sent twice"
    )
    missed = [one for one in calls if not one.problem and not requests_by_id[one.request_id]]
    assert not missed, f"answered without Scenext: {missed}"


def main() -> None:
    """Install, run and print the results."""
    debian.install((HERE / "debian.txt").read_text(encoding="utf-8").split())
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, hard), hard))
    with tempfile.TemporaryDirectory(prefix="scenext-fleet-") as name, scenext() as upstream:
        folder = Path(name)
        with Fleet(folder, upstream) as fleet, router(folder, [*fleet.ports.values()]) as at:
            print(f"fleet: {shared(at, upstream)}", flush=True)
            print(f"fleet: {repeated(fleet, folder, at, upstream)}", flush=True)
            print(f"fleet: {disturbed(fleet, at, upstream)}", flush=True)
        print(f"alone: {alone(folder, upstream)}", flush=True)


if __name__ == "__main__":
    main()
