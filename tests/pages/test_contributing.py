"""CONTRIBUTING.md and docs/maintaining.md: their files exist, and the steps for a new tool are complete."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import pages

TEXT = pages.page("CONTRIBUTING.md")
BLOCKS = pages.blocks(TEXT)
MAINTAINING = pages.page("docs/maintaining.md")
MOST_STEPS = 5  # readers skip a longer procedure


def steps(text: str, heading: str) -> list[str]:
    """Return the numbered steps below a heading."""
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\d\. .+$", section, re.MULTILINE)


# A program in a line of the gate.
RUN = re.compile(
    r"python3? (?:-m (?:pytest|tests\.[\w.]+)|\.ci/\w+\.py)(?: -m \w+| -q| \d+)*|pre-commit run|coverage run -m pytest"
)


def programs(gate: str) -> list[str]:
    """Return the commands that a gate runs, without their path arguments."""
    return [found for line in gate.splitlines() if not line.lstrip().startswith("#") for found in RUN.findall(line)]


GATE = pages.page("noxfile.py")
(STEPS,) = (table for table in pages.tables(MAINTAINING) if table.headings[-1] == "Checks")


def test_the_page_names_every_program_of_the_gate() -> None:
    """Ours: the page lists every program and no other, so that a new maintainer knows them all."""
    assert sorted(STEPS.column(1)) == sorted(programs(GATE))
    assert len(STEPS.rows) >= 12


def test_the_page_names_every_session() -> None:
    """Ours: with the name that `nox -s` accepts. `build` is for the workflow of a release."""
    sessions = re.findall(r"^@nox\.session.*\ndef (\w+)\(", GATE, re.MULTILINE)
    assert sorted(STEPS.column(0)) == sorted({*sessions} - {"build"})
    named = re.findall(r"nox -s ([a-z]+)", TEXT + MAINTAINING + pages.page(".github/pull_request_template.md"))
    assert [name for name in named if name not in sessions] == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        pytest.param("  .venv/bin/python -m pytest -q", ["python -m pytest -q"], id="suite"),
        pytest.param('timed "Load" python -m pytest -m load', ["python -m pytest -m load"], id="after-a-word"),
        pytest.param('python3 .ci/readme_run.py "$work/run"', ["python3 .ci/readme_run.py"], id="path-argument"),
        pytest.param("python -m tests.interop.new.run", ["python -m tests.interop.new.run"], id="new-program"),
        pytest.param("  # python -m tests.live.fuzz 120", [], id="comment"),
        pytest.param("python3 -m venv .venv", [], id="no-program"),
    ],
)
def test_a_program_of_the_gate_is_found_by_its_command(line: str, found: list[str]) -> None:
    """Ours: a pattern that finds nothing would make the comparison above pass."""
    assert programs(line) == found


def test_the_page_lists_the_packages_that_need_root() -> None:
    """Ours: a reader knows before the run. The packages are in `debian.txt` in the program's folder."""
    cells = dict(zip(STEPS.column(1), STEPS.column(4), strict=True))
    for program, cell in cells.items():
        module = program.removeprefix("python -m ").split()[0]
        listed = pages.ROOT.joinpath(*module.split(".")[:-1], "debian.txt")
        wanted = listed.read_text(encoding="utf-8").split() if listed.is_file() else []
        assert [name for name in wanted if name not in re.findall(r"[\w.+-]+", cell)] == [], program
        assert (cell == "–") is not bool(wanted), program


def test_the_page_gives_the_duration_and_purpose_of_each_program() -> None:
    """Ours: durations are in minutes, as measured by `.ci/run`."""
    assert [cell for cell in STEPS.column(5) if not re.fullmatch(r"\d+( for each)?", cell)] == []
    assert "" not in STEPS.column(2) + STEPS.column(3)


@pytest.mark.parametrize(
    ("text", "heading"),
    [
        pytest.param(TEXT, "Pull request", id="pull-request"),
        pytest.param(TEXT, "Add a tool", id="tool"),
        pytest.param(TEXT, "Add a client", id="client"),
        pytest.param(MAINTAINING, "Protocol revisions", id="revision"),
    ],
)
def test_each_procedure_has_few_steps(text: str, heading: str) -> None:
    """Ours: readers skip a long procedure."""
    assert 1 < len(steps(text, heading)) <= MOST_STEPS


def test_the_command_for_one_test_runs_one_test() -> None:
    """Ours: the test name in it becomes outdated when the test moves."""
    (block,) = [block for block in BLOCKS if block.headings[-1] == "The code"]
    python, *arguments = shlex.split(block.text)
    assert python == ".venv/bin/python"
    run = subprocess.run(
        [sys.executable, *arguments], cwd=pages.ROOT, capture_output=True, check=False, text=True, timeout=60
    )
    assert (run.returncode, re.findall(r"\d+ passed", run.stdout)) == (0, ["1 passed"])


@pytest.mark.parametrize(
    ("rule", "setting"),
    [
        pytest.param(r"A line has at most (\d+) columns", ("pyproject.toml", r"line-length = (\d+)"), id="columns"),
        pytest.param(r"a function (\d+) lines", ("tests/test_house.py", r"LONGEST_FUNCTION = (\d+)"), id="function"),
    ],
)
def test_the_limits_in_the_house_rules_match_the_checks(rule: str, setting: tuple[str, str]) -> None:
    """Ours: a rule with a limit other than that of its check misleads."""
    page, pattern = setting
    assert re.findall(rule, TEXT) == re.findall(pattern, pages.page(page))
    assert len(re.findall(rule, TEXT)) == 1


@pytest.mark.parametrize("text", [pytest.param(TEXT, id="contributing"), pytest.param(MAINTAINING, id="maintaining")])
def test_every_named_file_exists(text: str) -> None:
    """Ours: a file name on the page becomes outdated when the file moves."""
    named = re.findall(r"`((?:tests|scenext_service|docs|benchmarks|\.ci)/[\w./*-]*)`", text)
    modules = [name.replace(".", "/") + ".py" for name in re.findall(r"`python -m (tests[\w.]+)", text)]
    assert named
    assert modules
    assert [name for name in [*named, *modules] if not [*pages.ROOT.glob(name)]] == []


def written(language: str) -> list[str]:
    """Return the code blocks of a language below "Add a tool"."""
    return [block.text for block in BLOCKS if block.headings[-1] == "Add a tool" and block.language == language]


def apply(path: Path, diff: str) -> None:
    """Replace the lines of a diff that start with a minus by those that start with a plus."""
    old, new = ("".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] == sign) for sign in "-+")
    replace(path, old, new, 'CONTRIBUTING.md, "Add a tool": update the diffs, which no longer fit')


def replace(path: Path, old: str, new: str, problem: str = "the sample no longer fits") -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{problem} {path.name}. It has no line {old}"
    path.write_text(source.replace(old, new), encoding="utf-8")


def add_the_tool(root: Path) -> None:
    """Perform steps 1 and 2 of "Add a tool" in a copy, and add the golden exchange of step 3."""
    tools = root / "scenext_service" / "tools"
    (source,), (exchange,) = written("python"), written("json")
    (tools / "count_words.py").write_text(source, encoding="utf-8")
    for diff in written("diff"):
        apply(tools / "__init__.py", diff)
    (root / "tests" / "exchanges" / "legacy-count-words.json").write_text(exchange, encoding="utf-8")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package and of the tests that need no other programs."""
    no_programs = shutil.ignore_patterns("interop", "live", "__pycache__")
    for name in ("scenext_service", "tests"):
        shutil.copytree(pages.ROOT / name, tmp_path / name, ignore=no_programs)
    shutil.copy(pages.ROOT / "setup.cfg", tmp_path)
    return tmp_path


def replay_its_exchange(root: Path) -> str:
    """Run the test of the tool's golden exchange in a copy; return the output."""
    test = "tests/test_exchanges.py::test_the_answer_is_the_golden_one[legacy-count-words]"
    environment = {**os.environ, "PYTHONPATH": str(root)}  # before an installation of the original
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        cwd=root,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    return run.stdout + run.stderr


def test_the_tool_on_the_page_works(copy: Path) -> None:
    """Ours: after the steps of the page, its golden exchange passes."""
    add_the_tool(copy)
    output = replay_its_exchange(copy)
    assert "1 passed" in output, f'CONTRIBUTING.md, "Add a tool": the sample fails:\n{output}'


@pytest.mark.live
def test_a_wrong_tool_on_the_page_would_be_noticed(copy: Path) -> None:
    """Ours: a check that cannot fail is no check."""
    add_the_tool(copy)
    replace(copy / "scenext_service" / "tools" / "count_words.py", '{"count": count}', '{"words": count}')
    assert "1 failed" in replay_its_exchange(copy)
