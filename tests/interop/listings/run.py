"""Check the definitions that `tools/list` publishes with the tool of a site that lists MCP servers, and scores them.

    python -m tests.interop.listings.run

Installs `requirements.txt` into an environment that is gone afterwards, starts a real gunicorn with the shipped
configuration in the sandbox, and lets `tdqs lint` ask it for its tools: it must find nothing, not so much as a note.
The same definitions without what describes them must be found wanting. Ends with status 1 where anything is different.

The site's grade also takes the judgement of a model, which is not asked for here.
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
TIMEOUT = 60  # seconds for one look


def lint(program: Path, *arguments: str, given: str = "") -> Any:
    """Return what the tool reports. Raises RuntimeError where it reports nothing."""
    command = [str(program), "lint", "--format", "json", "--fail-on", "never", *arguments]
    run = subprocess.run(command, input=given, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return json.loads(run.stdout)


def findings(report: Any) -> list[Any]:
    """Return all that it found, of the server and of each tool."""
    found = [report["findings"], report["shadowCandidates"], *(tool["findings"] for tool in report["tools"])]
    return [finding for some in found for finding in some]


def main() -> None:
    """Install, run, print."""
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
