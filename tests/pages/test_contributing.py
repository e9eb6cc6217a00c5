"""CONTRIBUTING.md: its commands are the README's, and what it says of a new tool and a new revision is enough."""

import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import pages
from tests.support.messages import serve

TEXT = pages.page("CONTRIBUTING.md")
BLOCKS = pages.blocks(TEXT)

IMPORTS = "from typing import Any\n\nfrom scenext_service.mcp import Call, Tool, ToolResult\n\n\n"

DISCOVER = """
import json
import scenext_service
from scenext_service.config import Config

version = "2027-01-31"
meta = {"io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {}}
body = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}}
headers = {"MCP-Protocol-Version": version, "Mcp-Method": "server/discover"}
client = scenext_service.create_app(Config()).test_client()
answer = client.post("/mcp", json=body, headers=headers)
print(json.dumps([scenext_service.__file__, answer.status_code, answer.get_json()["result"]["supportedVersions"]]))
"""


def steps(heading: str) -> list[str]:
    """Return the numbered lines below a heading."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\d\. .+$", section, re.MULTILINE)


def test_the_two_commands_are_those_of_the_readme() -> None:
    """Ours: said once, run by the continuous integration."""
    commands = [block.text for block in BLOCKS if "The two commands" in block.headings]
    assert commands == [pages.command("Run"), pages.command("Test")]


@pytest.mark.parametrize("heading", ["Add a tool", "Add a protocol revision"])
def test_each_takes_five_lines(heading: str) -> None:
    """Ours: more than that, nobody reads."""
    assert len(steps(heading)) == 5


def test_the_command_for_one_test_runs_one_test() -> None:
    """Ours: the first of the two; a name in it goes stale when a test moves."""
    block = next(block for block in BLOCKS if block.headings[-1] == "The tests")
    python, *arguments = shlex.split(block.text.splitlines()[0])
    assert python == ".venv/bin/python"
    run = subprocess.run(
        [sys.executable, *arguments], cwd=pages.ROOT, capture_output=True, check=False, text=True, timeout=60
    )
    assert (run.returncode, re.findall(r"\d+ passed", run.stdout)) == (0, ["1 passed"])


@pytest.mark.parametrize(
    ("rule", "setting"),
    [
        pytest.param(r"A line has at most (\d+) columns", ("pyproject.toml", r"line-length = (\d+)"), id="columns"),
        pytest.param(r"a module (\d+) lines", ("tests/test_house.py", r"LONGEST_MODULE, \w+ = (\d+)"), id="module"),
        pytest.param(r"a function (\d+)\.", ("tests/test_house.py", r"LONGEST_FUNCTION = \d+, (\d+)"), id="function"),
    ],
)
def test_the_numbers_of_the_house_rules_are_those_that_are_checked(rule: str, setting: tuple[str, str]) -> None:
    """Ours: a rule that says another number than its check misleads."""
    page, pattern = setting
    assert re.findall(rule, TEXT) == re.findall(pattern, pages.page(page))
    assert len(re.findall(rule, TEXT)) == 1


def test_every_file_that_is_named_is_there() -> None:
    """Ours: a page about files goes stale when one moves."""
    named = re.findall(r"`((?:tests|scenext_service|\.ci)/[\w./]*)`", TEXT)
    assert len(named) > 5
    assert [name for name in named if not (pages.ROOT / name).exists()] == []
    modules = re.findall(r"`python -m ([\w.]+)`", TEXT)
    assert [name for name in modules if not (pages.ROOT / f"{name.replace('.', '/')}.py").is_file()] == []


def test_the_tool_of_the_example_works_as_its_golden_exchange_says(tmp_path: Path) -> None:
    """Ours: a new tool is one function, one `Tool(...)` and one golden exchange."""
    source, golden = (next(block.text for block in BLOCKS if block.language == name) for name in ("python", "json"))
    program = tmp_path / "count_words.py"
    program.write_text(IMPORTS + source, encoding="utf-8")
    tool = runpy.run_path(str(program))["COUNT_WORDS"]
    exchange = json.loads(golden)
    sent, expected = exchange["request"], exchange["response"]
    answer = serve(tool).client.open(sent["path"], method=sent["method"], headers=sent["headers"], json=sent["body"])
    headers = {name: answer.headers.get(name) for name in expected["headers"]}
    assert {"status": answer.status_code, "headers": headers, "body": answer.get_json()} == expected
    assert exchange["why"]


def test_a_protocol_revision_is_one_entry(tmp_path: Path) -> None:
    """Ours: of a known era. The change of the page, made to a copy of the package, makes it speak the revision."""
    change = next(block.text for block in BLOCKS if block.language == "diff")
    old, new = change.splitlines()
    shutil.copytree(pages.ROOT / "scenext_service", tmp_path / "scenext_service")
    eras = tmp_path / "scenext_service" / "mcp" / "eras.py"
    source = eras.read_text(encoding="utf-8")
    assert source.count(f"{old[1:]}\n") == 1
    eras.write_text(source.replace(old[1:], new[1:]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", DISCOVER], cwd=tmp_path, capture_output=True, check=True, text=True, timeout=60
    )
    package, status, versions = json.loads(done.stdout.splitlines()[-1])
    assert Path(package).is_relative_to(tmp_path.resolve())
    assert (status, versions[:2]) == (200, ["2027-01-31", "2026-07-28"])
