"""The documentation pages: examples match golden exchanges, tables match the code, translations match the English."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pytest

from scenext_service import create_app
from scenext_service.config import MAX_TIMEOUT, VARIABLES, Config, ConfigError, from_env, startup_fields
from scenext_service.mcp.dispatch import SUPPORTED_VERSIONS
from scenext_service.scenext.client import Scenext
from scenext_service.scenext.failures import KeyMissing, KeyPlaceholder
from scenext_service.scenext.keys import PLACEHOLDER
from scenext_service.scenext.sandbox import adapter as sandbox
from scenext_service.tools import create_tools
from scenext_service.tools.api_call import Credentials
from scenext_service.tools.waiting import JobWaiter
from tests.exchanges import FILES, load
from tests.support import pages
from tests.support.messages import BEARER, KEY, Mcp
from tests.support.names import TOOLS
from tests.support.pages import ROOT
from tests.support.scripted import SkippedWaits

OTHER = "scenext-mcp 1.2.4"
EXCHANGES = [load(path) for path in FILES]
PAGES = [name for pair in pages.TRANSLATIONS.items() for name in pair]
EXAMPLES = pages.examples()


def either(name: str) -> pytest.MarkDecorator:
    """Run a test with a page and with its translation."""
    return pytest.mark.parametrize(
        "text", [pytest.param(pages.page(one), id=one) for one in (name, pages.TRANSLATIONS[name])]
    )


translated = pytest.mark.parametrize(
    ("text", "other"),
    [pytest.param(*map(pages.page, pair), id=pair[0]) for pair in pages.TRANSLATIONS.items()],
)


def table(text: str, first: str) -> pages.Table:
    """Return the first table that has a row with this first cell."""
    found = [table for table in pages.tables(text) if first in [row[0] for row in table.rows]]
    assert found, f"no table on this page has a row that begins with {first}"
    return found[0]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_is_a_golden_exchange(number: int) -> None:
    """Ours: a page shows the response of the replayed exchange, or the output of the command's program for it."""
    example = EXAMPLES[number]
    sent: dict[str, Any] = {
        "method": "POST",
        "path": example.path,
        "headers": example.headers,
        "body": example.body,
    }
    answers = [exchange["response"]["body"] for exchange in EXCHANGES if exchange["request"] == sent]
    if example.program is not None:
        answers = [printed(example.program, answer) for answer in answers]
    assert answers == [example.answer]


def printed(program: str, answer: Any) -> str:
    """Return the output of a Python program that reads a response."""
    return subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(answer), capture_output=True, check=True, encoding="utf-8"
    ).stdout


def test_all_examples_are_found() -> None:
    """Ours: a short example, then each kind of request in full; an example that is not found would not be checked."""
    found_examples = [
        (example.page, example.body["method"], example.body["params"].get("name")) for example in EXAMPLES
    ]
    assert found_examples == [
        ("README.md", "tools/call", "query_video_status"),
        ("docs/protocol.md", "tools/call", "gen_video"),
        ("docs/protocol.md", "tools/call", "query_video_status"),
        ("docs/protocol.md", "tools/call", "query_video_status"),
        ("docs/protocol.md", "tools/call", "gen_video"),
        ("docs/protocol.md", "initialize", None),
    ]


def test_each_command_is_one_line() -> None:
    """Ours: one line installs and runs the service, one line installs and tests it."""
    assert pages.command("Try it").count("\n") == pages.command("Test").count("\n") == 1


class Setting(NamedTuple):
    """The cells of a setting in docs/configuration.md or its translation."""

    default: str
    values: str
    meaning: str


def settings(text: str) -> dict[str, Setting]:
    """Return the settings of docs/configuration.md or its translation, by variable."""
    rows = [row for found in pages.tables(text) for row in found.rows if len(row) == 1 + len(Setting._fields)]
    return {name.strip("`"): Setting(default.strip("`"), values, meaning) for name, default, values, meaning in rows}


@either("docs/configuration.md")
def test_the_table_of_variables_matches_the_code(text: str) -> None:
    """Ours: the tables contain every variable that is read, with its default, and no other."""
    defaults = {name: setting.default for name, setting in settings(text).items()}
    assert set(defaults) == {*VARIABLES, "PORT", "WEB_CONCURRENCY"}
    gunicorn = pages.page("scenext_service/server/gunicorn/settings.py")
    assert set(re.findall(r'read\(os.environ, "(\w+)"', gunicorn)) <= set(defaults)
    unset = {name for name, default in defaults.items() if default in ("none", "无", "by threads", "按线程数")}
    depends = "SCENEXT_REPEAT_WINDOW"  # on the sandbox
    assert int(defaults.pop(depends)) == Config().repeat_minutes
    undeclared = {name for name, declared in VARIABLES.items() if declared.default in (None, frozenset(), ())}
    assert unset == {"PORT", *undeclared} - {depends}
    assert from_env({name: default for name, default in defaults.items() if name not in unset}) == Config()


def accepts(name: str, text: str) -> bool:
    """Return whether the service starts with this value."""
    try:
        from_env({name: text})
    except ConfigError:
        return False
    return True


@either("docs/configuration.md")
def test_the_values_of_each_variable_match_the_code(text: str) -> None:
    """Ours: every listed choice is accepted; so are both ends of a range, and the numbers beyond them are not."""
    gunicorn = pages.page("scenext_service/server/gunicorn/settings.py")
    ranges = {}
    for name, setting in settings(text).items():
        choices = re.findall(r"`(\w+)`", setting.values)
        assert [choice for choice in choices if not accepts(name, choice)] == [], name
        if found := re.fullmatch(r"(\d+) (?:to|到) ([\d,]+)", setting.values):
            ranges[name] = int(found[1]), int(found[2].replace(",", ""))
    assert len(ranges) == 6
    for name, (low, high) in ranges.items():
        if name in VARIABLES:
            accepted = [number for number in (low - 1, low, high, high + 1) if accepts(name, str(number))]
            assert accepted == [low, high], name
        else:
            assert f'"{name}", integer({low}, {high:_})' in gunicorn
    assert f"{MAX_TIMEOUT:g}" in settings(text)["SCENEXT_TIMEOUT"].values


@pytest.mark.parametrize(
    "names", [("README.md", "docs/configuration.md"), ("README.zh.md", "docs/configuration.zh.md")]
)
def test_the_readme_lists_eleven_settings_with_their_defaults(names: tuple[str, str]) -> None:
    """Ours: the settings that most people need; the other page has all."""
    readme, reference = map(pages.page, names)
    listed = table(readme, "`SCENEXT_API_KEY`")
    assert len(listed.rows) == 11
    assert listed.column(1) == [settings(reference)[name].default for name in listed.column(0)]


@either("README.md")
def test_the_figures_match_the_benchmarks(text: str) -> None:
    """Ours: the comparison with scenext-mcp has the figures of benchmarks/results.md."""
    sections = pages.page("benchmarks/results.md").partition("\n## tools/list while 100 calls hang\n")[2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in sections.splitlines() if line.startswith("|")]
    latency = [row[-1] for row in rows if row[0] in ("scenext_service, shipped: 2 workers", OTHER)]
    following = ("with streams, as shipped", f"{OTHER}, every 30 s")
    added = [row[4] for row in rows if row[0] in following and row[1:3] == ["10", "217"]]  # frames, length of a link
    clients = table(pages.page("docs/works-with.md"), "Python SDK `mcp`").rows
    assert (len(added), len(latency), OTHER in text.replace("`", "")) == (2, 2, True)
    assert [figure for figure in (*added, *latency, str(len(clients))) if f" {figure}" not in text] == []


def test_the_sandbox_ids_match_the_code() -> None:
    """Ours: the page documents every id and its outcome."""
    ids = table(pages.page("docs/sandbox.md"), "`sandbox-completed`")
    assert dict(zip(ids.column(0), ids.column(1), strict=True)) == dict(sandbox.OUTCOMES)


@either("docs/sandbox.md")
def test_the_sandbox_keys_match_the_code(text: str) -> None:
    """Ours: the page documents every key."""
    assert table(text, f"`{sandbox.REFUSED_KEY}`").column(0) == [
        sandbox.REFUSED_KEY,
        sandbox.NO_CREDIT_KEY,
        sandbox.BLOCKED_KEY,
    ]


@either("README.md")
def test_the_tools_and_their_arguments_match_the_code(text: str) -> None:
    """Ours: the table has a row for every tool, with every argument and no other."""
    described = table(text, f"`{TOOLS[-1]}`")
    assert sorted(described.column(0)) == sorted(TOOLS), "each tool of tests/support/names.py needs a row on this page"
    rows = {row[0].strip("`"): set(re.findall(r"`(\w{2,})`", row[2])) for row in described.rows}
    made = create_tools(Scenext("https://api.example", timeout=1, slots=1), Credentials(), "m", JobWaiter(50, 1))
    assert rows == {tool.name: set(tool.schema["properties"]) for tool in made}


@either("docs/protocol.md")
def test_the_protocol_page_names_every_version(text: str) -> None:
    """Ours: and no version that is not supported."""
    assert re.findall(r"\d{4}-\d\d-\d\d", text.partition("\n## ")[0]) == list(SUPPORTED_VERSIONS)


@either("README.md")
def test_the_table_of_used_keys_matches_the_code(text: str) -> None:
    """Ours: the table "Whose key is used", cell by cell."""
    own, shared, token = "caller-key-000000001", "operator-key-0000001", "operator-token-00001"
    words = {"the caller's": own, "调用方的": own, "the server's": shared, "服务的": shared}
    servers = [Credentials(), Credentials(shared), Credentials(shared, token)]
    callers = [
        [(f"Bearer {own}", None), (own, None), (None, own)],
        [(None, None), (f"Bearer {PLACEHOLDER}", None), (None, PLACEHOLDER), ("Basic dXNlcjpwYXNz", None)],
        [(f"Bearer {token}", None), (None, token)],
    ]
    rows = next(
        found.rows for found in pages.tables(text) if found.headings[-1] in ("Whose key is used", "使用谁的密钥")
    )
    for row, sent in zip(rows, callers, strict=True):
        for cell, server in zip(row[1:], servers, strict=True):
            if cell != "–":  # these cells do not apply, because the server has no token
                assert [used(server, *headers) for headers in sent] == [words.get(cell, "none")] * len(sent)


def used(credentials: Credentials, authorization: str | None, api_key: str | None) -> str:
    """Return the key that a call uses, or `none`."""
    try:
        return credentials.key_for(authorization, api_key)
    except (KeyMissing, KeyPlaceholder):
        return "none"


@either("docs/operating.md")
def test_the_table_of_log_fields_matches_the_code(
    text: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: the table contains every field and no other, in any order."""
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    mcp = Mcp(create_app(Config(sandbox=True, repeat_window=1), clock=SkippedWaits().clock).test_client())
    log_lines: list[str] = request.getfixturevalue("lines")  # after the application, which sets up the log
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    mcp.call("query_video_status", {"task_id": "sandbox-down"}, {"Authorization": f"Bearer {KEY}", **trace})
    call = {"name": "query_video_status", "arguments": {"task_id": "sandbox-in-progress", "wait_seconds": 1}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    mcp.client.post("/mcp", json=message, headers=BEARER, environ_overrides={"wsgi.multithread": True})
    for _ in range(2):
        mcp.call("gen_video", {"question": "1+1"})
    pairs = {name for line in log_lines for name in re.findall(r" (\w+)=", line)}
    assert pairs - {"level", "msg"} == set(table(text, "`http_method`").column(0))


@either("docs/operating.md")
def test_the_table_of_startup_fields_matches_the_code(text: str) -> None:
    """Ours: the fields are in the order of the log line."""
    documented = [re.findall(r"`(\w+)`", row[0]) for row in table(text, "`version`").rows]
    assert [name for names in documented for name in names] == list(startup_fields(Config()))


@pytest.mark.parametrize(("index", "language"), [("docs/README.md", ".md"), ("docs/README.zh.md", ".zh.md")])
def test_the_index_links_every_page(index: str, language: str) -> None:
    """Ours: readers find pages only through links; the pages about hosts are in English only."""
    names = [page.removeprefix("docs/") for page in pages.TRANSLATIONS if page.startswith("docs/")]
    expected = {name.removesuffix(".md") + language for name in names if name != "README.md"}
    expected |= {f"deploy/{path.name}" for path in (ROOT / "docs" / "deploy").glob("*.md")}
    assert expected - set(pages.links(pages.page(index))) == set()
    assert index in pages.links(pages.page("README" + language))


def test_pages_and_translations_come_in_pairs() -> None:
    """Ours: every page has a translation, and every translation has a page."""
    translations = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.zh.md")} | {"README.zh.md"}
    assert set(pages.TRANSLATIONS.values()) == translations
    assert len(translations) > 5


@translated
def test_a_translation_has_the_same_headings(text: str, other: str) -> None:
    """Ours: the levels are the same, section by section; headings in ASCII are not translated."""
    english, chinese = pages.headings(text), pages.headings(other)
    assert [level for level, _ in english] == [level for level, _ in chinese]
    named = [(english[number], chinese[number]) for number in range(len(english)) if chinese[number][1].isascii()]
    assert [pair for pair in named if pair[0] != pair[1]] == []


@translated
def test_a_translation_has_the_same_commands_and_examples(text: str, other: str) -> None:
    """Ours: code blocks are not translated."""
    pairs = [
        [(block.language, block.text, len(block.headings)) for block in pages.blocks(page)] for page in (text, other)
    ]
    assert pairs[0] == pairs[1]


@translated
def test_a_translation_has_the_same_tables(text: str, other: str) -> None:
    """Ours: row by row, with the same code, numbers and links in each cell, except in quoted text."""
    english, chinese = (
        [[list(map(facts, row)) for row in found.rows] for found in pages.tables(page)] for page in (text, other)
    )
    assert english == chinese


@pytest.mark.parametrize(
    ("read", "least"),
    [
        pytest.param(pages.headings, 40, id="headings"),
        pytest.param(pages.blocks, 30, id="blocks"),
        pytest.param(pages.tables, 15, id="tables"),
        pytest.param(pages.links, 45, id="links"),
    ],
)
def test_the_parsers_find_content_on_the_pages(read: Callable[[str], list[Any]], least: int) -> None:
    """Ours: otherwise a parser that finds nothing would make every comparison pass."""
    assert sum(len(read(pages.page(name))) for name in pages.TRANSLATIONS) >= least


def facts(cell: str) -> list[str]:
    """Return the code, numbers and links of a cell, sorted because a translation has another word order."""
    bare = re.sub(r"“[^”]*”", "", cell).replace(".zh.md", ".md")
    without_fragments = re.sub(r"(\]\([^)#]*)#[^)]+\)", r"\1)", bare)
    return sorted(re.findall(r"`[^`]+`|\]\([^)]+\)|\d[\d.-]*", without_fragments))


@translated
def test_a_translation_has_the_same_links(text: str, other: str) -> None:
    """Ours: the links lead to the translated page if there is one, and each page links to its translation."""
    english, chinese = (
        [link.partition("#")[0].replace(".zh.md", ".md") for link in pages.links(page)] for page in (text, other)
    )
    assert english == chinese


@pytest.mark.parametrize("name", [*PAGES, *pages.ENGLISH_ONLY])
def test_every_link_inside_the_repository_has_a_target(name: str) -> None:
    """Ours: the target is an existing file, and a heading in it if the link has a fragment."""
    dead = []
    for link in pages.links(pages.page(name)):
        path, _, fragment = link.partition("#")
        if path.startswith("http"):
            continue
        target = (ROOT / PurePosixPath(name).parent / path) if path else ROOT / name
        if not target.is_file():
            dead.append(link)
        elif fragment:
            titles = pages.headings(target.read_text(encoding="utf-8"))
            dead += [link] * (fragment not in [pages.anchor(words) for _, words in titles])
    assert dead == []


@pytest.mark.parametrize(
    ("heading", "fragment"),
    [
        ("Try it", "try-it"),
        ("Errors of the tools", "errors-of-the-tools"),
        ("claude.ai 连接器", "claudeai-连接器"),
        ("mcp-remote", "mcp-remote"),
    ],
)
def test_fragments_of_headings_follow_github(heading: str, fragment: str) -> None:
    """Ours: readers follow the links on GitHub."""
    assert pages.anchor(heading) == fragment
