"""MCP messages, as clients post them and as they are answered, and the log lines that they leave."""

import base64
import logging
from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from scenext_service.mcp import Origins, Registry, Server, Steps, Tool, create_blueprint
from scenext_service.mcp.call import Result
from scenext_service.serving import logs
from scenext_service.serving.application import Service
from scenext_service.version import VERSION

from .names import SUPPORTED
from .pages import ROOT

KEY = "sentinel-key-4f9a1c7e2b"  # must not be in anything that is answered, logged or counted
BEARER = {"Authorization": f"Bearer {KEY}"}

PROTOCOL_VERSION = "io.modelcontextprotocol/protocolVersion"
CLIENT_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
META = {PROTOCOL_VERSION: "2026-07-28", CLIENT_CAPABILITIES: {}}

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
PONG = {"jsonrpc": "2.0", "id": 1, "result": {}}

# What the server says of itself in the sandbox, and what it adds where it introduces itself.
SERVER = {"name": "scenext_service", "title": "Scenext (sandbox: videos are made up)", "version": VERSION}
_ICON = (ROOT / "scenext_service" / "views" / "icon.svg").read_bytes().strip()
_CODED = base64.b64encode(_ICON).decode()
ICONS = [{"src": f"data:image/svg+xml;base64,{_CODED}", "mimeType": "image/svg+xml", "sizes": ["any"]}]

NOT_FOUND = {"error": "not_found", "message": "the MCP endpoint is /mcp"}


def version(header: str | None) -> dict[str, str]:
    """Return the headers of a request that names a protocol version; None is without."""
    return {} if header is None else {"MCP-Protocol-Version": header}


def outcome(response: TestResponse) -> tuple[int, Any]:
    """Return the status and the JSON of an answer."""
    assert response.content_type == "application/json"
    return response.status_code, response.get_json()


def failure(code: int, message: str, id: Any = 1) -> dict[str, Any]:
    """Return the answer to a request that failed."""
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}


def refusal(message: str, code: int = -32600) -> dict[str, Any]:
    """Return the answer to what was not even read as a request."""
    return failure(code, message, None)


def unsupported(requested: str, id: Any = 1) -> dict[str, Any]:
    """Return the answer to a request of a revision that nobody speaks."""
    answer = failure(-32022, "Unsupported protocol version", id)
    answer["error"]["data"] = {"supported": list(SUPPORTED), "requested": requested}
    return answer


def halves(text: str) -> tuple[str, str]:
    """Return what a text for a model says in English, and the same in Chinese."""
    english, chinese = text.split("\n\n")
    return english, chinese


class Mcp:
    """Posts MCP messages to an application, as a legacy or as a modern client does."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def post(self, body: Any, headers: dict[str, str] | None = None, path: str = "/mcp") -> TestResponse:
        """Post one body: bytes as they are, anything else as JSON."""
        content = {"data": body} if isinstance(body, bytes) else {"json": body}
        sent = {"Content-Type": "application/json", **(headers or {})}
        return self.client.post(path, headers=sent, **content)

    def legacy(
        self, method: str, params: Any = None, headers: dict[str, str] | None = None, id: Any = 1
    ) -> TestResponse:
        """Post a legacy request; without headers it is one of 2025-03-26."""
        message = {"jsonrpc": "2.0", "id": id, "method": method}
        return self.post(message if params is None else {**message, "params": params}, headers)

    def modern(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        id: Any = 1,
    ) -> TestResponse:
        """Post a request of 2026-07-28, complete with metadata and the headers that mirror it."""
        body = {"_meta": META, **(params or {})}
        mirrored = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
        if isinstance(body.get("name"), str):
            mirrored["Mcp-Name"] = body["name"]
        message = {"jsonrpc": "2.0", "id": id, "method": method, "params": body}
        return self.post(message, {**mirrored, **(headers or {})})

    def call(self, tool: str, arguments: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
        """Call a tool in the modern era with a key, and return the result."""
        params = {"name": tool, "arguments": arguments}
        response = self.modern("tools/call", params, {"Authorization": f"Bearer {KEY}"} if headers is None else headers)
        assert response.status_code == 200, response.get_data(as_text=True)
        result: dict[str, Any] = response.get_json()["result"]
        return result


def taken(steps: Steps[Result], between: Callable[[], None] = lambda: None) -> tuple[list[bytes | None], Result]:
    """Take all steps of a call; return what they yielded, and what they end in."""
    yielded: list[bytes | None] = []
    while True:
        try:
            yielded.append(next(steps))
        except StopIteration as stop:
            return yielded, stop.value
        between()


def last(steps: Steps[Result]) -> Result:
    """Take all steps of a call; return what they end in."""
    return taken(steps)[1]


def serve(*tools: Tool, max_body: int = 10_000) -> Mcp:
    """Serve some tools and nothing else; return a poster of messages to them."""
    server = Server({"name": "example", "version": "1.0.0"}, "", Registry(tools))
    app = Service("example")
    app.register_blueprint(create_blueprint(server, Origins(), max_body, lambda record: None))
    return Mcp(app.test_client())


class Lines(logging.Handler):
    """Keeps the log lines as an operator sees them."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logs.Formatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
