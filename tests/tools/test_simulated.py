"""Every sandbox response states that it is simulated, where people and models read it. No real response does."""

import re
from typing import Any

import orjson
import pytest

from scenext_service import create_app
from scenext_service.config import Config
from tests.support.messages import BEARER, Mcp
from tests.support.scripted import ScriptedScenext

ENGLISH = "Sandbox: this is simulated, and nothing is charged."
BOTH = f"{ENGLISH} / 沙盒：结果均为模拟，不扣费。"
QUERY, GEN = "query_video_status", "gen_video"


@pytest.mark.parametrize("arguments", [{"wait_seconds": 1}, {"frames": "all"}, {"wait_seconds": 1, "frames": "none"}])
@pytest.mark.parametrize("task_id", ["sandbox-completed", "sandbox-failed", "sandbox-in-progress"])
def test_the_next_step_states_that_it_is_simulated(mcp: Mcp, task_id: str, arguments: dict[str, Any]) -> None:
    """Ours: a model that follows a job reads `next`, which is in English only."""
    result = mcp.call(QUERY, {"task_id": task_id, **arguments})
    assert result["structuredContent"]["next"].endswith(f" {ENGLISH}")
    (block,) = result["content"]
    assert orjson.loads(block["text"]) == result["structuredContent"]


def test_the_notice_is_in_the_text_of_a_job_but_not_in_its_data(mcp: Mcp) -> None:
    """Ours: programs read the data from `content[0]` or `structuredContent`, so it is exactly what Scenext returned."""
    result = mcp.call(QUERY, {"task_id": "sandbox-completed"})
    data, text = (block["text"] for block in result["content"])
    assert text.endswith(f"\n{BOTH}")
    assert set(result["structuredContent"]) == {"task_id", "status", "progress", "points", "result"}
    assert orjson.loads(data) == result["structuredContent"]
    assert "simulated" not in data


def test_the_message_of_a_new_job_states_that_it_is_simulated(mcp: Mcp) -> None:
    """Ours: both in the text and in the structured content, because hosts pass on only one of them."""
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
        "sandbox-firewall",
        "sandbox-silent",
        "sandbox-unreachable",
        "1",
    ],
)
def test_a_simulated_upstream_failure_states_that_it_is_simulated(mcp: Mcp, task_id: str) -> None:
    """Ours: users and operators do not search for a fault of Scenext that does not exist."""
    result = mcp.call(QUERY, {"task_id": task_id})
    assert result["isError"] is True
    assert re.search(rf"(。|请求 ID：\w+)\n{re.escape(BOTH)}$", result["content"][0]["text"])


@pytest.mark.parametrize(
    ("tool", "arguments", "headers"),
    [
        pytest.param(GEN, {}, BEARER, id="no question"),
        pytest.param(GEN, {"question": 1}, BEARER, id="wrong argument"),
        pytest.param(GEN, {"question": "Why?"}, {}, id="no key"),
        pytest.param(QUERY, {"task_id": ".."}, BEARER, id="invalid task id"),
    ],
)
def test_a_call_rejected_by_this_server_is_not_called_simulated(
    mcp: Mcp, tool: str, arguments: dict[str, Any], headers: dict[str, str]
) -> None:
    """Ours: the server would reject the same call outside the sandbox."""
    result = mcp.call(tool, arguments, headers)
    assert result["isError"] is True
    assert "simulated" not in result["content"][0]["text"]


@pytest.mark.parametrize("wait", [0, 50])
def test_all_texts_of_the_sandbox_state_its_own_durations(wait: int) -> None:
    """Ours: a person who reads “10 to 20 minutes” does not watch a video that is ready in one."""
    client = Mcp(create_app(Config(sandbox=True, max_wait=wait)).test_client())
    assert [set(times) - {"one minute", "1 分钟"} for times in durations(client, "sandbox-in-progress")] == [set()] * 7


def test_the_texts_of_a_real_service_state_the_duration_of_a_real_job() -> None:
    """Ours: Scenext's own figure."""
    upstream = ScriptedScenext()
    upstream.succeeds({"task_id": "12345", "status": "IN_PROGRESS"})
    found = durations(Mcp(create_app(Config(max_wait=0), upstream).test_client()), "12345")
    assert [set(times) - {"10 to 20 minutes", "10 到 20 分钟", "10 minutes"} for times in found] == [set()] * 7


def durations(client: Mcp, task_id: str) -> list[list[str]]:
    """Return the minutes in each text about a job. Each has some."""
    answers = [
        client.legacy("initialize", {"protocolVersion": "2025-11-25"}).get_json()["result"]["instructions"],
        client.modern("server/discover").get_json()["result"]["instructions"],
        *[tool["description"] for tool in client.modern("tools/list").get_json()["result"]["tools"]],
        client.call(GEN, {"question": "Why?"}),
        client.call(QUERY, {"task_id": task_id}),
        client.call(QUERY, {"task_id": task_id, "frames": "none"}),
    ]
    found = [re.findall(r"(?:\d+ to )?\w+ minutes?\b|(?:\d+ 到 )?\d+ 分钟", str(answer)) for answer in answers]
    assert [times for times in found if not times] == []
    return found


def test_title_and_instructions_state_that_videos_are_simulated(mcp: Mcp) -> None:
    """Ours: hosts show the title, and pass the instructions to their model."""
    result = mcp.legacy("initialize", {"protocolVersion": "2025-11-25"}).get_json()["result"]
    assert result["serverInfo"]["title"] == "Scenext (sandbox: simulated videos)"
    assert result["instructions"].endswith(f"\n{BOTH}")


@pytest.mark.parametrize("frames", [{}, {"frames": "all"}])
@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "IN_PROGRESS"])
def test_nothing_is_called_simulated_outside_the_sandbox(state: str, frames: dict[str, str]) -> None:
    """Ours: real responses have no such notice."""
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
    assert [answer for answer in answers if "simulated" in str(answer) or "Sandbox" in str(answer)] == []
