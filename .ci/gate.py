"""The gate: every check of this project, in fresh clones and fresh environments. `.ci/run` starts it.

Needs git, bash, curl, and Python 3.11 or newer with venv; installs everything else into a folder that it makes and
removes, and Debian's packages as root. Runs the suite on every Python of setup.cfg that it finds.

Most of these programs wait for servers, and so three rows of steps go on at the same time; what loads the machine comes
after them, alone. What a step prints comes in one piece, once it has ended. The first failure stops all.
"""

import configparser
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support import pages
from tests.support.pages import ROOT

STEP_TIMEOUT = 1800  # seconds


class Step(NamedTuple):
    """A command line of bash, and the clone that it runs in; the clone is made where it is not there."""

    title: str
    clone: str
    command: str


_INSTALL = "-m venv .venv && pip install -q -r requirements.txt -e"
_SUITE = "python -m pytest -q"
_MEASURED = "coverage run -m pytest -q && coverage combine -q && coverage report"
INSTALL = [Step("Install", "gate", f"python3 {_INSTALL} '.[dev,interop,test]'")]  # what the steps below run in
PROGRAMS = [
    Step("Lint and types", "gate", "pre-commit run --all-files --show-diff-on-failure"),
    Step("Conformance", "gate", "python -m tests.interop.conformance.run"),
    Step("Clients", "gate", "python -m tests.interop.clients.run && git diff --exit-code 'docs/works-with*'"),
    Step("Installing", "gate", "python -m tests.interop.installing.run"),
    Step("Metrics and alerts", "gate", "python -m tests.interop.metrics.run"),
    Step("Listings", "gate", "python -m tests.interop.listings.run"),
    Step("Container", "gate", "python -m tests.interop.containers.run"),
    Step("Several instances", "gate", "python -m tests.interop.fleet.run"),
    Step("The card", "gate", "python -m tests.interop.cards.run"),
    Step("The page", "gate", "python -m tests.interop.pages.run"),
]
MORE_PROGRAMS = [  # a row that takes about as long as the one above
    Step("Hosting", "gate", "python -m tests.interop.hosting.run"),
    Step("A tool, a revision and an era, added as CONTRIBUTING says", "gate", "python -m pytest -m copy"),
    Step("Fuzz", "gate", "python -m tests.live.fuzz 120"),
]
ALONE = [Step("Load", "gate", "python -m pytest -m load")]


def suites() -> list[Step]:
    """Return the README's commands, and the suite on each other Python; the last one measures its coverage."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = {version: program for version in tested() if (program := python(version))}
    print("Python", ", ".join(f"{version} ({found.get(version, 'not found')})" for version in tested()), flush=True)
    steps = [
        Step("README: run", "run", "python3 .ci/readme_run.py ."),
        Step(f"README: test, on Python {platform.python_version()}", "test", pages.command("Test")),
    ]
    others = {version: program for version, program in found.items() if version != own} or {own: sys.executable}
    *between, last = [(version, f"{shlex.quote(program)} {_INSTALL} '.[test]'") for version, program in others.items()]
    steps += [Step(f"Python {version}", version, f"{install} && {_SUITE}") for version, install in between]
    return [*steps, Step(f"Python {last[0]}, with coverage", last[0], f"{last[1]} && {_MEASURED}")]


def tested() -> list[str]:
    """Return the versions of Python that setup.cfg names, as 3.11."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return re.findall(r"^Programming Language :: Python :: (3\.\d+)$", setup["metadata"]["classifiers"], re.MULTILINE)


def python(version: str) -> str | None:
    """Return the program of a Python that can make an environment, from the PATH or else from pyenv's versions.

    On the PATH may be a shim of pyenv for a version that it does not run here.
    """
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for program in [f"python{version}", *map(str, root.glob(f"versions/{version}.*/bin/python"))]:
        try:
            subprocess.run([program, "-c", "import ensurepip"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return program
    return None


class Gate:
    """Runs steps in clones below a folder, and keeps what each took. `failed` is the step that ended it all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self.failed: Step | None = None
        self.took: list[tuple[float, Step]] = []  # seconds

    def run(self, *rows: Sequence[Step]) -> None:
        """Run rows of steps at the same time, and the steps of each row one after the other."""
        threads = [threading.Thread(target=self._row, args=(row,)) for row in rows]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _row(self, steps: Sequence[Step]) -> None:
        for step in steps:
            with self._lock:
                if self.failed:
                    return
            self._step(step)

    def _step(self, step: Step) -> None:
        started = time.monotonic()
        print(f"... {step.title}", flush=True)
        clone = self._folder / step.clone
        if not clone.exists():
            subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
        environment = {**os.environ, "PATH": f"{clone / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        with tempfile.TemporaryFile() as printed:
            command = ["timeout", str(STEP_TIMEOUT), "bash", "-euo", "pipefail", "-c", step.command]
            process = subprocess.Popen(
                command, cwd=clone, env=environment, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True
            )
            with self._lock:
                self._running.add(process)
            status = process.wait()
            printed.seek(0)
            self._ended(step, process, status, time.monotonic() - started, printed.read())

    def _ended(self, step: Step, process: "subprocess.Popen[bytes]", status: int, seconds: float, text: bytes) -> None:
        with self._lock:
            self._running.discard(process)
            if self.failed:  # this one was ended
                return
            self.took.append((seconds, step))
            print(f"\n=== {step.title}\n$ {step.command}", flush=True)
            sys.stdout.buffer.write(text)
            print(f"=== {step.title}: {f'failed with {status}' if status else 'passed'} in {seconds:.0f} s", flush=True)
            if status:
                self.failed = step
                for other in self._running:
                    os.killpg(other.pid, signal.SIGTERM)


def main() -> None:
    """Run all, and say at the end what each took."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        gate = Gate(Path(folder))
        gate.run(INSTALL)
        gate.run(PROGRAMS, suites(), MORE_PROGRAMS)
        gate.run(ALONE)
    print("\n=== What each step took")
    for seconds, step in sorted(gate.took, reverse=True):
        print(f"{seconds:6.0f} s  {step.title}")
    print(f"{time.monotonic() - started:6.0f} s  all", flush=True)
    if gate.failed:
        sys.exit(f"failed: {gate.failed.title}")


if __name__ == "__main__":
    main()
