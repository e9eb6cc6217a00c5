"""An agent of the OpenAI Agents SDK that repeats a call after a timeout. Arguments: URL, the key's header, its value.

The timeout is the SDK's default, 5 seconds. The model is the SDK's scripted one. It starts a video, queries the job and
answers with the link, and takes each value from the last result that the SDK gives it.
"""

import asyncio
import json
import re
import sys

from agents import Agent, Runner, set_tracing_disabled
from agents.mcp import MCPServerStreamableHttp
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call

RETRIES = 3


def value(call, name):
    """Return a field of the last result, in which JSON may be quoted as text."""
    found = re.search(rf'{name}[^\w]+([^"\\]+)', json.dumps(call.input[-1]))
    return found[1] if found else None


def start(call):
    """Start a video."""
    return [function_call("gen_video", {"question": "Why is the sky blue?"}, call_id="start")]


def query(call):
    """Query the job of the first result."""
    return [function_call("query_video_status", {"task_id": value(call, "task_id")}, call_id="query")]


def answer(call):
    """Answer with the link of the second result."""
    return [assistant_message(str(value(call, "video_url")))]


async def main(url: str, header: str, key: str) -> None:
    """Run the agent and print its answer."""
    set_tracing_disabled(True)
    model = ScriptedModel([ModelStep.respond(step) for step in (start, query, answer)])
    connection = {"url": url, "headers": {header: key}}
    async with MCPServerStreamableHttp(connection, max_retry_attempts=RETRIES) as server:
        agent = Agent(name="Teacher", model=model, mcp_servers=[server])
        print((await Runner.run(agent, "Make a video.")).final_output)


asyncio.run(main(*sys.argv[1:]))
