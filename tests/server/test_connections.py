"""How long a worker waits for a client to complete its request, and to read the response."""

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

from scenext_service.server.gunicorn import connections
from scenext_service.server.gunicorn.worker import Worker
from tests.conftest import connected
from tests.support.messages import KEY
from tests.support.server import receive, wait_until
from tests.support.upstream import CERTIFICATE

REQUEST_LIMIT = 0.3  # seconds for a request
WRITE_LIMIT = 0.2  # seconds in which a response must make progress
TIMEOUT = 5.0  # seconds, generous for a busy machine

PING = b'{"jsonrpc":"2.0","id":"p","method":"ping"}'
HEAD = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n".encode()
COMPLETE = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(PING), PING)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
PONG = (200, {"jsonrpc": "2.0", "id": "p", "result": {}})
LATE = "Request Timeout: the body was not complete in time. Nothing was started or charged."
NO_HEADERS = (408, {"error": "request_timeout"})
NO_BODY = (408, {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": LATE}})


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the limits."""
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", REQUEST_LIMIT)
    monkeypatch.setattr(connections, "WRITE_TIMEOUT", WRITE_LIMIT)
    monkeypatch.setattr(connections, "SOCKET_TIMEOUT", WRITE_LIMIT / 4)


@contextmanager
def in_background(do: Callable[[], Any]) -> Iterator[list[Any]]:
    """Run a function in another thread. Yield a list for its result, which stays empty if the connection breaks."""
    results: list[Any] = []

    def run() -> None:
        with suppress(OSError):
            results.append(do())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield results
    thread.join(TIMEOUT)
    assert not thread.is_alive()


def send_slowly(client: socket.socket, data: bytes) -> None:
    """Send a byte every 20 ms."""
    pause = threading.Event()
    for byte in data:
        client.sendall(bytes([byte]))
        pause.wait(0.02)


def read_response(client: socket.socket) -> tuple[int, Any]:
    """Return the status and the decoded body of the response that ends a connection."""
    received = b""
    while data := client.recv(65536):
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"\r\nConnection: close" in head
    return int(head.split()[1]), json.loads(body)


LATE_REQUESTS = [
    pytest.param(b"P", b"A" * 99, NO_HEADERS, id="one byte"),
    pytest.param(b"\r\n", b"A" * 99, NO_HEADERS, id="empty line"),
    pytest.param(HEAD[:20], b"A" * 99, NO_HEADERS, id="request line"),
    pytest.param(HEAD, b"X: 1\r\n" * 20, NO_HEADERS, id="headers"),
    pytest.param(COMPLETE[:-30], COMPLETE[-30:], NO_BODY, id="body"),
    pytest.param(CHUNKED, b"1" * 99, NO_BODY, id="chunk size"),
    pytest.param(CHUNKED + b"99\r\n{", b"1" * 99, NO_BODY, id="chunk data"),
]


@pytest.mark.parametrize(("sent", "rest", "expected"), LATE_REQUESTS)
@pytest.mark.parametrize("slowly", [False, True], ids=["stops", "drips"])
def test_an_incomplete_request_times_out_with_408(
    worker: Worker, sent: bytes, rest: bytes, expected: tuple[int, Any], slowly: bool
) -> None:
    """Spec: RFC 9110, section 15.5.9. Ours: gunicorn reserves a thread for it for as long as the client likes."""
    with connected(worker, TIMEOUT) as (client, conn):
        client.sendall(sent)
        started = time.monotonic()
        with (
            in_background(lambda: send_slowly(client, rest if slowly else b"")),
            in_background(lambda: worker.handle(conn)) as results,
        ):
            assert read_response(client) == expected
            elapsed = time.monotonic() - started
            client.close()
    assert results == [False]
    assert REQUEST_LIMIT <= elapsed < TIMEOUT


def test_each_request_on_a_connection_has_the_full_time_limit(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a keep-alive connection may be old."""
    limit = 1.0  # seconds; on a busy machine, a request that drips takes longer than REQUEST_LIMIT
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", limit)
    with connected(worker, TIMEOUT) as (client, conn):
        end = time.monotonic() + 2 * limit
        while time.monotonic() < end:
            client.sendall(COMPLETE[:-5])
            with in_background(lambda: send_slowly(client, COMPLETE[-5:])):
                assert worker.handle(conn) is True
            received = b""
            while not received.endswith(b'"result":{}}'):
                received += receive(client)


LARGE_BODY = bytes(8 * 1024 * 1024)


@pytest.fixture
def large_response_worker(worker: Worker) -> Worker:
    """Return a worker whose responses exceed the buffers between it and its client."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", str(len(LARGE_BODY)))])
        return [LARGE_BODY]

    worker.app.wsgi = lambda: application
    worker.load_wsgi()
    return worker


def test_a_client_that_does_not_read_is_disconnected(
    large_response_worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: gunicorn reserves a thread and the memory of the response for as long as the client likes."""
    with connected(large_response_worker, TIMEOUT) as (client, conn):
        client.sendall(COMPLETE)
        started = time.monotonic()
        assert large_response_worker.handle(conn) is False
        assert WRITE_LIMIT <= time.monotonic() - started < connections.LINGER_TIMEOUT
        conn.close(graceful=True)
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: client.recv(65536), b""))
    assert caplog.messages == []


def test_a_client_that_reads_slowly_gets_the_whole_response(
    large_response_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: the limit applies to a response that makes no progress. This one takes five times as long."""
    limit = 0.6  # seconds; a busy machine may keep the client from reading for longer than WRITE_LIMIT
    monkeypatch.setattr(connections, "WRITE_TIMEOUT", limit)
    pause = threading.Event()
    with (
        connected(large_response_worker, TIMEOUT) as (client, conn),
        in_background(lambda: large_response_worker.handle(conn)) as results,
    ):
        client.sendall(COMPLETE)
        received, end = 0, time.monotonic() + 5 * limit
        while received < len(LARGE_BODY):
            received += len(receive(client))
            pause.wait(WRITE_LIMIT / 4 if time.monotonic() < end else 0)
        assert time.monotonic() > end
    assert results == [True]


def test_a_client_that_reads_too_slowly_is_disconnected(
    large_response_worker: Worker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: reading a few bytes now and then would occupy a thread for as long as the client likes."""
    monkeypatch.setattr(connections, "MIN_READ_RATE", 100 * len(LARGE_BODY))  # everything in 10 ms
    pause = threading.Event()
    with (
        connected(large_response_worker, TIMEOUT) as (client, conn),
        in_background(lambda: large_response_worker.handle(conn)) as results,
    ):
        client.sendall(COMPLETE)
        received = 0
        with suppress(ConnectionResetError):
            while data := client.recv(65536):
                received += len(data)
                pause.wait(WRITE_LIMIT / 4)
    assert (results, received < len(LARGE_BODY), caplog.messages) == ([False], True, [])


@pytest.mark.parametrize(
    ("fields", "whole", "status"),
    [
        pytest.param(7, True, 200, id="56 KiB"),
        pytest.param(10, True, 431, id="80 KiB"),
        pytest.param(10, False, 431, id="80 KiB, incomplete"),
        pytest.param(60, False, 431, id="480 KiB, incomplete"),
    ],
)
def test_the_total_size_of_request_headers_is_limited(worker: Worker, fields: int, whole: bool, status: int) -> None:
    """Spec: RFC 6585, section 5. Ours: gunicorn limits the number and size of fields, which allows 512 KiB."""
    long = b"".join(b"X-%d: %b\r\n" % (number, b"y" * 8000) for number in range(fields))
    with connected(worker, TIMEOUT) as (client, conn), in_background(lambda: worker.handle(conn)):
        with suppress(OSError):  # the request is rejected before its end
            client.sendall(HEAD + long + (b"Content-Length: %d\r\n\r\n%b" % (len(PING), PING) if whole else b""))
        assert int(client.recv(65536).split()[1]) == status
        client.close()


def test_a_body_does_not_count_towards_the_header_limit(worker: Worker) -> None:
    """Ours: the limit ends with the headers."""
    body = PING.ljust(100_000)
    with connected(worker, TIMEOUT) as (client, conn), in_background(lambda: worker.handle(conn)) as results:
        client.sendall(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        assert client.recv(65536).split()[1] == b"200"
    assert results == [True]


def test_a_nonblocking_socket_raises_blockingioerror_at_once(worker: Worker) -> None:
    """Ours: gunicorn's `write_nonblock` sends error responses in this mode."""
    with connected(worker) as (_, conn):
        conn.sock.setblocking(False)
        started = time.monotonic()
        with pytest.raises(BlockingIOError):
            conn.sock.sendall(LARGE_BODY)
        assert time.monotonic() - started < WRITE_LIMIT


@contextmanager
def secured(worker: Worker) -> Iterator[tuple[ssl.SSLSocket, list[Any]]]:
    """Yield a client over gunicorn's own TLS, whose only request is being served, and the list for its result."""
    worker.cfg.set("certfile", str(CERTIFICATE))
    worker.cfg.set("keyfile", str(CERTIFICATE))
    context = ssl.create_default_context(cafile=str(CERTIFICATE))
    with (
        connected(worker, TIMEOUT) as (plain, conn),
        in_background(lambda: worker.handle(conn)) as results,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        yield client, results


@pytest.mark.parametrize(
    ("sent", "expected"),
    [pytest.param(HEAD, NO_HEADERS, id="headers"), pytest.param(COMPLETE[:-9], NO_BODY, id="body")],
)
def test_the_limits_apply_over_tls(worker: Worker, sent: bytes, expected: tuple[int, Any]) -> None:
    """Ours: except for the handshake."""
    with secured(worker) as (client, results):
        client.sendall(sent)
        assert read_response(client) == expected
    assert results == [False]


def test_a_tls_client_that_does_not_read_is_disconnected(
    large_response_worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: as without TLS."""
    with secured(large_response_worker) as (client, results):
        client.sendall(COMPLETE)
        wait_until(lambda: bool(results), TIMEOUT)
    assert (results, caplog.messages) == ([False], [])


def test_a_connection_upgraded_to_http_2_has_no_limits(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: HTTP/2 multiplexes requests. gunicorn's HTTP/2 is off unless it is enabled."""
    monkeypatch.setattr(ThreadWorker, "handle_h2c_upgrade", lambda self, conn, req, settings: False)
    with connected(worker) as (_, conn):
        conn.init()
        limits = [socket.SO_RCVTIMEO, socket.SO_SNDTIMEO]
        set_ = [struct.unpack("ll", conn.sock.getsockopt(socket.SOL_SOCKET, limit, 16)) for limit in limits]
        assert worker.handle_h2c_upgrade(conn, None, None) is False
        timeouts = [struct.unpack("ll", conn.sock.getsockopt(socket.SOL_SOCKET, limit, 16)) for limit in limits]
    assert (0, 0) not in set_
    assert timeouts == [(0, 0)] * 2


def test_a_connection_started_in_http_2_is_left_to_gunicorn(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: it has a different kind of parser, and no body that the application could leave unread."""

    def init(self: TConn) -> None:
        self.initialized = self.is_http2 = True

    monkeypatch.setattr(TConn, "init", init)
    with connected(worker) as (_, conn):
        conn.init()
        assert conn.parser is None
    assert connections.drain_body(SimpleNamespace(body=object()))
