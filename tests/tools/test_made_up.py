"""The sandbox says in each of its answers that it is made up, where people and models read; nothing else ever does."""

import re
from typing import Any

import orjson
import pytest

from scenext_service import create_app
from scenext_service.config import Config
from tests.support.messages import BEARER, Mcp
from tests.support.scripted import ScriptedScenext

ENGLISH = "Sandbox: this is made up, and nothing is charged."
BOTH = f"{ENGLISH} / 沙盒：内容均为虚构，不扣费。"
QUERY, GEN = "query_video_status", "gen_video"


@pytest.mark.parametrize("arguments", [{"wait_seconds": 1}, {"frames": "all"}, {"wait_seconds": 1, "frames": "none"}])
@pytest.mark.parametrize("task_id", ["sandbox-completed", "sandbox-failed", "sandbox-in-progress"])
def test_the_next_step_says_so(mcp: Mcp, task_id: str, arguments: dict[str, Any]) -> None:
    """Ours: a model that follows a job reads `next`; in English, as all of it is."""
    result = mcp.call(QUERY, {"task_id": task_id, **arguments})
    assert result["structuredContent"]["next"].endswith(f" {ENGLISH}")
    (block,) = result["content"]
    assert orjson.loads(block["text"]) == result["structuredContent"]


def test_the_text_of_a_job_says_so_and_its_data_is_left_as_it_is(mcp: Mcp) -> None:
    """Ours: programs read the data, in `content[0]` as in `structuredContent`: what Scenext gave, and no more."""
    result = mcp.call(QUERY, {"task_id": "sandbox-completed"})
    data, text = (block["text"] for block in result["content"])
    assert text.endswith(f"\n{BOTH}")
    assert set(result["structuredContent"]) == {"task_id", "status", "progress", "points", "result"}
    assert orjson.loads(data) == result["structuredContent"]
    assert "made up" not in data


def test_what_is_said_of_a_new_job_says_so(mcp: Mcp) -> None:
    """Ours: in each half of the result, as hosts hand on only one."""
    result = mcp.call(GEN, {"question": "Why?"})
    assert result["structuredContent"]["message"].endswith(f"\n{BOTH}")
    assert result["content"][1]["text"].endswith(f"\n{BOTH}")
    assert orjson.loads(result["content"][0]["text"]) == result["structuredContent"]


@pytest.mark.parametrize(
    "task_id",
    [
        "sandbox-busy",
        "sandbox-down",
        "sandbox-rejected",
        "sandbox-broken",
        "sandbox-silent",
        "sandbox-unreachable",
        "1",
    ],
)
def test_what_failed_at_a_made_up_scenext_says_so(mcp: Mcp, task_id: str) -> None:
    """Ours: nobody looks for a fault of Scenext that there is not."""
    result = mcp.call(QUERY, {"task_id": task_id})
    assert result["isError"] is True
    assert re.search(rf"(。|请求 ID：\w+)\n{re.escape(BOTH)}$", result["content"][0]["text"])


@pytest.mark.parametrize(
    ("tool", "arguments", "headers"),
    [
        pytest.param(GEN, {}, BEARER, id="no question"),
        pytest.param(GEN, {"question": 1}, BEARER, id="a wrong argument"),
        pytest.param(GEN, {"question": "Why?"}, {}, id="no key"),
        pytest.param(QUERY, {"task_id": ".."}, BEARER, id="no id"),
    ],
)
def test_what_this_server_refuses_is_not_made_up(
    mcp: Mcp, tool: str, arguments: dict[str, Any], headers: dict[str, str]
) -> None:
    """Ours: it would refuse the same outside of the sandbox."""
    result = mcp.call(tool, arguments, headers)
    assert result["isError"] is True
    assert "made up" not in result["content"][0]["text"]


def test_the_server_introduces_itself_so(mcp: Mcp) -> None:
    """Ours: hosts show the title, and hand the instructions to their model."""
    result = mcp.legacy("initialize", {"protocolVersion": "2025-11-25"}).get_json()["result"]
    assert result["serverInfo"]["title"] == "Scenext (sandbox: videos are made up)"
    assert result["instructions"].endswith(f"\n{BOTH}")


@pytest.mark.parametrize("frames", [{}, {"frames": "all"}])
@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "IN_PROGRESS"])
def test_outside_of_the_sandbox_nothing_says_so(state: str, frames: dict[str, str]) -> None:
    """Ours: the real thing is none of it."""
    upstream = ScriptedScenext()
    upstream.succeeds({"task_id": "12345", "status": state, "progress": []})
    mcp = Mcp(create_app(Config(), upstream).test_client())
    answers = [
        mcp.call(QUERY, {"task_id": "12345", **frames}),
        mcp.call(GEN, {"question": "Why?"}),
        mcp.legacy("initialize", {"protocolVersion": "2025-11-25"}).get_json(),
        mcp.modern("server/discover").get_json(),
        mcp.modern("tools/list").get_json(),
    ]
    assert [answer for answer in answers if "made up" in str(answer) or "Sandbox" in str(answer)] == []
