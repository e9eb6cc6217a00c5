"""How the worker hands requests to its threads. test_hostile.py covers its effects on clients."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import ThreadWorker

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
    monkeypatch.setattr(ThreadWorker, "init_process", lambda self: began.append(self))
    worker.init_process()
    assert began == [worker]
    found = vars(worker.cfg)
    assert {name: found[name] for name in worker.cfg.settings} == {
        name: setting.get() for name, setting in worker.cfg.settings.items()
    }
    assert (found["threads"], worker.cfg.threads) == (2, 2)
