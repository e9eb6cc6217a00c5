"""Requirements of platforms on the repository: Heroku's rules, and pages of `docs/deploy` that match the tests."""

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

from scenext_service import __version__
from scenext_service.config import VARIABLES, from_env
from tests.interop.hosting.pages import ELSEWHERE, FOLDER, Pages
from tests.interop.hosting.run import HOSTS
from tests.support.pages import ROOT
from tests.support.server import running

# The buildpack requires exactly one of these.
PACKAGE_FILES = {"requirements.txt", "Pipfile", "Pipfile.lock", "poetry.lock", "uv.lock"}
REFUSED = {"runtime.txt", ".venv", "venv", ".heroku"}

SETUP = configparser.ConfigParser()
SETUP.read_string((ROOT / "setup.cfg").read_text(encoding="utf-8"))
APP: Any = json.loads((ROOT / "app.json").read_text(encoding="utf-8"))

# Report on stderr each file opened for writing and each other change to the file system.
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
    """Return the names of the tracked files and folders at the top of the repository."""
    git = shutil.which("git")
    assert git is not None
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return {name.partition("/")[0] for name in listed.split("\0")}


def pins() -> dict[str, str]:
    """Return the pinned versions in requirements.txt by package name."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    found = [
        re.fullmatch(r"([a-z0-9-]+)==([0-9.]+(?:\.post[0-9]+)?)", line)
        for line in lines
        if line and line.lstrip()[0] != "#"
    ]
    assert all(found), "a line that is no pin"
    return {match[1]: match[2] for match in found if match}


def processes() -> dict[str, str]:
    """Return the commands in the Procfile by process type."""
    lines = (ROOT / "Procfile").read_bytes().decode("ascii").splitlines()
    found = [re.fullmatch(r"([A-Za-z0-9_-]+): (\S.*\S)", line) for line in lines]
    assert all(found), "a line that is no process"
    return {match[1]: match[2] for match in found if match}


def test_there_is_exactly_one_list_of_packages() -> None:
    """Spec: Heroku, "Python Support": more than one is a build error."""
    assert tracked() & PACKAGE_FILES == {"requirements.txt"}


def test_the_repository_has_no_files_that_a_build_rejects() -> None:
    """Spec: Heroku, "Python Support": `runtime.txt` is deprecated, and a tracked virtual environment is an error."""
    assert tracked() & REFUSED == set()


def test_the_python_version_is_supported() -> None:
    """Spec: Heroku, "Specifying a Python Runtime": one line, without a patch release so that builds get bug fixes."""
    version = (ROOT / ".python-version").read_text(encoding="ascii")
    assert re.fullmatch(r"3\.\d+\n", version)
    assert Version(version.strip()) in SpecifierSet(SETUP["options"]["python_requires"])


def test_requirements_txt_matches_setup_cfg() -> None:
    """Ours: same packages, in versions that setup.cfg accepts; platforms install from one file, pip from the other."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    direct = set(
        re.findall(r"^(\S+)==.*\n(?:    #.*\n)*?    #(?: via|  ) +scenext-service \(setup\.cfg\)$", text, re.M)
    )
    needed = [Requirement(line) for line in SETUP["options"]["install_requires"].split()]
    assert direct == {requirement.name for requirement in needed}
    assert [str(requirement) for requirement in needed if pins()[requirement.name] not in requirement.specifier] == []


def test_the_procfile_parses_and_starts_an_installed_program() -> None:
    """Spec: Heroku, "The Procfile": `<process type>: <command>`; only `web` receives requests."""
    assert list(processes()) == ["web"]
    assert processes()["web"].split()[0] in pins()


def test_the_deploy_button_sets_only_documented_variables() -> None:
    """Spec: Heroku, "app.json Schema"."""
    assert set(APP["env"]) <= set(VARIABLES)
    assert [name for name, entry in APP["env"].items() if not entry["description"]] == []
    assert from_env({name: entry.get("value", "") for name, entry in APP["env"].items()}) == from_env({})
    assert set(APP["formation"]) == set(processes())


def test_the_deploy_button_leads_to_an_existing_page(client: FlaskClient) -> None:
    """Spec: Heroku, "app.json Schema", `success_url`."""
    assert client.get(APP["success_url"]).status_code == 200


def test_the_systemd_limits_cover_the_gunicorn_settings() -> None:
    """Spec: systemd.exec, `LimitNOFILE`, and systemd.resource-control, `TasksMax`, for four processes."""
    settings = runpy.run_path(str(ROOT / "gunicorn.conf.py"))
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read_string((FOLDER / "scenext.service").read_text(encoding="utf-8"))
    service = unit["Service"]
    assert int(service["TasksMax"]) > 4 * settings["threads"]
    assert int(service["LimitNOFILE"]) >= settings["worker_connections"] + 2 * settings["threads"] + 64
    assert int(service["TimeoutStopSec"]) > settings["graceful_timeout"]
    assert f"{service['WorkingDirectory']}/.venv/bin/gunicorn wsgi:app" == service["ExecStart"]


def test_it_runs_with_heroku_variables_and_writes_only_temporary_files(tmp_path: Path) -> None:
    """Spec: Heroku, "Dynos": PYTHONPATH is set, and the file system is ephemeral; ours: HOME may be unwritable."""
    watcher, temporary = tmp_path / "watcher", tmp_path / "temporary"
    for folder in (watcher, temporary):
        folder.mkdir()
    (watcher / "sitecustomize.py").write_text(WATCHER, encoding="utf-8")
    environ = {
        "PYTHONPATH": os.pathsep.join([str(watcher), str(ROOT)]),
        "PYTHONDONTWRITEBYTECODE": "1",  # Python writes bytecode of its own, and works without it
        "HOME": "/dev/null/home",  # not writable, even for root
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


def test_the_upgrade_names_the_tag_of_this_version() -> None:
    """Ours: the tag exists once this version is released, and readers of the page have this version or a newer one."""
    tags = re.findall(r"git checkout --quiet (\S+)", (FOLDER / "server.md").read_text(encoding="utf-8"))
    assert tags == [f"v{__version__}"]


def test_every_host_has_a_row_and_every_page_a_host() -> None:
    """Ours: the index of the pages shows the results of the last run of `tests.interop.hosting.run`."""
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").partition("| host | page | result |\n")[2].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]
    assert [row[:2] for row in rows] == [
        [host.name, f"[{host.page.removesuffix('.md')}]({host.page})"] for host in HOSTS
    ]
    assert [row for row in rows if not row[2].startswith("works")] == []
    assert {host.page for host in HOSTS} | {"README.md"} | ELSEWHERE == {path.name for path in FOLDER.glob("*.md")}


@pytest.mark.parametrize("host", [host for host in HOSTS if host.quirks], ids=lambda host: host.name)
def test_a_page_describes_the_quirks_of_its_host(host: Any) -> None:
    """Ours: an operator who sees a quirk finds it on the page."""
    text = (FOLDER / host.page).read_text(encoding="utf-8")
    words = {
        "chunked": "chunked body with 411",
        "Authorization": "does not pass `Authorization` on",
        "wait": "`next` states",
    }
    assert [step for step in host.quirks if words[step] not in re.sub(r"\s+", " ", text)] == []


def test_the_pages_show_the_procfile() -> None:
    """Ours: other platforms use its start command."""
    assert Pages().part("platforms.md", "Other platforms", "procfile") == (ROOT / "Procfile").read_text(
        encoding="utf-8"
    )
