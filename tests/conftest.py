"""Fixtures that every test module shares: the application in the sandbox, its MCP messages, and a worker."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from gunicorn.config import Config as GunicornConfig
from gunicorn.glogging import Logger
from werkzeug.test import TestResponse

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.mcp import Origins, Registry, Server, Tool, create_blueprint
from scenext_service.scenext.sandbox import Sandbox
from scenext_service.serving import logs
from scenext_service.serving.application import Service
from scenext_service.serving.connections import Connection
from scenext_service.serving.worker import Worker

NOW = 1_795_000_000.0  # the sandbox's clock: 2026-11-18
KEY = "sentinel-key-4f9a1c7e2b"

PROTOCOL_VERSION = "io.modelcontextprotocol/protocolVersion"
CLIENT_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
META = {PROTOCOL_VERSION: "2026-07-28", CLIENT_CAPABILITIES: {}}


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


@pytest.fixture
def config() -> Config:
    """Return the configuration of `app`; a module that needs another overrides this fixture."""
    return Config(sandbox=True)


@pytest.fixture
def app(config: Config) -> Flask:
    """Make the application over a sandbox whose clock stands still and which waits for nothing."""
    return create_app(config, Sandbox(clock=lambda: NOW, sleep=lambda seconds: None))


@pytest.fixture
def mcp(client: FlaskClient) -> Mcp:
    """Return a poster of MCP messages to `app`."""
    return Mcp(client)


@pytest.fixture
def log_lines(app: Flask) -> Iterator[list[str]]:
    """Collect the lines that are logged once `app` is there."""
    handler = Lines()
    logging.getLogger(logs.ROOT).addHandler(handler)
    yield handler.lines
    logging.getLogger(logs.ROOT).removeHandler(handler)


@pytest.fixture
def worker(app: Flask) -> Iterator[Worker]:
    """Make a worker of this process, which serves `app` on the connections that a test hands it."""
    settings = GunicornConfig()
    made = Worker(0, os.getpid(), [], SimpleNamespace(wsgi=lambda: app), 30, settings, Logger(settings))
    made.load_wsgi()
    yield made
    made.tmp.close()
    made.method_queue.close()


@contextmanager
def connected(worker: Worker, seconds: float = 20) -> Iterator[tuple[socket.socket, Connection]]:
    """Yield the client's end of a connection, and the server's as a worker has it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname(), timeout=seconds)
        theirs, client = listener.accept()
    conn = Connection(worker.cfg, theirs, client, theirs.getsockname())
    with ours, closing(conn):
        yield ours, conn
