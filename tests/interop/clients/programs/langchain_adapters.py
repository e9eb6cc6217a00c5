"""LangChain's MCP adapters. Arguments: URL, the key's header, its value, mode (not used)."""

import asyncio
import json
import sys
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langchain_mcp_adapters.client import MultiServerMCPClient


async def call(tool: BaseTool, **arguments: Any) -> ToolMessage:
    """Run a tool as an agent does, and return the message that its model gets."""
    return await tool.ainvoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})


async def make_video(url: str, header: str, key: str) -> dict[str, object]:
    """Start a video, wait for it, and tell how it went."""
    client = MultiServerMCPClient({"scenext": {"transport": "http", "url": url, "headers": {header: key}}})
    server = await client.get_server_info()
    tools = {tool.name: tool for tool in await client.get_tools()}
    job = await call(tools["gen_video"], question="Why is the sky blue?")
    task_id = job.artifact["structured_content"]["task_id"]
    for _ in range(20):
        message = await call(tools["query_video_status"], task_id=task_id)
        video = message.artifact["structured_content"]
        if video["status"] != "IN_PROGRESS":
            break
        await asyncio.sleep(5)
    return {
        "revision": server["scenext"].protocolVersion,
        "tools": list(tools),
        "task_id": task_id,
        "status": video["status"],
        "video": video["result"]["video_url"],
    }


async def forget_key(url: str) -> str:
    """Call without a key; return what there is to show."""
    client = MultiServerMCPClient({"scenext": {"transport": "http", "url": url}})
    tools = {tool.name: tool for tool in await client.get_tools()}
    message = await call(tools["gen_video"], question="Why is the sky blue?")
    return message.text if message.status == "error" else ""


async def main(url: str, header: str, key: str, mode: str) -> None:
    """Do both, and print it."""
    report = await make_video(url, header, key)
    print(json.dumps({**report, "failure": await forget_key(url)}))


asyncio.run(main(*sys.argv[1:]))
