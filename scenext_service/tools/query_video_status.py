"""The tool `query_video_status`: the state of a job, its frames, and the finished video; at once, or when it ends."""

import math
from functools import partial
from typing import Any

from ..mcp import Call, Steps, Tool, ToolError, ToolResult
from ..scenext.client import Scenext
from ..scenext.failures import ScenextError
from . import job_text, next_step
from .asking import Asking, explained
from .credentials import Credentials
from .output import loose
from .waiting import Waited, Waits

DESCRIPTION = (
    "Tell how a Scenext teaching-video job stands: status, frames, the finished video."
    " 查询教学视频任务的状态、画面和成片链接。\n"
    "Use it after gen_video, which starts a video, or when the user asks about a task_id.\n"
    "A video takes 10 to 20 minutes: follow it with {how}, and do what each result says, until COMPLETED or"
    " FAILED. Asking is free. Show the video as [text](url), frames as ![text](url); links expire.\n"
    "Needs the user's Scenext API key in the HTTP headers; never ask for it in the conversation."
)

ALL, NEWEST, NONE = FRAMES = ("all", "newest", "none")

OUTPUT_SCHEMA = {
    "type": "object",
    "properties": {
        "task_id": loose("string"),
        "status": loose("string"),
        "progress": loose("array", "{id, image}"),
        "result": loose("object", "video_url or error."),
        "points": loose("integer"),
        "frames_total": {"type": "integer"},
        "next": {"type": "string"},
    },
}


NO_TASK_ID = (
    "The task_id is empty. Call query_video_status again with the value that gen_video returned.\n\n"
    "任务 ID 为空。请用 gen_video 返回的值重新调用 query_video_status。"
)


def tool(scenext: Scenext, credentials: Credentials, waits: Waits) -> Tool:
    """Make the tool."""
    how = next_step.arguments(waits.longest)

    def query_video_status(arguments: dict[str, Any], call: Call) -> Steps[ToolResult]:
        task_id = arguments["task_id"].strip()
        if not task_id:
            raise ToolError(NO_TASK_ID)
        wanted = max(arguments.get("wait_seconds", 0), 0)

        def question(since: float, seconds: float = math.inf) -> dict[str, Any]:
            return asking.ask(partial(scenext.get_status, task_id), since, seconds)

        try:
            asking = Asking(call, credentials)
            job = question(call.caller.received)
            if not wanted and "frames" not in arguments:
                return ToolResult([{"type": "text", "text": job_text.write(job, how)}], job)
            patience = call.patience
            waited = Waited(job, patience > 0)
            if wanted and patience:
                waited = yield from waits.wait(question, job, call, call.caller.received + min(wanted, patience))
        except ScenextError as failure:
            raise explained(failure, call) from failure
        with_what = "the same arguments" if wanted else how
        step = next_step.after(waited.job, task_id, with_what, again=waited.again)
        return ToolResult([], brief(waited.job, arguments.get("frames", ALL), step))

    return Tool(
        name="query_video_status",
        title="Query a teaching video / 查询教学视频",
        description=DESCRIPTION.format(how=how),
        schema=schema(waits.longest),
        call=query_video_status,
        output_schema=OUTPUT_SCHEMA,
        annotations={"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": True},
        aliases={"taskId": "task_id", "waitSeconds": "wait_seconds"},
    )


def schema(longest: int) -> dict[str, Any]:
    """Return the input schema, which names the longest wait that an operator allows."""
    return {
        "type": "object",
        "properties": {
            "task_id": {
                "type": "string",
                "description": "The value that gen_video returned. 任务 ID。",
            },
            "wait_seconds": {
                "type": "integer",
                "description": "Answer when the job has ended, or after this many seconds; default 0, at most"
                f" {longest}. You cannot wait yourself. If a call with it times out, leave it out. 等待秒数。",
            },
            "frames": {
                "type": "string",
                "enum": list(FRAMES),
                "description": "Frames to return, default all. 画面。",
            },
        },
        "required": ["task_id"],
    }


def brief(job: dict[str, Any], wanted: str, step: str) -> dict[str, Any]:
    """Return a job with the wanted frames, how many there are, and the next step for a model."""
    frames = job_text.frames(job)
    shown = dict(job)
    if wanted == NONE:
        shown.pop("progress", None)
    elif wanted == NEWEST and frames:
        shown["progress"] = frames[-1:]
    return {**shown, "frames_total": len(frames), "next": step}
