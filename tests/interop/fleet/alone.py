"""Measure one instance with the shipped configuration: memory, processor time, and requests to Scenext."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.interop.hosting.conversation import KEY, Talk
from tests.support.pictures import picture
from tests.support.scenext import ENDLESS, Scenext
from tests.support.server import Server, running, workers
from tests.support.waiters import BODY, STREAM, collect, wait

CALLERS = 800  # of the 1,000 waiting places in two workers, which do not get equally many connections
SECONDS = 50  # of a wait
WATCHED = 20.0  # seconds
BODIES, SIZE = 6, 8_000_000  # concurrent bodies, which fit into the budget of one worker, and characters of each
LIMIT = 1_048_576  # kB, as in docs/deploy/kubernetes.yaml and compose.yaml
TICKS = os.sysconf("SC_CLK_TCK")


def alone(folder: Path, upstream: Scenext) -> str:
    """Measure. Raises AssertionError if callers are rejected or the memory limits of the pages are too low."""
    environ = {"SCENEXT_SANDBOX": "0", "SCENEXT_API_BASE_URL": upstream.url("alone")}
    with running(folder, environ) as server:
        idle = memory(server)
        waiters = [wait(server.port, SECONDS, (STREAM, BODY)[number % 5 == 0], ENDLESS) for number in range(CALLERS)]
        collect(waiters, 2)
        began, used, polls_before = time.monotonic(), processor(server), len(upstream.questions)
        collect(waiters, WATCHED)
        seconds = time.monotonic() - began
        share = (processor(server) - used) / seconds
        rate = (len(upstream.questions) - polls_before) / seconds
        held = memory(server)
        remaining = [waiter for waiter in waiters if waiter.ended]
        peak = uploads(server)
        for waiter in waiters:
            waiter.leave()
    assert not remaining, f"{len(remaining)} of {CALLERS} were not let wait"
    assert peak < LIMIT, f"{peak} kB at once"
    return (
        f"{idle / 1000:.0f} MB idle, {held / 1000:.0f} MB with {CALLERS} calls that wait, {peak / 1000:.0f} MB with"
        f" {BODIES} bodies of 8 MB beside them; the waits take {share:.2f} of a core, and ask Scenext {rate:.0f} times"
        f" a second (load {os.getloadavg()[0]:.1f})"
    )


def uploads(server: Server) -> int:
    """Make concurrent uploads; return the peak memory during them in kB."""
    over = threading.Event()
    seen = [memory(server)]

    def watch() -> None:
        while not over.wait(0.05):
            seen.append(memory(server))

    def upload(number: int) -> bool:
        arguments = {"question_images": [picture(SIZE, chr(ord("A") + number))]}
        return bool(Talk("modern", server.port).call("gen_video", arguments, {"X-API-Key": KEY})["isError"])

    with ThreadPoolExecutor(BODIES + 1) as pool:
        watching = pool.submit(watch)
        try:
            failed = [failed for failed in pool.map(upload, range(BODIES)) if failed]
        finally:
            over.set()
        watching.result()
    assert not failed, f"{len(failed)} uploads failed"
    return max(seen)


def memory(server: Server) -> int:
    """Return the proportional set size of the whole instance in kB."""
    pids = [server.process.pid, *workers(server)]
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii") for pid in pids]
    return sum(int(rollup.partition("\nPss:")[2].split()[0]) for rollup in rollups)


def processor(server: Server) -> float:
    """Return the processor time of its workers in seconds."""
    stats = [Path(f"/proc/{pid}/stat").read_text(encoding="ascii") for pid in workers(server)]
    return sum(sum(map(int, stat.rpartition(")")[2].split()[11:13])) for stat in stats) / TICKS
