"""The README: its examples are golden exchanges, its tables are the code's."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from scenext_service import sandbox
from scenext_service.config import Config, from_env

from . import readme

ROOT = Path(__file__).parent.parent
TEXT = readme.README.read_text(encoding="utf-8")
EXCHANGES = [json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "tests" / "exchanges").glob("*.json")]


def table(header: str) -> dict[str, list[str]]:
    """Return the rows of the table with this header: the word in the first cell, without ticks, to the other cells."""
    lines = TEXT[TEXT.index(header) :].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {row[0].strip("` "): [cell.strip("` |") for cell in row[1:]] for row in rows}


@pytest.mark.parametrize("number", range(3))
def test_an_example_is_a_golden_exchange(number: int) -> None:
    """Ours: what the README shows is what the replayed exchange says."""
    example = readme.examples()[number]
    sent: dict[str, Any] = {
        "method": "POST",
        "path": example.path,
        "headers": example.headers,
        "body": example.body,
    }
    answers = [exchange["response"]["body"] for exchange in EXCHANGES if exchange["request"] == sent]
    assert answers == [example.answer]


def test_there_are_three_examples() -> None:
    """Ours: modern gen_video, modern query_video_status, legacy initialize."""
    said = [(example.body["method"], example.body["params"].get("name")) for example in readme.examples()]
    assert said == [("tools/call", "gen_video"), ("tools/call", "query_video_status"), ("initialize", None)]


def test_the_commands_are_one_line_each() -> None:
    """Ours: one line sets up and runs, one line sets up and tests."""
    assert readme.command("Run").count("\n") == readme.command("Test").count("\n") == 1


def test_every_json_block_parses() -> None:
    """Ours: a reader pastes them."""
    found = [json.loads(block.text) for block in readme.blocks(TEXT) if block.language == "json"]
    assert len(found) >= 4


def test_the_table_of_variables_is_that_of_the_code() -> None:
    """Ours: every variable that is read is documented with its default, and none that is not."""
    documented = table("| variable | default | meaning |")
    source = (ROOT / "scenext_service" / "config.py").read_text(encoding="utf-8")
    source += (ROOT / "gunicorn.conf.py").read_text(encoding="utf-8")
    assert set(documented) == set(re.findall(r'"(SCENEXT_[A-Z_]+|PORT|WEB_CONCURRENCY)"', source))
    usable = {name: cells[0] for name, cells in documented.items() if cells[0] != "none"}
    assert from_env(usable) == Config()
    assert {name: cells[0] for name, cells in documented.items() if cells[0] == "none"} == {
        "SCENEXT_API_KEY": "none",
        "SCENEXT_ACCESS_TOKEN": "none",
        "SCENEXT_ALLOWED_ORIGINS": "none",
        "PORT": "none",
    }
    assert len(fields(Config)) == len(documented)  # PORT is `public`; WEB_CONCURRENCY is gunicorn's, `max_body` fixed


def test_the_tables_of_the_sandbox_are_those_of_the_code() -> None:
    """Ours: the documented ids and keys are all there are."""
    assert {name: cells[0] for name, cells in table("| `task_id` | outcome |").items()} == dict(sandbox.OUTCOMES)
    assert set(table("| key | outcome |")) == {sandbox.REFUSED_KEY, sandbox.NO_CREDIT_KEY}
