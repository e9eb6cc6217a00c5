"""Run the README's first command in a clone, and against what it started every curl whose answer a page shows.

    python .ci/readme_run.py CLONE

Fails where an answer is not the page's. Ids of new jobs differ, so they are compared by their form.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support import pages

HEALTH = "http://127.0.0.1:8000/healthz"
START_TIMEOUT = 600  # seconds, most of which pip may need
STOP_TIMEOUT = 40  # seconds


def wait_until_healthy(server: "subprocess.Popen[bytes]") -> None:
    """Return once the server answers; exit where it ends or takes too long."""
    end = time.monotonic() + START_TIMEOUT
    while time.monotonic() < end:
        if server.poll() is not None:
            sys.exit(f"the README's command ended with {server.returncode}")
        try:
            urllib.request.urlopen(HEALTH, timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    sys.exit("the README's command did not start a server in time")


def check(example: pages.Example) -> None:
    """Run one curl command as it stands, and compare what it prints."""
    command = ["bash", "-o", "pipefail", "-c", example.command]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=60).stdout.decode()
    if comparable(printed if example.program else json.loads(printed)) != comparable(example.answer):
        sys.exit(f"{example.page} shows another answer than this one, to\n{example.command}\n{printed}")


def comparable(answer: Any) -> str:
    """Return an answer as text in which every id of a new job is the same."""
    return re.sub(r"sandbox-\d{13}", "sandbox-<new>", json.dumps(answer, sort_keys=True))


def main(clone: str) -> None:
    """Start, check, stop."""
    try:
        urllib.request.urlopen(HEALTH, timeout=5).close()
    except urllib.error.URLError:
        pass
    else:
        sys.exit("something else listens on 127.0.0.1:8000")
    command = pages.command("Run")
    print("$", command, end="", flush=True)
    # A session of its own, so that its signal reaches whatever the shell started.
    server = subprocess.Popen(["bash", "-c", command], cwd=clone, start_new_session=True)
    try:
        wait_until_healthy(server)
        examples = pages.examples()
        for example in examples:
            check(example)
        shown = ", ".join(sorted({example.page for example in examples}))
        print(f"{len(examples)} examples answered as shown in {shown}", flush=True)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(STOP_TIMEOUT)


if __name__ == "__main__":
    main(sys.argv[1])
