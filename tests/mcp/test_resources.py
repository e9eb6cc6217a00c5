"""The methods of resources in both eras, none of which needs a key."""

from typing import Any

import pytest

from scenext_service.mcp import Server
from scenext_service.mcp.resources import VIEW_MIME_TYPE, Resource, Resources
from scenext_service.web import card
from tests.support.messages import Mcp, failure, outcome

from .test_methods import CACHED, STATUS, ask, either

DEFINITION = {"uri": card.URI, "name": "job", "title": card.TITLE, "mimeType": VIEW_MIME_TYPE}
URI_NEEDED = 'Invalid params: "uri" must be a string, the uri of a resource'

# The error code for an unknown resource.
UNKNOWN = {"legacy": -32002, "modern": -32602}


def read(mcp: Mcp, era: str, uri: Any) -> tuple[int, Any]:
    headers = {"Mcp-Name": uri} if isinstance(uri, str) else {}
    return outcome(ask(mcp, era, "resources/read", {"uri": uri}, headers))


@either
@pytest.mark.parametrize("params", [None, {}, {"cursor": None}], ids=["no params", "empty", "no cursor"])
def test_the_card_is_the_only_resource(mcp: Mcp, era: str, params: Any) -> None:
    """Spec: 2025-11-25 and 2026-07-28, server/resources "Listing Resources"."""
    answer = {"jsonrpc": "2.0", "id": 1, "result": {"resources": [DEFINITION], **CACHED[era]}}
    assert outcome(ask(mcp, era, "resources/list", params)) == (200, answer)


@either
def test_the_list_of_resource_templates_is_empty(mcp: Mcp, era: str) -> None:
    """Spec: 2025-11-25 and 2026-07-28, server/resources "Resource Templates". Clients of resources also list these."""
    answer = {"jsonrpc": "2.0", "id": 1, "result": {"resourceTemplates": [], **CACHED[era]}}
    assert outcome(ask(mcp, era, "resources/templates/list")) == (200, answer)


@either
def test_a_resource_is_read_without_a_key(mcp: Mcp, era: str) -> None:
    """Spec: 2025-11-25 and 2026-07-28, server/resources "Reading Resources". Ours: a card contains no user data."""
    status, answer = read(mcp, era, card.URI)
    result = answer["result"]
    (contents,) = result.pop("contents")
    # Its permitted origins depend on the address that the client used, so shared caches must not store it.
    own = {"cacheScope": "private"} if era == "modern" else {}
    assert (status, result) == (200, {**CACHED[era], **own})
    assert (contents["uri"], contents["mimeType"], contents["text"]) == (card.URI, VIEW_MIME_TYPE, card.html())


@either
@pytest.mark.parametrize(
    "uri", ["ui://scenext/none.html", "ui://scenext/job.html/", "", "file:///etc/passwd", "n" * 999]
)
def test_an_unknown_resource_has_the_error_code_of_its_era(mcp: Mcp, era: str, uri: str) -> None:
    """Spec: 2025-11-25, server/resources "Error Handling": -32002; 2026-07-28: -32602, and the uri in the data."""
    status, answer = read(mcp, era, uri)
    error = failure(UNKNOWN[era], f"Resource not found: {uri[:100]}")
    error["error"]["data"] = {"uri": uri}
    assert (status, answer) == (STATUS[era][-32602], error)


@either
@pytest.mark.parametrize("params", [{}, {"uri": None}, {"uri": 1}, {"uri": [card.URI]}], ids=str)
def test_a_uri_that_is_not_a_string_is_invalid_params(mcp: Mcp, era: str, params: dict[str, Any]) -> None:
    """Spec: 2025-11-25 and 2026-07-28, schema "ReadResourceRequestParams"."""
    answer = failure(-32602, URI_NEEDED)
    assert outcome(ask(mcp, era, "resources/read", params)) == (STATUS[era][-32602], answer)


@pytest.mark.parametrize("name", [None, "ui://scenext/other.html"])
def test_the_name_header_of_a_read_must_match_its_uri(mcp: Mcp, name: str | None) -> None:
    """Spec: 2026-07-28, basic/transports/streamable-http "Standard Headers": Mcp-Name is the uri."""
    headers = {} if name is None else {"Mcp-Name": name}
    status, answer = outcome(mcp.modern("resources/read", {"uri": card.URI}, headers))
    assert (status, answer["error"]["code"]) == (400, -32020)


def test_resource_contents_omit_absent_metadata() -> None:
    """Spec: 2026-07-28, schema "TextResourceContents": `_meta` is optional."""
    plain = Resource("test://a", "a", "A", "text/plain", "hello")
    assert Resources([plain]).read({"uri": "test://a"}, -32002) == {
        "contents": [{"uri": "test://a", "mimeType": "text/plain", "text": "hello"}]
    }


def test_a_server_without_resources_has_an_empty_list() -> None:
    """Ours: a server for other tools may register no resources."""
    assert Server({"name": "example", "version": "1"}, "", []).resources.definitions() == []
