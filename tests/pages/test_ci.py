"""Continuous integration runs every session of `noxfile.py`, and the sessions run every program of `tests/interop`."""

import ast
import re
import runpy
from typing import Any

import pytest

from tests.support import pages
from tests.support.pages import ROOT

NOXFILE, GATE = pages.page("noxfile.py"), pages.page(".ci/run")
CI, NIGHTLY, RELEASE = (pages.page(f".github/workflows/{name}.yml") for name in ("ci", "nightly", "release"))
PYTHONS = re.findall(r"Python :: (3\.\d+)\n", pages.page("setup.cfg"))
SUITES = {f"tests-{version}" for version in PYTHONS}
ONLY_RELEASES = "build"


def sessions() -> set[str]:
    """Return the names of the sessions that check something, with one for each Python."""
    functions = [node for node in ast.parse(NOXFILE).body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    names = {node.name for node in functions if "nox.session" in ast.unparse(node.decorator_list[0])}
    return (names - {"tests", ONLY_RELEASES}) | SUITES


def test_a_session_runs_each_program() -> None:
    """Ours: a program that no session runs is not tested."""
    programs = {path.parent.name for path in (ROOT / "tests" / "interop").glob("*/run.py")}
    assert set(re.findall(r"python -m tests\.interop\.(\w+)\.run\b", NOXFILE)) == programs


def test_the_gate_runs_every_session() -> None:
    """Ours: `.ci/run` takes the Python versions from setup.cfg."""
    (listed,) = re.findall(r"--session \\\n((?:.+\\\n)*.+)\n", GATE)
    words = set(re.findall(r"[\w$]+", listed))
    assert words - {"$others"} == sessions() - SUITES
    assert "$others" in words


def test_the_workflows_run_every_session() -> None:
    """Ours: a pull request runs the quick sessions, and the night the others."""
    quick = set(re.findall(r"\{session: ([\w.-]+),|^ +- run: \.ci/run (\w+)$", CI, re.MULTILINE))
    (interop,) = re.findall(r"session: \[(.+)\]", CI)
    (nightly,) = re.findall(r"sessions:\n((?: +- .+\n)+)", NIGHTLY)
    named = [*(one or other for one, other in quick), *interop.split(", "), *re.findall(r"\w+", nightly)]
    assert sorted(named) == sorted(sessions())


def test_the_workflow_has_each_python_for_its_suite() -> None:
    """Ours: all other sessions run on one that is tested, too."""
    matrix = dict(re.findall(r'\{session: ([\w.-]+), python: "([\d.]+)"\}', CI))
    assert {version: matrix.pop(f"tests-{version}") for version in PYTHONS} == {version: version for version in PYTHONS}
    assert {*matrix.values(), *re.findall(r'python-version: "(.+)"', CI + RELEASE)} <= {*PYTHONS}


@pytest.fixture
def notes() -> Any:
    """Return the function that extracts the notes of a release."""
    return runpy.run_path(str(ROOT / ".ci" / "changelog.py"))["notes"]


CHANGELOG = "# Changelog\n\n## {}\n\n### Added\n\n- New.\n\n## {}\n\n- Old.\n\n[2.1.0]: https://example.com\n"


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        pytest.param("[2.1.0] - 2026-12-01", "[2.0.0] - 2026-11-30", id="keep-a-changelog"),
        pytest.param("2.1.0 (2026-12-01)", "2.0.0 (2026-11-30)", id="parentheses"),
    ],
)
def test_the_notes_of_a_release_are_its_section(notes: Any, newer: str, older: str) -> None:
    """Ours: the workflow publishes them with the release."""
    assert notes(CHANGELOG.format(newer, older), "2.1.0") == "### Added\n\n- New.\n"
    assert notes(CHANGELOG.format(newer, older), "2.0.0") == "- Old.\n"


@pytest.mark.parametrize("version", ["2.2.0", "2.1", "2.1.0"])
def test_a_version_without_a_released_section_has_no_notes(notes: Any, version: str) -> None:
    """Ours: a tag on an unreleased version ends the workflow before anything is published."""
    with pytest.raises(ValueError, match=re.escape(version)):
        notes(CHANGELOG.format("[2.1.0] - Unreleased", "[2.0.0] - 2026-11-30"), version)
