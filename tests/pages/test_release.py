"""A release: its version is the same everywhere, the changelog has its form, and owner placeholders are consistent."""

import json
import re
import shutil
import subprocess
from collections.abc import Collection
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from scenext_service import __version__
from tests.support import pages
from tests.support.pages import ROOT

CHANGELOG = pages.page("CHANGELOG.md")
MAINTAINING = pages.page("docs/maintaining.md")
REPOSITORY = json.loads(pages.page("server.json"))["repository"]["url"]
UNRELEASED = "Unreleased"
NUMBER = r"\d+\.\d+\.\d+"
SECTIONS = {"Breaking", "Added", "Changed", "Fixed", "Security"}
LONGEST_ENTRY = 120  # columns

# The placeholders that an owner replaces, and their files. Other pages name no owner; their host is the reader's.
OWNER, HOST, NAMESPACE = "YOUR-GITHUB-NAME", "YOUR-APP.example.com", "com.example/"
OWNED = (
    *("README.md", "README.zh.md", "CHANGELOG.md"),
    *("server.json", "glama.json", "setup.cfg", ".github/ISSUE_TEMPLATE/config.yml", "scenext_service/web/page.py"),
)


def git(*arguments: str) -> list[str]:
    """Return the output lines of a git command."""
    program = shutil.which("git")
    assert program is not None
    return subprocess.run(
        [program, *arguments], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.splitlines()


def headings(changelog: str) -> list[tuple[str, str]]:
    """Return each version of a changelog with its date. Raise ValueError for a heading in another format."""
    found = []
    for level, words in pages.headings(changelog):
        match = re.fullmatch(rf"\[({NUMBER})\] - (\d{{4}}-\d\d-\d\d|{UNRELEASED})", words)
        if level == 2 and not match:
            raise ValueError(words)
        if match:
            found.append((match[1], match[2]))
    return found


def problems(
    version: str, listed: str, changelog: str, tags: Collection[str] = (), here: Collection[str] = ()
) -> list[str]:
    """Return the problems of a release, or of an unreleased version.

    `tags` are the versions' tags in the repository, `here` those of the commit. A clone may have no tags.
    """
    try:
        versions = headings(changelog)
        days = [date.fromisoformat(day) for _, day in versions if day != UNRELEASED]
    except ValueError as error:
        return [f"heading: {error}"]
    numbers = [tuple(map(int, number.split("."))) for number, _ in versions]
    newest, released = versions[0][0], versions[0][1] != UNRELEASED
    wrong = {
        f"server.json: its version is {listed}, not {version}": listed != version,
        f"changelog: its newest version is {newest}, not {version}": newest != version,
        "unreleased: an older version has no date": UNRELEASED in [day for _, day in versions[1:]],
        "order: versions do not descend": any(newer <= older for newer, older in pairwise(numbers)),
        "dates: they ascend": any(newer < older for newer, older in pairwise(days)),
        f"tag: {newest} has a date, but no tag v{newest}": bool(tags) and released and f"v{newest}" not in tags,
        f"tag: v{newest} exists, but the changelog has no date": not released and f"v{newest}" in tags,
        f"tag: this commit is tagged as {', '.join(here)}": bool(here) and [*here] != [f"v{version}"],
    }
    return [name for name, is_wrong in wrong.items() if is_wrong]


def version_tags(*arguments: str) -> list[str]:
    """Return the tags of versions among those that `git tag` lists."""
    return [tag for tag in git("tag", *arguments) if re.fullmatch(rf"v{NUMBER}", tag)]


def test_the_version_of_this_commit_is_consistent() -> None:
    """Ours: docs/maintaining.md, "Release": version, server.json, changelog and tags agree."""
    listed = json.loads(pages.page("server.json"))["version"]
    found = problems(__version__, listed, CHANGELOG, version_tags(), version_tags("--points-at", "HEAD"))
    assert found == []


GOOD = "# Changelog\n\n## [1.10.0] - 2026-11-25\n\n### Added\n\n- New.\n\n## [1.9.0] - 2026-11-24\n\n- Old.\n"
DRAFT = GOOD.replace("2026-11-25", UNRELEASED)


@pytest.mark.parametrize(
    ("changelog", "tags", "here"),
    [
        pytest.param(GOOD, [], [], id="release-in-a-clone-without-tags"),
        pytest.param(GOOD, ["v1.10.0"], ["v1.10.0"], id="tagged"),
        pytest.param(GOOD, ["v1.9.0", "v1.10.0"], [], id="after-the-tag"),
        pytest.param(DRAFT, [], [], id="unreleased-in-a-clone-without-tags"),
        pytest.param(DRAFT, ["v1.9.0"], [], id="unreleased"),
    ],
)
def test_a_consistent_version_has_no_problems(changelog: str, tags: list[str], here: list[str]) -> None:
    """Ours: the newest version has its tag, or is unreleased."""
    assert problems("1.10.0", "1.10.0", changelog, tags, here) == []


@pytest.mark.parametrize(
    ("listed", "changelog", "tags", "here", "wrong"),
    [
        pytest.param("1.9.0", GOOD, [], [], "server.json", id="outdated-server-json"),
        pytest.param("1.10.0", GOOD.replace("1.10.0", "1.11.0"), [], [], "changelog", id="version-mismatch"),
        pytest.param("1.10.0", GOOD.replace(" - 2026-11-25", ""), [], [], "heading: [1.10.0]", id="no-date"),
        pytest.param("1.10.0", GOOD.replace("11-25", "11-31"), [], [], "heading: day", id="invalid-date"),
        pytest.param("1.10.0", GOOD.replace("2026-11-24", UNRELEASED), [], [], "unreleased", id="undated-old-version"),
        pytest.param("1.10.0", GOOD.replace("1.9.0", "1.10.0"), [], [], "order", id="duplicate-version"),
        pytest.param("1.10.0", GOOD.replace("2026-11-24", "2026-11-26"), [], [], "dates", id="ascending-dates"),
        pytest.param("1.10.0", GOOD, ["v1.9.0"], [], "tag: 1.10.0 has a date", id="not-tagged"),
        pytest.param("1.10.0", GOOD, ["v1.9.0", "v1.10.0"], ["v1.9.0"], "tag: this commit", id="another-tag-here"),
        pytest.param("1.10.0", DRAFT, ["v1.10.0"], [], "tag: v1.10.0 exists", id="tagged-undated"),
    ],
)
def test_problems_of_a_release_are_found(
    listed: str, changelog: str, tags: list[str], here: list[str], wrong: str
) -> None:
    """Ours: a check that cannot fail proves nothing."""
    (found,) = problems("1.10.0", listed, changelog, tags, here)
    assert found.startswith(wrong)


def test_every_version_in_the_history_has_a_heading() -> None:
    """Ours: the headings follow the order of the history; a shallow clone contains only the last version."""
    files = ("scenext_service/version.py", "scenext_service/__init__.py")  # version.py and VERSION before 2.0.0
    log = git("log", "--reverse", "--patch", "--format=", "--", *files)
    added = [found[1] for line in log if (found := re.fullmatch(rf'\+(?:VERSION|__version__) = "({NUMBER})"', line))]
    versions = list(dict.fromkeys(added))  # the commit that moved the version added it again
    numbers = [number for number, _ in reversed(headings(CHANGELOG))]
    assert versions
    assert [number for number in numbers if number in versions] == versions


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    """Ours: sections have known names, entries are single lines, and each version links to its changes."""
    versions = headings(CHANGELOG)
    sections = {words for level, words in pages.headings(CHANGELOG) if level == 3}
    assert sections - SECTIONS == set()
    text = CHANGELOG.partition("\n## ")[2]
    lines = [line for line in text.splitlines()[1:] if line and not line.startswith(("|", "#", "["))]
    notes = {"An upgrade is advised."}  # may stand above the sections of a version
    assert [line for line in lines if not line.startswith("- ") and line not in notes] == []
    assert [line for line in lines if len(line) > LONGEST_ENTRY] == []
    links = dict(re.findall(r"^\[(.+?)\]: (\S+)$", CHANGELOG, re.MULTILINE))
    targets = {
        number: f"compare/v{versions[1][0]}...HEAD" if day == UNRELEASED else f"releases/tag/v{number}"
        for number, day in versions
    }
    assert links == {number: f"{REPOSITORY}/{target}" for number, target in targets.items()}


def test_the_release_steps_name_every_compared_file() -> None:
    """Ours: the steps cover version, server.json, changelog and tag, and show a valid heading."""
    section = MAINTAINING.partition("\n## Release\n")[2].partition("\n## ")[0]
    steps = re.findall(r"^\d\. (?:.+\n)(?:   .+\n)*", section, re.MULTILINE)
    named = re.findall(r"`(?:scenext_service/)?(\w+\.\w+)`", "".join(steps))
    assert {"__init__.py", "server.json", "CHANGELOG.md"} <= set(named)
    assert headings("\n".join(re.findall(r"`(## .+?)`", "".join(steps)))) == [("1.0.0", "2026-11-23")]
    assert "`git tag -a v1.0.0 -m 1.0.0`" in section


def test_every_repository_link_matches_server_json() -> None:
    """Ours: there is one owner, who is also a maintainer. setup.cfg and the issue forms link to the repository."""
    suffixes = (".md", ".json", ".toml", ".cfg", ".yml", ".yaml")
    named = {name: pages.page(name) for name in git("ls-files") if name.endswith(suffixes)}
    link = re.compile(r"https://github\.com/[^/\s]+/scenext_service")
    linked = {name: set(link.findall(text)) for name, text in named.items()}
    assert {name: found for name, found in linked.items() if found and found != {REPOSITORY}} == {}
    assert [name for name in ("setup.cfg", "CHANGELOG.md") if not linked[name]] == []
    assert REPOSITORY.split("/")[-2] in json.loads(pages.page("glama.json"))["maintainers"]
    holders = {name for name, text in named.items() if OWNER in text} - {"docs/maintaining.md"}
    assert holders - set(OWNED) == set()  # none in a repository that has an owner


def test_the_release_commands_replace_every_placeholder(tmp_path: Path) -> None:
    """Ours: docs/maintaining.md, "Release": the commands run unchanged in a copy."""
    blocks = [block for block in pages.blocks(MAINTAINING) if block.headings[-1] == "Release" and "sed" in block.text]
    assert len(blocks) == 1
    for name in OWNED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run(["bash", "-ec", blocks[0].text], cwd=tmp_path, check=True)
    texts = {name: (tmp_path / name).read_text(encoding="utf-8") for name in OWNED}
    left = {name: [word for word in (OWNER, HOST, NAMESPACE) if word in text] for name, text in texts.items()}
    readers = {"README.md", "README.zh.md", "scenext_service/web/page.py"}  # the host on these is the reader's
    assert {name: words for name, words in left.items() if words and (name not in readers or words != [HOST])} == {}
    owned = [name for name in OWNED if OWNER in pages.page(name)]  # none in a repository that has an owner
    assert [name for name in owned if "octocat" not in texts[name]] == []
