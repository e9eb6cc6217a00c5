"""Run haproxy and nginx with the configurations of `docs/scale.md`, and read how requests ended from haproxy's log.

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

from tests.interop.hosting import nginx
from tests.interop.hosting.pages import Pages
from tests.support import pages
from tests.support.server import free_port, wait_until

STOP_TIMEOUT = 20  # seconds

# haproxy 2.6 drops a line of its log when another of its threads is writing one (`fd_write_frag_line`). The checks
# need every line, so haproxy runs with a single thread here.
SINGLE_THREAD = "global\n    nbthread 1\n"

_LINE = re.compile(
    r"\] mcp scenext/(?P<server>\S+) \S+ (?P<status>-?\d+) \d+ - - (?P<state>\S{4}) "
    r"\d+/\d+/\d+/\d+/(?P<retries>\+?\d+) \d+/\d+ \{(?P<request_id>[^}|]*)\} \"(?P<method>\S+)"
)


class Route(NamedTuple):
    """The route of a request: its server, its status, how it ended, and the number of retries."""

    server: str
    status: int
    state: str
    retries: str


class Router(NamedTuple):
    """A running haproxy."""

    port: int
    log: Path

    def routes(self) -> dict[str, Route]:
        """Return the route of each request by its id."""
        found = _LINE.finditer(self.log.read_text(encoding="utf-8"))
        return {
            line["request_id"]: Route(line["server"], int(line["status"]), line["state"], line["retries"])
            for line in found
        }


def configuration(port: int, servers: Sequence[int], *, by_key: bool = False) -> str:
    """Return the page's configuration with these loopback ports instead of its addresses.

    With `by_key`, its backend is the one that sends all calls of a key to the same server.
    """
    text, backend = _page("haproxy")
    if by_key:
        text = text.partition("\nbackend scenext\n")[0] + f"\n{backend}"
    text, binds = re.subn(r"(?m)^( +bind) :80$", rf"\1 127.0.0.1:{port}", text)
    if binds != 1:
        raise RuntimeError(f"{binds} frontends on the page")
    return _local(text, servers)


def site_by_key(port: int, servers: Sequence[int]) -> str:
    """Return nginx's site from `docs/deploy/server.md` with the servers of `docs/scale.md`, at loopback ports."""
    (upstream,) = _page("nginx")
    site = Pages().file("server.md", nginx.SITE)
    server = "server {\n" + site.partition("\nserver {\n")[2]
    server = server.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("listen [::]:80;", "")
    return f"{_local(upstream, servers)}\n{server}"


def _page(language: str) -> list[str]:
    """Return the blocks of a language on the page."""
    return [block.text for block in pages.blocks(pages.page("docs/scale.md")) if block.language == language]


def _local(text: str, servers: Sequence[int]) -> str:
    """Replace the addresses of the servers with loopback ports."""
    addresses = iter(servers)
    text, found = re.subn(r"10\.0\.0\.\d:8000", lambda _: f"127.0.0.1:{next(addresses)}", text)
    if found != len(servers):
        raise RuntimeError(f"{found} servers on the page")
    return text


@contextmanager
def router(folder: Path, servers: Sequence[int], *, by_key: bool = False) -> Iterator[Router]:
    """Run haproxy in front of three servers. With `by_key`, it sends all calls of a key to the same server."""
    port = free_port()
    path, threads, log = folder / "haproxy.cfg", folder / "threads.cfg", folder / "haproxy.log"
    path.write_text(configuration(port, servers, by_key=by_key), encoding="utf-8")
    threads.write_text(SINGLE_THREAD, encoding="utf-8")
    with _running(["/usr/sbin/haproxy", "-db", "-f", str(path), "-f", str(threads)], log, port):
        yield Router(port, log)


@contextmanager
def nginx_by_key(folder: Path, servers: Sequence[int]) -> Iterator[int]:
    """Run nginx in front of three servers, each of which gets all calls of its keys; yield its port."""
    port = free_port()
    path = nginx.configure(folder, site_by_key(port, servers))
    with _running(["/usr/sbin/nginx", "-c", str(path)], folder / "nginx.log", port):
        yield port


@contextmanager
def _running(command: Sequence[str], log: Path, port: int) -> Iterator[None]:
    """Run a router in the foreground until the block ends. Raises RuntimeError if it does not start."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: process.poll() is not None or listens(port))
            if process.poll() is not None:
                raise RuntimeError(log.read_text(encoding="utf-8"))
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_TIMEOUT)


def listens(port: int) -> bool:
    """Return whether something listens on a loopback port."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
