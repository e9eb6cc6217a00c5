"""A release: its version is the same everywhere, the changelog is dated, and the owner's placeholders are one rule."""

import json
import re
import shutil
import subprocess
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from scenext_service.version import VERSION
from tests.support import pages
from tests.support.pages import ROOT

CHANGELOG = pages.page("CHANGELOG.md")
UNRELEASED = "unreleased"
NUMBER = r"\d+\.\d+\.\d+"

# What an owner replaces, and where it stands. Other pages name no owner, and the host on them is the reader's.
OWNER, HOST, NAMESPACE = "YOUR-GITHUB-NAME", "YOUR-APP.example.com", "com.example/"
OWNED = ("server.json", "glama.json", "CHANGELOG.md")


def git(*arguments: str) -> list[str]:
    """Return the lines that git prints for a command."""
    program = shutil.which("git")
    assert program is not None
    return subprocess.run(
        [program, *arguments], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.splitlines()


def headings(changelog: str) -> list[tuple[str, str]]:
    """Return each version of a changelog with its date. Raises ValueError where a heading has not that form."""
    found = []
    for level, words in pages.headings(changelog)[1:]:
        match = re.fullmatch(rf"({NUMBER}) \((\d{{4}}-\d\d-\d\d|{UNRELEASED})\)", words)
        if level != 2 or not match:
            raise ValueError(words)
        found.append((match[1], match[2]))
    return found


def problems(version: str, listed: str, changelog: str, tags: list[str]) -> list[str]:
    """Tell what is wrong with a release, or with what will be one; `tags` are those of the commit."""
    try:
        versions = headings(changelog)
        days = [date.fromisoformat(day) for _, day in versions if day != UNRELEASED]
    except ValueError as error:
        return [f"heading: {error}"]
    numbers = [tuple(map(int, number.split("."))) for number, _ in versions]
    released = versions[0][1] != UNRELEASED
    wrong = {
        "server.json": listed != version,
        "changelog": versions[0][0] != version,
        "unreleased": UNRELEASED in [day for _, day in versions[1:]],
        "order": any(newer <= older for newer, older in pairwise(numbers)),
        "dates": any(newer < older for newer, older in pairwise(days)),
        "tag": bool(tags) and (tags != [f"v{version}"] or not released),
    }
    return [name for name, is_wrong in wrong.items() if is_wrong]


def test_this_commit_is_a_release_or_will_be_one() -> None:
    """Ours: CONTRIBUTING, "Release": version, server.json, changelog and tag agree."""
    listed = json.loads(pages.page("server.json"))["version"]
    tags = [tag for tag in git("tag", "--points-at", "HEAD") if re.fullmatch(rf"v{NUMBER}", tag)]
    assert problems(VERSION, listed, CHANGELOG, tags) == []


GOOD = "# Changelog\n\n## 1.10.0 (2026-11-25)\n\n- New.\n\n## 1.9.0 (2026-11-24)\n\n- Old.\n"


@pytest.mark.parametrize(
    ("listed", "changelog", "tags", "wrong"),
    [
        pytest.param("1.10.0", GOOD, [], [], id="a-release"),
        pytest.param("1.10.0", GOOD, ["v1.10.0"], [], id="tagged"),
        pytest.param("1.10.0", GOOD.replace("2026-11-25", UNRELEASED), [], [], id="not-yet"),
        pytest.param("1.9.0", GOOD, [], ["server.json"], id="server-json-forgotten"),
        pytest.param("1.10.0", GOOD.replace("1.10.0", "1.11.0"), [], ["changelog"], id="another-version"),
        pytest.param("1.10.0", GOOD.replace(" (2026-11-25)", ""), [], ["heading: 1.10.0"], id="no-date"),
        pytest.param(
            "1.10.0", GOOD.replace("2026-11-25", "2026-11-31"), [], ["heading: day is out of range"], id="no-day"
        ),
        pytest.param("1.10.0", GOOD.replace("2026-11-24", UNRELEASED), [], ["unreleased"], id="an-old-one-undated"),
        pytest.param("1.10.0", GOOD.replace("1.9.0", "1.10.0"), [], ["order"], id="twice"),
        pytest.param("1.10.0", GOOD.replace("2026-11-24", "2026-11-26"), [], ["dates"], id="older-than-the-last"),
        pytest.param("1.10.0", GOOD, ["v1.9.0"], ["tag"], id="tag-of-another"),
        pytest.param("1.10.0", GOOD.replace("2026-11-25", UNRELEASED), ["v1.10.0"], ["tag"], id="tagged-undated"),
    ],
)
def test_what_a_release_lacks_is_noticed(listed: str, changelog: str, tags: list[str], wrong: list[str]) -> None:
    """Ours: a rule that cannot fail holds nothing."""
    found = problems("1.10.0", listed, changelog, tags)
    assert [name[: len(expected)] for name, expected in zip(found, wrong, strict=True)] == wrong


def test_every_version_that_there_was_has_its_heading() -> None:
    """Ours: in the order of the history; a clone without one knows the last only."""
    log = git("log", "--reverse", "--patch", "--format=", "--", "scenext_service/version.py")
    versions = [found[1] for line in log if (found := re.fullmatch(rf'\+VERSION = "({NUMBER})"', line))]
    numbers = [number for number, _ in reversed(headings(CHANGELOG))]
    assert versions
    assert [number for number in numbers if number in versions] == versions


def test_the_steps_of_a_release_name_what_is_compared() -> None:
    """Ours: version, server.json, changelog, gate, tag."""
    section = pages.page("CONTRIBUTING.md").partition("\n## Release\n")[2]
    steps = re.findall(r"^\d\. (?:.+\n)(?:   .+\n)*", section, re.MULTILINE)
    assert len(steps) == 5
    assert re.findall(r"`(?:scenext_service/)?(\w+\.\w+|\.ci/run)`", "".join(steps)) == [
        "version.py",
        "server.json",
        "CHANGELOG.md",
        ".ci/run",
        "server.json",
    ]
    assert headings("\n".join(["# Changelog", *re.findall(r"`(## .+?)`", steps[1])])) == [("1.0.0", "2026-11-23")]
    assert "`git tag -a v1.0.0 -m 1.0.0`" in steps[3]


def test_every_link_to_the_repository_is_that_of_server_json() -> None:
    """Ours: one owner, who is a maintainer too; the changelog leads to the releases and the issues."""
    repository = json.loads(pages.page("server.json"))["repository"]["url"]
    named = {name: pages.page(name) for name in git("ls-files") if name.endswith((".md", ".json", ".toml", ".cfg"))}
    link = re.compile(r"https://github\.com/[^/\s]+/scenext_service")
    assert {found for text in named.values() for found in link.findall(text)} == {repository}
    assert repository.split("/")[-2] in json.loads(pages.page("glama.json"))["maintainers"]
    assert pages.links(CHANGELOG)[-2:] == [f"{repository}/releases", f"{repository}/issues"]
    holders = {name for name, text in named.items() if OWNER in text} - {"CONTRIBUTING.md"}
    assert holders in (set(OWNED), set())


def test_the_commands_of_the_page_replace_every_placeholder(tmp_path: Path) -> None:
    """Ours: CONTRIBUTING, "Release": run as they are written, in a copy."""
    (block,) = [block for block in pages.blocks(pages.page("CONTRIBUTING.md")) if block.headings[-1] == "Release"]
    for name in OWNED:
        shutil.copy(ROOT / name, tmp_path)
    subprocess.run(["bash", "-ec", block.text], cwd=tmp_path, check=True)
    texts = [(tmp_path / name).read_text(encoding="utf-8") for name in OWNED]
    assert [text for text in texts for placeholder in (OWNER, HOST, NAMESPACE) if placeholder in text] == []
    if OWNER in CHANGELOG:  # it is not, in a repository that has an owner
        assert [text.count("octocat") for text in texts] == [2, 1, 2]
