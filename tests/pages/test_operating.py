"""docs/operating.md: the samples of rare log lines, the table of all messages, and the commands for the log.

`tests/live/test_log_lines.py` compares the samples of frequent lines with those of a real gunicorn.
"""

import ast
import errno
import io
import logging
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gunicorn.http.errors import InvalidChunkSize

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.mcp import Tool, ToolResult
from scenext_service.server.application import Service
from scenext_service.server.gunicorn.worker import ThreadPool, Worker
from tests.live.test_log_lines import Fields, form, logfmt
from tests.support import pages
from tests.support.messages import BEARER, META, Mcp, immediate, serve
from tests.support.scripted import ScriptedScenext
from tests.test_house import MODULES, PACKAGE

PAGES = ("docs/operating.md", "docs/operating.zh.md")
TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
LEVELS = ("debug", "info", "warning", "error", "exception", "critical")


class _Broken(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise InvalidChunkSize(b"")


def _bug(*args: Any) -> Any:
    raise RuntimeError("a bug")


def _unwritable(arguments: dict[str, Any], call: Any) -> ToolResult:
    return ToolResult([object()])  # type: ignore[list-item]  # not JSON, so the failure is outside the tool


@pytest.fixture
def config() -> Config:
    return Config(sandbox=True, log_level="DEBUG")


@pytest.fixture
def app(config: Config, capsys: pytest.CaptureFixture[str]) -> Service:
    """Create the application with all levels of the log, written to `capsys`, and with a view that fails."""
    made = create_app(config)
    made.add_url_rule("/broken", view_func=_bug)
    return made


def _wait(mcp: Mcp) -> None:
    arguments = {"task_id": "sandbox-in-progress", "wait_seconds": 1}
    params = {"_meta": META, "name": "query_video_status", "arguments": arguments}
    modern = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "query_video_status"}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {**BEARER, **TRACE, **modern}
    mcp.client.post("/mcp", json=message, headers=headers, environ_overrides={"wsgi.multithread": True}, buffered=True)


def _unreadable(mcp: Mcp) -> None:
    broken = {"wsgi.input": _Broken(), "wsgi.input_terminated": True}
    mcp.client.post("/mcp", content_type="application/json", environ_overrides=broken)


def _no_descriptor(worker: Worker) -> None:
    worker._pause_accepting(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))


def _no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    idle = threading.Event()
    pool = ThreadPool(1000, lambda conn: idle.wait(30), lambda conn, result: None)
    pool.submit("a connection")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _bug)
        pool.submit("another")
    idle.set()


def _tool_bug(mcp: Mcp) -> None:
    failing = create_app(Config(log_level="DEBUG"), ScriptedScenext(_bug)).test_client()
    Mcp(failing).call("query_video_status", {"task_id": "12345"})


@pytest.fixture
def written(app: Service, worker: Worker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Make the service write each line of the samples, and return all lines, parsed."""
    mcp = Mcp(app.test_client())
    broken = serve(Tool("unwritable", "Unwritable", "Breaks.", {"type": "object"}, immediate(_unwritable)))
    acts: list[Callable[[], Any]] = [
        lambda: mcp.client.get("/"),
        lambda: mcp.client.get("/health"),
        lambda: _wait(mcp),
        lambda: mcp.legacy("ping", headers={"Origin": "https://elsewhere.example"}),
        lambda: _unreadable(mcp),
        lambda: _no_descriptor(worker),
        lambda: _no_thread(monkeypatch),
        lambda: _tool_bug(mcp),
        lambda: broken.legacy("tools/call", {"name": "unwritable"}),
        lambda: mcp.client.get("/broken"),
    ]
    for act in acts:
        act()
    printed = capsys.readouterr()
    return [logfmt(line) for line in [*printed.err.splitlines(), *printed.out.splitlines()]]


def shape(fields: Fields) -> list[tuple[str, str]]:
    """Return the form of a line. The samples contain only the beginning of a traceback."""
    return form({**fields, "exception": "Traceback"} if "exception" in fields else fields)


def test_the_samples_of_rare_lines_match_real_lines(written: list[Fields]) -> None:
    """Ours: operators write alerts and queries for these lines. The translation has the same samples."""
    (block,) = (block for block in pages.blocks(pages.page(PAGES[0])) if block.language == "logfmt")
    samples = [logfmt(line) for line in block.text.splitlines()]
    assert len(samples) == 11
    real = [shape(line) for line in written]
    assert [sample for sample in samples if shape(sample) not in real] == []


def messages() -> Iterator[str]:
    """Yield the constant messages that the package passes to its loggers."""
    yield "request"  # written without a logger's method
    for module in MODULES:
        for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS):
                continue
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "log":
                first = node.args[0]
                assert isinstance(first, ast.Constant)
                yield str(first.value)


def text_of_a_setting(message: str) -> bool:
    """Return whether a message is the text of a warning at the start, which Troubleshooting explains."""
    return message == "%s" or message.startswith("gunicorn runs without")


@pytest.mark.parametrize("name", PAGES)
def test_the_table_of_messages_matches_the_code(name: str) -> None:
    """Ours: the table contains each message and no other."""
    table = next(found for found in pages.tables(pages.page(name)) if found.rows[0][0] == "`request`")
    assert sorted(table.column(0)) == sorted({message for message in messages() if not text_of_a_setting(message)})


def test_the_levels_of_the_table_exist() -> None:
    """Ours: a misspelled level would never match."""
    table = next(found for found in pages.tables(pages.page(PAGES[0])) if found.rows[0][0] == "`request`")
    levels = {level.strip("`") for cell in table.column(1) for level in cell.split("`, `")}
    assert levels <= set(logging.getLevelNamesMapping())


def test_the_commands_find_the_jobs_of_the_shared_key(tmp_path: Any) -> None:
    """Ours: docs/operating.md, "Who spent the points", with the sample of a started job."""
    blocks = pages.blocks(pages.page(PAGES[0]))
    (commands,) = (block.text for block in blocks if block.headings[-1] == "Who spent the points")
    (job,) = (block.text for block in blocks if block.headings[-1] == "Undelivered jobs")
    shared = job.replace("key=caller", "key=shared").replace("task_id=12345", "task_id=67890")
    query = shared.replace("tool=gen_video", "tool=query_video_status")
    repeat = shared.replace(" key=shared", " repeat_age_s=30.1 key=shared")
    (tmp_path / "scenext.log").write_text(job + shared + query + repeat, encoding="utf-8")
    found = subprocess.run(
        ["sh", "-c", commands], cwd=tmp_path, capture_output=True, check=True, text=True
    ).stdout.splitlines()
    fields = logfmt(shared.strip())
    row = "\t".join([f"ts={fields['ts']}", f" request_id={fields['request_id']}", " task_id=67890"])
    assert found == ["1", row]
