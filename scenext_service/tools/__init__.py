"""What the model sees: the tools, one file each, and the texts they share. The one place where MCP meets Scenext.

    query_video_status   a tool: description, schemas, function
    gen_video            the same
    asking               one call of Scenext for a caller: key, trace, record, failure in words
    credentials          whose key a call is made with
    failure_texts        what the model is told of a failed call
    job_text             a job's data for people

A new tool is a file like `gen_video`, and one line in `tools`. Schemas are plain: hosts refuse or drop tools with
root-level `anyOf`, `pattern`, `additionalProperties`, `$schema`.
"""

from ..mcp import Tool
from ..scenext.client import Scenext
from . import gen_video, query_video_status
from .credentials import Credentials

__all__ = ["INSTRUCTIONS", "tools"]

INSTRUCTIONS = (
    "Scenext makes teaching videos that explain a question. Start a job with gen_video, once; then ask"
    " query_video_status every 30 seconds until COMPLETED or FAILED, which takes 10 to 20 minutes, and show the user"
    " the video as a Markdown link. Calls need the user's Scenext API key in the HTTP headers of the MCP connection."
    " / Scenext 生成讲解题目的教学视频：先用 gen_video 创建一次任务，再每 30 秒用 query_video_status 查询。"
)


def tools(scenext: Scenext, credentials: Credentials, default_quality: str) -> list[Tool]:
    """Make the tools, in the order in which they are listed."""
    return [
        query_video_status.tool(scenext, credentials),
        gen_video.tool(scenext, credentials, default_quality),
    ]
