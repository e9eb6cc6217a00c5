"""Fixtures shared by all test modules: the application in the sandbox, an MCP client for it, and a worker."""

import gc
import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from gunicorn.config import Config as GunicornConfig
from gunicorn.glogging import Logger

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.scenext.sandbox.adapter import Sandbox
from scenext_service.server import logs
from scenext_service.server.gunicorn.connections import Connection
from scenext_service.server.gunicorn.worker import Worker

from .support.messages import Lines, Mcp
from .support.scripted import NOW, SkippedWaits


@pytest.fixture
def config() -> Config:
    """Return the configuration of `app`. A module that needs different settings overrides this fixture."""
    return Config(sandbox=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Decide what `-n auto` means: no workers for named tests, because they take seconds to start, and for load tests.

    Otherwise PYTEST_XDIST_AUTO_NUM_WORKERS, or one worker more than there are cores, because some tests wait.
    """
    named = bool(config.args) and all("::" in argument for argument in config.args)
    if named or config.option.markexpr == "load":
        return 0
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or len(os.sched_getaffinity(0)) + 1)


def pytest_collection_finish() -> None:
    """Exempt the collected tests from garbage collection, which they would make slow."""
    gc.collect()
    gc.freeze()


@cache
def shared_app(config: Config) -> tuple[Flask, SkippedWaits]:
    """Create the application once for each configuration, because it keeps no state and takes 10 ms to create."""
    waits = SkippedWaits()
    return create_app(config, Sandbox(clock=lambda: NOW, sleep=lambda seconds: None), waits.clock), waits


@pytest.fixture
def app(config: Config) -> Flask:
    """Return the application on a sandbox with a fixed clock, without delays or waits. Tests must not change it."""
    app, waits = shared_app(config)
    waits.skipped = 0.0
    logs.configure(config.log_level, config.log_format)
    return app


@pytest.fixture
def mcp(client: FlaskClient) -> Mcp:
    """Return a helper that posts MCP messages to `app`."""
    return Mcp(client)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Collect the package's log lines. No application is needed."""
    handler, logger = Lines(), logging.getLogger(logs.ROOT)
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


@pytest.fixture
def log_lines(app: Flask, lines: list[str]) -> list[str]:
    """Collect the lines that are logged after `app` was created."""
    return lines


@pytest.fixture
def worker(config: Config) -> Iterator[Worker]:
    """Create a worker in this process. It serves an application on the connections that a test passes to it."""
    app = create_app(config, Sandbox(clock=lambda: NOW, sleep=lambda seconds: None))
    settings = GunicornConfig()
    made = Worker(0, os.getpid(), [], SimpleNamespace(wsgi=lambda: app), 30, settings, Logger(settings))
    made.load_wsgi()
    yield made
    made.tmp.close()
    made.method_queue.close()


@pytest.fixture
def no_network_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the proxy, certificate and password settings of the machine that runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle", "netrc"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, no_network_settings: None) -> pytest.MonkeyPatch:
    """Remove every environment variable that the configuration reads."""
    for name in os.environ:
        if name.startswith("SCENEXT_") or name in ("PORT", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture(scope="session", autouse=True)
def temporary_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Use a temporary directory of the tests' own, because all services of a user share the memory of started jobs."""
    tempfile.tempdir = str(tmp_path_factory.mktemp("shared"))
    return Path(tempfile.tempdir)


@pytest.fixture(autouse=True)
def no_started_jobs(temporary_directory: Path) -> None:
    """Forget the jobs that an earlier test has started."""
    for file in temporary_directory.glob("scenext-service-*/*"):
        file.unlink()


@contextmanager
def connected(worker: Worker, seconds: float = 20) -> Iterator[tuple[socket.socket, Connection]]:
    """Yield the client's end of a connection, and the server's end as a worker's `Connection`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client_end = socket.create_connection(listener.getsockname(), timeout=seconds)
        server_end, client = listener.accept()
    conn = Connection(worker.cfg, server_end, client, server_end.getsockname())
    with client_end, closing(conn):
        yield client_end, conn
