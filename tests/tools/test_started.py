"""A job that Scenext has started is reported as started, never as an error to correct. Tested over real HTTP."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from scenext_service import create_app
from scenext_service.config import Config
from tests.support.messages import BEARER, Mcp, halves
from tests.support.upstream import Upstream, answer

pytestmark = pytest.mark.usefixtures("no_network_settings")

QUERY, GEN = "query_video_status", "gen_video"
ASKS = {QUERY: {"task_id": "12345"}, GEN: {"question": "1 + 1 = ?"}}

MAY_BE_CHARGED = "may have been started and charged"
DEEPEST = 251  # levels of `data` in a batch of responses; orjson serializes 254 levels in all
TOO_DEEP = "not JSON, or nested too deeply"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture
def mcp(upstream: Upstream) -> Mcp:
    """Return a client of the whole service, which calls `upstream` and gets its answer `scripted`."""
    return Mcp(create_app(Config(api_base_url=f"{upstream.url}/scripted", repeat_window=0)).test_client())


def call(mcp: Mcp, upstream: Upstream, tool: str, status: int, response: Any, **arguments: Any) -> dict[str, Any]:
    """Call a tool while Scenext sends this response. Bytes are sent unchanged."""
    body = response if isinstance(response, bytes) else orjson.dumps(response)
    upstream.answers["scripted"] = answer(status, body)
    return mcp.call(tool, {**ASKS[tool], **arguments})


OUTER = [
    pytest.param({"status": "success"}, id="documented"),
    pytest.param({"status": "ok"}, id="ok"),
    pytest.param({"status": "Success"}, id="capitalized"),
    pytest.param({"status": "OK"}, id="upper case"),
    pytest.param({}, id="no outer fields"),
    pytest.param({"status": None}, id="null"),
    pytest.param({"code": 0}, id="code 0"),
    pytest.param({"code": 200, "message": "ok"}, id="code 200"),
]
OTHER = [
    pytest.param({"status": "error", "message": "slow down"}, id="error"),
    pytest.param({"status": "pending"}, id="pending"),
    pytest.param({"status": 200}, id="number"),
    pytest.param({"status": True}, id="true"),
    pytest.param({"code": 1, "msg": "积分不足"}, id="code 1"),
    pytest.param({"error": "积分不足"}, id="error field"),
]


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("outer", [*OUTER, *OTHER])
def test_a_2xx_with_a_task_id_is_a_started_job(
    mcp: Mcp, upstream: Upstream, status: int, outer: dict[str, Any]
) -> None:
    """Ours: the job is charged and only its id leads to the video, whatever the outer status is."""
    result = call(mcp, upstream, GEN, status, {**outer, "data": {"task_id": 12345, "eta": 900}})
    job = result["structuredContent"]
    assert (result["isError"], job["task_id"], job["status"], job["eta"]) == (False, "12345", "success", 900)
    assert job["message"].startswith("The job has started.")
    assert len(upstream.requests) == 1


NO_JOB = [
    pytest.param({"status": "error", "message": "m"}, "answered with an error: “m”", id="error"),
    pytest.param({"status": "error", "data": {"error": "m"}}, "answered with an error: “m”", id="error in data"),
    pytest.param({"code": 1, "msg": "m"}, "answered with an error: “m”", id="code 1"),
    pytest.param({"code": 0}, 'answered with an error: “{"code":0}”', id="code without data"),
    pytest.param({"status": "ok"}, 'without a "data" object', id="ok without data"),
    pytest.param({"status": "ok", "data": {}}, 'without a "task_id"', id="ok without an id"),
    pytest.param({"data": {"id": "12345"}}, 'without a "task_id"', id="id in another field"),
    *[
        pytest.param({"status": "success", "data": {"task_id": bad}}, 'without a "task_id"', id=f"id-{bad!r}")
        for bad in (None, "", " ", True, 1.5, ["12345"])
    ],
]


@pytest.mark.parametrize(("response", "words"), NO_JOB)
def test_a_2xx_without_a_task_id_may_have_been_charged(
    mcp: Mcp, upstream: Upstream, response: dict[str, Any], words: str
) -> None:
    """Ours: an error with a success status is undocumented, so a model must not start another job."""
    result = call(mcp, upstream, GEN, 200, response)
    english, chinese = halves(result["content"][0]["text"])
    assert result["isError"] is True
    assert [word for word in (words, MAY_BE_CHARGED, "Do not call gen_video again") if word not in english] == []
    assert "任务可能已经创建并扣费" in chinese
    assert "call again, or" not in english


def test_a_2xx_that_reports_insufficient_points_is_not_charged(mcp: Mcp, upstream: Upstream) -> None:
    """Ours: a job without enough points was not started."""
    result = call(mcp, upstream, GEN, 200, {"status": "error", "message": "积分不足"})
    text = result["content"][0]["text"]
    assert (result["isError"], "too few points: “积分不足”" in text, MAY_BE_CHARGED in text) == (True, True, False)


@pytest.mark.parametrize("outer", OUTER)
def test_any_word_for_success_is_accepted_in_a_query(mcp: Mcp, upstream: Upstream, outer: dict[str, Any]) -> None:
    """Gap: Scenext's API reference documents "success". Other words are plausible if `data` is present."""
    data = {"task_id": "12345", "status": "IN_PROGRESS", "progress": []}
    result = call(mcp, upstream, QUERY, 200, {**outer, "data": data})
    assert (result["isError"], result.get("structuredContent")) == (False, data)


@pytest.mark.parametrize("outer", OTHER)
def test_any_other_outer_status_is_an_error_in_a_query(mcp: Mcp, upstream: Upstream, outer: dict[str, Any]) -> None:
    """Gap: only words for success count as success."""
    result = call(mcp, upstream, QUERY, 200, {**outer, "data": {"task_id": "12345"}})
    assert result["isError"] is True


def test_the_error_of_a_query_advises_a_correction(mcp: Mcp, upstream: Upstream) -> None:
    """Ours: a query is free."""
    english, _ = halves(call(mcp, upstream, QUERY, 200, {"status": "error", "message": "m"})["content"][0]["text"])
    assert english == (
        "Scenext answered with an error: “m”. Correct the problem that it names and call again, or tell the user the"
        " message."
    )


def response_of(levels: int, outer: bytes = b'"success"') -> bytes:
    """Return a response whose `data` has this many levels."""
    inner = b'{"x":' * (levels - 1) + b"1" + b"}" * (levels - 1)
    return b'{"status": %b, "data": {"task_id": "12345", "status": "IN_PROGRESS", "deep": %b}}' % (outer, inner)


def levels_of(value: Any) -> int:
    """Return the number of levels of a value that is nested in `deep`, then in `x`."""
    levels = 0
    while isinstance(value, dict):
        value, levels = value.get("deep", value.get("x")), levels + 1
    return levels


ALL_WAYS = pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        pytest.param(QUERY, {}, id="query"),
        pytest.param(QUERY, {"frames": "newest"}, id="query with frames"),
        pytest.param(GEN, {}, id="gen"),
    ],
)


@ALL_WAYS
def test_the_deepest_data_is_returned_in_both_eras_and_in_a_batch(
    mcp: Mcp, upstream: Upstream, tool: str, arguments: dict[str, Any]
) -> None:
    """Ours: orjson serializes 254 levels. Batch, message and result take three of them."""
    modern = call(mcp, upstream, tool, 200, response_of(DEEPEST), **arguments)
    params = {"name": tool, "arguments": {**ASKS[tool], **arguments}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    (entry,) = orjson.loads(mcp.post([message], BEARER).data)
    legacy = orjson.loads(mcp.post(message, BEARER).data)
    for result in (modern, legacy["result"], entry["result"]):
        assert (result["isError"], levels_of(result["structuredContent"])) == (False, DEEPEST)


@pytest.mark.parametrize("levels", [DEEPEST + 1, DEEPEST + 2, DEEPEST + 3, DEEPEST + 4, 1000, 1100])
@pytest.mark.parametrize("arguments", [{}, {"frames": "newest"}], ids=["plain", "frames"])
def test_deeper_data_of_a_query_is_reported_as_a_bad_response(
    mcp: Mcp, upstream: Upstream, levels: int, arguments: dict[str, Any]
) -> None:
    """Ours: failures.BadResponse, not an internal error."""
    result = call(mcp, upstream, QUERY, 200, response_of(levels), **arguments)
    assert result["isError"] is True
    assert TOO_DEEP in result["content"][0]["text"]


@pytest.mark.parametrize("levels", [DEEPEST + 1, DEEPEST + 2, DEEPEST + 3, DEEPEST + 4, 1000])
@pytest.mark.parametrize("outer", [b'"success"', b'"error"'])
def test_a_started_job_with_deeper_data_keeps_its_id(mcp: Mcp, upstream: Upstream, levels: int, outer: bytes) -> None:
    """Ours: the job is charged, and only its id leads to the video."""
    result = call(mcp, upstream, GEN, 200, response_of(levels, outer))
    job = result["structuredContent"]
    assert (result["isError"], set(job), job["task_id"]) == (False, {"task_id", "status", "message"}, "12345")


def test_a_start_response_too_deep_to_parse_may_have_been_charged(mcp: Mcp, upstream: Upstream) -> None:
    """Ours: orjson parses 1,024 levels."""
    text = call(mcp, upstream, GEN, 200, response_of(1100))["content"][0]["text"]
    assert (TOO_DEEP in text, MAY_BE_CHARGED in text) == (True, True)


@pytest.mark.parametrize("levels", range(248, 258))
@pytest.mark.parametrize("tool", [QUERY, GEN])
def test_an_error_of_any_depth_does_not_crash(mcp: Mcp, upstream: Upstream, levels: int, tool: str) -> None:
    """Ours: the message is searched for at every level. If there is none, the response is quoted."""
    nested = b'{"message":' * levels + b"1" + b"}" * levels
    result = call(mcp, upstream, tool, 200, b'{"status": "error", "message": %b}' % nested)
    text = result["content"][0]["text"]
    assert (result["isError"], "This server failed" in text, "Scenext" in text) == (True, False, True)
