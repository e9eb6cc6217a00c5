"""The Scenext API for the asynchronous peers: one shared client that keeps its connections alive."""

import os
from functools import cache
from typing import Any

import aiohttp

API = os.environ["SCENEXT_API_BASE_URL"]


@cache
def client() -> aiohttp.ClientSession:
    """Return the client of this process, created with the first call, because it needs a running event loop."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20), connector=aiohttp.TCPConnector(limit=256))


async def get_status(task_id: str, authorization: str) -> dict[str, Any]:
    """Return the `data` of a job."""
    async with client().get(f"{API}/get_status/{task_id}", headers={"Authorization": authorization}) as response:
        response.raise_for_status()
        return (await response.json())["data"]


async def gen_video(
    question: str,
    answer: str,
    question_images: list[str] | None,
    answer_images: list[str] | None,
    quality: str,
    authorization: str,
) -> dict[str, Any]:
    """Start a job; return its `data`."""
    job = {
        "question": question,
        "answer": answer,
        "questionImages": question_images or [],
        "answerImages": answer_images or [],
        "quality": quality,
    }
    async with client().post(f"{API}/gen_video", json=job, headers={"Authorization": authorization}) as response:
        response.raise_for_status()
        return (await response.json())["data"]
