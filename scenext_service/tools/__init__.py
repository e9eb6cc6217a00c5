"""The tools, one file each, and the texts that they share. The only package in which MCP meets Scenext.

    query_video_status   a tool: description, schemas, function
    gen_video            a tool: description, schemas, function
    api_call             calls the Scenext API for a caller: key, trace headers, log record, tool error
    job_tasks            jobs as tasks, which a client follows in the background
    job_ids              the ids of these tasks
    repeats              returns the job of an earlier, equal call instead of starting another
    started_jobs         remembers started jobs in a file for that
    waiting              waits inside one call until a job has ended
    messages             a job's data as text for people, and the next step for the model
    failure_texts        error texts for the model
    failure_people       error texts for people
    signed_in            the texts for clients that have signed in, and the check of their keys
    simulated            marks the sandbox's results as simulated, and states its durations
    pictures             checks images and URLs before a job is charged

To add a tool, write a file like `gen_video` and add one line to `create_tools`. Keep schemas plain, because hosts
refuse or drop tools with root-level `anyOf`, `pattern`, `additionalProperties`, `$schema`.
"""

from ..mcp import Tool
from ..scenext.client import Scenext
from . import gen_video, query_video_status
from .api_call import Credentials
from .job_tasks import JobTasks
from .messages import query_arguments
from .repeats import RepeatWindow
from .signed_in import as_signed_in, with_sign_in
from .simulated import NOTE, TITLE, as_simulated, with_sandbox_times
from .waiting import JobWaiter

__all__ = ["create_tools", "instructions", "title"]

INSTRUCTIONS = (
    "Scenext makes teaching videos that explain a question. Start one job with gen_video. Unless the result says that"
    " it is followed for you, follow it with query_video_status, {how}, and do what each result says until COMPLETED or"
    " FAILED, which takes 10 to 20 minutes. Then show the user the video as a Markdown link. Calls need the user's"
    " Scenext API key in the HTTP headers of the MCP connection. / Scenext 生成讲解题目的教学视频：先用 gen_video"
    " 创建一个任务，再用 query_video_status（{how}）跟进到结束。"
)


def instructions(max_wait: int, sandbox: bool = False, *, signed_in: bool = False) -> str:
    """Return the server's instructions for the model. `max_wait` is a call's longest wait in seconds."""
    text = INSTRUCTIONS.format(how=query_arguments(max_wait))
    text = with_sign_in(text) if signed_in else text
    return f"{with_sandbox_times(text)}\n{NOTE}" if sandbox else text


def title(sandbox: bool) -> str:
    """Return the server's title."""
    return TITLE if sandbox else "Scenext"


def create_tools(
    scenext: Scenext,
    credentials: Credentials,
    default_quality: str,
    waiter: JobWaiter,
    view: str | None = None,
    repeats: RepeatWindow | None = None,
    sandbox: bool = False,
    tasks: JobTasks | None = None,
    *,
    signed_in: bool = False,
) -> list[Tool]:
    """Create the tools, in the order of `tools/list`.

    `view` is the URI of the card that shows a job. `repeats` is None if repeated calls start jobs of their own. With
    `tasks`, a client that supports them follows a job as a task. `signed_in` is true for clients that sign in.
    """
    on_failed = (lambda job: None) if repeats is None else repeats.forget_failed
    tools = [
        query_video_status.tool(scenext, credentials, waiter, on_failed),
        gen_video.tool(scenext, credentials, default_quality, waiter.max_wait, view, repeats, tasks),
    ]
    tools = [as_signed_in(tool) for tool in tools] if signed_in else tools
    return [as_simulated(tool) for tool in tools] if sandbox else tools
