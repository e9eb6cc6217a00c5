"""haproxy with the configuration of `docs/scale.md`, and what its log says of each request.

Source: haproxy 2.6, configuration manual, "HTTP log format" and "Session state at disconnection".
"""

import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support import pages
from tests.support.server import free_port, wait_until

STOP_TIMEOUT = 20  # seconds

_LINE = re.compile(
    r"\] mcp scenext/(?P<server>\S+) \S+ (?P<status>-?\d+) \d+ - - (?P<state>\S{4}) "
    r"\d+/\d+/\d+/\d+/(?P<retries>\+?\d+) \d+/\d+ \{(?P<request_id>[^}|]*)\} \"(?P<method>\S+)"
)


class Route(NamedTuple):
    """What became of a request: where it was sent, its status, how it ended, and how often it was retried."""

    server: str
    status: int
    state: str
    retries: str


class Router(NamedTuple):
    """A haproxy that runs."""

    port: int
    log: Path

    def routes(self) -> dict[str, Route]:
        """Return what became of each request, by its id."""
        found = _LINE.finditer(self.log.read_text(encoding="utf-8"))
        return {
            line["request_id"]: Route(line["server"], int(line["status"]), line["state"], line["retries"])
            for line in found
        }


def configuration(port: int, servers: Sequence[int]) -> str:
    """Return the page's configuration with these ports of loopback in the place of its addresses."""
    (text,) = [block.text for block in pages.blocks(pages.page("docs/scale.md")) if block.language == "haproxy"]
    text, binds = re.subn(r"(?m)^( +bind) :80$", rf"\1 127.0.0.1:{port}", text)
    addresses = iter(servers)
    text, found = re.subn(r"10\.0\.0\.\d:8000", lambda _: f"127.0.0.1:{next(addresses)}", text)
    if (binds, found) != (1, len(servers)):
        raise RuntimeError(f"{binds} frontends and {found} servers on the page")
    return text


@contextmanager
def router(folder: Path, servers: Sequence[int]) -> Iterator[Router]:
    """Run haproxy in front of three servers."""
    port = free_port()
    path, log = folder / "haproxy.cfg", folder / "haproxy.log"
    path.write_text(configuration(port, servers), encoding="utf-8")
    with log.open("wb") as output:
        command = ["/usr/sbin/haproxy", "-db", "-f", str(path)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: process.poll() is not None or listens(port))
            if process.poll() is not None:
                raise RuntimeError(log.read_text(encoding="utf-8"))
            yield Router(port, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_TIMEOUT)


def listens(port: int) -> bool:
    """Tell whether something listens on a port of loopback."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
