"""What platforms ask of a repository: Heroku's own rules, and that a page of `docs/deploy` says what is run."""

import configparser
import json
import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from scenext_service.config import from_env
from tests.interop.hosting.pages import ELSEWHERE, FOLDER, Pages
from tests.interop.hosting.run import HOSTS
from tests.support import pages
from tests.support.pages import ROOT
from tests.support.server import running

# Of which the buildpack wants exactly one.
PACKAGE_FILES = {"requirements.txt", "Pipfile", "Pipfile.lock", "poetry.lock", "uv.lock"}
REFUSED = {"runtime.txt", ".venv", "venv", ".heroku"}

SETUP = configparser.ConfigParser()
SETUP.read_string((ROOT / "setup.cfg").read_text(encoding="utf-8"))
APP: Any = json.loads((ROOT / "app.json").read_text(encoding="utf-8"))

# Reports, on stderr, each file that is opened for writing and each other change of the file system.
WATCHER = """
import os, sys

CHANGES = ("os.mkdir", "os.rename", "os.link", "os.symlink", "os.truncate")

def watch(event, args):
    if event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or event in CHANGES:
        if not isinstance(args[0], int):  # a file that is open already
            os.write(2, f"WATCHED {args[0]}\\n".encode())

sys.addaudithook(watch)
"""


def tracked() -> set[str]:
    """Return what stands at the top of the repository."""
    git = shutil.which("git")
    assert git is not None
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return {name.partition("/")[0] for name in listed.split("\0")}


def pins() -> dict[str, str]:
    """Return the versions of requirements.txt by name."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r"([a-z0-9-]+)==([0-9.]+)", line) for line in lines if line and line.lstrip()[0] != "#"]
    assert all(found), "a line that is no pin"
    return {match[1]: match[2] for match in found if match}


def processes() -> dict[str, str]:
    """Return the commands of the Procfile by the type of process."""
    lines = (ROOT / "Procfile").read_bytes().decode("ascii").splitlines()
    found = [re.fullmatch(r"([A-Za-z0-9_-]+): (\S.*\S)", line) for line in lines]
    assert all(found), "a line that is no process"
    return {match[1]: match[2] for match in found if match}


def test_there_is_exactly_one_list_of_packages() -> None:
    """Spec: Heroku, "Python Support": more than one is an error of the build."""
    assert tracked() & PACKAGE_FILES == {"requirements.txt"}


def test_nothing_is_there_that_a_build_refuses_or_warns_of() -> None:
    """Spec: Heroku, "Python Support": `runtime.txt` is deprecated, a virtual environment in the repository an error."""
    assert tracked() & REFUSED == set()


def test_the_python_version_is_one_that_is_supported_here() -> None:
    """Spec: Heroku, "Specifying a Python Runtime": one line, without a patch release so that fixes are taken."""
    version = (ROOT / ".python-version").read_text(encoding="ascii")
    assert re.fullmatch(r"3\.\d+\n", version)
    assert Version(version.strip()) in SpecifierSet(SETUP["options"]["python_requires"])


def test_requirements_are_those_of_setup_cfg_in_versions_that_it_accepts() -> None:
    """Ours: platforms install the one, pip the other."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    direct = set(
        re.findall(r"^(\S+)==.*\n(?:    #.*\n)*?    #(?: via|  ) +scenext-service \(setup\.cfg\)$", text, re.M)
    )
    needed = [Requirement(line) for line in SETUP["options"]["install_requires"].split()]
    assert direct == {requirement.name for requirement in needed}
    assert [str(requirement) for requirement in needed if pins()[requirement.name] not in requirement.specifier] == []


def test_the_procfile_parses_and_starts_a_program_that_is_installed() -> None:
    """Spec: Heroku, "The Procfile": `<process type>: <command>`; only `web` receives requests."""
    assert list(processes()) == ["web"]
    assert processes()["web"].split()[0] in pins()


def test_the_deploy_button_asks_for_variables_that_there_are() -> None:
    """Spec: Heroku, "app.json Schema"."""
    variables = set(re.findall(r"`(\w+)`", pages.README.read_text(encoding="utf-8")))
    assert set(APP["env"]) <= variables
    assert [name for name, entry in APP["env"].items() if not entry["description"]] == []
    assert from_env({name: entry.get("value", "") for name, entry in APP["env"].items()}) == from_env({})
    assert set(APP["formation"]) == set(processes())


def test_the_deploy_button_ends_at_a_page_that_answers(client: FlaskClient) -> None:
    """Spec: Heroku, "app.json Schema", `success_url`."""
    assert client.get(APP["success_url"]).status_code == 200


def test_the_unit_of_systemd_allows_what_gunicorn_is_set_to() -> None:
    """Spec: systemd.exec, `LimitNOFILE`, and systemd.resource-control, `TasksMax`, for four processes."""
    settings = runpy.run_path(str(ROOT / "gunicorn.conf.py"))
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read_string((FOLDER / "scenext.service").read_text(encoding="utf-8"))
    service = unit["Service"]
    assert int(service["TasksMax"]) > 4 * settings["threads"]
    assert int(service["LimitNOFILE"]) >= settings["worker_connections"] + 2 * settings["threads"] + 64
    assert int(service["TimeoutStopSec"]) > settings["graceful_timeout"]
    assert f"{service['WorkingDirectory']}/.venv/bin/gunicorn wsgi:app" == service["ExecStart"]


def test_it_serves_in_what_heroku_sets_and_writes_only_temporary_files(tmp_path: Path) -> None:
    """Spec: Heroku, "Dynos": PYTHONPATH is set, the file system is thrown away; ours: HOME may be unwritable."""
    watcher, temporary = tmp_path / "watcher", tmp_path / "temporary"
    for folder in (watcher, temporary):
        folder.mkdir()
    (watcher / "sitecustomize.py").write_text(WATCHER, encoding="utf-8")
    environ = {
        "PYTHONPATH": os.pathsep.join([str(watcher), str(ROOT)]),
        "PYTHONDONTWRITEBYTECODE": "1",  # Python's own, which does without where it cannot
        "HOME": "/dev/null/home",  # which nobody can write to, root included
        "TMPDIR": str(temporary),
        "PORT": "5000",
        "WEB_CONCURRENCY": "2",
        "FORWARDED_ALLOW_IPS": "*",
    }
    with running(tmp_path, environ) as server:
        ping: Any = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        assert requests.post(f"{server.url}/mcp", json=ping, timeout=30).json()["result"] == {}
        server.stop()
        written = set(re.findall(r"^WATCHED (.+)$", server.output(), re.MULTILINE))
    assert written, "the watcher saw nothing, not even what gunicorn writes"
    assert [path for path in written if not path.startswith((str(temporary), "/dev/"))] == []


def test_every_host_has_its_row_and_every_page_its_host() -> None:
    """Ours: the index of the pages shows what the last run of `tests.interop.hosting.run` found."""
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").partition("| host | page | result |\n")[2].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]
    assert [row[:2] for row in rows] == [
        [host.name, f"[{host.page.removesuffix('.md')}]({host.page})"] for host in HOSTS
    ]
    assert [row for row in rows if not row[2].startswith("works")] == []
    assert {host.page for host in HOSTS} | {"README.md"} | ELSEWHERE == {path.name for path in FOLDER.glob("*.md")}


@pytest.mark.parametrize("host", [host for host in HOSTS if host.quirks], ids=lambda host: host.name)
def test_a_page_speaks_of_the_quirks_of_its_host(host: Any) -> None:
    """Ours: whoever meets one finds it."""
    text = (FOLDER / host.page).read_text(encoding="utf-8")
    words = {
        "chunked": "chunked body with 411",
        "Authorization": "keeps `Authorization` to itself",
        "wait": "`next` says",
    }
    assert [step for step in host.quirks if words[step] not in re.sub(r"\s+", " ", text)] == []


def test_the_procfile_on_the_pages_is_the_procfile() -> None:
    """Ours: the start command that other platforms are given."""
    assert Pages().part("platforms.md", "Other platforms", "procfile") == (ROOT / "Procfile").read_text(
        encoding="utf-8"
    )
