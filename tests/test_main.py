"""`python -m scenext_service` and the command `scenext-service`: what is run, and what becomes of other arguments."""

import configparser
import os
import runpy
import sys
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from scenext_service import __main__
from scenext_service.version import VERSION

from .support.pages import ROOT

GUNICORN = [sys.executable, "-m", "gunicorn", "--config", "python:scenext_service.serving.settings"]


@pytest.fixture
def executed(bare: pytest.MonkeyPatch) -> list[Any]:
    """Note what this process would become."""
    found: list[Any] = []
    bare.setattr(os, "execv", lambda *command: found.append(command))
    return found


@pytest.mark.parametrize("others", [[], ["--bind", "127.0.0.1:9000", "--workers", "4"], ["-k", "gevent", "mine:app"]])
def test_it_becomes_gunicorn_and_hands_its_options_on(executed: list[Any], others: list[str]) -> None:
    """Ours: docs/operating.md, "The start": one process, so signals and exit status are gunicorn's."""
    __main__.main(others)
    assert executed == [(sys.executable, [*GUNICORN, *others])]


def test_the_module_is_the_program(executed: list[Any], bare: pytest.MonkeyPatch) -> None:
    """Ours: `python -m scenext_service`."""
    bare.delitem(sys.modules, "scenext_service.__main__")
    bare.setattr(sys, "argv", ["scenext_service", "--workers", "1"])
    runpy.run_module("scenext_service", run_name="__main__")
    assert executed == [(sys.executable, [*GUNICORN, "--workers", "1"])]


def test_a_bad_setting_ends_it_before(executed: list[Any], bare: pytest.MonkeyPatch) -> None:
    """Ours: gevent's workers would be started again and again."""
    bare.setenv("SCENEXT_TIMEOUT", "soon")
    with pytest.raises(SystemExit, match=r"^scenext_service cannot start: SCENEXT_TIMEOUT must "):
        __main__.main([])
    assert executed == []


def test_the_check_ends_with_its_status(
    executed: list[Any], bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: 0 or 1."""
    statuses = []
    for key in ("sandbox-any-key-will-do", "sandbox-refused-key"):
        bare.setenv("SCENEXT_SANDBOX", "1")
        bare.setenv("SCENEXT_API_KEY", key)
        with pytest.raises(SystemExit) as ended:
            __main__.main(["--check"])
        statuses.append(ended.value.code)
    assert (statuses, executed) == ([0, 1], [])


@pytest.mark.parametrize(
    ("option", "said"),
    [
        pytest.param("--version", f"scenext_service {VERSION}\n", id="version"),
        pytest.param("--help", "usage: scenext-service [-h] [--check] [--version]\n", id="help"),
    ],
)
def test_it_tells_what_it_is(option: str, said: str, executed: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: as programs do."""
    with pytest.raises(SystemExit) as ended:
        __main__.main([option])
    assert (ended.value.code, executed) == (0, [])
    assert capsys.readouterr().out.startswith(said)


def test_the_command_is_the_same() -> None:
    """Ours: setup.cfg; `tests.interop.installing.run` installs and starts it."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    name, _, value = setup["options.entry_points"]["console_scripts"].strip().partition(" = ")
    assert name == "scenext-service"
    assert EntryPoint(name, value, "console_scripts").load() is __main__.main
