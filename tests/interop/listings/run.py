"""Check the published tool definitions with the linter of a site that lists and scores MCP servers.

    python -m tests.interop.listings.run

Installs `requirements.txt` into a temporary environment, starts a real gunicorn with the shipped configuration in the
sandbox, and lets `tdqs lint` list its tools. The linter must report nothing, not even a note. As a control, it must
report findings for the same definitions without their descriptions. Exits with status 1 if anything differs.

The site's grade also depends on a model's judgement, which is not tested here.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.interop import debian
from tests.interop.hosting.conversation import Talk
from tests.support.names import TOOLS
from tests.support.server import running

HERE = Path(__file__).parent
TIMEOUT = 60  # seconds for one run of the linter


def lint(program: Path, *arguments: str, given: str = "") -> Any:
    """Return the linter's report. Raises RuntimeError if the linter fails."""
    command = [str(program), "lint", "--format", "json", "--fail-on", "never", *arguments]
    run = subprocess.run(command, input=given, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return json.loads(run.stdout)


def findings(report: Any) -> list[Any]:
    """Return all findings of a report, for the server and for each tool."""
    found = [report["findings"], report["shadowCandidates"], *(tool["findings"] for tool in report["tools"])]
    return [finding for some in found for finding in some]


def main() -> None:
    """Install, run and print the results."""
    with tempfile.TemporaryDirectory() as name, running(Path(name)) as server:
        environment = Path(name) / "environment"
        debian.run([sys.executable, "-m", "venv", str(environment)], dict(os.environ))
        pip = [str(environment / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        debian.run([*pip, "--requirement", str(HERE / "requirements.txt")], dict(os.environ))
        program = environment / "bin" / "tdqs"
        report = lint(program, "--url", f"{server.url}/mcp")
        listed = Talk("modern", server.port).ask("tools/list", {}).json["result"]["tools"]
        bare = {"tools": [{**tool, "description": tool["name"]} for tool in listed]}
        control = findings(lint(program, "--file", "-", given=json.dumps(bare)))
    problems = findings(report)
    if [tool["name"] for tool in report["tools"]] != [*TOOLS]:
        problems.append(f"it looked at {report['tools']}")
    if len(control) < len(TOOLS):
        problems.append(f"it found no fault with definitions that say nothing: {control}")
    for problem in problems:
        print(json.dumps(problem, indent=2))
    print(f"listings: {0 if problems else len(TOOLS)} passed, {len(problems)} failed")
    if problems:
        sys.exit(1)


if __name__ == "__main__":
    main()
