"""mcpo, which serves the tools as an OpenAPI server. Takes the arguments of the coding agents (agent.mjs)."""

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

START_TIMEOUT = 60  # seconds


def call(url: str, **arguments: object) -> httpx.Response:
    """Call a tool that may wait."""
    return httpx.post(url, json=arguments, timeout=60)


def wait_for(process: subprocess.Popen, url: str) -> dict[str, object]:
    """Return the OpenAPI description as soon as it is served. Raises TimeoutError."""
    end = time.monotonic() + START_TIMEOUT
    while time.monotonic() < end and process.poll() is None:
        try:
            return httpx.get(url).raise_for_status().json()
        except httpx.HTTPError:  # mcpo is not listening, or not connected to the server, yet
            time.sleep(0.1)
    raise TimeoutError(url)


def make_video(api: str, tools: list[str]) -> dict[str, object]:
    """Start a video, follow it to its end, and return the report."""
    job, _ = call(f"{api}/gen_video", question="Why is the sky blue?").json()  # the content blocks
    task_id = job["task_id"]
    calls, video = 0, {"status": "IN_PROGRESS"}
    while video["status"] == "IN_PROGRESS" and calls < 10:
        video = call(f"{api}/query_video_status", task_id=task_id, wait_seconds=50, frames="none").json()
        calls += 1
    return {
        "tools": tools,
        "task_id": task_id,
        "status": video["status"],
        "video": video["result"]["video_url"],
        "next": video["next"],
        "progress": None,  # OpenAPI calls have no progress
        "calls": calls,
    }


def forget_key(api: str) -> str:
    """Call a tool without a key; return the error text."""
    response = call(f"{api}/gen_video", question="Why is the sky blue?")
    return response.json()["detail"]["error"] if response.is_error else ""


def main(url: str, header: str, value: str, mode: str, blocks: str) -> None:
    """Run mcpo with the configuration of docs/connect.md, run both scenarios and print the report."""
    key = value.removeprefix("Bearer ")
    block = json.loads(blocks)[0].replace("https://YOUR-APP.example.com/mcp", url).replace("YOUR_API_KEY", key)
    servers = json.loads(block)
    servers["mcpServers"]["keyless"] = {"type": "streamable-http", "url": url}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        config, log = Path(folder, "config.json"), Path(folder, "log")
        config.write_text(json.dumps(servers))
        command = ["bin/mcpo", "--host", "127.0.0.1", "--port", str(port), "--config", str(config)]
        with log.open("wb") as printed, subprocess.Popen(command, stdout=printed, stderr=printed) as process:
            try:
                api = f"http://127.0.0.1:{port}"
                paths = wait_for(process, f"{api}/scenext/openapi.json")["paths"]
                report = make_video(f"{api}/scenext", [path.strip("/") for path in paths])
                report["failure"] = forget_key(f"{api}/keyless")
            finally:
                process.terminate()
        revisions = re.findall(r"Negotiated protocol version: (\S+)", log.read_text())
    print(json.dumps({"revision": ", ".join(sorted(set(revisions))), **report}))


main(*sys.argv[1:])
