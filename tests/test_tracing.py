"""Each call has one id, which appears in the response, in every log line and in the request to Scenext."""

import json
import logging
import re
from typing import Any

import pytest
from flask import Flask

from scenext_service import create_app
from scenext_service.config import Config, ConfigError, from_env
from scenext_service.mcp import Call, LogRecord, Tool
from scenext_service.mcp.context import Caller
from scenext_service.mcp.registry import Registry
from scenext_service.server import logs
from tests.support.messages import BEARER, META, Mcp, last
from tests.support.scripted import ScriptedScenext

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
QUERY: dict[str, Any] = {"name": "query_video_status", "arguments": {"task_id": "sandbox-completed"}}


@pytest.fixture
def upstream() -> ScriptedScenext:
    return ScriptedScenext()


@pytest.fixture
def app(upstream: ScriptedScenext) -> Flask:
    return create_app(Config(), upstream)


@pytest.mark.parametrize("tool", [QUERY, {"name": "gen_video", "arguments": {"question": "1 + 1?"}}])
def test_the_request_id_of_the_client_is_echoed_logged_and_forwarded(
    mcp: Mcp, upstream: ScriptedScenext, log_lines: list[str], tool: dict[str, Any]
) -> None:
    """Ours: an operator can follow a call from the client to Scenext."""
    response = mcp.modern("tools/call", tool, {**BEARER, "X-Request-ID": "abc-123"})
    assert response.headers["X-Request-ID"] == "abc-123"
    assert upstream.sent("X-Request-ID") == ["abc-123"]
    assert [line for line in log_lines if "request_id=abc-123 " in line] == log_lines
    assert len(log_lines) == 1


def test_a_request_without_an_id_gets_one(mcp: Mcp, upstream: ScriptedScenext, log_lines: list[str]) -> None:
    """Ours: the response, the log and the upstream request have the same id."""
    made = mcp.modern("tools/call", QUERY, BEARER).headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert upstream.sent("X-Request-ID") == [made]
    assert f"request_id={made} " in log_lines[0]


@pytest.mark.parametrize(
    ("meta", "headers"),
    [
        pytest.param({}, {"traceparent": TRACEPARENT}, id="header"),
        pytest.param({"traceparent": TRACEPARENT}, {}, id="metadata"),
        pytest.param({"traceparent": TRACEPARENT}, {"traceparent": TRACEPARENT.replace("0a", "0b")}, id="both"),
        pytest.param({"traceparent": "garbage"}, {"traceparent": TRACEPARENT}, id="invalid metadata"),
    ],
)
def test_the_trace_context_is_logged_and_forwarded(
    mcp: Mcp, upstream: ScriptedScenext, log_lines: list[str], meta: dict[str, Any], headers: dict[str, str]
) -> None:
    """Spec: 2026-07-28, basic/index "OpenTelemetry trace context"; W3C Trace Context."""
    mcp.modern("tools/call", {**QUERY, "_meta": {**META, **meta}}, {**BEARER, **headers})
    assert upstream.sent("traceparent") == [TRACEPARENT]
    assert f"trace_id={TRACE} " in log_lines[0]


BEHIND = ["-more", "-\x00", "-\r", "-\rX", "-\r ", "-\n", "-\x1b[2J", "-é", "-\u4f60", "-" + "x" * 60_000]


@pytest.mark.parametrize("behind", BEHIND, ids=[ascii(text[:9]) for text in BEHIND])
def test_a_later_trace_context_is_forwarded_without_unknown_characters(
    mcp: Mcp, upstream: ScriptedScenext, log_lines: list[str], behind: str
) -> None:
    """Spec: W3C Trace Context, sections 3.2.3 and 4: only the first 55 characters of a later version are parsed."""
    meta = {**META, "traceparent": f"cc{TRACEPARENT[2:]}{behind}"}
    response = mcp.modern("tools/call", {**QUERY, "_meta": meta}, BEARER)
    assert response.get_json()["result"]["isError"] is False
    assert upstream.sent("traceparent") == [TRACEPARENT]
    assert f"trace_id={TRACE} " in log_lines[0]
    assert len(log_lines) == 1


@pytest.mark.parametrize(
    "given", [f"cc{TRACEPARENT[2:]}x", f"{TRACEPARENT}-", f"ff{TRACEPARENT[2:]}", TRACEPARENT[:54]]
)
def test_an_invalid_trace_context_is_not_forwarded(mcp: Mcp, upstream: ScriptedScenext, given: str) -> None:
    """Spec: W3C Trace Context, section 3.2.2: version ff is invalid, and version 00 has no further fields."""
    mcp.modern("tools/call", {**QUERY, "_meta": {**META, "traceparent": given}}, BEARER)
    assert upstream.sent("traceparent") == [None]


def test_no_trace_context_is_sent_if_the_client_sends_none(mcp: Mcp, upstream: ScriptedScenext) -> None:
    """Ours: this service does not start traces."""
    mcp.modern("tools/call", QUERY, BEARER)
    assert upstream.sent("traceparent") == [None]


def test_the_traceback_of_a_failed_tool_has_the_request_id(log_lines: list[str]) -> None:
    """Ours: the id of a call finds all of its log lines."""

    def broken(arguments: dict[str, Any], call: Call) -> Any:
        raise ZeroDivisionError

    tools = Registry([Tool("broken", "Broken", "Breaks.", {"type": "object"}, broken)])
    last(tools.call({"name": "broken"}, Call(Caller(request_id="abc-123"), LogRecord())))
    assert [
        line for line in log_lines if 'level=error msg="tool failed" tool=broken request_id=abc-123 exception=' in line
    ] == log_lines


def test_json_lines_have_the_fields_of_logfmt_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: SCENEXT_LOG_FORMAT=json."""
    client = create_app(Config(log_format="json", sandbox=True)).test_client()
    Mcp(client).modern("tools/call", QUERY, {**BEARER, "X-Request-ID": "abc-123", "traceparent": TRACEPARENT})
    written = capsys.readouterr()
    warning, call = json.loads(written.err), json.loads(written.out)
    assert (warning["severity"], warning["message"][:18]) == ("WARNING", "SCENEXT_SANDBOX is")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", call.pop("time"))
    assert (call.pop("ms") >= 0, call.pop("upstream_ms") >= 0, call.pop("bytes") > 0) == (True, True, True)
    assert call == {
        "severity": "INFO",
        "level": "info",
        "message": "request",
        "http_method": "POST",
        "path": "/mcp",
        "request_id": "abc-123",
        "era": "modern",
        "trace_id": TRACE,
        "method": "tools/call",
        "tool": "query_video_status",
        "task_id": "sandbox-completed",
        "key": "caller",
        "outcome": "ok",
        "status": 200,
    }


def test_a_json_line_never_contains_a_line_break() -> None:
    """Ours: the same holds for logfmt."""
    record = logging.LogRecord("n", logging.INFO, "", 0, "a\nb\u2028c", None, None)
    record.fields = {"x": "\x1b[31m\r\n", "y": None}
    line = logs.JsonFormatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    assert {key: json.loads(line)[key] for key in ("message", "x")} == {"message": "a\nb\u2028c", "x": "\x1b[31m\r\n"}
    assert "y" not in json.loads(line)


def test_an_unknown_log_format_ends_the_start() -> None:
    """Ours: README, "Configure"."""
    with pytest.raises(ConfigError, match=r"SCENEXT_LOG_FORMAT: 'xml' is not valid\. Use one of logfmt, json\."):
        from_env({"SCENEXT_LOG_FORMAT": "xml"})
