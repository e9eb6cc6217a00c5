"""Fixtures that every test module shares: the application in the sandbox, its MCP messages, and a worker."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from gunicorn.config import Config as GunicornConfig
from gunicorn.glogging import Logger

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.scenext.sandbox import Sandbox
from scenext_service.serving import logs
from scenext_service.serving.connections import Connection
from scenext_service.serving.worker import Worker

from .support.messages import Lines, Mcp
from .support.scripted import NOW


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
def lines() -> Iterator[list[str]]:
    """Collect the package's log lines, without an application."""
    handler, logger = Lines(), logging.getLogger(logs.ROOT)
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


@pytest.fixture
def log_lines(app: Flask, lines: list[str]) -> list[str]:
    """Collect the lines that are logged once `app` is there."""
    return lines


@pytest.fixture
def worker(app: Flask) -> Iterator[Worker]:
    """Make a worker of this process, which serves `app` on the connections that a test hands it."""
    settings = GunicornConfig()
    made = Worker(0, os.getpid(), [], SimpleNamespace(wsgi=lambda: app), 30, settings, Logger(settings))
    made.load_wsgi()
    yield made
    made.tmp.close()
    made.method_queue.close()


@pytest.fixture
def no_network_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away what the machine that runs the tests says about proxies, certificates and passwords."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle", "netrc"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, no_network_settings: None) -> pytest.MonkeyPatch:
    """Take everything that the configuration reads out of the environment."""
    for name in os.environ:
        if name.startswith("SCENEXT_") or name in ("PORT", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS"):
            monkeypatch.delenv(name)
    return monkeypatch


@contextmanager
def connected(worker: Worker, seconds: float = 20) -> Iterator[tuple[socket.socket, Connection]]:
    """Yield the client's end of a connection, and the server's as a worker has it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname(), timeout=seconds)
        theirs, client = listener.accept()
    conn = Connection(worker.cfg, theirs, client, theirs.getsockname())
    with ours, closing(conn):
        yield ours, conn
