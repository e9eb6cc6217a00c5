"""The Python SDK `mcp` 1. Arguments: URL, mode (not used). Signs in, uses the token, and loses it."""

import asyncio
import json
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata, OAuthToken
from person import connect

CALLBACK = "http://localhost:3030/callback"


class Store:
    """Keep the token and the registration in memory."""

    def __init__(self) -> None:
        self.token: Any = None
        self.client: Any = None

    async def get_tokens(self) -> Any:
        return self.token

    async def set_tokens(self, tokens: Any) -> None:
        self.token = tokens

    async def get_client_info(self) -> Any:
        return self.client

    async def set_client_info(self, client_info: Any) -> None:
        self.client = client_info


async def use(url: str, store: Store) -> dict[str, Any]:
    """Query a job; return the report."""
    opened: list[str] = []

    async def open_page(page: str) -> None:
        opened.append(connect(page))

    async def wait_for_code() -> tuple[str, str | None]:
        query = parse_qs(urlsplit(opened[-1]).query)
        return query["code"][0], query["state"][0]

    metadata = OAuthClientMetadata(redirect_uris=[CALLBACK], client_name="Python SDK 1")
    auth = OAuthClientProvider(url, metadata, store, open_page, wait_for_code)
    async with (
        httpx.AsyncClient(auth=auth) as http,
        streamable_http_client(url, http_client=http) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        server = await session.initialize()
        video = await session.call_tool("query_video_status", {"task_id": "sandbox-completed", "frames": "none"})
        return {"opened": len(opened), "status": video.structuredContent["status"], "era": server.protocolVersion}


async def main(url: str, mode: str) -> None:
    """Print the reports of a new client, one with a token, and one with an expired token."""
    store = Store()
    reports = [await use(url, store), await use(url, store)]
    store.token = OAuthToken(access_token="scenext-signin-expired", token_type="Bearer")
    reports.append(await use(url, store))
    print(json.dumps(reports))


asyncio.run(main(*sys.argv[1:]))
