"""Install the service as a package in each way that provides the command `scenext-service`, and start it elsewhere.

    python -m tests.interop.installing.run [WORD ...]

Clones this repository and installs from the clone's folder and from its git URL with pip, pipx and uv, each into its
own folder. Runs the command in an empty folder: `--version`, `--check` in the sandbox, and the service, which has one
conversation of `tests/interop/hosting` and serves its page. Exits with status 1 if anything differs. With words, runs
only the installations whose names contain one of them. Uncommitted changes are not installed.

Needs git.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from scenext_service import __version__
from tests.interop.hosting.conversation import OK, Talk, converse, healthy
from tests.support.pages import ROOT
from tests.support.server import free_port, wait_until

HERE = Path(__file__).parent
TIMEOUT = 300  # seconds for a command that installs
COMMAND = "scenext-service"


class Place(NamedTuple):
    """The source and the target folder of one installation; `tools` is the environment with pipx and uv."""

    source: str
    tools: Path
    folder: Path


def run(*command: str | Path, cwd: Path, environ: Mapping[str, str] | None = None) -> str:
    """Run a command and return its output. Raises RuntimeError."""
    env = {**clean(), **(environ or {})}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def clean() -> dict[str, str]:
    """Return an environment without this checkout's virtual environment and settings."""
    others = ("SCENEXT_", "GUNICORN_", "PYTHON", "VIRTUAL_ENV", "PORT", "WEB_CONCURRENCY")
    return {name: value for name, value in os.environ.items() if not name.startswith(others)}


def pip(place: Place) -> Path:
    """Install with pip into a virtual environment."""
    run(sys.executable, "-m", "venv", place.folder, cwd=place.tools)
    run(place.folder / "bin" / "pip", "install", "--quiet", place.source, cwd=place.tools)
    return place.folder / "bin" / COMMAND


def pipx(place: Place) -> Path:
    """Install with pipx: a virtual environment and a link to its command."""
    bin_ = place.folder / "bin"
    environ = {"PIPX_HOME": str(place.folder), "PIPX_BIN_DIR": str(bin_), "PIPX_MAN_DIR": str(place.folder / "man")}
    run(place.tools / "bin" / "pipx", "install", "--quiet", place.source, cwd=place.tools, environ=environ)
    return bin_ / COMMAND


def uv(place: Place) -> Path:
    """Install with `uv tool`."""
    bin_ = place.folder / "bin"
    environ = {"UV_TOOL_DIR": str(place.folder), "UV_TOOL_BIN_DIR": str(bin_)}
    install = ("tool", "install", "--quiet", "--python", sys.executable)
    run(place.tools / "bin" / "uv", *install, place.source, cwd=place.tools, environ=environ)
    return bin_ / COMMAND


WAYS: Mapping[str, Callable[[Place], Path]] = {"pip": pip, "pipx": pipx, "uv": uv}


def attempt(command: Path, elsewhere: Path) -> list[str]:
    """Run the command in each mode; return the problems."""
    wrong = []
    sandbox = {"SCENEXT_SANDBOX": "1"}
    if (output := run(command, "--version", cwd=elsewhere)) != f"scenext_service {__version__}\n":
        wrong.append(f"--version: {output}")
    if "\nok " not in (output := run(command, "--check", cwd=elsewhere, environ=sandbox)):
        wrong.append(f"--check: {output}")
    port = free_port()
    with (elsewhere / "log").open("w+b") as log:
        arguments = [str(command), "--bind", f"127.0.0.1:{port}"]
        server = subprocess.Popen(
            arguments, cwd=elsewhere, env={**clean(), **sandbox}, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            wait_until(lambda: healthy(port))
            wrong += [f"{step}: {outcome}" for step, outcome in converse(port).items() if outcome != OK]
            files = ("/", "/icon.svg", "/favicon.ico")
            wrong += [path for path in files if Talk("modern", port).send("GET", path).status != 200]
        finally:
            server.terminate()
            status = server.wait(TIMEOUT)
        log.seek(0)
        printed = log.read().decode()
    if status:
        wrong.append(f"status {status}")
    if printed.count(f" endpoint=http://127.0.0.1:{port}/mcp workers=2 threads=") != 1:
        wrong.append(printed)
    return wrong


def main(words: list[str]) -> None:
    """Clone, install, run and print the results."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="scenext-installing-") as folder:
        work = Path(folder)
        source, tools, elsewhere = (work / name for name in ("source", "tools", "elsewhere"))
        elsewhere.mkdir()
        run("git", "clone", "--quiet", ROOT, source, cwd=work)
        run(sys.executable, "-m", "venv", tools, cwd=work)
        run(tools / "bin" / "pip", "install", "--quiet", "-r", HERE / "pins.txt", cwd=work)
        for name, way in WAYS.items():
            for kind, where in {"folder": str(source), "git URL": f"git+file://{source}"}.items():
                title = f"{name}, {kind}"
                if words and not any(word in title for word in words):
                    continue
                started = time.monotonic()
                try:
                    wrong = attempt(way(Place(where, tools, work / f"{name}-{kind[:3]}")), elsewhere)
                except (AssertionError, OSError, RuntimeError) as error:
                    wrong = [str(error)]
                failed += bool(wrong)
                print(f"{time.monotonic() - started:6.1f} s  {title}: {'fails' if wrong else 'works'}", flush=True)
                for problem in wrong:
                    print(f"          {problem}", flush=True)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
