"""MCP messages as clients post them, the expected responses, and the resulting log lines."""

import base64
import logging
from collections.abc import Callable, Generator
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from scenext_service import __version__
from scenext_service.mcp import BodyReader, Call, LogRecord, Origins, Server, Steps, Tool, ToolResult, create_blueprint
from scenext_service.mcp.context import Result
from scenext_service.server import logs
from scenext_service.server.application import Service

from .names import SUPPORTED
from .pages import ROOT

KEY = "sentinel-key-4f9a1c7e2b"  # must not appear in any response, log line or metric
BEARER = {"Authorization": f"Bearer {KEY}"}

PROTOCOL_VERSION = "io.modelcontextprotocol/protocolVersion"
CLIENT_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
META = {PROTOCOL_VERSION: "2026-07-28", CLIENT_CAPABILITIES: {}}

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
PONG = {"jsonrpc": "2.0", "id": 1, "result": {}}

# `serverInfo` in the sandbox, and the icons that `server/discover` adds.
SERVER = {"name": "scenext_service", "title": "Scenext (sandbox: simulated videos)", "version": __version__}
_ICON = (ROOT / "scenext_service" / "web" / "assets" / "icon.svg").read_bytes().strip()
_CODED = base64.b64encode(_ICON).decode()
ICONS = [{"src": f"data:image/svg+xml;base64,{_CODED}", "mimeType": "image/svg+xml", "sizes": ["any"]}]

NOT_FOUND = {"error": "not_found", "message": "the MCP endpoint is /mcp"}


def version(header: str | None) -> dict[str, str]:
    """Return the protocol version header of a request, or no header for None."""
    return {} if header is None else {"MCP-Protocol-Version": header}


def outcome(response: TestResponse) -> tuple[int, Any]:
    """Return the status and the JSON body of a response."""
    assert response.content_type == "application/json"
    return response.status_code, response.get_json()


def failure(code: int, message: str, id: Any = 1) -> dict[str, Any]:
    """Return the JSON-RPC error response to a request."""
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}


def refusal(message: str, code: int = -32600) -> dict[str, Any]:
    """Return the JSON-RPC error response, with a null id, to a request whose message was not read."""
    return failure(code, message, None)


def unsupported(requested: str, id: Any = 1) -> dict[str, Any]:
    """Return the error response to a request with an unsupported protocol version."""
    answer = failure(-32022, "Unsupported protocol version", id)
    answer["error"]["data"] = {"supported": list(SUPPORTED), "requested": requested}
    return answer


def halves(text: str) -> tuple[str, str]:
    """Split a bilingual text for a model into its English and Chinese halves."""
    english, chinese = text.split("\n\n")
    return english, chinese


class Mcp:
    """A test client that posts MCP messages of the legacy or the modern era."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def post(self, body: Any, headers: dict[str, str] | None = None, path: str = "/mcp") -> TestResponse:
        """Post one body: bytes unchanged, anything else as JSON."""
        content = {"data": body} if isinstance(body, bytes) else {"json": body}
        sent = {"Content-Type": "application/json", **(headers or {})}
        return self.client.post(
            path, headers=sent, buffered=True, **content
        )  # read the response to its end, as a server does

    def legacy(
        self, method: str, params: Any = None, headers: dict[str, str] | None = None, id: Any = 1
    ) -> TestResponse:
        """Post a legacy request; without headers its protocol version is 2025-03-26."""
        message = {"jsonrpc": "2.0", "id": id, "method": method}
        return self.post(message if params is None else {**message, "params": params}, headers)

    def modern(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        id: Any = 1,
    ) -> TestResponse:
        """Post a request of 2026-07-28 with its metadata and the headers that mirror it."""
        body = {"_meta": META, **(params or {})}
        mirrored = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
        if isinstance(body.get("name"), str):
            mirrored["Mcp-Name"] = body["name"]
        message = {"jsonrpc": "2.0", "id": id, "method": method, "params": body}
        return self.post(message, {**mirrored, **(headers or {})})

    def call(self, tool: str, arguments: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
        """Call a tool in the modern era, by default with a key; return the result."""
        params = {"name": tool, "arguments": arguments}
        response = self.modern("tools/call", params, {"Authorization": f"Bearer {KEY}"} if headers is None else headers)
        assert response.status_code == 200, response.get_data(as_text=True)
        result: dict[str, Any] = response.get_json()["result"]
        return result


def taken(steps: Steps[Result], between: Callable[[], None] = lambda: None) -> tuple[list[bytes | None], Result]:
    """Run all steps of a call; return the yielded values and the final result."""
    yielded: list[bytes | None] = []
    while True:
        try:
            yielded.append(next(steps))
        except StopIteration as stop:
            return yielded, stop.value
        between()


def immediate(function: Callable[[dict[str, Any], Call], ToolResult]) -> Callable[..., Steps[ToolResult]]:
    """Return the function of a tool that reports no progress."""

    def steps(arguments: dict[str, Any], call: Call) -> Steps[ToolResult]:
        yield from ()
        return function(arguments, call)

    return steps


def fields(record: LogRecord) -> dict[str, Any]:
    """Return the fields of a record that are set."""
    return {name: value for name in LogRecord.__slots__ if (value := getattr(record, name)) is not None}


def last(reply: Any) -> Any:
    """Return the result of a call, after running its steps if it has any."""
    return taken(reply)[1] if isinstance(reply, Generator) else reply


def bodies(limit: int) -> BodyReader:
    """Return a body reader with a limit in bytes, for callers with and without a key."""
    return BodyReader.with_budget(limit, limit, anonymous=True)


def serve(*tools: Tool, max_body: int = 10_000) -> Mcp:
    """Serve only the given tools; return a test client for them."""
    server = Server({"name": "example", "version": "1.0.0"}, "", tools)
    app = Service("example")
    app.register_blueprint(create_blueprint(server, Origins(), bodies(max_body), lambda record: None))
    return Mcp(app.test_client())


class Lines(logging.Handler):
    """A handler that collects formatted log lines."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logs.Formatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
