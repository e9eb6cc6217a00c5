"""A real gunicorn with the shipped configuration, on a free loopback port, for the tests that need one."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .pages import ROOT

_SETTINGS = ("SCENEXT_", "GUNICORN_", "PROMETHEUS_")  # variables that are the test's to set

START_TIMEOUT = 30.0  # seconds
STOP_TIMEOUT = 40.0  # seconds

GUNICORN = (sys.executable, "-m", "gunicorn")


class Server:
    """A running gunicorn: where it listens, and what it printed."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, output: IO[bytes]) -> None:
        self.process = process
        self.port = port
        self._output = output

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def output(self) -> str:
        """Return what it has printed so far, on both streams."""
        self._output.seek(0)
        return self._output.read().decode()

    def connect(self) -> socket.socket:
        """Open a raw connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def stop(self) -> tuple[int, float]:
        """End it in an orderly way; return its exit status and the seconds that it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT), time.monotonic() - started


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(
    directory: Path,
    environ: Mapping[str, str] | None = None,
    app: str = "wsgi:app",
    ulimit: str = "",
    arguments: str = "",
    program: Sequence[str] = GUNICORN,
    folder: Path = ROOT,
    port: int | None = None,
) -> Iterator[Server]:
    """Run gunicorn as the Procfile does, on loopback, with its output in `directory`; end it, by force if need be.

    `ulimit` is what the shell's command of that name sets before, `arguments` what else stands on the command line.
    `program` is run in the place of gunicorn, `folder` is where. `port` is one on which another listened before.
    """
    port = port or free_port()
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)},
        "SCENEXT_SANDBOX": "1",
        "PYTHONPATH": str(ROOT),  # where `folder` is another
        "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port}",
        **(environ or {}),
    }
    (directory / "gunicorn.log").unlink(missing_ok=True)
    # For appending: its place in the file is also the reader's, who goes back to the beginning while it writes.
    with (directory / "gunicorn.log").open("a+b") as output:
        shell = ["bash", "-c", f'ulimit {ulimit} && exec "$@"', "bash"] if ulimit else []
        command = [*shell, *program, *arguments.split(), *app.split()]
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT)
        server = Server(process, port, output)
        try:
            wait_until(lambda: listening(server) and booted(server, int(env.get("WEB_CONCURRENCY") or 2)))
            yield server
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until(condition: Callable[[], bool], seconds: float = START_TIMEOUT) -> None:
    """Wait for something that must come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def end_group(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """End a process that leads a group of its own, and after so many seconds whatever it has left of that behind."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def listening(server: Server) -> bool:
    """Tell whether the server accepts connections; fails where it ended instead."""
    assert server.process.poll() is None, server.output()
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return False
    return True


def workers(server: Server) -> list[int]:
    """Return the process ids of the workers."""
    return children(server.process.pid)


def children(pid: int) -> list[int]:
    """Return the ids of the processes that a process has started, and that have not ended."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def booted(server: Server, count: int = 2) -> bool:
    """Tell whether every worker is there and listens to signals."""
    return grown(server.process.pid, count)


def grown(pid: int, count: int = 2) -> bool:
    """Tell whether every worker of gunicorn's first process is there and listens to signals.

    A worker that has just been forked still has the master's handlers, one of SIGHUP (bit 0) among them, and loses what
    is sent to it.
    """
    found = children(pid)
    statuses = [Path(f"/proc/{worker}/status").read_text(encoding="utf-8") for worker in found]
    caught = [int(status.partition("SigCgt:")[2].split()[0], 16) for status in statuses]
    return len(found) == count and not any(mask & 1 for mask in caught)
