"""CONTRIBUTING.md: its commands are the README's, and what it says of a new tool and a new revision is enough."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support import pages
from tests.support.names import MODERN, SUPPORTED, TOOLS

TEXT = pages.page("CONTRIBUTING.md")
BLOCKS = pages.blocks(TEXT)


def steps(heading: str) -> list[str]:
    """Return the numbered lines below a heading."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\d\. .+$", section, re.MULTILINE)


def test_the_two_commands_are_those_of_the_readme() -> None:
    """Ours: said once, run by the continuous integration."""
    commands = [block.text for block in BLOCKS if "The two commands" in block.headings]
    assert commands == [pages.command("Run"), pages.command("Test")]


# How a line of the gate names a program, wherever in it.
RUN = re.compile(
    r"python3? (?:-m (?:pytest|tests\.[\w.]+)|\.ci/\w+\.py)(?: -m \w+| -q| \d+)*|pre-commit run|coverage run -m pytest"
)


def programs(gate: str) -> list[str]:
    """Return the programs that a gate runs, as it writes them, without the folders that it gives them."""
    return [found for line in gate.splitlines() if not line.lstrip().startswith("#") for found in RUN.findall(line)]


GATE = pages.page(".ci/gate.py")
(STEPS,) = (table for table in pages.tables(TEXT) if table.headings[-1] == "Before a commit")


def test_the_page_names_every_program_of_the_gate() -> None:
    """Ours: and no other; who takes it over knows what there is."""
    assert sorted(STEPS.column(0)) == sorted(programs(GATE))
    assert len(STEPS.rows) >= 12


@pytest.mark.parametrize(
    ("line", "found"),
    [
        pytest.param("  .venv/bin/python -m pytest -q", ["python -m pytest -q"], id="suite"),
        pytest.param('timed "Load" python -m pytest -m load', ["python -m pytest -m load"], id="behind-a-word"),
        pytest.param('python3 .ci/readme_run.py "$work/run"', ["python3 .ci/readme_run.py"], id="a-folder"),
        pytest.param("python -m tests.interop.new.run", ["python -m tests.interop.new.run"], id="a-new-one"),
        pytest.param("  # python -m tests.live.fuzz 120", [], id="a-comment"),
        pytest.param("python3 -m venv .venv", [], id="no-program"),
    ],
)
def test_a_program_of_the_gate_is_known_by_its_command(line: str, found: list[str]) -> None:
    """Ours: a rule that finds nothing holds nothing."""
    assert programs(line) == found


def test_the_page_says_what_a_program_installs_as_root() -> None:
    """Ours: nobody runs one unawares; what it is stands in the program's own folder."""
    said = dict(zip(STEPS.column(0), STEPS.column(3), strict=True))
    for program, cell in said.items():
        module = program.removeprefix("python -m ").split()[0]
        listed = pages.ROOT.joinpath(*module.split(".")[:-1], "debian.txt")
        wanted = listed.read_text(encoding="utf-8").split() if listed.is_file() else []
        assert [name for name in wanted if name not in re.findall(r"[\w.+-]+", cell)] == [], program
        assert (cell == "–") is not bool(wanted), program


def test_the_page_says_how_long_each_takes_and_what_needs_it() -> None:
    """Ours: in minutes; `.ci/run` measures them."""
    assert [cell for cell in STEPS.column(4) if not re.fullmatch(r"\d+( for each)?", cell)] == []
    assert "" not in STEPS.column(1) + STEPS.column(2)


@pytest.mark.parametrize(("heading", "number"), [("Add a tool", 4), ("Add a protocol revision", 5)])
def test_each_takes_a_few_steps(heading: str, number: int) -> None:
    """Ours: more than five are not read."""
    assert len(steps(heading)) == number


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


def written(heading: str, language: str) -> list[str]:
    """Return the blocks of a language below a heading."""
    return [block.text for block in BLOCKS if block.headings[-1] == heading and block.language == language]


def insert(path: Path, anchor: str, text: str) -> None:
    """Put a text behind the one place where an anchor is."""
    replace(path, anchor, anchor + text)


def replace(path: Path, old: str, new: str) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{path}: {old}"
    path.write_text(source.replace(old, new), encoding="utf-8")


def add_the_tool(root: Path, name: str = "count_words") -> None:
    """Take steps 1 and 2 of "Add a tool"."""
    tools = root / "scenext_service" / "tools"
    (source,) = written("Add a tool", "python")
    (tools / f"{name}.py").write_text(source.replace("count_words", name), encoding="utf-8")
    insert(tools / "__init__.py", "\nfrom . import ", f"{name}, ")
    insert(tools / "__init__.py", "    return [\n", f"        {name}.tool(),\n")


def add_the_revision(root: Path, version: str = "2027-01-31") -> None:
    """Take step 1 of "Add a protocol revision"."""
    path = root / "scenext_service" / "mcp" / "modern.py"
    source = path.read_text(encoding="utf-8")
    changed, count = re.subn(r"\nVERSIONS = \((.+?),?\)\n", rf'\nVERSIONS = ("{version}", \1)\n', source)
    assert count == 1
    path.write_text(changed, encoding="utf-8")


def add_the_era(root: Path, name: str = "future", version: str = "2027-12-31") -> None:
    """Add the module, and the entry."""
    mcp = root / "scenext_service" / "mcp"
    (source,) = written("Add a protocol revision", "python")
    source = source.replace("2027-12-31", version).replace('"future"', f'"{name}"')
    (mcp / f"{name}.py").write_text(source, encoding="utf-8")
    insert(mcp / "dispatch.py", "\nfrom . import ", f"{name}, ")
    insert(mcp / "dispatch.py", "\nERAS = (", f"{name}, ")


def test_the_changes_of_the_page_are_those_that_are_tried_below(package: Path) -> None:
    """Ours: each line that the page adds is in the code once the steps are taken."""
    add_the_tool(package)
    add_the_revision(package)
    add_the_era(package)
    code = "".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    diffs = written("Add a tool", "diff") + written("Add a protocol revision", "diff")
    starts = [line[1:].split(",")[0] for diff in diffs for line in diff.splitlines() if line[0] == "+"]
    assert [start for start in starts if start not in code] == []
    assert len(starts) == 6


ASK = """
import json, sys
import scenext_service
from scenext_service.config import Config

request = json.load(sys.stdin)
client = scenext_service.create_app(Config(sandbox=True)).test_client()
answer = client.open(request["path"], method="POST", headers=request["headers"], json=request["body"])
types = {"Content-Type": answer.headers["Content-Type"]}
said = {"status": answer.status_code, "headers": types, "body": answer.get_json()}
print(json.dumps([scenext_service.__file__, said]))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package in it."""
    shutil.copytree(pages.ROOT / "scenext_service", tmp_path / "scenext_service")
    return tmp_path


def ask(root: Path, request: Any) -> Any:
    """Send a request to the package in a folder; return the answer as golden exchanges write it."""
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=root, input=json.dumps(request), capture_output=True, check=True, text=True
    )
    place, said = json.loads(done.stdout.splitlines()[-1])
    assert Path(place).is_relative_to(root.resolve())
    return said


def post(method: str, headers: dict[str, str], params: Any) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return {"path": "/mcp", "headers": {"Content-Type": "application/json", **headers}, "body": body}


def test_the_tool_of_the_page_is_a_file_and_a_line(package: Path) -> None:
    """Ours: it is listed, and answers as the golden exchange of the page says."""
    add_the_tool(package)
    listed = ask(package, post("tools/list", {}, {}))["body"]["result"]["tools"]
    assert [tool["name"] for tool in listed] == ["count_words", *TOOLS]
    (golden,) = map(json.loads, written("Add a tool", "json"))
    assert golden["why"]
    assert ask(package, golden["request"]) == golden["response"]


def test_the_revision_of_the_page_is_one_entry(package: Path) -> None:
    """Ours: of a known era; the newest is named first."""
    add_the_revision(package)
    version = "2027-01-31"
    meta = {"io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {}}
    headers = {"MCP-Protocol-Version": version, "Mcp-Method": "server/discover"}
    said = ask(package, post("server/discover", headers, {"_meta": meta}))
    assert said["status"] == 200
    versions = said["body"]["result"]["supportedVersions"]
    assert versions.pop(versions.index(MODERN[0]) - 1) == version
    assert versions == list(SUPPORTED)


def test_the_era_of_the_page_is_a_module_and_one_entry(package: Path) -> None:
    """Ours: it takes the requests that it owns, and leaves the others alone."""
    add_the_era(package)
    new = ask(package, post("tools/list", {"MCP-Protocol-Version": "2027-12-31"}, {}))
    old = ask(package, post("tools/list", {}, {}))
    assert (new["status"], new["body"]) == (200, old["body"])
    unknown = ask(package, post("ping", {"MCP-Protocol-Version": "2027-12-31"}, {}))
    assert (unknown["status"], unknown["body"]["error"]["code"]) == (400, -32601)
    assert ask(package, post("ping", {}, {}))["status"] == 200


@pytest.mark.copy
def test_all_steps_of_the_page_leave_every_check_green(tmp_path: Path) -> None:
    """Ours: a tool, a revision and an era, added as the page says; the whole suite, lint and types, in a copy."""
    root = tmp_path / "copy"
    run = partial(subprocess.run, cwd=root, check=True, capture_output=True, text=True)
    subprocess.run(["git", "clone", "--quiet", str(pages.ROOT), str(root)], check=True)
    add_the_tool(root, "count_lines")
    add_the_revision(root, "2027-06-30")
    add_the_era(root, "later", "2028-01-31")
    names = root / "tests" / "support" / "names.py"
    insert(names, "\nTOOLS = (", '"count_lines", ')
    replace(names, '\nMODERN = ("2026-07-28",)', '\nMODERN = ("2027-06-30", "2026-07-28")')
    insert(names, "\nSUPPORTED = (", '"2028-01-31", ')
    (golden,) = written("Add a tool", "json")
    exchange = root / "tests" / "exchanges" / "legacy-count-lines.json"
    exchange.write_text(golden.replace("count_words", "count_lines"), encoding="utf-8")
    run([sys.executable, "-m", "tests.exchanges.write"])
    for page, row in {
        "README.md": "| says how many words | `text` | no |",
        "README.zh.md": "| 统计词数 | `text` | 否 |",
    }.items():
        replace(root / page, "| `query_video_status` |", f"| `count_lines` {row}\n| `query_video_status` |")
    for page in ("protocol.md", "protocol.zh.md"):
        replace(root / "docs" / page, "MCP 2026-07-28", "MCP 2028-01-31, 2027-06-30, 2026-07-28")
    run(["git", "add", "--all"])
    for check in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"], ["pytest", "-q", "-ra"]):
        done = run([sys.executable, "-m", *check], check=False)
        assert done.returncode == 0, f"{check}\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
