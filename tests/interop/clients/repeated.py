"""Run an agent that repeats a call after its own timeout, with a Scenext that takes longer to start a job.

The job has to be charged once, and the agent has to answer with the video.
"""

import tempfile
from pathlib import Path

from tests.support.scenext import VIDEO, scenext
from tests.support.server import running

from .processes import execute

CLIENT, PROGRAM = "openai-agents", "openai_agents_retries.py"
SECONDS = 10  # to start a job; the agent gives each call 5 seconds, and tries up to four times


def problems(environment: Path) -> list[str]:
    """Run the agent in the folder of its packages."""
    with tempfile.TemporaryDirectory() as folder, scenext(SECONDS) as upstream:
        environ = {"SCENEXT_SANDBOX": "0", "SCENEXT_API_BASE_URL": upstream.url("agent")}
        with running(Path(folder), environ) as server:
            command = ["bin/python", "-I", PROGRAM, f"{server.url}/mcp", "Authorization", "Bearer any-key-will-do"]
            ended = execute(command, environment)
            calls = server.output().count("tool=gen_video")
    found = []
    if ended.output.strip() != VIDEO:
        found.append(f"{CLIENT}, retries: {ended}")
    if (charges := upstream.charges()) != 1 or calls < 2:
        found.append(f"{CLIENT}, retries: {charges} charges for {calls} calls")
    return found
