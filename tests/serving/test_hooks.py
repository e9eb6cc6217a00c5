"""What gunicorn's hooks of this service do; that gunicorn calls them is tested with real servers."""

import gc
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scenext_service.serving import hooks


class Application:
    """What gunicorn makes of an application, and the application: it notes what it has to announce."""

    def __init__(self, *, threads: int = 1000, worker_class: str = "gthread", preload_app: bool = True) -> None:
        self.announced: list[dict[str, Any]] = []
        self.cfg = SimpleNamespace(workers=2, threads=threads, worker_class_str=worker_class, preload_app=preload_app)

    def wsgi(self) -> "Application":
        return self

    def announce(self, **where: Any) -> None:
        self.announced.append(where)


def server(app: Application) -> Any:
    """Make as much of gunicorn's master as a hook looks at."""
    warned: list[str] = []
    log = SimpleNamespace(warning=lambda text, *values: warned.append(text % values))
    return SimpleNamespace(
        app=app, cfg=app.cfg, LISTENERS=["http://127.0.0.1:8000", "http://[::1]:8000"], log=log, warned=warned
    )


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    """Give what was frozen back to the garbage collector."""
    yield
    gc.unfreeze()


@pytest.mark.parametrize(
    ("worker_class", "preload_app", "refused"),
    [
        pytest.param("gthread", True, False, id="threads"),
        pytest.param("gevent", False, False, id="as docs/deploy has it"),
        pytest.param("gevent", True, True, id="gevent alone"),
    ],
)
def test_gevent_is_refused_where_no_https_call_would_work(worker_class: str, preload_app: bool, refused: bool) -> None:
    """Ours: the sandbox and /healthz would work, and no call of Scenext."""
    app = Application(worker_class=worker_class, preload_app=preload_app)
    with pytest.raises(SystemExit, match="preload_app must be False") if refused else nullcontext():
        hooks.on_starting(server(app))


def test_the_master_says_what_runs_and_shares_its_memory() -> None:
    """Ours: once, with what only gunicorn knows."""
    app = Application()
    hooks.when_ready(server(app))
    endpoint = "http://127.0.0.1:8000/mcp http://[::1]:8000/mcp"
    assert app.announced == [{"endpoint": endpoint, "workers": 2, "threads": 1000}]
    assert gc.get_freeze_count() > 0


@pytest.mark.parametrize(
    ("slots", "worker_class", "warned"),
    [
        pytest.param("999", "gthread", [], id="below"),
        pytest.param("1000", "gthread", ["SCENEXT_UPSTREAM_SLOTS is not below the 1000 threads"], id="as many"),
        pytest.param("1000", "gevent", [], id="gevent has none"),
        pytest.param("", "gthread", [], id="not set"),
    ],
)
def test_slots_that_take_all_threads_are_warned_of(
    slots: str, worker_class: str, warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: README, "Configure"."""
    monkeypatch.setenv("SCENEXT_UPSTREAM_SLOTS", slots)
    master = server(Application(worker_class=worker_class))
    hooks.when_ready(master)
    assert master.warned == warned


def test_without_an_application_the_master_says_nothing() -> None:
    """Ours: docs/deploy/server.md, gevent: each worker loads its own."""
    app = Application(preload_app=False)
    hooks.when_ready(server(app))
    assert app.announced == []


def test_an_application_around_ours_says_nothing() -> None:
    """Ours: middleware of the operator's."""
    app: Any = Application()
    app.wsgi = lambda: lambda environ, start_response: []
    hooks.when_ready(server(app))
    assert app.announced == []


@pytest.fixture
def sigterm(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Keep the signal handler of this process."""
    found: dict[str, Any] = {"handler": lambda number, frame: found.setdefault("ended", number)}
    monkeypatch.setattr(signal, "getsignal", lambda number: found["handler"])
    monkeypatch.setattr(signal, "signal", lambda number, handler: found.update(handler=handler))
    monkeypatch.setattr(signal, "siginterrupt", lambda number, flag: None)
    return found


@pytest.mark.parametrize(
    ("preload_app", "age", "announced"),
    [
        pytest.param(True, 1, [], id="the master did"),
        pytest.param(False, 1, [{"workers": 2, "threads": None}], id="gevent's first"),
        pytest.param(False, 2, [], id="gevent's second"),
    ],
)
@pytest.mark.usefixtures("sigterm")
def test_one_worker_speaks_for_all(preload_app: bool, age: int, announced: list[dict[str, Any]]) -> None:
    """Ours: one line for the service, not for each worker."""
    app = Application(worker_class="gevent", preload_app=preload_app)
    hooks.post_worker_init(SimpleNamespace(app=app, cfg=app.cfg, age=age))
    assert app.announced == announced


def test_sigterm_ends_the_calls_that_wait_and_then_the_worker(sigterm: dict[str, Any]) -> None:
    """Ours: they would last up to 900 s."""
    stopped: list[bool] = []
    app: Any = Application()
    app.stop = lambda: stopped.append("ended" not in sigterm)
    hooks.post_worker_init(SimpleNamespace(app=app, cfg=app.cfg, age=1))
    sigterm["handler"](15, None)
    assert (stopped, sigterm["ended"]) == ([True], 15)


def test_a_worker_that_ends_takes_its_gauge_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: `kill -9` of a worker must not leave its slots in use for ever."""
    gauge = tmp_path / "gauge_livesum_4711.db"
    gauge.write_bytes(b"")
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    hooks.child_exit(None, SimpleNamespace(pid=4711))
    assert gauge.exists()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    hooks.child_exit(None, SimpleNamespace(pid=4711))
    assert not gauge.exists()


@pytest.mark.parametrize(
    ("args", "after"),
    [
        pytest.param(
            ["python", "/x/gunicorn/__main__.py", "-w", "1"], ["python", "-m", "gunicorn", "-w", "1"], id="-m"
        ),
        pytest.param(["python", "/x/bin/gunicorn", "a:b"], ["python", "/x/bin/gunicorn", "a:b"], id="the command"),
    ],
)
def test_gunicorn_is_run_again_as_what_it_was(args: list[str], after: list[str]) -> None:
    """Ours: gunicorn 27.0.1 runs the file of `python -m gunicorn`, beside which `http` is its own."""
    master = SimpleNamespace(START_CTX={"args": args})
    hooks.pre_exec(master)
    assert master.START_CTX["args"] == after
