"""The page at `/`: its languages and headers, its blocks and buttons, and its content without JavaScript."""

import base64
import json
import re
import shlex
import struct
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from scenext_service import __version__, create_app
from scenext_service.config import Config
from scenext_service.web.page import LANGUAGES, PLACEHOLDER, SANDBOX_KEY, SOURCE
from scenext_service.web.static_response import read_toml
from tests.support import pages
from tests.support.messages import KEY, Mcp

MOST = 80_000  # bytes, as sent
FAVICON_SIZES = (16, 32, 48)  # pixels
TOKEN = "sentinel-token-71f5a8e93c"
CHINESE = re.compile("[\u4e00-\u9fff]")
CLIENTS = read_toml("clients.toml")["client"]
BUTTONS = {client["id"]: client for client in CLIENTS if "link" in client}

# Sections of docs/connect.md that are not on the page: frameworks, a bridge, clients that are not tested, and one that
# describes no single client.
FRAMEWORKS = {"fastmcp", "LangChain", "LangChain.js", "Pydantic AI", "OpenAI Agents SDK", "Vercel AI SDK", "Mastra"}
NOT_HERE = {*FRAMEWORKS, "mcpo", "Antigravity CLI", "Lingma", "Clients that give up early"}


class Page(HTMLParser):
    """A parsed page: its elements with their attributes and texts, and its text outside scripts and styles."""

    EMPTY = frozenset({"meta", "link", "wbr", "input", "img"})

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
        """Return the attributes of each element that has this tag and these attributes."""
        return [found for name, found in self.elements if name == tag and attributes.items() <= found.items()]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page(client: FlaskClient, language: str = "en") -> Page:
    """Return the page in a language."""
    return Page(client.get(f"/?lang={language}").get_data(as_text=True))


def client_for(config: Config) -> FlaskClient:
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
def test_the_page_is_in_the_requested_language(
    client: FlaskClient, query: str, accept: str | None, language: str
) -> None:
    """Spec: RFC 9110, section 12.5.4. Ours: the switch takes precedence, and English is the fallback."""
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
def test_malformed_queries_and_headers_do_not_break_the_page(client: FlaskClient, query: str, accept: str) -> None:
    """Ours: a query that is not UTF-8 is ignored, and so is an unreadable header."""
    overrides = {"QUERY_STRING": query, "HTTP_ACCEPT_LANGUAGE": accept}
    assert client.get("/", environ_overrides=overrides).status_code == 200


def test_both_languages_have_the_same_texts() -> None:
    """Ours: the two languages stay in step."""
    english, chinese = (names(read_toml("texts.toml")[language]) for language in LANGUAGES)
    assert english == chinese
    assert len(english) > 50


def names(texts: dict[str, Any], above: str = "") -> list[str]:
    """Return the names of texts, prefixed with the names of their tables."""
    return [
        name
        for key, value in texts.items()
        for name in (names(value, f"{above}{key}.") if isinstance(value, dict) else [f"{above}{key}"])
    ]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("config", [Config(sandbox=True), Config()], ids=["sandbox", "real"])
def test_the_page_shows_the_version_and_sandbox_mode(config: Config, language: str) -> None:
    """Ours: the page shows the version, and the sandbox cannot be mistaken for the real service."""
    shown = page(client_for(config), language)
    texts = read_toml("texts.toml")[language]
    assert f"{texts['version']} {__version__}" in shown.text
    for name in ("chip", "sample", "play", "cost", "watch"):
        sandbox, real = texts[f"{name}_sandbox"], texts.get(f"{name}_real", texts["play"])
        assert (sandbox in shown.text, real in shown.text) == (config.sandbox, not config.sandbox)
    (body,), (task,) = shown.all("body"), shown.all("input", id="task")
    assert ("data-sandbox" in body, task.get("value")) == (
        (True, "sandbox-in-progress") if config.sandbox else (False, None)
    )


# The fields of a key: hidden and filled, hidden and empty, or to type into.
FILLED, EMPTY, TYPED = ("hidden", SANDBOX_KEY), ("hidden", None), ("password", None)


@pytest.mark.parametrize(
    ("config", "access", "field"),
    [
        (Config(), "none", TYPED),
        (Config(api_key="YOUR_API_KEY"), "none", TYPED),
        (Config(access_token=TOKEN), "none", TYPED),
        (Config(api_key=KEY), "all", EMPTY),
        (Config(api_key=KEY, access_token=TOKEN), "token", TYPED),
        (Config(sandbox=True), "sandbox", FILLED),
        (Config(sandbox=True, api_key=KEY), "sandbox", FILLED),
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_states_whose_key_is_used_and_never_shows_one(
    config: Config, access: str, field: tuple[str, str | None], language: str
) -> None:
    """Ours: a key is asked for only if one is needed; README, "Whose key is used"."""
    client, texts = client_for(config), read_toml("texts.toml")[language]
    shown = page(client, language)
    for stated in ("access", "connect"):
        found = [name for name in ("all", "token", "none", "sandbox") if texts[f"{stated}_{name}"] in shown.text]
        assert found == [access]
    (key,), (body,) = shown.all("input", id="key"), shown.all("body")
    assert (key["type"], key.get("value")) == field
    assert ("data-keyed" in body) is (field == TYPED)
    charged = [name for name in ("sure_what", "sure_what_all") if texts[name] in shown.text]
    assert charged == ["sure_what_all" if access == "all" else "sure_what"]
    written = client.get(f"/?lang={language}").get_data(as_text=True)
    assert KEY not in written
    assert TOKEN not in written


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("config", [Config(sandbox=True), Config(api_key=KEY, access_token=TOKEN)])
def test_the_page_is_small(config: Config, language: str) -> None:
    """Ours: one response contains everything that the page needs."""
    response = client_for(config).get(f"/?lang={language}")
    assert len(response.data) == response.content_length <= MOST


def test_the_page_has_strict_headers_and_no_cookie(client: FlaskClient) -> None:
    """Ours: no external code runs, nothing is sent to other origins, and no other page can frame it."""
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


def test_frames_and_videos_load_from_the_configured_origins() -> None:
    """Ours: SCENEXT_MEDIA_ORIGINS. The sandbox's simulated host is allowed in the sandbox only."""
    response = client_for(Config(media_origins=frozenset({"https://b.example", "https://a.example"}))).get("/")
    assert (
        policy(response)["img-src"]
        == policy(response)["media-src"]
        == ["'self'", "https://a.example", "https://b.example"]
    )


@pytest.mark.parametrize("sandbox", [False, True])
def test_a_sample_video_loads_from_its_own_origin(sandbox: bool) -> None:
    """Ours: SCENEXT_SAMPLE_VIDEO, with a signature that no policy could hold. Pictures from there do not load."""
    url = "https://a.example:8443/x.mp4?Signature=a;b,c&d=e"
    client = client_for(Config(sample_video=url, sandbox=sandbox))
    found = policy(client.get("/"))
    assert found["media-src"] == [*found["img-src"], "https://a.example:8443"]
    shown = page(client)
    played, without_script = shown.all("video", **{"class": "sample"})
    assert (played["data-src"], without_script["src"]) == (url, url)
    assert "poster" not in without_script
    assert "data-poster" not in played
    assert "data-task" not in shown.all("button", id="play")[0]
    assert read_toml("texts.toml")["en"]["sample_own"] in shown.text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("tag", ["script", "style"])
def test_the_policy_allows_only_the_inline_script_and_style(client: FlaskClient, language: str, tag: str) -> None:
    """Spec: CSP 3, "script-src": the hash of the exact text between the tags."""
    response = client.get(f"/?lang={language}")
    written = response.get_data(as_text=True)
    assert "\r" not in written
    (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", written, re.DOTALL)
    assert policy(response)[f"{tag}-src"] == [f"'sha256-{base64.b64encode(sha256(inside.encode()).digest()).decode()}'"]
    assert Page(written).inside[tag] == [inside]
    assert "<!--" not in inside


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_loads_nothing_from_other_origins(client: FlaskClient, language: str) -> None:
    """Ours: no external requests except for frames and videos; no handler or style that the policy would block."""
    written = client.get(f"/?lang={language}").get_data(as_text=True)
    shown = Page(written)
    loaded = [
        found[name] for _, found in shown.elements for name in ("src", "srcset", "data", "action") if name in found
    ]
    assert loaded == ["sample.mp4", "sample-frame.svg"]  # without JavaScript
    assert [found["href"] for found in shown.all("link")] == ["icon.svg"]
    assert [name for _, found in shown.elements for name in found if name.startswith("on") or name == "style"] == []
    assert shown.all("meta", **{"http-equiv": "refresh"}) == []
    (style,), (script,) = shown.inside["style"], shown.inside["script"]
    assert re.findall(r"url\(|@import|//", style) == []
    assert re.findall(r"https?://[\w.]+|innerHTML|outerHTML|insertAdjacentHTML|eval\(|local|cookie", script) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_cached_page_is_not_sent_again(client: FlaskClient, language: str) -> None:
    """Spec: RFC 9110, sections 8.8.3, 13.1.2 and 15.4.5: 304 with the same validator and no body."""
    path = f"/?lang={language}"
    first = client.get(path)
    tag = first.headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        revalidated = client.get(path, headers={"If-None-Match": known})
        assert (revalidated.status_code, revalidated.data, "Content-Type" in revalidated.headers) == (304, b"", False)
        kept = ("ETag", "Vary", "Cache-Control", "Content-Security-Policy")
        assert [revalidated.headers[name] for name in kept] == [first.headers[name] for name in kept]
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    assert client_for(Config(sandbox=True)).get(path).headers["ETag"] == tag  # the same in another process


def test_different_pages_have_different_etags(client: FlaskClient) -> None:
    """Spec: RFC 9110, section 8.8.3: one for each representation, including the policy that belongs to it."""
    others = [
        client_for(config).get("/") for config in (Config(), Config(media_origins=frozenset({"https://a.example"})))
    ]
    tags = {response.headers["ETag"] for response in (client.get("/"), client.get("/?lang=zh"), *others)}
    assert len(tags) == 4


def test_head_returns_the_headers_of_the_page_without_a_body(client: FlaskClient) -> None:
    """Spec: RFC 9110, section 9.3.2."""
    got, head = client.get("/"), client.head("/")
    assert (head.status_code, head.data, head.content_length) == (200, b"", got.content_length)
    assert head.headers["ETag"] == got.headers["ETag"]


def test_the_icon_is_an_svg_image_without_scripts(client: FlaskClient) -> None:
    """Ours: /icon.svg is our own image, and is cached by its ETag."""
    response = client.get("/icon.svg")
    assert (response.status_code, response.content_type) == (200, "image/svg+xml")
    assert response.data.startswith(b"<svg ")
    assert b"script" not in response.data
    assert response.headers["Content-Security-Policy"] == "default-src 'none'"
    assert client.get("/icon.svg", headers={"If-None-Match": response.headers["ETag"]}).status_code == 304


def test_favicon_ico_holds_the_icon_in_three_sizes(client: FlaskClient) -> None:
    """Spec: [MS-ICO] as browsers read it, and IANA's media type. Ours: small, and cached like /icon.svg."""
    response = client.get("/favicon.ico")
    assert (response.status_code, response.content_type) == (200, "image/vnd.microsoft.icon")
    assert int(response.headers["Content-Length"]) == len(response.data) < 5_000
    drawn = client.get("/icon.svg").headers
    for name in ("Cache-Control", "Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options"):
        assert response.headers[name] == drawn[name]
    assert client.get("/favicon.ico", headers={"If-None-Match": response.headers["ETag"]}).status_code == 304
    reserved, kind, count = struct.unpack_from("<HHH", response.data)
    assert (reserved, kind, count) == (0, 1, len(FAVICON_SIZES))
    end = 6 + 16 * count
    for number, size in enumerate(FAVICON_SIZES):
        width, height, *_, length, offset = struct.unpack_from("<BBBBHHII", response.data, 6 + 16 * number)
        assert (width, height, offset) == (size, size, end)
        assert response.data[offset : offset + 8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack_from(">II", response.data, offset + 16) == (size, size)
        end += length
    assert end == len(response.data)


def test_each_request_from_a_browser_is_logged(client: FlaskClient, log_lines: list[str]) -> None:
    """Ours: docs/operating.md, "Logs"."""
    size = client.get("/").content_length
    client.get("/icon.svg")
    client.get("/favicon.ico")
    assert f" level=info msg=request http_method=GET path=/ status=200 bytes={size} " in log_lines[0]
    assert " level=info msg=request http_method=GET path=/icon.svg status=200 " in log_lines[1]
    assert " level=info msg=request http_method=GET path=/favicon.ico status=200 " in log_lines[2]


def test_the_clients_match_the_documentation() -> None:
    """Ours: docs/connect.md has a section for each."""
    sections = [words for level, words in pages.headings(pages.page("docs/connect.md")) if level == 2]
    assert [one["name"] for one in CLIENTS] == [words for words in sections if words not in NOT_HERE]
    assert set(sections) > NOT_HERE
    assert len({one["id"] for one in CLIENTS}) == len(CLIENTS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_block_is_on_the_page_with_its_placeholder(language: str) -> None:
    """Ours: the script fills in the placeholder. Apart from its explanation, no other text contains it."""
    client = client_for(Config())
    shown = page(client, language)
    written = client.get(f"/?lang={language}").get_data(as_text=True)
    codes = shown.inside["code"]
    wanted = [text for one in CLIENTS for text in one.get("blocks", [])]
    wanted += [value for one in CLIENTS for _, _, value in one.get("fields", [])]
    assert len(wanted) > 40
    assert [text for text in wanted if text not in codes] == []
    filled = [found for found in shown.all("code") if "data-fill" in found]
    assert len(filled) == len(wanted) + 2  # the address itself, and the command that replaces the try-out
    assert SANDBOX_KEY not in written


@pytest.mark.parametrize(
    ("language", "first"),
    [
        ("en", ["Claude Code", "Claude Desktop", "claude.ai", "ChatGPT", "Cursor", "VS Code"]),
        ("zh", ["Cursor", "VS Code", "Cherry Studio", "Dify", "Trae", "扣子（Coze）"]),
    ],
)
def test_the_clients_begin_with_those_that_are_common(client: FlaskClient, language: str, first: list[str]) -> None:
    """Ours: common among readers of the language. The page shows the panel of the first."""
    shown = page(client, language)
    names = {one["id"]: one.get("short", one.get(f"{language}_name", one["name"])) for one in CLIENTS}
    radios = shown.all("input", type="radio", name="client")
    ids = [radio["id"].removeprefix("client-") for radio in radios]
    assert [names[one] for one in ids][: len(first)] == first
    assert sorted(ids) == sorted(names)
    assert [radio["id"] for radio in radios if "checked" in radio] == [radios[0]["id"]]
    assert [found["id"] for found in shown.all("div", **{"class": "panel"})] == ids


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_snippets_of_the_sandbox_work_unchanged(mcp: Mcp, language: str) -> None:
    """Ours: the sandbox rejects placeholders, so its page shows a key that it accepts in place of each of them."""
    written = mcp.client.get(f"/?lang={language}").get_data(as_text=True)
    assert re.findall(r"YOUR_API_KEY|\$\{SCENEXT_KEY\}", written) == []
    assert written.count(f"Bearer {SANDBOX_KEY}") > 15
    headers = {"Authorization": f"Bearer {SANDBOX_KEY}"}
    assert mcp.call("query_video_status", {"task_id": "sandbox-completed"}, headers)["isError"] is False


# Deployments that require a key of each user, fill one in, or share their own.
KEYED, SANDBOX, SHARED = Config(), Config(sandbox=True), Config(api_key=KEY)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("config", "keyed"), [(KEYED, True), (SANDBOX, False), (SHARED, False)])
def test_a_note_is_shown_only_where_a_client_is_special(language: str, config: Config, keyed: bool) -> None:
    """Ours: one sentence explains the key to all others. A user without a key needs no note about it."""
    written = client_for(config).get(f"/?lang={language}").get_data(as_text=True)
    notes = re.findall(r'<p class="note">(.*?)</p>', written)
    wanted = [one.get(f"{language}_{name}") for one in CLIENTS for name in ("note", "key")[: 2 if keyed else 1]]
    assert sorted(notes) == sorted(filter(None, wanted))
    assert len(notes) == (9 if keyed else 8)
    own = {one["id"]: one[f"{language}_or_key"] in written for one in CLIENTS if f"{language}_or_key" in one}
    assert own == {"claude-code": keyed}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("config", "add", "replace"), [(KEYED, 1, 2), (SANDBOX, 1, 0), (SHARED, 0, 0)])
def test_the_page_states_the_step_after_an_install_button(
    language: str, config: Config, add: int, replace: int
) -> None:
    """Ours: a button cannot hold a user's key, so the user may have to add it. It can hold that of the sandbox."""
    shown = page(client_for(config), language)
    texts = read_toml("texts.toml")[language]
    steps = {name: texts[f"after_{name}"] for name in ("asks", "add", "replace")}
    key = SANDBOX_KEY if config.sandbox else "YOUR_API_KEY"
    found = {name: shown.text.count(text.replace("YOUR_API_KEY", key)) for name, text in steps.items()}
    assert found == {"asks": 1, "add": add, "replace": replace}
    assert shown.text.count(texts["nothing"]) == 5


def config_of(name: str, url: str) -> Any:
    """Return what an application decodes from its button, built for a URL in the same way as the page's script does."""
    button = BUTTONS[name]
    config = button["config"].replace(PLACEHOLDER, url)
    code = base64.b64encode(config.encode()).decode() if button.get("base64") else config
    link = button["link"] + encoded(code)
    value = unquote(urlsplit(link).query) if name == "vscode" else list(parse_qs(urlsplit(link).query).values())[-1][0]
    decoded = base64.b64decode(value, validate=True).decode() if button.get("base64") else value
    return decoded if name == "claude-ai" else json.loads(decoded)


def ordered(language: str) -> list[dict[str, Any]]:
    """Return the clients in the order of the page."""
    return sorted(CLIENTS, key=lambda one: not one.get(f"{language}_first"))


def encoded(text: str) -> str:
    """Encode a text in the same way as encodeURIComponent."""
    return "".join(char if re.match(r"[A-Za-z0-9\-_.!~*'()]", char) else f"%{ord(char):02X}" for char in text)


def block_of(name: str) -> Any:
    """Return the first configuration of a client."""
    return json.loads(next(one["blocks"][0] for one in CLIENTS if one["id"] == name))


@pytest.mark.parametrize("url", [PLACEHOLDER, "http://127.0.0.1:8000/mcp", "https://host.example:8443/sub/mcp"])
def test_each_button_installs_the_configuration_of_its_block(url: str) -> None:
    """Ours: decoded in the same way as each application does. A wrong field results in a button without effect."""

    def filled(value: Any) -> Any:
        return json.loads(json.dumps(value).replace(PLACEHOLDER, url))

    block = block_of("vscode")
    asks = {"name": "scenext", **block["servers"]["scenext"], "inputs": block["inputs"]}
    plain = {name: filled(block_of(name)["mcpServers"]["scenext"]) for name in ("cursor", "lm-studio", "kiro")}
    cherry = {**block_of("cherry-studio")["mcpServers"]["scenext"], "name": "scenext"}
    del cherry["headers"]  # Cherry Studio rejects headers in a link
    expected = {
        "claude-ai": url,
        **plain,
        "vscode": filled(asks),
        "cherry-studio": {"mcpServers": {"scenext": filled(cherry)}},
    }
    assert {name: config_of(name, url) for name in BUTTONS} == expected


def test_each_button_opens_its_application() -> None:
    """Ours: the links that each vendor documents. claude.ai reaches HTTPS servers only."""
    assert {name: button["link"] for name, button in BUTTONS.items()} == {
        "claude-ai": "https://claude.ai/customize/connectors?modal=add-custom-connector&connectorName=Scenext"
        "&connectorUrl=",
        "cursor": "cursor://anysphere.cursor-deeplink/mcp/install?name=scenext&config=",
        "vscode": "vscode:mcp/install?",
        "lm-studio": "lmstudio://add_mcp?name=scenext&config=",
        "kiro": "https://kiro.dev/launch/mcp/add?name=scenext&config=",
        "cherry-studio": "cherrystudio://mcp/install?servers=",
    }
    assert [name for name, button in BUTTONS.items() if button.get("https")] == ["claude-ai"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_contains_the_data_of_each_button(language: str) -> None:
    """Ours: the script needs nothing else. Without it, the buttons are hidden, because their links would not work."""
    shown = page(client_for(Config()), language)
    links = [found for found in shown.all("a") if "data-link" in found]
    assert sorted(
        (link["data-link"], link["data-config"], "data-base64" in link, "data-https" in link) for link in links
    ) == sorted(
        (button["link"], button["config"], button.get("base64", False), button.get("https", False))
        for button in BUTTONS.values()
    )
    assert [link for link in links if "href" in link or "hidden" not in link] == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("minutes", [0, 30])
def test_the_tools_are_listed_with_price_time_and_arguments(language: str, minutes: int) -> None:
    """Ours: the content of `tools/list`, written for people. Without a repeat window, there are no variants."""
    client = client_for(Config(sandbox=True, repeat_window=minutes))
    listed = Mcp(client).modern("tools/list").get_json()["result"]["tools"]
    texts = read_toml("texts.toml")[language]
    shown = page(client, language)
    found = {tool["name"]: set(tool["inputSchema"]["properties"]) for tool in listed}
    assert found.keys() == texts["args"].keys()
    for name, arguments in texts["args"].items():
        assert {argument for argument, meaning in arguments.items() if meaning in shown.text} == found[name]
        assert texts[f"{name}_cost"].format(wait=50) in shown.text


@pytest.mark.parametrize("wait", [0, 110])
def test_the_page_waits_up_to_the_configured_limit(wait: int) -> None:
    """Ours: SCENEXT_MAX_WAIT; the script reads it from the page."""
    client = client_for(Config(max_wait=wait))
    (body,) = page(client).all("body")
    assert body["data-wait"] == str(wait)


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_javascript_a_command_replaces_the_try_out(mcp: Mcp, language: str) -> None:
    """Ours: all the text is present, and the command is a working call."""
    shown = page(mcp.client, language)
    for tag, name in (("form", "ask"), ("div", "folds"), ("button", "play"), ("details", "wire-box")):
        assert "hidden" in shown.all(tag, id=name)[0]
    video, instead, explained, _ = shown.inside["noscript"]
    assert video == ""
    assert shown.all("video", src="sample.mp4", poster="sample.svg", controls="")
    assert PLACEHOLDER in explained
    words = shlex.split(instead.partition("\n")[2])
    assert words[:3] == ["curl", "-s", PLACEHOLDER]
    headers = dict(words[n + 1].split(": ", 1) for n, word in enumerate(words) if word == "-H")
    body = json.loads(words[words.index("-d") + 1])
    answer = mcp.post(body, headers).get_json()
    assert answer["result"]["structuredContent"]["status"] == "COMPLETED"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_footer_links_to_the_documentation_in_the_language_of_the_page(client: FlaskClient, language: str) -> None:
    """Ours: the repository's address is that of server.json, and each linked file exists."""
    assert json.loads(pages.page("server.json"))["repository"]["url"] == SOURCE
    links = [found["href"] for found in page(client, language).all("a", rel="noreferrer") if SOURCE in found["href"]]
    files = [link.removeprefix(f"{SOURCE}/blob/main/") for link in links if link != SOURCE]
    ending = ".zh.md" if language == "zh" else ".md"
    assert files == [f"README{ending}", f"docs/troubleshooting{ending}"]
    assert [name for name in files if not (pages.ROOT / name).is_file()] == []
    assert links[2:] == [SOURCE]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("config", "fields"), [(Config(sandbox=True), []), (Config(), ["key"])])
def test_every_field_has_a_label_and_every_id_is_unique(config: Config, fields: list[str], language: str) -> None:
    """Ours: WCAG 2.2, "Labels or Instructions" and "Name, Role, Value"."""
    shown = page(client_for(config), language)
    ids = [found["id"] for _, found in shown.elements if "id" in found]
    assert len(ids) == len(set(ids))
    labelled = [found["for"] for found in shown.all("label") if "for" in found]
    assert labelled == ["question", *fields, "task", *(f"client-{one['id']}" for one in ordered(language))]
    pointed = [
        word
        for _, found in shown.elements
        for name in ("for", "aria-labelledby", "aria-describedby")
        for word in found.get(name, "").split()
    ]
    assert [word for word in pointed if word not in ids] == []
    regions = [found["aria-label"] for found in shown.all("pre")]
    assert len(regions) == len(set(regions))
    statuses = [found.get("id") for _, found in shown.elements if found.get("role") == "status"]
    assert statuses == ["announcement", None]  # the second is that of the job


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_script_finds_every_text_and_element_that_it_uses(client: FlaskClient, language: str) -> None:
    """Ours: a missing name would appear as `undefined` on the page."""
    shown = page(client, language)
    (script,) = shown.inside["script"]
    (body,) = shown.all("body")
    own = pages.page("scenext_service/web/assets/page.js")
    assert set(re.findall(r"texts\.(\w+)", own)) == set(read_toml("texts.toml")[language]["script"])
    assert {f"data-{name}" for name in read_toml("texts.toml")[language]["script"]} < set(body)
    ids = {found["id"] for _, found in shown.elements if "id" in found}
    assert set(re.findall(r'\bat\("(\w+)"\)', script)) <= ids
