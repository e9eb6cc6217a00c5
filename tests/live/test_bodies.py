"""Bodies that are expensive to parse, against a real gunicorn: they delay no other request and use little memory."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from tests.support.messages import KEY
from tests.support.server import Server, running, workers
from tests.support.upstream import MIB

pytestmark = pytest.mark.load

DELAY = 0.25  # seconds
GROWTH = 120 * 1024  # kB
ATTEMPTS = 3  # because the machine may be busy with other work

CALL = (
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"gen_video","arguments":{"question":"1","x":%b}}}'
)
DEAR = {
    "arrays": b"[" + b"[]," * (8 * MIB // 3 - 100) + b"[]]",
    "arrays-in-arguments": CALL % (b"[" + b"[]," * (8 * MIB // 3 - 100) + b"[]]"),
    "strings": CALL % (b"[" + b'"a",' * (8 * MIB // 4 - 100) + b'"a"]'),
    "members": CALL % (b'{"a":1' + b',"abcdef":1' * (8 * MIB // 11 - 100) + b"}"),
    "arrays-in-json-text": CALL.replace(b'"x"', b'"question_images"')
    % (b'"[' + b"[]," * (8 * MIB // 3 - 100) + b'[]]"'),
    "one-string": CALL % (b'"' + b"[,{" * (8 * MIB // 3 - 100) + b'"'),
    "as-many-as-allowed": CALL % (b"[" + b'{"a":1},' * 19_000 + b"1," * 80_000 + b'"' + b"A" * (7 * MIB) + b'"]'),
}


def post(port: int, body: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    try:
        connection.request("POST", "/mcp", body, headers)
        response = connection.getresponse()
        orjson.loads(response.read())
        return response.status
    finally:
        connection.close()


def memory(server: Server) -> int:
    """Return the worker's peak memory in kB."""
    (worker,) = workers(server)
    lines = Path(f"/proc/{worker}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


@contextmanager
def listing(server: Server) -> Iterator[list[float]]:
    """Call tools/list repeatedly in a thread; yield a growing list of the seconds that each call took."""
    durations: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.01):
            before = time.monotonic()
            assert post(server.port, b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}') == 200
            durations.append(time.monotonic() - before)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield durations
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("body", DEAR.values(), ids=DEAR)
def test_an_expensive_body_delays_no_other_request(tmp_path: Path, body: bytes) -> None:
    """Ours: the structure of a body is limited, as its size is, so it also uses little memory."""
    assert 7 * MIB < len(body) <= 8 * MIB
    for _ in range(ATTEMPTS):
        with running(tmp_path, {"WEB_CONCURRENCY": "1"}) as server:
            post(server.port, CALL % b"1")
            before = memory(server)
            with listing(server) as durations:
                assert post(server.port, body) in (200, 400)
            grown = memory(server) - before
        if max(durations) <= DELAY and grown <= GROWTH:
            return
    pytest.fail(f"{max(durations):.3f} s, {grown} kB")
