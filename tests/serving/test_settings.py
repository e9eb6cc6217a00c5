"""gunicorn's settings, as a new process has them: what the platform's variables make of them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.pages import ROOT

FREE = ("PORT", "WEB_CONCURRENCY", "SCENEXT_")
EVERYWHERE = "[::]" if Path("/proc/net/if_inet6").exists() else "0.0.0.0"
PROGRAM = """
import json, sys
from scenext_service.serving import settings
print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}))
print(*sorted({"ssl", "requests", "flask", "gunicorn"} & set(sys.modules)))
"""


def loaded(environ: dict[str, str], *names: str) -> "subprocess.CompletedProcess[str]":
    """Import the settings in a new process with these variables, and print some of them."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(FREE)}
    command = [sys.executable, "-c", PROGRAM, *names]
    return subprocess.run(command, cwd=ROOT, env={**env, **environ}, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, {"bind": "127.0.0.1:8000", "workers": 2}, id="somebody's own machine"),
        pytest.param({"PORT": "5000"}, {"bind": f"{EVERYWHERE}:5000", "workers": 2}, id="a platform"),
        pytest.param(
            {"PORT": "5000", "WEB_CONCURRENCY": "4"}, {"bind": f"{EVERYWHERE}:5000", "workers": 4}, id="Heroku"
        ),
        pytest.param({"WEB_CONCURRENCY": ""}, {"bind": "127.0.0.1:8000", "workers": 2}, id="set to nothing"),
    ],
)
def test_the_platform_decides_port_and_workers(environ: dict[str, str], expected: dict[str, Any]) -> None:
    """Ours: README, "Configure"; on a host without IPv6 the address is 0.0.0.0."""
    assert json.loads(loaded(environ, *expected).stdout.splitlines()[0]) == expected


@pytest.mark.parametrize(
    ("environ", "capped"),
    [
        pytest.param({}, {"SCENEXT_UPSTREAM_SLOTS": 0.8, "SCENEXT_WAITING_CALLS": 0.5}, id="by the threads"),
        pytest.param({"SCENEXT_UPSTREAM_SLOTS": "7"}, {"SCENEXT_WAITING_CALLS": 0.5}, id="slots that were chosen"),
        pytest.param({"SCENEXT_WAITING_CALLS": "7"}, {"SCENEXT_UPSTREAM_SLOTS": 0.8}, id="waiting calls, chosen"),
        pytest.param(
            {"SCENEXT_WAITING_CALLS": " "},
            {"SCENEXT_UPSTREAM_SLOTS": 0.8, "SCENEXT_WAITING_CALLS": 0.5},
            id="blank is not chosen",
        ),
    ],
)
def test_the_caps_are_below_the_threads(environ: dict[str, str], capped: dict[str, float]) -> None:
    """Ours: README, "Configure": four fifths, and half."""
    found = json.loads(loaded(environ, "threads", "raw_env").stdout.splitlines()[0])
    assert found["raw_env"] == [f"{name}={int(found['threads'] * part)}" for name, part in capped.items()]


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_gunicorns_lines_have_the_form_of_ours(form: str) -> None:
    """Ours: SCENEXT_LOG_FORMAT."""
    kind = {"logfmt": "LogfmtLogger", "json": "JsonLogger"}[form]
    found = json.loads(loaded({"SCENEXT_LOG_FORMAT": form}, "logger_class").stdout.splitlines()[0])
    assert found["logger_class"] == f"scenext_service.serving.gunicorn_log.{kind}"


def test_the_settings_bring_nothing_that_gevent_has_to_come_before() -> None:
    """Ours: gunicorn reads them before gevent's worker puts its own ssl in the place of Python's."""
    assert loaded({}).stdout == "{}\n\n"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        *[("PORT", bad, "a whole number from 1 to 65535") for bad in ("abc", "0", "-1", "65536", "80.0", "tcp://x:1")],
        *[("WEB_CONCURRENCY", bad, "a whole number from 1 to 1000") for bad in ("abc", "0", "-1", "1.5", "1001")],
        ("SCENEXT_LOG_FORMAT", "xml", "one of logfmt, json"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_it(name: str, value: str, wanted: str) -> None:
    """Ours: README, "Configure"; gunicorn would print a trace, or nothing that helps."""
    ended = loaded({name: value})
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"scenext_service cannot start: {name} must be {wanted}; it is {value!r}\n"
