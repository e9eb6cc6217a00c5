"""Arguments that are mirrored into `Mcp-Param-*` headers, over HTTP with a tool that asks for it."""

from typing import Any

import pytest
from flask import Flask

from scenext_service import mcp
from scenext_service.mcp import Caller, Origins, Registry, Server, Tool, ToolResult
from scenext_service.mcp.mirror import mirrored

from .conftest import META, Mcp

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "place": {"type": "object", "properties": {"zone": {"type": "integer", "x-mcp-header": "Zone-Id"}}},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        "free": {"type": "string"},
    },
}


def answer(arguments: dict[str, Any], caller: Caller) -> ToolResult:
    return ToolResult([{"type": "text", "text": "done"}])


@pytest.fixture
def app() -> Flask:
    tools = Registry(
        [
            Tool("mirroring", "Mirroring", "Mirrors.", SCHEMA, answer),
            Tool("asking", "Asking", "Asks.", {"type": "object"}, answer, requires={"sampling": {}, "roots": {}}),
        ]
    )
    app = Flask(__name__)
    server = Server({"name": "test", "version": "1"}, "", tools)
    app.register_blueprint(mcp.create_blueprint(server, Origins(), 10_000))
    return app


def call(mcp: Mcp, arguments: Any, headers: dict[str, str]) -> tuple[int, int | None]:
    """Return the HTTP status and the JSON-RPC error code of a call; None for a result."""
    response = mcp.modern("tools/call", {"name": "mirroring", "arguments": arguments}, headers)
    return response.status_code, response.get_json().get("error", {}).get("code")


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        pytest.param({}, {}, id="nothing to mirror"),
        pytest.param(None, {}, id="no arguments"),
        pytest.param({"free": "x"}, {"Mcp-Param-Free": "y"}, id="a header that no argument asks for"),
        pytest.param({"region": None}, {}, id="null"),
        pytest.param({"region": "eu"}, {"mcp-param-REGION": "eu"}, id="string, name in any case"),
        pytest.param({"region": "欧洲"}, {"Mcp-Param-Region": "=?base64?5qyn5rSy?="}, id="encoded"),
        pytest.param({"region": "SGVsbG8="}, {"Mcp-Param-Region": "SGVsbG8="}, id="literal that looks encoded"),
        pytest.param({"region": ""}, {"Mcp-Param-Region": ""}, id="empty string"),
        pytest.param({"place": {"zone": 42}}, {"Mcp-Param-Zone-Id": "42"}, id="nested integer"),
        pytest.param({"place": {"zone": 42}}, {"Mcp-Param-Zone-Id": "42.0"}, id="the same number"),
        pytest.param({"dry": True}, {"Mcp-Param-Dry": "true"}, id="true"),
        pytest.param({"dry": False}, {"Mcp-Param-Dry": "false"}, id="false"),
    ],
)
def test_a_header_that_says_what_its_argument_says_is_accepted(mcp: Mcp, arguments: Any, headers: Any) -> None:
    """Spec: 2026-07-28, streamable-http "Server Behavior for Custom Headers"."""
    assert call(mcp, arguments, headers) == (200, None)


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        pytest.param({"region": "eu"}, {}, id="missing"),
        pytest.param({}, {"Mcp-Param-Region": "eu"}, id="without an argument"),
        pytest.param({"region": "eu"}, {"Mcp-Param-Region": "us"}, id="another value"),
        pytest.param({"region": "eu"}, {"Mcp-Param-Region": "EU"}, id="another case"),
        pytest.param({"region": "Hello"}, {"Mcp-Param-Region": "=?base64?SGVsbG8?="}, id="Base64 without padding"),
        pytest.param({"region": "Hello"}, {"Mcp-Param-Region": "=?base64?SGVs!!!bG8=?="}, id="not Base64"),
        pytest.param({"region": "é"}, {"Mcp-Param-Region": "é"}, id="not ASCII"),
        pytest.param({"place": {"zone": 42}}, {"Mcp-Param-Zone-Id": "43"}, id="another number"),
        pytest.param({"place": {"zone": 42}}, {"Mcp-Param-Zone-Id": "x"}, id="no number"),
        pytest.param({"place": 5}, {"Mcp-Param-Zone-Id": "42"}, id="no way to the argument"),
        pytest.param({"dry": True}, {"Mcp-Param-Dry": "True"}, id="another spelling of true"),
    ],
)
def test_a_header_that_says_something_else_is_a_mismatch(mcp: Mcp, arguments: Any, headers: Any) -> None:
    """Spec: 2026-07-28, streamable-http "Server Behavior for Custom Headers": 400 and -32020."""
    assert call(mcp, arguments, headers) == (400, -32020)


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": "string", "x-mcp-header": ""}, id="empty name"),
        pytest.param({"type": "string", "x-mcp-header": "a b"}, id="no token"),
        pytest.param({"type": "string", "x-mcp-header": 5}, id="no string"),
        pytest.param({"type": "number", "x-mcp-header": "A"}, id="a type without a header form"),
        pytest.param({"x-mcp-header": "A"}, id="no type"),
    ],
)
def test_an_annotation_that_clients_refuse_is_refused_at_the_start(schema: dict[str, Any]) -> None:
    """Spec: 2026-07-28, server/tools "x-mcp-header"."""
    with pytest.raises(ValueError, match="x-mcp-header"):
        mirrored({"properties": {"a": schema}})


def test_two_annotations_of_one_name_are_refused_at_the_start() -> None:
    """Spec: 2026-07-28, server/tools "x-mcp-header": unique without regard to case."""
    one = {"type": "string", "x-mcp-header": "Region"}
    with pytest.raises(ValueError, match="differ in nothing but case"):
        mirrored({"properties": {"a": one, "b": {**one, "x-mcp-header": "REGION"}}})


@pytest.mark.parametrize(
    ("declared", "missing"),
    [
        pytest.param({}, {"sampling": {}, "roots": {}}, id="none"),
        pytest.param({"roots": {"listChanged": True}}, {"sampling": {}}, id="one of two"),
    ],
)
def test_a_tool_is_not_called_without_the_capabilities_that_it_requires(mcp: Mcp, declared: Any, missing: Any) -> None:
    """Spec: 2026-07-28, basic/index "Per-request protocol fields": 400, -32021 and what is missing."""
    meta = {**META, "io.modelcontextprotocol/clientCapabilities": declared}
    response = mcp.modern("tools/call", {"name": "asking", "arguments": {}, "_meta": meta})
    message = f"Missing required client capability: {', '.join(missing)}"
    error = {"code": -32021, "message": message, "data": {"requiredCapabilities": missing}}
    assert (response.status_code, response.get_json()) == (400, {"jsonrpc": "2.0", "id": 1, "error": error})


def test_a_tool_is_called_with_the_capabilities_that_it_requires(mcp: Mcp) -> None:
    """Spec: 2026-07-28, basic/index "Per-request protocol fields"."""
    meta = {**META, "io.modelcontextprotocol/clientCapabilities": {"sampling": {}, "roots": {}}}
    response = mcp.modern("tools/call", {"name": "asking", "arguments": {}, "_meta": meta})
    assert response.get_json()["result"]["isError"] is False


def test_a_legacy_request_declares_nothing(mcp: Mcp) -> None:
    """Ours: without sessions, what the handshake declared is not known any more."""
    response = mcp.legacy("tools/call", {"name": "asking", "arguments": {}})
    assert (response.status_code, response.get_json()["error"]["code"]) == (200, -32021)
