"""FastMCP's client with its extension for tasks. Arguments: URL, the key's header, its value, mode (not used)."""

import asyncio
import json
import sys

import fastmcp_tasks  # noqa: F401  # lets every client follow tasks
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from fastmcp.exceptions import ToolError


async def make_video(url: str, header: str, key: str) -> dict[str, object]:
    """Make a video in one call, and return the report."""
    async with Client(StreamableHttpTransport(url, headers={header: key})) as client:
        tools = await client.list_tools()
        video = await client.call_tool("gen_video", {"question": "Why is the sky blue?"})
        return {
            "revision": client.protocol_version,
            "tools": [tool.name for tool in tools],
            "task_id": video.structured_content["task_id"],
            "status": video.structured_content["status"],
            "video": video.structured_content["result"]["video_url"],
            "next": video.structured_content.get("next"),
            "progress": None,
            "calls": 1,  # of tools; the extension polls the task
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
