"""A deployment as the pages describe it: the checkout, its packages, and the processes started on them."""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.support import checkout
from tests.support.server import end_group, free_port

from .conversation import Secure, healthy
from .pages import Pages

HERE = Path(__file__).parent
START_TIMEOUT = 30.0  # seconds
STOP_TIMEOUT = 20.0  # seconds
COMMAND_TIMEOUT = 300  # seconds; uWSGI and mod_wsgi are compiled

# `prepare` skips these: Debian's packages are installed before the first host, and hosts run the rest in their own way.
_OWN_WAY = ("apt-get ", "cd ", ". ", "export ", "a2")

# Without PIP_USE_PEP517, Debian's pip compiles uWSGI and mod_wsgi again in every run.
_PIP = {"PIP_CONSTRAINT": str(HERE / "pins.txt"), "PIP_USE_PEP517": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

# The paths of the pages, and the folders of this run that replace them.
_PLACES = {
    "/srv/scenext_service": "code",
    "/home/YOU/scenext_service": "code",
    "/var/www": "www",
    "/etc/apache2": "apache",
    "/etc/nginx": "nginx",
}


class Ports(NamedTuple):
    """The ports of one host, which replace 80, 8000 and 3031 on the pages."""

    front: int
    app: int
    socket: int


class Running(NamedTuple):
    """A running command of a page, and the file with its output."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def children(self) -> set[str]:
        """Return the ids of its child processes."""
        pid = self.process.pid
        return set(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split())


def ports() -> Ports:
    """Return three ports that are currently free."""
    found: set[int] = set()
    while len(found) < len(Ports._fields):
        found.add(free_port())
    return Ports(*found)


class Site:
    """A folder that every user of this machine can read, with the code and a virtual environment in it."""

    def __init__(self, folder: Path, pages: Pages) -> None:
        folder.chmod(0o755)
        self.folder = folder
        self.pages = pages
        self.code = folder / "code"
        self.logs = folder / "logs"
        self._done: set[str] = set()
        for place in (self.code, self.logs, folder / "www", folder / "home"):
            place.mkdir()
        checkout.copy(self.code)

    def local(self, text: str, at: Ports | None = None) -> str:
        """Return the text of a page with this run's paths and ports in it."""
        for there, here in _PLACES.items():
            text = text.replace(there, str(self.folder / here))
        if at:
            text = re.sub(r"\b8000\b", str(at.app), text).replace(":3031", f":{at.socket}")
            text = re.sub(r"(?<=listen )80(?=[; ])|\*:80(?=>)", f"127.0.0.1:{at.front}", text)
            text = text.replace("listen [::]:80", f"listen [::1]:{at.front}")
        return text

    def environ(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of a host, without variables of the current user."""
        return {
            "PATH": f"{self.code}/.venv/bin:{self.folder}/npm/node_modules/.bin:{os.environ['PATH']}:/usr/sbin:/sbin",
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            **(variables or {}),
        }

    def write(self, name: str, text: str) -> Path:
        """Write a file of a page; its name is absolute or relative to the code."""
        path = self.code / self.local(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def prepare(self, lines: list[str]) -> None:
        """Run the commands of a page, each once for all hosts. Skips those that each host runs in its own way."""
        for line in lines:
            if line not in self._done and not line.startswith(_OWN_WAY):
                self.run(line)
                self._done.add(line)

    def run(self, line: str, variables: Mapping[str, str] | None = None) -> None:
        """Run one command of a page as the current user. Raises RuntimeError."""
        run = subprocess.run(
            ["bash", "-c", self.local(line)],
            cwd=self.code,
            env={**os.environ, **_PIP, **(variables or {})},
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
        if run.returncode:
            raise RuntimeError(f"{line}\n{run.stdout[-2000:]}{run.stderr[-2000:]}")

    def left_running(self) -> list[str]:
        """Return the commands of processes that still use this site a few seconds after a host was stopped."""
        end = time.monotonic() + STOP_TIMEOUT
        while (found := self._processes()) and time.monotonic() < end:
            time.sleep(0.1)
        return found

    def _processes(self) -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(self.folder) in command or str(self.folder) in str((process / "cwd").readlink()):
                    found.append(command)
        return found

    @contextmanager
    def running(self, command: str, log: str, variables: Mapping[str, str] | None = None) -> Iterator[Running]:
        """Run a command of a page in the foreground; at the end, stop it and all its child processes."""
        path = self.logs / log
        with path.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec env {command}"],
                cwd=self.code,
                env=self.environ(variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                yield Running(process, path)
            finally:
                end_group(process, STOP_TIMEOUT)


def wait_until_healthy(port: int, prefix: str, running: Running, secure: Secure | None = None) -> None:
    """Return once the service answers. Raises RuntimeError with the host's output."""
    end = time.monotonic() + START_TIMEOUT
    while not healthy(port, prefix, secure):
        if time.monotonic() > end:
            printed = running.log.read_text(encoding="utf-8", errors="replace")[-3000:]
            raise RuntimeError(f"not healthy after {START_TIMEOUT:g} seconds:\n{printed}")
        time.sleep(0.1)
