"""The Python SDK `mcp` 2. Arguments: URL, the key's header, its value, mode (`auto` or `legacy`)."""

import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def make_video(url: str, header: str, key: str, mode: str) -> dict[str, object]:
    """Start a video, follow it to its end, and return the report."""
    progress = []

    async def show(done: float, total: float | None, message: str | None) -> None:
        progress.append(message)

    async with (
        httpx2.AsyncClient(headers={header: key}) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        tools = await client.list_tools()
        job = await client.call_tool("gen_video", {"question": "Why is the sky blue?"})
        task_id = job.structured_content["task_id"]
        following = {"task_id": task_id, "wait_seconds": 50, "frames": "none"}
        calls, status = 0, "IN_PROGRESS"
        while status == "IN_PROGRESS" and calls < 10:
            video = await client.call_tool("query_video_status", following, progress_callback=show)
            status = video.structured_content["status"]
            calls += 1
        return {
            "revision": client.protocol_version,
            "tools": [tool.name for tool in tools.tools],
            "task_id": task_id,
            "status": status,
            "video": video.structured_content["result"]["video_url"],
            "next": json.loads(video.content[0].text)["next"],  # the text that a host may give its model
            "progress": progress,
            "calls": calls,
        }


async def forget_key(url: str, mode: str) -> str:
    """Call a tool without a key; return the error text."""
    async with Client(url, mode=mode) as client:
        result = await client.call_tool("gen_video", {"question": "Why is the sky blue?"})
        return result.content[0].text if result.is_error else ""


async def main(url: str, header: str, key: str, mode: str) -> None:
    """Run both scenarios and print the report."""
    report = await make_video(url, header, key, mode)
    print(json.dumps({**report, "failure": await forget_key(url, mode)}))


asyncio.run(main(*sys.argv[1:]))
