"""Log lines: one per event, in logfmt or JSON. No path reveals a secret in a log line or a response."""

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
from scenext_service.server import logs
from tests.support.cases import case
from tests.support.messages import PING, Lines, Mcp
from tests.support.scripted import Reply, ScriptedScenext

# The formatter


def line(message: str = "call", fields: dict[str, Any] | None = None, **attributes: Any) -> str:
    """Return the line of a record created at the start of 1970."""
    record = {"msg": message, "levelname": "INFO", "created": 1.25, "msecs": 250.0, **attributes}
    return logs.Formatter().format(logging.makeLogRecord(record if fields is None else {**record, "fields": fields}))


@pytest.mark.parametrize(
    ("fields", "pairs"),
    [
        pytest.param(None, "", id="no fields"),
        pytest.param({}, "", id="empty fields"),
        pytest.param({"tool": None, "ms": 1.5}, " ms=1.5", id="None omitted"),
        pytest.param({"status": 200, "outcome": -32601, "zero": 0}, " status=200 outcome=-32601 zero=0", id="numbers"),
        pytest.param({"method": "tools/call"}, " method=tools/call", id="plain value"),
        pytest.param({"a": ""}, ' a=""', id="empty value"),
        pytest.param({"a": "", "b": 1}, ' a="" b=1', id="empty value before another"),
        pytest.param({"a": "x y"}, ' a="x y"', id="space"),
        pytest.param({"a": "x=y"}, ' a="x=y"', id="equals sign"),
        pytest.param({"a": "?", "b": "x"}, ' a="?" b=x', id="question mark"),
        pytest.param({"a": "讲 b=", "b": "x"}, ' a="\\u8bb2 b=" b=x', id="text of another script"),
        pytest.param({"a": " b=x", "b": ""}, ' a=" b=x" b=""', id="text like a pair"),
        pytest.param({"a": "x y=z"}, ' a="x y=z"', id="text like two pairs"),
        pytest.param({"a": 'x="y"'}, ' a="x=\\"y\\""', id="quotes"),
        pytest.param({"a": "x\r\ny\tz\\"}, ' a="x\\r\\ny\\tz\\\\"', id="newlines"),
        pytest.param({"a": "x\ny"}, ' a="x\\ny"', id="newline"),
        pytest.param({"a": "x\n"}, ' a="x\\n"', id="trailing newline"),
        pytest.param({"a": "\x00\x1b[31m"}, ' a="\\u0000\\u001b[31m"', id="control characters"),
    ],
)
def test_fields_are_key_value_pairs_on_one_line(fields: dict[str, Any] | None, pairs: str) -> None:
    """Ours: logs.py, `ts=… level=… msg=… key=value …`."""
    assert line(fields=fields) == f"ts=1970-01-01T00:00:01.250Z level=info msg=call{pairs}"


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\nb", "a\x0bb", "a\x85b", "a\u2028b", "a\u2029b", "a\x9b31m", "a\u202eb", "a\ud800b"]
)
@pytest.mark.parametrize("where", ["message", "field", "exception"])
def test_a_record_is_always_one_printable_line(text: str, where: str) -> None:
    """Ours: logs have one line per event, and a terminal interprets none of their content."""
    error = ValueError(text)
    written = {
        "message": lambda: line(text),
        "field": lambda: line(fields={"a": text}),
        "exception": lambda: line(exc_info=(ValueError, error, None)),
    }[where]()
    assert written.startswith("ts=1970-01-01T00:00:01.250Z level=info msg=")
    assert len(written.splitlines()) == 1
    assert written.isprintable()
    assert written.encode()


def test_a_message_with_arguments_is_quoted() -> None:
    """Ours: logs.py, `ts=… level=… msg=… key=value …`."""
    written = line("tool %s failed", args=("gen_video",))
    assert written == 'ts=1970-01-01T00:00:01.250Z level=info msg="tool gen_video failed"'


def test_each_line_has_the_time_of_its_record() -> None:
    """Ours: the text of a second is cached for the following lines, in whatever order they come."""
    formatter = logs.Formatter()
    times = [(0.0, 0.0), (86400.999, 999.0), (86400.0, 0.0), (86401.5, 500.0), (0.25, 250.0)]
    records = [logging.makeLogRecord({"msg": "x", "levelname": "INFO", "created": c, "msecs": m}) for c, m in times]
    assert [formatter.format(record).split()[0] for record in records] == [
        "ts=1970-01-01T00:00:00.000Z",
        "ts=1970-01-02T00:00:00.999Z",
        "ts=1970-01-02T00:00:00.000Z",
        "ts=1970-01-02T00:00:01.500Z",
        "ts=1970-01-01T00:00:00.250Z",
    ]


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
def test_a_json_line_has_the_fields_log_shippers_expect(level: str) -> None:
    """Spec: Cloud Logging, "Structured logging": `severity`, `time`, `message`. Ours: numbers stay numbers."""
    record = {"msg": "call %d", "args": (1,), "levelname": level, "created": 1.25, "msecs": 250.0}
    written = logs.JsonFormatter().format(
        logging.makeLogRecord({**record, "fields": {"status": 200, "ms": 1.5, "path": "/mcp", "tool": None}})
    )
    assert list(orjson.loads(written).items()) == [
        ("time", "1970-01-01T00:00:01.250Z"),
        ("severity", level),
        ("level", level.lower()),
        ("message", "call 1"),
        ("status", 200),
        ("ms", 1.5),
        ("path", "/mcp"),
    ]


def test_an_exception_is_logged_as_a_field() -> None:
    """Ours: an operator finds the traceback beside its request."""
    try:
        raise ValueError("no\nway")
    except ValueError:
        written = line("unhandled", {"request_id": "1"}, exc_info=sys.exc_info(), levelname="ERROR")
    start = (
        "ts=1970-01-01T00:00:01.250Z level=error msg=unhandled request_id=1"
        ' exception="Traceback (most recent call last):\\n'
    )
    assert written.startswith(start)
    assert written.endswith('\\nValueError: no\\nway"')
    assert "\n" not in written


@pytest.mark.parametrize(
    ("level", "out", "err"),
    [
        pytest.param("DEBUG", ["debug", "info"], ["warning", "error"], id="debug"),
        pytest.param("INFO", ["info"], ["warning", "error"], id="info"),
        pytest.param("WARNING", [], ["warning", "error"], id="warning"),
        pytest.param("ERROR", [], ["error"], id="error"),
    ],
)
def test_lines_go_once_to_stdout_or_stderr_by_severity(
    capsys: pytest.CaptureFixture[str], level: str, out: list[str], err: list[str]
) -> None:
    """Ours: SCENEXT_LOG_LEVEL; several applications in one process do not duplicate lines."""
    logs.configure("INFO")
    logs.configure(level)
    log = logging.getLogger("scenext_service.anything")
    for write in (log.debug, log.info, log.warning, log.error):
        write("here")
    captured = capsys.readouterr()
    for stream, words in ((captured.out, out), (captured.err, err)):
        written = [one.split(" ", 1)[1] for one in stream.splitlines()]
        assert written == [f"level={word} msg=here" for word in words]


def test_configure_leaves_other_loggers_alone() -> None:
    """Ours: logs.configure affects the loggers of this package only."""
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
    """Return a simulated Scenext that echoes the Authorization header it received, in a form set by `answer`."""

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
    """Configure a server key for callers with the access token, and the most verbose log level."""
    return Config(sandbox=True, api_key=SHARED, access_token=TOKEN, log_level="DEBUG", max_body=10_000)


@pytest.fixture
def scenext(request: pytest.FixtureRequest) -> ScriptedScenext:
    """Return the Scenext of `app`: the one that a test selects by parameter, or the sandbox."""
    return SCENEXTS[getattr(request, "param", "sandbox")]()


@pytest.fixture
def app(config: Config, scenext: ScriptedScenext) -> Flask:
    """Create the application with `scenext`."""
    return create_app(config, scenext)


@pytest.fixture
def debug(log_lines: list[str]) -> Iterator[list[str]]:
    """Collect the lines of all other loggers too, for example of `requests` and urllib3."""
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
    """Return a function that calls a tool in one protocol era."""

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
    """Check that neither a response nor a log line contains any of the secrets."""
    shown = "\n".join([response.get_data(as_text=True), str(response.headers), response.status, *lines])
    assert [secret for secret in (OWN, OTHER, SHARED, TOKEN) if secret in shown] == []


@pytest.mark.parametrize("path", PATHS)
def test_no_path_reveals_a_secret(mcp: Mcp, debug: list[str], path: str) -> None:
    """Ours: secrets never appear in a URL, an exception, a log line or a response."""
    for credentials, headers in CREDENTIALS.items():
        with case(credentials):
            debug.clear()
            response = PATHS[path](mcp, headers)
            assert response.status_code < 500
            assert_silent(response, debug)
            has_key = credentials not in ("joined", "basic")  # these contain no key
            level = "debug" if path == "health" else "warning" if path in OUTAGES and has_key else "info"
            lines = [written.split()[2] for written in debug if f" level={level} " in written]
            assert lines == ["msg=request"] * (2 if path == "batch" else 1)


def test_a_batch_of_failures_is_logged_with_a_line_per_message(mcp: Mcp, log_lines: list[str]) -> None:
    """Ours: an operator sees each call with its tool, outcome and failure."""
    call = {**PING, "method": "tools/call"}
    down = {**call, "params": {"name": "query_video_status", "arguments": {"task_id": "sandbox-down"}}}
    unknown_job = {**call, "params": {"name": "query_video_status", "arguments": {"task_id": "sandbox-not-found"}}}
    response = mcp.post(
        [down, unknown_job, {**PING, "method": "none"}, 7], {"X-API-Key": OTHER, "X-Request-ID": "abc-123"}
    )
    assert response.status_code == 200
    logged = [dict(re.findall(r"(tool|outcome|failure)=(\S+)", written)) for written in log_lines]
    query = {"tool": "query_video_status", "outcome": "tool_error"}
    assert [{key: fields[key] for key in query if key in fields} for fields in logged[:2]] == [query, query]
    assert "failure=NotFound" in log_lines[1]
    assert [fields["outcome"] for fields in logged[2:]] == ["-32601", "-32600"]
    levels = [re.findall("Z level=(info|warning) msg=request .* request_id=abc-123 ", written) for written in log_lines]
    assert levels == [["warning"], ["info"], ["info"], ["info"]]


@pytest.mark.parametrize(
    ("path", "credentials"),
    [("legacy-query", "bearer"), ("legacy-gen", "token"), ("modern-query", "x-api-key"), ("modern-gen", "bare")],
)
@pytest.mark.parametrize("scenext", [name for name in SCENEXTS if name != "sandbox"], indirect=True)
def test_a_key_echoed_by_scenext_is_never_revealed(
    mcp: Mcp, debug: list[str], scenext: ScriptedScenext, path: str, credentials: str
) -> None:
    """Ours: the server's key must not reach a caller that uses it, and no key may reach a log."""
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
        pytest.param("sentinel/key/4f9a1c", b"/", b"\\/", id="slashes escaped by PHP"),
        pytest.param("sentinel-key-4f9a1c", b"k", b"\\u006b", id="escaped letter"),
    ],
)
def test_a_key_echoed_in_other_json_escapes_is_redacted(path: str, key: str, plain: bytes, escaped: bytes) -> None:
    """Ours: the server's key must not reach a caller that uses it, however Scenext encodes its JSON."""

    def answer(echoed: str) -> tuple[int, bytes]:
        written = orjson.dumps({"status": "success", "data": {"task_id": "sandbox-completed", "echoed": echoed}})
        return 200, written.replace(plain, escaped) if plain else written

    mcp = Mcp(create_app(Config(api_key=key), echo(answer)).test_client())
    result = PATHS[path](mcp, {}).get_json()["result"]
    assert result["isError"] is False
    assert result["structuredContent"]["echoed"] == "Bearer ***"


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
def test_a_404_on_a_well_known_path_is_logged_with_its_path(
    client: FlaskClient, log_lines: list[str], method: str, path: str, logged: str
) -> None:
    """Ours: an operator sees which paths clients probe. Arbitrary paths are not logged."""
    assert client.open(path, method=method).status_code == 404
    (line,) = log_lines
    assert f" level=info msg=request http_method={method} path={logged} status=404 " in line
    assert "sentinel" not in line
