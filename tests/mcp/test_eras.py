"""Protocol versions, and the era to which a request belongs."""

from typing import Any

import pytest

from scenext_service.mcp import legacy, modern
from scenext_service.mcp.context import Caller
from scenext_service.mcp.dispatch import SUPPORTED_VERSIONS, is_modern
from scenext_service.mcp.eras import unsupported_version
from scenext_service.mcp.jsonrpc import Request
from tests.support import names
from tests.support.messages import CLIENT_CAPABILITIES, META, PROTOCOL_VERSION, Mcp, failure, outcome, version

MODERN_HEADER = Caller(protocol_version="2026-07-28")
MIRRORED = Caller(method="tools/list", name="query_video_status")


def test_every_published_revision_is_supported_newest_first() -> None:
    """Spec: 2026-07-28, basic/versioning "Terminology", and the revisions that the specification has published."""
    assert modern.VERSIONS == names.MODERN
    assert legacy.VERSIONS == names.LEGACY
    assert SUPPORTED_VERSIONS == names.SUPPORTED


@pytest.mark.parametrize(
    ("params", "headers", "era"),
    [
        pytest.param({"_meta": META}, Caller(), "modern", id="metadata, no header"),
        pytest.param({"_meta": META}, MODERN_HEADER, "modern", id="metadata and header"),
        pytest.param({"_meta": META}, Caller("2025-11-25"), "modern", id="metadata beats a legacy header"),
        pytest.param({"_meta": {PROTOCOL_VERSION: "v999"}}, Caller(), "modern", id="metadata of an unknown version"),
        pytest.param(
            {"_meta": {PROTOCOL_VERSION: "2025-11-25"}}, Caller(), "modern", id="metadata of a legacy version"
        ),
        pytest.param({"_meta": {PROTOCOL_VERSION: None}}, Caller(), "modern", id="metadata with a null version"),
        pytest.param(None, MODERN_HEADER, "modern", id="modern header, no params"),
        pytest.param({}, MODERN_HEADER, "modern", id="modern header, no metadata"),
        pytest.param([META], MODERN_HEADER, "modern", id="modern header, params is an array"),
        pytest.param({"_meta": {"progressToken": 1}}, MODERN_HEADER, "modern", id="modern header, other metadata"),
        pytest.param(None, Caller(), "legacy", id="neither metadata nor header"),
        pytest.param({}, Caller("2025-11-25"), "legacy", id="legacy header"),
        pytest.param({"_meta": {"progressToken": 1}}, Caller(), "legacy", id="other metadata"),
        pytest.param({"_meta": {CLIENT_CAPABILITIES: {}}}, Caller(), "legacy", id="metadata without a version"),
        pytest.param({"_meta": [PROTOCOL_VERSION]}, Caller(), "legacy", id="metadata is an array"),
        pytest.param({"_meta": None}, Caller(), "legacy", id="metadata is null"),
        pytest.param([PROTOCOL_VERSION], Caller(), "legacy", id="params is an array"),
        pytest.param({PROTOCOL_VERSION: "2026-07-28"}, Caller(), "legacy", id="version outside the metadata"),
        pytest.param({}, MIRRORED, "legacy", id="only Mcp-Method and Mcp-Name"),
    ],
)
def test_modern_metadata_or_a_modern_version_header_selects_the_era(params: Any, headers: Caller, era: str) -> None:
    """Spec: 2026-07-28, basic/versioning "Backward Compatibility": a request with modern metadata is modern.

    Ours: a request whose header names a modern revision is modern too, even if its metadata is missing.
    """
    assert era_of("tools/list", params, headers) == era


@pytest.mark.parametrize(
    ("version", "era"),
    [
        pytest.param("2026-07-28", "modern", id="the modern revision"),
        pytest.param("2026-07-29", "legacy", id="one day later"),
        pytest.param("2027-01-01", "legacy", id="sorts after every revision"),
        pytest.param("v999", "legacy", id="sorts after every digit"),
        pytest.param("2026-01-01", "legacy", id="sorts between two revisions"),
        pytest.param("2026-07-28, 2026-07-28", "legacy", id="two joined headers"),
        pytest.param("2026-7-28", "legacy", id="same date in another form"),
        pytest.param("", "legacy", id="empty"),
    ],
)
def test_versions_are_looked_up_and_never_compared_as_strings(version: str, era: str) -> None:
    """Ours: the meaning of an unknown version is unknown, wherever it sorts. It is rejected as unsupported."""
    assert era_of("tools/list", None, Caller(version)) == era


@pytest.mark.parametrize("header", [None, *names.SUPPORTED, "v999"])
def test_initialize_without_modern_metadata_is_legacy_under_any_header(mcp: Mcp, header: str | None) -> None:
    """Spec: 2026-07-28, basic/versioning "Backward Compatibility": initialize selects legacy semantics."""
    assert era_of("initialize", {"protocolVersion": "2025-11-25"}, Caller(header)) == "legacy"
    response = mcp.legacy("initialize", {"protocolVersion": "2025-06-18"}, version(header))
    assert response.status_code == 200
    assert response.get_json()["result"]["protocolVersion"] == "2025-06-18"


def test_initialize_with_modern_metadata_is_modern_and_not_found(mcp: Mcp) -> None:
    """Spec: 2026-07-28, basic/versioning "Backward Compatibility": modern metadata decides; initialize is removed."""
    assert era_of("initialize", {"_meta": META}, MODERN_HEADER) == "modern"
    response = mcp.modern("initialize", {"protocolVersion": "2025-11-25"})
    assert outcome(response) == (404, failure(-32601, "Method not found: initialize"))


def test_mirroring_headers_do_not_affect_a_legacy_handshake(mcp: Mcp) -> None:
    """Ours: mcp-remote sends Mcp-Method and Mcp-Name with its legacy initialize."""
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}
    plain = mcp.legacy("initialize", params)
    mirrored = mcp.legacy("initialize", params, {"Mcp-Method": "initialize", "Mcp-Name": "anything"})
    assert plain.status_code == mirrored.status_code == 200
    assert plain.get_json()["result"]["protocolVersion"] == "2025-11-25"
    assert mirrored.data == plain.data


def test_both_eras_are_served_on_one_endpoint(mcp: Mcp) -> None:
    """Spec: 2026-07-28, basic/versioning "Backward Compatibility": both eras concurrently on the same endpoint."""
    first, modern, second = mcp.legacy("tools/list"), mcp.modern("tools/list"), mcp.legacy("tools/list")
    assert first.data == second.data
    assert set(first.get_json()["result"]) == {"tools"}
    assert set(modern.get_json()["result"]) == {"tools", "resultType", "ttlMs", "cacheScope", "_meta"}


def test_an_unsupported_version_error_lists_supported_and_requested() -> None:
    """Spec: 2026-07-28, basic/versioning "Protocol Version Negotiation"."""
    refused = unsupported_version("1900-01-01", SUPPORTED_VERSIONS)
    assert (refused.code, refused.message) == (-32022, "Unsupported protocol version")
    assert refused.data == {"supported": names.SUPPORTED, "requested": "1900-01-01"}


def era_of(method: str, params: Any, caller: Caller) -> str:
    """Return the era of a request. The legacy era takes every request that is not modern."""
    return "modern" if is_modern(Request(1, method, params), caller) else "legacy"
