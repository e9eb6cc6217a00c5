"""The tool `query_video_status`: the state of a job, its frames, and the finished video."""

from typing import Any

from ..mcp import Call, Tool, ToolResult
from ..scenext.client import Scenext
from . import job_text
from .asking import ask
from .credentials import Credentials

DESCRIPTION = (
    "Tell how a Scenext teaching-video job stands: its state (IN_PROGRESS, COMPLETED, FAILED), the frames so far, and,"
    " once COMPLETED, the link to the video. 查询教学视频任务的状态、画面和成片链接。\n"
    "Use it after gen_video, or whenever the user asks about a task_id they have. Not for starting a video: that is"
    " gen_video.\n"
    "A video takes 10 to 20 minutes: ask once straight away, then every 30 seconds, and stop at COMPLETED or FAILED."
    " Asking is free and changes nothing. Show the video as [text](url) and frames as ![text](url); the links expire.\n"
    "Needs the user's Scenext API key in the HTTP headers of the MCP connection (Authorization: Bearer or X-API-Key);"
    " never ask for it in the conversation."
)

SCHEMA = {
    "type": "object",
    "properties": {
        "task_id": {
            "type": "string",
            "description": "The job's id, exactly as gen_video returned it. 任务 ID，由 gen_video 返回。",
        }
    },
    "required": ["task_id"],
}

# Loose on purpose: Scenext's object is passed on unchanged, and clients refuse a result that breaks its schema.
OUTPUT_SCHEMA = {
    "type": "object",
    "properties": {
        "task_id": {"description": "The job's id."},
        "status": {"description": "IN_PROGRESS, COMPLETED or FAILED."},
        "progress": {"description": "The frames so far: a list of {id, image}; images are signed links that expire."},
        "result": {"description": "Once COMPLETED or FAILED: video_url or error, as an object or a list of them."},
    },
}


def tool(scenext: Scenext, credentials: Credentials) -> Tool:
    """Make the tool."""

    def query_video_status(arguments: dict[str, Any], call: Call) -> ToolResult:
        data = ask(scenext.get_status, arguments["task_id"].strip(), call, credentials)
        return ToolResult([{"type": "text", "text": job_text.write(data)}], data)

    return Tool(
        name="query_video_status",
        title="Query a teaching video / 查询教学视频",
        description=DESCRIPTION,
        schema=SCHEMA,
        call=query_video_status,
        output_schema=OUTPUT_SCHEMA,
        annotations={"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": True},
        aliases={"taskId": "task_id"},
    )
