"""Pydantic AI's MCP toolset. Arguments: URL, the key's header, its value, mode (not used)."""

import asyncio
import json
import sys

from pydantic_ai import ModelRetry
from pydantic_ai.mcp import MCPToolset


async def make_video(url: str, header: str, key: str) -> dict[str, object]:
    """Start a video, wait for it, and tell how it went."""
    async with MCPToolset(url, headers={header: key}) as toolset:
        tools = await toolset.list_tools()
        job = await toolset.direct_call_tool("gen_video", {"question": "Why is the sky blue?"})
        task_id = job["task_id"]
        for _ in range(20):
            video = await toolset.direct_call_tool("query_video_status", {"task_id": task_id})
            if video["status"] != "IN_PROGRESS":
                break
            await asyncio.sleep(5)
        return {
            "revision": toolset.client.protocol_version,
            "tools": [tool.name for tool in tools],
            "task_id": task_id,
            "status": video["status"],
            "video": video["result"]["video_url"],
        }


async def forget_key(url: str) -> str:
    """Call without a key; return what there is to show."""
    async with MCPToolset(url) as toolset:
        try:
            await toolset.direct_call_tool("gen_video", {"question": "Why is the sky blue?"})
        except ModelRetry as error:
            return error.message
    return ""


async def main(url: str, header: str, key: str, mode: str) -> None:
    """Do both, and print it."""
    report = await make_video(url, header, key)
    print(json.dumps({**report, "failure": await forget_key(url)}))


asyncio.run(main(*sys.argv[1:]))
