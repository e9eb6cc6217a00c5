"""What the model sees: the tools, one file each, and the texts they share. The one place where MCP meets Scenext.

    query_video_status   a tool: description, schemas, function
    gen_video            the same
    asking               what asks Scenext for a caller: key, trace, record, failure in words
    waiting              a call that waits until a job has ended
    credentials          whose key a call is made with
    failure_texts        what the model is told of a failed call
    job_text             a job's data for people
    next_step            what the model is told to do next
    made_up              what the sandbox's answers say besides
    output               what output schemas say of Scenext's values

A new tool is a file like `gen_video`, and one line in `tools`. Schemas are plain: hosts refuse or drop tools with
root-level `anyOf`, `pattern`, `additionalProperties`, `$schema`.
"""

from ..mcp import Tool
from ..scenext.client import Scenext
from . import gen_video, next_step, query_video_status
from .credentials import Credentials
from .made_up import NOTE, TITLE, said
from .waiting import Waits

__all__ = ["instructions", "title", "tools"]

INSTRUCTIONS = (
    "Scenext makes teaching videos that explain a question. Start a job with gen_video, once; follow it with"
    " query_video_status, {how}, and do what each result says until COMPLETED or FAILED, which takes 10 to 20 minutes;"
    " then show the user the video as a Markdown link. Calls need the user's Scenext API key in the HTTP headers of the"
    " MCP connection. / Scenext 生成讲解题目的教学视频：先用 gen_video 创建一次任务，再用 query_video_status（{how}）"
    "跟进到结束。"
)


def instructions(longest: int, sandbox: bool = False) -> str:
    """Return what a server with these tools says of itself; `longest` are the seconds that a call may wait."""
    text = INSTRUCTIONS.format(how=next_step.arguments(longest))
    return f"{text}\n{NOTE}" if sandbox else text


def title(sandbox: bool) -> str:
    """Return what a server with these tools is called."""
    return TITLE if sandbox else "Scenext"


def tools(
    scenext: Scenext,
    credentials: Credentials,
    default_quality: str,
    waits: Waits,
    view: str | None = None,
    sandbox: bool = False,
) -> list[Tool]:
    """Make the tools, in the order in which they are listed; `view` is the uri of the card that shows a job."""
    as_it_is = said if sandbox else lambda tool: tool
    return [
        as_it_is(query_video_status.tool(scenext, credentials, waits)),
        as_it_is(gen_video.tool(scenext, credentials, default_quality, waits.longest, view)),
    ]
