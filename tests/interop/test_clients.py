"""The clients that are not ours: their table is of the pinned versions, in both languages. Runs no client."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scenext_service.mcp.dispatch import SUPPORTED_VERSIONS
from scenext_service.scenext.failures import KeyMissing
from scenext_service.tools.failure_texts import TEXTS
from tests.support import pages
from tests.support.names import TOOLS

from .clients.run import PAGE, TRANSLATION, chinese, clients, judge, put

ROWS = pages.tables(PAGE.read_text(encoding="utf-8"))[0].rows

REPORT = {
    "revision": "2026-07-28",
    "tools": [*TOOLS],
    "task_id": "sandbox-1795000000000",
    "status": "COMPLETED",
    "video": "https://oss.scenext.example/sandbox-1795000000000/video.mp4?Expires=4102444800&Signature=sandbox",
    "failure": "Error: " + "\n\n".join(TEXTS[KeyMissing]),
}


def test_each_mode_of_each_client_has_its_row() -> None:
    """Ours: in the order of `clients.json`, with the version that is pinned there."""
    assert [row[:2] for row in ROWS] == [[title, it.version] for it in clients() for title in it.modes.values()]


def test_each_client_works_at_a_revision_that_we_speak() -> None:
    """Ours: a client that fails is our bug until shown otherwise."""
    assert [row for row in ROWS if row[2] not in SUPPORTED_VERSIONS or row[3] != "works"] == []


def test_every_package_is_pinned() -> None:
    """Ours: a table of versions is worth something if those are what ran."""
    packages = [package for client in clients() for package in (*client.pip, *client.npm)]
    assert [package for package in packages if not re.fullmatch(r".+(==|@)\d+\.\d+\.\d+", package)] == []


def test_the_translation_has_the_same_table() -> None:
    """Ours: as the last run wrote both."""
    table = re.search(r"(?m)(?:^\|.*\n)+", PAGE.read_text(encoding="utf-8"))
    assert table
    assert chinese(table[0]) in TRANSLATION.read_text(encoding="utf-8")


def test_a_table_is_put_in_the_place_of_the_last_one(tmp_path: Path) -> None:
    """Ours: the words around it stay; a backslash is no more than that."""
    page = tmp_path / "page.md"
    page.write_text("Above\n\n| a |\n|---|\n| b |\n\nbelow\n", encoding="utf-8")
    put("| \\1 |\n|---|\n", page)
    assert page.read_text(encoding="utf-8") == "Above\n\n| \\1 |\n|---|\n\nbelow\n"


def test_a_page_without_a_table_is_not_written(tmp_path: Path) -> None:
    """Ours: a table that is lost must not go unnoticed."""
    page = tmp_path / "page.md"
    page.write_text("words\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"^page\.md has 0 tables$"):
        put("| a |\n", page)


def test_a_good_report_is_accepted() -> None:
    """Ours: a client may put words of its own around the failure's."""
    assert judge(REPORT) is None


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"revision": None}, id="no-revision"),
        pytest.param({"tools": ["gen_video"]}, id="a-tool-is-missing"),
        pytest.param({"task_id": "sandbox-completed"}, id="not-a-new-job"),
        pytest.param({"status": "IN_PROGRESS"}, id="not-completed"),
        pytest.param({"video": "https://oss.scenext.example/sandbox-completed/video.mp4?"}, id="another-video"),
        pytest.param({"failure": "Bad Request"}, id="not-our-words"),
        pytest.param({"failure": TEXTS[KeyMissing].english}, id="one-language"),
    ],
)
def test_a_bad_report_is_not(wrong: Mapping[str, Any]) -> None:
    """Ours: the reason names the field."""
    problem = judge({**REPORT, **wrong})
    assert problem is not None
    assert problem.startswith(f"{next(iter(wrong))} is ")
