"""Show the card in Chromium, in hosts that behave in many ways, and to the MCP Inspector.

    python -m tests.interop.cards.run [WORD ...]

Installs Debian's chromium (as root, where it is missing), what drives it from `package-lock.json`, and the Inspector of
`tests/interop/clients`; starts a real gunicorn with the shipped configuration in the sandbox, and runs `scenarios.mjs`:
a host of its own, which sandboxes the card under the policy that it declares and passes its calls on. Then the
Inspector has to find that `gen_video` has a card, and `query_video_status` none, and to show that card on its web page
(`inspector.mjs`), in both eras. Ends with status 1 where anything was different. With words, runs only the scenarios
whose names have one of them, and the Inspector all the same.

Needs Node 22 or newer and npm, which the `interop` extra of setup.cfg brings.
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
TIMEOUT = 300  # seconds for all scenarios


def main(words: list[str]) -> None:
    """Install, run, print."""
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
