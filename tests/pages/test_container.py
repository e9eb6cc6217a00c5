"""The container files are consistent: `Dockerfile`, `compose.yaml`, `docs/deploy/kubernetes.yaml` and their sources.

`tests.interop.containers.run` tests the contents of the image and that it serves requests.
"""

import json
import re
from typing import Any

import pytest

from scenext_service import __version__
from scenext_service.config import VARIABLES, Config
from scenext_service.server.gunicorn import settings
from tests.interop.containers.image import base
from tests.interop.fleet.router import configuration, site_by_key
from tests.support import pages
from tests.support.pages import ROOT

DOCKERFILE, COMPOSE = pages.page("Dockerfile"), pages.page("compose.yaml")
KUBERNETES, PAGE = pages.page("docs/deploy/kubernetes.yaml"), pages.page("docs/deploy/container.md")
PYTHONS = re.findall(r"Python :: (3\.\d+)\n", pages.page("setup.cfg"))


def instruction(name: str) -> Any:
    """Return the JSON list of the last instruction with this name in the Dockerfile."""
    return json.loads(re.findall(rf"^ *{name} (\[.+\])$", DOCKERFILE, re.MULTILINE)[-1])


def setting(name: str) -> int:
    """Return a numeric gunicorn setting."""
    return int(getattr(settings, name))


def number(name: str, text: str = KUBERNETES) -> int:
    """Return the numeric value of a key in a YAML file."""
    (found,) = re.findall(rf"\b{name}: (\d+)", text)
    return int(found)


def test_the_image_runs_the_procfile_command() -> None:
    """Ours: in exec form, because a shell would not pass SIGTERM on."""
    assert f"web: {' '.join(instruction('CMD'))}\n" == pages.page("Procfile")
    assert "ENTRYPOINT" not in DOCKERFILE


def test_the_base_image_has_a_tested_python() -> None:
    """Ours: both stages and the page name its version. The test of the image takes the same one from Debian."""
    name, python, _ = base()
    assert python in PYTHONS
    assert DOCKERFILE.count(f"FROM {name}") == DOCKERFILE.count("FROM ") == 2
    assert f"`{name}`" in PAGE


def test_the_build_context_contains_only_copied_files() -> None:
    """Ours: otherwise a build could send .git, or a key in .env, to the engine."""
    first, *lines = pages.page(".dockerignore").splitlines()
    copied = {
        name.strip("/")
        for line in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)
        for name in line.split()
    }
    assert first == "*"
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == copied
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_compose_has_the_health_check_of_the_image() -> None:
    """Ours: the same command, for engines that omit HEALTHCHECK from an image."""
    (command,) = re.findall(r"^    CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)
    assert f"test: {json.dumps(['CMD', *json.loads(command)])}\n" in COMPOSE
    flags = re.findall(r"--([\w-]+)=(\w+)", re.findall(r"^HEALTHCHECK (.+)$", DOCKERFILE, re.MULTILINE)[0])
    assert flags
    assert [name for name, value in flags if f"{name.replace('-', '_')}: {value}\n" not in COMPOSE] == []


def test_compose_passes_on_every_setting() -> None:
    """Ours: except PORT, which sets the published port; the image sets the port inside."""
    passed = re.findall(r"^      - ([A-Z_]+)$", COMPOSE, re.MULTILINE)
    proxies = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"]
    assert sorted(passed) == sorted([*(set(VARIABLES) | {"WEB_CONCURRENCY"}), *proxies])
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
def test_every_deployment_drops_all_privileges(text: str, words: list[str]) -> None:
    """Ours: the test of the image drops the same privileges."""
    assert [word for word in words if word not in text] == []


def test_every_deployment_allows_a_graceful_stop() -> None:
    """Ours: gunicorn's `graceful_timeout`; in a cluster, after the pause in which requests still arrive."""
    graceful = setting("graceful_timeout")
    (pause,) = map(int, re.findall(r'\[sleep, "(\d+)"\]', KUBERNETES))
    assert number("stop_grace_period", COMPOSE) > graceful
    assert number("terminationGracePeriodSeconds") > pause + graceful
    assert f"within {graceful} more" in " ".join(PAGE.split())


def test_every_deployment_has_the_same_user_port_and_limits() -> None:
    """Ours: three files repeat the values of the image."""
    (user,) = re.findall(r"^USER (\d+):\1$", DOCKERFILE, re.MULTILINE)
    (port,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    assert f"PORT={port} " in DOCKERFILE
    assert (number("runAsUser"), number("runAsGroup")) == (int(user), int(user))
    assert (number("containerPort"), f":{port}\n" in COMPOSE) == (int(port), True)
    assert ("memory: 1Gi" in KUBERNETES, "mem_limit: 1g" in COMPOSE) == (True, True)
    assert number("pids_limit", COMPOSE) >= 2 * setting("threads") + 16


def test_the_ingress_serves_https_and_passes_the_largest_body_on() -> None:
    """Ours: the same host in both places, and the body limits of two nginx controllers, in the service's own size."""
    hosts = re.findall(r"hosts: \[(.+)\]", KUBERNETES) + re.findall(r"- host: (.+)", KUBERNETES)
    assert (len(hosts), len(set(hosts))) == (2, 1)
    assert "secretName: scenext-tls\n" in KUBERNETES
    assert "`scenext-tls`" in PAGE
    limits = re.findall(r"(?:proxy|max)-body-size: (\d+)m\n", KUBERNETES)
    assert [int(limit) * 2**20 >= Config().max_body for limit in limits] == [True, True]


def test_the_kubernetes_commands_replace_what_the_operator_has_to_set() -> None:
    """Ours: the file has the placeholders of the command, so that nothing is applied with them."""
    (command,) = (line for line in PAGE.splitlines() if line.startswith("sed "))
    for old, new in re.findall(r"s\|([^|]+)\|([^|]+)\|", command):
        assert old in KUBERNETES
        assert new.startswith("YOUR-")
    assert f"scenext_service:{__version__}" in command


@pytest.mark.parametrize(
    "text",
    [configuration(1, [2, 3, 4]), configuration(1, [2, 3, 4], by_key=True), site_by_key(1, [2, 3, 4])],
    ids=["haproxy", "haproxy-by-key", "nginx-by-key"],
)
def test_the_router_configuration_has_a_server_for_each_instance(text: str) -> None:
    """Ours: `tests.interop.fleet.run` uses the configurations of the page with other addresses."""
    assert sorted(re.findall(r"127\.0\.0\.1:(\d)", text)) == ["1", "2", "3", "4"]
