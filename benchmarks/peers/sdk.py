"""Peer: the same two tools on the official Python SDK (`mcp` 2.x), stateless, with JSON responses, for uvicorn."""

from typing import Any, Literal

import api
from mcp.server.mcpserver import Context, MCPServer

mcp = MCPServer("scenext", log_level="WARNING")


@mcp.tool()
async def query_video_status(task_id: str, context: Context) -> dict[str, Any]:
    """Tell how a Scenext teaching-video job stands: its state, the frames so far, and the link to the video."""
    return await api.get_status(task_id, (context.headers or {})["authorization"])


@mcp.tool()
async def gen_video(
    context: Context,
    question: str = "",
    answer: str = "",
    question_images: list[str] | None = None,
    answer_images: list[str] | None = None,
    quality: Literal["h", "m", "l"] = "m",
) -> dict[str, Any]:
    """Start one Scenext job that makes a teaching video explaining a question. Every call is charged."""
    return await api.gen_video(
        question, answer, question_images, answer_images, quality, (context.headers or {})["authorization"]
    )


app = mcp.streamable_http_app(stateless_http=True, json_response=True)
