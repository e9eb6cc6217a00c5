"""The OpenAI Agents SDK's MCP server class. Arguments: URL, the key's header, its value, mode (not used)."""

import asyncio
import json
import sys

from agents.mcp import MCPServerStreamableHttp


async def make_video(url: str, header: str, key: str) -> dict[str, object]:
    """Start a video, follow it to its end, and return the report."""
    # A call may wait 50 seconds, and the default timeout of this SDK is 5 seconds.
    connection = {"url": url, "headers": {header: key}}
    async with MCPServerStreamableHttp(connection, client_session_timeout_seconds=60) as server:
        tools = await server.list_tools()
        job = await server.call_tool("gen_video", {"question": "Why is the sky blue?"})
        task_id = json.loads(job.content[0].text)["task_id"]
        following = {"task_id": task_id, "wait_seconds": 50, "frames": "none"}
        calls, status = 0, "IN_PROGRESS"
        while status == "IN_PROGRESS" and calls < 10:
            result = await server.call_tool("query_video_status", following)
            video = json.loads(result.content[0].text)  # by default, this SDK gives its model the content
            status = video["status"]
            calls += 1
        return {
            "revision": server.session.protocol_version,
            "tools": [tool.name for tool in tools],
            "task_id": task_id,
            "status": status,
            "video": video["result"]["video_url"],
            "next": video["next"],
            "progress": None,  # its call_tool takes no handler
            "calls": calls,
        }


async def forget_key(url: str) -> str:
    """Call a tool without a key; return the error text."""
    async with MCPServerStreamableHttp({"url": url}) as server:
        result = await server.call_tool("gen_video", {"question": "Why is the sky blue?"})
        return result.content[0].text if result.is_error else ""


async def main(url: str, header: str, key: str, mode: str) -> None:
    """Run both scenarios and print the report."""
    report = await make_video(url, header, key)
    print(json.dumps({**report, "failure": await forget_key(url)}))


asyncio.run(main(*sys.argv[1:]))
