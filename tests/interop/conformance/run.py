"""Run the official MCP conformance suite against the service, at every revision that it supports.

    python -m tests.interop.conformance.run

Installs the suite from `package-lock.json` with the npm on the PATH (Node 22 or newer, which the `interop` extra of
setup.cfg installs), and starts a real gunicorn with the shipped configuration in the sandbox. Runs every server
scenario against the service with the suite's fixture tools next to its own. Scenarios without fixtures also run against
the unmodified service. The scenarios of the Tasks extension run against their own fixtures (`tasks_app.py`).

`expected-failures.yaml` lists the checks that do not apply to a server of tools and texts without sessions, each with
its reason. A listed check that passes or does not occur is a failure too.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.support.names import MODERN, OVER_HTTP
from tests.support.pages import ROOT
from tests.support.server import Server, running

HERE = Path(__file__).parent
EXPECTED_FAILURES = HERE / "expected-failures.yaml"
REVISIONS = tuple(reversed(OVER_HTTP))

# Scenarios that need no fixture tool, for the unmodified service.
WITHOUT_FIXTURES = (
    "server-initialize",
    "server-session-lifecycle",
    "server-sse-multiple-streams",
    "server-sse-polling",
    "ping",
    "tools-list",
    "dns-rebinding-protection",
    "http-header-validation",
)

# The scenarios of an extension are not part of a revision, so the suite runs them only by name and with `--force`.
TASKS = (
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-status-notifications",  # skipped by the suite, which waits for a channel that this server does not have
    "tasks-required-task-error",
    "tasks-mrtr-composition",
)

# The suite sends no key, so the service shares its own.
ENVIRON = {"SCENEXT_API_KEY": "conformance-key-0123"}

# Each group of scenarios: its name, the application, its revisions, and the options of each run of the suite.
EXPECTED = ("--expected-failures", str(EXPECTED_FAILURES))
GROUPS = (
    ("with fixtures", "tests.interop.conformance.app:app", REVISIONS, [("--suite", "all", *EXPECTED)]),
    ("its own", "wsgi:app", REVISIONS, [("--scenario", name) for name in WITHOUT_FIXTURES]),
    (
        "tasks",
        "tests.interop.conformance.tasks_app:app",
        MODERN,
        [("--scenario", name, "--force", *EXPECTED) for name in TASKS],
    ),
)

TIMEOUT = 300  # seconds for one run of the suite


def reasons(text: str) -> dict[str, str]:
    """Return the reason of each entry. Raises ValueError for an entry without one."""
    entries = re.findall(r"^  - (\S+)(?: +# (.+))?$", text, re.MULTILINE)
    bare = [entry for entry, reason in entries if not reason]
    if bare or len(entries) != text.count("  - "):
        raise ValueError(f"entries without a reason, or that cannot be read: {bare}")
    return dict(entries)


def suite(server: Server, revision: str, results: Path, *options: str) -> bool:
    """Run the suite and keep its results in `results`; return whether it passed. Prints its output if it failed."""
    command = ["node", str(HERE / "node_modules/.bin/conformance"), "server"]
    command += ["--url", f"{server.url}/mcp", "--spec-version", revision, "--output-dir", str(results), *options]
    run = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if run.returncode:
        print(run.stdout[-6000:], run.stderr[-2000:])
    return run.returncode == 0


def count(results: Path, excused: dict[str, str], used: set[str]) -> Counter[str]:
    """Count the checks in the results: passed, failed, not applicable. Adds each entry that excused one to `used`."""
    counts: Counter[str] = Counter()
    for path in sorted(results.glob("*/checks.json")):
        # The suite names each results folder server-SCENARIO-TIME.
        scenario = re.sub(r"^server-(.+)-\d{4}-\d\d-\d\dT.*$", r"\1", path.parent.name)
        for check in json.loads(path.read_text(encoding="utf-8")):
            entry = next((name for name in (scenario, f"{scenario}:{check['id']}") if name in excused), None)
            if check["status"] == "SUCCESS":
                counts["passed"] += 1
            elif check["status"] in ("FAILURE", "WARNING") and entry is None:
                counts["failed"] += 1
            else:
                counts["not applicable"] += 1
                used |= {entry} if entry else set()
    return counts


def main() -> None:
    """Install, run and print the results."""
    excused = reasons(EXPECTED_FAILURES.read_text(encoding="utf-8"))
    subprocess.run(["npm", "ci", "--no-fund", "--no-audit", "--silent"], cwd=HERE, check=True)
    total: Counter[str] = Counter()
    content: list[bool] = []
    used: set[str] = set()
    print(f"{'revision':<12}{'tools':<14}{'passed':>8}{'failed':>8}{'not applicable':>16}")
    for tools, app, revisions, runs in GROUPS:
        # The fixtures of tasks keep them in the memory of one process.
        environ = {**ENVIRON, **({"WEB_CONCURRENCY": "1"} if tools == "tasks" else {})}
        with tempfile.TemporaryDirectory() as folder, running(Path(folder), environ, app) as server:
            for revision in revisions:
                results = Path(folder, revision)
                content += [suite(server, revision, results, *options) for options in runs]
                counts = count(results, excused, used)
                total += counts
                print(f"{revision:<12}{tools:<14}", end="")
                print(f"{counts['passed']:>8}{counts['failed']:>8}{counts['not applicable']:>16}", flush=True)
    if unused := set(excused) - used:
        print("expected failures that did not occur:", ", ".join(sorted(unused)))
    print(f"conformance: {total['passed']} passed, {total['failed']} failed, {total['not applicable']} not applicable")
    if not all(content) or total["failed"] or unused:
        sys.exit(1)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
