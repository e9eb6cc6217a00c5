"""Run blocks of `docs/connect.md` verbatim: programs, commands of the Inspector, configurations of coding agents.

A program or Inspector command runs with a valid key, with a key that Scenext rejects, and with the unreplaced
placeholder, a reader's most likely mistake. Its output must contain the server's text for the same call, word for word,
and no traceback. Each block of a coding agent is written to the file that the agent reads, or run if it is a command.
Then the agent has to list the server.
"""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import requests

from scenext_service.scenext.sandbox.adapter import REFUSED_KEY
from tests.support import pages
from tests.support.server import free_port

from .processes import Ended, execute

DEPLOYED, PLACEHOLDER = "https://YOUR-APP.example.com/mcp", "YOUR_API_KEY"
KEYS = {"the placeholder": PLACEHOLDER, "a refused key": REFUSED_KEY, "a good key": "any-key-will-do"}

# The command that runs a block of each language.
COMMANDS = {
    "python": ["bin/python", "-I", "-c"],
    "js": ["node", "--input-type=module", "-e"],
    "sh": ["bash", "-c"],
}
# The arguments with which a block calls each tool.
ASKED = {"gen_video": {"question": "Why is the sky blue?"}, "query_video_status": {"task_id": "sandbox-completed"}}


class Agent(NamedTuple):
    """A coding agent and the check that it reads its configuration.

    `file` is its configuration file below its home, `command` lists its servers, `prints` is part of that command's
    output, and `before` is a command that runs first.
    """

    file: str
    command: str
    prints: str
    before: str = ":"


# A user has to approve a project's file first.
_APPROVED = """mkdir .claude; echo '{"enableAllProjectMcpServers": true}' > .claude/settings.json"""
AGENTS = {
    "Claude Code": Agent(".mcp.json", "claude mcp list", "✔ Connected", _APPROVED),
    "Gemini CLI": Agent(".gemini/settings.json", "gemini mcp list", "✓ scenext"),
    "Codex": Agent(".codex/config.toml", "codex mcp list", "Bearer token"),  # it does not connect to list its servers
    "opencode": Agent("opencode.json", "opencode mcp list", "✓ scenext"),
}
DEAD_PROXY = "http://127.0.0.1:9"  # blocks the agents' requests for news, plugins and lists of models
AGENT_SETTINGS = {
    "HTTP_PROXY": DEAD_PROXY,
    "HTTPS_PROXY": DEAD_PROXY,
    "NO_PROXY": "127.0.0.1",
    "GEMINI_CLI_TRUST_WORKSPACE": "true",
    "SCENEXT_KEY": KEYS["a good key"],
}

SERVES = "--web"  # the option of the command that serves a page until it is stopped
SERVES_FOR = 20  # seconds


def blocks() -> list[pages.Block]:
    """Return the blocks to run, in the order of the page."""
    found = pages.blocks(pages.page("docs/connect.md"))
    return [block for block in found if block.language in ("python", "js") or "inspector" in block.text]


def of(section: str) -> list[pages.Block]:
    """Return the blocks of a section."""
    return [block for block in pages.blocks(pages.page("docs/connect.md")) if block.headings[-1] == section]


def problems(environments: Mapping[str | None, Path], url: str) -> list[str]:
    """Run each block in its section's environment against the service at a URL; return the problems."""
    found = [wrong for block in blocks() for wrong in _problems(block, environments[block.headings[-1]], url)]
    for section, agent in AGENTS.items():
        found += [wrong for block in of(section) for wrong in _rejected(block, agent, environments[section], url)]
    return found + node_problems(environments["MCP Inspector"])


def _rejected(block: pages.Block, agent: Agent, environment: Path, url: str) -> list[str]:
    """Configure an agent in an empty home with a block; return the problem if it does not list the server."""
    text = block.text.replace(DEPLOYED, url).replace(PLACEHOLDER, KEYS["a good key"])
    if block.language != "sh":
        text = f"mkdir -p $(dirname {agent.file}); cat > {agent.file} <<'END'\n{text}END\n"
    environ = {"PATH": f"{environment / 'node_modules' / '.bin'}:{os.environ['PATH']}", **AGENT_SETTINGS}
    try:
        ended = execute(["bash", "-euc", f"cd\n{agent.before}\n{text}\n{agent.command}"], environment, environ)
    except subprocess.TimeoutExpired as error:
        return [f"docs/connect.md, {block.headings[-1]}, {block.language}: {error}"]
    listed = not ended.status and agent.prints in ended.output + ended.errors
    return [] if listed else [f"docs/connect.md, {block.headings[-1]}, {block.language}: {ended}"]


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
        if not shows(ended, result_text(block.text, url, key)):
            found.append(f"docs/connect.md, {block.headings[-1]}, {name}: {ended}")
    return found


def result_text(text: str, url: str, key: str) -> str:
    """Return the text of the server's result for the call that a block makes."""
    (name,) = (tool for tool in ASKED if tool in text)
    params = {"name": name, "arguments": ASKED[name]}
    message: Any = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    result = requests.post(url, json=message, headers={"X-API-Key": key}, timeout=30).json()["result"]
    assert result["isError"] is (key != KEYS["a good key"]), result
    answer: str = result["content"][-1]["text"]
    return answer


def shows(ended: Ended, answer: str) -> bool:
    """Return whether a program printed every line of an answer, as text or inside JSON; ids of new jobs may differ."""
    id, printed = r"sandbox-\d{13}", ended.output.replace('\\"', '"')
    lines = [line for line in answer.splitlines() if not re.search(id, line)]
    named = bool(re.search(id, printed)) or not re.search(id, answer)
    return named and all(line in printed for line in lines) and "Traceback" not in ended.errors


def served(block: pages.Block, environment: Path, url: str) -> list[Ended]:
    """Run a command that serves a page until its time limit; return how it ended if it did not print the page's URL."""
    text = block.text.replace(DEPLOYED, url)
    ports = {"CLIENT_PORT": str(free_port()), "MCP_SANDBOX_PORT": str(free_port()), "MCP_AUTO_OPEN_ENABLED": "false"}
    ended = execute(["timeout", str(SERVES_FOR), *COMMANDS[block.language], text], environment, ports)
    return [] if f"http://127.0.0.1:{ports['CLIENT_PORT']}" in ended.output else [ended]


def node_problems(environment: Path) -> list[str]:
    """Check that the page names the Node version that the installed Inspector requires."""
    package = environment / "node_modules" / "@modelcontextprotocol" / "inspector" / "package.json"
    wanted = json.loads(package.read_text(encoding="utf-8"))["engines"]["node"]
    words = "Node " + re.sub(r"^>=(\d+\.\d+)\.\d+$", r"\1 or newer", wanted)
    return [] if words in pages.page("docs/connect.md") else [f"docs/connect.md: the Inspector wants {words}"]
