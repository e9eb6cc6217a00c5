"""Start the service with the README's command "Try it" in a clone, and run every curl example of the pages against it.

    python .ci/readme_run.py CLONE

Fails if a response differs from the page. The ids of new jobs differ in each run, so only their format is compared.
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
START_TIMEOUT = 600  # seconds; pip may need most of them
STOP_TIMEOUT = 40  # seconds


def wait_until_healthy(server: "subprocess.Popen[bytes]") -> None:
    """Return when the server responds. Exit if it ends or takes too long."""
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
    """Run one curl command unchanged, and compare its output with the page."""
    command = ["bash", "-o", "pipefail", "-c", example.command]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=60).stdout.decode()
    if comparable(printed if example.program else json.loads(printed)) != comparable(example.answer):
        sys.exit(f"{example.page} shows another answer than this one, to\n{example.command}\n{printed}")


def comparable(answer: Any) -> str:
    """Return a response as text, with the ids of new jobs and tasks, and their times, replaced by placeholders."""
    text = re.sub(r"sandbox-\d{13}(\.[0-9a-f]{15})?", "sandbox-<new>", json.dumps(answer, sort_keys=True))
    return re.sub(r'(At": )"\d{4}-[-\d]+T[\d:.]+Z"', r"\1<now>", text)


def main(clone: str) -> None:
    """Start the server, check the examples, stop the server."""
    try:
        urllib.request.urlopen(HEALTH, timeout=5).close()
    except urllib.error.URLError:
        pass
    else:
        sys.exit("something else listens on 127.0.0.1:8000")
    command = pages.command("Try it")
    print("$", command, end="", flush=True)
    # Use a new session, so that the signal at the end reaches all processes that the shell started.
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
