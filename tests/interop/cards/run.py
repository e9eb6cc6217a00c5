"""Show the card in Chromium, in hosts that behave in many ways, and to the MCP Inspector.

    python -m tests.interop.cards.run [WORD ...]

Installs Debian's chromium (as root, where it is missing), what drives it from `package-lock.json`, and the Inspector of
`tests/interop/clients`; starts a real gunicorn with the shipped configuration in the sandbox, and runs `scenarios.mjs`:
a host of its own, which sandboxes the card under the policy that it declares and passes its calls on. Then the
Inspector has to find that `gen_video` has a card, and `query_video_status` none. Ends with status 1 where anything was
different. With words, runs only the scenarios whose names have one of them.

Needs Node 22 or newer and npm, which the `interop` extra of setup.cfg brings.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from scenext_service.scenext.sandbox import OUTCOMES
from tests.interop import debian
from tests.interop.clients.run import clients
from tests.interop.clients.run import install as install_client
from tests.support.server import running

HERE = Path(__file__).parent
TIMEOUT = 300  # seconds for all scenarios
INSPECT_TIMEOUT = 60  # seconds

# Each tool, an argument, and the exit status with which the Inspector says whether it has a card.
APPS = (
    ("gen_video", "question=Why is the sky blue?", 0),
    ("query_video_status", f"task_id={next(iter(OUTCOMES))}", 2),
)


def inspect(url: str) -> list[str]:
    """Ask the Inspector which tools have a card; return what is wrong."""
    inspector = next(client for client in clients() if client.name == "inspector")
    install_client(inspector)
    command = ["node", "node_modules/.bin/mcp-inspector", "--cli", "--transport", "http", "--server-url", url]
    command += ["--header", "Authorization: Bearer any-key-will-do", "--method", "tools/call", "--app-info"]
    wrong = []
    for tool, argument, status in APPS:
        run = subprocess.run(
            [*command, "--tool-name", tool, "--tool-arg", argument],
            cwd=inspector.environment,
            capture_output=True,
            text=True,
            timeout=INSPECT_TIMEOUT,
            check=False,
        )
        if run.returncode != status:
            wrong.append(f"Inspector, {tool}: {run.returncode} in place of {status}\n{run.stdout}{run.stderr}")
    return wrong


def main(words: list[str]) -> None:
    """Install, run, print."""
    debian.install((HERE / "debian.txt").read_text(encoding="utf-8").split())
    subprocess.run(["npm", "ci", "--no-fund", "--no-audit", "--silent"], cwd=HERE, check=True)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        url = f"{server.url}/mcp"
        command = ["node", str(HERE / "scenarios.mjs"), url, *words]
        shown = subprocess.run(command, env=dict(os.environ), timeout=TIMEOUT, check=False).returncode
        wrong = inspect(url)
    for problem in wrong:
        print(problem)
    print(f"Inspector: {len(APPS) - len(wrong)} passed, {len(wrong)} failed")
    if shown or wrong:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
