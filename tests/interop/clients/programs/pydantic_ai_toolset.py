"""Pydantic AI's MCP toolset. Arguments: URL, the key's header, its value, mode (not used)."""

import asyncio
import json
import sys

from pydantic_ai import ModelRetry
from pydantic_ai.mcp import MCPToolset


async def make_video(url: str, header: str, key: str) -> dict[str, object]:
    """Start a video, follow it to its end, and return the report."""
    progress = []

    async def show(done: float, total: float | None, message: str | None) -> None:
        progress.append(message)

    async with MCPToolset(url, headers={header: key}, progress_handler=show) as toolset:
        tools = await toolset.list_tools()
        job = await toolset.direct_call_tool("gen_video", {"question": "Why is the sky blue?"})
        task_id = job["task_id"]
        following = {"task_id": task_id, "wait_seconds": 50, "frames": "none"}
        calls, status = 0, "IN_PROGRESS"
        while status == "IN_PROGRESS" and calls < 10:
            video = await toolset.direct_call_tool("query_video_status", following)
            status = video["status"]
            calls += 1
        return {
            "revision": toolset.client.protocol_version,
            "tools": [tool.name for tool in tools],
            "task_id": task_id,
            "status": status,
            "video": video["result"]["video_url"],
            "next": video["next"],  # the model gets the return value, which is the structured content
            "progress": progress,
            "calls": calls,
        }


async def forget_key(url: str) -> str:
    """Call a tool without a key; return the error text."""
    async with MCPToolset(url) as toolset:
        try:
            await toolset.direct_call_tool("gen_video", {"question": "Why is the sky blue?"})
        except ModelRetry as error:
            return error.message
    return ""


async def main(url: str, header: str, key: str, mode: str) -> None:
    """Run both scenarios and print the report."""
    report = await make_video(url, header, key)
    print(json.dumps({**report, "failure": await forget_key(url)}))


asyncio.run(main(*sys.argv[1:]))
