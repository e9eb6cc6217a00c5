"""Check the card in the MCP Inspector of `tests/interop/clients`, in its command line and on its web page."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from scenext_service.scenext.sandbox.adapter import OUTCOMES
from tests.interop.clients.run import Client, clients
from tests.interop.clients.run import install as install_client
from tests.support.server import end_group, free_port, wait_until

HERE = Path(__file__).parent
TOKEN = "the-token-of-this-run"
KEY = ("--header", "Authorization: Bearer any-key-will-do")

# Seconds.
COMMAND_TIMEOUT = 60
PAGE_TIMEOUT = 400
STOP_TIMEOUT = 10

# Each tool, an argument, and the Inspector's exit status: 0 if the tool has a card, 2 if it has none.
APPS = (
    ("gen_video", "question=Why is the sky blue?", 0),
    ("query_video_status", f"task_id={next(iter(OUTCOMES))}", 2),
)
ERAS = ("legacy", "modern")
CHECKS = len(APPS) + len(ERAS)


def wrong(url: str) -> list[str]:
    """Check the service at a URL with the Inspector in every mode; return the problems."""
    inspector = next(client for client in clients() if client.name == "inspector")
    install_client(inspector)
    with ThreadPoolExecutor() as pool:
        shown = [pool.submit(_page, inspector, url, era) for era in ERAS]
        found = [pool.submit(_command, inspector, url, *app) for app in APPS]
        return [problem for future in [*found, *shown] if (problem := future.result())]


def _command(inspector: Client, url: str, tool: str, argument: str, status: int) -> str:
    """Ask the command line whether a tool has a card; return the problem, or an empty string."""
    command = ["node", "node_modules/.bin/mcp-inspector", "--cli", "--transport", "http", "--server-url", url, *KEY]
    command += ["--method", "tools/call", "--app-info", "--tool-name", tool, "--tool-arg", argument]
    run = subprocess.run(
        command, cwd=inspector.environment, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False
    )
    if run.returncode == status:
        return ""
    return f"Inspector, {tool}: {run.returncode} in place of {status}\n{run.stdout}{run.stderr}"


def _page(inspector: Client, url: str, era: str) -> str:
    """Follow a job in the card on the web page; return the problem, or an empty string."""
    with _web(inspector, url, era) as address:
        command = ["node", str(HERE / "inspector.mjs"), address, era]
        run = subprocess.run(command, capture_output=True, text=True, timeout=PAGE_TIMEOUT, check=False)
    return f"Inspector, web page, {era}:\n{run.stdout}{run.stderr}" if run.returncode else ""


@contextmanager
def _web(inspector: Client, url: str, era: str) -> Iterator[str]:
    """Run the Inspector's web page with the service in its server list; yield the page's URL."""
    port = free_port()
    command = ["node", "node_modules/.bin/mcp-inspector", "--web", "--transport", "http", "--server-url", url, *KEY]
    with tempfile.TemporaryDirectory() as home, (Path(home) / "log").open("a+b") as log:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "HOST": "127.0.0.1",
            "CLIENT_PORT": str(port),
            "MCP_SANDBOX_PORT": "0",
            "MCP_APP_ORIGIN_PORT": "0",
            "MCP_AUTO_OPEN_ENABLED": "false",
            "MCP_INSPECTOR_API_TOKEN": TOKEN,
            "MCP_INSPECTOR_SECRET_STORE": "memory",
        }
        process = subprocess.Popen(
            [*command, "--protocol-era", era],
            cwd=inspector.environment,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_until(lambda: TOKEN in (Path(home) / "log").read_text(encoding="utf-8"))
            yield f"http://127.0.0.1:{port}/?MCP_INSPECTOR_API_TOKEN={TOKEN}"
        finally:
            end_group(process, STOP_TIMEOUT)
