"""Every way to start the service on a real gunicorn, from any folder, and what each prints."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from scenext_service.version import VERSION
from tests.interop.hosting.pages import Pages
from tests.support.messages import KEY
from tests.support.pages import ROOT
from tests.support.server import Server, running, wait_until, workers

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (?:info|warning) "
MODULE: dict[str, Any] = {"app": "", "program": (sys.executable, "-m", "scenext_service")}


def started(server: Server) -> list[str]:
    """Return the lines that say what runs."""
    return re.findall(r"^.* info started .*$", server.output(), re.MULTILINE)


def test_it_starts_from_any_folder_as_the_procfile_does(tmp_path: Path) -> None:
    """Ours: docs/operating.md, "The start": the settings of this service, and gunicorn's own process."""
    with running(tmp_path, folder=tmp_path, **MODULE) as server:
        (line,) = started(server)
        assert requests.get(f"{server.url}/healthz", timeout=30).json()["sandbox"] is True
        assert len(workers(server)) == 2  # children of the process that was started: there is none in between
        status, _ = server.stop()
    found = re.search(r" version=(\S+) api=sandbox endpoint=(\S+) workers=2 threads=(\d+) slots=(\d+) ", line)
    assert found is not None, line
    assert (found[1], found[2]) == (VERSION, f"{server.url}/mcp")
    assert int(found[4]) == int(found[3]) * 4 // 5
    assert status == 0


def test_each_line_has_the_same_time_format_and_the_start_has_one(tmp_path: Path) -> None:
    """Ours: gunicorn's lines, the warning of the sandbox, the start, a request."""
    with running(tmp_path) as server:
        requests.post(f"{server.url}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, timeout=30)
        server.stop()
        lines = server.output().splitlines()
        assert len(started(server)) == 1
    assert [line for line in lines if not re.match(STAMP, line)] == []
    assert len(lines) > 8


def test_options_and_variables_of_gunicorn_are_heard(tmp_path: Path) -> None:
    """Ours: docs/operating.md, "The start"; gunicorn's manual, "Configuration Overview"."""
    environ = {"WEB_CONCURRENCY": "1"}
    with running(tmp_path, environ, folder=tmp_path, arguments="--threads 7", **MODULE) as server:
        (line,) = started(server)
        assert len(workers(server)) == 1
    assert f" endpoint={server.url}/mcp workers=1 threads=7 " in line  # that it is there is GUNICORN_CMD_ARGS' doing


def test_a_process_that_takes_over_says_what_runs_too(tmp_path: Path) -> None:
    """Spec: gunicorn's manual, "Upgrading to a new binary on the fly": USR2, then TERM to the old one."""
    with running(tmp_path, folder=tmp_path, **MODULE) as server:
        server.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: len(started(server)) == 2)
        new = int(re.findall(r"Listening at: \S+ \((\d+)\)", server.output())[-1])
        try:
            server.stop()
            assert requests.get(f"{server.url}/healthz", timeout=30).status_code == 200
        finally:
            os.kill(new, signal.SIGTERM)
        wait_until(lambda: server.output().count("Shutting down: Master") == 2)
        assert len({line.partition(" info ")[2] for line in started(server)}) == 1


def test_gunicorn_without_our_settings_is_warned_of(tmp_path: Path) -> None:
    """Ours: gunicorn looks for gunicorn.conf.py in the folder that it is started in, not in --chdir."""
    environ = {"WEB_CONCURRENCY": "1", "HOME": str(tmp_path)}
    with running(tmp_path, environ, folder=tmp_path, arguments=f"--chdir {ROOT}") as server:
        wait_until(lambda: len(started(server)) == 1)
        printed = server.output()
    assert len(re.findall(r' warning "gunicorn runs without .* name gunicorn.conf.py with --config', printed)) == 1
    assert " workers=" not in printed


def test_gunicorn_finds_our_settings_where_it_is_told_to_look(tmp_path: Path) -> None:
    """Ours: what the warning says."""
    code = tmp_path / "code"
    shutil.copytree(ROOT / "scenext_service", code / "scenext_service")
    for name in ("gunicorn.conf.py", "wsgi.py"):
        shutil.copy(ROOT / name, code)
    (code / "scenext_service" / "version.py").write_text('VERSION = "0.0.0"\n', encoding="utf-8")
    arguments = f"--chdir {code} --config {code}/gunicorn.conf.py"
    with running(tmp_path, {"PYTHONPATH": ""}, folder=tmp_path, arguments=arguments) as server:
        (line,) = started(server)
        assert "gunicorn runs without" not in server.output()
    assert " started version=0.0.0 " in line  # that folder's, not what is installed here
    assert " workers=2 " in line


def test_gevents_workers_say_once_what_runs(tmp_path: Path) -> None:
    """Ours: each loads an application of its own."""
    file = tmp_path / "gunicorn.gevent.py"
    file.write_text(Pages().file("server.md", "gunicorn.gevent.py"), encoding="utf-8")
    with running(tmp_path, arguments=f"--config {file}", **MODULE) as server:
        wait_until(lambda: len(started(server)) == 1)
        wait_until(lambda: server.output().count("SCENEXT_SANDBOX is on") == 2)
        assert requests.get(f"{server.url}/healthz", timeout=30).status_code == 200
        assert len(started(server)) == 1
        assert "MonkeyPatchWarning" not in server.output()


def test_a_variable_with_a_letter_wrong_is_asked_about(tmp_path: Path) -> None:
    """Ours: it would start against the real API, without a word."""
    with running(tmp_path, {"SCENEXT_SANDBOX": "", "SCENEXT_SANDOBX": KEY}) as server:
        printed = server.output()
    assert printed.count("unknown variable SCENEXT_SANDOBX has no effect; did you mean SCENEXT_SANDBOX?") == 1
    assert KEY not in printed


def ended(folder: Path, *command: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run a start that ends by itself."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SCENEXT_", "GUNICORN_"))}
    arguments = [sys.executable, "-m", *command]
    return subprocess.run(
        arguments, cwd=folder, env={**env, **environ}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("PORT", "abc", id="no port"),
        pytest.param("PORT", "65536", id="port out of range"),
        pytest.param("WEB_CONCURRENCY", "0", id="no workers"),
        pytest.param("SCENEXT_TIMEOUT", "soon", id="no number"),
        pytest.param("SCENEXT_API_KEY", f'"{KEY}"', id="key in quotes"),
        pytest.param("REQUESTS_CA_BUNDLE", "/nowhere", id="no certificates"),
        pytest.param("https_proxy", f"http://user:{KEY}@proxy:port", id="no proxy"),
    ],
)
@pytest.mark.usefixtures("no_network_settings")
def test_a_bad_setting_ends_gunicorn_with_one_line(name: str, value: str) -> None:
    """Ours: README, "Configure"."""
    found = ended(ROOT, "gunicorn", "wsgi:app", "--bind", "127.0.0.1:0", **{name: value})
    (line,) = found.stderr.splitlines()
    assert line.startswith(f"scenext_service cannot start: {name} must ")
    assert (found.returncode, found.stdout, KEY in line) == (1, "", False)


def test_a_bad_setting_ends_gevents_master_too(tmp_path: Path) -> None:
    """Ours: its workers would fail and be started anew, again and again."""
    file = tmp_path / "gunicorn.gevent.py"
    file.write_text(Pages().file("server.md", "gunicorn.gevent.py"), encoding="utf-8")
    found = ended(ROOT, "scenext_service", "--config", str(file), SCENEXT_TIMEOUT="soon")
    (line,) = found.stderr.splitlines()
    assert line.startswith("scenext_service cannot start: SCENEXT_TIMEOUT must ")
    assert (found.returncode, found.stdout) == (1, "")


@pytest.mark.parametrize("command", [("gunicorn", "wsgi:app"), ("scenext_service",)])
def test_gunicorn_can_look_at_its_configuration(command: tuple[str, ...]) -> None:
    """Spec: gunicorn's manual, `--check-config` and `--print-config`."""
    environ = {"SCENEXT_SANDBOX": "1", "GUNICORN_CMD_ARGS": "--keep-alive 7"}
    assert ended(ROOT, *command, "--check-config", **environ).returncode == 0
    printed = ended(ROOT, *command, "--print-config", "--timeout", "9", **environ).stdout
    found = dict(re.findall(r"^(\w+) += (.*)$", printed, re.MULTILINE))
    expected = {
        "keepalive": "7",
        "timeout": "9",
        "worker_class": "scenext_service.serving.worker.Worker",
        "when_ready": "<when_ready()>",
    }
    assert {name: found[name] for name in expected} == expected
