"""The Python SDK `mcp` 2. Arguments: URL, the key's header, its value, mode (`auto` or `legacy`)."""

import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def make_video(url: str, header: str, key: str, mode: str) -> dict[str, object]:
    """Start a video, wait for it, and tell how it went."""
    async with (
        httpx2.AsyncClient(headers={header: key}) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        tools = await client.list_tools()
        job = await client.call_tool("gen_video", {"question": "Why is the sky blue?"})
        task_id = job.structured_content["task_id"]
        for _ in range(20):
            video = await client.call_tool("query_video_status", {"task_id": task_id})
            if video.structured_content["status"] != "IN_PROGRESS":
                break
            await asyncio.sleep(5)
        return {
            "revision": client.protocol_version,
            "tools": [tool.name for tool in tools.tools],
            "task_id": task_id,
            "status": video.structured_content["status"],
            "video": video.structured_content["result"]["video_url"],
        }


async def forget_key(url: str, mode: str) -> str:
    """Call without a key; return what there is to show."""
    async with Client(url, mode=mode) as client:
        result = await client.call_tool("gen_video", {"question": "Why is the sky blue?"})
        return result.content[0].text if result.is_error else ""


async def main(url: str, header: str, key: str, mode: str) -> None:
    """Do both, and print it."""
    report = await make_video(url, header, key, mode)
    print(json.dumps({**report, "failure": await forget_key(url, mode)}))


asyncio.run(main(*sys.argv[1:]))
