"""FastMCP's client. Arguments: URL, the key's header, its value, mode (not used)."""

import asyncio
import json
import sys

from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from fastmcp.exceptions import ToolError


async def make_video(url: str, header: str, key: str) -> dict[str, object]:
    """Start a video, follow it to its end, and return the report."""
    progress = []

    async def show(done: float, total: float | None, message: str | None) -> None:
        progress.append(message)

    async with Client(StreamableHttpTransport(url, headers={header: key})) as client:
        tools = await client.list_tools()
        job = await client.call_tool("gen_video", {"question": "Why is the sky blue?"})
        task_id = job.structured_content["task_id"]
        following = {"task_id": task_id, "wait_seconds": 50, "frames": "none"}
        calls, status = 0, "IN_PROGRESS"
        while status == "IN_PROGRESS" and calls < 10:
            video = await client.call_tool("query_video_status", following, progress_handler=show)
            status = video.structured_content["status"]
            calls += 1
        return {
            "revision": client.protocol_version,
            "tools": [tool.name for tool in tools],
            "task_id": task_id,
            "status": status,
            "video": video.structured_content["result"]["video_url"],
            "next": video.structured_content["next"],  # not in `data`, which holds only the fields of the output schema
            "progress": progress,
            "calls": calls,
        }


async def forget_key(url: str) -> str:
    """Call a tool without a key; return the error text."""
    async with Client(url) as client:
        try:
            await client.call_tool("gen_video", {"question": "Why is the sky blue?"})
        except ToolError as error:
            return str(error)
    return ""


async def main(url: str, header: str, key: str, mode: str) -> None:
    """Run both scenarios and print the report."""
    report = await make_video(url, header, key)
    print(json.dumps({**report, "failure": await forget_key(url)}))


asyncio.run(main(*sys.argv[1:]))
