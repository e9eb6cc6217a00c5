"""The Python SDK `mcp` 1. Arguments: URL, the key's header, its value, mode (not used)."""

import asyncio
import json
import sys

import httpx
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


async def make_video(url: str, header: str, key: str) -> dict[str, object]:
    """Start a video, wait for it, and tell how it went."""
    async with (
        httpx.AsyncClient(headers={header: key}) as http,
        streamable_http_client(url, http_client=http) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        server = await session.initialize()
        tools = await session.list_tools()
        job = await session.call_tool("gen_video", {"question": "Why is the sky blue?"})
        task_id = job.structuredContent["task_id"]
        for _ in range(20):
            video = await session.call_tool("query_video_status", {"task_id": task_id})
            if video.structuredContent["status"] != "IN_PROGRESS":
                break
            await asyncio.sleep(5)
        return {
            "revision": server.protocolVersion,
            "tools": [tool.name for tool in tools.tools],
            "task_id": task_id,
            "status": video.structuredContent["status"],
            "video": video.structuredContent["result"]["video_url"],
        }


async def forget_key(url: str) -> str:
    """Call without a key; return what there is to show."""
    async with streamable_http_client(url) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        result = await session.call_tool("gen_video", {"question": "Why is the sky blue?"})
        return result.content[0].text if result.isError else ""


async def main(url: str, header: str, key: str, mode: str) -> None:
    """Do both, and print it."""
    report = await make_video(url, header, key)
    print(json.dumps({**report, "failure": await forget_key(url)}))


asyncio.run(main(*sys.argv[1:]))
