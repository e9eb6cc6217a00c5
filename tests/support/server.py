"""Run a real gunicorn with the shipped configuration on a free loopback port."""

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

# Prefixes of variables that only tests set. Coverage is measured in the processes of the tests, not in the servers.
_SETTINGS = ("SCENEXT_", "GUNICORN_", "PROMETHEUS_", "COVERAGE_")

START_TIMEOUT = 30.0  # seconds
STOP_TIMEOUT = 40.0  # seconds

GUNICORN = (sys.executable, "-m", "gunicorn")


class Server:
    """A running gunicorn with its port and its output."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, output: IO[bytes], errors: IO[bytes]) -> None:
        self.process = process
        self.port = port
        self._output = output
        self._errors = errors

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def output(self) -> str:
        """Return the output so far, from both streams unless they are kept apart."""
        self._output.seek(0)
        return self._output.read().decode()

    def errors(self) -> str:
        """Return the output so far on stderr, if the streams are kept apart."""
        self._errors.seek(0)
        return self._errors.read().decode()

    def connect(self) -> socket.socket:
        """Open a raw connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def stop(self) -> tuple[int, float]:
        """Stop gunicorn with SIGTERM; return its exit status and the seconds that the stop took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT), time.monotonic() - started


def free_port() -> int:
    """Return a port on which nothing listens now."""
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
    apart: bool = False,
) -> Iterator[Server]:
    """Run gunicorn as the Procfile does, on loopback, with its output in `directory`; stop it, by force if necessary.

    `ulimit` holds the arguments of the shell's `ulimit`, which runs first. `arguments` are added to the command line.
    `program` replaces gunicorn, and `folder` is its working directory. `port` reuses a port instead of a free one.
    `apart` keeps stdout and stderr apart.
    """
    port = port or free_port()
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)},
        "SCENEXT_SANDBOX": "1",
        "PYTHONPATH": str(ROOT),  # for a `folder` other than ROOT
        "TMPDIR": str(directory),  # holds the memory of started jobs, which services of one user share
        "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port}",
        **(environ or {}),
    }
    for name in ("gunicorn.log", "gunicorn.err"):
        (directory / name).unlink(missing_ok=True)
    # gunicorn and the reader share a file position, and the reader seeks to the start while gunicorn writes. Append
    # mode makes every write go to the end.
    with (directory / "gunicorn.log").open("a+b") as output, (directory / "gunicorn.err").open("a+b") as errors:
        shell = ["bash", "-c", f'ulimit {ulimit} && exec "$@"', "bash"] if ulimit else []
        command = [*shell, *program, *arguments.split(), *app.split()]
        stderr = errors if apart else subprocess.STDOUT
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=stderr)
        server = Server(process, port, output, errors)
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
    """Wait until a condition is true; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def receive(sock: socket.socket) -> bytes:
    """Return the next bytes of a connection; fail if it has ended."""
    data = sock.recv(65536)
    assert data, "the connection has ended"
    return data


def end_group(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Stop the leader of a process group with SIGTERM; after `seconds` at most, kill the rest of the group."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def listening(server: Server) -> bool:
    """Return whether the server accepts connections; fail if it has exited."""
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
    """Return the ids of the running child processes of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def booted(server: Server, count: int = 2) -> bool:
    """Return whether every worker is running and handles signals."""
    return grown(server.process.pid, count)


def grown(pid: int, count: int = 2) -> bool:
    """Return whether every worker of a gunicorn master is running and handles signals.

    A newly forked worker still has the master's handlers, including one for SIGHUP (bit 0), and loses signals.
    """
    found = children(pid)
    statuses = [Path(f"/proc/{worker}/status").read_text(encoding="utf-8") for worker in found]
    caught = [int(status.partition("SigCgt:")[2].split()[0], 16) for status in statuses]
    return len(found) == count and not any(mask & 1 for mask in caught)
