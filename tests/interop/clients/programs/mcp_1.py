"""The Python SDK `mcp` 1. Arguments: URL, the key's header, its value, mode (not used)."""

import asyncio
import json
import sys

import httpx
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


async def make_video(url: str, header: str, key: str) -> dict[str, object]:
    """Start a video, follow it to its end, and return the report."""
    progress = []

    async def show(done: float, total: float | None, message: str | None) -> None:
        progress.append(message)

    async with (
        httpx.AsyncClient(headers={header: key}) as http,
        streamable_http_client(url, http_client=http) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        server = await session.initialize()
        tools = await session.list_tools()
        job = await session.call_tool("gen_video", {"question": "Why is the sky blue?"})
        task_id = job.structuredContent["task_id"]
        following = {"task_id": task_id, "wait_seconds": 50, "frames": "none"}
        calls, status = 0, "IN_PROGRESS"
        while status == "IN_PROGRESS" and calls < 10:
            video = await session.call_tool("query_video_status", following, progress_callback=show)
            status = video.structuredContent["status"]
            calls += 1
        return {
            "revision": server.protocolVersion,
            "tools": [tool.name for tool in tools.tools],
            "task_id": task_id,
            "status": status,
            "video": video.structuredContent["result"]["video_url"],
            "next": json.loads(video.content[0].text)["next"],  # the text that a host may give its model
            "progress": progress,
            "calls": calls,
        }


async def forget_key(url: str) -> str:
    """Call a tool without a key; return the error text."""
    async with streamable_http_client(url) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        result = await session.call_tool("gen_video", {"question": "Why is the sky blue?"})
        return result.content[0].text if result.isError else ""


async def main(url: str, header: str, key: str, mode: str) -> None:
    """Run both scenarios and print the report."""
    report = await make_video(url, header, key)
    print(json.dumps({**report, "failure": await forget_key(url)}))


asyncio.run(main(*sys.argv[1:]))
