"""Log lines of a real gunicorn: they match the samples in docs/operating.md, and each level has its stream."""

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support import pages
from tests.support.messages import BEARER, PING
from tests.support.server import Server, running, wait_until, workers
from tests.support.waiters import start_and_leave

KINDS = [
    "request",
    "warning",
    "started",
    "malformed request",
    "Booting worker with pid: 0",
]  # in the order of the samples on the page
WORDS = ("task_id", "request_id")  # fields that stay strings even if they consist of digits
PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)(?: |$)')

Fields = dict[str, Any]


def logfmt(line: str) -> Fields:
    """Parse a logfmt line and convert numbers. Fail if any part of the line is not a name=value pair."""
    pairs = PAIR.findall(line)
    assert " ".join(f"{name}={value}" for name, value in pairs) == line
    literal = re.compile(r'".*"|\d+|\d+\.\d+')
    words = {name: value for name, value in pairs if name in WORDS or not literal.fullmatch(value)}
    return {name: words[name] if name in words else json.loads(value) for name, value in pairs}


READERS: dict[str, Callable[[str], Fields]] = {"logfmt": logfmt, "json": json.loads}


def kind(fields: Fields) -> str:
    """Return the kind of a log line: its message without digits, or one of the two kinds of warnings on requests."""
    message = re.sub(r"\d+", "0", fields.get("msg") or fields["message"])
    if (message, fields["level"]) != ("request", "warning"):
        return message
    return "undelivered" if fields["status"] == 499 else "warning"


def form(fields: Fields) -> list[tuple[str, str]]:
    """Return each field's name and type, with the value of a text field normalized by replacing its digits."""

    def of(name: str, value: Any) -> str:
        text = re.sub(r"\d+", "0", value) if isinstance(value, str) else ""
        return type(value).__name__ + ("" if name in ("api", *WORDS) else text)

    return [(name, of(name, value)) for name, value in fields.items()]


def use(server: Server) -> None:
    """Make the server write a line of each kind, then stop it."""
    for task_id in ("sandbox-completed", "sandbox-down"):
        call = {"name": "query_video_status", "arguments": {"task_id": task_id}}
        message: dict[str, Any] = {**PING, "method": "tools/call", "params": call}
        assert requests.post(f"{server.url}/mcp", json=message, headers=BEARER, timeout=30).status_code == 200
    start_and_leave(server.port)
    with server.connect() as sock:
        sock.sendall(b"NOT HTTP\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 400 ")
    server.stop()


@pytest.mark.parametrize("written", list(READERS))
def test_the_documented_log_samples_match_real_lines(tmp_path: Path, written: str) -> None:
    """Ours: docs/operating.md, "Logs"; operators base their alerting rules on these samples."""
    read = READERS[written]
    with running(tmp_path, {"SCENEXT_LOG_FORMAT": written}) as server:
        use(server)
        lines = [read(line) for line in server.output().splitlines()]
    real = {kind(line): form(line) for line in reversed(lines)}  # keep the first line of each kind
    for name in ("docs/operating.md", "docs/operating.zh.md"):
        in_logfmt, in_json, lost = (block.text for block in pages.blocks(pages.page(name)) if block.language == "text")
        shown = in_json if written == "json" else in_logfmt + lost
        samples = [read(line) for line in shown.splitlines()]
        assert [kind(sample) for sample in samples] == (KINDS if written == "json" else [*KINDS, "undelivered"])
        assert [form(sample) for sample in samples] == [real[kind(sample)] for sample in samples]


@pytest.mark.parametrize("written", ["logfmt", pytest.param("json", marks=pytest.mark.live)])
def test_each_level_is_logged_to_its_stream(tmp_path: Path, written: str) -> None:
    """Ours: stdout below WARNING, otherwise stderr. This includes gunicorn's own lines, such as for a killed worker."""
    read = READERS[written]
    with running(tmp_path, {"SCENEXT_LOG_FORMAT": written, "WEB_CONCURRENCY": "1"}, apart=True) as server:
        (worker,) = workers(server)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: "SIGKILL" in server.errors())
        use(server)
        out, err = ([read(line) for line in text.splitlines()] for text in (server.output(), server.errors()))
    assert {line["level"] for line in out} == {"info"}
    assert {line["level"] for line in err} == {"warning", "error"}
    assert {*KINDS} - {"warning"} <= {kind(line) for line in out}
    assert {"warning", "undelivered"} <= {kind(line) for line in err}
