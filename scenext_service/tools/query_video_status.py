"""The tool `query_video_status`: return a job's state, frames and finished video, at once or when the job ends."""

from functools import partial
from typing import Any

from ..mcp import Call, Steps, Tool, ToolError, ToolResult
from ..scenext.client import Scenext
from ..scenext.failures import ScenextError
from . import failure_people, job_ids
from .api_call import ApiCall, Credentials, OnFailed, status_query, tool_error
from .messages import any_of_type, frames, next_step, query_arguments, status_text
from .waiting import JobWaiter, WaitResult

DESCRIPTION = (
    "Get the status, frames and finished video of a Scenext teaching-video job."
    " 查询教学视频任务的状态、画面和视频链接。\n"
    "Use it after gen_video, which starts a video, or when the user asks about a task_id.\n"
    "A video takes 10 to 20 minutes: follow it with {how}, and do what each result says, until COMPLETED or"
    " FAILED. Queries are free. Show the video as [text](url), frames as ![text](url); links expire.\n"
    "Needs the user's Scenext API key in the HTTP headers; never ask for it in the conversation."
)

ALL, NEWEST, NONE = FRAMES = ("all", "newest", "none")

ANNOTATIONS = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": True}

OUTPUT_SCHEMA = {
    "type": "object",
    "properties": {
        "task_id": any_of_type("string"),
        "status": any_of_type("string"),
        "progress": any_of_type("array", "{id, image}"),
        "result": any_of_type("object", "video_url or error."),
        "points": any_of_type("integer"),
        "frames_total": {"type": "integer"},
        "next": {"type": "string"},
    },
}


NO_TASK_ID = (
    "The task_id is empty. Call query_video_status again with the value that gen_video returned.\n\n"
    "任务 ID 为空。请用 gen_video 返回的值重新调用 query_video_status。"
)


def tool(
    scenext: Scenext, credentials: Credentials, waiter: JobWaiter, on_failed: OnFailed = lambda task_id: None
) -> Tool:
    """Create the tool. `on_failed` is called with the id of each job that has failed."""
    how = query_arguments(waiter.max_wait)

    def query_video_status(arguments: dict[str, Any], call: Call) -> Steps[ToolResult]:
        task_id = _job_id(arguments["task_id"].strip())
        if not task_id:
            raise ToolError(NO_TASK_ID, failure_people.NO_TASK_ID)
        wait_seconds = max(arguments.get("wait_seconds", 0), 0)
        started = call.caller.time.started
        try:
            api = ApiCall(call, credentials, task_id)
            get_status = partial(api.run, status_query(scenext, task_id, on_failed))
            job = get_status(started)
            if not wait_seconds and "frames" not in arguments:
                return ToolResult([{"type": "text", "text": status_text(job, how)}], job)
            result = WaitResult(job, retry=call.max_wait > 0)
            if wait_seconds and result.retry:
                end = started + min(wait_seconds, call.max_wait)
                result = yield from waiter.wait(get_status, job, call, end, api.key_digest)
        except ScenextError as failure:
            raise tool_error(failure, call) from failure
        too_large = bool(wait_seconds) and call.too_large_to_wait
        same = "the same arguments" if wait_seconds and not too_large else how
        step = next_step(result.job, task_id, same, can_wait=result.retry, too_large=too_large)
        return ToolResult([], brief(result.job, arguments.get("frames", ALL), step))

    return Tool(
        name="query_video_status",
        title="Query a teaching video / 查询教学视频",
        description=DESCRIPTION.format(how=how),
        schema=schema(waiter.max_wait),
        call=query_video_status,
        output_schema=OUTPUT_SCHEMA,
        annotations=ANNOTATIONS,
        aliases={"taskId": "task_id", "waitSeconds": "wait_seconds"},
        numeric=frozenset({"task_id"}),
    )


def _job_id(text: str) -> str:
    """Return the id of a job. If a client follows the job as a task, its model knows only the id of the task."""
    return job_ids.job_of(text) if "." in text else text


def schema(max_wait: int) -> dict[str, Any]:
    """Return the input schema, which states the longest wait in seconds that the operator allows."""
    return {
        "type": "object",
        "properties": {
            "task_id": {
                "type": "string",
                "description": "The value that gen_video returned. 任务 ID。",
            },
            "wait_seconds": {
                "type": "integer",
                "description": "Return when the job has ended, or after this many seconds; default 0, at most"
                f" {max_wait}. You cannot wait yourself. If a call with it times out, omit it. 等待秒数。",
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
    """Return a job with the requested frames, the total number of frames, and the next step for the model."""
    all_frames = frames(job)
    shown = dict(job)
    if wanted == NONE:
        shown.pop("progress", None)
    elif wanted == NEWEST and all_frames:
        shown["progress"] = all_frames[-1:]
    return {**shown, "frames_total": len(all_frames), "next": step}
