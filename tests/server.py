"""A real gunicorn with the shipped configuration, on a free loopback port, for the tests that need one."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parent.parent
_SETTINGS = ("SCENEXT_", "GUNICORN_", "PROMETHEUS_")  # variables that are the test's to set

START_TIMEOUT = 30.0  # seconds
STOP_TIMEOUT = 40.0  # seconds


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
def running(directory: Path, environ: Mapping[str, str] | None = None, app: str = "wsgi:app") -> Iterator[Server]:
    """Run gunicorn as the Procfile does, on loopback, with its output in `directory`; end it, by force if need be."""
    port = free_port()
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)},
        "SCENEXT_SANDBOX": "1",
        "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port}",
        **(environ or {}),
    }
    with (directory / "gunicorn.log").open("w+b") as output:
        command = [sys.executable, "-m", "gunicorn", app]
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)
        server = Server(process, port, output)
        try:
            _wait_until_listening(server)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_listening(server: Server) -> None:
    end = time.monotonic() + START_TIMEOUT
    while True:
        try:
            server.connect().close()
        except ConnectionRefusedError:
            assert server.process.poll() is None, server.output()
            assert time.monotonic() < end, server.output()
            time.sleep(0.05)
        else:
            return
