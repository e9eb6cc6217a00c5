"""The image's files agree: `Dockerfile`, `compose.yaml`, `docs/deploy/kubernetes.yaml`, and what they are made from.

What is in the image, and that it serves, `tests.interop.containers.run` shows.
"""

import json
import re
from typing import Any

import pytest

from scenext_service.serving import settings
from tests.interop.containers.image import base
from tests.interop.fleet.router import configuration
from tests.support import pages
from tests.support.pages import ROOT

DOCKERFILE, COMPOSE = pages.page("Dockerfile"), pages.page("compose.yaml")
KUBERNETES, PAGE = pages.page("docs/deploy/kubernetes.yaml"), pages.page("docs/deploy/container.md")
WORKFLOW = pages.page(".github/workflows/ci.yml")
PYTHONS = re.findall(r"Python :: (3\.\d+)\n", pages.page("setup.cfg"))


def instruction(name: str) -> Any:
    """Return what the last of the Dockerfile's instructions with this name says, where that is a list in JSON."""
    return json.loads(re.findall(rf"^ *{name} (\[.+\])$", DOCKERFILE, re.MULTILINE)[-1])


def setting(name: str) -> int:
    """Return a number of gunicorn's settings."""
    return int(getattr(settings, name))


def number(name: str, text: str = KUBERNETES) -> int:
    """Return the number that a key of a YAML file has."""
    (found,) = re.findall(rf"\b{name}: (\d+)", text)
    return int(found)


def test_the_image_starts_what_the_procfile_starts() -> None:
    """Ours: in the form that has no shell, which would keep SIGTERM to itself."""
    assert f"web: {' '.join(instruction('CMD'))}\n" == pages.page("Procfile")
    assert "ENTRYPOINT" not in DOCKERFILE


def test_the_base_is_the_newest_python_that_is_tested() -> None:
    """Ours: named by version in both stages, and on the page."""
    name, python, _ = base()
    assert python == PYTHONS[-1]
    assert DOCKERFILE.count(f"FROM {name}") == DOCKERFILE.count("FROM ") == 2
    assert f"`{name}`" in PAGE


def test_the_context_is_what_the_dockerfile_copies() -> None:
    """Ours: a build that sends a key in .env, or .git, to an engine is a leak."""
    first, *lines = pages.page(".dockerignore").splitlines()
    copied = {
        name.strip("/")
        for line in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)
        for name in line.split()
    }
    assert first == "*"
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == copied
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_compose_checks_health_as_the_image_does() -> None:
    """Ours: the same command, for engines that leave HEALTHCHECK out of an image."""
    (command,) = re.findall(r"^    CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)
    assert f"test: {json.dumps(['CMD', *json.loads(command)])}\n" in COMPOSE
    flags = re.findall(r"--([\w-]+)=(\w+)", re.findall(r"^HEALTHCHECK (.+)$", DOCKERFILE, re.MULTILINE)[0])
    assert flags
    assert [name for name, value in flags if f"{name.replace('-', '_')}: {value}\n" not in COMPOSE] == []


def test_compose_passes_every_setting_on() -> None:
    """Ours: but PORT, which is the port outside; the one inside is the image's."""
    table = next(found for found in pages.tables(pages.page("README.md")) if "Configure" in found.headings)
    passed = re.findall(r"^      - ([A-Z_]+)$", COMPOSE, re.MULTILINE)
    proxies = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"]
    assert sorted(passed) == sorted([*(set(table.column(0)) - {"PORT"}), *proxies])
    assert f"${{PORT:-{number('EXPOSE', DOCKERFILE.replace('EXPOSE ', 'EXPOSE: '))}}}" in COMPOSE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(PAGE, ["--read-only", "--cap-drop ALL", "no-new-privileges", "--stop-timeout 30"], id="docker"),
        pytest.param(COMPOSE, ["read_only: true", "cap_drop: [ALL]", "no-new-privileges:true"], id="compose"),
        pytest.param(
            KUBERNETES,
            ["readOnlyRootFilesystem: true", "drop: [ALL]", "allowPrivilegeEscalation: false", "runAsNonRoot: true"],
            id="kubernetes",
        ),
    ],
)
def test_every_way_takes_all_rights_away(text: str, words: list[str]) -> None:
    """Ours: what the test of the image leaves out as well."""
    assert [word for word in words if word not in text] == []


def test_every_way_gives_the_service_the_time_to_end() -> None:
    """Ours: gunicorn's `graceful_timeout`; in a cluster after the time in which calls still come."""
    graceful = setting("graceful_timeout")
    (pause,) = map(int, re.findall(r'\[sleep, "(\d+)"\]', KUBERNETES))
    assert number("stop_grace_period", COMPOSE) > graceful
    assert number("terminationGracePeriodSeconds") > pause + graceful
    assert f"within\n{graceful} more" in PAGE


def test_every_way_has_the_user_the_port_and_the_limits_of_the_image() -> None:
    """Ours: said in three files."""
    (user,) = re.findall(r"^USER (\d+):\1$", DOCKERFILE, re.MULTILINE)
    (port,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    assert f"PORT={port} " in DOCKERFILE
    assert (number("runAsUser"), number("runAsGroup")) == (int(user), int(user))
    assert (number("containerPort"), f":{port}\n" in COMPOSE) == (int(port), True)
    assert ("memory: 1Gi" in KUBERNETES, "mem_limit: 1g" in COMPOSE) == (True, True)
    assert number("pids_limit", COMPOSE) >= 2 * setting("threads") + 16


def test_the_routers_configuration_has_a_server_for_each_instance() -> None:
    """Ours: what `tests.interop.fleet.run` starts is the page's, but for its addresses."""
    text = configuration(1, [2, 3, 4])
    assert re.findall(r"127\.0\.0\.1:(\d)", text) == ["1", "2", "3", "4"]


def test_the_workflow_runs_the_gate_on_every_python() -> None:
    """Ours: and nothing that the gate does not."""
    assert f"uv python install {' '.join(PYTHONS)}\n" in WORKFLOW
    assert re.findall(r"^ +\.ci/run$", WORKFLOW, re.MULTILINE) == ["          .ci/run"]
    assert number("timeout-minutes", WORKFLOW) >= 35
