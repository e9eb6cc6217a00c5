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

from .clients import documented
from .clients.processes import Ended
from .clients.run import ODD, PAGE, TRANSLATION, Outcome, chinese, clients, judge, judge_odd, put, table

ROWS = pages.tables(PAGE.read_text(encoding="utf-8"))[0].rows

TASK = "sandbox-1795000000000-V2h5PyBfLQ"
REPORT = {
    "revision": "2026-07-28",
    "tools": [*TOOLS],
    "task_id": TASK,
    "status": "COMPLETED",
    "video": f"http://127.0.0.1:8000/sandbox/{TASK}/video.mp4?Expires=4102444800&Signature=sandbox",
    "next": f"Show the user the video as a Markdown link, for fresh ones ask with task_id {TASK} again.",
    "progress": ["0 frames drawn, waiting for 0 s", "1 frame drawn, waiting for 10 s", "2 frames drawn"],
    "calls": 2,
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


def test_each_documented_program_runs_with_the_package_that_it_names() -> None:
    """Ours: docs/connect.md names the package and the version that is pinned, as far as that is promised."""
    sections = {client.section: client for client in clients() if client.section}
    assert {block.headings[-1] for block in documented.blocks()} == set(sections)
    text = pages.page("docs/connect.md")
    for section, client in sections.items():
        package, version = re.split("==|@(?=\\d)", (client.pip or client.npm)[0])
        major = re.match(r"0\.\d+|[1-9]\d*", version)
        assert major
        words = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
        assert f"`{package}` {major[0]}" in words or f"{package}@{major[0]} " in words, section


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        pytest.param("task_id: sandbox-1795000000001\nThe job has started.\n", True, id="as-it-is"),
        pytest.param('{"text": "task_id: sandbox-1795000000001\\nThe job has started."}', True, id="in-json"),
        pytest.param("task_id: sandbox-1795000000001\n", False, id="half"),
        pytest.param("task_id: \nThe job has started.\n", False, id="no-job"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_a_program_shows_the_answer_or_does_not(printed: str, shown: bool) -> None:
    """Ours: every line of it; the job is another one."""
    answer = "task_id: sandbox-1795000000000\nThe job has started.\n"
    assert documented.shows(Ended(0, printed, ""), answer) is shown
    assert not documented.shows(Ended(1, printed, "Traceback (most recent call last):"), answer)


def test_the_translation_has_the_same_table() -> None:
    """Ours: as the last run wrote both."""
    found = re.search(r"(?m)(?:^\|.*\n)+", PAGE.read_text(encoding="utf-8"))
    assert found
    assert chinese(found[0]) in TRANSLATION.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("found", "cells"),
    [
        pytest.param([("", True), ("", True)], "works | shown", id="shown"),
        pytest.param([("", False), ("", False)], "works | –", id="no-handler"),
        pytest.param([("", True), ("hung", False)], "fails at `/mcp/` | shown", id="one-path-fails"),
        pytest.param([("hung", False), ("hung", False)], "fails at `/mcp` and `/mcp/` | –", id="both-fail"),
    ],
)
def test_a_row_tells_what_came_of_each_path(found: list[tuple[str, bool]], cells: str) -> None:
    """Ours: a dash where nobody was told of progress."""
    client = clients()[0]
    mode, title = next(iter(client.modes.items()))
    outcomes = [Outcome("2026-07-28", problem or None, progress) for problem, progress in found]
    row = table({(client, mode): outcomes}).splitlines()[-1]
    assert row == f"| {title} | {client.version} | 2026-07-28 | {cells} |"


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


def test_a_client_may_not_change_or_lose_what_has_another_type() -> None:
    """Ours: clients check what they get against the output schema, and Scenext may send anything."""
    seen = {"task_id": ODD["task_id"], "status": ODD["status"], "video": ODD["result"]["video_url"]}
    assert judge_odd(seen) is None
    assert judge_odd({**seen, "status": "COMPLETED"}) == "the odd job is ['odd-1', 'COMPLETED', 5]"


def test_a_client_need_not_have_a_handler_for_progress() -> None:
    """Ours: null says so; a report that says nothing of progress is a bad one."""
    assert judge({**REPORT, "progress": None}) is None
    silent = {name: value for name, value in REPORT.items() if name != "progress"}
    assert judge(silent) == "progress is None"


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"revision": None}, id="no-revision"),
        pytest.param({"tools": ["gen_video"]}, id="a-tool-is-missing"),
        pytest.param({"task_id": "sandbox-completed"}, id="not-a-new-job"),
        pytest.param({"status": "IN_PROGRESS"}, id="not-completed"),
        pytest.param({"video": "http://127.0.0.1:8000/sandbox/sandbox-completed/video.mp4?"}, id="another-video"),
        pytest.param({"next": None}, id="no-next-step"),
        pytest.param({"next": f"Call again with task_id {TASK}."}, id="not-the-last-step"),
        pytest.param({"next": "Show the user the video as a Markdown link."}, id="step-without-the-job"),
        pytest.param({"progress": []}, id="handler-saw-nothing"),
        pytest.param({"progress": ["2 frames drawn", None]}, id="progress-without-words"),
        pytest.param({"calls": 5}, id="does-not-wait"),
        pytest.param({"calls": None}, id="calls-not-counted"),
        pytest.param({"failure": "Bad Request"}, id="not-our-words"),
        pytest.param({"failure": TEXTS[KeyMissing].english}, id="one-language"),
    ],
)
def test_a_bad_report_is_not(wrong: Mapping[str, Any]) -> None:
    """Ours: the reason names the field."""
    problem = judge({**REPORT, **wrong})
    assert problem is not None
    assert problem.startswith(f"{next(iter(wrong))} is ")
