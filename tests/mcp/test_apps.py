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
        pytest.param(Config(sandbox=True), ["https://*.scenext.cn", "https://oss.scenext.example"], id="the sandbox's"),
    ],
)
def test_the_media_come_from_scenext_or_the_sandbox(config: Config, origins: list[str]) -> None:
    """Ours: Config; a card of the sandbox breaks no rule of its own."""
    assert contents(Mcp(create_app(config).test_client()))["ui"]["csp"]["resourceDomains"] == origins


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
    assert (result["structuredContent"]["message"] == SHOWN) is shown
    assert result["content"][1]["text"].endswith(SHOWN) is shown
    assert ("do what each result says" in result["content"][1]["text"]) is not shown
