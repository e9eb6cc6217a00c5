"""LangChain's MCP adapters. Arguments: URL, the key's header, its value, mode (not used)."""

import asyncio
import json
import sys
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langchain_mcp_adapters.callbacks import CallbackContext, Callbacks
from langchain_mcp_adapters.client import MultiServerMCPClient


async def call(tool: BaseTool, **arguments: Any) -> ToolMessage:
    """Run a tool as an agent does; return the message for its model."""
    return await tool.ainvoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})


async def make_video(url: str, header: str, key: str) -> dict[str, object]:
    """Start a video, follow it to its end, and return the report."""
    progress = []

    async def show(done: float, total: float | None, message: str | None, context: CallbackContext) -> None:
        progress.append(message)

    connection = {"transport": "http", "url": url, "headers": {header: key}}
    client = MultiServerMCPClient({"scenext": connection}, callbacks=Callbacks(on_progress=show))
    server = await client.get_server_info()
    tools = {tool.name: tool for tool in await client.get_tools()}
    job = await call(tools["gen_video"], question="Why is the sky blue?")
    task_id = job.artifact["structured_content"]["task_id"]
    calls, status = 0, "IN_PROGRESS"
    while status == "IN_PROGRESS" and calls < 10:
        message = await call(tools["query_video_status"], task_id=task_id, wait_seconds=50, frames="none")
        video = message.artifact["structured_content"]
        status = video["status"]
        calls += 1
    return {
        "revision": server["scenext"].protocolVersion,
        "tools": list(tools),
        "task_id": task_id,
        "status": status,
        "video": video["result"]["video_url"],
        "next": json.loads(message.text)["next"],  # the model gets the content, never the artifact
        "progress": progress,
        "calls": calls,
    }


async def forget_key(url: str) -> str:
    """Call a tool without a key; return the error text."""
    client = MultiServerMCPClient({"scenext": {"transport": "http", "url": url}})
    tools = {tool.name: tool for tool in await client.get_tools()}
    message = await call(tools["gen_video"], question="Why is the sky blue?")
    return message.text if message.status == "error" else ""


async def main(url: str, header: str, key: str, mode: str) -> None:
    """Run both scenarios and print the report."""
    report = await make_video(url, header, key)
    print(json.dumps({**report, "failure": await forget_key(url)}))


asyncio.run(main(*sys.argv[1:]))
