"""The WSGI entry points: under which names the application is found, and what becomes of a start that fails."""

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
WITH_SETTINGS = "scenext_service.serving.settings"
GUNICORN = "gunicorn.arbiter"


@pytest.fixture
def entry(bare: pytest.MonkeyPatch) -> Any:
    """Import the entry point anew, in a process without gunicorn and its settings."""
    for name in ("scenext_service.wsgi", WITH_SETTINGS, GUNICORN):
        bare.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("scenext_service.wsgi")
    bare.delitem(sys.modules, "scenext_service.wsgi")
    return module


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("name", ["wsgi", "passenger_wsgi"])
def test_an_entry_point_gives_the_application(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: `app` for gunicorn, `application` for mod_wsgi, uWSGI, Passenger and Elastic Beanstalk."""
    monkeypatch.syspath_prepend(ROOT)
    for module in ("wsgi", "passenger_wsgi"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    found = importlib.import_module(name)
    assert isinstance(found.application, Flask)
    assert found.application is importlib.import_module("wsgi").app


def run(entry: str, environ: dict[str, str], before: str = "") -> "subprocess.CompletedProcess[str]":
    """Run an entry point as a program, after some Python of the test's."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("SCENEXT_")}
    start = f"runpy.run_module({entry[3:]!r}, run_name='__main__')" if entry[0] == "-" else f"runpy.run_path({entry!r})"
    program = f"import os, runpy, sys; sys.path[0] = os.getcwd(); sys.argv[1:] = []\n{before}\n{start}"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, env={**env, **environ}, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("door", ENTRIES)
def test_an_older_python_is_told_before_the_first_import_that_fails(door: str) -> None:
    """Ours: README, "Run"; what Python 3.10 fails on is the name of an import, and says nothing of the version."""
    ended = run(door, {}, "sys.version_info = (3, 10, 13, 'final', 0)")
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("scenext_service cannot start: it needs Python 3.11 or newer; this is ")


def test_the_package_refuses_an_older_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: whichever way it is imported."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version_info", (3, 10, 13, "final", 0))
        with pytest.raises(SystemExit, match=r"it needs Python 3\.11 or newer; this is 3"):
            runpy.run_path(str(ROOT / "scenext_service" / "__init__.py"))


@pytest.mark.parametrize("name", ["scenext_service/__init__.py", "wsgi.py", "passenger_wsgi.py", "gunicorn.conf.py"])
def test_what_an_older_python_reads_it_can_read(name: str) -> None:
    """Ours: a SyntaxError would come before the line that says why."""
    ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize("door", ["wsgi.py", "passenger_wsgi.py", "-m scenext_service"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("SCENEXT_TIMEOUT", "soon", id="timeout"),
        pytest.param("SCENEXT_API_KEY", f"Bearer {KEY}", id="key"),
        pytest.param("SCENEXT_API_KEY", f'"{KEY}"', id="key in quotes"),
        pytest.param("SCENEXT_ACCESS_TOKEN", f"'{KEY}'", id="token in quotes"),
        pytest.param("SCENEXT_ALLOWED_ORIGINS", "https://[a", id="origin"),
        pytest.param("HTTPS_PROXY", f"http://user:{KEY}@proxy:port", id="proxy"),
        pytest.param("REQUESTS_CA_BUNDLE", "/nowhere", id="certificates"),
    ],
)
@pytest.mark.usefixtures("no_network_settings")
def test_a_bad_configuration_ends_the_start_with_one_line(door: str, name: str, value: str) -> None:
    """Ours: a bad value fails at start with the variable's name. uWSGI and Passenger print what Python prints here."""
    ended = run(door, {name: value})
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"scenext_service cannot start: {name} must ")
    assert KEY not in line


@pytest.mark.parametrize("name", ["PORT", "WEB_CONCURRENCY"])
def test_what_only_gunicorn_needs_is_refused_before_gunicorn_fails_on_it(name: str) -> None:
    """Ours: `WEB_CONCURRENCY=abc` is a trace of gunicorn's, before it reads any settings."""
    ended = run("-m scenext_service", {name: "abc"})
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"scenext_service cannot start: {name} must be a whole number from 1 to ")


class Apache(ModuleType):
    """The module that mod_wsgi has in its processes; `shut_down` is what it calls at their end."""

    def subscribe_shutdown(self, callback: Any) -> None:
        self.shut_down = callback


def test_mod_wsgi_answers_503_where_the_start_fails(
    entry: Any, bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: it does not end with the application, and would print a trace for each request."""
    bare.setattr(entry, "apache", Apache("mod_wsgi"))
    bare.setenv("SCENEXT_TIMEOUT", "soon")
    answer = Client(entry.load()).get("/healthz")
    assert (answer.status_code, answer.content_type) == (503, "application/json")
    assert answer.get_json() == {
        "error": "service_unavailable",
        "message": "a setting cannot be used; the log of the server names it",
    }
    written = capsys.readouterr().err.splitlines()
    assert [line.partition(" must ")[0] for line in written] == ["scenext_service cannot start: SCENEXT_TIMEOUT"]


@pytest.mark.parametrize(("server", "status"), [("uwsgi", 22), ("passenger", 1)])
def test_where_the_start_fails_the_process_ends(
    server: str, status: int, entry: Any, bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: uWSGI would start it again, and again: uwsgi 2.0, UWSGI_FAILED_APP_CODE."""
    bare.setitem(sys.modules, server, SimpleNamespace())
    bare.setenv("SCENEXT_TIMEOUT", "soon")
    with pytest.raises(SystemExit) as ended:
        entry.load()
    assert ended.value.code == status
    assert capsys.readouterr().err.startswith("scenext_service cannot start: SCENEXT_TIMEOUT must ")


def test_mod_wsgi_ends_the_calls_that_wait_with_its_process(entry: Any, bare: pytest.MonkeyPatch) -> None:
    """Ours: docs/deploy/apache.md; for gunicorn it is a hook's work."""
    apache = Apache("mod_wsgi")
    bare.setattr(entry, "apache", apache)
    made = entry.load()
    assert made.stopping is False
    apache.shut_down("event", reason="shutdown")
    assert made.stopping is True


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the level and the first word of each line that was logged."""
    return [" ".join(line.split()[1:3]) for line in capsys.readouterr().out.splitlines()]


def test_any_server_says_at_the_start_what_runs(entry: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: uWSGI, Passenger, waitress; what they do not tell is left out."""
    entry.load()
    assert said(capsys) == ["info started"]


def test_gunicorn_with_our_settings_says_it_itself(
    entry: Any, bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: one line, with what only gunicorn knows."""
    for name in (WITH_SETTINGS, GUNICORN):
        bare.setitem(sys.modules, name, SimpleNamespace())
    entry.load()
    assert said(capsys) == []


def test_gunicorn_without_our_settings_is_warned_of(
    entry: Any, bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: `gunicorn --chdir FOLDER wsgi:app` does not find gunicorn.conf.py, and serves one request at a time."""
    bare.setitem(sys.modules, GUNICORN, SimpleNamespace())
    entry.load()
    assert said(capsys) == ['warning "gunicorn', "info started"]
