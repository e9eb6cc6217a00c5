"""How long a worker waits for a client: for the rest of a request, and for one that does not read its answer."""

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.workers.gthread import TConn, ThreadWorker

from scenext_service.serving import connections
from scenext_service.serving.worker import Worker
from tests.conftest import connected
from tests.support.messages import KEY
from tests.support.server import wait_until
from tests.support.upstream import CERTIFICATE

LIMIT = 0.3  # seconds for a request
STALL = 0.2  # seconds in which an answer must get on
SOON = 5.0  # seconds, generous for a machine that has other work

PING = b'{"jsonrpc":"2.0","id":"p","method":"ping"}'
HEAD = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n".encode()
SOUND = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(PING), PING)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
PONG = (200, {"jsonrpc": "2.0", "id": "p", "result": {}})
LATE = "Request Timeout: the body did not come to its end in time; nothing was started or charged"
NO_HEADERS = (408, {"error": "request_timeout"})
NO_BODY = (408, {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": LATE}})


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the limits be over soon."""
    monkeypatch.setattr(connections, "REQUEST", LIMIT)
    monkeypatch.setattr(connections, "WRITE", STALL)
    monkeypatch.setattr(connections, "TICK", STALL / 4)


@contextmanager
def meanwhile(do: Callable[[], Any]) -> Iterator[list[Any]]:
    """Do something in another thread; yield what comes of it, nothing where the connection broke."""
    results: list[Any] = []

    def run() -> None:
        with suppress(OSError):
            results.append(do())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield results
    thread.join(SOON)
    assert not thread.is_alive()


def drip(client: socket.socket, data: bytes) -> None:
    """Send a byte every 20 ms."""
    pause = threading.Event()
    for byte in data:
        client.sendall(bytes([byte]))
        pause.wait(0.02)


def answer(client: socket.socket) -> tuple[int, Any]:
    """Read the one answer that a connection ends with."""
    received = b""
    while data := client.recv(65536):
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"\r\nConnection: close" in head
    return int(head.split()[1]), json.loads(body)


LATE_REQUESTS = [
    pytest.param(b"P", b"A" * 99, NO_HEADERS, id="a-byte"),
    pytest.param(b"\r\n", b"A" * 99, NO_HEADERS, id="blank-line"),
    pytest.param(HEAD[:20], b"A" * 99, NO_HEADERS, id="request-line"),
    pytest.param(HEAD, b"X: 1\r\n" * 20, NO_HEADERS, id="headers"),
    pytest.param(SOUND[:-30], SOUND[-30:], NO_BODY, id="body"),
    pytest.param(CHUNKED, b"1" * 99, NO_BODY, id="chunks"),
    pytest.param(CHUNKED + b"99\r\n{", b"1" * 99, NO_BODY, id="chunk"),
]


@pytest.mark.parametrize(("sent", "rest", "expected"), LATE_REQUESTS)
@pytest.mark.parametrize("dripping", [False, True], ids=["stops", "drips"])
def test_a_request_that_is_not_whole_in_time_is_answered_408(
    worker: Worker, sent: bytes, rest: bytes, expected: tuple[int, Any], dripping: bool
) -> None:
    """Spec: RFC 9110, section 15.5.9. Ours: gunicorn gives it a thread for as long as its client likes."""
    with connected(worker, SOON) as (client, conn):
        client.sendall(sent)
        started = time.monotonic()
        with meanwhile(lambda: drip(client, rest if dripping else b"")), meanwhile(lambda: worker.handle(conn)) as kept:
            assert answer(client) == expected
            took = time.monotonic() - started
            client.close()
    assert kept == [False]
    assert LIMIT <= took < SOON


def test_each_request_of_a_connection_has_the_whole_time(worker: Worker) -> None:
    """Ours: a kept connection may be old."""
    with connected(worker, SOON) as (client, conn):
        end = time.monotonic() + 2 * LIMIT
        while time.monotonic() < end:
            client.sendall(SOUND[:-5])
            with meanwhile(lambda: drip(client, SOUND[-5:])):
                assert worker.handle(conn) is True
            received = b""
            while not received.endswith(b'"result":{}}'):
                received += client.recv(65536)


LOT = bytes(8 * 1024 * 1024)


@pytest.fixture
def talkative(worker: Worker) -> Worker:
    """Return a worker that answers with more than fits into any buffer between it and its client."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", str(len(LOT)))])
        return [LOT]

    worker.app.wsgi = lambda: application
    worker.load_wsgi()
    return worker


def test_a_client_that_does_not_read_is_given_up(talkative: Worker, caplog: pytest.LogCaptureFixture) -> None:
    """Ours: gunicorn gives it a thread, and the answer its memory, for as long as it likes."""
    with connected(talkative, SOON) as (client, conn):
        client.sendall(SOUND)
        started = time.monotonic()
        assert talkative.handle(conn) is False
        assert STALL <= time.monotonic() - started < connections.LINGER
        conn.close(graceful=True)
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: client.recv(65536), b""))
    assert caplog.messages == []


def test_a_client_that_reads_slowly_gets_its_whole_answer(talkative: Worker) -> None:
    """Ours: the limit is for an answer that does not get on; this one takes ten times as long."""
    pause = threading.Event()
    with connected(talkative, SOON) as (client, conn), meanwhile(lambda: talkative.handle(conn)) as kept:
        client.sendall(SOUND)
        received, end = 0, time.monotonic() + 10 * STALL
        while received < len(LOT):
            received += len(client.recv(65536))
            pause.wait(STALL / 4 if time.monotonic() < end else 0)
        assert time.monotonic() > end
    assert kept == [True]


def test_a_socket_that_does_not_block_says_at_once_that_it_would(worker: Worker) -> None:
    """Ours: gunicorn's `write_nonblock`, with which a refusal is sent."""
    with connected(worker) as (_, conn):
        conn.sock.setblocking(False)
        started = time.monotonic()
        with pytest.raises(BlockingIOError):
            conn.sock.sendall(LOT)
        assert time.monotonic() - started < STALL


@contextmanager
def secured(worker: Worker) -> Iterator[tuple[ssl.SSLSocket, list[Any]]]:
    """Yield a client over gunicorn's own TLS, whose one request is being served, and what comes of that."""
    worker.cfg.set("certfile", str(CERTIFICATE))
    worker.cfg.set("keyfile", str(CERTIFICATE))
    context = ssl.create_default_context(cafile=str(CERTIFICATE))
    with (
        connected(worker, SOON) as (plain, conn),
        meanwhile(lambda: worker.handle(conn)) as kept,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        yield client, kept


@pytest.mark.parametrize(
    ("sent", "expected"),
    [pytest.param(HEAD, NO_HEADERS, id="headers"), pytest.param(SOUND[:-9], NO_BODY, id="body")],
)
def test_the_limits_hold_over_tls_too(worker: Worker, sent: bytes, expected: tuple[int, Any]) -> None:
    """Ours: but for its handshake."""
    with secured(worker) as (client, kept):
        client.sendall(sent)
        assert answer(client) == expected
    assert kept == [False]


def test_a_client_over_tls_that_does_not_read_is_given_up(talkative: Worker, caplog: pytest.LogCaptureFixture) -> None:
    """Ours: as without TLS."""
    with secured(talkative) as (client, kept):
        client.sendall(SOUND)
        wait_until(lambda: bool(kept), SOON)
    assert (kept, caplog.messages) == ([False], [])


def test_a_connection_that_goes_on_in_http_2_has_no_limits(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: its requests are side by side; gunicorn's HTTP/2 is off unless it is told to."""
    monkeypatch.setattr(ThreadWorker, "handle_h2c_upgrade", lambda self, conn, req, settings: False)
    with connected(worker) as (_, conn):
        conn.init()
        limits = [socket.SO_RCVTIMEO, socket.SO_SNDTIMEO]
        set_ = [struct.unpack("ll", conn.sock.getsockopt(socket.SOL_SOCKET, limit, 16)) for limit in limits]
        assert worker.handle_h2c_upgrade(conn, None, None) is False
        left = [struct.unpack("ll", conn.sock.getsockopt(socket.SOL_SOCKET, limit, 16)) for limit in limits]
    assert (0, 0) not in set_
    assert left == [(0, 0)] * 2


def test_a_connection_that_begins_in_http_2_is_left_to_gunicorn(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: it has a parser of another kind, and no body that the application may leave."""

    def init(self: TConn) -> None:
        self.initialized = self.is_http2 = True

    monkeypatch.setattr(TConn, "init", init)
    with connected(worker) as (_, conn):
        conn.init()
        assert conn.parser is None
    assert connections.read_to_its_end(SimpleNamespace(body=object()))
