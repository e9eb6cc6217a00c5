"""Troubleshooting: each message that a user may see has a row that quotes it, in both languages."""

import io
import re
import tempfile
from typing import Any, NamedTuple

import pytest
from werkzeug.test import TestResponse

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.environment import ConfigError, startup_error
from scenext_service.mcp.http_request import LARGE_BODY
from scenext_service.mcp.registry import INTERNAL_FAILURE
from scenext_service.mcp.tasks import EXTENSION
from scenext_service.tools import gen_video, pictures, query_video_status, repeats
from scenext_service.tools.failure_texts import TEXTS
from scenext_service.tools.job_ids import make_task_id
from tests.support import pages
from tests.support.messages import BEARER, CLIENT_CAPABILITIES, META, Mcp, halves


class BothTexts(NamedTuple):
    """A message of the service in English and Chinese; both fields hold the English text if there is no Chinese."""

    english: str
    chinese: str


def texts_of_the_tools() -> list[BothTexts]:
    """Return the error texts of the tools: every class of `failures`, invalid arguments, unsent repeats, and a bug."""
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("query_video_status", {}),
        ("query_video_status", {"task_id": 1.5}),
        ("gen_video", {"question": "x", "quality": "x"}),
        ("gen_video", {"question": "x", "variant": 0}),
        ("gen_video", {"question": "x", "Quality": "h"}),
    ]
    with_variants = Mcp(create_app(Config(sandbox=True, repeat_window=30)).test_client())
    arguments = [with_variants.call(tool, given)["content"][0]["text"] for tool, given in wrong]
    urls = [pictures.NOT_A_PICTURE, gen_video.BAD_NOTIFY_URL, gen_video.LONG_NOTIFY_URL]
    unsent = [repeats.NO_ANSWER, repeats.TOO_LATE]
    own = [query_video_status.NO_TASK_ID, gen_video.NO_QUESTION, *urls, *unsent, INTERNAL_FAILURE]
    return [BothTexts(*advice) for advice in TEXTS.values()] + [BothTexts(*halves(text)) for text in [*arguments, *own]]


class _Broken(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise OSError("the connection broke")


class _Late(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise TimeoutError


def poll(mcp: Mcp, task_id: str, headers: dict[str, str] = BEARER) -> TestResponse:
    """Poll a task as a client that declares the extension."""
    meta = {**META, CLIENT_CAPABILITIES: {"extensions": {EXTENSION: {}}}}
    return mcp.modern("tasks/get", {"taskId": task_id, "_meta": meta}, headers)


def texts_of_the_endpoint(mcp: Mcp) -> list[BothTexts]:
    """Return the error texts of the endpoint, from one invalid request of each kind."""
    client = mcp.client
    meta: dict[str, Any] = {"_meta": META}
    list_tools = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": meta}
    modern = {"MCP-Protocol-Version": "2026-07-28"}
    chunked = {"Transfer-Encoding": "chunked"}
    broken = {"wsgi.input": _Broken(), "CONTENT_LENGTH": "9"}
    late = {"wsgi.input": _Late(), "CONTENT_LENGTH": "9", "wsgi.input_terminated": True}
    answers = [
        mcp.legacy("ping", headers={"Origin": "https://elsewhere.example"}),
        client.get("/mcp"),
        client.post("/mcp", data=b"{}", content_type="text/plain"),
        mcp.legacy("ping", headers={"Content-Encoding": "gzip"}),
        mcp.legacy("ping", headers={"Transfer-Encoding": "gzip, chunked"}),
        client.post("/mcp", content_type="application/json", headers=chunked, environ_overrides={"CONTENT_LENGTH": ""}),
        mcp.post(b" " * (Config().max_body + 1), BEARER),
        mcp.post(b" " * (LARGE_BODY + 1)),
        Mcp(create_app(Config(sandbox=True, body_budget=0)).test_client()).post(b" " * (LARGE_BODY + 1), BEARER),
        mcp.legacy("ping", {"_meta": {"progressToken": "t" * 257}}),
        client.post("/mcp", content_type="application/json", environ_overrides=broken),
        client.post("/mcp", content_type="application/json", environ_overrides=late),
        mcp.post(b""),
        mcp.post(b"[" * 20_001),
        mcp.post(1),
        mcp.legacy("tools/list", headers=modern),
        mcp.post(list_tools, modern),
        mcp.post(list_tools, {**modern, "Mcp-Method": "tools/call"}),
        mcp.legacy("tools/list", headers={"MCP-Protocol-Version": "1999-01-01"}),
        mcp.legacy("prompts/list"),
        mcp.legacy("tools/call", {"name": "none"}),
        mcp.modern("tasks/get", {"taskId": "1"}),
        poll(mcp, "1"),
        poll(mcp, make_task_id("1", 0)),
        poll(mcp, make_task_id("sandbox-in-progress", 0)),
        poll(mcp, make_task_id("1", 0), {}),
        client.get("/nothing"),
    ]
    bodies = [answer.get_json()["error"] for answer in answers]
    texts = [body if isinstance(body, str) else body["message"] for body in bodies]
    return [BothTexts(text, text) for text in texts]


def texts_of_the_start(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[BothTexts]:
    """Return the messages of the start: the configuration error, the source of `wsgi.py`, and each warning."""
    configs = [
        Config(unknown=("SCENEXT_SANDOBX",)),
        Config(sandbox=True),
        Config(api_key="YOUR_API_KEY"),
        Config(access_token="token"),
        Config(api_key="key", access_token="token"),
        Config(api_key="key", public=True),  # two warnings
    ]
    for config in configs:
        create_app(config)
    create_app(Config(upstream_slots=9)).use_threads(4)
    monkeypatch.setattr(tempfile, "tempdir", "/no-such-folder")
    create_app(Config())
    refused = [startup_error(ConfigError("SCENEXT_TIMEOUT: ")), pages.page("scenext_service/wsgi.py")]
    texts = [*refused, *capsys.readouterr().err.splitlines()]
    assert len(texts) == 5 + len(configs)
    return [BothTexts(text, text) for text in texts]


def quoted(name: str, number: int) -> list[str]:
    """Return the quoted texts in the first column of one of a page's five tables."""
    found = pages.tables(pages.page(name))
    assert len(found) == 5
    return [cell.strip("“”") for cell in found[number].column(0)]


def rows_of(words: list[str], texts: list[str]) -> list[list[int]]:
    """Return, for each quoted text, the indexes of the messages that contain it."""
    return [[number for number, text in enumerate(texts) if word in text] for word in words]


def each_once(texts: list[BothTexts], number: int) -> None:
    """Check that the rows of a table match the messages one to one and in order, by their quoted texts."""
    expected = [[number] for number in range(len(texts))]
    assert rows_of(quoted("docs/troubleshooting.md", number), [text.english for text in texts]) == expected
    assert rows_of(quoted("docs/troubleshooting.zh.md", number), [text.chinese for text in texts]) == expected


def test_each_tool_error_has_its_row() -> None:
    """Ours: every class of `failures`, every kind of invalid argument, a repeat not sent, and a bug in the service."""
    texts = texts_of_the_tools()
    assert len(texts) == len(TEXTS) + 13
    each_once(texts, 0)


def test_each_error_of_the_endpoint_has_its_row(mcp: Mcp) -> None:
    """Ours: HTTP and protocol errors; both pages quote them in English, because the service sends only English."""
    each_once(texts_of_the_endpoint(mcp), 1)


def test_each_startup_message_has_its_row(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: the errors that prevent a start, and each warning."""
    each_once(texts_of_the_start(capsys, monkeypatch), 2)


def test_the_texts_of_the_stage_are_quoted_exactly() -> None:
    """Ours: the page and the card share them."""
    source = pages.page("scenext_service/web/assets/draw.js")
    for name in ("docs/troubleshooting.md", "docs/troubleshooting.zh.md"):
        assert [text for text in quoted(name, 3) if f'"{text}"' not in source] == []


def test_the_texts_of_the_sign_in_are_quoted_exactly() -> None:
    """Ours: those of the endpoint, of the page, and the codes of OAuth, which clients show."""
    names = ("mcp/gate.py", "signin/clients.py", "signin/sign_in.py", "tools/failure_texts.py")
    texts = [pages.page(f"scenext_service/{name}") for name in (*names, "web/assets/consent.toml")]
    source = "\n".join(texts)
    for name in ("docs/troubleshooting.md", "docs/troubleshooting.zh.md"):
        rows = [row[0] for row in pages.tables(pages.page(name))[4].rows if row[0].startswith("“")]
        quotes = [words for row in rows for words in re.findall("[“（]([^”）]+)[”）]", row)]
        assert (len(rows), [words for words in quotes if words not in source]) == (9, [])
