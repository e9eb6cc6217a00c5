"""How a worker accepts connections, also when there are more of them than descriptors and threads."""

import errno
import json
import re
import resource
import selectors
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from scenext_service.server.gunicorn import accepting
from scenext_service.server.gunicorn.worker import Worker
from tests.conftest import connected
from tests.support.messages import KEY
from tests.support.server import Server, running, wait_until, workers
from tests.support.upstream import Upstream

WARNING = 'msg="accept paused" reason="too many open files" retry_s=0.05'
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
CALL = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "gen_video", "arguments": {"question": "1 + 1?"}},
    }
).encode()
POST = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
POST += b"X-API-Key: %b\r\nContent-Length: %d\r\n\r\n%b" % (KEY.encode(), len(CALL), CALL)


@pytest.fixture
def listener(worker: Worker) -> Iterator[socket.socket]:
    """Return a listening socket from which `worker` accepts connections."""
    worker.poller = selectors.DefaultSelector()
    with socket.create_server(("127.0.0.1", 0)) as made:
        worker.sockets = [made]
        worker.set_accept_enabled(True)
        yield made
        while worker.pending_conns:
            worker.pending_conns.pop().close()
    worker.poller.close()


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Prevent this process from opening descriptors."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize(
    ("workers", "connections", "slept"),
    [
        pytest.param(2, 0, [0.0], id="no connections"),
        pytest.param(2, 4, [4 * accepting.ACCEPT_DELAY], id="some connections"),
        pytest.param(2, 900, [accepting.MAX_ACCEPT_DELAY], id="many connections"),
        pytest.param(1, 900, [], id="single worker"),
    ],
)
def test_a_worker_with_more_connections_accepts_later(
    worker: Worker,
    listener: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
    connections: int,
    slept: list[float],
) -> None:
    """Ours: 16 simultaneous connections all went to one of two workers in half of the trials."""
    times: list[float] = []
    monkeypatch.setattr(time, "sleep", times.append)
    worker.cfg.set("workers", workers)
    worker.nr_conns = connections
    worker.accept(listener)  # another worker accepted the connection
    assert (times, worker.nr_conns) == (slept, connections)


def test_a_silent_connection_does_not_occupy_a_thread(worker: Worker, listener: socket.socket) -> None:
    """Ours: gunicorn keeps it in a thread for 5 s, and then in its poller for 95 s."""
    submitted: list[object] = []
    worker.tpool = SimpleNamespace(submit=submitted.append)
    with socket.create_connection(listener.getsockname()) as client:
        worker.wait_for_and_dispatch_events(1.0)
        (conn,) = worker.pending_conns
        assert (submitted, worker.nr_conns) == ([], 1)
        assert 8.5 < conn.timeout - time.monotonic() <= 9
        client.sendall(GET)
        worker.wait_for_and_dispatch_events(1.0)
        assert (submitted, list(worker.pending_conns)) == ([conn], [])
        conn.close()


@pytest.mark.parametrize(
    ("alive", "seconds"), [pytest.param(True, 25, id="running"), pytest.param(False, 2, id="shutting down")]
)
def test_silent_connections_get_the_idle_timeout_at_shutdown(worker: Worker, alive: bool, seconds: float) -> None:
    """Ours: gunicorn would give them the whole `graceful_timeout`."""
    worker.alive = alive
    with connected(worker) as (_, silent), connected(worker) as (client, late):
        late.timeout, silent.timeout = time.monotonic() - 1, time.monotonic() + 25
        worker.pending_conns.extend([late, silent])
        worker.nr_conns = 2
        worker.poller = selectors.DefaultSelector()
        worker.murder_pending()
        worker.poller.close()
        assert (list(worker.pending_conns), worker.nr_conns) == ([silent], 1)
        assert seconds - 1 < silent.timeout - time.monotonic() <= seconds
        assert client.recv(1) == b""


def test_shutdown_accepts_the_backlog_and_refuses_new_connections(worker: Worker, listener: socket.socket) -> None:
    """Ours: gunicorn accepts and refuses nothing, then resets all. A router retries elsewhere if it is refused."""
    address = listener.getsockname()
    errors = [errno.ECONNABORTED]

    def accept() -> object:
        if errors:
            raise OSError(errors.pop(), "Software caused connection abort")
        return listener.accept()

    aborting = SimpleNamespace(accept=accept, getsockname=listener.getsockname, close=listener.close)
    with socket.create_connection(address), socket.create_connection(address):
        worker.set_accept_enabled(False)
        worker.alive, worker.sockets = False, [aborting]
        worker.set_accept_enabled(True)
        assert (len(worker.pending_conns), worker.nr_conns, worker.sockets) == (2, 2, [])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        assert list(worker.poller.get_map()) == [conn.sock.fileno() for conn in worker.pending_conns]


def test_shutdown_does_not_exceed_the_connection_limit(worker: Worker, listener: socket.socket) -> None:
    """Ours: the worker accepts no further connections from the backlog, and resets them."""
    with socket.create_connection(listener.getsockname()) as client:
        worker.alive, worker.worker_connections = False, 0
        worker.set_accept_enabled(False)
        assert (list(worker.pending_conns), worker.nr_conns) == ([], 0)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_worker_without_free_descriptors_pauses_accepting(
    worker: Worker, listener: socket.socket, lines: list[str]
) -> None:
    """Ours: gunicorn's worker dies with all its connections. This one warns once, and resumes as soon as it can."""
    with socket.create_connection(listener.getsockname()):
        with no_descriptors():
            for _ in range(2):
                worker.wait_for_and_dispatch_events(1.0)
                assert listener not in worker.poller.get_map()
                worker.set_accept_enabled(True)
                assert listener not in worker.poller.get_map()
                started = time.monotonic()
                worker.wait_for_and_dispatch_events(1.0)
                worker.wait_for_and_dispatch_events(1.0)
                assert time.monotonic() - started < 0.5
                worker.set_accept_enabled(True)
                assert listener in worker.poller.get_map()
        assert worker.nr_conns == 0
        worker.wait_for_and_dispatch_events(1.0)
        assert worker.nr_conns == 1
    assert [line.partition(" level=warning ")[2] for line in lines] == [WARNING]


def test_a_connection_that_the_poller_cannot_watch_is_closed(
    worker: Worker, listener: socket.socket, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spec: epoll_ctl(2), ENOSPC: the user has reached the limit of watches."""

    def register(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with socket.create_connection(listener.getsockname()) as client:
        with monkeypatch.context() as patch:
            patch.setattr(worker.poller, "register", register)
            worker.accept(listener)
        assert client.recv(1) == b""
    assert (worker.nr_conns, list(worker.pending_conns)) == (0, [])
    assert [line.partition(" level=warning ")[2] for line in lines] == [
        WARNING.replace("too many open files", "no space left on device")
    ]


def test_any_other_accept_error_ends_the_worker(worker: Worker, listener: socket.socket) -> None:
    """Ours: gunicorn starts a new worker; this one would fail again and again."""
    worker.poller.unregister(listener)
    listener.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        worker.accept(listener)


def ask(server: Server, raw: bytes, seconds: float = 10) -> bytes:
    """Send a request that closes the connection, and return everything that the server sends."""
    received = b""
    with server.connect() as connection:
        connection.settimeout(seconds)
        connection.sendall(raw)
        while data := connection.recv(65536):
            received += data
    return received


def silent(server: Server, count: int, stack: ExitStack) -> None:
    """Open connections without sending anything."""
    for _ in range(count):
        stack.enter_context(server.connect())


@pytest.mark.live
def test_silent_connections_do_not_block_other_requests(tmp_path: Path) -> None:
    """Ours: there are ten times as many as threads. In gunicorn's worker, each occupies a thread for 5 s."""
    environ = {"WEB_CONCURRENCY": "1"}
    with running(tmp_path, environ) as server, ExitStack() as opened:
        silent(server, 2_600, opened)
        started = time.monotonic()
        assert ask(server, GET).startswith(b"HTTP/1.1 200 ")
        assert time.monotonic() - started < 3


def descriptors(pid: int) -> int:
    """Return the number of descriptors that a process has open, or 0 if the process has ended."""
    folder = Path(f"/proc/{pid}/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def wait_until_idle(pid: int) -> None:
    """Wait until a process has not opened or closed descriptors for a while."""
    seen = [0]

    def idle() -> bool:
        seen.append(descriptors(pid))
        return len(seen) > 20 and len(set(seen[-20:])) == 1

    wait_until(idle)


@pytest.fixture
def scenext() -> Iterator[Upstream]:
    with Upstream() as started:
        yield started


@pytest.mark.live
def test_a_worker_survives_more_connections_than_descriptors(tmp_path: Path, scenext: Upstream) -> None:
    """Ours: 1,100 silent connections with `ulimit -n 1024`, while 20 jobs that cost points are being started."""
    environ = {**scenext.environ("hold"), "WEB_CONCURRENCY": "1"}
    with (
        running(tmp_path, environ, ulimit="-n 1024") as server,
        ThreadPoolExecutor(20) as callers,
        ExitStack() as opened,
    ):
        (worker,) = before = workers(server)
        calls = [callers.submit(ask, server, POST, 30) for _ in range(20)]
        for _ in calls:
            assert scenext.arrived.acquire(timeout=10)
        silent(server, 1_100, opened)
        wait_until_idle(worker)
        scenext.let_go.set()
        answers = [call.result() for call in calls]
        opened.close()
        assert ask(server, GET).startswith(b"HTTP/1.1 200 ")
        assert workers(server) == before
    assert [answer for answer in answers if b'"isError":false' not in answer] == []


@pytest.mark.live
def test_a_worker_out_of_descriptors_warns_once_and_recovers(tmp_path: Path, scenext: Upstream) -> None:
    """Ours: a process's limit may be lowered at run time, and other processes may exhaust the system's."""
    environ = {**scenext.environ("hold"), "WEB_CONCURRENCY": "1"}
    with running(tmp_path, environ) as server, ThreadPoolExecutor(2) as callers, ExitStack() as opened:
        (worker,) = before = workers(server)
        call = callers.submit(ask, server, POST)
        assert scenext.arrived.acquire(timeout=10)
        limits = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (descriptors(worker) + 3, limits[1]))
        silent(server, 20, opened)
        wait_until(lambda: WARNING in server.output())
        scenext.let_go.set()
        assert b'"isError":false' in call.result()
        late = callers.submit(ask, server, GET)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, limits)
        assert late.result().startswith(b"HTTP/1.1 200 ")
        assert workers(server) == before
        assert server.output().count(WARNING) == 1


def test_the_soft_descriptor_limit_is_raised_to_the_hard_limit(tmp_path: Path) -> None:
    """Ours: the soft limit is 1024 on most systems, for programs that use select()."""
    with running(tmp_path, ulimit="-S -n 512") as server:
        for worker in workers(server):
            text = Path(f"/proc/{worker}/limits").read_text(encoding="ascii")
            found = re.search(r"Max open files +(\d+) +(\d+)", text)
            assert found
            assert found[1] == found[2] != "512"
