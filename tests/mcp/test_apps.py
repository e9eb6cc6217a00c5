"""MCP Apps: what the server publishes of its card, and whose model is told that it is there."""

from typing import Any

import pytest

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.mcp import Call, Caller, Record, apps
from scenext_service.tools.gen_video import SHOWN
from scenext_service.views import card
from tests.support.messages import BEARER, CLIENT_CAPABILITIES, META, Mcp
from tests.support.names import TOOLS

from .test_methods import ask, either

SHOWS = {"extensions": {apps.EXTENSION: {"mimeTypes": ["text/plain", apps.MIME_TYPE]}}}

# What a client may say of itself without saying that it shows our card.
OTHERS: list[Any] = [
    None,
    [],
    {},
    {"extensions": None},
    {"extensions": []},
    {"extensions": {}},
    {"extensions": {"io.modelcontextprotocol/tasks": {"mimeTypes": [apps.MIME_TYPE]}}},
    {"extensions": {apps.EXTENSION: None}},
    {"extensions": {apps.EXTENSION: {}}},
    {"extensions": {apps.EXTENSION: {"mimeTypes": None}}},
    {"extensions": {apps.EXTENSION: {"mimeTypes": apps.MIME_TYPE}}},
    {"extensions": {apps.EXTENSION: {"mimeTypes": ["text/html"]}}},
]


def contents(mcp: Mcp) -> dict[str, Any]:
    response = mcp.legacy("resources/read", {"uri": card.URI})
    (found,) = response.get_json()["result"]["contents"]
    meta: dict[str, Any] = found["_meta"]
    return meta


@either
def test_only_the_tool_that_starts_a_job_has_a_card(mcp: Mcp, era: str) -> None:
    """Spec: MCP Apps 2026-01-26, "Resource Discovery". Ours: hosts open a frame for each call of a tool that has one.

    No flat `ui/resourceUri` either, which the specification calls deprecated.
    """
    listed = ask(mcp, era, "tools/list").get_json()["result"]["tools"]
    named = {tool["name"]: tool.get("_meta") for tool in listed}
    assert named == {**dict.fromkeys(TOOLS), "gen_video": {"ui": {"resourceUri": "ui://scenext/job.html"}}}


def test_a_card_may_load_what_the_operator_names_and_no_more() -> None:
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
        pytest.param(Config(), ["https://*.scenext.cn"], id="Scenext's"),
        pytest.param(Config(sandbox=True), ["http://localhost", "https://*.scenext.cn"], id="the sandbox's"),
    ],
)
def test_the_media_come_from_scenext_or_the_sandbox(config: Config, origins: list[str]) -> None:
    """Ours: Config; a card of the sandbox breaks no rule of its own."""
    assert contents(Mcp(create_app(config).test_client()))["ui"]["csp"]["resourceDomains"] == origins


@pytest.mark.parametrize(
    ("headers", "origins"),
    [
        ({"Host": "a.example:8443"}, ["http://a.example:8443"]),
        ({"Host": "a.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/sub"}, ["https://a.example"]),
        ({"Host": "[::1]:8000"}, []),  # CSP 3, "host-source", has no address of IPv6
        ({"Host": "a.example; script-src *"}, ["http://localhost"]),
    ],
)
@either
def test_a_card_of_the_sandbox_may_load_what_its_links_lead_to(
    mcp: Mcp, era: str, headers: dict[str, str], origins: list[str]
) -> None:
    """Ours: the sandbox serves frames and film itself, on the address that the caller used. Spec: CSP 3, an origin."""
    sent = {**headers, "Mcp-Name": card.URI}
    (found,) = ask(mcp, era, "resources/read", {"uri": card.URI}, sent).get_json()["result"]["contents"]
    loads = sorted([*origins, "https://*.scenext.cn"])
    assert found["_meta"]["ui"]["csp"]["resourceDomains"] == loads
    assert found["_meta"]["openai/widgetCSP"]["resource_domains"] == loads


def test_what_a_card_may_load_is_the_same_for_all_outside_of_the_sandbox() -> None:
    """Ours: nobody's headers decide anything there; and all may keep it (2026-07-28, server/utilities/caching)."""
    sent = {"Host": "a.example", "X-Forwarded-Host": "b.example", "Mcp-Name": card.URI}
    result = Mcp(create_app(Config()).test_client()).modern("resources/read", {"uri": card.URI}, sent).get_json()
    (found,) = result["result"]["contents"]
    assert found["_meta"]["ui"]["csp"]["resourceDomains"] == ["https://*.scenext.cn"]
    assert result["result"]["cacheScope"] == "public"


@pytest.mark.parametrize("capabilities", OTHERS, ids=str)
def test_a_client_shows_cards_only_where_it_says_so(capabilities: Any) -> None:
    """Spec: MCP Apps 2026-01-26, "Client<>Server Capability Negotiation": the extension, with our media type."""
    assert apps.shows_views(Call(Caller(), Record(), capabilities=SHOWS))
    assert not apps.shows_views(Call(Caller(), Record(), capabilities=capabilities))
    assert not apps.shows_views(Call(Caller(), Record()))


@either
@pytest.mark.parametrize("capabilities", [SHOWS, {}], ids=["card", "no card"])
def test_a_model_is_told_not_to_poll_where_a_card_does(mcp: Mcp, era: str, capabilities: dict[str, Any]) -> None:
    """Ours: two that follow one job ask Scenext twice. A legacy client says it in a handshake that is not kept."""
    meta = {"_meta": {**META, CLIENT_CAPABILITIES: capabilities}} if era == "modern" else {}
    params = {"name": "gen_video", "arguments": {"question": "Why?"}, **meta}
    result = ask(mcp, era, "tools/call", params, BEARER).get_json()["result"]
    shown = era == "modern" and capabilities == SHOWS
    assert (SHOWN in result["structuredContent"]["message"]) is shown
    assert (SHOWN in result["content"][1]["text"]) is shown
    assert ("do what each result says" in result["content"][1]["text"]) is not shown
