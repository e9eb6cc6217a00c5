"""Three instances behind haproxy, as `docs/scale.md` says: jobs are shared, and one may end.

    python -m tests.interop.fleet.run

Needs haproxy, which it installs from Debian as root where it is missing. Starts jobs through one instance and asks for
them through the others, in both eras; kills one instance and replaces another while callers start jobs, ask and wait,
and counts: what was lost is what the killed one held, and nothing was sent twice. Then measures one instance alone. All
of it on loopback, with a Scenext of its own. Ends with status 1 where anything was different.
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
from tests.support.server import Server, free_port, running, wait_until, workers

from .alone import alone
from .callers import ASK, START, WAIT, Call, ask, callers, start
from .router import Route, Router, listens, router
from .scenext import Scenext, scenext

HERE = Path(__file__).parent
NAMES = ("a", "b", "c")
KILLED, REPLACED = "b", "c"
JOBS = 4  # of each era, each asked for three times
ACTIVE, PATIENT = 16, 18  # callers
MOMENT = 4  # seconds between two events
DESCRIPTORS = 8192


class Fleet:
    """The instances, each under its name, always at the same port."""

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
        """Start an instance, in the place of one that ended."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._folder))
        port = self.ports[name]
        environ = {
            "SCENEXT_SANDBOX": "0",
            "SCENEXT_API_BASE_URL": self._upstream.url(name),
            "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port}",
        }
        self.servers[name] = self._stack.enter_context(running(folder, environ, port=port))

    def kill(self, name: str) -> tuple[float, float]:
        """Kill an instance as a machine dies; return the moments before and after."""
        server = self.servers[name]
        before = time.monotonic()
        for pid in (server.process.pid, *workers(server)):
            os.kill(pid, signal.SIGKILL)
        server.process.wait()
        wait_until(lambda: not listens(self.ports[name]))  # the last of them is gone
        return before, time.monotonic()


def shared(at: Router, upstream: Scenext) -> str:
    """Start jobs, and ask for each three times: other instances must know it. Raises AssertionError."""
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


def disturbed(fleet: Fleet, at: Router, upstream: Scenext) -> str:
    """Kill an instance, and replace another, while callers call. Raises AssertionError."""
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
    # It wrote a line for each call before it sent the answer.
    held = {request_id: one for request_id, one in there.items() if request_id not in killed}
    elsewhere, unknown = {*lost.values()} - {*there.values()}, {*held.values()} - {*lost.values()}
    assert not elsewhere, [(one, routes.get(one.request_id)) for one in elsewhere]
    assert not unknown, [(one, routes.get(one.request_id)) for one in unknown]
    kinds = Counter(one.kind for one in held.values())
    assert min(kinds[START] + kinds[ASK], kinds[WAIT]) > 0, f"the killed one held only {kinds}"
    assert (status, seconds < MOMENT) == (0, True), f"the replaced one ended with {status} after {seconds:.1f} s"
    assert_once(calls, upstream)
    again = {question.instance for question in upstream.questions if question.came > back}
    assert again == {*NAMES}, f"in the end only {again} served"
    retried = sum(route.retries != "0" for route in routes.values())
    assert retried, "no connection failed: the killed one was not missed"
    told = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    return (
        f"of {len(calls)} calls {len(lost)} were lost, all at the instance that was killed, which held {len(held)}"
        f" ({told}), and none at the one that was replaced, gone after {seconds:.1f} s; {retried} went elsewhere"
    )


def open_at_killed(
    calls: list[Call], routes: dict[str, Route], upstream: Scenext, before: float, after: float
) -> dict[str, Call]:
    """Return the calls that the killed instance had when it was killed, by their ids.

    The log has no line for a call that was not the first on its caller's connection, and had no answer: haproxy hangs
    up, so that the caller may try again. Of such a call it is known through whom it came to Scenext, if it did.
    """
    elsewhere = {question.request_id for question in upstream.questions if question.instance != KILLED}
    then = {call.request_id: call for call in calls if call.began < after and call.ended > before}
    return {
        request_id: call
        for request_id, call in then.items()
        if (routes[request_id].server == KILLED if request_id in routes else request_id not in elsewhere)
    }


def assert_once(calls: list[Call], upstream: Scenext) -> None:
    """Assert that no call came to Scenext through two instances, and none but a wait twice."""
    came = Counter(question.request_id for question in upstream.questions)
    through = Counter(
        request_id for request_id, _ in {(question.request_id, question.instance) for question in upstream.questions}
    )
    assert not [one for one in calls if through[one.request_id] > 1], "a call was repeated through another instance"
    assert not [one for one in calls if one.kind != WAIT and came[one.request_id] > 1], "a call was sent twice"
    missed = [one for one in calls if not one.problem and not came[one.request_id]]
    assert not missed, f"answered without Scenext: {missed}"


def main() -> None:
    """Install, run, print."""
    debian.install((HERE / "debian.txt").read_text(encoding="utf-8").split())
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, hard), hard))
    with tempfile.TemporaryDirectory(prefix="scenext-fleet-") as name, scenext() as upstream:
        folder = Path(name)
        with Fleet(folder, upstream) as fleet, router(folder, [*fleet.ports.values()]) as at:
            print(f"fleet: {shared(at, upstream)}", flush=True)
            print(f"fleet: {disturbed(fleet, at, upstream)}", flush=True)
        print(f"alone: {alone(folder, upstream)}", flush=True)


if __name__ == "__main__":
    main()
