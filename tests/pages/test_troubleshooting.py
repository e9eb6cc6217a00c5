"""Troubleshooting: each text that a user may see has its row, in the words of the code, in both languages."""

import io
from typing import Any, NamedTuple

import pytest

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.environment import ConfigError, refusal
from scenext_service.mcp.registry import INTERNAL_FAILURE
from scenext_service.tools import gen_video, query_video_status
from scenext_service.tools.failure_texts import TEXTS
from tests.support import pages
from tests.support.messages import META, Mcp, halves


class Said(NamedTuple):
    """A text that the service says, and the same in Chinese where it says that too."""

    english: str
    chinese: str


def texts_of_the_tools(mcp: Mcp) -> list[Said]:
    """Return what a tool may say of a failure: every class of `failures`, wrong arguments, and a bug."""
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("query_video_status", {}),
        ("query_video_status", {"task_id": 5}),
        ("gen_video", {"question": "x", "quality": "x"}),
        ("gen_video", {"question": "x", "Quality": "h"}),
    ]
    arguments = [mcp.call(tool, given)["content"][0]["text"] for tool, given in wrong]
    own = [query_video_status.NO_TASK_ID, gen_video.NO_QUESTION, gen_video.BAD_NOTIFY_URL, INTERNAL_FAILURE]
    return [Said(*advice) for advice in TEXTS.values()] + [Said(*halves(text)) for text in [*arguments, *own]]


class _Broken(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise OSError("the connection broke")


class _Late(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise TimeoutError


def texts_of_the_endpoint(mcp: Mcp) -> list[Said]:
    """Return what the endpoint answers to requests that are not right, each way once."""
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
        mcp.post(b" " * (Config().max_body + 1)),
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
        client.get("/nothing"),
    ]
    bodies = [answer.get_json()["error"] for answer in answers]
    texts = [body if isinstance(body, str) else body["message"] for body in bodies]
    return [Said(text, text) for text in texts]


def texts_of_the_start(capsys: pytest.CaptureFixture[str]) -> list[Said]:
    """Return what the start prints: a refusal, and each warning once."""
    configs = [
        Config(unknown=("SCENEXT_SANDOBX",)),
        Config(sandbox=True),
        Config(api_key="YOUR_API_KEY"),
        Config(access_token="token"),
        Config(api_key="key", access_token="token"),
        Config(api_key="key"),
    ]
    for config in configs:
        create_app(config)
    refused = [refusal(ConfigError("SCENEXT_TIMEOUT must be")), pages.page("scenext_service/wsgi.py")]
    texts = [*refused, *capsys.readouterr().out.splitlines()]
    assert len(texts) == 2 + len(configs)
    return [Said(text, text) for text in texts]


def quoted(name: str, number: int) -> list[str]:
    """Return the words in the first column of one of a page's three tables."""
    found = pages.tables(pages.page(name))
    assert len(found) == 3
    return [cell.strip("“”") for cell in found[number].column(0)]


def rows_of(words: list[str], texts: list[str]) -> list[list[int]]:
    """Return, for each of the words, the numbers of the texts in which they occur."""
    return [[number for number, text in enumerate(texts) if word in text] for word in words]


def each_once(said: list[Said], number: int) -> None:
    """Check that the rows of a table are the texts: in the same order, each found by its own words and by no other."""
    expected = [[number] for number in range(len(said))]
    assert rows_of(quoted("docs/troubleshooting.md", number), [text.english for text in said]) == expected
    assert rows_of(quoted("docs/troubleshooting.zh.md", number), [text.chinese for text in said]) == expected


def test_each_text_of_a_tool_has_its_row(mcp: Mcp) -> None:
    """Ours: every class of `failures`, every wrong argument, and a bug of ours."""
    said = texts_of_the_tools(mcp)
    assert len(said) == len(TEXTS) + 8
    each_once(said, 0)


def test_each_answer_of_the_endpoint_has_its_row(mcp: Mcp) -> None:
    """Ours: what HTTP or the protocol refuse; in English in both pages, because that is what comes."""
    each_once(texts_of_the_endpoint(mcp), 1)


def test_each_line_of_the_start_has_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: the refusal to start, and each warning."""
    each_once(texts_of_the_start(capsys), 2)
