"""Revision 2026-07-28 over HTTP: metadata, the headers that mirror it, and the stamp on results.

Behaviour common to both eras is tested in test_methods.
"""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from scenext_service.tools import failure_people, instructions
from scenext_service.tools.gen_video import NO_QUESTION
from tests.support.messages import (
    CLIENT_CAPABILITIES,
    ICONS,
    META,
    PROTOCOL_VERSION,
    SERVER,
    Mcp,
    failure,
    outcome,
    unsupported,
)
from tests.support.names import SUPPORTED, TOOLS

CLIENT_INFO = "io.modelcontextprotocol/clientInfo"
SERVER_INFO = "io.modelcontextprotocol/serverInfo"
STAMP: dict[str, Any] = {
    "resultType": "complete",
    "_meta": {SERVER_INFO: SERVER},
}
KNOWN_TOOLS = f"Known tools: {', '.join(TOOLS)}"
MIRRORED = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}
NAMED = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call"}


def send(mcp: Mcp, method: str, params: Any, headers: dict[str, str], id: str | int = 1) -> TestResponse:
    """Post a request exactly as given."""
    return mcp.post({"jsonrpc": "2.0", "id": id, "method": method, "params": params}, headers)


def missing(header: str) -> dict[str, Any]:
    return failure(-32020, f"Header mismatch: the header {header} is missing or malformed")


def mismatch(header: str, value: str, body: str) -> dict[str, Any]:
    return failure(-32020, f"Header mismatch: {header} header value '{value}' does not match body value '{body}'")


def meta(**changed: Any) -> dict[str, Any]:
    """Return complete metadata with the given entries changed (version, capabilities, info). None removes an entry."""
    keys = {"version": PROTOCOL_VERSION, "capabilities": CLIENT_CAPABILITIES, "info": CLIENT_INFO}
    merged = {**META, **{keys[short]: value for short, value in changed.items()}}
    return {key: value for key, value in merged.items() if value is not None}


NO_META = 'Invalid params: "_meta" with the per-request metadata is missing'
NO_VERSION = f'Invalid params: _meta["{PROTOCOL_VERSION}"] must be a string'
NO_CAPABILITIES = f'Invalid params: _meta["{CLIENT_CAPABILITIES}"] must be an object'
NO_INFO = f'Invalid params: _meta["{CLIENT_INFO}"] must be an object'


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param(None, NO_META, id="no params"),
        pytest.param({}, NO_META, id="no metadata"),
        pytest.param({"_meta": None}, NO_META, id="metadata is null"),
        pytest.param({"_meta": [META]}, NO_META, id="metadata is an array"),
        pytest.param([META], 'Invalid params: "params" must be an object', id="params is an array"),
        pytest.param({"_meta": {}}, NO_VERSION, id="empty metadata"),
        pytest.param({"_meta": meta(version=None)}, NO_VERSION, id="no version"),
        pytest.param({"_meta": {**META, PROTOCOL_VERSION: None}}, NO_VERSION, id="version is null"),
        pytest.param({"_meta": meta(version=20260728)}, NO_VERSION, id="version is a number"),
        pytest.param({"_meta": meta(capabilities=None)}, NO_CAPABILITIES, id="no capabilities"),
        pytest.param({"_meta": meta(capabilities=[])}, NO_CAPABILITIES, id="capabilities is an array"),
        pytest.param({"_meta": {**META, CLIENT_CAPABILITIES: None}}, NO_CAPABILITIES, id="capabilities is null"),
        pytest.param({"_meta": meta(info="me")}, NO_INFO, id="client info is a string"),
    ],
)
def test_incomplete_metadata_is_invalid_params_with_status_400(mcp: Mcp, params: Any, message: str) -> None:
    """Spec: 2026-07-28, basic/index "_meta": a request missing any required field is malformed."""
    assert outcome(send(mcp, "tools/list", params, MIRRORED, id=0)) == (400, failure(-32602, message, 0))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(meta(), id="without client info"),
        pytest.param(meta(info={"name": "a", "version": "1"}), id="with client info"),
        pytest.param(meta(capabilities={"roots": {}, "extensions": {}}), id="with capabilities"),
        pytest.param({**META, "progressToken": 1, "com.example/x": None}, id="with other keys"),
    ],
)
def test_a_request_with_complete_metadata_is_served(mcp: Mcp, given: dict[str, Any]) -> None:
    """Spec: 2026-07-28, basic/index "_meta": clientInfo may be absent, and other keys are ignored."""
    response = send(mcp, "tools/list", {"_meta": given}, MIRRORED, id="")
    assert (response.status_code, response.get_json()["id"]) == (200, "")
    assert [tool["name"] for tool in response.get_json()["result"]["tools"]] == [*TOOLS]


def test_the_checks_run_in_a_fixed_order(mcp: Mcp) -> None:
    """Ours: a request that fails every check reports the failures one by one, as each is fixed."""
    params = {"_meta": {PROTOCOL_VERSION: "v999"}, "name": "a"}
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list", "Mcp-Name": "b"}

    def answer() -> tuple[int, Any]:
        return outcome(send(mcp, "prompts/get", params, headers))

    assert answer() == (400, failure(-32602, NO_CAPABILITIES))
    params["_meta"] = meta(version="v999")
    assert answer() == (400, mismatch("MCP-Protocol-Version", "2026-07-28", "v999"))
    headers["MCP-Protocol-Version"] = "v999"
    assert answer() == (400, unsupported("v999"))
    headers["MCP-Protocol-Version"], params["_meta"] = "2026-07-28", META
    assert answer() == (400, mismatch("Mcp-Method", "tools/list", "prompts/get"))
    headers["Mcp-Method"] = "prompts/get"
    assert answer() == (400, mismatch("Mcp-Name", "b", "a"))
    headers["Mcp-Name"] = "a"
    assert answer() == (404, failure(-32601, "Method not found: prompts/get"))


@pytest.mark.parametrize("version", ["v999", "2026-07-29", "2025-11-25", "2024-11-05", ""])
def test_an_unsupported_version_is_rejected_with_supported_versions(mcp: Mcp, version: str) -> None:
    """Spec: 2026-07-28, basic/versioning "Protocol Version Negotiation": 400 with data.supported and data.requested."""
    headers = {"MCP-Protocol-Version": version, "Mcp-Method": "none"}
    assert outcome(send(mcp, "tools/list", {"_meta": meta(version=version)}, headers)) == (400, unsupported(version))


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        pytest.param({"Mcp-Method": "tools/list"}, missing("MCP-Protocol-Version"), id="no version"),
        pytest.param({"MCP-Protocol-Version": "2026-07-28"}, missing("Mcp-Method"), id="no method"),
        pytest.param(
            {**MIRRORED, "MCP-Protocol-Version": "2025-11-25"},
            mismatch("MCP-Protocol-Version", "2025-11-25", "2026-07-28"),
            id="another supported version",
        ),
        pytest.param(
            {**MIRRORED, "MCP-Protocol-Version": "2026-07-28,2026-07-28"},
            mismatch("MCP-Protocol-Version", "2026-07-28,2026-07-28", "2026-07-28"),
            id="two joined versions",
        ),
        pytest.param(
            {**MIRRORED, "Mcp-Method": "tools/list,tools/list"},
            mismatch("Mcp-Method", "tools/list,tools/list", "tools/list"),
            id="two joined methods",
        ),
        pytest.param(
            {**MIRRORED, "Mcp-Method": "Tools/List"},
            mismatch("Mcp-Method", "Tools/List", "tools/list"),
            id="different case",
        ),
        pytest.param({**MIRRORED, "Mcp-Method": ""}, mismatch("Mcp-Method", "", "tools/list"), id="empty method"),
        pytest.param(
            {**MIRRORED, "Mcp-Method": "=?base64?dG9vbHMvbGlzdA==?="},
            mismatch("Mcp-Method", "=?base64?dG9vbHMvbGlzdA==?=", "tools/list"),
            id="Base64 method",
        ),
        pytest.param(
            {**MIRRORED, "Mcp-Method": "m" * 300},
            mismatch("Mcp-Method", "m" * 100, "tools/list"),
            id="long method, truncated",
        ),
    ],
)
def test_a_version_or_method_header_unlike_the_body_is_a_mismatch(
    mcp: Mcp, headers: dict[str, str], answer: dict[str, Any]
) -> None:
    """Spec: 2026-07-28, streamable-http "Server Validation", "Case Sensitivity"."""
    assert outcome(send(mcp, "tools/list", {"_meta": META}, headers)) == (400, answer)


@pytest.mark.parametrize("name", ["mcp-method", "MCP-METHOD", "Mcp-Method"])
def test_header_names_are_case_insensitive(mcp: Mcp, name: str) -> None:
    """Spec: 2026-07-28, streamable-http "Case Sensitivity"."""
    headers = {name: "tools/list", "mcp-protocol-version": "2026-07-28"}
    assert send(mcp, "tools/list", {"_meta": META}, headers).status_code == 200


@pytest.mark.parametrize("pad", [" {}", "{} ", "\t{} \t"], ids=["before", "after", "both"])
@pytest.mark.parametrize("header", ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"])
def test_whitespace_around_a_header_value_is_ignored(mcp: Mcp, header: str, pad: str) -> None:
    """Spec: RFC 9110, section 5.5. Some WSGI servers do not strip it."""
    headers = {**NAMED, "Mcp-Name": "gen_video"}
    response = send(
        mcp, "tools/call", {"_meta": META, "name": "gen_video"}, {**headers, header: pad.format(headers[header])}
    )
    content = [{"type": "text", "text": NO_QUESTION}]
    result = {"content": content, "isError": True, **STAMP, "_meta": {**failure_people.NO_QUESTION, **STAMP["_meta"]}}
    assert outcome(response) == (200, {"jsonrpc": "2.0", "id": 1, "result": result})


@pytest.mark.parametrize(
    ("name", "header"),
    [
        pytest.param("none", "none", id="plain"),
        pytest.param("us-west1", "=?base64?dXMtd2VzdDE=?=", id="plain, needlessly encoded"),
        pytest.param("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?=", id="not ASCII"),
        pytest.param(" padded ", "=?base64?IHBhZGRlZCA=?=", id="padded"),
        pytest.param("line1\nline2", "=?base64?bGluZTEKbGluZTI=?=", id="newline"),
        pytest.param("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", id="looks encoded"),
        pytest.param("=?base64?x", "=?base64?x", id="starts as if encoded"),
        pytest.param("=?BASE64?YQ==?=", "=?BASE64?YQ==?=", id="plain, marker in another case"),
        pytest.param("", "", id="empty"),
        pytest.param("", "=?base64??=", id="encoded empty name"),
    ],
)
def test_a_name_is_compared_with_its_decoded_header(mcp: Mcp, name: str, header: str) -> None:
    """Spec: 2026-07-28, streamable-http "Value Encoding", with its examples. The unknown tool is a later error."""
    response = send(mcp, "tools/call", {"_meta": META, "name": name}, {**NAMED, "Mcp-Name": header})
    assert outcome(response) == (400, failure(-32602, f"Unknown tool: {name}. {KNOWN_TOOLS}"))


def test_an_encoded_tool_name_is_served(mcp: Mcp) -> None:
    """Spec: 2026-07-28, streamable-http "Value Encoding"."""
    headers = {**NAMED, "mcp-name": "=?base64?Z2VuX3ZpZGVv?="}
    status, answer = outcome(send(mcp, "tools/call", {"_meta": META, "name": "gen_video"}, headers))
    assert (status, answer["result"]["content"]) == (200, [{"type": "text", "text": NO_QUESTION}])


@pytest.mark.parametrize(
    ("name", "header"),
    [
        pytest.param("a", "=?base64?YQ?=", id="missing padding"),
        pytest.param("a", "=?base64?YR==?=", id="stray bits"),
        pytest.param("a", "=?base64?YQ===?=", id="too much padding"),
        pytest.param("a", "=?base64?Y Q==?=", id="inner space"),
        pytest.param("a", "=?base64? YQ== ?=", id="surrounding spaces"),
        pytest.param("a>?", "=?base64?YT4_?=", id="URL alphabet"),
        pytest.param("\ufffd", "=?base64?/w==?=", id="not UTF-8"),
        pytest.param("a", "=?base64?é?=", id="non-ASCII inside"),
        pytest.param("=?base64?literal?=", "=?base64?literal?=", id="literal that needs encoding"),
        pytest.param("é", "é", id="not ASCII, unencoded"),
    ],
)
def test_a_malformed_name_header_is_a_mismatch(mcp: Mcp, name: str, header: str) -> None:
    """Spec: 2026-07-28, streamable-http "Server Validation": malformed, or with invalid characters."""
    response = send(mcp, "tools/call", {"_meta": META, "name": name}, {**NAMED, "Mcp-Name": header})
    assert outcome(response) == (400, missing("Mcp-Name"))


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        pytest.param(NAMED, missing("Mcp-Name"), id="missing"),
        pytest.param(
            {**NAMED, "Mcp-Name": "Gen_video"}, mismatch("Mcp-Name", "Gen_video", "gen_video"), id="different case"
        ),
        pytest.param(
            {**NAMED, "Mcp-Name": "gen_video,gen_video"},
            mismatch("Mcp-Name", "gen_video,gen_video", "gen_video"),
            id="two joined headers",
        ),
        pytest.param(
            {**NAMED, "Mcp-Name": "=?base64?cXVlcnlfdmlkZW9fc3RhdHVz?="},
            mismatch("Mcp-Name", "query_video_status", "gen_video"),
            id="encoded name of another tool",
        ),
    ],
)
def test_a_name_header_unlike_the_body_is_a_mismatch(mcp: Mcp, headers: dict[str, str], answer: dict[str, Any]) -> None:
    """Spec: 2026-07-28, streamable-http "Server Validation"."""
    assert outcome(send(mcp, "tools/call", {"_meta": META, "name": "gen_video"}, headers)) == (400, answer)


def test_a_long_name_is_truncated_in_a_mismatch(mcp: Mcp) -> None:
    """Ours: the size of an error does not depend on the client's input."""
    headers = {**NAMED, "Mcp-Name": "gen_video"}
    answer = mismatch("Mcp-Name", "gen_video", "n" * 100)
    assert outcome(send(mcp, "tools/call", {"_meta": META, "name": "n" * 5_000}, headers)) == (400, answer)


@pytest.mark.parametrize("name", [None, 1, ["gen_video"], {}, True])
def test_a_non_string_name_is_invalid_params_under_any_header(mcp: Mcp, name: Any) -> None:
    """Spec: 2026-07-28, schema "CallToolRequestParams". Ours: a wrong type is reported before a wrong header."""
    answer = failure(-32602, 'Invalid params: "name" must be a string, the name of a tool')
    params = {"_meta": META, "name": name}
    assert outcome(send(mcp, "tools/call", params, NAMED)) == (400, answer)
    assert outcome(send(mcp, "tools/call", params, {**NAMED, "Mcp-Name": "gen_video"})) == (400, answer)


def test_discovery_returns_versions_capabilities_and_identity(mcp: Mcp) -> None:
    """Spec: 2026-07-28, server/discover, and schema "Icon".

    Ours: legacy versions are listed too, because clients fall back only to a listed version. Only this result has the
    icon, because it would add 500 bytes to every other one.
    """
    result = {
        "supportedVersions": [*SUPPORTED],
        "capabilities": {
            "tools": {},
            "resources": {},
            "extensions": {"io.modelcontextprotocol/ui": {}, "io.modelcontextprotocol/tasks": {}},
        },
        "instructions": instructions(50, sandbox=True),
        "ttlMs": 3_600_000,
        "cacheScope": "public",
        "resultType": "complete",
        "_meta": {SERVER_INFO: {**SERVER, "icons": ICONS}},
    }
    assert outcome(mcp.modern("server/discover", id=0)) == (200, {"jsonrpc": "2.0", "id": 0, "result": result})


@pytest.mark.parametrize("headers", [{}, MIRRORED, {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "other"}])
def test_a_notification_is_accepted_without_a_body(mcp: Mcp, headers: dict[str, str]) -> None:
    """Spec: 2026-07-28, streamable-http "Sending Messages": 202; header requirements are not defined for it."""
    message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"_meta": META, "requestId": 1}}
    response = mcp.post(message, headers)
    assert (response.status_code, response.data, response.headers.get("Content-Type")) == (202, b"", None)
