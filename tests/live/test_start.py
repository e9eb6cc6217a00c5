"""Every way to start the service on a real gunicorn, from any folder, and the output of each."""

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

from scenext_service import __version__
from scenext_service.server.capacity import divide
from tests.interop.hosting.pages import Pages
from tests.support import checkout
from tests.support.messages import KEY
from tests.support.pages import ROOT
from tests.support.server import Server, running, wait_until, workers

STAMP = r"ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=(?:info|warning) msg="
MODULE: dict[str, Any] = {"app": "", "program": (sys.executable, "-m", "scenext_service")}


def started(server: Server) -> list[str]:
    """Return the `started` log lines."""
    return re.findall(r"^.* level=info msg=started .*$", server.output(), re.MULTILINE)


def test_the_module_starts_the_service_from_any_folder(tmp_path: Path) -> None:
    """Ours: docs/operating.md, "The start": it uses the settings of this service and becomes the gunicorn process."""
    with running(tmp_path, folder=tmp_path, **MODULE) as server:
        (line,) = started(server)
        assert requests.get(f"{server.url}/healthz", timeout=30).json()["sandbox"] is True
        assert len(workers(server)) == 2  # direct children of the started process, with no process in between
        status, _ = server.stop()
    found = re.search(r" version=(\S+) api=sandbox endpoint=(\S+) workers=2 threads=(\d+) slots=(\d+) ", line)
    assert found is not None, line
    assert (found[1], found[2]) == (__version__, f"{server.url}/mcp")
    assert int(found[4]) == divide(int(found[3])).slots
    assert status == 0


def test_log_lines_share_a_time_format_and_the_start_logs_one_line(tmp_path: Path) -> None:
    """Ours: the lines are gunicorn's own, the sandbox warning, the start and a request."""
    with running(tmp_path) as server:
        requests.post(f"{server.url}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, timeout=30)
        server.stop()
        lines = server.output().splitlines()
        assert len(started(server)) == 1
    assert [line for line in lines if not re.match(STAMP, line)] == []
    assert len(lines) > 8


@pytest.mark.live
def test_gunicorn_options_and_variables_take_effect(tmp_path: Path) -> None:
    """Ours: docs/operating.md, "The start"; gunicorn's manual, "Configuration Overview"."""
    environ = {"WEB_CONCURRENCY": "1"}
    with running(tmp_path, environ, folder=tmp_path, arguments="--threads 7", **MODULE) as server:
        (line,) = started(server)
        assert len(workers(server)) == 1
    assert f" endpoint={server.url}/mcp workers=1 threads=7 " in line  # the port comes from GUNICORN_CMD_ARGS


@pytest.mark.live
def test_a_new_master_logs_the_start_too(tmp_path: Path) -> None:
    """Spec: gunicorn's manual, "Upgrading to a new binary on the fly": USR2, then TERM to the old master."""
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
        assert len({line.partition(" level=info ")[2] for line in started(server)}) == 1


@pytest.mark.live
def test_gunicorn_without_our_settings_is_warned_of(tmp_path: Path) -> None:
    """Ours: gunicorn looks for gunicorn.conf.py in the folder where it starts, not in --chdir."""
    environ = {"WEB_CONCURRENCY": "1", "HOME": str(tmp_path)}
    with running(tmp_path, environ, folder=tmp_path, arguments=f"--chdir {ROOT}") as server:
        wait_until(lambda: len(started(server)) == 1)
        printed = server.output()
    assert (
        len(re.findall(r' level=warning msg="gunicorn runs without .* Add --config FOLDER/gunicorn.conf.py', printed))
        == 1
    )
    assert " workers=" not in printed


@pytest.mark.live
def test_gunicorn_uses_our_settings_with_the_config_option(tmp_path: Path) -> None:
    """Ours: the remedy that the warning names."""
    code = tmp_path / "code"
    shutil.copytree(ROOT / "scenext_service", code / "scenext_service")
    for name in ("gunicorn.conf.py", "wsgi.py"):
        shutil.copy(ROOT / name, code)
    checkout.set_version(code, "0.0.0")
    arguments = f"--chdir {code} --config {code}/gunicorn.conf.py"
    with running(tmp_path, {"PYTHONPATH": ""}, folder=tmp_path, arguments=arguments) as server:
        (line,) = started(server)
        assert "gunicorn runs without" not in server.output()
    assert " msg=started version=0.0.0 " in line  # the version of that folder, not the installed one
    assert " workers=2 " in line


@pytest.mark.live
def test_gevent_workers_log_the_start_once(tmp_path: Path) -> None:
    """Ours: each worker loads its own application, but only one logs the start."""
    file = tmp_path / "gunicorn.gevent.py"
    file.write_text(Pages().file("server.md", "gunicorn.gevent.py"), encoding="utf-8")
    with running(tmp_path, arguments=f"--config {file}", **MODULE) as server:
        wait_until(lambda: len(started(server)) == 1)
        wait_until(lambda: server.output().count("SCENEXT_SANDBOX is on") == 2)
        assert requests.get(f"{server.url}/healthz", timeout=30).status_code == 200
        assert len(started(server)) == 1
        assert "MonkeyPatchWarning" not in server.output()


@pytest.mark.live
def test_a_misspelled_variable_gets_a_suggestion(tmp_path: Path) -> None:
    """Ours: without the warning, the service would silently start with the real API instead of the sandbox."""
    with running(tmp_path, {"SCENEXT_SANDBOX": "", "SCENEXT_SANDOBX": KEY}) as server:
        printed = server.output()
    assert printed.count("SCENEXT_SANDOBX is an unknown variable and has no effect. Did you mean SCENEXT_SANDBOX?") == 1
    assert KEY not in printed


def ended(folder: Path, *command: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that exits on its own, such as a failing start; return the completed process."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SCENEXT_", "GUNICORN_"))}
    arguments = [sys.executable, "-m", *command]
    return subprocess.run(
        arguments, cwd=folder, env={**env, **environ}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("PORT", "abc", id="invalid port"),
        pytest.param("PORT", "65536", id="port out of range", marks=pytest.mark.live),
        pytest.param("WEB_CONCURRENCY", "0", id="zero workers", marks=pytest.mark.live),
        pytest.param("SCENEXT_TIMEOUT", "soon", id="non-numeric timeout", marks=pytest.mark.live),
        pytest.param("SCENEXT_API_KEY", f'"{KEY}"', id="key in quotes", marks=pytest.mark.live),
        pytest.param("REQUESTS_CA_BUNDLE", "/nowhere", id="missing certificates", marks=pytest.mark.live),
        pytest.param("https_proxy", f"http://user:{KEY}@proxy:port", id="invalid proxy"),
    ],
)
@pytest.mark.usefixtures("no_network_settings")
def test_an_invalid_setting_ends_gunicorn_with_one_line(name: str, value: str) -> None:
    """Ours: docs/configuration.md."""
    found = ended(ROOT, "gunicorn", "wsgi:app", "--bind", "127.0.0.1:0", **{name: value})
    (line,) = found.stderr.splitlines()
    assert line.startswith(f"scenext_service cannot start: {name}")
    assert (found.returncode, found.stdout, KEY in line) == (1, "", False)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("gunicorn", "wsgi:app", "--bind", "127.0.0.1:0"), id="gunicorn"),
        pytest.param(("scenext_service", "--bind", "127.0.0.1:0"), id="module", marks=pytest.mark.live),
        pytest.param(("scenext_service", "--check"), id="check", marks=pytest.mark.live),
    ],
)
@pytest.mark.usefixtures("no_network_settings")
def test_a_blank_token_beside_a_key_ends_the_start(command: tuple[str, ...]) -> None:
    """Ours: docs/configuration.md: otherwise the key would be shared with all callers."""
    found = ended(ROOT, *command, SCENEXT_API_KEY=KEY, SCENEXT_ACCESS_TOKEN=" ")
    (line,) = found.stderr.splitlines()
    assert line.startswith(
        "scenext_service cannot start: SCENEXT_ACCESS_TOKEN: the value is blank while SCENEXT_API_KEY"
    )
    assert (found.returncode, found.stdout) == (1, "")


@pytest.mark.live
def test_an_invalid_setting_ends_the_gevent_master_too(tmp_path: Path) -> None:
    """Ours: otherwise its workers would fail and be restarted in a loop."""
    file = tmp_path / "gunicorn.gevent.py"
    file.write_text(Pages().file("server.md", "gunicorn.gevent.py"), encoding="utf-8")
    found = ended(ROOT, "scenext_service", "--config", str(file), SCENEXT_TIMEOUT="soon")
    (line,) = found.stderr.splitlines()
    assert line.startswith("scenext_service cannot start: SCENEXT_TIMEOUT: ")
    assert (found.returncode, found.stdout) == (1, "")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("gunicorn", "wsgi:app"), id="gunicorn", marks=pytest.mark.live),
        pytest.param(("scenext_service",), id="module", marks=pytest.mark.live),
    ],
)
def test_gunicorn_can_check_and_print_its_configuration(command: tuple[str, ...]) -> None:
    """Spec: gunicorn's manual, `--check-config` and `--print-config`."""
    environ = {"SCENEXT_SANDBOX": "1", "GUNICORN_CMD_ARGS": "--keep-alive 7"}
    assert ended(ROOT, *command, "--check-config", **environ).returncode == 0
    printed = ended(ROOT, *command, "--print-config", "--timeout", "9", **environ).stdout
    found = dict(re.findall(r"^(\w+) += (.*)$", printed, re.MULTILINE))
    expected = {
        "keepalive": "7",
        "timeout": "9",
        "worker_class": "scenext_service.server.gunicorn.worker.Worker",
        "when_ready": "<when_ready()>",
    }
    assert {name: found[name] for name in expected} == expected
