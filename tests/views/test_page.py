"""The page at `/`: its languages and headers, its blocks and buttons, and what it says without JavaScript."""

import base64
import json
import re
import shlex
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.version import VERSION
from scenext_service.views.files import table
from scenext_service.views.page import LANGUAGES, PLACEHOLDER
from tests.support import pages
from tests.support.messages import KEY, Mcp

MOST = 45_000  # bytes, as sent
LOCAL = "http://127.0.0.1:8000/mcp"
TOKEN = "sentinel-token-71f5a8e93c"
CHINESE = re.compile("[\u4e00-\u9fff]")
CLIENTS = table("clients.toml")["client"]
BUTTONS = {button["name"]: button for button in table("clients.toml")["button"]}

# Sections of docs/connect.md that the page has not: one is no client, the others are for who writes a program.
NOT_HERE = {"fastmcp", "LangChain", "Pydantic AI", "OpenAI Agents SDK", "Clients that give up early"}


class Page(HTMLParser):
    """What is in a page: its elements with their attributes and texts, and its texts outside of script and style."""

    EMPTY = frozenset({"meta", "link", "br", "input", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.inside: dict[str, list[str]] = {}
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.EMPTY:
            self._open.append(tag)
            self.inside.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"script", "style", "template"}.isdisjoint(self._open):
            self.words.append(data)
        for tag in set(self._open):
            self.inside[tag][-1] += data

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        """Return the attributes of each element of a tag that has these."""
        return [found for name, found in self.elements if name == tag and attributes.items() <= found.items()]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page(client: FlaskClient, language: str = "en") -> Page:
    """Return the page in a language."""
    return Page(client.get(f"/?lang={language}").get_data(as_text=True))


def made(config: Config) -> FlaskClient:
    return create_app(config).test_client()


def policy(response: TestResponse) -> dict[str, list[str]]:
    """Return the directives of the Content-Security-Policy."""
    parts = [part.split() for part in response.headers["Content-Security-Policy"].split("; ")]
    return {name: sources for name, *sources in parts}


@pytest.mark.parametrize(
    ("query", "accept", "language"),
    [
        ("", None, "en"),
        ("", "en", "en"),
        ("", "zh", "zh-CN"),
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("", "zh-TW", "zh-CN"),
        ("", "en-GB,zh;q=0.5", "en"),
        ("", "de,fr;q=0.5", "en"),
        ("", "zh;q=0", "en"),
        ("?lang=zh", "en", "zh-CN"),
        ("?lang=en", "zh", "en"),
        ("?lang=xx", "zh", "zh-CN"),
        ("?lang=", None, "en"),
        ("?a=1&lang=zh&b", None, "zh-CN"),
    ],
)
def test_the_page_is_in_the_language_that_is_asked_for(
    client: FlaskClient, query: str, accept: str | None, language: str
) -> None:
    """Spec: RFC 9110, section 12.5.4. Ours: the switch wins, and English where nothing fits."""
    response = client.get(f"/{query}", headers={} if accept is None else {"Accept-Language": accept})
    assert (response.status_code, response.content_type) == (200, "text/html; charset=utf-8")
    assert (response.headers["Content-Language"], response.headers["Vary"]) == (language, "Accept-Language")
    shown = Page(response.get_data(as_text=True))
    assert shown.all("html") == [{"lang": language}]
    (switch,) = shown.all("a", **{"class": "switch"})
    assert switch["href"] == ("?lang=en" if language == "zh-CN" else "?lang=zh")
    assert switch["lang"] == ("en" if language == "zh-CN" else "zh-CN")
    assert bool(CHINESE.search(shown.text.replace("中文", "", 1))) is (language == "zh-CN")


@pytest.mark.parametrize("query", ["\x80", "lang=\xff", "%ff=%", "lang", "&&=", "lang=zh\x00"])
@pytest.mark.parametrize("accept", ["\xff", ";q=", "zh;q=x", ",,;", "*", "en;q=1e9"])
def test_nothing_that_a_browser_asks_for_breaks_the_page(client: FlaskClient, query: str, accept: str) -> None:
    """Ours: a query of bytes that are no UTF-8 is none, and so is a header that cannot be read."""
    overrides = {"QUERY_STRING": query, "HTTP_ACCEPT_LANGUAGE": accept}
    assert client.get("/", environ_overrides=overrides).status_code == 200


def test_both_languages_say_the_same_things() -> None:
    """Ours: the two languages are in step."""
    english, chinese = (names(table("texts.toml")[language]) for language in LANGUAGES)
    assert english == chinese
    assert len(english) > 50


def names(texts: dict[str, Any], above: str = "") -> list[str]:
    """Return the names of texts, with those of the tables that they stand in."""
    return [
        name
        for key, value in texts.items()
        for name in (names(value, f"{above}{key}.") if isinstance(value, dict) else [f"{above}{key}"])
    ]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("config", [Config(sandbox=True), Config()], ids=["sandbox", "real"])
def test_the_page_says_what_runs_here(config: Config, language: str) -> None:
    """Ours: the version, and nobody takes the sandbox for the real thing."""
    shown = page(made(config), language)
    texts = table("texts.toml")[language]
    assert f"{texts['running']} · {VERSION}" in shown.text
    assert (texts["sandbox"] in shown.text) is config.sandbox
    (key,), (task,) = shown.all("input", id="key"), shown.all("input", id="task")
    presets = ("any-key-will-do", "sandbox-completed") if config.sandbox else (None, None)
    assert (key.get("value"), task.get("value")) == presets
    assert (texts["sure_sandbox"] in shown.text) is config.sandbox


@pytest.mark.parametrize(
    ("config", "lent"),
    [
        (Config(), "none"),
        (Config(api_key="YOUR_API_KEY"), "none"),
        (Config(access_token=TOKEN), "none"),
        (Config(api_key=KEY), "all"),
        (Config(api_key=KEY, access_token=TOKEN), "token"),
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_whether_a_key_is_lent_and_never_shows_one(config: Config, lent: str, language: str) -> None:
    """Ours: a caller knows whether to bring one; README, "Whose key is used"."""
    client, texts = made(config), table("texts.toml")[language]
    said = [name for name in ("all", "token", "none") if texts[f"lent_{name}"] in page(client, language).text]
    assert said == [lent]
    written = client.get(f"/?lang={language}").get_data(as_text=True)
    assert KEY not in written
    assert TOKEN not in written


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("config", [Config(sandbox=True), Config(api_key=KEY, access_token=TOKEN)])
def test_the_page_is_small(config: Config, language: str) -> None:
    """Ours: one answer, with all that it needs."""
    response = made(config).get(f"/?lang={language}")
    assert len(response.data) == response.content_length <= MOST


def test_the_page_has_strict_headers_and_no_cookie(client: FlaskClient) -> None:
    """Ours: nothing from elsewhere runs, nothing is sent elsewhere, and no other page frames it."""
    response = client.get("/")
    found = policy(response)
    assert found.pop("script-src")[0].startswith("'sha256-")
    assert found.pop("style-src")[0].startswith("'sha256-")
    media = ["'self'", "https://*.scenext.cn"]
    assert found == {
        "default-src": ["'none'"],
        "img-src": media,
        "media-src": media,
        "connect-src": ["'self'"],
        "require-trusted-types-for": ["'script'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-cache"
    assert "Set-Cookie" not in response.headers
    assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-ID"])


def test_frames_and_films_come_from_where_the_operator_says() -> None:
    """Ours: SCENEXT_MEDIA_ORIGINS, and the sandbox's made-up host in the sandbox only."""
    response = made(Config(media_origins=frozenset({"https://b.example", "https://a.example"}))).get("/")
    assert (
        policy(response)["img-src"]
        == policy(response)["media-src"]
        == ["'self'", "https://a.example", "https://b.example"]
    )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("tag", ["script", "style"])
def test_the_policy_names_the_one_script_and_the_one_style(client: FlaskClient, language: str, tag: str) -> None:
    """Spec: CSP 3, "script-src": the hash of exactly what is between the tags."""
    response = client.get(f"/?lang={language}")
    written = response.get_data(as_text=True)
    assert "\r" not in written
    (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", written, re.DOTALL)
    assert policy(response)[f"{tag}-src"] == [f"'sha256-{base64.b64encode(sha256(inside.encode()).digest()).decode()}'"]
    assert Page(written).inside[tag] == [inside]
    assert "<!--" not in inside


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_loads_nothing_from_elsewhere(client: FlaskClient, language: str) -> None:
    """Ours: no outside request but those for frames and films; no handler or style that the policy would stop."""
    written = client.get(f"/?lang={language}").get_data(as_text=True)
    shown = Page(written)
    loaded = [
        found[name] for _, found in shown.elements for name in ("src", "srcset", "data", "action") if name in found
    ]
    assert loaded == []
    assert [found["href"] for found in shown.all("link")] == ["icon.svg"]
    assert [name for _, found in shown.elements for name in found if name.startswith("on") or name == "style"] == []
    assert shown.all("meta", **{"http-equiv": "refresh"}) == []
    (style,), (script,) = shown.inside["style"], shown.inside["script"]
    assert re.findall(r"url\(|@import|//", style) == []
    assert re.findall(r"https?://[\w.]+|innerHTML|outerHTML|insertAdjacentHTML|eval\(|Storage|cookie", script) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_that_is_there_is_not_sent_again(client: FlaskClient, language: str) -> None:
    """Spec: RFC 9110, sections 8.8.3, 13.1.2 and 15.4.5: 304 with the same validator and no body."""
    path = f"/?lang={language}"
    first = client.get(path)
    tag = first.headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.data, "Content-Type" in again.headers) == (304, b"", False)
        kept = ("ETag", "Vary", "Cache-Control", "Content-Security-Policy")
        assert [again.headers[name] for name in kept] == [first.headers[name] for name in kept]
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    assert made(Config(sandbox=True)).get(path).headers["ETag"] == tag  # of another process


def test_what_differs_has_another_etag(client: FlaskClient) -> None:
    """Spec: RFC 9110, section 8.8.3: one for each representation, with the policy that goes along with it."""
    others = [made(config).get("/") for config in (Config(), Config(media_origins=frozenset({"https://a.example"})))]
    tags = {response.headers["ETag"] for response in (client.get("/"), client.get("/?lang=zh"), *others)}
    assert len(tags) == 4


def test_head_has_the_headers_of_the_page_and_no_body(client: FlaskClient) -> None:
    """Spec: RFC 9110, section 9.3.2."""
    got, head = client.get("/"), client.head("/")
    assert (head.status_code, head.data, head.content_length) == (200, b"", got.content_length)
    assert head.headers["ETag"] == got.headers["ETag"]


def test_the_icon_is_a_picture_that_runs_nothing(client: FlaskClient) -> None:
    """Ours: /icon.svg, of our own; kept by its ETag."""
    response = client.get("/icon.svg")
    assert (response.status_code, response.content_type) == (200, "image/svg+xml")
    assert response.data.startswith(b"<svg ")
    assert b"script" not in response.data
    assert response.headers["Content-Security-Policy"] == "default-src 'none'"
    assert client.get("/icon.svg", headers={"If-None-Match": response.headers["ETag"]}).status_code == 304


def test_each_request_of_a_person_has_its_line(client: FlaskClient, log_lines: list[str]) -> None:
    """Ours: docs/operating.md, "Logs"."""
    size = client.get("/").content_length
    client.get("/icon.svg")
    assert f" info request http_method=GET path=/ status=200 bytes={size} " in log_lines[0]
    assert " info request http_method=GET path=/icon.svg status=200 " in log_lines[1]


def section(name: str, text: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the blocks of a client in a page of the documentation, and the rows of its form."""
    blocks = [block.text for block in pages.blocks(text) if block.headings[-1] == name]
    rows = [row for found in pages.tables(text) if found.headings[-1] == name for row in found.rows]
    return blocks, [(label.replace("**", ""), value.strip("`")) for label, value in rows]


def test_the_clients_are_those_of_the_documentation() -> None:
    """Ours: docs/connect.md has a section for each."""
    sections = [words for level, words in pages.headings(pages.page("docs/connect.md")) if level == 2]
    assert [one["name"] for one in CLIENTS] == [words for words in sections if words not in NOT_HERE]
    assert set(sections) > NOT_HERE
    assert len({one["id"] for one in CLIENTS}) == len(CLIENTS)


@pytest.mark.parametrize("one", [pytest.param(one, id=one["id"]) for one in CLIENTS])
def test_a_block_is_the_one_of_the_documentation(one: dict[str, Any]) -> None:
    """Ours: a block is written once for the page, and once for who reads the repository; they are the same."""
    blocks, rows = section(one["name"], pages.page("docs/connect.md"))
    chinese = section(one.get("zh_name", one["name"]), pages.page("docs/connect.zh.md"))
    local = LOCAL if one["id"] == "curl" else PLACEHOLDER
    assert [text.replace(PLACEHOLDER, local) for text in one.get("blocks", [])] == blocks == chinese[0]
    fields = one.get("fields", [])
    assert [(label, value) for label, _, value in fields] == rows
    assert [(label, value) for _, label, value in fields] == chinese[1]
    assert blocks or rows


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_block_is_on_the_page_for_the_script_to_fill_in(client: FlaskClient, language: str) -> None:
    """Ours: with the placeholder in it, which no other text of the page has but the one that explains it."""
    shown = page(client, language)
    written = client.get(f"/?lang={language}").get_data(as_text=True)
    codes = shown.inside["code"]
    wanted = [text for one in CLIENTS for text in one.get("blocks", [])]
    wanted += [value for one in CLIENTS for _, _, value in one.get("fields", [])]
    assert len(wanted) > 30
    assert [text for text in wanted if text not in codes] == []
    filled = [found for found in shown.all("code") if "data-fill" in found]
    assert len(filled) == len(wanted) + 2  # the address itself, and the command in place of the try-out
    assert all(f'<details name="client" id="{one["id"]}">' in written for one in CLIENTS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_client_says_how_it_gets_the_key(client: FlaskClient, language: str) -> None:
    """Ours: nobody else tells which client can send one."""
    texts = table("texts.toml")[language]
    ways = {one["id"]: one["key"] for one in CLIENTS}
    assert (ways["vscode"], ways["codex"], ways["claude-ai"], ways["chatgpt"]) == ("asks", "variable", "some", "never")
    summaries = page(client, language).inside["summary"]
    for one in CLIENTS:
        name = one.get(f"{language}_name", one["name"])
        assert f"{name} {texts['key_' + one['key']]}" in summaries


def config_of(name: str, url: str) -> Any:
    """Return what an application decodes from its button, made for a URL as the page's script makes it."""
    button = BUTTONS[name]
    config = button["config"].replace(PLACEHOLDER, url)
    code = base64.b64encode(config.encode()).decode() if button.get("base64") else config
    link = button["link"] + encoded(code)
    value = unquote(urlsplit(link).query) if name == "VS Code" else list(parse_qs(urlsplit(link).query).values())[-1][0]
    decoded = base64.b64decode(value, validate=True).decode() if button.get("base64") else value
    return decoded if name == "claude.ai" else json.loads(decoded)


def encoded(text: str) -> str:
    """Return a text as encodeURIComponent makes it."""
    return "".join(char if re.match(r"[A-Za-z0-9\-_.!~*'()]", char) else f"%{ord(char):02X}" for char in text)


def of_the_docs(name: str) -> Any:
    """Return the configuration of a client in docs/connect.md."""
    return json.loads(section(name, pages.page("docs/connect.md"))[0][0])


@pytest.mark.parametrize("url", [PLACEHOLDER, "http://127.0.0.1:8000/mcp", "https://host.example:8443/sub/mcp"])
def test_each_button_installs_what_the_blocks_say(url: str) -> None:
    """Ours: decoded as each application does it; a wrong field makes a button that does nothing."""

    def filled(value: Any) -> Any:
        return json.loads(json.dumps(value).replace(PLACEHOLDER, url))

    block = of_the_docs("VS Code")
    asks = {"name": "scenext", **block["servers"]["scenext"], "inputs": block["inputs"]}
    plain = of_the_docs("Cursor")["mcpServers"]["scenext"]
    cherry = {**of_the_docs("Cherry Studio")["mcpServers"]["scenext"], "name": "scenext"}
    del cherry["headers"]  # Cherry Studio refuses them in a link
    expected = {
        "VS Code": filled(asks),
        "Cursor": filled(plain),
        "claude.ai": url,
        "LM Studio": filled(plain),
        "Kiro": filled({**plain, "headers": {"Authorization": "Bearer ${SCENEXT_KEY}"}}),
        "Cherry Studio": {"mcpServers": {"scenext": filled(cherry)}},
    }
    assert {name: config_of(name, url) for name in BUTTONS} == expected


def test_each_button_opens_its_application() -> None:
    """Ours: the links that each vendor documents; claude.ai reaches servers with HTTPS only."""
    assert {name: button["link"] for name, button in BUTTONS.items()} == {
        "VS Code": "vscode:mcp/install?",
        "Cursor": "cursor://anysphere.cursor-deeplink/mcp/install?name=scenext&config=",
        "claude.ai": "https://claude.ai/customize/connectors?modal=add-custom-connector&connectorName=Scenext"
        "&connectorUrl=",
        "LM Studio": "lmstudio://add_mcp?name=scenext&config=",
        "Kiro": "https://kiro.dev/launch/mcp/add?name=scenext&config=",
        "Cherry Studio": "cherrystudio://mcp/install?servers=",
    }
    assert [name for name, button in BUTTONS.items() if button.get("https")] == ["claude.ai"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_buttons_of_the_page_are_made_of_these(client: FlaskClient, language: str) -> None:
    """Ours: the script needs nothing else; without it there are no buttons, as they would lead nowhere."""
    shown = page(client, language)
    links = [found for found in shown.all("a") if "data-link" in found]
    assert [(found["data-link"], found["data-config"], "data-base64" in found) for found in links] == [
        (button["link"], button["config"], button.get("base64", False)) for button in BUTTONS.values()
    ]
    assert [found for found in links if "href" in found] == []
    assert "hidden" in shown.all("div", id="buttons")[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_tools_are_there_with_price_time_and_arguments(mcp: Mcp, language: str) -> None:
    """Ours: what `tools/list` says, for people."""
    listed = mcp.modern("tools/list").get_json()["result"]["tools"]
    texts = table("texts.toml")[language]
    told = {name: set(arguments) for name, arguments in texts["args"].items()}
    assert told.keys() == {"query_video_status", "gen_video"}
    found = {tool["name"]: set(tool["inputSchema"]["properties"]) for tool in listed}
    assert {name: found[name] for name in told} == told
    shown = page(mcp.client, language).text
    assert texts["gen_cost"] in shown
    assert texts["query_cost"].format(wait=50) in shown
    assert [text for arguments in texts["args"].values() for text in arguments.values() if text not in shown] == []


@pytest.mark.parametrize("wait", [0, 110])
def test_the_page_waits_as_long_as_the_operator_allows(wait: int) -> None:
    """Ours: SCENEXT_MAX_WAIT; the script reads it from the page."""
    client = made(Config(max_wait=wait))
    (body,) = page(client).all("body")
    assert body["data-wait"] == str(wait)


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_javascript_a_command_takes_the_place_of_the_try_out(mcp: Mcp, language: str) -> None:
    """Ours: the text is all there, and the command is a call that works."""
    shown = page(mcp.client, language)
    assert "hidden" in shown.all("div", id="try")[0]
    assert len(shown.inside["noscript"]) == 2
    explained, instead = shown.inside["noscript"]
    assert PLACEHOLDER in explained
    words = shlex.split(instead.partition("\n")[2])
    assert words[:3] == ["curl", "-s", PLACEHOLDER]
    headers = dict(words[n + 1].split(": ", 1) for n, word in enumerate(words) if word == "-H")
    assert headers["Authorization"] == "Bearer YOUR_API_KEY"
    body = json.loads(words[words.index("-d") + 1])
    answer = mcp.post(body, {**headers, "Authorization": f"Bearer {KEY}"}).get_json()
    assert answer["result"]["structuredContent"]["status"] == "COMPLETED"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_field_has_its_label_and_every_id_is_one(client: FlaskClient, language: str) -> None:
    """Ours: WCAG 2.2, "Labels or Instructions" and "Name, Role, Value"."""
    shown = page(client, language)
    ids = [found["id"] for _, found in shown.elements if "id" in found]
    assert len(ids) == len(set(ids))
    labelled = [found["for"] for found in shown.all("label") if "for" in found]
    assert labelled == ["key", "task", "question"]
    pointed = [
        word
        for _, found in shown.elements
        for name in ("for", "aria-labelledby", "aria-describedby")
        for word in found.get(name, "").split()
    ]
    assert [word for word in pointed if word not in ids] == []
    regions = [found["aria-label"] for found in shown.all("pre")]
    assert len(regions) == len(set(regions))
    assert [found["id"] for _, found in shown.elements if found.get("role") == "status"] == ["status"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_script_finds_every_word_and_element_that_it_uses(client: FlaskClient, language: str) -> None:
    """Ours: a name that is missing is `undefined` on the page."""
    shown = page(client, language)
    (script,) = shown.inside["script"]
    (body,) = shown.all("body")
    own = pages.page("scenext_service/views/page.js")
    assert set(re.findall(r"say\.(\w+)", own)) == set(table("texts.toml")[language]["script"])
    assert {f"data-{name}" for name in table("texts.toml")[language]["script"]} < set(body)
    ids = {found["id"] for _, found in shown.elements if "id" in found}
    assert set(re.findall(r'\bat\("(\w+)"\)', script)) <= ids
