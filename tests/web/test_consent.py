"""The page of the sign-in: languages, sandbox, access token and form. Also its mention on the page at `/`."""

import json
import re

import pytest
from flask.testing import FlaskClient

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.web.page import LANGUAGES
from scenext_service.web.static_response import read_toml
from tests.support.signing_in import CLAUDE, LOOPBACK, ORIGIN, PATH, SECRET, URL, Host

from .test_page import CHINESE, Page, names

KEY = "sentinel-shared-key-8d2e"
SIGN_IN = Config(oauth_url=URL, oauth_secret=(SECRET,))
ONLY = Config(oauth_url=f"{ORIGIN}/mcp", oauth_secret=(SECRET,))


def client_for(config: Config) -> FlaskClient:
    return create_app(config).test_client()


def consent(config: Config = SIGN_IN, language: str = "en", redirect_uri: str = CLAUDE) -> Page:
    """Return the page in a language."""
    response = Host(client_for(config), redirect_uri).open(lang=language)
    assert response.status_code == 200
    return Page(response.get_data(as_text=True))


def test_both_languages_have_the_same_texts() -> None:
    """Ours: the two languages stay in step."""
    english, chinese = (names(read_toml("consent.toml")[language]) for language in LANGUAGES)
    assert english == chinese
    assert len(english) > 30


@pytest.mark.parametrize("redirect_uri", [CLAUDE, LOOPBACK])
def test_the_page_is_in_one_language(redirect_uri: str) -> None:
    """Ours: as the page at `/`."""
    assert CHINESE.search(consent(redirect_uri=redirect_uri).text.replace("中文", "", 1)) is None
    chinese = consent(language="zh", redirect_uri=redirect_uri)
    assert chinese.all("html") == [{"lang": "zh-CN"}]
    assert CHINESE.search(chinese.text)
    assert "If you connect" not in chinese.text


def test_the_form_works_without_a_script() -> None:
    """Spec: HTML, "form submission": without `action`, the form goes to the address of the page."""
    page = consent()
    assert page.all("script") == []
    assert page.all("form") == [{"method": "post"}]
    (field,) = page.all("input")
    assert {name: field[name] for name in ("name", "type", "required", "autocomplete")} == {
        "name": "key",
        "type": "password",
        "required": "",
        "autocomplete": "off",
    }
    connect, cancel = page.all("button")  # Enter takes the first
    assert (connect, cancel) == ({"class": "main"}, {"name": "cancel", "value": "1", "formnovalidate": ""})
    assert page.all("link") == [{"rel": "icon", "type": "image/svg+xml", "href": "/icon.svg"}]


def test_the_page_states_its_consequences() -> None:
    """Ours: a person decides with these facts."""
    text = consent().text
    for words in (
        "Scenext scenext.example.com",
        "Your sign-in will be given to claude.ai",
        "Continue only if you have just started this at claude.ai. If someone sent you the link, close this page.",
        "charged to the Scenext account of the key",
        "The key goes to scenext.example.com, which encrypts it into the sign-in and keeps no copy.",
        "can use it here, but cannot read the key",
        "ends after 30 days",
        "Get a key at scenext.cn",
    ):
        assert words in text
    assert "Sandbox" not in text
    assert "access token" not in text


def test_the_sandbox_is_marked() -> None:
    """Ours: a real key does not belong there."""
    text = consent(Config(sandbox=True, oauth_url=URL, oauth_secret=(SECRET,))).text
    assert "Sandbox: any key works." in text
    assert "charged to" not in text


@pytest.mark.parametrize(("access_token", "offered"), [(None, False), ("sentinel-token-71f5a8e93c", True)])
def test_the_access_token_is_offered_if_it_shares_a_key(access_token: str | None, offered: bool) -> None:
    """Ours: a key for all callers is not available here, so nothing is offered."""
    config = Config(oauth_url=URL, oauth_secret=(SECRET,), api_key=KEY, access_token=access_token)
    assert ("you can enter the access token of this server" in consent(config).text) is offered


def test_an_unnamed_client_has_no_name() -> None:
    """Ours: the line states that instead."""
    host = Host(client_for(SIGN_IN))
    host.register(client_name=None)
    assert "Requested by an app that gave no name" in Page(host.open().get_data(as_text=True)).text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_start_page_names_the_address(language: str) -> None:
    """Ours: beside the address for all other clients, and in the forms of the two clients."""
    page = Page(client_for(SIGN_IN).get(f"/?lang={language}").get_data(as_text=True))
    codes = [text for text in page.inside["code"] if text == URL]
    assert len(codes) == 3  # the address, claude.ai and ChatGPT
    (button,) = [link for link in page.all("a") if "claude.ai" in link.get("data-link", "")]
    assert button["data-config"] == URL
    assert page.all("form", id="ask")
    assert [client for client in page.all("input", type="radio") if client["id"] == "client-cursor"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("sandbox", [False, True])
def test_the_start_page_of_an_endpoint_with_sign_in_only(language: str, sandbox: bool) -> None:
    """Ours: no try-out, because the page cannot sign in, and only clients that sign in."""
    config = Config(oauth_url=f"{ORIGIN}/mcp", oauth_secret=(SECRET,), sandbox=sandbox)
    text = client_for(config).get(f"/?lang={language}").get_data(as_text=True)
    page = Page(text)
    assert [client["id"] for client in page.all("input", type="radio")] == ["client-claude-ai", "client-chatgpt"]
    assert re.search(r'<div hidden>\s*<form class="ask"', text)
    assert " data-task=" not in text
    assert "YOUR-APP.example.com" not in text.replace('data-placeholder="https://YOUR-APP.example.com/mcp"', "")
    assert "YOUR_API_KEY" not in "".join(page.inside["pre"])
    assert f"{ORIGIN}/mcp" in page.inside["code"]


def test_the_start_page_without_sign_in_does_not_mention_it() -> None:
    """Ours: byte for byte as without the feature, apart from the entries that are not used."""
    text = client_for(Config()).get("/").get_data(as_text=True)
    assert "sign-in" not in text.lower()
    assert "SIGN_IN_URL" not in text


def test_the_entries_for_sign_in_replace_members_of_their_client() -> None:
    """Ours: an entry has no member of its own, so that no text is left over."""
    for client in read_toml("clients.toml")["client"]:
        own = client.get("sign_in", {})
        assert set(own) <= set(client)
        assert ("SIGN_IN_URL" in json.dumps(own)) is bool(own)


def test_nothing_is_read_from_a_foreign_form() -> None:
    """Ours: the page explains it in the person's language."""
    response = client_for(SIGN_IN).post(f"{PATH}/authorize", headers={"Accept-Language": "zh"})
    page = Page(response.get_data(as_text=True))
    assert (response.status_code, page.all("form")) == (403, [])
    assert "表单不是由本页提交的" in page.text
