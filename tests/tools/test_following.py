"""A job followed with `wait_seconds` and `frames`, through the whole application: its answers, and what is next."""

import re
from typing import Any

import fastjsonschema
import orjson
import pytest

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.scenext.sandbox_jobs import FRAMES
from scenext_service.serving.application import Service
from tests.support.messages import BEARER, Mcp
from tests.support.scripted import NOW, Reply, ScriptedScenext

QUERY = "query_video_status"
BOTH = {"Accept": "application/json, text/event-stream"}
FRAME = [{"id": f"frame{n}", "image": f"https://oss.scenext.example/{n}.png"} for n in range(1, 41)]
JOB = {"task_id": "12345", "status": "IN_PROGRESS", "progress": FRAME, "未公布的字段": {"deep": [1, None]}}
COMPLETED = {"task_id": "12345", "status": "COMPLETED", "progress": FRAME, "result": {"video_url": "https://h/v.mp4"}}
FAILED = {"task_id": "12345", "status": "FAILED", "result": {"error": "no text"}}


@pytest.fixture
def upstream() -> ScriptedScenext:
    """Make the Scenext of `app`, with a job that is under way."""
    scripted = ScriptedScenext()
    scripted.succeeds(JOB)
    return scripted


@pytest.fixture
def app(config: Config, upstream: ScriptedScenext) -> Service:
    """Make the application over `upstream`."""
    return create_app(config, upstream)


def ask(mcp: Mcp, arguments: dict[str, Any], headers: dict[str, str] | None = None, threads: bool = True) -> Any:
    """Ask for the job 12345 on a server with threads, or without; return the result."""
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
        return orjson.loads(last.removeprefix(b"data: "))["result"]
    return response.get_json()["result"]


def brief(result: Any) -> dict[str, Any]:
    """Check that a result says one object twice, once as JSON, and nothing else; return the object."""
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
        pytest.param({"wait_seconds": 0, "frames": "all"}, {"progress": FRAME}, id="all, and no wait"),
        pytest.param({"frames": "newest"}, {"progress": FRAME[-1:]}, id="newest"),
        pytest.param({"frames": "none"}, {}, id="none"),
        pytest.param({"wait_seconds": 1}, {"progress": FRAME}, id="a wait, all if left out"),
        pytest.param({"wait_seconds": 1, "frames": "newest"}, {"progress": FRAME[-1:]}, id="a wait, newest"),
        pytest.param({"waitSeconds": 1, "frames": "none"}, {}, id="a wait in camel case, none"),
    ],
)
@pytest.mark.parametrize("headers", [{}, BOTH], ids=["json", "stream"])
def test_either_argument_makes_the_answer_one_block_with_the_wanted_frames(
    mcp: Mcp, arguments: dict[str, Any], progress: dict[str, Any], headers: dict[str, str]
) -> None:
    """Ours: upstream's data, every field unchanged but `progress`; `frames_total` and `next` beside them."""
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
        pytest.param({"wait_seconds": 0}, id="a wait of nothing"),
        pytest.param({"wait_seconds": -5}, id="a negative wait"),
        pytest.param({"wait_seconds": None, "frames": None}, id="nulls"),
    ],
)
def test_without_them_the_answer_is_what_it_was(mcp: Mcp, arguments: dict[str, Any]) -> None:
    """Ours: programs written for scenext-mcp parse `content[0].text`, others `structuredContent`: byte for byte."""
    result = ask(mcp, arguments, BOTH)
    assert result["structuredContent"] == JOB
    assert result["content"][0]["text"] == orjson.dumps(JOB).decode()
    assert len(result["content"]) == 2


@pytest.mark.parametrize(
    ("progress", "wanted", "shown", "total"),
    [
        pytest.param([], "newest", [], 0, id="none yet"),
        pytest.param(None, "newest", None, 0, id="null"),
        pytest.param({"a": 1}, "newest", {"a": 1}, 0, id="no list"),
        pytest.param([1, FRAME[0], "x"], "newest", FRAME[:1], 1, id="odd entries"),
        pytest.param([1, FRAME[0], "x"], "all", [1, FRAME[0], "x"], 1, id="odd entries, all"),
    ],
)
def test_odd_progress_is_shown_as_it_came(
    mcp: Mcp, upstream: ScriptedScenext, progress: Any, wanted: str, shown: Any, total: int
) -> None:
    """Ours: Scenext's API reference documents a list of {id, image}; anything else is tolerated."""
    upstream.succeeds({**JOB, "progress": progress})
    job = brief(ask(mcp, {"frames": wanted}))
    assert (job["progress"], job["frames_total"]) == (shown, total)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param({"wait_seconds": "50"}, ('"wait_seconds"', "integer", "'50'", "整数"), id="string"),
        pytest.param({"wait_seconds": 1.5}, ('"wait_seconds"', "integer", "1.5"), id="fraction"),
        pytest.param({"wait_seconds": True}, ('"wait_seconds"', "integer", "true"), id="boolean"),
        pytest.param({"frames": "last"}, ('"frames"', "all, newest, none", "'last'"), id="unknown frames"),
        pytest.param({"frames": 1}, ('"frames"', "1"), id="number of frames"),
    ],
)
def test_wrong_arguments_are_explained_and_send_nothing(
    mcp: Mcp, upstream: ScriptedScenext, arguments: dict[str, Any], words: tuple[str, ...]
) -> None:
    """Spec: SEP-1303: a tool error, because the model can mend it."""
    result = ask(mcp, arguments, BOTH)
    assert result["isError"] is True
    assert [word for word in words if word not in result["content"][0]["text"]] == []
    assert upstream.requests == []


@pytest.mark.parametrize("arguments", [{"wait_seconds": 10**30}, {"wait_seconds": 50}], ids=["huge", "as advised"])
def test_a_job_that_ends_is_told_at_once_however_long_the_wait(
    mcp: Mcp, upstream: ScriptedScenext, arguments: dict[str, Any]
) -> None:
    """Ours: what has ended is plain JSON, and asked for once."""
    upstream.succeeds(COMPLETED)
    job = brief(ask(mcp, {**arguments, "frames": "none"}, BOTH))
    assert (job["status"], job["result"], "progress" in job) == ("COMPLETED", COMPLETED["result"], False)
    assert len(upstream.requests) == 1


# What is next

AGAIN = "Call query_video_status again now with task_id 12345 and "
CANNOT = "This server cannot wait for the job now. Do not call again at once"


@pytest.mark.parametrize(
    ("data", "arguments", "threads", "begins"),
    [
        pytest.param(JOB, {"wait_seconds": 1}, True, f"{AGAIN}the same arguments;", id="running"),
        pytest.param(JOB, {"frames": "none"}, True, f'{AGAIN}wait_seconds=50, frames="none";', id="not waited for"),
        pytest.param({"task_id": "12345"}, {"wait_seconds": 1}, True, AGAIN, id="no status"),
        pytest.param(JOB, {"wait_seconds": 9}, False, CANNOT, id="no threads"),
        pytest.param(JOB, {"frames": "none"}, False, CANNOT, id="no threads, and no wait asked for"),
        pytest.param(
            COMPLETED, {"wait_seconds": 9}, True, "Show the user the video as a Markdown link", id="completed"
        ),
        pytest.param(COMPLETED, {"frames": "none"}, False, "Show the user the video", id="completed, no threads"),
        pytest.param({"status": "COMPLETED"}, {"frames": "all"}, True, "The job 12345 is done", id="without a video"),
        pytest.param(FAILED, {"wait_seconds": 9}, True, "Tell the user why the job 12345 failed", id="failed"),
    ],
)
def test_next_is_the_very_next_step_with_the_job_in_it(
    mcp: Mcp, upstream: ScriptedScenext, data: dict[str, Any], arguments: dict[str, Any], threads: bool, begins: str
) -> None:
    """Ours: several hosts give their model the object and no other text."""
    upstream.succeeds(data)
    step = brief(ask(mcp, arguments, threads=threads))["next"]
    assert step.startswith(begins)
    assert "12345" in step
    assert step.isascii()
    assert not re.search(r"\d+ seconds", step)
    if begins.startswith((AGAIN, CANNOT)):
        assert "start no other job" in step
        assert "tell the user" in step
        assert "ask again in 10 minutes" in step
    if "failed" in begins:
        assert "A new job is charged again" in step


def test_an_answer_without_frames_is_short_however_many_there_are(mcp: Mcp) -> None:
    """Ours: each word is read again in every later turn. Tokens are counted in benchmarks/tokens.py."""
    job = {**brief(ask(mcp, {"frames": "none"}))}
    del job["未公布的字段"]
    assert len(orjson.dumps(job)) < 350


@pytest.mark.parametrize("config", [Config(sandbox=True, max_wait=0)], ids=["no waiting"])
def test_an_operator_can_turn_waiting_off(mcp: Mcp) -> None:
    """Ours: SCENEXT_MAX_WAIT=0: no text advises a wait then, and no call waits."""
    job = brief(ask(mcp, {"wait_seconds": 50, "frames": "none"}, BOTH))
    assert job["next"].startswith(CANNOT)
    listed = mcp.legacy("tools/list").get_data(as_text=True)
    opened = mcp.legacy("initialize", {}).get_data(as_text=True)
    assert "wait_seconds 0" not in listed + opened
    assert 'query_video_status, frames=\\"none\\"' in listed


@pytest.mark.parametrize("config", [Config(sandbox=True, max_wait=110)], ids=["110"])
def test_every_text_names_the_longest_wait_of_the_operator(mcp: Mcp, upstream: ScriptedScenext) -> None:
    """Ours: SCENEXT_MAX_WAIT: a model asks for what its description says."""
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
    """Ours: it cannot: it asks in a tight loop, or gives up, or starts a second job."""
    texts = [mcp.legacy("initialize", {}).get_json()["result"]["instructions"]]
    if place == "description":
        texts = [tool["description"] for tool in mcp.legacy("tools/list").get_json()["result"]["tools"]]
        upstream.succeeds({"task_id": "12345"})
        texts.append(mcp.call("gen_video", {"question": "q"})["structuredContent"]["message"])
        upstream.succeeds(JOB)
        texts.append(ask(mcp, {})["content"][1]["text"])
    assert [found for text in texts if (found := re.findall(r"every \d+|\d+ seconds|\d+ 秒", text))] == []


# In the sandbox, in the log


def test_a_new_job_of_the_sandbox_costs_what_a_real_one_does(mcp: Mcp, upstream: ScriptedScenext) -> None:
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


def test_the_line_of_a_call_that_waited_tells_pauses_from_scenexts_time(mcp: Mcp, log_lines: list[str]) -> None:
    """Ours: docs/operating.md, "Logs": one line at the end, with the real outcome."""
    ask(mcp, {"wait_seconds": 1, "frames": "none"}, BOTH)
    (line,) = log_lines
    fields = dict(re.findall(r"(\w+)=(\S+)", line))
    assert (fields["outcome"], fields["status"], fields["tool"]) == ("ok", "200", QUERY)
    assert 900 < float(fields["waited_ms"]) <= float(fields["ms"])
    assert float(fields["upstream_ms"]) < 500


def test_a_process_that_is_to_end_ends_a_wait_with_its_answer(app: Service, mcp: Mcp) -> None:
    """Ours: SIGTERM and a reload; what the server's hooks call is `Service.stop`."""
    app.stop()
    job = brief(ask(mcp, {"wait_seconds": 50, "frames": "none"}, BOTH))
    assert job["next"].startswith(AGAIN)


def test_a_lasting_failure_in_a_wait_is_told_and_noted(
    mcp: Mcp, upstream: ScriptedScenext, log_lines: list[str]
) -> None:
    """Ours: 401, 403 and 404 are told at once, with the text that they have without a wait."""
    answers = [Reply(200, {"status": "success", "data": JOB}), Reply(404, {"status": "error", "message": "gone"})]
    upstream.script = lambda request: answers[min(len(upstream.requests), 2) - 1]
    result = ask(mcp, {"wait_seconds": 4, "frames": "none"}, BOTH)
    assert result["isError"] is True
    assert "knows no such job" in result["content"][0]["text"]
    assert len(upstream.requests) == 2
    (line,) = log_lines
    assert "outcome=tool_error failure=NotFound" in line
