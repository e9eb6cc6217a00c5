"""The client configurations: each parses, names the endpoint in the client's own field, and includes the key."""

import base64
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from scenext_service.config import Config
from scenext_service.web.page import SANDBOX_KEY
from tests.support import pages
from tests.support.messages import Mcp

from .connect import DEPLOYED, HEADERS, LOCAL, SIGN_IN, clients, main, render
from .test_readme import EXCHANGES

KEY = "any-key-will-do"

CONNECT = pages.page("docs/connect.md")
SECTIONS = [words for level, words in pages.headings(CONNECT) if level == 2]

# Placeholders that stand for the key.
KEYS = ("YOUR_API_KEY", "${SCENEXT_KEY}", "${input:scenext-key}")

SCENEXT = ("mcpServers", "scenext")

# Client, index of its block, path of the URL, path of the headers, and other required fields.
FORMS = [
    pytest.param("Claude Code", 1, (*SCENEXT, "url"), (*SCENEXT, "headers"), {"type": "http"}, id="claude-code-file"),
    pytest.param("Cursor", 0, (*SCENEXT, "url"), (*SCENEXT, "headers"), {}, id="cursor"),
    pytest.param(
        "VS Code", 0, ("servers", "scenext", "url"), ("servers", "scenext", "headers"), {"type": "http"}, id="vscode"
    ),
    pytest.param("Windsurf", 0, (*SCENEXT, "url"), (*SCENEXT, "headers"), {"transport": "http"}, id="devin-local"),
    pytest.param("Windsurf", 1, (*SCENEXT, "serverUrl"), (*SCENEXT, "headers"), {}, id="cascade"),
    pytest.param("Cline", 0, (*SCENEXT, "url"), (*SCENEXT, "headers"), {"type": "streamableHttp"}, id="cline"),
    pytest.param("LM Studio", 0, (*SCENEXT, "url"), (*SCENEXT, "headers"), {}, id="lm-studio"),
    pytest.param("Kiro", 0, (*SCENEXT, "url"), (*SCENEXT, "headers"), {}, id="kiro"),
    pytest.param(
        "opencode", 0, ("mcp", "scenext", "url"), ("mcp", "scenext", "headers"), {"type": "remote"}, id="opencode"
    ),
    pytest.param("mcpo", 0, (*SCENEXT, "url"), (*SCENEXT, "headers"), {"type": "streamable-http"}, id="mcpo"),
    pytest.param("Gemini CLI", 0, (*SCENEXT, "url"), (*SCENEXT, "headers"), {"type": "http"}, id="gemini"),
    pytest.param(
        "Cherry Studio", 0, (*SCENEXT, "url"), (*SCENEXT, "headers"), {"type": "streamableHttp"}, id="cherry-studio"
    ),
    pytest.param("Antigravity CLI", 0, (*SCENEXT, "serverUrl"), (*SCENEXT, "headers"), {}, id="antigravity"),
    pytest.param("Trae", 0, (*SCENEXT, "url"), (*SCENEXT, "headers"), {}, id="trae"),
]

# Client, index of its block, start of the command, and the option for the header, or None if a variable has the key.
COMMANDS = [
    pytest.param("Claude Code", 0, "claude mcp add --transport http scenext", "--header", id="claude-code"),
    pytest.param("Gemini CLI", 1, "gemini mcp add --scope user --transport http", "--header", id="gemini"),
    pytest.param("Codex", 1, "codex mcp add scenext", None, id="codex"),
    pytest.param("mcp-remote", 0, "npx -y mcp-remote", "--header", id="mcp-remote"),
    pytest.param("MCP Inspector", 0, "npx -y @modelcontextprotocol/inspector@2 --web", "--header", id="inspector"),
    pytest.param("MCP Inspector", 1, "npx -y @modelcontextprotocol/inspector@2 --cli", "--header", id="inspector-cli"),
]


def blocks(section: str) -> list[pages.Block]:
    """Return the code blocks of a client."""
    return [block for block in pages.blocks(CONNECT) if section in block.headings]


def parsed(block: pages.Block) -> Any:
    return tomllib.loads(block.text) if block.language == "toml" else json.loads(block.text)


def at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value[name]
    return value


def accepted(mcp: Mcp, headers: dict[str, str]) -> bool:
    """Return whether a tool call succeeds with these headers after the placeholder is replaced by a key."""
    for written in KEYS:
        headers = {name: value.replace(written, KEY) for name, value in headers.items()}
    assert KEY in str(headers)
    return mcp.call("query_video_status", {"task_id": "sandbox-completed"}, headers)["isError"] is False


def header(text: str) -> dict[str, str]:
    """Parse a header from a command line."""
    name, value = text.split(":", 1)
    return {name: value.strip()}


@pytest.mark.parametrize("name", HEADERS)
def test_the_page_is_up_to_date(name: str) -> None:
    """Ours: `python -m tests.pages.connect` writes it; a change by hand would be lost."""
    assert pages.page(f"docs/{name}") == render(name)


def test_the_command_writes_both_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: into the folder `docs`."""
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr("tests.pages.connect.ROOT", tmp_path)
    main()
    assert {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "docs").iterdir()} == {
        name: render(name) for name in HEADERS
    }


@pytest.mark.parametrize("name", HEADERS)
def test_the_page_shows_each_block_and_each_field_once(name: str) -> None:
    """Ours: an entry that no template uses would be missing without notice."""
    text = pages.page(f"docs/{name}").replace(LOCAL, DEPLOYED)
    blocks = [block.text for block in pages.blocks(text)]
    rows = [row for table in pages.tables(text) for row in table.rows]
    shown = [(label.replace("**", ""), value.strip("`")) for label, value, *_ in rows]
    column = 1 if ".zh." in name else 0
    assert sorted(blocks) == sorted(block for client in clients().values() for block in client.get("blocks", []))
    fields = [field for client in clients().values() for field in client.get("fields", [])]
    assert [field for field in fields if (field[column], field[2]) not in shown] == []


def test_there_is_a_section_for_each_client() -> None:
    """Ours: the list is fixed here, so that no section is lost."""
    assert SECTIONS == [
        "Claude Code",
        "Claude Desktop",
        "claude.ai connectors",
        "ChatGPT",
        "Cursor",
        "VS Code",
        "Windsurf",
        "Cline",
        "LM Studio",
        "Kiro",
        "Gemini CLI",
        "Antigravity CLI",
        "Codex",
        "opencode",
        "n8n",
        "Cherry Studio",
        "Dify",
        "Trae",
        "Coze",
        "Lingma",
        "Copilot Studio",
        "mcp-remote",
        "mcpo",
        "MCP Inspector",
        "Python SDK",
        "TypeScript SDK",
        "fastmcp",
        "LangChain",
        "LangChain.js",
        "Pydantic AI",
        "OpenAI Agents SDK",
        "Vercel AI SDK",
        "Mastra",
        "Clients that give up early",
        "curl",
    ]


@pytest.mark.parametrize(
    ("name", "number", "url"),
    [
        ("README.md", 1, LOCAL),
        ("README.zh.md", 1, LOCAL),
        ("docs/connect.md", 16, DEPLOYED),
        ("docs/connect.zh.md", 16, DEPLOYED),
    ],
)
def test_every_json_and_toml_block_parses_and_has_one_url(name: str, number: int, url: str) -> None:
    """Ours: readers paste these blocks."""
    found = [block for block in pages.blocks(pages.page(name)) if block.language in ("json", "toml")]
    assert len(found) == number
    for block in found:
        assert parsed(block)
        assert re.findall(r'https?://[^"]+', block.text) == [url]


@pytest.mark.parametrize(("section", "number", "url", "headers", "others"), FORMS)
def test_a_configuration_has_the_fields_of_its_client(
    section: str, number: int, url: tuple[str, ...], headers: tuple[str, ...], others: dict[str, str], mcp: Mcp
) -> None:
    """Ours: with the client's own field names; the service accepts the header that the client sends."""
    block = parsed(blocks(section)[number])
    assert at(block, url) == DEPLOYED
    assert list(at(block, headers)) == ["Authorization"]
    assert accepted(mcp, at(block, headers))
    server = at(block, url[:-1])
    rest = {name: value for name, value in server.items() if name not in (url[-1], headers[-1], "disabled")}
    assert rest == others


def test_vs_code_asks_for_the_key() -> None:
    """Ours: the input is hidden while the user types, and has the id that the header refers to."""
    (prompt,) = parsed(blocks("VS Code")[0])["inputs"]
    assert (prompt["type"], prompt["id"], prompt["password"]) == ("promptString", "scenext-key", True)
    assert set(prompt) == {"type", "id", "description", "password"}


def test_claude_desktop_starts_the_bridge_with_the_header(mcp: Mcp) -> None:
    """Ours: without a space in the argument, because Windows would split it."""
    server = at(parsed(blocks("Claude Desktop")[0]), SCENEXT)
    assert server["command"] == "npx"
    *args, last = server["args"]
    assert args == ["-y", "mcp-remote", DEPLOYED, "--header"]
    assert " " not in last
    for name, value in server["env"].items():
        last = last.replace(f"${{{name}}}", value)
    assert accepted(mcp, header(last))


def test_codex_reads_the_key_from_the_environment() -> None:
    """Ours: Codex adds `Authorization: Bearer` by itself; the command writes the same settings as the file."""
    server = parsed(blocks("Codex")[0])["mcp_servers"]["scenext"]
    assert server == {"url": DEPLOYED, "bearer_token_env_var": "SCENEXT_KEY"}
    words = shlex.split(blocks("Codex")[1].text)
    assert words[words.index("--bearer-token-env-var") + 1] == server["bearer_token_env_var"]


@pytest.mark.parametrize(("section", "number", "start", "option"), COMMANDS)
def test_a_command_names_the_endpoint_and_the_header(
    section: str, number: int, start: str, option: str | None, mcp: Mcp
) -> None:
    """Ours: each is one line with the client's own options."""
    text = blocks(section)[number].text
    words = shlex.split(text)
    assert text.count("\n") == 1
    assert text.startswith(start)
    assert [word for word in words if word.startswith("http") and ":" in word] == [DEPLOYED]
    if option:
        assert accepted(mcp, header(words[words.index(option) + 1]))


@pytest.mark.parametrize("section", ["claude.ai connectors", "n8n", "Dify", "Coze", "Copilot Studio"])
def test_a_form_has_the_url_and_the_key(section: str) -> None:
    """Ours: the section of a client with a form lists the values to enter."""
    table = next(found for found in pages.tables(CONNECT) if found.headings[-1] == section)
    assert DEPLOYED in table.column(1)
    assert {"YOUR_API_KEY", "Bearer YOUR_API_KEY"} & set(table.column(1))


def test_copilot_studio_sends_the_key_in_the_header_of_its_form(mcp: Mcp) -> None:
    """Ours: the header is `X-API-Key`, so that the form takes the key alone, without a scheme before it."""
    (table,) = (found for found in pages.tables(CONNECT) if found.headings[-1] == "Copilot Studio")
    form = dict(zip(table.column(0), table.column(1), strict=True))
    assert (form["**Authentication**"], form["**Type**"]) == ("API key", "Header")
    assert accepted(mcp, {form["**Header name**"]: form["**API key**, in the new connection"]})


def test_the_chatgpt_form_has_no_key() -> None:
    """Ours: the ChatGPT form has no field for a key, so readers must not look for one."""
    table, _ = (found for found in pages.tables(CONNECT) if found.headings[-1] == "ChatGPT")
    assert DEPLOYED in table.column(1)
    assert [value for value in table.column(1) if any(written in value for written in KEYS)] == []


@pytest.mark.parametrize("section", ["claude.ai connectors", "ChatGPT"])
def test_the_form_for_sign_in_has_its_address_and_no_key(section: str) -> None:
    """Ours: the second form of the section. It is the address in docs/operating.md, with the reader's host."""
    _, table = (found for found in pages.tables(CONNECT) if found.headings[-1] == section)
    values = [value.strip("`") for value in table.column(1)]
    assert SIGN_IN in values
    assert [value for value in values if any(written in value for written in (*KEYS, "Bearer"))] == []
    assert SIGN_IN.replace("YOUR-APP", "scenext") in pages.page("docs/operating.md")


PROGRAMS = [block for block in pages.blocks(CONNECT) if block.language in ("python", "js")]


@pytest.mark.parametrize("block", [pytest.param(block, id=block.headings[-1]) for block in PROGRAMS])
def test_a_program_has_the_url_and_the_key_once_each(block: pages.Block) -> None:
    """Ours: readers replace both; `tests.interop.clients.run` runs each program with a key and with the placeholder."""
    assert (block.text.count(DEPLOYED), block.text.count("Bearer YOUR_API_KEY")) == (1, 1)
    assert not re.search(
        r"content\[\d", block.text
    )  # an error has one text block and a result has two, so an index is unsafe


def test_the_openai_program_has_a_timeout_above_the_longest_wait() -> None:
    """Ours: its default timeout is 5 seconds."""
    (seconds,) = re.findall(r"client_session_timeout_seconds=(\d+)", blocks("OpenAI Agents SDK")[0].text)
    assert int(seconds) > Config().max_wait


@pytest.mark.parametrize("number", [0, 1])
def test_a_curl_is_a_golden_exchange(number: int) -> None:
    """Ours: one command for each era."""
    words = shlex.split(blocks("curl")[number].text)
    headers = dict(words[n + 1].split(": ", 1) for n, word in enumerate(words) if word == "-H")
    sent = {"method": "POST", "path": "/mcp", "headers": headers, "body": json.loads(words[words.index("-d") + 1])}
    assert LOCAL in words
    assert [exchange for exchange in EXCHANGES if exchange["request"] == sent] != []


def for_sandbox(text: str) -> str:
    """Return a block with the URL of a local sandbox, and with a key that it accepts."""
    return text.replace(DEPLOYED, LOCAL).replace("YOUR_API_KEY", SANDBOX_KEY)


def test_the_readme_shows_the_same_blocks_for_the_sandbox(mcp: Mcp) -> None:
    """Ours: one command, and the block on which most other clients' configurations are based, both to use unchanged."""
    shown = [block.text for block in pages.blocks(pages.page("README.md")) if "Connect" in block.headings]
    assert shown == [for_sandbox(block.text) for block in (blocks("Claude Code")[0], blocks("Cursor")[0])]
    headers = at(json.loads(shown[1]), (*SCENEXT, "headers"))
    assert mcp.call("query_video_status", {"task_id": "sandbox-completed"}, headers)["isError"] is False


def buttons(name: str) -> dict[str, dict[str, list[str]]]:
    """Return the URL of each install button of a page without its query, mapped to the parsed query."""
    parts = [urlsplit(link) for link in pages.links(pages.page(name)) if "install?" in link]
    return {f"{part.scheme}://{part.netloc}{part.path}": parse_qs(part.query, strict_parsing=True) for part in parts}


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_install_buttons_match_the_blocks(name: str, mcp: Mcp) -> None:
    """Ours: they install the local server, with the same fields as in the client's file."""
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
    assert installed == at(json.loads(for_sandbox(blocks("Cursor")[0].text)), SCENEXT)
    assert mcp.call("query_video_status", {"task_id": "sandbox-completed"}, installed["headers"])["isError"] is False
