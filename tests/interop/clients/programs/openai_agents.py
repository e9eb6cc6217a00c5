"""The OpenAI Agents SDK's MCP server class. Arguments: URL, the key's header, its value, mode (not used)."""

import asyncio
import json
import sys

from agents.mcp import MCPServerStreamableHttp


async def make_video(url: str, header: str, key: str) -> dict[str, object]:
    """Start a video, follow it to its end, and tell how it went."""
    # A call may wait for 50 seconds, and this SDK gives up after 5 unless told otherwise.
    connection = {"url": url, "headers": {header: key}}
    async with MCPServerStreamableHttp(connection, client_session_timeout_seconds=60) as server:
        tools = await server.list_tools()
        job = await server.call_tool("gen_video", {"question": "Why is the sky blue?"})
        task_id = json.loads(job.content[0].text)["task_id"]
        following = {"task_id": task_id, "wait_seconds": 50, "frames": "none"}
        calls, status = 0, "IN_PROGRESS"
        while status == "IN_PROGRESS" and calls < 10:
            result = await server.call_tool("query_video_status", following)
            video = json.loads(result.content[0].text)  # content is what this SDK gives its model, by default
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
    """Call without a key; return what there is to show."""
    async with MCPServerStreamableHttp({"url": url}) as server:
        result = await server.call_tool("gen_video", {"question": "Why is the sky blue?"})
        return result.content[0].text if result.is_error else ""


async def main(url: str, header: str, key: str, mode: str) -> None:
    """Do both, and print it."""
    report = await make_video(url, header, key)
    print(json.dumps({**report, "failure": await forget_key(url)}))


asyncio.run(main(*sys.argv[1:]))
