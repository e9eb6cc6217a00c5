"""The two tools: their functions, and everything that is published of them. The one place where MCP meets Scenext."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import orjson

from ..config import Config
from ..mcp import Caller, Tool, ToolError, ToolResult
from ..scenext import failures
from ..scenext.client import Scenext
from ..scenext.text import one_line
from . import job_text
from .credentials import key_for
from .definitions import (
    BAD_NOTIFY_URL,
    GEN_DESCRIPTION,
    GEN_OUTPUT,
    NO_QUESTION,
    QUERY_DESCRIPTION,
    QUERY_OUTPUT,
    QUERY_SCHEMA,
    STARTED,
    gen_schema,
)
from .failure_texts import advise

Call = Callable[[dict[str, Any], Caller], ToolResult]


def tools(config: Config, scenext: Scenext) -> list[Tool]:
    """Make the tools, bound to one configuration and one client."""

    def query_video_status(arguments: dict[str, Any], caller: Caller) -> ToolResult:
        task_id = arguments["task_id"].strip()
        data = _ask(config, caller, lambda key: scenext.get_status(task_id, key, caller.received, _trace(caller)))
        return _result(data, job_text.job(data))

    def gen_video(arguments: dict[str, Any], caller: Caller) -> ToolResult:
        job = _job(arguments, config.default_quality)
        data = _ask(
            config, caller, lambda key: scenext.gen_video(job, key, caller.received, _trace(caller)), charged=True
        )
        # The id goes back as the string that query_video_status takes, whatever type it came as.
        task_id = str(data["task_id"])
        started = {"task_id": task_id, "status": "success", "message": STARTED, **data} | {"task_id": task_id}
        return _result(started, f"task_id: {one_line(task_id, 128)}\n{STARTED}")

    return [_query_tool(query_video_status), _gen_tool(gen_video, config.default_quality)]


def _query_tool(call: Call) -> Tool:
    return Tool(
        name="query_video_status",
        title="Query a teaching video / 查询教学视频",
        description=QUERY_DESCRIPTION,
        schema=QUERY_SCHEMA,
        call=call,
        output_schema=QUERY_OUTPUT,
        annotations={"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": True},
        aliases={"taskId": "task_id"},
    )


def _gen_tool(call: Call, default_quality: str) -> Tool:
    return Tool(
        name="gen_video",
        title="Generate a teaching video / 生成教学视频",
        description=GEN_DESCRIPTION,
        schema=gen_schema(default_quality),
        call=call,
        output_schema=GEN_OUTPUT,
        annotations={"readOnlyHint": False, "destructiveHint": False, "idempotentHint": False, "openWorldHint": True},
        aliases={"questionImages": "question_images", "answerImages": "answer_images", "notifyUrl": "notify_url"},
    )


def _job(arguments: dict[str, Any], default_quality: str) -> dict[str, Any]:
    """Return the request body of `gen_video` in Scenext's names. Raises ToolError."""
    question = arguments.get("question", "")
    images = [image for image in arguments.get("question_images", []) if image.strip()]
    if not question.strip() and not images:
        raise ToolError(NO_QUESTION)
    job = {
        "question": question,
        "answer": arguments.get("answer", ""),
        "questionImages": images,
        "answerImages": [image for image in arguments.get("answer_images", []) if image.strip()],
        "quality": arguments.get("quality", default_quality),
    }
    notify_url = arguments.get("notify_url", "").strip()
    if notify_url:
        job["notify_url"] = _checked_url(notify_url)
    return job


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        complete = parts.scheme in ("http", "https") and parts.hostname and url.isprintable() and " " not in url
    except ValueError:
        complete = False
    if not complete:
        raise ToolError(BAD_NOTIFY_URL.format(came=one_line(url, 80)))
    return url


def _ask(
    config: Config, caller: Caller, call: Callable[[str], dict[str, Any]], *, charged: bool = False
) -> dict[str, Any]:
    """Call Scenext with the caller's key, and note in the log line how long it took. Raises ToolError."""
    try:
        key = key_for(caller, config)
        started = time.perf_counter()
        try:
            return call(key)
        finally:
            caller.log["upstream_ms"] = round((time.perf_counter() - started) * 1000, 1)
    except failures.ScenextError as failure:
        caller.log["failure"] = type(failure).__name__
        raise ToolError(advise(failure, charged=charged)) from failure


def _trace(caller: Caller) -> dict[str, str]:
    """Return the headers by which a call is found in Scenext's logs."""
    headers = {"X-Request-ID": caller.request_id}
    if caller.traceparent is not None:
        headers["traceparent"] = caller.traceparent
    return headers


def _result(data: dict[str, Any], text: str) -> ToolResult:
    """Return a result that says the same three times: as an object, as JSON, and for reading."""
    written = orjson.dumps(data)
    content = [{"type": "text", "text": written.decode()}, {"type": "text", "text": text}]
    return ToolResult(content, orjson.Fragment(written))
