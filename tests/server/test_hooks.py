"""The effects of this service's gunicorn hooks and logger. Tests with real servers verify that gunicorn uses them."""

import gc
import json
import logging
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config

from scenext_service.server.gunicorn import hooks
from scenext_service.server.gunicorn.hooks import JsonLogger, LogfmtLogger


class Application:
    """A stand-in for gunicorn's application object and for the application. It records announcements."""

    def __init__(self, *, threads: int = 1000, worker_class: str = "gthread", preload_app: bool = True) -> None:
        self.announced: list[dict[str, Any]] = []
        self.threads: list[int] = []
        self.cfg = SimpleNamespace(
            workers=2,
            threads=threads,
            worker_class_str=worker_class,
            preload_app=preload_app,
            worker_connections=4000,
        )

    def wsgi(self) -> "Application":
        return self

    def use_threads(self, threads: int) -> None:
        self.threads.append(threads)

    def log_startup(self, **fields: Any) -> None:
        self.announced.append(fields)


def server(app: Application) -> Any:
    """Return a stand-in for gunicorn's master with the attributes that the hooks use."""
    warned: list[str] = []
    log = SimpleNamespace(warning=lambda text, *values: warned.append(text % values))
    return SimpleNamespace(
        app=app, cfg=app.cfg, LISTENERS=["http://127.0.0.1:8000", "http://[::1]:8000"], log=log, warned=warned
    )


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    """Return frozen objects to the garbage collector."""
    yield
    gc.unfreeze()


@pytest.mark.parametrize(
    ("worker_class", "preload_app", "refused"),
    [
        pytest.param("gthread", True, False, id="threads"),
        pytest.param("gevent", False, False, id="gevent as in docs/deploy"),
        pytest.param("gevent", True, True, id="gevent with preload_app"),
    ],
)
def test_gevent_with_preload_app_is_rejected(worker_class: str, preload_app: bool, refused: bool) -> None:
    """Ours: the sandbox and /healthz would work, but no HTTPS call to Scenext."""
    app = Application(worker_class=worker_class, preload_app=preload_app)
    with pytest.raises(SystemExit, match="preload_app must be False") if refused else nullcontext():
        hooks.on_starting(server(app))


def test_the_master_announces_the_service_and_freezes_objects() -> None:
    """Ours: once, with facts that only gunicorn knows. Frozen objects stay in shared memory."""
    app = Application()
    hooks.when_ready(server(app))
    endpoint = "http://127.0.0.1:8000/mcp http://[::1]:8000/mcp"
    assert app.announced == [{"endpoint": endpoint, "workers": 2, "threads": 1000}]
    assert gc.get_freeze_count() > 0


@pytest.mark.parametrize(
    ("worker_class", "threads"), [pytest.param("gthread", 300, id="threads"), pytest.param("gevent", 4000, id="gevent")]
)
@pytest.mark.usefixtures("sigterm")
def test_the_application_learns_the_thread_count_of_a_worker(worker_class: str, threads: int) -> None:
    """Ours: in the master, in each worker and after a reload. gevent has as many threads as connections."""
    app = Application(worker_class=worker_class, threads=300)
    hooks.when_ready(server(app))
    hooks.post_worker_init(SimpleNamespace(app=app, cfg=app.cfg, age=1))
    assert app.threads == [threads, threads]


def test_a_master_without_an_application_announces_nothing() -> None:
    """Ours: docs/deploy/server.md, gevent: each worker loads its own."""
    app = Application(preload_app=False)
    hooks.when_ready(server(app))
    assert (app.announced, app.threads) == ([], [])


def test_a_wrapped_application_is_not_announced() -> None:
    """Ours: the operator may add middleware."""
    app: Any = Application()
    app.wsgi = lambda: lambda environ, start_response: []
    hooks.when_ready(server(app))
    assert app.announced == []


@pytest.fixture
def sigterm(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Keep this process's signal handler unchanged, and record the one that is set instead."""
    found: dict[str, Any] = {"handler": lambda number, frame: found.setdefault("ended", number)}
    monkeypatch.setattr(signal, "getsignal", lambda number: found["handler"])
    monkeypatch.setattr(signal, "signal", lambda number, handler: found.update(handler=handler))
    monkeypatch.setattr(signal, "siginterrupt", lambda number, flag: None)
    return found


@pytest.mark.parametrize(
    ("preload_app", "age", "announced"),
    [
        pytest.param(True, 1, [], id="announced by the master"),
        pytest.param(False, 1, [{"workers": 2, "threads": None}], id="first gevent worker"),
        pytest.param(False, 2, [], id="second gevent worker"),
    ],
)
@pytest.mark.usefixtures("sigterm")
def test_only_the_first_worker_announces_the_service(
    preload_app: bool, age: int, announced: list[dict[str, Any]]
) -> None:
    """Ours: one line per service, not one per worker."""
    app = Application(worker_class="gevent", preload_app=preload_app)
    hooks.post_worker_init(SimpleNamespace(app=app, cfg=app.cfg, age=age))
    assert app.announced == announced


def test_sigterm_ends_waiting_calls_and_then_the_worker(sigterm: dict[str, Any]) -> None:
    """Ours: waiting calls would last up to 900 s."""
    stopped: list[bool] = []
    app: Any = Application()
    app.stop = lambda: stopped.append("ended" not in sigterm)
    hooks.post_worker_init(SimpleNamespace(app=app, cfg=app.cfg, age=1))
    sigterm["handler"](15, None)
    assert (stopped, sigterm["ended"]) == ([True], 15)


def test_a_wrapped_application_keeps_the_handler_of_gunicorn(sigterm: dict[str, Any]) -> None:
    """Ours: the operator may add middleware. An error in the handler would prevent a graceful shutdown."""
    app: Any = Application()
    app.wsgi = lambda: lambda environ, start_response: []
    before = sigterm["handler"]
    hooks.post_worker_init(SimpleNamespace(app=app, cfg=app.cfg, age=1))
    assert sigterm["handler"] is before


def test_the_gauge_of_an_ended_worker_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: after `kill -9` of a worker, its slots must not remain in use."""
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
            ["python", "/x/gunicorn/__main__.py", "-w", "1"],
            ["python", "-m", "gunicorn", "-w", "1"],
            id="python -m gunicorn",
        ),
        pytest.param(["python", "/x/bin/gunicorn", "a:b"], ["python", "/x/bin/gunicorn", "a:b"], id="gunicorn command"),
    ],
)
def test_gunicorn_is_reexecuted_as_it_was_started(args: list[str], after: list[str]) -> None:
    """Ours: gunicorn 27.0.1 runs the file of `python -m gunicorn`, next to which `http` is gunicorn's own package."""
    master = SimpleNamespace(START_CTX={"args": args})
    hooks.pre_exec(master)
    assert master.START_CTX["args"] == after


# gunicorn's logger


@contextmanager
def error_log() -> Iterator[logging.Logger]:
    """Yield gunicorn's process-wide error logger without pytest's handlers, and restore it afterwards."""
    log = logging.getLogger("gunicorn.error")
    before = (log.handlers[:], log.level, log.propagate)
    log.handlers.clear()
    try:
        yield log
    finally:
        log.handlers[:], log.level, log.propagate = before


LINE = r'ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=%s msg="Listening at: \\"x\\n\\""\n'


def test_gunicorn_lines_have_our_logfmt_format(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: one format for all lines of the process, and the same streams."""
    with error_log():
        logger = LogfmtLogger(Config())
        logger.info('Listening at: "%s"', "x\n")
        logger.warning('Listening at: "%s"', "x\n")
    written = capsys.readouterr()
    assert re.fullmatch(LINE % "info", written.out)
    assert re.fullmatch(LINE % "warning", written.err)


def test_gunicorn_lines_can_be_json_objects(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: SCENEXT_LOG_FORMAT=json applies to every line of the process."""
    with error_log():
        JsonLogger(Config()).info('Listening at: "%s"', "x\n")
    line = json.loads(capsys.readouterr().out)
    assert (line["severity"], line["message"]) == ("INFO", 'Listening at: "x\n"')


def test_a_reload_does_not_duplicate_gunicorn_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Spec: gunicorn 27.0.1, `glogging.Logger.setup`, which a reload calls again."""
    with error_log():
        logger = LogfmtLogger(Config())
        logger.setup(Config())
        logger.info("once")
    assert capsys.readouterr().out.count("msg=once\n") == 1


def test_the_errorlog_file_receives_all_gunicorn_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Spec: gunicorn's manual, "errorlog"."""
    config = Config()
    config.set("errorlog", str(tmp_path / "error.log"))
    with error_log() as log:
        logger = LogfmtLogger(config)
        logger.info("first")
        logger.error("second")
        for handler in log.handlers:
            handler.close()
    lines = (tmp_path / "error.log").read_text(encoding="utf-8").splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["level=info msg=first", "level=error msg=second"]
    assert capsys.readouterr() == ("", "")
