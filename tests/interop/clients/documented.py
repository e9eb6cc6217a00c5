"""The blocks of `docs/connect.md` that run: each program, and each command of the Inspector, as it is written there.

Each runs with a good key, with one that Scenext refuses, and with the placeholder left in, which is a reader's first
mistake. It has to show what the server says to the same call, in the server's words, and no traceback.
"""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from scenext_service.scenext.sandbox import REFUSED_KEY
from tests.support import pages
from tests.support.server import free_port

from .processes import Ended, execute

DEPLOYED, PLACEHOLDER = "https://YOUR-APP.example.com/mcp", "YOUR_API_KEY"
KEYS = {"the placeholder": PLACEHOLDER, "a refused key": REFUSED_KEY, "a good key": "any-key-will-do"}

# How a text of each language is run.
COMMANDS = {
    "python": ["bin/python", "-I", "-c"],
    "js": ["node", "--input-type=module", "-e"],
    "sh": ["bash", "-c"],
}
# What a block asks of each tool that it calls.
ASKED = {"gen_video": {"question": "Why is the sky blue?"}, "query_video_status": {"task_id": "sandbox-completed"}}
SERVES = "--web"  # what the command has that starts a page, and does not end by itself
SERVES_FOR = 20  # seconds


def blocks() -> list[pages.Block]:
    """Return the blocks that run, in the order of the page."""
    found = pages.blocks(pages.page("docs/connect.md"))
    return [block for block in found if block.language in ("python", "js") or "inspector" in block.text]


def problems(environments: Mapping[str, Path], url: str) -> list[str]:
    """Run each block in the environment of its section against the service at a URL; return what is wrong."""
    found = [wrong for block in blocks() for wrong in _problems(block, environments[block.headings[-1]], url)]
    return found + node_problems(environments["MCP Inspector"])


def _problems(block: pages.Block, environment: Path, url: str) -> list[str]:
    if SERVES in block.text:
        return [f"docs/connect.md, {block.headings[-1]}: no page\n{ended}" for ended in served(block, environment, url)]
    found = []
    for name, key in KEYS.items():
        text = block.text.replace(DEPLOYED, url).replace(PLACEHOLDER, key)
        try:
            ended = execute([*COMMANDS[block.language], text], environment)
        except subprocess.TimeoutExpired as error:
            found.append(f"docs/connect.md, {block.headings[-1]}, {name}: {error}")
            continue
        if not shows(ended, said(block.text, url, key)):
            found.append(f"docs/connect.md, {block.headings[-1]}, {name}: {ended}")
    return found


def said(text: str, url: str, key: str) -> str:
    """Return what the server says for reading to the call that a block makes."""
    (name,) = (tool for tool in ASKED if tool in text)
    params = {"name": name, "arguments": ASKED[name]}
    message: Any = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    result = requests.post(url, json=message, headers={"X-API-Key": key}, timeout=30).json()["result"]
    assert result["isError"] is (key != KEYS["a good key"]), result
    answer: str = result["content"][-1]["text"]
    return answer


def shows(ended: Ended, answer: str) -> bool:
    """Tell whether a program showed an answer, line by line, as it is or inside of JSON; ids of new jobs differ."""
    id, printed = r"sandbox-\d{13}", ended.output.replace('\\"', '"')
    lines = [line for line in answer.splitlines() if not re.search(id, line)]
    named = bool(re.search(id, printed)) or not re.search(id, answer)
    return named and all(line in printed for line in lines) and "Traceback" not in ended.errors


def served(block: pages.Block, environment: Path, url: str) -> list[Ended]:
    """Start a command that serves a page, until its time is over; return how it ended, where it told of no page."""
    text = block.text.replace(DEPLOYED, url)
    ports = {"CLIENT_PORT": str(free_port()), "MCP_SANDBOX_PORT": str(free_port()), "MCP_AUTO_OPEN_ENABLED": "false"}
    ended = execute(["timeout", str(SERVES_FOR), *COMMANDS[block.language], text], environment, ports)
    return [] if f"http://127.0.0.1:{ports['CLIENT_PORT']}" in ended.output else [ended]


def node_problems(environment: Path) -> list[str]:
    """Compare the Node that the page names for the Inspector with the one that the installed package wants."""
    package = environment / "node_modules" / "@modelcontextprotocol" / "inspector" / "package.json"
    wanted = json.loads(package.read_text(encoding="utf-8"))["engines"]["node"]
    words = "Node " + re.sub(r"^>=(\d+\.\d+)\.\d+$", r"\1 or newer", wanted)
    return [] if words in pages.page("docs/connect.md") else [f"docs/connect.md: the Inspector wants {words}"]
