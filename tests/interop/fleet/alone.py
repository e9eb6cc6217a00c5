"""What one instance holds as it is shipped: memory, processor time, and how often it asks Scenext."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.interop.hosting.conversation import KEY, Talk
from tests.support.server import Server, running, workers
from tests.support.waiters import BODY, STREAM, collect, wait

from .scenext import ENDLESS, Scenext

CALLERS = 800  # of the 1,000 places that two workers have: connections are not shared out evenly
SECONDS = 50  # of a wait
WATCHED = 20.0  # seconds
BODIES, SIZE = 16, 8_000_000  # at once, and characters of each
LIMIT = 1_048_576  # kB, of docs/deploy/kubernetes.yaml and compose.yaml
TICKS = os.sysconf("SC_CLK_TCK")


def alone(folder: Path, upstream: Scenext) -> str:
    """Measure. Raises AssertionError where callers are refused, or the limits of the pages are too low."""
    environ = {"SCENEXT_SANDBOX": "0", "SCENEXT_API_BASE_URL": upstream.url("alone")}
    with running(folder, environ) as server:
        idle = memory(server)
        waiters = [wait(server.port, SECONDS, (STREAM, BODY)[number % 5 == 0], ENDLESS) for number in range(CALLERS)]
        collect(waiters, 2)
        began, used, asked = time.monotonic(), processor(server), len(upstream.questions)
        collect(waiters, WATCHED)
        seconds = time.monotonic() - began
        share = (processor(server) - used) / seconds
        rate = (len(upstream.questions) - asked) / seconds
        held = memory(server)
        left = [waiter for waiter in waiters if waiter.ended]
        peak = uploads(server)
        for waiter in waiters:
            waiter.leave()
    assert not left, f"{len(left)} of {CALLERS} were not let wait"
    assert peak < LIMIT, f"{peak} kB at once"
    return (
        f"{idle / 1000:.0f} MB idle, {held / 1000:.0f} MB with {CALLERS} calls that wait, {peak / 1000:.0f} MB with"
        f" {BODIES} bodies of 8 MB beside them; the waits take {share:.2f} of a core, and ask Scenext {rate:.0f} times"
        f" a second (load {os.getloadavg()[0]:.1f})"
    )


def uploads(server: Server) -> int:
    """Have some upload at the same time; return the most memory that was seen meanwhile, in kB."""
    over = threading.Event()
    seen = [memory(server)]

    def watch() -> None:
        while not over.wait(0.05):
            seen.append(memory(server))

    def upload(number: int) -> bool:
        arguments = {"question_images": [chr(ord("A") + number) * SIZE]}
        return bool(Talk("modern", server.port).call("gen_video", arguments, {"X-API-Key": KEY})["isError"])

    with ThreadPoolExecutor(BODIES + 1) as pool:
        watching = pool.submit(watch)
        failed = [failed for failed in pool.map(upload, range(BODIES)) if failed]
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
    """Return the seconds of processor time that its workers have used."""
    stats = [Path(f"/proc/{pid}/stat").read_text(encoding="ascii") for pid in workers(server)]
    return sum(sum(map(int, stat.rpartition(")")[2].split()[11:13])) for stat in stats) / TICKS
