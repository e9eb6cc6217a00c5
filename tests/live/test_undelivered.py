"""Jobs started for clients that have disconnected, under a real gunicorn: log line, task id and counter."""

import re
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

from tests.interop.hosting.pages import Pages
from tests.support.messages import BEARER, KEY
from tests.support.server import Server, running, wait_until
from tests.support.upstream import Upstream, answer

CLASSES = [
    pytest.param("", id="shipped configuration", marks=pytest.mark.live),
    pytest.param("-k gthread", id="gthread", marks=pytest.mark.live),
    pytest.param("-k sync --threads 1", id="sync", marks=pytest.mark.live),
    pytest.param("--config {directory}/gunicorn.gevent.py", id="gevent, from docs/deploy", marks=pytest.mark.live),
]

CALL = {"name": "gen_video", "arguments": {"question": "1+1"}}
MESSAGE: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": CALL}
BODY = orjson.dumps(MESSAGE)
HEADERS = ("Host: x", f"X-API-Key: {KEY}", "Content-Type: application/json", f"Content-Length: {len(BODY)}")
REQUEST = "\r\n".join(["POST /mcp HTTP/1.1", *HEADERS, "", ""]).encode() + BODY
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on with timeout 0: closing the socket resets the connection


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as started:
        yield started


def lines(server: Server) -> list[dict[str, str]]:
    """Return the fields of each log line of gen_video."""
    written = [line for line in server.output().splitlines() if " tool=gen_video " in line]
    return [{name: value.strip('"') for name, value in re.findall(r'(\w+)=("[^"]*"|\S+)', line)} for line in written]


def essence(fields: dict[str, str]) -> dict[str, str]:
    names = ("level", "status", "task_id", "key", "outcome", "reason")
    return {name: fields[name] for name in names if name in fields}


DELIVERED = {"level": "info", "status": "200", "task_id": "12345", "key": "caller", "outcome": "ok"}
LOST = {
    **DELIVERED,
    "level": "warning",
    "status": "499",
    "outcome": "cancelled",
    "reason": "client disconnected, job undelivered",
}


def post(server: Server, timeout: float) -> requests.Response:
    return requests.post(f"{server.url}/mcp", json=MESSAGE, headers=BEARER, timeout=timeout)


@pytest.mark.parametrize("arguments", CLASSES)
def test_an_undelivered_job_is_logged_after_a_client_timeout(
    arguments: str, upstream: Upstream, tmp_path: Path
) -> None:
    """Ours: the client times out after 1 s, before Scenext responds; the paid job is not cancelled."""
    (tmp_path / "gunicorn.gevent.py").write_text(Pages().file("server.md", "gunicorn.gevent.py"), encoding="utf-8")
    environ = {**upstream.environ("hold"), "WEB_CONCURRENCY": "1"}
    with running(tmp_path, environ, arguments=arguments.format(directory=tmp_path)) as server:
        with pytest.raises(requests.Timeout):
            post(server, 1.0)
        upstream.let_go.set()
        wait_until(lambda: len(lines(server)) == 1)
        assert post(server, 30.0).json()["result"]["structuredContent"]["task_id"] == "12345"
        wait_until(lambda: len(lines(server)) == 2)
        found = lines(server)
    assert [essence(fields) for fields in found] == [LOST, DELIVERED]
    assert [request.method for request in upstream.requests] == ["POST", "POST"]


def test_a_job_is_counted_as_undelivered_after_a_connection_reset(upstream: Upstream, tmp_path: Path) -> None:
    """Ours: a killed client process resets its connection; each job is counted once, across all workers."""
    with running(tmp_path, {**upstream.environ("hold"), "SCENEXT_METRICS": "1"}) as server:
        assert count(server) == 0.0
        for _ in range(3):
            with server.connect() as sock:
                sock.sendall(REQUEST)
                assert upstream.arrived.acquire(timeout=10)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        upstream.let_go.set()
        wait_until(lambda: len(lines(server)) == 3)
        assert post(server, 30.0).status_code == 200
        wait_until(lambda: len(lines(server)) == 4)
        assert count(server) == 3.0
        assert [essence(fields) for fields in lines(server)] == [LOST, LOST, LOST, DELIVERED]


def count(server: Server) -> float:
    """Return the number of undelivered jobs from /metrics, summed over its samples."""
    page = requests.get(f"{server.url}/metrics", timeout=30).text
    return sum(float(value) for value in re.findall(r"^scenext_jobs_undelivered_total (\S+)$", page, re.MULTILINE))


@pytest.mark.live
def test_a_partly_sent_response_counts_as_undelivered(upstream: Upstream, tmp_path: Path) -> None:
    """Ours: the client disconnects after the response has started and before its end."""
    data = {"task_id": "12345", "padding": "x" * 3_000_000}  # larger than the socket buffers
    upstream.answers["big"] = answer(200, orjson.dumps({"status": "success", "data": data}))
    with running(tmp_path, {**upstream.environ("big"), "WEB_CONCURRENCY": "1"}) as server:
        with server.connect() as sock:
            sock.sendall(REQUEST)
            assert sock.recv(12) == b"HTTP/1.1 200"
            assert lines(server) == []
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        wait_until(lambda: len(lines(server)) == 1)
        assert essence(lines(server)[0]) == LOST


def test_a_half_closed_client_still_gets_its_response(upstream: Upstream, tmp_path: Path) -> None:
    """Ours: HTTP allows half-closed connections; the log reports that the job may be undelivered."""
    with running(tmp_path, {**upstream.environ("hold"), "WEB_CONCURRENCY": "1"}) as server, server.connect() as sock:
        sock.sendall(REQUEST)
        assert upstream.arrived.acquire(timeout=10)
        sock.shutdown(socket.SHUT_WR)
        upstream.let_go.set()
        received, end = b"", time.monotonic() + 30
        while (piece := sock.recv(65536)) and time.monotonic() < end:
            received += piece
        wait_until(lambda: len(lines(server)) == 1)
        assert essence(lines(server)[0]) == LOST
    assert b'"structuredContent"' in received
