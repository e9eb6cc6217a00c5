"""Measure what each departure from a plain library saves: `python benchmarks/prices.py [--rounds N]`.

A round measures a request without the trick and with it, one right after the other, in alternating order. A trick pays
if it was cheaper in more rounds than chance explains (sign test, 1 in 100), and if the median of the rounds'
differences is at least 1 % of the request. A smaller gain does not justify its code. If a trick does not pay, the
command fails and names it: a dependency may have made it useless, so consider removing it.

CPU time only. "worker and threads" compares gunicorn workers on one core, with wrk's 16 connections on the other and
`tools/list` as the request. It includes direct access to settings, and not draining bodies that have been read. All
others are calls of the application in one process (tricks.py), with nginx as the upstream.

Needs what run.py needs: Linux with two cores, wrk, nginx and taskset.
"""

import argparse
import json
import math
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

import servers
from load import Cores, fast_upstream, running
from run import WARM_UP, load_average, prerequisites
from servers import GUNICORN, HERE, LIST, MODERN, ROOT, Server

WORKER, PLAIN_WORKER = "scenext_service.server.gunicorn.worker.Worker", "gthread"

ROUNDS, FEWEST = 21, 7  # with fewer rounds, no result is significant
SHORT = 10  # in-process rounds per gunicorn round; they are short, and small gains need more of them
SECONDS = 1  # of load
CHANCE = 0.01
FLOOR = 0.01  # of the request without the trick

Pairs = list[tuple[float, float]]  # microseconds without and with the trick, per round
Row = tuple[str, str, Pairs]  # the trick, its place in the code, its pairs


def main() -> None:
    """Measure, print the table, and fail if a trick does not pay."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"at least {FEWEST} (default {ROUNDS})")
    rounds = parser.parse_args().rounds
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # so that the servers are stopped too
    if rounds < FEWEST:
        parser.error(f"{FEWEST} rounds are the fewest that can tell a gain from chance")
    load, server = prerequisites()
    servers.install("service")
    before = load_average()
    with tempfile.TemporaryDirectory() as directory:
        cores = Cores(server=server, load=load)
        rows = [worker(rounds, cores, Path(directory)), *in_process(rounds, cores, Path(directory))]
    print(table(rows))
    print(f"\nload average {before} at the start, {load_average()} at the end")
    if useless := [name for name, _, pairs in rows if not pays(pairs)]:
        sys.exit(f"within the noise: {', '.join(useless)}")


def worker(rounds: int, cores: Cores, directory: Path) -> Row:
    """Measure gunicorn with its own worker and with this service's."""
    pairs: Pairs = []
    with ExitStack() as stack:
        targets = []
        for name in (PLAIN_WORKER, WORKER):
            command = [*GUNICORN, "--worker-class", name, "--workers", "1", "wsgi:app"]
            (directory / name).mkdir()
            server = Server(name, "service", command, operations=(LIST,))  # tools/list calls no upstream
            started = running(server, "http://127.0.0.1:9", cores, directory / name)
            targets.append(stack.enter_context(started))
        for target in targets:
            target.load(MODERN, LIST, WARM_UP)
        for number in range(rounds):
            turned = targets[::-1] if number % 2 else targets
            cost = {target.server.name: target.load(MODERN, LIST, SECONDS)["cpu_us"] for target in turned}
            pairs.append((cost[PLAIN_WORKER], cost[WORKER]))
    return "worker and threads", ":".join(WORKER.rsplit(".", 1)), pairs


def in_process(rounds: int, cores: Cores, directory: Path) -> list[Row]:
    """Measure all other tricks, in a process that has the service's packages."""
    command = ["taskset", "--cpu-list", cores.server, str(servers.python("service")), str(HERE / "tricks.py")]
    with fast_upstream(directory, cores.load) as upstream:
        environ = {**servers.environ(upstream, logs=False), "PYTHONPATH": str(ROOT)}
        done = subprocess.run([*command, str(SHORT * rounds)], env=environ, stdout=subprocess.PIPE, check=True)
    rows: list[Row] = json.loads(done.stdout)
    return rows


def saved(pairs: Pairs) -> list[float]:
    """Return the saving in each round."""
    return [off - on for off, on in pairs]


def pays(pairs: Pairs) -> bool:
    """Return whether a trick saves more than chance and the floor explain."""
    cheaper = sum(difference > 0 for difference in saved(pairs))
    chance = sum(math.comb(len(pairs), count) for count in range(cheaper, len(pairs) + 1)) / 2 ** len(pairs)
    return chance <= CHANCE and median(saved(pairs)) >= FLOOR * median(off for off, _ in pairs)


def table(rows: list[Row]) -> str:
    """Return the pairs as a Markdown table."""
    lines = ["| trick | where | off µs | on µs | saves µs | quartiles | cheaper in | verdict |"]
    lines.append("|---|---|--:|--:|--:|--:|--:|---|")
    for name, place, pairs in rows:
        differences = saved(pairs)
        off, on = (median(costs) for costs in zip(*pairs, strict=True))
        low, middle, high = quantiles(differences)
        cheaper = f"{sum(difference > 0 for difference in differences)} of {len(pairs)}"
        verdict = "pays" if pays(pairs) else "**within the noise**"
        figures = f"{off:.1f} | {on:.1f} | {middle:.1f} ({middle / off:.1%}) | {low:.1f} to {high:.1f} | {cheaper}"
        lines.append(f"| {name} | `{place}` | {figures} | {verdict} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
