"""Put a server under load: start it, send requests with wrk, and read its cost from the operating system."""

import http.client
import json
import os
import shutil
import signal
import socket
import string
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import servers
from servers import HERE, Server

START_TIMEOUT = 30.0  # seconds
STOP_TIMEOUT = 4.0  # seconds; then it is killed
TICK = 1e6 / os.sysconf("SC_CLK_TCK")  # microseconds
CONNECTIONS = 16

Figures = dict[str, float]


class WrongAnswer(Exception):
    """An answer that does not match the request. It invalidates the run."""


@dataclass(frozen=True)
class Cores:
    """The cores: one for the server, the other for the load and the upstream; or both for everything."""

    server: str
    load: str


@dataclass(frozen=True)
class Running:
    """A server that has given its first correct answer, `cold_start` seconds after its start."""

    server: Server
    pid: int
    port: int
    cores: Cores
    cold_start: float

    def cpu(self) -> int:
        """Return the CPU time of its processes in microseconds, in user and in system mode."""
        return round(sum(_ticks(pid) for pid in tree(self.pid)) * TICK)

    def switches(self) -> int:
        """Return the number of context switches of its threads."""
        return sum(_switches(pid) for pid in tree(self.pid))

    def memory(self) -> float:
        """Return the proportional set size of all its processes in MB."""
        return sum(_pss(pid) for pid in tree(self.pid)) / 1024

    def load(
        self, era: str, operation: str, seconds: int, connections: int = CONNECTIONS, *, keys: bool = False
    ) -> Figures:
        """Send the same request for some seconds, with `keys` each time with another key; return the figures.

        Raises WrongAnswer.
        """
        before, switched = self.cpu(), self.switches()
        message, marker = servers.message(era, operation), servers.MARKERS[operation]
        with wrk(self, message, marker, seconds, connections, keys=keys) as process:
            figures = _result(process, self.server.name)
        figures["cpu_us"] = (self.cpu() - before) / figures["right"]
        figures["switches"] = (self.switches() - switched) / figures["right"]
        return figures


@contextmanager
def running(server: Server, upstream: str, cores: Cores, directory: Path, *, logs: bool = False) -> Iterator[Running]:
    """Start a server, wait for its first correct answer, and stop it at the end."""
    port = free_port()
    arguments = ["taskset", "--cpu-list", cores.server, *server.arguments(port, logs=logs)]
    with (directory / "server.log").open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            arguments, cwd=server.folder, env=servers.environ(upstream, logs=logs), stdout=output, stderr=output
        )
        try:
            _first_answer(server, port, process, directory)
            yield Running(server, process.pid, port, cores, time.monotonic() - started)
        finally:
            stop(process)


@contextmanager
def wrk(
    target: Running,
    message: tuple[dict[str, str], str],
    marker: str,
    seconds: int,
    connections: int,
    *,
    keys: bool = False,
) -> Iterator["subprocess.Popen[str]"]:
    """Run wrk against a server with one request, repeatedly."""
    headers, body = message
    sent = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    command = ["taskset", "--cpu-list", target.cores.load, "wrk", "--threads", "1", "--timeout", "20s", *sent]
    command += ["--connections", str(connections), "--duration", f"{seconds}s", "--script", str(HERE / "load.lua")]
    environ = {**os.environ, "BODY": body, "MARKER": marker, **({"KEYS": "1"} if keys else {})}
    url = f"http://127.0.0.1:{target.port}{target.server.path}"
    process = subprocess.Popen([*command, url], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        stop(process)


@contextmanager
def fast_upstream(directory: Path, cores: str) -> Iterator[str]:
    """Run nginx as the upstream; yield its address."""
    port = free_port()
    template = string.Template((HERE / "nginx.conf").read_text())
    configuration = directory / "nginx.conf"
    configuration.write_text(template.substitute(directory=directory, port=port, answer=servers.UPSTREAM_ANSWER))
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx"
    command = ["taskset", "--cpu-list", cores, nginx, "-e", str(directory / "nginx.log"), "-c", str(configuration)]
    with _upstream(command, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def slow_upstream() -> Iterator[str]:
    """Run the slow upstream; yield its address."""
    port = free_port()
    command = [sys.executable, str(HERE / "slow_upstream.py"), str(port), servers.UPSTREAM_ANSWER]
    with _upstream(command, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _upstream(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, text=True)
    try:
        end = time.monotonic() + START_TIMEOUT
        while not _listening(port):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the upstream did not start: {command}")
            time.sleep(0.02)
        yield
    finally:
        stop(process)


def stop(process: "subprocess.Popen[Any]") -> None:
    """Terminate a child process, and kill what is left of its children."""
    children = tree(process.pid)[1:]
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in children:
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGKILL)


def free_port() -> int:
    """Return a port that is currently free."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def tree(pid: int) -> list[int]:
    """Return a process and all its descendants, or an empty list if it has exited."""
    try:
        children = [int(child) for task in _tasks(pid) for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(descendant for child in children for descendant in tree(child))]


def _tasks(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").iterdir())


def _ticks(pid: int) -> int:
    # The name in the second field may contain spaces and parentheses.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])  # utime, stime


def _switches(pid: int) -> int:
    lines = [line for task in _tasks(pid) for line in (task / "status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


def _pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _first_answer(server: Server, port: int, process: "subprocess.Popen[bytes]", directory: Path) -> None:
    operation = server.operations[0]
    headers, body = servers.message(server.eras[0], operation)
    end = time.monotonic() + START_TIMEOUT
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_TIMEOUT)
        try:
            connection.request("POST", server.path, body, headers)
            response = connection.getresponse()
            servers.check(operation, response.status, response.read().decode())
        except ConnectionError:
            if process.poll() is not None or time.monotonic() > end:
                log = (directory / "server.log").read_text(errors="replace")
                raise RuntimeError(f"{server.name} did not start:\n{log[-2000:]}") from None
            time.sleep(0.01)
        except ValueError as error:
            raise WrongAnswer(f"{server.name}: {error}") from error
        else:
            return
        finally:
            connection.close()


def _listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def _result(process: "subprocess.Popen[str]", name: str) -> Figures:
    output, errors = process.communicate(timeout=120)
    found = [line for line in output.splitlines() if line.startswith("RESULT ")]
    if not found:
        raise RuntimeError(f"wrk failed: {output}{errors}")
    figures: Figures = json.loads(found[0].removeprefix("RESULT "))
    if figures["wrong"] or figures["broken"] or not figures["right"]:
        raise WrongAnswer(f"{name}: {figures}: {errors}")
    figures["per_second"] = figures["right"] / figures["seconds"]
    return figures
