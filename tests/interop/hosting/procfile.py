"""The Procfile under each program that runs Procfiles, with `PORT` and `WEB_CONCURRENCY` both set or both unset."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from .hosts import Address, Host, Start
from .site import Site, ports, wait_until_healthy

PAGE = "heroku.md"
HEADING = "The same Procfile on your own machine"
DEFAULT_PORT = 5000  # of all three programs
DEFAULT_WORKERS = 2
PROGRAMS = {"honcho": "honcho", "foreman": "Debian's `foreman`", "nf": "npm's `foreman`, as in `heroku local`"}


@contextmanager
def procfile(program: str, workers: int | None, site: Site) -> Iterator[Address]:
    """Run the Procfile with a program. `workers` sets both variables; None leaves both unset."""
    lines = site.pages.commands(PAGE, HEADING)
    site.prepare([line for line in lines if line.split()[0] not in PROGRAMS])
    command = next(line for line in lines if line.startswith(f"{program} "))
    port = ports().app if workers else DEFAULT_PORT
    variables = {"PORT": str(port), "WEB_CONCURRENCY": str(workers)} if workers else {}
    with site.running(command, f"{program}-{port}", {"SCENEXT_SANDBOX": "1", **variables}) as running:
        wait_until_healthy(port, "", running)
        yield Address(port, running)
        # By now every worker has logged its start.
        started = len(re.findall("Booting worker", running.log.read_text(encoding="utf-8", errors="replace")))
        assert started == (workers or DEFAULT_WORKERS), f"{started} workers"


def _host(program: str, workers: int | None) -> Host:
    start: Start = partial(procfile, program, workers)
    return Host(f"Procfile, {PROGRAMS[program]}, {'variables set' if workers else 'nothing set'}", PAGE, start)


HOSTS = tuple(_host(program, workers) for program in PROGRAMS for workers in (3, None))
