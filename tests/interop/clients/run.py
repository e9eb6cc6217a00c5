"""Run third-party MCP clients against the service and write the table of results.

    python -m tests.interop.clients.run

Sets up every client of `clients.json` in its own environment below `.environments/`, which is kept until its packages
change. Starts a real gunicorn with the shipped configuration in the sandbox. Each client lists the tools, starts a
video, follows it until it is COMPLETED, and meets a failure: no key. It follows the job with calls that wait, shows
their progress if it has a handler, and reads the next step as its model would.

Each mode of a client does so at `/mcp` and at `/mcp/`, with the program in `programs/` that a newcomer to the client
would write. It also runs once against a simulated Scenext whose values have other types than the reference documents.
No client may reject those. The programs of `docs/connect.md` run in parallel, in the same environments
(`documented.py`), and an agent repeats a call that it has ended (`repeated.py`). Prints the table and writes it into
`docs/works-with.md` and its translation. Exits with status 1 if anything fails.

A coding agent does the same with a scripted model, which `programs/agent.mjs` serves on loopback. The model calls the
tools and reports the results that the agent gives it. The agent's configuration is the one in `docs/connect.md`.

`fastmcp-tasks`, `ext-tasks` and the Inspector follow the video as a task, so their single tool call returns it.
`tasks.py` does the same with Claude Code, in more scenarios.

Needs Node 22 or newer and npm. The `interop` extra of setup.cfg installs both.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenext_service.scenext.failures import KeyMissing
from scenext_service.tools.failure_texts import TEXTS
from tests.support.names import TOOLS
from tests.support.pages import ROOT
from tests.support.server import Server, running
from tests.support.upstream import Upstream, answer

from . import documented, repeated
from .processes import RUN_TIMEOUT, execute

HERE = Path(__file__).parent
PAGE, TRANSLATION = ROOT / "docs" / "works-with.md", ROOT / "docs" / "works-with.zh.md"
ENVIRONMENTS = HERE / ".environments"

PATHS = ("/mcp", "/mcp/")
KEY = "any-key-will-do"

INSTALLS = 3  # concurrent installations
INSTALL_TIMEOUT = 600  # seconds for one environment

# Concurrent runs. They spend most of their time waiting for a job of the sandbox, which takes a minute.
RUNS = 18
HEAVY_RUNS = 3  # in addition to RUNS
NO_WAITS = {"SCENEXT_MAX_WAIT": "0", "SCENEXT_TASKS": "0"}
MOST_CALLS = 4  # to follow a job of the sandbox; two calls that wait are enough

Judge = Callable[[Mapping[str, Any]], str | None]  # returns the problems of a report, or None

# A job in which only the id has the documented type, both when it is started and when it is queried.
ODD: dict[str, Any] = {
    "task_id": "odd-1",
    "status": ["COMPLETED"],
    "message": {"odd": None},
    "progress": {"odd": 1},
    "points": "ten",
    "result": {"video_url": 5},
}

# The words of the table. The rest of it needs no translation.
CHINESE = {
    "| client | version | revision | result | progress |": "| 客户端 | 版本 | 协议版本 | 结果 | 进度 |",
    ", the bridge for Claude Desktop": "，Claude Desktop 的转接程序",
    ", the bridge for Open WebUI": "，Open WebUI 的转接程序",
    "`fastmcp` with `fastmcp-tasks`": "`fastmcp` 与 `fastmcp-tasks`",
    "Tasks extension `": "Tasks 扩展 `",
    "| works |": "| 通过 |",
    "| shown |": "| 显示 |",
    "| fails at ": "| 未通过：",
    " and ": "、",
    ", ": "，",
}


@dataclass(frozen=True, slots=True, eq=False)
class Client:
    """A client of `clients.json`.

    `modes` maps each argument of its program to the first cell of a row. `section` names the section of
    `docs/connect.md` whose blocks run in the client's environment. `configured` names the section whose blocks its
    program writes where the client reads its configuration. A `heavy` client takes seconds of a core to start.
    """

    name: str
    program: str
    header: str
    modes: Mapping[str, str]
    pip: Sequence[str] = ()
    npm: Sequence[str] = ()
    section: str | None = None
    configured: str | None = None
    heavy: bool = False

    @property
    def version(self) -> str:
        """Return the pinned version of the first package, which is the client's own."""
        return re.split("==|@", (self.pip or self.npm)[0])[-1]

    @property
    def environment(self) -> Path:
        """Return the folder of its packages."""
        return ENVIRONMENTS / self.name

    @property
    def blocks(self) -> list[str]:
        """Return the configuration blocks as one more argument in JSON, or an empty list if there are none."""
        texts = [block.text for block in documented.of(self.configured)] if self.configured else []
        return [json.dumps(texts)] if texts else []


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one run: the negotiated revision, the problem if any, and whether progress arrived."""

    revision: str
    problem: str | None
    progress: bool = False  # whether the client's handler received any


def clients() -> list[Client]:
    """Return the clients in the order of the table."""
    entries: list[dict[str, Any]] = json.loads((HERE / "clients.json").read_text(encoding="utf-8"))
    return [Client(**entry) for entry in entries]


def install(client: Client) -> None:
    """Set up a client's environment, unless it exists with the same packages. Raises RuntimeError."""
    target = client.environment
    pins = target / "pins.json"
    wanted = json.dumps([*client.pip, *client.npm])
    if not pins.exists() or pins.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        if client.pip:
            _command([sys.executable, "-m", "venv", "."], target)
            _command(["bin/pip", "install", "--quiet", "--disable-pip-version-check", *client.pip], target)
        else:
            (target / "package.json").write_text('{"private": true}\n', encoding="utf-8")
            _command(["npm", "install", "--no-fund", "--no-audit", "--save-exact", *client.npm], target)
        pins.write_text(wanted, encoding="utf-8")
    # Node resolves packages relative to a program's location. Copy all programs, because some share a module.
    shutil.copytree(HERE / "programs", target, dirs_exist_ok=True)


def _command(command: list[str], directory: Path) -> None:
    run = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)} in {directory.name}:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")


def attempt(client: Client, mode: str, url: str, judging: Judge) -> Outcome:
    """Run a client's program once and judge its report."""
    value = KEY if client.header == "X-API-Key" else f"Bearer {KEY}"
    try:
        arguments = [url, client.header, value, mode, *client.blocks]
        status, output, errors = execute([*_program(client), *arguments], client.environment)
    except subprocess.TimeoutExpired:
        return Outcome("", f"not finished after {RUN_TIMEOUT} seconds")
    try:
        report = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        return Outcome("", f"no report, exit status {status}: {output[-1000:]}{errors[-2000:]}")
    return Outcome(str(report.get("revision")), judging(report), bool(report.get("progress")))


def _program(client: Client) -> list[str]:
    """Return the command that runs a client's program, without its arguments."""
    if client.pip:
        return ["bin/python", "-I", client.program]
    return ["node", client.program]


def judge(report: Mapping[str, Any]) -> str | None:
    """Return the problems of a report, or None."""
    task_id = str(report.get("task_id"))
    step = str(report.get("next"))
    progress = report.get("progress", [])  # None if the client has no handler
    expected = {
        "revision": re.fullmatch(r"\d{4}-\d\d-\d\d", str(report.get("revision"))),
        "tools": sorted(report.get("tools") or []) == sorted(TOOLS),  # agents sort them
        "task_id": re.fullmatch(r"sandbox-\d{13}(-[\w-]+)?", task_id),
        "status": report.get("status") == "COMPLETED",
        "video": f"/sandbox/{task_id}/video.mp4?" in str(report.get("video")),
        "next": "Markdown link" in step and task_id in step,
        "progress": progress is None
        or (progress and all(re.match(r"\d+ frames? (so far|· started)", str(it)) for it in progress)),
        "calls": report.get("calls") in range(1, MOST_CALLS + 1),
        "failure": all(text in str(report.get("failure")) for text in TEXTS[KeyMissing]),
    }
    wrong = [f"{name} is {report.get(name)!r}" for name, right in expected.items() if not right]
    return "; ".join(wrong) or None


def judge_odd(report: Mapping[str, Any]) -> str | None:
    """Return the problem of a report of the odd job, or None."""
    found = [report.get(name) for name in ("task_id", "status", "video")]
    return None if found == [ODD["task_id"], ODD["status"], ODD["result"]["video_url"]] else f"the odd job is {found}"


def table(outcomes: Mapping[tuple[Client, str], list[Outcome]]) -> str:
    """Return the table, with one row for each client and mode, from the outcome at each path."""
    rows = ["| client | version | revision | result | progress |", "|---|---|---|---|---|"]
    for (client, mode), found in outcomes.items():
        failed = " and ".join(f"`{path}`" for path, outcome in zip(PATHS, found, strict=True) if outcome.problem)
        revisions = ", ".join(sorted({outcome.revision for outcome in found} - {""}))
        result = f"fails at {failed}" if failed else "works"
        progress = "shown" if any(outcome.progress for outcome in found) else "–"
        rows.append(f"| {client.modes[mode]} | {client.version} | {revisions} | {result} | {progress} |")
    return "\n".join(rows) + "\n"


def chinese(text: str) -> str:
    """Translate the table into Chinese."""
    for english, translated in CHINESE.items():
        text = text.replace(english, translated)
    return text


def put(text: str, into: Path) -> None:
    """Replace the table of a page. Raises ValueError unless the page has exactly one."""
    page, count = re.subn(r"(?m)(?:^\|.*\n)+", lambda _: text, into.read_text(encoding="utf-8"))
    if count != 1:
        raise ValueError(f"{into.name} has {count} tables")
    into.write_text(page, encoding="utf-8")


@contextmanager
def servers() -> Iterator[tuple[Server, Server]]:
    """Run the service twice: in the sandbox, and with a simulated Scenext that has only the odd job."""
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as another,
        Upstream() as upstream,
        running(Path(folder)) as sandbox,
        # Waiting and tasks are disabled, because this job never ends.
        running(Path(another), {**upstream.environ("odd"), **NO_WAITS, "WEB_CONCURRENCY": "1"}) as odd,
    ):
        upstream.answers["odd"] = answer(200, json.dumps({"status": "success", "data": ODD}).encode())
        yield sandbox, odd


def main() -> None:
    """Install, run, print and write the table."""
    everyone = clients()
    with ThreadPoolExecutor(INSTALLS) as pool:
        list(pool.map(install, everyone))
    rows = [(client, mode) for client in everyone for mode in client.modes]
    with servers() as (sandbox, odd), ThreadPoolExecutor(RUNS) as pool, ThreadPoolExecutor(HEAVY_RUNS) as heavy:
        environments = {name: client.environment for client in everyone for name in (client.section, client.configured)}
        shown = pool.submit(documented.problems, environments, sandbox.url + PATHS[0])
        charged = pool.submit(repeated.problems, ENVIRONMENTS / repeated.CLIENT)
        pools = {row: heavy if row[0].heavy else pool for row in rows}
        futures = {row: [pools[row].submit(attempt, *row, sandbox.url + path, judge) for path in PATHS] for row in rows}
        oddly = {row: pools[row].submit(attempt, *row, odd.url + PATHS[0], judge_odd) for row in rows}
        outcomes = {row: [future.result() for future in started] for row, started in futures.items()}
        refused = {row: future.result().problem for row, future in oddly.items()}
        problems = shown.result() + charged.result()
        problems += re.findall(r"^.* status=5\d\d .*$", sandbox.output() + odd.output(), re.MULTILINE)
    failed = 0
    for (client, mode), found in outcomes.items():
        named = [*((path, it.problem) for path, it in zip(PATHS, found, strict=True)), ("odd", refused[client, mode])]
        wrong = [f"{client.name}, {mode}, {name}: {problem}" for name, problem in named if problem]
        problems += wrong
        failed += bool(wrong)
    for problem in problems:
        print(problem, file=sys.stderr)
    text = table(outcomes)
    put(text, PAGE)
    put(chinese(text), TRANSLATION)
    print(text)
    print(f"clients: {len(rows) - failed} passed, {failed} failed")
    if problems:
        sys.exit(1)


if __name__ == "__main__":
    main()
