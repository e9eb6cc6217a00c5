"""How the worker hands requests to its threads and sends responses. test_hostile.py covers its effects on clients."""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http import wsgi
from gunicorn.workers.gthread import ThreadWorker

from scenext_service.server.gunicorn import worker as worker_module
from scenext_service.server.gunicorn.worker import Worker

TIMEOUT = 10.0  # seconds for a thread, generous for a busy machine


class Service:
    """A simulated request handler: report the request's name and thread, then wait to be released."""

    def __init__(self) -> None:
        self.begun: queue.Queue[tuple[str, int]] = queue.Queue()
        self.done: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.go = threading.Semaphore(0)

    def handle(self, conn: str) -> bool:
        self.begun.put((conn, threading.get_ident()))
        assert self.go.acquire(timeout=TIMEOUT)
        if conn == "exit":
            raise SystemExit(3)
        return True

    def defer(self, finish: Any, conn: str, served: Any) -> None:
        self.done.put((conn, served.result() and not served.cancelled()))


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    for _ in range(10):
        made.go.release()


@pytest.fixture
def worker(service: Service, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """Return a worker with two threads whose requests are handled by `service`."""
    made = object.__new__(Worker)  # gunicorn's __init__ creates sockets and a temporary file
    made.cfg = Config()
    made.cfg.set("threads", 2)
    monkeypatch.setattr(made, "handle", service.handle)
    made.method_queue = service
    made.tpool = made.get_thread_pool()
    return made


def no_thread(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_an_idle_thread_serves_the_next_request(service: Service, worker: Worker) -> None:
    """Ours: a thread is started only if it is needed."""
    threads = set()
    for name in ("a", "b", "c"):
        worker.enqueue_req(name)
        threads.add(service.begun.get(timeout=TIMEOUT)[1])
        service.go.release()
        assert service.done.get(timeout=TIMEOUT) == (name, True)
    assert len(threads) == 1


def test_the_thread_limit_is_never_exceeded(service: Service, worker: Worker) -> None:
    """Ours: docs/configuration.md; a further request waits for the first free thread."""
    for name in ("a", "b", "c"):
        worker.enqueue_req(name)
    begun = [service.begun.get(timeout=TIMEOUT) for _ in range(2)]
    assert {name for name, _ in begun} == {"a", "b"}
    assert len({thread for _, thread in begun}) == 2
    with pytest.raises(queue.Empty):
        service.begun.get(timeout=0.05)
    service.go.release()
    name, thread = service.begun.get(timeout=TIMEOUT)
    assert (name, thread in {thread for _, thread in begun}) == ("c", True)


def test_a_request_waits_if_no_thread_can_be_started(
    service: Service, worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: gunicorn's worker dies with all its connections. Here, the next request tries again to start a thread."""
    worker.enqueue_req("a")
    first = service.begun.get(timeout=TIMEOUT)[1]
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        worker.enqueue_req("b")
    assert [(record.message, vars(record)["fields"]) for record in caplog.records] == [
        ("thread start failed", {"threads": 1, "limit": 2})
    ]
    service.go.release()
    assert service.begun.get(timeout=TIMEOUT) == ("b", first)
    worker.enqueue_req("c")
    name, second = service.begun.get(timeout=TIMEOUT)
    assert (name, second != first) == ("c", True)


def test_a_worker_that_cannot_start_any_thread_ends(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: gunicorn starts a new worker; this one could serve no request."""
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        worker.enqueue_req("a")


def test_a_thread_survives_an_exception_that_ends_a_request(
    service: Service, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: gunicorn does not catch SystemExit, and the connection would stay open for good."""
    worker.enqueue_req("exit")
    service.go.release()
    assert service.done.get(timeout=TIMEOUT) == ("exit", False)
    assert [record.message for record in caplog.records] == ["unhandled exception"]
    service.begun.get(timeout=TIMEOUT)
    worker.enqueue_req("b")
    service.go.release()
    assert service.done.get(timeout=TIMEOUT) == ("b", True)


def test_settings_are_plain_attributes_in_a_worker(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: gunicorn looks each up with a function call, dozens of times per request; a worker's never change."""
    began: list[Any] = []
    monkeypatch.setattr(wsgi, "Response", wsgi.Response)  # the worker replaces it
    monkeypatch.setattr(ThreadWorker, "init_process", lambda self: began.append(self))
    worker.init_process()
    assert began == [worker]
    found = vars(worker.cfg)
    assert {name: found[name] for name in worker.cfg.settings} == {
        name: setting.get() for name, setting in worker.cfg.settings.items()
    }
    assert (found["threads"], worker.cfg.threads) == (2, 2)


class Sent(list[bytes]):
    """A simulated socket: a list of the data of each write."""

    sendall = list.append


def respond(
    kind: type,
    parts: list[Any],
    *,
    method: str = "POST",
    version: tuple[int, int] = (1, 1),
    status: str = "200 OK",
    headers: tuple[tuple[str, str], ...] = (),
) -> list[list[bytes]]:
    """Send a response as gunicorn does. Return the data of each write, grouped by the call that wrote it."""
    request = SimpleNamespace(method=method, version=version, should_close=lambda: version < (1, 1))
    sock = Sent()
    response = kind(request, sock, Config())
    response.start_response(status, list(headers))
    groups = []
    for part in parts:
        with suppress(TypeError):
            response.write(part)
        groups.append(list(map(bytes, sock)))
        sock.clear()
    response.close()
    return [*groups, list(map(bytes, sock))]


LENGTH = (("Content-Type", "text/plain"), ("Content-Length", "4"))

RESPONSES: dict[str, dict[str, Any]] = {
    "one part": {"parts": [b"body"], "headers": LENGTH},
    "two parts": {"parts": [b"bo", b"dy"], "headers": LENGTH},
    "too long": {"parts": [b"body and more"], "headers": LENGTH},
    "too short": {"parts": [b"b"], "headers": LENGTH},
    "empty first part": {"parts": [b"", b"body"], "headers": LENGTH},
    "no part": {"parts": [], "headers": (("Content-Length", "0"),)},
    "chunked": {"parts": [b"bo", b"dy"]},
    "chunked, empty first part": {"parts": [b"", b"body"]},
    "chunked, no part": {"parts": []},
    "until the connection ends": {"parts": [b"bo", b"dy"], "version": (1, 0)},
    "HEAD": {"parts": [b"body"], "method": "HEAD", "headers": LENGTH},
    "status without a body": {"parts": [b""], "status": "204 No Content"},
    "upgrade": {"parts": [], "status": "101 Switching Protocols", "headers": (("Connection", "upgrade"),)},
    "text": {"parts": ["text"], "headers": LENGTH},
}


@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_sends_the_same_bytes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: each part of a body is sent at once, for streams too. Only the number of writes is lower."""
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.5)
    plain, ours = (respond(kind, **RESPONSES[name]) for kind in (wsgi.Response, worker_module.Response))
    assert [b"".join(group) for group in ours] == [b"".join(group) for group in plain]
    assert b"\r\nDate: Fri, 15 Jan 2027 08:00:00 GMT\r\n" in b"".join(b"".join(group) for group in ours)


def test_headers_and_body_are_sent_together() -> None:
    """Ours: gunicorn needs two system calls, and the first one wakes up a client that can do nothing yet."""
    assert [len(group) for group in respond(worker_module.Response, [b"body"], headers=LENGTH)] == [1, 0]
    assert [len(group) for group in respond(worker_module.Response, [b"bo", b"dy"])] == [1, 1, 1]


def test_the_date_is_formatted_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: all responses of a second have the same date."""
    worker_module._http_date.cache_clear()
    for now in (1_800_000_000.0, 1_800_000_000.9, 1_800_000_001.0):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        respond(worker_module.Response, [b"body"], headers=LENGTH)
    assert worker_module._http_date.cache_info()[:2] == (1, 2)


def test_a_failed_write_is_not_repeated() -> None:
    """Ours: the connection is lost, and gunicorn must not send an error on it."""

    class Closed(Sent):
        def sendall(self, data: Any) -> None:
            raise BrokenPipeError

    response = worker_module.Response(
        SimpleNamespace(method="POST", version=(1, 1), should_close=bool), sock := Closed(), Config()
    )
    response.start_response("200 OK", list(LENGTH))
    with pytest.raises(BrokenPipeError):
        response.write(b"body")
    assert (response.headers_sent, response.sock is sock) == (True, True)


def test_a_worker_uses_its_own_response(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: `wsgi.create` creates it."""
    monkeypatch.setattr(wsgi, "Response", wsgi.Response)
    monkeypatch.setattr(ThreadWorker, "init_process", lambda self: None)
    worker.init_process()
    assert wsgi.Response is worker_module.Response
