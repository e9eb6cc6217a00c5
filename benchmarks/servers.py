"""The compared servers: the command, the environment and the requests of each."""

import hashlib
import json
import os
import subprocess
import venv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
PEERS = str(HERE / "peers")
ENVIRONMENTS = HERE / ".environments"

LIST, CALL = "tools/list", "tools/call"
MODERN, LEGACY = "2026-07-28", "2025-06-18"

# The data in the upstream's response, which every answer to a call must contain.
JOB: dict[str, Any] = {
    "task_id": "12345",
    "status": "IN_PROGRESS",
    "progress": [
        {"id": f"frame{number}", "image": f"https://oss.scenext.example/frame{number}.png?Expires=1&Signature=x"}
        for number in (1, 2)
    ],
}
UPSTREAM_ANSWER = json.dumps({"status": "success", "data": JOB})
MARKERS = {LIST: '"query_video_status"', CALL: "frame2.png"}

# Bare applications run on gunicorn's own worker, because this service's worker is part of its package. Both take the
# same steps for a valid request.
BARE = ["--worker-class", "gthread", "--workers", "1", "--chdir", PEERS]
GUNICORN = ["-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py"), "--bind", "127.0.0.1:PORT"]
UVICORN = ["-m", "uvicorn", "--app-dir", PEERS, "--port", "PORT"]

# Variables of the environment that could change a server's configuration.
CONFIGURING = (
    *("SCENEXT_", "FASTMCP_", "GUNICORN_", "UVICORN_", "FORWARDED_", "WEB_CONCURRENCY", "PORT", "PYTHON"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)

# The shipped gunicorn configuration has no access log, because the service writes one line for each request itself. A
# bare application writes none, so it gets gunicorn's access log in the runs with logs.
GUNICORN_LOG = ["--access-logfile", "-"]
UVICORN_QUIET = ["--no-access-log", "--log-level", "warning"]


@dataclass(frozen=True)
class Server:
    """A server. `command` follows `python`, with PORT for the port; `eras` are the revisions of its requests."""

    name: str
    environment: str
    command: list[str]
    eras: tuple[str, ...] = (MODERN,)
    operations: tuple[str, ...] = (CALL, LIST)
    path: str = "/mcp"
    folder: Path = ROOT  # in which it runs

    def arguments(self, port: int, *, logs: bool) -> list[str]:
        """Return the command line that starts the server on a port, with or without its access log."""
        command = [str(python(self.environment)), *(part.replace("PORT", str(port)) for part in self.command)]
        if logs and PEERS in command and "gunicorn" in command:
            command += GUNICORN_LOG
        if not logs and "uvicorn" in command:
            command += UVICORN_QUIET
        return command

    def row(self, era: str) -> str:
        """Return the row name for one of its eras."""
        return self.name if len(self.eras) == 1 else f"{self.name}, {era}"


OURS = Server("scenext_service", "service", [*GUNICORN, "--workers", "1", "wsgi:app"], eras=(MODERN, LEGACY))


def other_version(folder: Path) -> Server:
    """Return this service as it is in another checkout. It runs in the same environment."""
    version = subprocess.run(
        ["git", "describe", "--always", "--tags"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()
    command = [part.replace(str(ROOT), str(folder)) for part in OURS.command]
    return replace(OURS, name=f"scenext_service {version}", command=command, folder=folder)


CONSTANT = Server(
    "A: bare WSGI, constant",
    "service",
    [*GUNICORN, *BARE, "bare_wsgi:app"],
    operations=(LIST,),
)
REQUESTS = Server(
    "B: bare WSGI, requests.Session",
    "service",
    [*GUNICORN, *BARE, "bare_requests:app"],
    operations=(CALL,),
)
PLAIN = ["--loop", "asyncio", "--http", "h11"]  # as installed with `mcp`
FAST = ["--loop", "uvloop", "--http", "httptools"]
SDK = Server("mcp 2.3", "sdk", [*UVICORN, *PLAIN, "sdk:app"], eras=(MODERN, LEGACY))
SDK_UVLOOP = Server("mcp 2.3, uvloop + httptools", "sdk", [*UVICORN, *FAST, "sdk:app"])
FASTMCP = Server("FastMCP 4.1", "fastmcp", [*UVICORN, "fastmcp_peer:app"])
SCENEXT_MCP = Server(
    "scenext-mcp 1.2.4", "scenext-mcp", [*UVICORN, "scenext_mcp_peer:app"], eras=(LEGACY,), path="/mcp/"
)
SCENEXT_MCP_NEW = Server("scenext-mcp 1.2.4, newest packages", "scenext-mcp-new", [*UVICORN, "scenext_mcp_peer:app"])

ONE_CORE = (CONSTANT, REQUESTS, OURS, SDK, SDK_UVLOOP, FASTMCP, SCENEXT_MCP, SCENEXT_MCP_NEW)
WITH_LOGS = (CONSTANT, REQUESTS, OURS, SDK, FASTMCP, SCENEXT_MCP)

MANY_KEYS = (REQUESTS, OURS, SDK)

SHIPPED = Server("scenext_service, shipped: 2 workers", "service", [*GUNICORN, "wsgi:app"])
# asyncio's own loop is not measured here. With it, connections of the socket that uvicorn passes to its workers get no
# TCP_NODELAY, and every answer waits 40 ms (strace).
SDK_WORKERS = Server("mcp 2.3, uvloop + httptools, 2 workers", "sdk", [*UVICORN, *FAST, "--workers", "2", "sdk:app"])
BOTH_CORES = (SHIPPED, SDK, SDK_UVLOOP, SDK_WORKERS)
SLOW = (SHIPPED, REQUESTS, SDK, FASTMCP, SCENEXT_MCP)


def message(era: str, operation: str, task_id: str = "12345") -> tuple[dict[str, str], str]:
    """Return the headers and body of a request as a client of that revision sends it."""
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Authorization": "Bearer sk-benchmark-0123456789abcdef",
        "MCP-Protocol-Version": era,
    }
    tool = "query_video_status"
    params: dict[str, Any] = {"name": tool, "arguments": {"task_id": task_id}} if operation == CALL else {}
    if era == MODERN:
        headers["Mcp-Method"] = operation
        if operation == CALL:
            headers["Mcp-Name"] = tool
        params = params | {
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": era,
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
            }
        }
    return headers, json.dumps({"jsonrpc": "2.0", "id": 1, "method": operation, "params": params})


def check(operation: str, status: int, body: str) -> None:
    """Raise ValueError unless the answer lists the tool or contains the whole job."""
    try:
        result = json.loads(body)["result"]
        if operation == LIST:
            right = "query_video_status" in [tool["name"] for tool in result["tools"]]
        else:
            right = json.loads(result["content"][0]["text"]) == JOB and result.get("structuredContent", JOB) == JOB
            right = right and result["isError"] is False
    except (ValueError, KeyError, TypeError, IndexError):
        right = False
    if status != 200 or not right:
        raise ValueError(f"wrong answer to {operation}: HTTP {status}: {body[:300]}")


def requirements(environment: str) -> Path:
    """Return the requirements file of an environment; for this service, the one that platforms install."""
    return ROOT / "requirements.txt" if environment == "service" else HERE / "requirements" / f"{environment}.txt"


def python(environment: str) -> Path:
    """Return the interpreter of an environment."""
    return ENVIRONMENTS / environment / "bin" / "python"


def install(environment: str) -> None:
    """Create an environment, unless it exists with the same pins."""
    pins = requirements(environment)
    stamp = ENVIRONMENTS / environment / "pins"
    wanted = hashlib.sha256(pins.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"installing {environment} from {pins.relative_to(ROOT)}", flush=True)
    venv.create(ENVIRONMENTS / environment, clear=True, with_pip=True)
    pip = [str(python(environment)), "-m", "pip", "--disable-pip-version-check", "-qq"]
    subprocess.run([*pip, "install", "--no-deps", "--requirement", str(pins)], check=True)
    stamp.write_text(wanted)


def environ(upstream: str, *, logs: bool) -> dict[str, str]:
    """Return the environment variables of every server."""
    mine = {name: value for name, value in os.environ.items() if not name.upper().startswith(CONFIGURING)}
    level = "INFO" if logs else "WARNING"
    return {
        **mine,
        "SCENEXT_API_BASE_URL": f"{upstream}/api",
        "SCENEXT_LOG_LEVEL": level,
        "FASTMCP_LOG_LEVEL": level,
        "PYTHONUNBUFFERED": "1",
    }
