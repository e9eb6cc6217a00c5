"""Show the card in Chromium, in hosts of various behaviours, and in the MCP Inspector.

    python -m tests.interop.cards.run [WORD ...]

Installs Debian's chromium (as root, if it is missing), the packages of `package-lock.json` that drive it, and the
Inspector of `tests/interop/clients`. Starts a real gunicorn with the shipped configuration in the sandbox and runs
`scenarios.mjs`, a host that sandboxes the card under its declared policy and forwards its calls. Then the Inspector has
to find a card for `gen_video` and none for `query_video_status`, and to show the card on its web page (`inspector.mjs`)
in both eras. Exits with status 1 if anything differs. With words, runs only the scenarios whose names contain one of
them, and always the Inspector.

Needs Node 22 or newer and npm. The `interop` extra of setup.cfg installs both.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.interop import debian
from tests.support.server import running

from . import inspector

HERE = Path(__file__).parent
TIMEOUT = 600  # seconds for all scenarios


def main(words: list[str]) -> None:
    """Install, run and print the results."""
    debian.install((HERE / "debian.txt").read_text(encoding="utf-8").split())
    subprocess.run(["npm", "ci", "--no-fund", "--no-audit", "--silent"], cwd=HERE, check=True)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        url = f"{server.url}/mcp"
        command = ["node", str(HERE / "scenarios.mjs"), url, *words]
        shown = subprocess.run(command, env=dict(os.environ), timeout=TIMEOUT, check=False).returncode
        wrong = inspector.wrong(url)
    for problem in wrong:
        print(problem)
    print(f"Inspector: {inspector.CHECKS - len(wrong)} passed, {len(wrong)} failed")
    if shown or wrong:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
