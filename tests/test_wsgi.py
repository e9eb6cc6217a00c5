"""The WSGI entry points: the names of the application in each, and the result of a failed start."""

import ast
import importlib
import os
import runpy
import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client

from .support.messages import KEY
from .support.pages import ROOT

ENTRIES = ("wsgi.py", "passenger_wsgi.py", "gunicorn.conf.py", "-m scenext_service")
WITH_SETTINGS = "scenext_service.server.gunicorn.settings"
GUNICORN = "gunicorn.arbiter"


@pytest.fixture
def entry(bare: pytest.MonkeyPatch) -> Any:
    """Reload the entry point as if gunicorn and its settings were not imported."""
    for name in ("scenext_service.wsgi", WITH_SETTINGS, GUNICORN):
        bare.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("scenext_service.wsgi")
    bare.delitem(sys.modules, "scenext_service.wsgi")
    return module


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("name", ["wsgi", "passenger_wsgi"])
def test_an_entry_point_exports_the_application(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: `app` for gunicorn, `application` for mod_wsgi, uWSGI, Passenger and Elastic Beanstalk."""
    monkeypatch.syspath_prepend(ROOT)
    for module in ("wsgi", "passenger_wsgi"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    found = importlib.import_module(name)
    assert isinstance(found.application, Flask)
    assert found.application is importlib.import_module("wsgi").app


def run(entry: str, environ: dict[str, str], before: str = "") -> "subprocess.CompletedProcess[str]":
    """Run an entry point as a program, after the Python code in `before`."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("SCENEXT_")}
    start = f"runpy.run_module({entry[3:]!r}, run_name='__main__')" if entry[0] == "-" else f"runpy.run_path({entry!r})"
    program = f"import os, runpy, sys; sys.path[0] = os.getcwd(); sys.argv[1:] = []\n{before}\n{start}"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, env={**env, **environ}, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("entry_point", ENTRIES)
def test_an_older_python_is_rejected_before_an_import_fails(entry_point: str) -> None:
    """Ours: README, "Try it". Otherwise, Python 3.10 fails on an import, and its error names no version."""
    ended = run(entry_point, {}, "sys.version_info = (3, 10, 13, 'final', 0)")
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("scenext_service cannot start: Python 3.11 or newer is required; this is ")


def test_the_package_rejects_an_older_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: however the package is imported."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version_info", (3, 10, 13, "final", 0))
        with pytest.raises(SystemExit, match=r"Python 3\.11 or newer is required; this is 3"):
            runpy.run_path(str(ROOT / "scenext_service" / "__init__.py"))


@pytest.mark.parametrize("name", ["scenext_service/__init__.py", "wsgi.py", "passenger_wsgi.py", "gunicorn.conf.py"])
def test_the_entry_points_parse_on_an_older_python(name: str) -> None:
    """Ours: a SyntaxError would hide the line that names the required version."""
    ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 7))


ENTRY_POINTS = ("wsgi.py", "passenger_wsgi.py", "-m scenext_service")
BAD_SETTINGS = {
    "timeout": ("SCENEXT_TIMEOUT", "soon"),
    "key": ("SCENEXT_API_KEY", f"Bearer {KEY}"),
    "key in quotes": ("SCENEXT_API_KEY", f'"{KEY}"'),
    "token in quotes": ("SCENEXT_ACCESS_TOKEN", f"'{KEY}'"),
    "placeholder token": ("SCENEXT_ACCESS_TOKEN", "YOUR_ACCESS_TOKEN"),
    "short token": ("SCENEXT_ACCESS_TOKEN", "t" * 15),
    "origin": ("SCENEXT_ALLOWED_ORIGINS", "https://[a"),
    "proxy": ("HTTPS_PROXY", f"http://user:{KEY}@proxy:port"),
    "certificates": ("REQUESTS_CA_BUNDLE", "/nowhere"),
}
DEFAULT = {"key in quotes": "wsgi.py", "certificates": "passenger_wsgi.py", "proxy": "-m scenext_service"}


@pytest.mark.parametrize(
    ("entry_point", "name", "value"),
    [
        pytest.param(
            entry_point,
            *setting,
            id=f"{id}-{entry_point}",
            marks=[] if DEFAULT.get(id) == entry_point else [pytest.mark.live],
        )
        for id, setting in BAD_SETTINGS.items()
        for entry_point in ENTRY_POINTS
    ],
)
@pytest.mark.usefixtures("no_network_settings")
def test_a_bad_configuration_ends_the_start_with_one_line(entry_point: str, name: str, value: str) -> None:
    """Ours: a bad value ends the start and names the variable. uWSGI and Passenger print the same line."""
    ended = run(entry_point, {name: value})
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"scenext_service cannot start: {name}")
    assert KEY not in line


@pytest.mark.parametrize("entry_point", ["wsgi.py", "passenger_wsgi.py", "-m scenext_service"])
@pytest.mark.usefixtures("no_network_settings")
def test_a_blank_token_beside_a_key_ends_each_start(entry_point: str) -> None:
    """Ours: a blank token would share the key with all callers."""
    ended = run(entry_point, {"SCENEXT_API_KEY": KEY, "SCENEXT_ACCESS_TOKEN": ""})
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(
        "scenext_service cannot start: SCENEXT_ACCESS_TOKEN: the value is blank while SCENEXT_API_KEY"
    )


@pytest.mark.parametrize("name", ["PORT", "WEB_CONCURRENCY"])
def test_a_bad_gunicorn_variable_is_rejected_before_gunicorn_starts(name: str) -> None:
    """Ours: with `WEB_CONCURRENCY=abc`, gunicorn fails with a traceback before it reads any settings."""
    ended = run("-m scenext_service", {name: "abc"})
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"scenext_service cannot start: {name}: 'abc' is not valid. Use a whole number from 1 to ")


class Apache(ModuleType):
    """Simulated `mod_wsgi` module of an Apache process. `shut_down` is the callback for the end of the process."""

    def subscribe_shutdown(self, callback: Any) -> None:
        self.shut_down = callback


def test_mod_wsgi_answers_503_if_the_start_fails(
    entry: Any, bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: its process would keep running and print a traceback for each request."""
    bare.setattr(entry, "mod_wsgi", Apache("mod_wsgi"))
    bare.setenv("SCENEXT_TIMEOUT", "soon")
    answer = Client(entry.load()).get("/healthz")
    assert (answer.status_code, answer.content_type) == (503, "application/json")
    assert answer.get_json() == {
        "error": "service_unavailable",
        "message": "The service did not start because a setting is invalid. The server log names the setting.",
    }
    written = capsys.readouterr().err.splitlines()
    assert [line.partition(": '")[0] for line in written] == ["scenext_service cannot start: SCENEXT_TIMEOUT"]


@pytest.mark.parametrize(("server", "status"), [("uwsgi", 22), ("passenger", 1)])
def test_the_process_ends_if_the_start_fails(
    server: str, status: int, entry: Any, bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: uWSGI would restart it endlessly. Source: uwsgi 2.0, UWSGI_FAILED_APP_CODE."""
    bare.setitem(sys.modules, server, SimpleNamespace())
    bare.setenv("SCENEXT_TIMEOUT", "soon")
    with pytest.raises(SystemExit) as ended:
        entry.load()
    assert ended.value.code == status
    assert capsys.readouterr().err.startswith("scenext_service cannot start: SCENEXT_TIMEOUT: ")


def test_the_shutdown_of_mod_wsgi_ends_waiting_calls(entry: Any, bare: pytest.MonkeyPatch) -> None:
    """Ours: docs/deploy/apache.md. With gunicorn, a hook does this."""
    apache = Apache("mod_wsgi")
    bare.setattr(entry, "mod_wsgi", apache)
    service = entry.load()
    assert service.stopping is False
    apache.shut_down("event", reason="shutdown")
    assert service.stopping is True


def level_and_message(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the level and the first word of each log line."""
    written = capsys.readouterr()
    return [" ".join(line.split()[1:3]) for stream in (written.err, written.out) for line in stream.splitlines()]


def test_other_servers_log_the_line_of_the_start(entry: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: uWSGI, Passenger and waitress. Unknown fields are left out."""
    entry.load()
    assert level_and_message(capsys) == ["level=info msg=started"]


def test_gunicorn_with_our_settings_logs_the_line_of_the_start_itself(
    entry: Any, bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: gunicorn's hook logs the line, with fields that only gunicorn knows."""
    for name in (WITH_SETTINGS, GUNICORN):
        bare.setitem(sys.modules, name, SimpleNamespace())
    entry.load()
    assert level_and_message(capsys) == []


def test_gunicorn_without_our_settings_is_warned_of(
    entry: Any, bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: `gunicorn --chdir FOLDER wsgi:app` does not find gunicorn.conf.py and serves one request at a time."""
    bare.setitem(sys.modules, GUNICORN, SimpleNamespace())
    entry.load()
    assert level_and_message(capsys) == ['level=warning msg="gunicorn', "level=info msg=started"]


@pytest.mark.parametrize(
    ("module", "revealed"),
    [
        pytest.param(
            "mod_wsgi", {"threads_per_process": 15, "subscribe_shutdown": lambda handler: None}, id="mod_wsgi"
        ),
        pytest.param("uwsgi", {"cores": 15}, id="uWSGI"),
    ],
)
def test_a_server_that_reveals_its_threads_has_them_divided(
    entry: Any, module: str, revealed: dict[str, Any], bare: pytest.MonkeyPatch
) -> None:
    """Ours: 15 threads are mod_wsgi's default; at least 8 stay free for requests that do not wait for Scenext."""
    bare.setitem(sys.modules, module, SimpleNamespace(**revealed))
    bare.setattr(entry, "mod_wsgi", sys.modules.get("mod_wsgi"))
    service = entry.load()
    assert (service.threads, service.startup_fields["slots"], service.startup_fields["waiting_calls"]) == (15, 4, 3)
