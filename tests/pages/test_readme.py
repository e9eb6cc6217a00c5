"""The pages for people: examples are golden exchanges, tables are the code's, translations are in step."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import PurePosixPath
from typing import Any

import pytest

from scenext_service.config import VARIABLES, Config, from_env
from scenext_service.factory import about
from scenext_service.mcp.dispatch import SUPPORTED_VERSIONS
from scenext_service.scenext import sandbox
from scenext_service.scenext.auth import PLACEHOLDER
from scenext_service.scenext.client import Scenext
from scenext_service.scenext.failures import KeyMissing, KeyPlaceholder
from scenext_service.tools import tools
from scenext_service.tools.credentials import Credentials
from scenext_service.tools.waiting import Waits
from tests.exchanges import FILES, load
from tests.support import pages
from tests.support.messages import BEARER, KEY, Mcp
from tests.support.names import TOOLS
from tests.support.pages import ROOT

LONGEST_README = 170  # lines
EXCHANGES = [load(path) for path in FILES]
PAGES = [name for pair in pages.TRANSLATIONS.items() for name in pair]
EXAMPLES = pages.examples()


def either(name: str) -> pytest.MarkDecorator:
    """Run a test with a page, and with its translation."""
    return pytest.mark.parametrize(
        "text", [pytest.param(pages.page(one), id=one) for one in (name, pages.TRANSLATIONS[name])]
    )


translated = pytest.mark.parametrize(
    ("text", "other"),
    [pytest.param(*map(pages.page, pair), id=pair[0]) for pair in pages.TRANSLATIONS.items()],
)


def table(text: str, first: str) -> pages.Table:
    """Return the table whose first row begins with this cell."""
    return next(found for found in pages.tables(text) if found.rows[0][0] == first)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_is_a_golden_exchange(number: int) -> None:
    """Ours: what a page shows is what the replayed exchange says, or what the command's own program makes of it."""
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
    """Return what a Python program prints that reads an answer."""
    return subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(answer), capture_output=True, check=True, encoding="utf-8"
    ).stdout


def test_the_examples_are_these() -> None:
    """Ours: a short one that a person reads, then each form in full; one that is not found is not compared either."""
    said = [(example.page, example.body["method"], example.body["params"].get("name")) for example in EXAMPLES]
    assert said == [
        ("README.md", "tools/call", "query_video_status"),
        ("docs/protocol.md", "tools/call", "gen_video"),
        ("docs/protocol.md", "tools/call", "query_video_status"),
        ("docs/protocol.md", "tools/call", "query_video_status"),
        ("docs/protocol.md", "initialize", None),
    ]


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_readme_is_short(name: str) -> None:
    """Ours: what a newcomer needs; the rest has pages of its own."""
    assert len(pages.page(name).splitlines()) <= LONGEST_README


def test_the_commands_are_one_line_each() -> None:
    """Ours: one line sets up and runs, one line sets up and tests."""
    assert pages.command("Run").count("\n") == pages.command("Test").count("\n") == 1


@either("README.md")
def test_the_table_of_variables_is_that_of_the_code(text: str) -> None:
    """Ours: every variable that is read is documented with its default, and none that is not."""
    variables = table(text, "`SCENEXT_API_BASE_URL`")
    documented = dict(zip(variables.column(0), variables.column(1), strict=True))
    source = pages.page("scenext_service/config.py") + pages.page("scenext_service/serving/settings.py")
    assert set(documented) == set(re.findall(r'"(SCENEXT_[A-Z_]+|PORT|WEB_CONCURRENCY)"', source))
    unset = {name for name, default in documented.items() if default in ("none", "无")}
    assert unset == {"SCENEXT_API_KEY", "SCENEXT_ACCESS_TOKEN", "SCENEXT_ALLOWED_ORIGINS", "PORT"}
    assert from_env({name: default for name, default in documented.items() if name not in unset}) == Config()
    assert {*VARIABLES, "PORT", "WEB_CONCURRENCY"} == set(documented)
    # PORT is `public`, WEB_CONCURRENCY gunicorn's, `max_body` fixed; `proxy` and `unknown` are of no variable of ours.
    assert len(fields(Config)) == len(documented) + 2


def test_the_outcomes_of_the_sandbox_are_those_of_the_code() -> None:
    """Ours: the documented ids are all there are."""
    ids = table(pages.page("docs/sandbox.md"), "`sandbox-completed`")
    assert dict(zip(ids.column(0), ids.column(1), strict=True)) == dict(sandbox.OUTCOMES)


@either("docs/sandbox.md")
def test_the_keys_of_the_sandbox_are_those_of_the_code(text: str) -> None:
    """Ours: the documented keys are all there are."""
    assert table(text, f"`{sandbox.REFUSED_KEY}`").column(0) == [sandbox.REFUSED_KEY, sandbox.NO_CREDIT_KEY]


@either("README.md")
def test_the_tools_and_their_arguments_are_those_of_the_code(text: str) -> None:
    """Ours: an argument that exists is documented, and none that does not."""
    rows = {row[0].strip("`"): set(re.findall(r"`(\w{2,})`", row[2])) for row in table(text, f"`{TOOLS[0]}`").rows}
    made = tools(Scenext("https://api.example", timeout=1, slots=1), Credentials(), "m", Waits(50, 1))
    assert rows == {tool.name: set(tool.schema["properties"]) for tool in made}


@either("docs/protocol.md")
def test_the_protocol_page_names_every_version(text: str) -> None:
    """Ours: and no other."""
    assert re.findall(r"\d{4}-\d\d-\d\d", text.partition("\n## ")[0]) == list(SUPPORTED_VERSIONS)


@either("README.md")
def test_whose_key_is_used_is_what_the_code_does(text: str) -> None:
    """Ours: the table, cell by cell."""
    own, shared, token = "caller-key-000000001", "operator-key-0000001", "operator-token-00001"
    words = {"the caller's": own, "调用方的": own, "the operator's": shared, "运维人员的": shared}
    lent = [Credentials(), Credentials(shared), Credentials(shared, token)]
    callers = [
        [(f"Bearer {own}", None), (own, None), (None, own)],
        [(None, None), (f"Bearer {PLACEHOLDER}", None), (None, PLACEHOLDER), ("Basic dXNlcjpwYXNz", None)],
        [(f"Bearer {token}", None), (None, token)],
    ]
    rows = next(
        found.rows for found in pages.tables(text) if found.headings[-1] in ("Whose key is used", "使用谁的密钥")
    )
    for row, sent in zip(rows, callers, strict=True):
        for cell, one in zip(row[1:], lent, strict=True):
            if cell != "–":  # a server without a token knows nothing of one
                assert [used(one, *headers) for headers in sent] == [words.get(cell, "none")] * len(sent)


def used(lent: Credentials, authorization: str | None, api_key: str | None) -> str:
    """Return the key that a call is made with, or `none`."""
    try:
        return lent.key_for(authorization, api_key)
    except (KeyMissing, KeyPlaceholder):
        return "none"


@either("docs/operating.md")
def test_the_fields_of_a_log_line_are_those_of_the_table(
    text: str, mcp: Mcp, log_lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: in the order in which a reader meets them or not, but all of them, and no other."""
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    mcp.call("query_video_status", {"task_id": "sandbox-down"}, {"Authorization": f"Bearer {KEY}", **trace})
    call = {"name": "query_video_status", "arguments": {"task_id": "sandbox-in-progress", "wait_seconds": 1}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    mcp.client.post("/mcp", json=message, headers=BEARER, environ_overrides={"wsgi.multithread": True})
    pairs = {name for line in log_lines for name in re.findall(r" (\w+)=", line)}
    assert pairs == set(table(text, "`http_method`").column(0))


@either("docs/operating.md")
def test_the_fields_of_the_start_are_those_of_the_table(text: str) -> None:
    """Ours: in the order of the line."""
    documented = [re.findall(r"`(\w+)`", row[0]) for row in table(text, "`version`").rows]
    assert [name for names in documented for name in names] == list(about(Config()))


@pytest.mark.parametrize(("name", "language"), [("README.md", ".md"), ("README.zh.md", ".zh.md")])
def test_every_page_is_linked(name: str, language: str) -> None:
    """Ours: a page that is not found helps no reader; the pages about hosts are in English only."""
    expected = {page.removesuffix(".md") + language for page in pages.TRANSLATIONS if page.startswith("docs/")}
    expected |= {f"docs/deploy/{path.name}" for path in (ROOT / "docs" / "deploy").glob("*.md")}
    assert {link for link in pages.links(pages.page(name)) if link.startswith("docs/")} == expected


def test_every_page_has_a_translation_and_every_translation_a_page() -> None:
    """Ours: the two languages are in step."""
    translations = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.zh.md")} | {"README.zh.md"}
    assert set(pages.TRANSLATIONS.values()) == translations
    assert len(translations) > 5


@translated
def test_a_translation_has_the_same_headings(text: str, other: str) -> None:
    """Ours: section by section; a name in Latin letters stays as it is."""
    ours, theirs = pages.headings(text), pages.headings(other)
    assert [level for level, _ in ours] == [level for level, _ in theirs]
    named = [(ours[number], theirs[number]) for number in range(len(ours)) if theirs[number][1].isascii()]
    assert [pair for pair in named if pair[0] != pair[1]] == []


@translated
def test_a_translation_has_the_same_commands_and_examples(text: str, other: str) -> None:
    """Ours: a command is in no language."""
    pairs = [
        [(block.language, block.text, len(block.headings)) for block in pages.blocks(page)] for page in (text, other)
    ]
    assert pairs[0] == pairs[1]


@translated
def test_a_translation_has_the_same_tables(text: str, other: str) -> None:
    """Ours: row by row, with the same code, numbers and links in each cell, but for words that are quoted."""
    ours, theirs = (
        [[list(map(facts, row)) for row in found.rows] for found in pages.tables(page)] for page in (text, other)
    )
    assert ours == theirs


@pytest.mark.parametrize(
    ("read", "least"),
    [
        pytest.param(pages.headings, 40, id="headings"),
        pytest.param(pages.blocks, 30, id="blocks"),
        pytest.param(pages.tables, 15, id="tables"),
        pytest.param(pages.links, 45, id="links"),
    ],
)
def test_the_pages_have_something_to_compare(read: Callable[[str], list[Any]], least: int) -> None:
    """Ours: a reader that finds nothing must not pass for pages that agree."""
    assert sum(len(read(pages.page(name))) for name in pages.TRANSLATIONS) >= least


def facts(cell: str) -> list[str]:
    """Return what a cell says in no language: code, numbers and links, sorted; a translation has its own word order."""
    bare = re.sub(r"“[^”]*”", "", cell).replace(".zh.md", ".md")
    without_fragments = re.sub(r"(\]\([^)#]*)#[^)]+\)", r"\1)", bare)
    return sorted(re.findall(r"`[^`]+`|\]\([^)]+\)|\d[\d.-]*", without_fragments))


@translated
def test_a_translation_has_the_same_links(text: str, other: str) -> None:
    """Ours: to the translated page where there is one; the pages link to each other."""
    ours, theirs = (
        [link.partition("#")[0].replace(".zh.md", ".md") for link in pages.links(page)] for page in (text, other)
    )
    assert ours == theirs


@pytest.mark.parametrize("name", [*PAGES, "CONTRIBUTING.md"])
def test_every_link_inside_the_repository_leads_somewhere(name: str) -> None:
    """Ours: to a file that is there, and to a heading in it."""
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
        ("Run", "run"),
        ("What a tool says", "what-a-tool-says"),
        ("claude.ai 连接器", "claudeai-连接器"),
        ("mcp-remote", "mcp-remote"),
    ],
)
def test_a_heading_has_the_fragment_that_github_gives_it(heading: str, fragment: str) -> None:
    """Ours: as the links are followed there."""
    assert pages.anchor(heading) == fragment
