"""FastMCP's client. Arguments: URL, the key's header, its value, mode (not used)."""

import asyncio
import json
import sys

from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from fastmcp.exceptions import ToolError


async def make_video(url: str, header: str, key: str) -> dict[str, object]:
    """Start a video, wait for it, and tell how it went."""
    async with Client(StreamableHttpTransport(url, headers={header: key})) as client:
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
            "tools": [tool.name for tool in tools],
            "task_id": task_id,
            "status": video.structured_content["status"],
            "video": video.structured_content["result"]["video_url"],
        }


async def forget_key(url: str) -> str:
    """Call without a key; return what there is to show."""
    async with Client(url) as client:
        try:
            await client.call_tool("gen_video", {"question": "Why is the sky blue?"})
        except ToolError as error:
            return str(error)
    return ""


async def main(url: str, header: str, key: str, mode: str) -> None:
    """Do both, and print it."""
    report = await make_video(url, header, key)
    print(json.dumps({**report, "failure": await forget_key(url)}))


asyncio.run(main(*sys.argv[1:]))
