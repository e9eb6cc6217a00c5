"""Run MCP clients that are not ours against the service: the table of what works, and with what.

    python -m tests.interop.clients.run

Sets up every client of `clients.json` in an environment of its own below `.environments/` (kept while its packages are
the same), starts a real gunicorn with the shipped configuration in the sandbox, and lets each client list the tools,
start a video, follow it until it is COMPLETED, and meet a failure: no key. It follows with calls that wait, shows their
progress where it has a handler for it, and reads what to do next as its model would. Each of its modes does so at
`/mcp` and at `/mcp/`, with the program in `programs/` that a newcomer to that client would write; and once over a
Scenext whose answers have other types than its reference gives, which no client may refuse. Prints the table, and
writes it into `docs/works-with.md` and its translation. The programs of `docs/connect.md` run beside them, in the same
environments (`documented.py`). Ends with status 1 where anything failed.

Needs Node 22 or newer and npm, which the `interop` extra of setup.cfg brings.
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

from . import documented
from .processes import RUN_TIMEOUT, execute

HERE = Path(__file__).parent
PAGE, TRANSLATION = ROOT / "docs" / "works-with.md", ROOT / "docs" / "works-with.zh.md"
ENVIRONMENTS = HERE / ".environments"

PATHS = ("/mcp", "/mcp/")
KEY = "any-key-will-do"

INSTALLS = 3  # at the same time
INSTALL_TIMEOUT = 600  # seconds for one environment

# At the same time: they wait for most of the minute that a job of the sandbox takes.
RUNS = 14
MOST_CALLS = 4  # to follow a job of the sandbox: two that wait are enough

Judge = Callable[[Mapping[str, Any]], str | None]  # tells what is wrong with a report; None where nothing is

# A job of which nothing but its id has the type that it should have, whether it is started or asked for.
ODD: dict[str, Any] = {
    "task_id": "odd-1",
    "status": ["COMPLETED"],
    "message": {"odd": None},
    "progress": {"odd": 1},
    "points": "ten",
    "result": {"video_url": 5},
}

# What the table says in words; whatever else is in it is in no language.
CHINESE = {
    "| client | version | revision | result | progress |": "| 客户端 | 版本 | 协议版本 | 结果 | 进度 |",
    ", the bridge for Claude Desktop": "，Claude Desktop 的转接程序",
    "| works |": "| 通过 |",
    "| shown |": "| 显示 |",
    "| fails at ": "| 未通过：",
    " and ": "、",
    ", ": "，",
}


@dataclass(frozen=True, slots=True, eq=False)
class Client:
    """A client as `clients.json` has it.

    `modes` maps each argument of its program to a row's first cell. `section` is that of `docs/connect.md` whose blocks
    run in its environment.
    """

    name: str
    program: str
    header: str
    modes: Mapping[str, str]
    pip: Sequence[str] = ()
    npm: Sequence[str] = ()
    section: str | None = None

    @property
    def version(self) -> str:
        """The pinned version of the first package, which is the client's own."""
        return re.split("==|@", (self.pip or self.npm)[0])[-1]

    @property
    def environment(self) -> Path:
        """Where its packages are."""
        return ENVIRONMENTS / self.name


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one run: the revision that was negotiated, what is wrong, if anything is, and if progress came."""

    revision: str
    problem: str | None
    progress: bool = False  # whether the client's handler saw any


def clients() -> list[Client]:
    """Return the clients in the order of the table."""
    entries: list[dict[str, Any]] = json.loads((HERE / "clients.json").read_text(encoding="utf-8"))
    return [Client(**entry) for entry in entries]


def install(client: Client) -> None:
    """Set up a client's environment, unless it is there with these packages. Raises RuntimeError."""
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
    # Node finds a program's packages from where the program is.
    shutil.copy(HERE / "programs" / client.program, target)


def _command(command: list[str], directory: Path) -> None:
    run = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)} in {directory.name}:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")


def attempt(client: Client, mode: str, url: str, judging: Judge) -> Outcome:
    """Run a client's program once, and judge what it reports."""
    value = KEY if client.header == "X-API-Key" else f"Bearer {KEY}"
    try:
        status, output, errors = execute([*_program(client), url, client.header, value, mode], client.environment)
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
    """Tell what is wrong with a report; None where nothing is."""
    task_id = str(report.get("task_id"))
    step = str(report.get("next"))
    progress = report.get("progress", [])  # None where the client has no handler
    expected = {
        "revision": re.fullmatch(r"\d{4}-\d\d-\d\d", str(report.get("revision"))),
        "tools": report.get("tools") == [*TOOLS],
        "task_id": re.fullmatch(r"sandbox-\d{13}-[\w-]+", task_id),
        "status": report.get("status") == "COMPLETED",
        "video": f"/sandbox/{task_id}/video.mp4?" in str(report.get("video")),
        "next": "Markdown link" in step and task_id in step,
        "progress": progress is None or (progress and all(re.match(r"\d+ frames? drawn", str(it)) for it in progress)),
        "calls": report.get("calls") in range(1, MOST_CALLS + 1),
        "failure": all(text in str(report.get("failure")) for text in TEXTS[KeyMissing]),
    }
    wrong = [f"{name} is {report.get(name)!r}" for name, right in expected.items() if not right]
    return "; ".join(wrong) or None


def judge_odd(report: Mapping[str, Any]) -> str | None:
    """Tell what is wrong with a report of the odd job; None where nothing is."""
    found = [report.get(name) for name in ("task_id", "status", "video")]
    return None if found == [ODD["task_id"], ODD["status"], ODD["result"]["video_url"]] else f"the odd job is {found}"


def table(outcomes: Mapping[tuple[Client, str], list[Outcome]]) -> str:
    """Write the table: a row for each client and mode, from what came of it at each path."""
    rows = ["| client | version | revision | result | progress |", "|---|---|---|---|---|"]
    for (client, mode), found in outcomes.items():
        failed = " and ".join(f"`{path}`" for path, outcome in zip(PATHS, found, strict=True) if outcome.problem)
        revisions = ", ".join(sorted({outcome.revision for outcome in found} - {""}))
        result = f"fails at {failed}" if failed else "works"
        progress = "shown" if any(outcome.progress for outcome in found) else "–"
        rows.append(f"| {client.modes[mode]} | {client.version} | {revisions} | {result} | {progress} |")
    return "\n".join(rows) + "\n"


def chinese(text: str) -> str:
    """Translate the table."""
    for english, translated in CHINESE.items():
        text = text.replace(english, translated)
    return text


def put(text: str, into: Path) -> None:
    """Write the table in the place of the one that a page has. Raises ValueError where it has not exactly one."""
    page, count = re.subn(r"(?m)(?:^\|.*\n)+", lambda _: text, into.read_text(encoding="utf-8"))
    if count != 1:
        raise ValueError(f"{into.name} has {count} tables")
    into.write_text(page, encoding="utf-8")


@contextmanager
def servers() -> Iterator[tuple[Server, Server]]:
    """Run the service in the sandbox, and over a Scenext that has only the odd job."""
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as another,
        Upstream() as upstream,
        running(Path(folder)) as sandbox,
        # Without waits: this job has no end.
        running(Path(another), {**upstream.environ("odd"), "SCENEXT_MAX_WAIT": "0", "WEB_CONCURRENCY": "1"}) as odd,
    ):
        upstream.answers["odd"] = answer(200, json.dumps({"status": "success", "data": ODD}).encode())
        yield sandbox, odd


def main() -> None:
    """Install, run, print, write."""
    everyone = clients()
    with ThreadPoolExecutor(INSTALLS) as pool:
        list(pool.map(install, everyone))
    rows = [(client, mode) for client in everyone for mode in client.modes]
    with servers() as (sandbox, odd), ThreadPoolExecutor(RUNS) as pool:
        futures = {row: [pool.submit(attempt, *row, sandbox.url + path, judge) for path in PATHS] for row in rows}
        oddly = {row: pool.submit(attempt, *row, odd.url + PATHS[0], judge_odd) for row in rows}
        environments = {client.section: client.environment for client in everyone if client.section}
        shown = pool.submit(documented.problems, environments, sandbox.url + PATHS[0])
        outcomes = {row: [future.result() for future in started] for row, started in futures.items()}
        refused = {row: future.result().problem for row, future in oddly.items()}
        problems = shown.result() + re.findall(r"^.* status=5\d\d .*$", sandbox.output() + odd.output(), re.MULTILINE)
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
