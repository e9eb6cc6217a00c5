"""MCP Apps: the card that the server publishes, and the messages for models whose client shows it."""

from typing import Any

import pytest

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.mcp.resources import APPS_EXTENSION, VIEW_MIME_TYPE
from scenext_service.tools import gen_video
from scenext_service.tools.simulated import with_sandbox_times
from scenext_service.web import card
from tests.support.messages import BEARER, CLIENT_CAPABILITIES, META, Mcp
from tests.support.names import TOOLS

from .test_methods import ask, either

SHOWN = with_sandbox_times(gen_video.SHOWN)
SHOWS = {"extensions": {APPS_EXTENSION: {"mimeTypes": ["text/plain", VIEW_MIME_TYPE]}}}

# Client capabilities that do not declare support for the card.
OTHERS: list[Any] = [
    {},
    {"extensions": None},
    {"extensions": []},
    {"extensions": {}},
    {"extensions": {"io.modelcontextprotocol/apps": {"mimeTypes": [VIEW_MIME_TYPE]}}},
    {"extensions": {APPS_EXTENSION: None}},
    {"extensions": {APPS_EXTENSION: {}}},
    {"extensions": {APPS_EXTENSION: {"mimeTypes": None}}},
    {"extensions": {APPS_EXTENSION: {"mimeTypes": VIEW_MIME_TYPE}}},
    {"extensions": {APPS_EXTENSION: {"mimeTypes": ["text/html"]}}},
]


def contents(mcp: Mcp) -> dict[str, Any]:
    response = mcp.legacy("resources/read", {"uri": card.URI})
    (found,) = response.get_json()["result"]["contents"]
    meta: dict[str, Any] = found["_meta"]
    return meta


@either
def test_only_the_tool_that_starts_a_job_has_a_card(mcp: Mcp, era: str) -> None:
    """Spec: MCP Apps 2026-01-26, "Resource Discovery". Ours: hosts open a frame for each call of a tool that has one.

    The flat `ui/resourceUri` is absent too, because the specification deprecates it.
    """
    listed = ask(mcp, era, "tools/list").get_json()["result"]["tools"]
    named = {tool["name"]: tool.get("_meta") for tool in listed}
    assert named == {**dict.fromkeys(TOOLS), "gen_video": {"ui": {"resourceUri": "ui://scenext/job.html"}}}


def test_a_card_may_load_only_the_configured_media_origins() -> None:
    """Spec: MCP Apps 2026-01-26, "UI Resource Format"; Apps SDK, `openai/widgetCSP`, which ChatGPT reads."""
    app = create_app(Config(media_origins=frozenset({"https://b.example", "https://*.a.example"})))
    origins = ["https://*.a.example", "https://b.example"]
    assert contents(Mcp(app.test_client())) == {
        "ui": {"csp": {"resourceDomains": origins}, "prefersBorder": True},
        "openai/widgetCSP": {"resource_domains": origins, "connect_domains": []},
    }


@pytest.mark.parametrize(
    ("config", "origins"),
    [
        pytest.param(Config(), ["https://*.scenext.cn"], id="Scenext"),
        pytest.param(Config(sandbox=True), ["http://localhost", "https://*.scenext.cn"], id="sandbox"),
    ],
)
def test_default_media_origins_are_scenext_and_the_sandbox(config: Config, origins: list[str]) -> None:
    """Ours: the default of Config. A sandbox card does not violate its own policy."""
    assert contents(Mcp(create_app(config).test_client()))["ui"]["csp"]["resourceDomains"] == origins


@pytest.mark.parametrize(
    ("headers", "origins"),
    [
        ({"Host": "a.example:8443"}, ["http://a.example:8443"]),
        ({"Host": "a.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/sub"}, ["https://a.example"]),
        ({"Host": "[::1]:8000"}, []),  # CSP 3, "host-source", does not allow IPv6 addresses
        ({"Host": "a.example; script-src *"}, ["http://localhost"]),
    ],
)
@either
def test_a_sandbox_card_may_load_from_the_origin_of_its_links(
    mcp: Mcp, era: str, headers: dict[str, str], origins: list[str]
) -> None:
    """Ours: the sandbox serves frames and video itself, at the address that the caller used. Spec: CSP 3, an origin."""
    sent = {**headers, "Mcp-Name": card.URI}
    (found,) = ask(mcp, era, "resources/read", {"uri": card.URI}, sent).get_json()["result"]["contents"]
    loads = sorted([*origins, "https://*.scenext.cn"])
    assert found["_meta"]["ui"]["csp"]["resourceDomains"] == loads
    assert found["_meta"]["openai/widgetCSP"]["resource_domains"] == loads


def test_request_headers_do_not_change_a_card_outside_the_sandbox() -> None:
    """Ours: without the sandbox, request headers do not affect the card.

    Shared caches may therefore store it (2026-07-28, server/utilities/caching).
    """
    sent = {"Host": "a.example", "X-Forwarded-Host": "b.example", "Mcp-Name": card.URI}
    result = Mcp(create_app(Config()).test_client()).modern("resources/read", {"uri": card.URI}, sent).get_json()
    (found,) = result["result"]["contents"]
    assert found["_meta"]["ui"]["csp"]["resourceDomains"] == ["https://*.scenext.cn"]
    assert result["result"]["cacheScope"] == "public"


@pytest.mark.parametrize("capabilities", OTHERS, ids=str)
def test_a_client_shows_cards_only_if_it_declares_support(mcp: Mcp, capabilities: Any) -> None:
    """Spec: MCP Apps 2026-01-26, "Client<>Server Capability Negotiation": the extension, with our media type."""
    meta = {**META, CLIENT_CAPABILITIES: capabilities}
    params = {"name": "gen_video", "arguments": {"question": "Why?"}, "_meta": meta}
    result = mcp.modern("tools/call", params, BEARER).get_json()["result"]
    assert SHOWN not in result["structuredContent"]["message"]


@either
@pytest.mark.parametrize("capabilities", [SHOWS, {}], ids=["card", "no card"])
def test_a_model_is_told_not_to_poll_if_a_card_polls(mcp: Mcp, era: str, capabilities: dict[str, Any]) -> None:
    """Ours: a card and a model that both follow one job would poll Scenext twice.

    A legacy client declares the card in its handshake, which this server does not store.
    """
    meta = {"_meta": {**META, CLIENT_CAPABILITIES: capabilities}} if era == "modern" else {}
    params = {"name": "gen_video", "arguments": {"question": "Why?"}, **meta}
    result = ask(mcp, era, "tools/call", params, BEARER).get_json()["result"]
    shown = era == "modern" and capabilities == SHOWS
    assert (SHOWN in result["structuredContent"]["message"]) is shown
    assert (SHOWN in result["content"][1]["text"]) is shown
    assert ("do what each result says" in result["content"][1]["text"]) is not shown
