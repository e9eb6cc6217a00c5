"""The service on a real gunicorn with the shipped configuration, over real HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from scenext_service.config import Config
from tests.interop.hosting.conversation import AT_ONCE, OK, converse
from tests.interop.hosting.pages import Pages
from tests.support.messages import KEY, META
from tests.support.names import TOOLS
from tests.support.pages import ROOT
from tests.support.pictures import picture
from tests.support.server import Server, running

SHARED_KEY = "sentinel-shared-key-81b2c3"
TOKEN = "sentinel-access-token-77d0"
MODERN = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call"}
JSON = {"Content-Type": "application/json"}
LEGACY_PING = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run one server for the module, configured with a shared key and an access token."""
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o500)
    environ = {"SCENEXT_API_KEY": SHARED_KEY, "SCENEXT_ACCESS_TOKEN": TOKEN, "HOME": str(home)}
    with running(tmp_path_factory.mktemp("gunicorn"), environ) as started:
        yield started
    assert list(home.iterdir()) == []


def call(session: requests.Session, server: Server, tool: str, arguments: dict[str, Any], key: str = KEY) -> Any:
    """Call a tool as a client of the modern era does; return the result."""
    params = {"name": tool, "arguments": arguments, "_meta": META}
    headers = {**MODERN, "Mcp-Name": tool, "Authorization": f"Bearer {key}"}
    body: Any = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    response = session.post(f"{server.url}/mcp", json=body, headers=headers, timeout=30)
    assert response.status_code == 200, response.text
    return response.json()["result"]


def exchange(server: Server, raw: bytes) -> tuple[bytes, bytes]:
    """Send raw bytes, read until the server closes, and return the head and the body of the response."""
    with server.connect() as connection:
        connection.sendall(raw)
        received = b""
        while data := connection.recv(65536):
            received += data
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


def post(body: bytes, *headers: str) -> bytes:
    """Return a raw POST request with the body unchanged."""
    lines = ["POST /mcp HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", "Connection: close", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def test_a_keep_alive_connection_serves_both_eras(server: Server) -> None:
    """Spec: 2026-07-28, basic/versioning, "A dual-era server MAY serve both eras concurrently"."""
    with requests.Session() as session:
        message: Any = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        legacy = session.post(f"{server.url}/mcp/", json=message, timeout=30).json()
        result = call(session, server, "query_video_status", {"task_id": "sandbox-completed"})
    assert [tool["name"] for tool in legacy["result"]["tools"]] == [*TOOLS]
    assert (result["structuredContent"]["status"], result["resultType"]) == ("COMPLETED", "complete")


def test_every_worker_reports_the_same_job(server: Server) -> None:
    """Ours: the sandbox is stateless, so any process can answer."""
    with requests.Session() as session:
        task_id = call(session, server, "gen_video", {"question": "1 + 1?"})["structuredContent"]["task_id"]
    states = set()
    for _ in range(10):
        with requests.Session() as session:  # a new connection may reach the other worker
            data = call(session, server, "query_video_status", {"task_id": task_id})["structuredContent"]
            states.add((data["task_id"], data["status"]))
    assert states == {(task_id, "IN_PROGRESS")}


def test_a_chunked_body_is_read(server: Server) -> None:
    """Spec: RFC 9112, section 7.1."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (LEGACY_PING[:7], LEGACY_PING[7:])) + b"0\r\n\r\n"
    head, body = exchange(server, post(chunks, "Transfer-Encoding: chunked"))
    assert head.startswith(b"HTTP/1.1 200 ")
    assert json.loads(body) == {"jsonrpc": "2.0", "id": 1, "result": {}}


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        pytest.param(post(b"xyz\r\n", "Transfer-Encoding: chunked"), 400, -32700, id="invalid chunk size"),
        pytest.param(post(b"", f"Content-Length: {9 * 1024 * 1024}"), 413, -32600, id="Content-Length over the limit"),
        pytest.param(post(b"{", "Content-Length: 1"), 400, -32700, id="invalid JSON"),
    ],
)
def test_an_unreadable_body_is_rejected_in_json(server: Server, raw: bytes, status: int, code: int) -> None:
    """Ours: never a 5xx, never HTML."""
    head, body = exchange(server, raw)
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/json" in head
    answer = json.loads(body)
    assert (answer["id"], answer["error"]["code"]) == (None, code)


def test_a_body_just_under_the_limit_reaches_the_tool(server: Server) -> None:
    """Ours: gen_video takes images as Base64, so bodies are large."""
    with requests.Session() as session:
        result = call(session, server, "gen_video", {"question_images": [picture(Config().max_body - 10_000)]})
    assert result["isError"] is False


def test_healthz_reports_the_sandbox(server: Server) -> None:
    """Ours: README, "Configure"."""
    assert requests.get(f"{server.url}/healthz", timeout=30).json()["sandbox"] is True


def test_the_log_contains_no_secret(server: Server) -> None:
    """Ours: README, "Whose key is used"."""
    with requests.Session() as session:
        for key in (KEY, TOKEN, SHARED_KEY):
            call(session, server, "query_video_status", {"task_id": "sandbox-not-found"}, key)
        session.get(f"{server.url}/mcp?api_key={KEY}", headers={"Referer": f"http://x/?{KEY}"}, timeout=30)
        session.get(f"{server.url}/mcp", headers={"Authorization": f"Basic {KEY}"}, auth=None, timeout=30)
    exchange(server, post(LEGACY_PING, f"X-API-Key: {KEY}\x01", f"Content-Length: {len(LEGACY_PING)}"))
    printed = server.output()
    assert " level=info msg=request http_method=POST path=/mcp status=200 " in printed
    assert "failure=NotFound" in printed
    assert [secret for secret in (KEY, TOKEN, SHARED_KEY) if secret in printed] == []


def test_every_line_is_json_with_the_json_log_format(tmp_path: Path) -> None:
    """Ours: SCENEXT_LOG_FORMAT=json covers start, request, malformed request and stop; INFO omits /healthz."""
    with running(tmp_path, {"SCENEXT_LOG_FORMAT": "json"}) as server:
        assert requests.get(f"{server.url}/healthz", timeout=30).status_code == 200
        assert requests.post(f"{server.url}/mcp", data=LEGACY_PING, headers=JSON, timeout=30).status_code == 200
        exchange(server, b"NOT HTTP\r\n\r\n")
        server.stop()
        lines = [json.loads(line) for line in server.output().splitlines()]
    assert [line for line in lines if not {"time", "severity", "level", "message"} <= set(line)] == []
    events = [line["message"] for line in lines]
    assert any(event.startswith("Starting gunicorn") for event in events)
    assert any(event.startswith("Shutting down") for event in events)
    logged_requests = [(line.get("path"), line.get("status")) for line in lines if line["message"] == "request"]
    assert ("/mcp", 200) in logged_requests
    assert [line["status"] for line in lines if line["message"] == "malformed request"] == [400]
    assert "/healthz" not in [path for path, _ in logged_requests]


def test_a_graceful_stop_does_not_wait_for_idle_connections(tmp_path: Path) -> None:
    """Ours: platforms send SIGKILL 30 s after SIGTERM."""
    with running(tmp_path) as server, requests.Session() as session:
        session.get(f"{server.url}/healthz", timeout=30)
        status, seconds = server.stop()
    assert status == 0
    assert seconds < 5


@pytest.mark.live
@pytest.mark.parametrize(
    ("arguments", "name", "wait"),
    [
        pytest.param("-k gthread", "gthread", OK, id="gthread"),
        pytest.param("-k sync", "gthread", OK, id="sync with threads, which becomes gthread"),
        pytest.param("-k sync --threads 1", "sync", AT_ONCE, id="sync"),
        pytest.param("--config {directory}/gunicorn.gevent.py", "gevent", OK, id="gevent, from docs/deploy"),
    ],
)
def test_another_worker_class_serves_both_eras_and_stops_gracefully(
    arguments: str, name: str, wait: str, tmp_path: Path
) -> None:
    """Ours: no response depends on our own worker class; the conversation is the one that every host is tested with."""
    (tmp_path / "gunicorn.gevent.py").write_text(Pages().file("server.md", "gunicorn.gevent.py"), encoding="utf-8")
    with running(tmp_path, arguments=arguments.format(directory=tmp_path)) as server:
        outcomes = converse(server.port)
        status, seconds = server.stop()
        printed = server.output()
    assert f'level=info msg="Using worker: {name}"\n' in printed
    assert {outcomes.pop(f"{era} wait") for era in ("legacy", "modern")} == {wait}
    assert set(outcomes.values()) == {OK}, outcomes
    assert (status, "Traceback" in printed) == (0, False)
    assert seconds < 10
    assert printed.count("Worker exiting") == 2


def test_the_procfile_has_the_command_of_these_tests() -> None:
    """Ours: Heroku's web process."""
    assert (ROOT / "Procfile").read_text(encoding="utf-8") == "web: gunicorn wsgi:app\n"
