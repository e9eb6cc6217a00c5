"""The table of third-party clients: it lists the pinned versions, in both languages. These tests run no client."""

import json
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

from .clients import documented, repeated
from .clients.processes import Ended
from .clients.run import ENVIRONMENTS, ODD, PAGE, TRANSLATION, Outcome, chinese, clients, judge, judge_odd, put, table

ROWS = pages.tables(PAGE.read_text(encoding="utf-8"))[0].rows

TASK = "sandbox-1795000000000-V2h5PyBfLQ"
REPORT = {
    "revision": "2026-07-28",
    "tools": [*TOOLS],
    "task_id": TASK,
    "status": "COMPLETED",
    "video": f"http://127.0.0.1:8000/sandbox/{TASK}/video.mp4?Expires=4102444800&Signature=sandbox",
    "next": f"Show the user the video as a Markdown link, for fresh ones ask with task_id {TASK} again.",
    "progress": ["0 frames · started just now", "1 frame · started 10 s ago", "2 frames so far"],
    "calls": 2,
    "failure": "Error: " + "\n\n".join(TEXTS[KeyMissing]),
}


def test_each_mode_of_each_client_has_a_row() -> None:
    """Ours: rows follow the order of `clients.json` and show the version pinned there."""
    assert [row[:2] for row in ROWS] == [[title, it.version] for it in clients() for title in it.modes.values()]


def test_each_client_works_at_a_supported_revision() -> None:
    """Ours: a failing client is a bug of this server until proven otherwise."""
    assert [row for row in ROWS if row[2] not in SUPPORTED_VERSIONS or row[3] != "works"] == []


def test_every_package_is_pinned() -> None:
    """Ours: the table must show the versions that actually ran."""
    packages = [package for client in clients() for package in (*client.pip, *client.npm)]
    assert [package for package in packages if not re.fullmatch(r".+(==|@)\d+\.\d+\.\d+", package)] == []


def test_each_documented_program_uses_the_pinned_package() -> None:
    """Ours: docs/connect.md names the pinned package and its major version (for 0.x, the minor version)."""
    sections = {client.section: client for client in clients() if client.section}
    assert {block.headings[-1] for block in documented.blocks()} == set(sections)
    text = pages.page("docs/connect.md")
    for section, client in sections.items():
        package, version = re.split("==|@(?=\\d)", (client.pip or client.npm)[0])
        major = re.match(r"0\.\d+|[1-9]\d*", version)
        assert major
        words = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
        assert f"`{package}` {major[0]}" in words or f"{package}@{major[0]} " in words, section


def test_each_coding_agent_runs_its_documented_configuration() -> None:
    """Ours: coding agents start slowly, so they are exactly the heavy clients."""
    assert {client.configured for client in clients() if client.heavy} == set(documented.AGENTS)


def test_a_configured_client_gets_the_blocks_of_its_section() -> None:
    """Ours: blocks of docs/connect.md are passed unchanged, so a run shows whether the client accepts them."""
    blocks = {client.name: client.blocks for client in clients() if client.blocks}
    assert set(blocks) == {"mcpo", "claude-code", "codex", "gemini-cli", "opencode"}
    ((codex,), texts) = blocks["codex"], [block.text for block in documented.of("Codex")]
    assert (json.loads(codex), len(texts)) == (texts, 2)


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        pytest.param("task_id: sandbox-1795000000001\nThe job has started.\n", True, id="plain text"),
        pytest.param('{"text": "task_id: sandbox-1795000000001\\nThe job has started."}', True, id="text inside JSON"),
        pytest.param("task_id: sandbox-1795000000001\n", False, id="one line missing"),
        pytest.param("task_id: \nThe job has started.\n", False, id="no job id"),
        pytest.param("", False, id="no output"),
    ],
)
def test_a_program_must_show_every_line_of_the_answer(printed: str, shown: bool) -> None:
    """Ours: the job's id may differ, because each call starts a new job. A traceback is a failure."""
    answer = "task_id: sandbox-1795000000000\nThe job has started.\n"
    assert documented.shows(Ended(0, printed, ""), answer) is shown
    assert not documented.shows(Ended(1, printed, "Traceback (most recent call last):"), answer)


def test_the_page_describes_the_agent_that_repeats_a_call() -> None:
    """Ours: the agent's number of retries, and the time that Scenext takes."""
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    program = (ENVIRONMENTS.parent / "programs" / repeated.PROGRAM).read_text(encoding="utf-8")
    retries = re.search(r"(?m)^RETRIES = (\d)$", program)
    assert retries
    assert f"With `max_retry_attempts={retries[1]}`, `{repeated.CLIENT}` repeats a call" in text
    assert f"Scenext takes {repeated.SECONDS} seconds to start a job" in text


def test_the_translation_has_the_same_table() -> None:
    """Ours: each run writes both tables."""
    found = re.search(r"(?m)(?:^\|.*\n)+", PAGE.read_text(encoding="utf-8"))
    assert found
    assert chinese(found[0]) in TRANSLATION.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("found", "cells"),
    [
        pytest.param([("", True), ("", True)], "works | shown", id="progress shown"),
        pytest.param([("", False), ("", False)], "works | –", id="no progress"),
        pytest.param([("", True), ("hung", False)], "fails at `/mcp/` | shown", id="failure at one path"),
        pytest.param([("hung", False), ("hung", False)], "fails at `/mcp` and `/mcp/` | –", id="failure at both paths"),
    ],
)
def test_a_row_shows_the_result_at_each_path(found: list[tuple[str, bool]], cells: str) -> None:
    """Ours: a dash means that no progress was shown."""
    client = clients()[0]
    mode, title = next(iter(client.modes.items()))
    outcomes = [Outcome("2026-07-28", problem or None, progress) for problem, progress in found]
    row = table({(client, mode): outcomes}).splitlines()[-1]
    assert row == f"| {title} | {client.version} | 2026-07-28 | {cells} |"


def test_a_new_table_replaces_the_previous_one(tmp_path: Path) -> None:
    """Ours: the text around it stays, and a backslash in the table is not read as an escape."""
    page = tmp_path / "page.md"
    page.write_text("Above\n\n| a |\n|---|\n| b |\n\nbelow\n", encoding="utf-8")
    put("| \\1 |\n|---|\n", page)
    assert page.read_text(encoding="utf-8") == "Above\n\n| \\1 |\n|---|\n\nbelow\n"


def test_a_page_without_a_table_is_rejected(tmp_path: Path) -> None:
    """Ours: otherwise a missing table would go unnoticed."""
    page = tmp_path / "page.md"
    page.write_text("words\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"^page\.md has 0 tables$"):
        put("| a |\n", page)


def test_a_valid_report_is_accepted() -> None:
    """Ours: a client may add its own words around the failure text and list the tools in any order."""
    assert judge(REPORT) is None
    assert judge({**REPORT, "tools": [*reversed(TOOLS)]}) is None


def test_a_client_keeps_values_of_unexpected_types() -> None:
    """Ours: clients validate results against the output schema, and Scenext may send any type."""
    seen = {"task_id": ODD["task_id"], "status": ODD["status"], "video": ODD["result"]["video_url"]}
    assert judge_odd(seen) is None
    assert judge_odd({**seen, "status": "COMPLETED"}) == "the odd job is ['odd-1', 'COMPLETED', 5]"


def test_a_client_may_lack_a_progress_handler() -> None:
    """Ours: such a client reports null. A report without the field is invalid."""
    assert judge({**REPORT, "progress": None}) is None
    silent = {name: value for name, value in REPORT.items() if name != "progress"}
    assert judge(silent) == "progress is None"


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"revision": None}, id="no revision"),
        pytest.param({"tools": ["gen_video"]}, id="missing tools"),
        pytest.param({"task_id": "sandbox-completed"}, id="job not started by this run"),
        pytest.param({"status": "IN_PROGRESS"}, id="job not completed"),
        pytest.param({"video": "http://127.0.0.1:8000/sandbox/sandbox-completed/video.mp4?"}, id="another job's video"),
        pytest.param({"next": None}, id="no next step"),
        pytest.param({"next": f"Call again with task_id {TASK}."}, id="next step of a pending job"),
        pytest.param({"next": "Show the user the video as a Markdown link."}, id="next step without the job id"),
        pytest.param({"progress": []}, id="handler without progress"),
        pytest.param({"progress": ["2 frames so far", None]}, id="progress without a message"),
        pytest.param({"calls": 5}, id="too many calls"),
        pytest.param({"calls": None}, id="calls not counted"),
        pytest.param({"failure": "Bad Request"}, id="unrelated failure text"),
        pytest.param({"failure": TEXTS[KeyMissing].english}, id="failure text in one language"),
    ],
)
def test_an_invalid_report_is_rejected(wrong: Mapping[str, Any]) -> None:
    """Ours: the reason names the field."""
    problem = judge({**REPORT, **wrong})
    assert problem is not None
    assert problem.startswith(f"{next(iter(wrong))} is ")
