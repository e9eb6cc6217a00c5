"""More slow, silent and non-reading clients than there are threads, against a real gunicorn.

It has the shipped configuration, except that each worker has 256 threads instead of 1000. That is the number that a
limit of 1024 descriptors allows. With more threads, an attack takes more clients but works the same way.
"""

import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import orjson
import pytest

from scenext_service.server.gunicorn import accepting, connections
from tests.support.messages import KEY
from tests.support.server import Server, running, wait_until
from tests.support.upstream import JOB, Upstream, answer

pytestmark = pytest.mark.load

SLACK = 12.0  # seconds beyond a limit, generous because the machine may be busy with other work
PROMPT = 3.0  # seconds

LIST = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
CALL = {"name": "query_video_status", "arguments": {"task_id": "12345"}}
QUERY = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": CALL})
BLOB = "x" * 400_000  # a tool result contains it twice, as text and as structured content


def post(body: bytes, *headers: str) -> bytes:
    lines = ["POST /mcp HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"X-API-Key: {KEY}", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


@pytest.fixture
def scenext() -> Iterator[Upstream]:
    with Upstream() as started:
        data = {"status": "success", "data": {**JOB, "blob": BLOB}}
        started.answers["big"] = answer(200, orjson.dumps(data))
        yield started


def ask(server: Server, raw: bytes) -> float:
    """Send a request on a new connection; return the seconds until its response."""
    started = time.monotonic()
    with socket.create_connection(
        ("127.0.0.1", server.port), timeout=connections.REQUEST_TIMEOUT + 2 * SLACK
    ) as connection:
        connection.sendall(raw)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    return time.monotonic() - started


def silent(connection: socket.socket) -> None:
    """Send nothing."""


def slowly(connection: socket.socket) -> None:
    """Send only the beginning of a request."""
    connection.sendall(HEALTH[:40])


def deaf(connection: socket.socket) -> None:
    """Request a large response, and do not read it."""
    connection.sendall(post(QUERY))


def until_ended(attackers: list[socket.socket]) -> None:
    """Wait until the server has closed every connection. Send nothing, so that none of them makes progress."""
    for connection in attackers:
        with suppress(OSError):
            connection.settimeout(connections.REQUEST_TIMEOUT + 2 * SLACK)
            while connection.recv(65536):
                pass


@pytest.mark.parametrize(
    ("attack", "count", "limit"),
    [
        pytest.param(silent, 540, 0.0, id="540 silent clients"),
        pytest.param(slowly, 520, connections.REQUEST_TIMEOUT, id="520 slow clients"),
        pytest.param(deaf, 528, connections.WRITE_TIMEOUT, id="528 non-reading clients"),
    ],
)
def test_bad_clients_block_the_service_only_for_a_limited_time(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    scenext: Upstream,
    attack: Callable[[socket.socket], None],
    count: int,
    limit: float,
) -> None:
    """Ours: gunicorn waits without a limit for slow and non-reading clients; each silent one holds a thread for 5 s."""
    environ = {**scenext.environ("big"), "SCENEXT_UPSTREAM_SLOTS": "204"}
    with (
        running(tmp_path, environ, arguments="--threads 256") as server,
        ExitStack() as opened,
        ThreadPoolExecutor(4) as probes,
    ):
        attackers = []
        began = time.monotonic()
        for _ in range(count):
            connection = opened.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536
            )  # keeps the server's send buffer small too
            connection.connect(("127.0.0.1", server.port))
            attack(connection)
            attackers.append(connection)
            if attack is deaf and len(attackers) <= 400:  # keep the number in flight below the upstream slots
                wait_until(lambda: len(scenext.requests) > len(attackers) - 50)
        durations = [probes.submit(ask, server, raw) for raw in (HEALTH, post(LIST, "Connection: close")) * 2]
        longest = max(probe.result() for probe in durations)
        if attack is silent:
            until_ended(attackers)
            assert time.monotonic() - began < accepting.SILENT_TIMEOUT + SLACK
        assert max(ask(server, HEALTH) for _ in range(8)) < PROMPT
        printed = server.output()
    with capsys.disabled():
        sys.stdout.write(f"\n{count} that are {attack.__name__}: {longest:.1f} s without an answer\n")
    assert longest < limit + (SLACK if limit else PROMPT)
    assert "Traceback" not in printed
