"""Following a job with `wait_seconds` and `frames`, through the whole application: results and next steps."""

import re
from typing import Any

import fastjsonschema
import orjson
import pytest

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.scenext.sandbox.jobs import FRAMES
from scenext_service.server.application import Service
from tests.support.messages import BEARER, Mcp
from tests.support.scripted import NOW, Reply, ScriptedScenext, SkippedWaits

QUERY = "query_video_status"
BOTH = {"Accept": "application/json, text/event-stream"}
FRAME = [{"id": f"frame{n}", "image": f"https://oss.scenext.example/{n}.png"} for n in range(1, 41)]
JOB = {"task_id": "12345", "status": "IN_PROGRESS", "progress": FRAME, "未公布的字段": {"deep": [1, None]}}
COMPLETED = {"task_id": "12345", "status": "COMPLETED", "progress": FRAME, "result": {"video_url": "https://h/v.mp4"}}
FAILED = {"task_id": "12345", "status": "FAILED", "result": {"error": "no text"}}


@pytest.fixture
def upstream() -> ScriptedScenext:
    """Make the Scenext of `app`, with a job in progress."""
    scripted = ScriptedScenext()
    scripted.succeeds(JOB)
    return scripted


@pytest.fixture
def app(config: Config, upstream: ScriptedScenext) -> Service:
    """Make the application over `upstream`, without waits."""
    return create_app(config, upstream, SkippedWaits().clock)


def ask(mcp: Mcp, arguments: dict[str, Any], headers: dict[str, str] | None = None, threads: bool = True) -> Any:
    """Query job 12345 on a server with or without threads, and return the result."""
    body = {"name": QUERY, "arguments": {"task_id": "12345", **arguments}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": body}
    sent = {"Content-Type": "application/json", **BEARER, **(headers or {})}
    environ = {"wsgi.multithread": threads}
    response = mcp.client.post("/mcp", json=message, headers=sent, environ_overrides=environ)
    assert response.status_code == 200
    if response.content_type == "text/event-stream":
        (*_, last, end) = response.get_data().split(b"\n\n")
        response.close()
        assert end == b""
        return orjson.loads(last.removeprefix(b"event: message\ndata: "))["result"]
    return response.get_json()["result"]


def brief(result: Any) -> dict[str, Any]:
    """Check that a result contains one object, as structured content and as JSON text. Return the object."""
    assert result["isError"] is False
    (content,) = result["content"]
    assert content == {"type": "text", "text": orjson.dumps(result["structuredContent"]).decode()}
    job: dict[str, Any] = result["structuredContent"]
    return job


# Arguments and results


@pytest.mark.parametrize(
    ("arguments", "progress"),
    [
        pytest.param({"frames": "all"}, {"progress": FRAME}, id="all"),
        pytest.param({"wait_seconds": 0, "frames": "all"}, {"progress": FRAME}, id="all, no wait"),
        pytest.param({"frames": "newest"}, {"progress": FRAME[-1:]}, id="newest"),
        pytest.param({"frames": "none"}, {}, id="none"),
        pytest.param({"wait_seconds": 1}, {"progress": FRAME}, id="wait, default frames"),
        pytest.param({"wait_seconds": 1, "frames": "newest"}, {"progress": FRAME[-1:]}, id="wait, newest"),
        pytest.param({"waitSeconds": 1, "frames": "none"}, {}, id="wait in camel case, none"),
    ],
)
@pytest.mark.parametrize("headers", [{}, BOTH], ids=["json", "stream"])
def test_either_argument_gives_one_block_with_the_requested_frames(
    mcp: Mcp, arguments: dict[str, Any], progress: dict[str, Any], headers: dict[str, str]
) -> None:
    """Ours: upstream's fields are unchanged except `progress`. `frames_total` and `next` are added."""
    job = brief(ask(mcp, arguments, headers))
    rest = {name: value for name, value in JOB.items() if name != "progress"}
    assert job == {**rest, **progress, "frames_total": 40, "next": job["next"]}
    assert list(job)[-2:] == ["frames_total", "next"]
    (tool,) = (tool for tool in mcp.legacy("tools/list").get_json()["result"]["tools"] if tool["name"] == QUERY)
    fastjsonschema.compile(tool["outputSchema"])(job)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({}, id="neither"),
        pytest.param({"wait_seconds": 0}, id="wait of zero"),
        pytest.param({"wait_seconds": -5}, id="negative wait"),
        pytest.param({"wait_seconds": None, "frames": None}, id="nulls"),
    ],
)
def test_without_both_arguments_the_result_is_unchanged(mcp: Mcp, arguments: dict[str, Any]) -> None:
    """Ours: programs written for scenext-mcp parse `content[0].text`, others `structuredContent`: byte for byte."""
    result = ask(mcp, arguments, BOTH)
    assert result["structuredContent"] == JOB
    assert result["content"][0]["text"] == orjson.dumps(JOB).decode()
    assert len(result["content"]) == 2


@pytest.mark.parametrize(
    ("progress", "wanted", "shown", "total"),
    [
        pytest.param([], "newest", [], 0, id="empty list"),
        pytest.param(None, "newest", None, 0, id="null"),
        pytest.param({"a": 1}, "newest", {"a": 1}, 0, id="not a list"),
        pytest.param([1, FRAME[0], "x"], "newest", FRAME[:1], 1, id="odd entries"),
        pytest.param([1, FRAME[0], "x"], "all", [1, FRAME[0], "x"], 1, id="odd entries, all"),
    ],
)
def test_malformed_progress_is_passed_on_unchanged(
    mcp: Mcp, upstream: ScriptedScenext, progress: Any, wanted: str, shown: Any, total: int
) -> None:
    """Ours: Scenext's API reference documents a list of {id, image}; anything else is tolerated."""
    upstream.succeeds({**JOB, "progress": progress})
    job = brief(ask(mcp, {"frames": wanted}))
    assert (job["progress"], job["frames_total"]) == (shown, total)


@pytest.mark.parametrize(
    ("wanted", "progress"),
    [
        pytest.param("all", [FRAME[0], {**FRAME[0], "id": "frame2"}, FRAME[2]], id="all"),
        pytest.param("newest", [FRAME[2]], id="newest"),
        pytest.param("none", None, id="none"),
    ],
)
def test_frames_total_counts_distinct_pictures(mcp: Mcp, upstream: ScriptedScenext, wanted: str, progress: Any) -> None:
    """Ours: the same number as in the card and the text. `all` returns Scenext's frames unchanged, with repeats."""
    upstream.succeeds({**JOB, "progress": [FRAME[0], {**FRAME[0], "id": "frame2"}, FRAME[2]]})
    job = brief(ask(mcp, {"frames": wanted}))
    assert (job.get("progress"), job["frames_total"]) == (progress, 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(
            {"wait_seconds": "long"}, ('"wait_seconds"', "integer", "'long'", "整数"), id="string for wait_seconds"
        ),
        pytest.param({"wait_seconds": 1.5}, ('"wait_seconds"', "integer", "1.5"), id="fraction for wait_seconds"),
        pytest.param({"wait_seconds": True}, ('"wait_seconds"', "integer", "true"), id="boolean for wait_seconds"),
        pytest.param({"frames": "last"}, ('"frames"', "all, newest, none", "'last'"), id="unknown frames"),
        pytest.param({"frames": 1}, ('"frames"', "1"), id="number for frames"),
    ],
)
def test_wrong_arguments_are_explained_and_send_nothing(
    mcp: Mcp, upstream: ScriptedScenext, arguments: dict[str, Any], words: tuple[str, ...]
) -> None:
    """Spec: SEP-1303: a tool error, because the model can correct it."""
    result = ask(mcp, arguments, BOTH)
    assert result["isError"] is True
    assert [word for word in words if word not in result["content"][0]["text"]] == []
    assert upstream.requests == []


@pytest.mark.parametrize("arguments", [{"wait_seconds": 10**30}, {"wait_seconds": 50}], ids=["huge", "as advised"])
def test_a_finished_job_is_returned_immediately_whatever_the_wait(
    mcp: Mcp, upstream: ScriptedScenext, arguments: dict[str, Any]
) -> None:
    """Ours: a finished job is returned in plain JSON after one query."""
    upstream.succeeds(COMPLETED)
    job = brief(ask(mcp, {**arguments, "frames": "none"}, BOTH))
    assert (job["status"], job["result"], "progress" in job) == ("COMPLETED", COMPLETED["result"], False)
    assert len(upstream.requests) == 1


# Next steps

AGAIN = "Call query_video_status again now with task_id 12345 and "
CANNOT = "This server cannot wait for the job now. Do not call again at once"


@pytest.mark.parametrize(
    ("data", "arguments", "threads", "begins"),
    [
        pytest.param(JOB, {"wait_seconds": 1}, True, f"{AGAIN}the same arguments;", id="running"),
        pytest.param(JOB, {"frames": "none"}, True, f'{AGAIN}wait_seconds=50, frames="none";', id="running, no wait"),
        pytest.param({"task_id": "12345"}, {"wait_seconds": 1}, True, AGAIN, id="no status"),
        pytest.param(JOB, {"wait_seconds": 9}, False, CANNOT, id="no threads"),
        pytest.param(JOB, {"frames": "none"}, False, CANNOT, id="no threads, no wait"),
        pytest.param(
            COMPLETED, {"wait_seconds": 9}, True, "Show the user the video as a Markdown link", id="completed"
        ),
        pytest.param(COMPLETED, {"frames": "none"}, False, "Show the user the video", id="completed, no threads"),
        pytest.param(
            {"status": "COMPLETED"}, {"frames": "all"}, True, "The job 12345 has completed", id="completed, no video"
        ),
        pytest.param(FAILED, {"wait_seconds": 9}, True, "Tell the user why the job 12345 failed", id="failed"),
    ],
)
def test_next_names_the_next_step_and_the_job(
    mcp: Mcp, upstream: ScriptedScenext, data: dict[str, Any], arguments: dict[str, Any], threads: bool, begins: str
) -> None:
    """Ours: several hosts pass only the object to their model, and no other text."""
    upstream.succeeds(data)
    step = brief(ask(mcp, arguments, threads=threads))["next"]
    assert step.startswith(begins)
    assert "12345" in step
    assert step.isascii()
    assert not re.search(r"\d+ seconds", step)
    if begins.startswith((AGAIN, CANNOT)):
        assert "start no other job" in step
        assert "tell the user" in step
        assert "ask again in one minute" in step
    if "failed" in begins:
        assert "A new job costs points" in step


def test_a_result_without_frames_is_short_for_any_number_of_them(mcp: Mcp) -> None:
    """Ours: models read each word again in every later turn. benchmarks/tokens.py counts the tokens."""
    job = {**brief(ask(mcp, {"frames": "none"}))}
    del job["未公布的字段"]
    assert len(orjson.dumps(job)) < 350


@pytest.mark.parametrize("config", [Config(sandbox=True, max_wait=0)], ids=["no waiting"])
def test_an_operator_can_disable_waiting(mcp: Mcp) -> None:
    """Ours: SCENEXT_MAX_WAIT=0: no text recommends a wait, and no call waits."""
    job = brief(ask(mcp, {"wait_seconds": 50, "frames": "none"}, BOTH))
    assert job["next"].startswith(CANNOT)
    listed = mcp.legacy("tools/list").get_data(as_text=True)
    opened = mcp.legacy("initialize", {}).get_data(as_text=True)
    assert "wait_seconds 0" not in listed + opened
    assert 'query_video_status, frames=\\"none\\"' in listed


@pytest.mark.parametrize("config", [Config(sandbox=True, max_wait=110)], ids=["110"])
def test_every_text_names_the_operators_maximum_wait(mcp: Mcp, upstream: ScriptedScenext) -> None:
    """Ours: SCENEXT_MAX_WAIT: models use the value from the description."""
    how = 'wait_seconds=110, frames="none"'
    tools = {tool["name"]: tool for tool in mcp.legacy("tools/list").get_json()["result"]["tools"]}
    assert [how in tools[name]["description"] for name in (QUERY, "gen_video")] == [True, True]
    assert "at most 110." in tools[QUERY]["inputSchema"]["properties"]["wait_seconds"]["description"]
    assert how in mcp.legacy("initialize", {}).get_json()["result"]["instructions"]
    assert how in ask(mcp, {})["content"][1]["text"]
    upstream.succeeds({"task_id": "12345"})
    assert how in mcp.call("gen_video", {"question": "q"})["structuredContent"]["message"]


@pytest.mark.parametrize("place", ["description", "instructions"])
def test_no_text_tells_a_model_to_wait_by_itself(mcp: Mcp, upstream: ScriptedScenext, place: str) -> None:
    """Ours: models cannot wait. They would poll in a tight loop, give up, or start a second job."""
    texts = [mcp.legacy("initialize", {}).get_json()["result"]["instructions"]]
    if place == "description":
        texts = [tool["description"] for tool in mcp.legacy("tools/list").get_json()["result"]["tools"]]
        upstream.succeeds({"task_id": "12345"})
        texts.append(mcp.call("gen_video", {"question": "q"})["structuredContent"]["message"])
        upstream.succeeds(JOB)
        texts.append(ask(mcp, {})["content"][1]["text"])
    assert [found for text in texts if (found := re.findall(r"every \d+|\d+ seconds|\d+ 秒", text))] == []


# Sandbox, log and shutdown


def test_a_sandbox_job_is_as_large_as_a_real_one(mcp: Mcp, upstream: ScriptedScenext) -> None:
    """Ours: at least six frames, and links of 217 characters, as Scenext documents them."""
    upstream.script = None
    task_id = mcp.call("gen_video", {"question": "q"})["structuredContent"]["task_id"]
    upstream.now = NOW + 59
    job = mcp.call(QUERY, {"task_id": task_id})["structuredContent"]
    assert (job["status"], len(job["progress"])) == ("IN_PROGRESS", FRAMES - 1)
    assert FRAMES >= 6
    assert {len(frame["image"]) for frame in job["progress"]} == {217}
    upstream.now = NOW + 60
    assert len(mcp.call(QUERY, {"task_id": task_id})["structuredContent"]["progress"]) == FRAMES


def test_the_log_separates_wait_time_from_upstream_time(
    config: Config, upstream: ScriptedScenext, request: pytest.FixtureRequest
) -> None:
    """Ours: docs/operating.md, "Logs": one line at the end, with the real outcome. This wait is a real one."""
    mcp = Mcp(create_app(config, upstream).test_client())
    lines: list[str] = request.getfixturevalue("lines")  # after the application, which sets up the log
    ask(mcp, {"wait_seconds": 1, "frames": "none"}, BOTH)
    (line,) = lines
    fields = dict(re.findall(r"(\w+)=(\S+)", line))
    assert (fields["outcome"], fields["status"], fields["tool"]) == ("ok", "200", QUERY)
    assert 900 < float(fields["waited_ms"]) <= float(fields["ms"])
    assert float(fields["upstream_ms"]) < 500


def test_a_stopping_process_ends_a_wait_with_the_current_result(app: Service, mcp: Mcp) -> None:
    """Ours: SIGTERM and a reload. The server's hooks call `Service.stop`."""
    app.stop()
    job = brief(ask(mcp, {"wait_seconds": 50, "frames": "none"}, BOTH))
    assert job["next"].startswith(AGAIN)


def test_a_permanent_failure_during_a_wait_is_reported_and_logged(
    mcp: Mcp, upstream: ScriptedScenext, log_lines: list[str]
) -> None:
    """Ours: 401, 403 and 404 are reported immediately, with the same text as without a wait."""
    answers = [Reply(200, {"status": "success", "data": JOB}), Reply(404, {"status": "error", "message": "gone"})]
    upstream.script = lambda request: answers[min(len(upstream.requests), 2) - 1]
    result = ask(mcp, {"wait_seconds": 4, "frames": "none"}, BOTH)
    assert result["isError"] is True
    assert "has no such job" in result["content"][0]["text"]
    assert len(upstream.requests) == 2
    (line,) = log_lines
    assert "outcome=tool_error failure=NotFound" in line
