"""The checks of this project, as sessions of nox. `nox --list` names them, and `nox -s NAME` runs one.

`.ci/run` runs all of them in a fresh clone. `lint`, `tests` and `coverage` have environments of their own. The other
sessions start real servers and programs of other projects. They share one environment, which takes a minute to install.
Many of them install Debian packages, as root.
"""

import fcntl
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nox

SETUP, REQUIREMENTS = Path("setup.cfg"), Path("requirements.txt")
PYTHONS = re.findall(r"^ +Programming Language :: Python :: (3\.\d+)$", SETUP.read_text(encoding="utf-8"), re.MULTILINE)
SHARED = Path(".nox", "shared").absolute()
LIMIT = 30 * 60  # seconds for one program; the longest, hosting, takes 18 minutes beside two other sessions

# A shim of pyenv runs a version that is not active only if the version's own folder is on the PATH, too.
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *map(str, sorted(PYENV.glob("versions/3.*/bin")))])

nox.needs_version = ">=2026.8"  # for --parallel
nox.options.allow_parallel = True
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "tests"]


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, lint, types, language and configuration files. Takes a minute."""
    _install(session, "dev,test")
    _run(session, *shlex.split("pre-commit run --all-files --show-diff-on-failure"))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the test suite on each supported Python that is found. Arguments after `--` go to pytest."""
    _install(session, "test")
    _run(session, *shlex.split("python -m pytest -q"), *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the test suite, and fail unless every branch of the package is covered."""
    _install(session, "test")
    for command in ("coverage run -m pytest -q", "coverage combine -q", "coverage report"):
        _run(session, *shlex.split(command))


@nox.session(venv_backend="none")
def readme(session: nox.Session) -> None:
    """Run the README's two commands and every curl example, in clones of the last commit."""
    _in_clone(session, "python3 .ci/readme_run.py .")
    _in_clone(session, 'eval "$(python3 tests/support/pages.py Test)"')


@nox.session(venv_backend="none")
def conformance(session: nox.Session) -> None:
    """Run the official conformance suite at every protocol revision."""
    _shared(session, "python -m tests.interop.conformance.run")


@nox.session(venv_backend="none")
def clients(session: nox.Session) -> None:
    """Run clients of other projects, and compare the results with docs/works-with.md."""
    _shared(session, "python -m tests.interop.clients.run")
    if not session.posargs:  # with a choice of clients, the table stays as it is
        session.run("git", "diff", "--exit-code", "docs/works-with*", external=True)


@nox.session(venv_backend="none")
def tasks(session: nox.Session) -> None:
    """Follow videos as tasks with Claude Code in a terminal."""
    _shared(session, "python -m tests.interop.clients.tasks")


@nox.session(venv_backend="none")
def card(session: nox.Session) -> None:
    """Show the card in a browser, in hosts that behave differently."""
    _shared(session, "python -m tests.interop.cards.run")


@nox.session(venv_backend="none")
def page(session: nox.Session) -> None:
    """Show the page at `/` in a browser, also behind nginx and under Apache."""
    _shared(session, "python -m tests.interop.pages.run")


@nox.session(venv_backend="none")
def signin(session: nox.Session) -> None:
    """Sign in with clients of other projects, and with a browser."""
    _shared(session, "python -m tests.interop.signin.run")


@nox.session(venv_backend="none")
def hosting(session: nox.Session) -> None:
    """Set up every host of docs/deploy as its page describes."""
    _shared(session, "python -m tests.interop.hosting.run")


@nox.session(venv_backend="none")
def container(session: nox.Session) -> None:
    """Build the image of the Dockerfile and run it, without Docker."""
    _shared(session, "python -m tests.interop.containers.run")


@nox.session(venv_backend="none")
def fleet(session: nox.Session) -> None:
    """Run three instances behind haproxy, and replace one under load."""
    _shared(session, "python -m tests.interop.fleet.run")


@nox.session(venv_backend="none")
def installing(session: nox.Session) -> None:
    """Install the package with pip, pipx and uv, and start its command."""
    _shared(session, "python -m tests.interop.installing.run")


@nox.session(venv_backend="none")
def metrics(session: nox.Session) -> None:
    """Scrape two workers with Prometheus, and fire each alert."""
    _shared(session, "python -m tests.interop.metrics.run")


@nox.session(venv_backend="none")
def listings(session: nox.Session) -> None:
    """Check the tools' definitions with the linter of a listing site."""
    _shared(session, "python -m tests.interop.listings.run")


@nox.session(venv_backend="none")
def live(session: nox.Session) -> None:
    """Run the variants of live tests that the suite leaves out."""
    _shared(session, "python -m pytest -m live")


@nox.session(venv_backend="none")
def fuzz(session: nox.Session) -> None:
    """Send malformed requests to a real server for two minutes."""
    _shared(session, "python -m tests.live.fuzz 120")


@nox.session(venv_backend="none", allow_parallel=False)
def load(session: nox.Session) -> None:
    """Put a real server under load, while no other session runs."""
    _shared(session, "python -m pytest -m load")


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist and the wheel, into dist/ or the folder after `--`."""
    _install(session, "dev")
    session.run("python", "-m", "build", "--outdir", *(session.posargs or ["dist"]))


def _install(session: nox.Session, extras: str) -> None:
    with _one_at_a_time():
        session.install("--quiet", "-r", str(REQUIREMENTS), "-e", f".[{extras}]")


def _in_clone(session: nox.Session, command: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        session.run("git", "clone", "--quiet", ".", folder, external=True)
        with session.chdir(folder):
            _run(session, "bash", "-euo", "pipefail", "-c", command)


def _shared(session: nox.Session, command: str) -> None:
    """Run a command in the shared environment, with the arguments after `--`. Install that environment if needed."""
    python, installed = SHARED / "bin" / "python", SHARED / "installed"
    with _one_at_a_time():
        changed = max(path.stat().st_mtime for path in (SETUP, REQUIREMENTS))
        if not installed.exists() or installed.stat().st_mtime < changed:
            session.run(sys.executable, "-m", "venv", str(SHARED), external=True)
            packages = ["-r", str(REQUIREMENTS), "-e", ".[interop,test]"]
            session.run(str(python), "-m", "pip", "install", "--quiet", *packages, external=True)
            installed.touch()
    _, *arguments = shlex.split(command)
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    _run(session, str(python), *arguments, *session.posargs, path=path)


def _run(session: nox.Session, *command: str, path: str | None = None) -> None:
    """Run a program of a session. Without a terminal, it is ended at LIMIT, and its output appears at its end.

    SIGINT ends it, so its traceback names the line that hangs. The output goes to a file, because nox reads a pipe
    until every process has closed it, and waits forever for one that the program left behind.
    """
    env = {"PATH": path} if path else None
    if sys.stdout.isatty():
        session.run(*command, env=env, external=True)
        return
    limited = ["timeout", "--signal=INT", "--kill-after=60", str(LIMIT), *command]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        try:
            session.run(*limited, env=env, external=True, stdout=output, stderr=subprocess.STDOUT)
        finally:
            output.seek(0)
            sys.stdout.write(output.read())
            sys.stdout.flush()


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Wait for installations of other sessions, because all of them write `scenext_service.egg-info`."""
    SHARED.parent.mkdir(exist_ok=True)
    with (SHARED.parent / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
