"""Measure this service next to bare WSGI, the official Python SDK, FastMCP and scenext-mcp: `python benchmarks/run.py`.

Needs Linux with two cores, wrk, nginx and taskset. Every server runs in its own environment, which is created on first
use in `benchmarks/.environments` from pinned requirements, and calls the same upstream. Rounds are interleaved: each
round starts every server in turn, so that other load on the machine affects all of them. Figures are medians of the
rounds, and a ratio is the median of the rounds' ratios. Every answer is checked, and a wrong one ends the run.

    one core     the server on one core; wrk, with 16 keep-alive connections, and nginx as the upstream on the other
    different    one core; tools/call with another key in every request
    with logs    as "one core", with access log and the service's own log lines
    both cores   everything on both cores
    slow         both cores; an upstream that takes 0.2 s, and one that never answers, with 100 connections

CPU is the user and system time of the server's whole process tree, per correct answer. Switches are the context
switches of its threads, per correct answer. Memory is its proportional set size after the load. The cold start is the
time from the start of the process to its first correct answer.

Writes results.json, results.md and chart.svg in this folder.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import report
import servers
from load import Cores, Running, WrongAnswer, fast_upstream, running, slow_upstream, wrk
from servers import HERE, Server

SECONDS = 2  # of one measurement; with --quick, 1
WARM_UP = 1  # seconds
ROUNDS = 7
SLOW_CONNECTIONS = 100
BESIDE = 4  # connections that list the tools while the others hang

# A list of figures by table, row and name, with one figure for each round.
Results = dict[str, dict[str, dict[str, list[float]]]]


class Benchmark:
    """One run: the cores it uses, its duration, and its results."""

    def __init__(self, directory: Path, seconds: int, cores: tuple[str, str]) -> None:
        self.directory = directory
        self.seconds = seconds
        self.pinned = Cores(server=cores[1], load=cores[0])
        self.everywhere = Cores(server=",".join(cores), load=",".join(cores))
        self.results: Results = {}

    def note(self, table: str, row: str, **figures: float) -> None:
        """Record the figures of one round."""
        kept = self.results.setdefault(table, {}).setdefault(row, {})
        for name, figure in figures.items():
            kept.setdefault(name, []).append(figure)

    def ask(self, target: Running, table: str) -> None:
        """Measure all operations of a running server in all its eras, then its memory."""
        server = target.server
        target.load(server.eras[0], server.operations[0], WARM_UP)
        for era in server.eras:
            for operation in server.operations:
                self.note(f"{table}, {operation}", server.row(era), **target.load(era, operation, self.seconds))
        self.note(table, server.name, memory_mb=target.memory(), cold_start_s=target.cold_start)
        if table == "one core" and server in servers.MANY_KEYS:
            figures = target.load(server.eras[0], servers.CALL, self.seconds, keys=True)
            self.note("different keys", server.row(server.eras[0]), **figures)

    def one_core(self, group: tuple[Server, ...], table: str, *, logs: bool = False) -> None:
        """Measure one round of servers, each alone on its core."""
        with fast_upstream(self.directory, self.pinned.load) as upstream:
            for server in group:
                with running(server, upstream, self.pinned, self.directory, logs=logs) as target:
                    self.ask(target, table)

    def both_cores(self, group: tuple[Server, ...]) -> None:
        """Measure one round of servers that share both cores with the load."""
        with fast_upstream(self.directory, self.everywhere.load) as upstream:
            for server in group:
                with running(server, upstream, self.everywhere, self.directory) as target:
                    target.load(servers.MODERN, servers.CALL, WARM_UP)
                    figures = target.load(servers.MODERN, servers.CALL, self.seconds)
                    self.note("both cores", server.row(servers.MODERN), **figures, memory_mb=target.memory())

    def slow(self, group: tuple[Server, ...]) -> None:
        """Measure servers with a slow upstream, then the tool list while all calls hang."""
        for server in group:
            era = server.eras[0]
            row = server.row(era)
            with slow_upstream() as upstream, running(server, upstream, self.everywhere, self.directory) as target:
                figures = target.load(era, servers.CALL, self.seconds + 1, SLOW_CONNECTIONS)
                self.note("slow, 0.2 s", row, **figures)
                if servers.LIST in server.operations:
                    self.note("slow, hanging", row, **self._beside_hanging_calls(target, era))

    def _beside_hanging_calls(self, target: Running, era: str) -> dict[str, float]:
        hanging = servers.message(era, servers.CALL, "hang")
        with wrk(target, hanging, "", self.seconds + 3, SLOW_CONNECTIONS):
            time.sleep(1)
            return target.load(era, servers.LIST, self.seconds, BESIDE)


def main() -> None:
    """Run the benchmark that the command line selects."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short round, without the slow upstream")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"interleaved rounds on one core (default {ROUNDS})")
    parser.add_argument("--beside", type=Path, metavar="FOLDER", help="measure the version in this checkout too")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # so that the servers are stopped too
    cores = prerequisites()
    rounds = 1 if options.quick else options.rounds
    for environment in sorted({server.environment for server in servers.ONE_CORE}):
        servers.install(environment)
    about = machine("python benchmarks/run.py" + "".join(f" {argument}" for argument in sys.argv[1:]))
    with tempfile.TemporaryDirectory() as directory:
        benchmark = Benchmark(Path(directory), 1 if options.quick else SECONDS, cores)
        try:
            others = () if options.beside is None else (servers.other_version(options.beside.resolve()),)
            measure(benchmark, rounds, others, quick=options.quick)
        except WrongAnswer as error:
            sys.exit(f"void: {error}")
    about["load average at the end"] = load_average()
    results = {"about": about, "rounds": benchmark.results}
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    text = report.tables(results)
    page = HERE / "results.md"
    _, heading, tokens = page.read_text().partition("\n## Tokens\n")  # measured by tokens.py
    page.write_text(text + heading + tokens)
    (HERE / "chart.svg").write_text(report.chart(results))
    print(text)


def measure(benchmark: Benchmark, rounds: int, others: tuple[Server, ...], *, quick: bool) -> None:
    """Run the rounds. Less important tables get fewer of them. `others` are measured on one core only."""
    fewer = (rounds + 1) // 2
    steps: list[tuple[str, int, Callable[[int], None]]] = [
        (
            "one core",
            rounds,
            lambda number: benchmark.one_core(turned((*others, *servers.ONE_CORE), number), "one core"),
        ),
        (
            "with logs",
            min(fewer, 2),
            lambda number: benchmark.one_core((*others, *servers.WITH_LOGS), "with logs", logs=True),
        ),
        ("both cores", fewer, lambda number: benchmark.both_cores(turned(servers.BOTH_CORES, number))),
        ("slow", 0 if quick else 1, lambda number: benchmark.slow(servers.SLOW)),
    ]
    for name, times, step in steps:
        for number in range(times):
            print(f"{time.strftime('%H:%M:%S')} {name}, round {number + 1} of {times}", file=sys.stderr, flush=True)
            step(number)


def turned(group: tuple[Server, ...], number: int) -> tuple[Server, ...]:
    """Return the servers in alternating order, so that none always follows the same one."""
    return group[::-1] if number % 2 else group


def prerequisites() -> tuple[str, str]:
    """Return two cores. Exits if a program is missing or there is only one core."""
    missing = [tool for tool in ("wrk", "taskset") if shutil.which(tool) is None]
    if shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        missing.append("nginx")
    if missing:
        sys.exit(f"missing: {', '.join(missing)} (on Debian: apt-get install wrk nginx-light util-linux)")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("two cores are needed")
    return str(cores[0]), str(cores[1])


def machine(command: str) -> dict[str, Any]:
    """Return the facts that a reader needs to repeat the run."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": model[0].partition(": ")[2] if model else "unknown",
        "load average at the start": load_average(),
    }


def load_average() -> float:
    """Return the load average of the last minute."""
    return round(os.getloadavg()[0], 2)


if __name__ == "__main__":
    main()
