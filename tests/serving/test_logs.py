"""Log lines: one an event, and never a secret in one, nor in an answer, on any path."""

import logging
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.serving import logs
from tests.support.messages import PING, Lines, Mcp
from tests.support.scripted import Reply, ScriptedScenext

# The formatter


def line(message: str = "call", fields: dict[str, Any] | None = None, **attributes: Any) -> str:
    """Return the line of a record that was made at the start of 1970."""
    record = {"msg": message, "levelname": "INFO", "created": 1.25, "msecs": 250.0, **attributes}
    return logs.Formatter().format(logging.makeLogRecord(record if fields is None else {**record, "fields": fields}))


@pytest.mark.parametrize(
    ("fields", "pairs"),
    [
        pytest.param(None, "", id="none"),
        pytest.param({}, "", id="empty"),
        pytest.param({"tool": None, "ms": 1.5}, " ms=1.5", id="none-left-out"),
        pytest.param({"status": 200, "outcome": -32601, "zero": 0}, " status=200 outcome=-32601 zero=0", id="numbers"),
        pytest.param({"method": "tools/call"}, " method=tools/call", id="plain"),
        pytest.param({"a": ""}, ' a=""', id="blank"),
        pytest.param({"a": "x y"}, ' a="x y"', id="space"),
        pytest.param({"a": 'x="y"'}, ' a="x=\\"y\\""', id="quotes"),
        pytest.param({"a": "x\r\ny\tz\\"}, ' a="x\\r\\ny\\tz\\\\"', id="newlines"),
        pytest.param({"a": "x\ny"}, ' a="x\\ny"', id="newline"),
        pytest.param({"a": "x\n"}, ' a="x\\n"', id="newline-at-the-end"),
        pytest.param({"a": "\x00\x1b[31m"}, ' a="\\u0000\\u001b[31m"', id="control"),
    ],
)
def test_fields_are_pairs_that_stay_on_the_line(fields: dict[str, Any] | None, pairs: str) -> None:
    """Ours: logs.py, `time level event key=value …`."""
    assert line(fields=fields) == f"1970-01-01T00:00:01.250Z info call{pairs}"


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\nb", "a\x0bb", "a\x85b", "a\u2028b", "a\u2029b", "a\x9b31m", "a\u202eb", "a\ud800b"]
)
@pytest.mark.parametrize("where", ["message", "field", "exception"])
def test_a_record_is_one_printable_line_whatever_is_in_it(text: str, where: str) -> None:
    """Ours: Logs are one line an event; a terminal obeys none of it."""
    error = ValueError(text)
    written = {
        "message": lambda: line(text),
        "field": lambda: line(fields={"a": text}),
        "exception": lambda: line(exc_info=(ValueError, error, None)),
    }[where]()
    assert written.startswith("1970-01-01T00:00:01.250Z info ")
    assert len(written.splitlines()) == 1
    assert written.isprintable()
    assert written.encode()


def test_a_message_with_arguments_is_quoted() -> None:
    """Ours: logs.py, `time level event key=value …`."""
    assert line("tool %s failed", args=("gen_video",)).endswith(' info "tool gen_video failed"')


def test_an_exception_is_one_of_the_pairs() -> None:
    """Ours: an operator finds the trace beside the request it belongs to."""
    try:
        raise ValueError("no\nway")
    except ValueError:
        written = line("unhandled", {"request_id": "1"}, exc_info=sys.exc_info(), levelname="ERROR")
    start = '1970-01-01T00:00:01.250Z error unhandled request_id=1 exception="Traceback (most recent call last):\\n'
    assert written.startswith(start)
    assert written.endswith('\\nValueError: no\\nway"')
    assert "\n" not in written


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        pytest.param("DEBUG", ["debug", "info", "warning", "error"], id="debug"),
        pytest.param("INFO", ["info", "warning", "error"], id="info"),
        pytest.param("WARNING", ["warning", "error"], id="warning"),
        pytest.param("ERROR", ["error"], id="error"),
    ],
)
def test_configure_sends_lines_of_a_level_and_above_to_stdout_once(
    capsys: pytest.CaptureFixture[str], level: str, shown: list[str]
) -> None:
    """Ours: SCENEXT_LOG_LEVEL; several applications in one process do not repeat lines."""
    logs.configure("INFO")
    logs.configure(level)
    log = logging.getLogger("scenext_service.anything")
    for write in (log.debug, log.info, log.warning, log.error):
        write("here")
    captured = capsys.readouterr()
    assert [written.split(" ", 1)[1] for written in captured.out.splitlines()] == [f"{word} here" for word in shown]
    assert captured.err == ""


def test_configure_leaves_other_loggers_alone() -> None:
    """Ours: logs.configure: only this package's lines."""
    before = (logging.root.level, list(logging.root.handlers), logging.getLogger("urllib3").level)
    logs.configure("DEBUG")
    assert (logging.root.level, list(logging.root.handlers), logging.getLogger("urllib3").level) == before


# Secrets

OWN = "sentinel-own-4f9a1c7e2b"
OTHER = "sentinel-other-8d03b56a1f"
SHARED = "sentinel-shared-c2e97b4d60"
TOKEN = "sentinel-token-71f5a8e93c"

CREDENTIALS = {
    "bearer": {"Authorization": f"Bearer {OWN}", "X-API-Key": OTHER},
    "x-api-key": {"X-API-Key": OTHER},
    "token": {"Authorization": f"Bearer {TOKEN}"},
    "joined": {"X-API-Key": f"{OWN},{OTHER}"},
    "basic": {"Authorization": f"Basic {OWN}"},
    "bare": {"Authorization": OWN},
}


def echo(answer: Callable[[str], tuple[int, Any]]) -> ScriptedScenext:
    """Make a Scenext that tells everybody the Authorization header it got, in the way `answer` does."""

    def script(request: requests.PreparedRequest) -> Reply:
        key = request.headers["Authorization"]
        assert isinstance(key, str)
        status, body = answer(key)
        return Reply(status, body, {"Location": f"https://h/?{key}", "Retry-After": key}, key)

    return ScriptedScenext(script)


def raises(key: str) -> tuple[int, Any]:
    raise requests.ConnectionError(f"could not send {key}")


def success(data: Any) -> tuple[int, Any]:
    return 200, {"status": "success", "data": data}


SCENEXTS: dict[str, Callable[[], ScriptedScenext]] = {
    "sandbox": ScriptedScenext,
    "echo-message": lambda: echo(lambda key: (400, {"status": "error", "message": f"{key} is wrong"})),
    "echo-401": lambda: echo(lambda key: (401, {"error": {"message": [key], "detail": key}})),
    "echo-rejected": lambda: echo(lambda key: (200, {"status": "error", "headers": {"Authorization": key}})),
    "echo-data": lambda: echo(lambda key: success({"task_id": key, "status": key, key: key, "points": key})),
    "echo-failed": lambda: echo(lambda key: success({"task_id": 1, "status": "FAILED", "result": {"error": key}})),
    "echo-link": lambda: echo(lambda key: success({"task_id": 1, "result": [f"https://h/?key={key}"]})),
    "echo-html": lambda: echo(lambda key: (502, f"<html>{key}".encode())),
    "echo-not-json": lambda: echo(lambda key: (200, key.encode())),
    "echo-redirect": lambda: echo(lambda key: (302, key.encode())),
    "echo-429": lambda: echo(lambda key: (429, {"message": key})),
    "echo-exception": lambda: echo(raises),
}


@pytest.fixture
def config() -> Config:
    """Lend a key to whoever has the token, and log whatever there is to log."""
    return Config(sandbox=True, api_key=SHARED, access_token=TOKEN, log_level="DEBUG", max_body=10_000)


@pytest.fixture
def scenext(request: pytest.FixtureRequest) -> ScriptedScenext:
    """Return the Scenext of `app`: the one that a test names in a parameter, else the sandbox."""
    return SCENEXTS[getattr(request, "param", "sandbox")]()


@pytest.fixture
def app(config: Config, scenext: ScriptedScenext) -> Flask:
    """Make the application over `scenext`."""
    return create_app(config, scenext)


@pytest.fixture
def debug(log_lines: list[str]) -> Iterator[list[str]]:
    """Collect the lines of every other logger too, of `requests` and urllib3 for example."""
    root, handler = logging.getLogger(), Lines()
    handler.lines = log_lines
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield log_lines
    root.setLevel(level)
    root.removeHandler(handler)


Send = Callable[[Mcp, dict[str, str]], TestResponse]


def call(tool: str, arguments: Any, legacy: bool = False) -> Send:
    """Return what calls a tool in one era."""

    def send(mcp: Mcp, headers: dict[str, str]) -> TestResponse:
        post = mcp.legacy if legacy else mcp.modern
        return post("tools/call", {"name": tool, "arguments": arguments}, headers)

    return send


PATHS: dict[str, Send] = {
    "legacy-initialize": lambda mcp, headers: mcp.legacy("initialize", {"protocolVersion": "2025-11-25"}, headers),
    "legacy-ping": lambda mcp, headers: mcp.legacy("ping", None, headers),
    "legacy-list": lambda mcp, headers: mcp.legacy("tools/list", None, headers),
    "legacy-unknown-method": lambda mcp, headers: mcp.legacy("resources/list", None, headers),
    "legacy-bad-params": lambda mcp, headers: mcp.legacy("tools/call", [], headers),
    "legacy-bad-version": lambda mcp, headers: mcp.legacy("ping", None, {**headers, "MCP-Protocol-Version": "1"}),
    "legacy-query": call("query_video_status", {"task_id": "sandbox-completed"}, legacy=True),
    "legacy-gen": call("gen_video", {"question": "q"}, legacy=True),
    "modern-discover": lambda mcp, headers: mcp.modern("server/discover", None, headers),
    "modern-list": lambda mcp, headers: mcp.modern("tools/list", None, headers),
    "modern-unknown-method": lambda mcp, headers: mcp.modern("ping", None, headers),
    "modern-mismatch": lambda mcp, headers: mcp.modern("tools/list", None, {**headers, "Mcp-Method": "ping"}),
    "modern-bad-cursor": lambda mcp, headers: mcp.modern("tools/list", {"cursor": "x"}, headers),
    "modern-unknown-tool": call("no_such_tool", {}),
    "modern-query": call("query_video_status", {"task_id": "sandbox-completed"}),
    "modern-query-missing": call("query_video_status", {}),
    "modern-query-type": call("query_video_status", {"task_id": 1}),
    "modern-query-bad": call("query_video_status", {"task_id": "../x"}),
    "modern-query-404": call("query_video_status", {"task_id": "sandbox-not-found"}),
    "modern-query-503": call("query_video_status", {"task_id": "sandbox-down"}),
    "modern-query-silent": call("query_video_status", {"task_id": "sandbox-silent"}),
    "modern-query-unreachable": call("query_video_status", {"task_id": "sandbox-unreachable"}),
    "modern-gen": call("gen_video", {"question": "q"}),
    "modern-gen-empty": call("gen_video", {}),
    "modern-gen-quality": call("gen_video", {"question": "q", "quality": "x"}),
    "modern-gen-notify": call("gen_video", {"question": "q", "notify_url": "x"}),
    "notification": lambda mcp, headers: mcp.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, headers),
    "response": lambda mcp, headers: mcp.post({"jsonrpc": "2.0", "id": 1, "result": {}}, headers),
    "batch": lambda mcp, headers: mcp.post([{"jsonrpc": "2.0", "id": 1, "method": "ping"}, 1], headers),
    "no-message": lambda mcp, headers: mcp.post({}, headers),
    "broken-json": lambda mcp, headers: mcp.post(b'{"jsonrpc', headers),
    "bad-utf-8": lambda mcp, headers: mcp.post(b'"\xff"', headers),
    "query-string": lambda mcp, headers: mcp.post({}, headers, path=f"/mcp?api_key={OWN}&token={TOKEN}"),
    "403": lambda mcp, headers: mcp.legacy("ping", None, {**headers, "Origin": "https://evil.example"}),
    "404": lambda mcp, headers: mcp.client.get("/.well-known/oauth-protected-resource", headers=headers),
    "405": lambda mcp, headers: mcp.client.get("/mcp", headers=headers),
    "405-health": lambda mcp, headers: mcp.client.post("/healthz", headers=headers),
    "413": lambda mcp, headers: mcp.post(b" " * 10_001, headers),
    "415": lambda mcp, headers: mcp.client.post("/mcp", data=b"{}", headers={**headers, "Content-Type": "text/plain"}),
    "415-gzip": lambda mcp, headers: mcp.post(b"{}", {**headers, "Content-Encoding": "gzip"}),
    "preflight": lambda mcp, headers: mcp.client.options("/mcp", headers=headers),
    "health": lambda mcp, headers: mcp.client.get("/healthz", headers=headers),
}  # fmt: skip


OUTAGES = ("modern-query-503", "modern-query-silent", "modern-query-unreachable")


def assert_silent(response: TestResponse, lines: list[str]) -> None:
    """Check that neither an answer nor a log line holds any of the secrets."""
    shown = "\n".join([response.get_data(as_text=True), str(response.headers), response.status, *lines])
    assert [secret for secret in (OWN, OTHER, SHARED, TOKEN) if secret in shown] == []


@pytest.mark.parametrize("credentials", CREDENTIALS)
@pytest.mark.parametrize("path", PATHS)
def test_no_path_shows_a_secret(mcp: Mcp, debug: list[str], path: str, credentials: str) -> None:
    """Ours: never in a URL, an exception, a log line or an answer."""
    response = PATHS[path](mcp, CREDENTIALS[credentials])
    assert response.status_code < 500
    assert_silent(response, debug)
    asked = credentials not in ("joined", "basic")  # which hold no key
    level = "debug" if path == "health" else "warning" if path in OUTAGES and asked else "info"
    lines = [written.split()[2] for written in debug if f" {level} " in written]
    assert lines == ["request"] * (2 if path == "batch" else 1)


def test_a_batch_of_failures_leaves_a_line_for_each_message(mcp: Mcp, log_lines: list[str]) -> None:
    """Ours: an operator sees each call with its tool, its outcome and its failure."""
    call = {**PING, "method": "tools/call"}
    down = {**call, "params": {"name": "query_video_status", "arguments": {"task_id": "sandbox-down"}}}
    gone = {**call, "params": {"name": "query_video_status", "arguments": {"task_id": "sandbox-not-found"}}}
    response = mcp.post([down, gone, {**PING, "method": "none"}, 7], {"X-API-Key": OTHER, "X-Request-ID": "abc-123"})
    assert response.status_code == 200
    told = [dict(re.findall(r"(tool|outcome|failure)=(\S+)", written)) for written in log_lines]
    query = {"tool": "query_video_status", "outcome": "tool_error"}
    assert [{key: it[key] for key in query if key in it} for it in told[:2]] == [query, query]
    assert "failure=NotFound" in log_lines[1]
    assert [it["outcome"] for it in told[2:]] == ["-32601", "-32600"]
    levels = [re.findall("Z (info|warning) request .* request_id=abc-123 ", written) for written in log_lines]
    assert levels == [["warning"], ["info"], ["info"], ["info"]]


@pytest.mark.parametrize("credentials", ["bearer", "x-api-key", "token", "bare"])
@pytest.mark.parametrize("path", ["legacy-query", "legacy-gen", "modern-query", "modern-gen"])
@pytest.mark.parametrize("scenext", [name for name in SCENEXTS if name != "sandbox"], indirect=True)
def test_a_scenext_that_echoes_the_key_shows_it_to_nobody(
    mcp: Mcp, debug: list[str], scenext: ScriptedScenext, path: str, credentials: str
) -> None:
    """Ours: a lent key must not reach the one it was lent to, nor any key a log."""
    key = {"bearer": OWN, "bare": OWN, "x-api-key": OTHER, "token": SHARED}[credentials]
    response = PATHS[path](mcp, CREDENTIALS[credentials])
    assert response.status_code == 200
    assert set(scenext.sent("Authorization")) == {f"Bearer {key}"}
    assert_silent(response, debug)


@pytest.mark.parametrize("path", ["modern-query", "modern-gen"])
@pytest.mark.parametrize(
    ("key", "plain", "escaped"),
    [
        pytest.param('sentinel"key"4f9a1c', b"", b"", id="quotes"),
        pytest.param("sentinel\\key\\4f9a1c", b"", b"", id="backslashes"),
        pytest.param("sentinel/key/4f9a1c", b"/", b"\\/", id="slashes-as-PHP-writes-them"),
        pytest.param("sentinel-key-4f9a1c", b"k", b"\\u006b", id="a-letter"),
    ],
)
def test_an_echo_in_other_json_escapes_is_an_echo(path: str, key: str, plain: bytes, escaped: bytes) -> None:
    """Ours: a lent key must not reach the one it was lent to, however Scenext writes its JSON."""

    def answer(came: str) -> tuple[int, bytes]:
        written = orjson.dumps({"status": "success", "data": {"task_id": "sandbox-completed", "came": came}})
        return 200, written.replace(plain, escaped) if plain else written

    mcp = Mcp(create_app(Config(api_key=key), echo(answer)).test_client())
    result = PATHS[path](mcp, {}).get_json()["result"]
    assert result["isError"] is False
    assert result["structuredContent"]["came"] == "Bearer ***"


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/sse", "/sse"),
        ("/messages/", "/messages/"),
        ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource/mcp"),
        ("/.well-known/oauth-authorization-server?key=sentinel", "/.well-known/oauth-authorization-server"),
        ("/.well-known/sentinel", "unknown"),
        ("/sse/sentinel", "unknown"),
        ("/SSE", "unknown"),
        ("/sentinel", "unknown"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_404_on_a_usual_guess_is_logged_by_its_name(
    client: FlaskClient, log_lines: list[str], method: str, path: str, logged: str
) -> None:
    """Ours: an operator sees what a client looks for; what somebody made up is not logged."""
    assert client.open(path, method=method).status_code == 404
    (line,) = log_lines
    assert f" info request http_method={method} path={logged} status=404 " in line
    assert "sentinel" not in line
