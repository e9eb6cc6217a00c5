"""`python -m scenext_service` and the command `scenext-service`: the program that they run, and its arguments."""

import configparser
import os
import runpy
import sys
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from scenext_service import __main__, __version__

from .support.pages import ROOT

GUNICORN = [sys.executable, "-m", "gunicorn", "--config", "python:scenext_service.server.gunicorn.settings"]


@pytest.fixture
def executed(bare: pytest.MonkeyPatch) -> list[Any]:
    """Record the calls of `os.execv` instead of replacing this process."""
    found: list[Any] = []
    bare.setattr(os, "execv", lambda *command: found.append(command))
    return found


@pytest.mark.parametrize("others", [[], ["--bind", "127.0.0.1:9000", "--workers", "4"], ["-k", "gevent", "mine:app"]])
def test_the_process_becomes_gunicorn_and_passes_options_on(executed: list[Any], others: list[str]) -> None:
    """Ours: docs/operating.md, "The start": gunicorn replaces the process, so signals and exit status are its own."""
    __main__.main(others)
    assert executed == [(sys.executable, [*GUNICORN, *others])]


def test_the_module_can_be_run(executed: list[Any], bare: pytest.MonkeyPatch) -> None:
    """Ours: `python -m scenext_service` calls `main`."""
    bare.delitem(sys.modules, "scenext_service.__main__")
    bare.setattr(sys, "argv", ["scenext_service", "--workers", "1"])
    runpy.run_module("scenext_service", run_name="__main__")
    assert executed == [(sys.executable, [*GUNICORN, "--workers", "1"])]


def test_a_bad_setting_ends_the_process_before_gunicorn_starts(executed: list[Any], bare: pytest.MonkeyPatch) -> None:
    """Ours: otherwise gunicorn would restart gevent workers endlessly."""
    bare.setenv("SCENEXT_TIMEOUT", "soon")
    with pytest.raises(SystemExit, match=r"^scenext_service cannot start: SCENEXT_TIMEOUT: "):
        __main__.main([])
    assert executed == []


def test_the_check_sets_the_exit_status(
    executed: list[Any], bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: 0 on success, 1 on failure."""
    statuses = []
    for key in ("sandbox-any-key-will-do", "sandbox-refused-key"):
        bare.setenv("SCENEXT_SANDBOX", "1")
        bare.setenv("SCENEXT_API_KEY", key)
        with pytest.raises(SystemExit) as ended:
            __main__.main(["--check"])
        statuses.append(ended.value.code)
    assert (statuses, executed) == ([0, 1], [])


@pytest.mark.parametrize(
    ("option", "output"),
    [
        pytest.param("--version", f"scenext_service {__version__}\n", id="version"),
        pytest.param("--help", "usage: scenext-service [-h] [--check] [--version]\n", id="help"),
    ],
)
def test_version_and_help_are_printed(
    option: str, output: str, executed: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: the usual options of a program."""
    with pytest.raises(SystemExit) as ended:
        __main__.main([option])
    assert (ended.value.code, executed) == (0, [])
    assert capsys.readouterr().out.startswith(output)


def test_the_command_calls_the_same_function() -> None:
    """Ours: setup.cfg. `tests.interop.installing.run` installs and starts the command."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    name, _, value = setup["options.entry_points"]["console_scripts"].strip().partition(" = ")
    assert name == "scenext-service"
    assert EntryPoint(name, value, "console_scripts").load() is __main__.main
