"""Peer: the same two tools on FastMCP 4.x, stateless, with JSON responses, for uvicorn."""

from typing import Any, Literal

import api
from fastmcp import FastMCP
from fastmcp.server.dependencies import get_http_headers

mcp = FastMCP("scenext")


def authorization() -> str:
    """Return the caller's Authorization header."""
    return get_http_headers(include={"authorization"})["authorization"]


@mcp.tool
async def query_video_status(task_id: str) -> dict[str, Any]:
    """Tell how a Scenext teaching-video job stands: its state, the frames so far, and the link to the video."""
    return await api.get_status(task_id, authorization())


@mcp.tool
async def gen_video(
    question: str = "",
    answer: str = "",
    question_images: list[str] | None = None,
    answer_images: list[str] | None = None,
    quality: Literal["h", "m", "l"] = "m",
) -> dict[str, Any]:
    """Start one Scenext job that makes a teaching video explaining a question. Every call is charged."""
    return await api.gen_video(question, answer, question_images, answer_images, quality, authorization())


app = mcp.http_app(stateless_http=True, json_response=True)
