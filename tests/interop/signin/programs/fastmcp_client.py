"""fastmcp. Arguments: URL, mode (not used). Signs in with its own callback server, and uses the token again."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from fastmcp import Client
from fastmcp.client.auth import OAuth

PERSON = Path(__file__).parent / "person.py"


class Person(OAuth):
    """Sign in with the person of person.py instead of a browser."""

    opened = 0

    async def redirect_handler(self, authorization_url: str) -> None:
        self.opened += 1
        subprocess.Popen([sys.executable, str(PERSON), authorization_url, "follow"], stdout=subprocess.DEVNULL)


async def use(url: str, person: Person) -> dict[str, Any]:
    """Query a job; return the report."""
    async with Client(url, auth=person) as client:
        video = await client.call_tool("query_video_status", {"task_id": "sandbox-completed", "frames": "none"})
        return {"opened": person.opened, "status": video.structured_content["status"]}


async def main(url: str, mode: str) -> None:
    """Print the reports of a new client, and of one with a token."""
    person = Person(url)
    print(json.dumps([await use(url, person), await use(url, person)]))


asyncio.run(main(*sys.argv[1:]))
