"""The clients' configurations: each parses, names the endpoint in the client's own field, and brings the key along."""

import base64
import json
import re
import shlex
import tomllib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from scenext_service.config import Config
from tests.support import pages
from tests.support.messages import Mcp

from .test_readme import EXCHANGES

DEPLOYED, LOCAL = "https://YOUR-APP.example.com/mcp", "http://127.0.0.1:8000/mcp"
KEY = "any-key-will-do"

CONNECT = pages.page("docs/connect.md")
SECTIONS = [words for level, words in pages.headings(CONNECT) if level == 2]

# What a user may write where the key belongs.
KEYS = ("YOUR_API_KEY", "${SCENEXT_KEY}", "${input:scenext-key}")

SCENEXT = ("mcpServers", "scenext")

# Client, number of its block, where the URL is, where the headers are, and what else must be there.
FORMS = [
    pytest.param("Claude Code", 1, (*SCENEXT, "url"), (*SCENEXT, "headers"), {"type": "http"}, id="claude-code-file"),
    pytest.param("Cursor", 0, (*SCENEXT, "url"), (*SCENEXT, "headers"), {}, id="cursor"),
    pytest.param(
        "VS Code", 0, ("servers", "scenext", "url"), ("servers", "scenext", "headers"), {"type": "http"}, id="vscode"
    ),
    pytest.param("Windsurf", 0, (*SCENEXT, "url"), (*SCENEXT, "headers"), {"transport": "http"}, id="devin-local"),
    pytest.param("Windsurf", 1, (*SCENEXT, "serverUrl"), (*SCENEXT, "headers"), {}, id="cascade"),
    pytest.param("Cline", 0, (*SCENEXT, "url"), (*SCENEXT, "headers"), {"type": "streamableHttp"}, id="cline"),
    pytest.param("Gemini CLI", 0, (*SCENEXT, "url"), (*SCENEXT, "headers"), {"type": "http"}, id="gemini"),
    pytest.param(
        "Cherry Studio", 0, (*SCENEXT, "url"), (*SCENEXT, "headers"), {"type": "streamableHttp"}, id="cherry-studio"
    ),
]

# Client, number of its block, and where the header is among the words of the command; None where a variable has it.
COMMANDS = [
    pytest.param("Claude Code", 0, "claude mcp add --transport http scenext", "--header", id="claude-code"),
    pytest.param("Gemini CLI", 1, "gemini mcp add --scope user --transport http", "--header", id="gemini"),
    pytest.param("Codex", 1, "codex mcp add scenext", None, id="codex"),
    pytest.param("mcp-remote", 0, "npx -y mcp-remote", "--header", id="mcp-remote"),
    pytest.param("MCP Inspector", 0, "npx -y @modelcontextprotocol/inspector@2 --web", "--header", id="inspector"),
    pytest.param("MCP Inspector", 1, "npx -y @modelcontextprotocol/inspector@2 --cli", "--header", id="inspector-cli"),
]


def blocks(section: str) -> list[pages.Block]:
    """Return the blocks of a client."""
    return [block for block in pages.blocks(CONNECT) if section in block.headings]


def parsed(block: pages.Block) -> Any:
    return tomllib.loads(block.text) if block.language == "toml" else json.loads(block.text)


def at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value[name]
    return value


def accepted(mcp: Mcp, headers: dict[str, str]) -> bool:
    """Tell whether the tools take a key from these headers, once it stands where the page says."""
    for written in KEYS:
        headers = {name: value.replace(written, KEY) for name, value in headers.items()}
    assert KEY in str(headers)
    return mcp.call("query_video_status", {"task_id": "sandbox-completed"}, headers)["isError"] is False


def header(text: str) -> dict[str, str]:
    """Return a header as it is written on a command line."""
    name, value = text.split(":", 1)
    return {name: value.strip()}


def test_there_is_a_section_for_each_client() -> None:
    """Ours: those that people use."""
    assert SECTIONS == [
        "Claude Code",
        "Claude Desktop",
        "claude.ai connectors",
        "ChatGPT",
        "Cursor",
        "VS Code",
        "Windsurf",
        "Cline",
        "Gemini CLI",
        "Codex",
        "n8n",
        "Cherry Studio",
        "Dify",
        "Copilot Studio",
        "mcp-remote",
        "MCP Inspector",
        "Python SDK",
        "TypeScript SDK",
        "fastmcp",
        "LangChain",
        "Pydantic AI",
        "OpenAI Agents SDK",
        "Clients that give up early",
        "curl",
    ]


@pytest.mark.parametrize(
    ("name", "number"), [("README.md", 1), ("README.zh.md", 1), ("docs/connect.md", 10), ("docs/connect.zh.md", 10)]
)
def test_every_json_and_toml_block_parses_and_names_no_other_url(name: str, number: int) -> None:
    """Ours: a reader pastes them."""
    found = [block for block in pages.blocks(pages.page(name)) if block.language in ("json", "toml")]
    assert len(found) == number
    for block in found:
        assert parsed(block)
        assert re.findall(r'https?://[^"]+', block.text) == [DEPLOYED]


@pytest.mark.parametrize(("section", "number", "url", "headers", "others"), FORMS)
def test_a_configuration_has_the_fields_of_its_client(
    section: str, number: int, url: tuple[str, ...], headers: tuple[str, ...], others: dict[str, str], mcp: Mcp
) -> None:
    """Ours: by the client's own names; and the header that it sends is one that the service takes."""
    block = parsed(blocks(section)[number])
    assert at(block, url) == DEPLOYED
    assert list(at(block, headers)) == ["Authorization"]
    assert accepted(mcp, at(block, headers))
    server = at(block, url[:-1])
    rest = {name: value for name, value in server.items() if name not in (url[-1], headers[-1], "disabled")}
    assert rest == others


def test_vs_code_asks_for_the_key() -> None:
    """Ours: hidden while it is typed, and under the name that the header uses."""
    (asked,) = parsed(blocks("VS Code")[0])["inputs"]
    assert (asked["type"], asked["id"], asked["password"]) == ("promptString", "scenext-key", True)
    assert set(asked) == {"type", "id", "description", "password"}


def test_claude_desktop_starts_the_bridge_with_the_header(mcp: Mcp) -> None:
    """Ours: without a blank in the argument, which does not arrive whole on Windows."""
    server = at(parsed(blocks("Claude Desktop")[0]), SCENEXT)
    assert server["command"] == "npx"
    *args, last = server["args"]
    assert args == ["-y", "mcp-remote", DEPLOYED, "--header"]
    assert " " not in last
    for name, value in server["env"].items():
        last = last.replace(f"${{{name}}}", value)
    assert accepted(mcp, header(last))


def test_codex_reads_the_key_from_the_environment() -> None:
    """Ours: Codex puts it into `Authorization: Bearer` by itself, and the command writes what the file has."""
    server = parsed(blocks("Codex")[0])["mcp_servers"]["scenext"]
    assert server == {"url": DEPLOYED, "bearer_token_env_var": "SCENEXT_KEY"}
    words = shlex.split(blocks("Codex")[1].text)
    assert words[words.index("--bearer-token-env-var") + 1] == server["bearer_token_env_var"]


@pytest.mark.parametrize(("section", "number", "start", "option"), COMMANDS)
def test_a_command_names_the_endpoint_and_the_header(
    section: str, number: int, start: str, option: str | None, mcp: Mcp
) -> None:
    """Ours: one line, in the words of the client."""
    text = blocks(section)[number].text
    words = shlex.split(text)
    assert text.count("\n") == 1
    assert text.startswith(start)
    assert [word for word in words if word.startswith("http") and ":" in word] == [DEPLOYED]
    if option:
        assert accepted(mcp, header(words[words.index(option) + 1]))


@pytest.mark.parametrize("section", ["claude.ai connectors", "n8n", "Dify", "Copilot Studio"])
def test_a_form_has_the_url_and_the_key(section: str) -> None:
    """Ours: for clients that are set up in a form."""
    (table,) = (found for found in pages.tables(CONNECT) if found.headings[-1] == section)
    assert DEPLOYED in table.column(1)
    assert {"YOUR_API_KEY", "Bearer YOUR_API_KEY"} & set(table.column(1))


def test_copilot_studio_sends_the_key_in_the_header_of_its_form(mcp: Mcp) -> None:
    """Ours: `X-API-Key`, where the key stands alone; a form is no place for a scheme before it."""
    (table,) = (found for found in pages.tables(CONNECT) if found.headings[-1] == "Copilot Studio")
    form = dict(zip(table.column(0), table.column(1), strict=True))
    assert (form["**Authentication**"], form["**Type**"]) == ("API key", "Header")
    assert accepted(mcp, {form["**Header name**"]: form["**API key**, in the new connection"]})


def test_chatgpt_is_given_no_key() -> None:
    """Ours: its form has no field for one, and a reader must not look for it."""
    (table,) = (found for found in pages.tables(CONNECT) if found.headings[-1] == "ChatGPT")
    assert DEPLOYED in table.column(1)
    assert [value for value in table.column(1) if any(written in value for written in KEYS)] == []


PROGRAMS = [block for block in pages.blocks(CONNECT) if block.language in ("python", "js")]


@pytest.mark.parametrize("block", [pytest.param(block, id=block.headings[-1]) for block in PROGRAMS])
def test_a_program_has_one_place_for_the_url_and_one_for_the_key(block: pages.Block) -> None:
    """Ours: a reader replaces both; `tests.interop.clients.run` runs each with a key, and with the placeholder."""
    assert (block.text.count(DEPLOYED), block.text.count("Bearer YOUR_API_KEY")) == (1, 1)
    assert not re.search(r"content\[\d", block.text)  # a failure has one block of text, and a result two


def test_the_openai_program_waits_longer_than_a_call_may() -> None:
    """Ours: unless told otherwise it gives up after 5 seconds."""
    (seconds,) = re.findall(r"client_session_timeout_seconds=(\d+)", blocks("OpenAI Agents SDK")[0].text)
    assert int(seconds) > Config().max_wait


@pytest.mark.parametrize("number", [0, 1])
def test_a_curl_is_a_golden_exchange(number: int) -> None:
    """Ours: in both eras."""
    words = shlex.split(blocks("curl")[number].text)
    headers = dict(words[n + 1].split(": ", 1) for n, word in enumerate(words) if word == "-H")
    sent = {"method": "POST", "path": "/mcp", "headers": headers, "body": json.loads(words[words.index("-d") + 1])}
    assert LOCAL in words
    assert [exchange for exchange in EXCHANGES if exchange["request"] == sent] != []


def test_the_readme_shows_the_same_blocks() -> None:
    """Ours: one command, and the block that most other clients vary."""
    shown = [block.text for block in pages.blocks(pages.page("README.md")) if "Connect" in block.headings]
    assert shown == [blocks("Claude Code")[0].text, blocks("Cursor")[0].text]


def buttons(name: str) -> dict[str, dict[str, list[str]]]:
    """Return the host and path of each install button of a page, with its query."""
    parts = [urlsplit(link) for link in pages.links(pages.page(name)) if "install?" in link]
    return {f"{part.scheme}://{part.netloc}{part.path}": parse_qs(part.query, strict_parsing=True) for part in parts}


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_install_buttons_install_what_the_blocks_say(name: str, mcp: Mcp) -> None:
    """Ours: the server on the user's own machine, with the same fields as in the client's file."""
    vscode, cursor = buttons(name).items()
    assert (vscode[0], cursor[0]) == (
        "https://insiders.vscode.dev/redirect/mcp/install",
        "https://cursor.com/link/mcp/install",
    )
    assert vscode[1]["name"] == cursor[1]["name"] == ["scenext"]
    expected = parsed(blocks("VS Code")[0])
    assert json.loads(vscode[1]["inputs"][0]) == expected["inputs"]
    assert json.loads(vscode[1]["config"][0]) == {**expected["servers"]["scenext"], "url": LOCAL}
    installed = json.loads(base64.b64decode(cursor[1]["config"][0], validate=True))
    assert installed == {**at(parsed(blocks("Cursor")[0]), SCENEXT), "url": LOCAL}
    assert accepted(mcp, installed["headers"])
