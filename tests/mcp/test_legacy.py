"""The handshake revisions, 2024-11-05 to 2025-11-25, over HTTP.

Batches are tested in test_dispatch, behaviour common to both eras in test_methods.
"""

from typing import Any

import pytest

from scenext_service.mcp import Call, Tool, ToolResult
from scenext_service.scenext.client import Scenext
from scenext_service.tools import create_tools, instructions
from scenext_service.tools.api_call import Credentials
from scenext_service.tools.gen_video import NO_QUESTION
from scenext_service.tools.waiting import JobWaiter
from scenext_service.web.card import URI
from tests.support.cases import case
from tests.support.messages import (
    BEARER,
    PING,
    PONG,
    SERVER,
    Mcp,
    failure,
    immediate,
    outcome,
    serve,
    unsupported,
    version,
)
from tests.support.names import LEGACY, SUPPORTED, TOOLS

INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-03-26"}}
CALL = {"name": "query_video_status", "arguments": {"task_id": "sandbox-completed"}}


def handshake(protocol_version: str) -> dict[str, Any]:
    result = {
        "protocolVersion": protocol_version,
        "capabilities": {"tools": {}, "resources": {}},
        "serverInfo": SERVER,  # without icons, because some clients reject an initialize result that has them
        "instructions": instructions(50, sandbox=True),
    }
    return {"jsonrpc": "2.0", "id": 1, "result": result}


@pytest.mark.parametrize(
    ("requested", "answered"),
    [
        *[pytest.param(revision, revision, id=revision) for revision in LEGACY],
        pytest.param("2026-07-28", LEGACY[0], id="modern revision"),
        pytest.param("2025-01-01", LEGACY[0], id="unknown revision"),
        pytest.param("", LEGACY[0], id="empty revision"),
    ],
)
def test_initialize_negotiates_the_requested_revision_or_the_latest(mcp: Mcp, requested: str, answered: str) -> None:
    """Spec: 2025-11-25, basic/lifecycle "Version Negotiation", and schema "Icon", which no older revision has.

    Ours: the version header has no effect.
    """
    for header in (None, *SUPPORTED, "v999", ""):
        with case(header):
            params = {"protocolVersion": requested, "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}
            assert outcome(mcp.legacy("initialize", params, version(header))) == (200, handshake(answered))


@pytest.mark.parametrize("params", [None, {}])
def test_initialize_without_a_version_gets_the_latest(mcp: Mcp, params: Any) -> None:
    """Ours: the specification requires the client's version, but rejecting the request would gain nothing."""
    assert outcome(mcp.legacy("initialize", params)) == (200, handshake(LEGACY[0]))


@pytest.mark.parametrize("requested", [None, 20251125, ["2025-11-25"], {}])
def test_initialize_with_a_non_string_version_is_invalid_params(mcp: Mcp, requested: Any) -> None:
    """Spec: 2025-11-25, schema "InitializeRequest": protocolVersion is a string."""
    answer = failure(-32602, 'Invalid params: "protocolVersion" must be a string')
    assert outcome(mcp.legacy("initialize", {"protocolVersion": requested})) == (200, answer)


@pytest.mark.parametrize("header", [None, *LEGACY])
def test_every_revision_supports_the_whole_client_lifecycle(mcp: Mcp, header: str | None) -> None:
    """Spec: 2024-11-05 to 2025-11-25, basic/lifecycle, basic/utilities/ping, server/tools; no header is 2025-03-26."""
    headers = version(header)
    accepted = mcp.post(INITIALIZED, headers)
    assert (accepted.status_code, accepted.data) == (202, b"")
    assert outcome(mcp.legacy("ping", headers=headers)) == (200, PONG)
    scenext = Scenext("https://api.example/api", timeout=5, slots=1)
    tools = [
        tool.definition() for tool in create_tools(scenext, Credentials(), "m", JobWaiter(50, 1), URI, sandbox=True)
    ]
    assert [tool["name"] for tool in tools] == [*TOOLS]
    listed = outcome(mcp.legacy("tools/list", headers=headers))
    assert listed == (200, {"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}})
    called = mcp.legacy("tools/call", CALL, {**headers, **BEARER})
    assert called.status_code == 200
    result = called.get_json()["result"]
    assert set(result) == {"content", "structuredContent", "isError"}
    assert (result["isError"], result["structuredContent"]["status"]) == (False, "COMPLETED")


@pytest.mark.parametrize("header", ["v999", "2026-01-01", "2025-11-26", "", "2025-11-25, 2025-11-25", "2025-06-18 x"])
@pytest.mark.parametrize(
    ("method", "params"),
    [
        pytest.param("ping", None, id="ping"),
        pytest.param("tools/call", CALL, id="tools/call"),
        pytest.param("none", None, id="unknown method"),
        pytest.param("tools/list", [], id="wrong params"),
    ],
)
def test_an_unsupported_version_header_is_rejected_with_status_400(
    mcp: Mcp, header: str, method: str, params: Any
) -> None:
    """Spec: 2025-11-25, basic/transports "Protocol Version Header": 400. Ours: the body is the modern error."""
    assert outcome(mcp.legacy(method, params, version(header))) == (400, unsupported(header))


ONE_WAY = [
    pytest.param(INITIALIZED, id="initialized"),
    pytest.param({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}, id="cancelled"),
    pytest.param(
        {"jsonrpc": "2.0", "method": "notifications/unknown", "params": []},
        id="unknown notification, params is an array",
    ),
    pytest.param({"jsonrpc": "2.0", "method": "tools/list"}, id="request method without an id"),
    pytest.param({"jsonrpc": "2.0", "id": 1, "result": {}}, id="result"),
    pytest.param({"jsonrpc": "2.0", "id": 1, "error": {"code": -1, "message": "no"}}, id="error"),
]


@pytest.mark.parametrize("message", ONE_WAY)
def test_a_notification_or_response_is_accepted_without_a_body(mcp: Mcp, message: Any) -> None:
    """Spec: 2025-11-25 and 2026-07-28, transports "Sending Messages": 202 with no body."""
    for header in (None, *SUPPORTED):
        with case(header):
            response = mcp.post(message, version(header))
            assert (response.status_code, response.data) == (202, b"")
            assert "Content-Type" not in response.headers


@pytest.mark.parametrize("message", ONE_WAY)
def test_a_notification_under_an_unsupported_version_is_rejected(mcp: Mcp, message: Any) -> None:
    """Spec: 2025-11-25, basic/transports "Protocol Version Header"; "Sending Messages": an HTTP error status."""
    assert outcome(mcp.post(message, version("v999"))) == (400, unsupported("v999", None))


@pytest.mark.parametrize("batch", [False, True], ids=["alone", "in a batch"])
def test_a_tool_call_sent_as_a_notification_has_no_effect(batch: bool) -> None:
    """Spec: 2025-11-25, basic "Notifications": no response. Ours: no effect, because an unreported job costs money."""
    calls = []

    def record(arguments: dict[str, Any], call: Call) -> ToolResult:
        calls.append(arguments)
        return ToolResult([])

    mcp = serve(Tool("record", "Record", "Records.", {"type": "object"}, immediate(record)))
    call = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "record"}}
    assert mcp.post([call] if batch else call).status_code == 202
    assert calls == []
    assert mcp.post({**call, "id": 1}).status_code == 200
    assert calls == [{}]


@pytest.mark.parametrize("session", [None, "", "0123-abc"])
def test_sessions_are_neither_assigned_nor_read(mcp: Mcp, session: str | None) -> None:
    """Ours: stateless; 2025-11-25, basic/transports "Session Management" lets a server assign none."""
    headers = {} if session is None else {"Mcp-Session-Id": session, "Last-Event-ID": "1"}
    for message in (INITIALIZE, INITIALIZED, PING, [PING], {**PING, "method": "none"}):
        response = mcp.post(message, headers)
        assert response.status_code in (200, 202)
        assert "Mcp-Session-Id" not in response.headers
    assert outcome(mcp.legacy("ping", headers=headers)) == (200, PONG)


MODERN_WORDS = ("resultType", "ttlMs", "cacheScope", "io.modelcontextprotocol/", "supportedVersions")


def test_legacy_responses_contain_no_modern_fields(mcp: Mcp) -> None:
    """Ours: clients of earlier revisions validate results strictly. A modern response proves that the scan works."""
    unknown = {**PING, "method": "server/discover"}
    listed, called = {**PING, "method": "tools/list"}, {**PING, "method": "tools/call", "params": CALL}
    refused = {**called, "params": {"name": "gen_video", "arguments": {}}}
    nameless = {**called, "params": {"name": "none"}}
    messages = [
        INITIALIZE,
        PING,
        listed,
        called,
        refused,
        nameless,
        unknown,
        {**PING, "params": []},
        {**PING, "id": None},
    ]
    answers = [mcp.post(message, BEARER) for message in [*messages, messages[1:], b"{"]]
    answers.append(mcp.post(PING, version("v999")))
    for answer in answers:
        text = answer.get_data(as_text=True)
        assert text.startswith(("{", "["))
        assert [word for word in MODERN_WORDS if word in text] == []
    assert any(NO_QUESTION[:40] in answer.get_data(as_text=True) for answer in answers)
    modern = mcp.modern("server/discover").get_data(as_text=True)
    assert [word for word in MODERN_WORDS if word not in modern] == []
