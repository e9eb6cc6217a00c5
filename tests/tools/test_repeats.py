"""The repeat window: equal calls of gen_video are charged once, and no failure of the memory stops a call."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.mcp import Call, LogRecord, Steps, ToolError
from scenext_service.mcp.context import MAX_WAITING_BODY, Caller, TimeBudget
from scenext_service.scenext import failures
from scenext_service.tools import repeats, started_jobs
from scenext_service.tools.api_call import ApiCall, Credentials
from scenext_service.tools.repeats import Repeat, RepeatWindow, Started, ago
from scenext_service.tools.started_jobs import StartedJobs
from scenext_service.tools.waiting import SYSTEM_CLOCK, Clock, JobWaiter
from tests.support.messages import BEARER, CLIENT_CAPABILITIES, KEY, META, Mcp, halves, taken
from tests.support.pages import ROOT
from tests.support.scripted import NOW, Reply, ScriptedScenext, SkippedWaits
from tests.support.upstream import Upstream

pytestmark = pytest.mark.usefixtures("no_network_settings", "folder")

QUESTION = {"question": "Why is the sky blue?"}
CONFIG = Config(repeat_window=30)
OTHER_KEY = {"Authorization": "Bearer another-key-of-a-caller"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a temporary directory of the test's own; return the folder of the memory in it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"scenext-service-{os.getuid()}"


def numbered() -> Callable[[requests.PreparedRequest], Reply]:
    """Return a script that starts the jobs 1, 2, …"""
    ids: list[int] = []

    def script(request: requests.PreparedRequest) -> Reply:
        ids.append(len(ids) + 1)
        return Reply(200, {"status": "success", "data": {"task_id": str(ids[-1])}})

    return script


@pytest.fixture
def scenext() -> ScriptedScenext:
    return ScriptedScenext(numbered())


def service(scenext: ScriptedScenext, config: Config = CONFIG) -> Mcp:
    clock = SYSTEM_CLOCK._replace(unix=lambda: NOW)  # stands still, so that texts about times are exact
    return Mcp(create_app(config, scenext, clock).test_client())


@pytest.fixture
def mcp(scenext: ScriptedScenext) -> Mcp:
    return service(scenext)


def start(mcp: Mcp, headers: dict[str, str] | None = None, **arguments: Any) -> dict[str, Any]:
    return mcp.call("gen_video", {**QUESTION, **arguments}, headers)


def task_id(result: dict[str, Any]) -> str:
    assert result["isError"] is False, result
    found: str = result["structuredContent"]["task_id"]
    return found


def test_a_repeated_call_returns_the_running_job(mcp: Mcp, scenext: ScriptedScenext) -> None:
    """Ours: nothing is sent or charged. The result names the job, and the way to one more video."""
    first, second = start(mcp), start(mcp)
    assert len(scenext.requests) == 1
    message = second["structuredContent"].pop("message")
    assert second["structuredContent"] == {"task_id": "1", "status": "success"}
    assert second["structuredContent"].keys() < first["structuredContent"].keys()
    assert message == (
        "This very video was already started 0 seconds ago. Nothing was started or charged now. Next: call"
        ' query_video_status with this task_id, wait_seconds=50, frames="none", and do what each result says. Only if'
        " the user asks for one more video of the same question, call gen_video again with variant=2, which is charged."
        "\n该视频任务已在 0 秒前创建，本次没有新建任务，也未扣费。下一步：用该 task_id 调用 query_video_status，参数"
        ' wait_seconds=50, frames="none"，之后按返回的提示操作。仅在用户要求为同一题目再生成一个视频时，才用 variant=2'
        " 再次调用 gen_video（会扣费）。"
    )
    assert second["content"][1] == {"type": "text", "text": f"task_id: 1\n{message}"}


def test_a_card_shows_a_repeat_like_a_first_result(mcp: Mcp) -> None:
    """Ours: the card follows the job, so the model must not."""
    view = {"mimeTypes": ["text/html;profile=mcp-app"]}
    capabilities = {"extensions": {"io.modelcontextprotocol/ui": view}}
    params = {"name": "gen_video", "arguments": QUESTION, "_meta": {**META, CLIENT_CAPABILITIES: capabilities}}
    results = [mcp.modern("tools/call", params, {"X-API-Key": KEY}).get_json()["result"] for _ in range(2)]
    message = results[1]["structuredContent"]["message"]
    assert message.startswith(
        "This very video was already started 0 seconds ago. Nothing was started or charged now. A"
    )
    assert "Do not follow it" in message
    assert "variant=2" in message


EQUAL = [
    pytest.param({"quality": "m"}, id="default quality"),
    pytest.param({"answer": " ", "question_images": []}, id="blank optional arguments"),
    pytest.param({"questionImages": None}, id="alias and null"),
    pytest.param({"variant": 1}, id="variant 1"),
]
DIFFERENT = [
    pytest.param({"question": "Why is the sky blue"}, id="question"),
    pytest.param({"question": "Why is the sky  blue?"}, id="spaces"),
    pytest.param({"quality": "h"}, id="quality"),
    pytest.param({"answer": "Scattering"}, id="answer"),
    pytest.param({"notify_url": "https://example.com/"}, id="notify_url"),
    pytest.param({"variant": 2}, id="variant"),
]


@pytest.mark.parametrize("arguments", EQUAL)
def test_calls_with_an_equal_body_are_equal(mcp: Mcp, scenext: ScriptedScenext, arguments: dict[str, Any]) -> None:
    """Ours: the body for Scenext is compared, after aliases, defaults and blank optional arguments."""
    assert [task_id(start(mcp)), task_id(start(mcp, **arguments))] == ["1", "1"]
    assert len(scenext.requests) == 1


@pytest.mark.parametrize("arguments", DIFFERENT)
def test_calls_with_different_bodies_are_different(mcp: Mcp, arguments: dict[str, Any]) -> None:
    """Ours: the question is not normalized, because x² is not x2."""
    assert [task_id(start(mcp)), task_id(start(mcp, **arguments))] == ["1", "2"]


def test_calls_with_different_keys_are_different(mcp: Mcp) -> None:
    """Ours: another user's job is neither returned nor revealed."""
    assert [task_id(start(mcp)), task_id(start(mcp, OTHER_KEY)), task_id(start(mcp, OTHER_KEY))] == ["1", "2", "2"]


def test_calls_to_different_servers_of_scenext_are_different(scenext: ScriptedScenext) -> None:
    """Ours: services of one machine share the memory, and a job of one Scenext is unknown to another."""
    other = replace(CONFIG, api_base_url="https://staging.scenext.cn/api")
    assert [task_id(start(service(scenext, config))) for config in (CONFIG, other, CONFIG)] == ["1", "2", "1"]


@pytest.mark.parametrize("two", [2, 2.0, "2"])
def test_a_variant_starts_one_more_job(mcp: Mcp, scenext: ScriptedScenext, two: Any) -> None:
    """Ours: it is never sent to Scenext, and its repeats are repeats, too. Each names the next free number."""
    assert [task_id(start(mcp)), task_id(start(mcp, variant=two)), task_id(start(mcp, variant=2))] == ["1", "2", "2"]
    bodies = [request.body for request in scenext.requests]
    assert bodies[0] == bodies[1]
    for variant in (1, 2):
        assert "variant=3," in start(mcp, variant=variant)["structuredContent"]["message"]


@pytest.mark.parametrize("variant", [0, -1, "0"])
def test_an_invalid_variant_is_not_sent(mcp: Mcp, scenext: ScriptedScenext, variant: Any) -> None:
    """Spec: JSON Schema, `minimum`. Ours: the model can correct it."""
    english, chinese = halves(start(mcp, variant=variant)["content"][0]["text"])
    assert english == (
        f'The argument "variant" of the tool gen_video must be at least 1; got {variant}. Call it again with a larger'
        " number. Nothing was started or charged."
    )
    assert (
        chinese
        == f"工具 gen_video 的参数 variant 不能小于 1，收到的是 {variant}。请改正后重新调用。任务未创建，也未扣费。"
    )
    assert scenext.requests == []


def test_a_repeat_is_followed_as_the_same_task(mcp: Mcp) -> None:
    """Spec: ext-tasks. Ours: the id of a task holds the time of the first call."""
    capabilities: dict[str, Any] = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
    params = {"name": "gen_video", "arguments": QUESTION, "_meta": {**META, CLIENT_CAPABILITIES: capabilities}}
    first, second = (mcp.modern("tools/call", params, {"X-API-Key": KEY}).get_json()["result"] for _ in range(2))
    assert (first["resultType"], second["resultType"]) == ("task", "task")
    assert (second["taskId"], second["createdAt"]) == (first["taskId"], first["createdAt"])


def test_a_job_that_fails_as_a_task_is_forgotten(mcp: Mcp, scenext: ScriptedScenext) -> None:
    """Ours: whatever method has seen the failure."""
    meta = {**META, CLIENT_CAPABILITIES: {"extensions": {"io.modelcontextprotocol/tasks": {}}}}
    params = {"name": "gen_video", "arguments": QUESTION, "_meta": meta}
    task = mcp.modern("tools/call", params, {"X-API-Key": KEY}).get_json()["result"]
    scenext.succeeds({"task_id": "1", "status": "FAILED"})
    polled = {"taskId": task["taskId"], "_meta": meta}
    assert mcp.modern("tasks/get", polled, {"X-API-Key": KEY}).get_json()["result"]["status"] == "completed"
    scenext.succeeds({"task_id": "2"})
    assert task_id(start(mcp)) == "2"


NOT_SENT_AGAIN = [
    pytest.param(Reply(500, {"status": "error", "message": "x"}), id="500"),
    pytest.param(Reply(503, b""), id="503"),
    pytest.param(Reply(200, b"<html>"), id="no JSON"),
    pytest.param(Reply(200, {"status": "success", "data": {}}), id="no id"),
    pytest.param(requests.exceptions.ReadTimeout(), id="deadline"),
    pytest.param(requests.exceptions.ConnectionError("Connection aborted"), id="connection lost"),
]
SENT_AGAIN = [
    pytest.param(Reply(302, b"", {"Location": "https://example.com/"}), id="302"),
    pytest.param(Reply(401, {"status": "error", "message": "x"}), id="401"),
    pytest.param(Reply(402, {"status": "error", "message": "x"}), id="402"),
    pytest.param(Reply(403, b"<html>"), id="403 of a firewall"),
    pytest.param(Reply(422, {"status": "error", "message": "x"}), id="422"),
    pytest.param(Reply(429, {"status": "error", "message": "x"}), id="429"),
    pytest.param(Reply(200, {"status": "error", "message": "x"}), id="Scenext's error"),
    pytest.param(failures.ConnectionFailed(), id="no connection"),
]


def answers(scenext: ScriptedScenext, answer: Reply | Exception) -> None:
    if isinstance(answer, Exception):
        scenext.fails(answer)
    else:
        scenext.script = lambda request: answer


@pytest.mark.parametrize("answer", NOT_SENT_AGAIN)
def test_a_repeat_of_an_unclear_call_is_not_sent(
    mcp: Mcp, scenext: ScriptedScenext, lines: list[str], answer: Reply | Exception
) -> None:
    """Ours: the first call may have been charged, and only the user can decide on another one."""
    answers(scenext, answer)
    assert start(mcp)["isError"] is True
    scenext.script = numbered()
    result = start(mcp)
    assert len(scenext.requests) == 1
    assert result["isError"] is True
    assert result["_meta"]["scenext/failure"]["kind"] == "NotRepeated"
    english, chinese = halves(result["content"][0]["text"])
    assert english == (
        "The same call was sent 0 seconds ago, got no answer from Scenext and may have been charged, so this one was"
        " not sent. Tell the user, who can look the job up at Scenext. Only if the user wants another attempt, call"
        " gen_video again with variant=2, which is charged."
    )
    assert chinese == (
        "相同的请求已在 0 秒前发出，没有得到 Scenext 的响应，可能已经扣费，因此本次请求未发送。请告知用户，由用户在"
        " Scenext 中确认。仅在用户要求再试一次时，才用 variant=2 重新调用 gen_video（会扣费）。"
    )
    assert " outcome=tool_error" in lines[-1]
    assert " repeat_age_s=0." in lines[-1]
    assert task_id(start(mcp, variant=2)) == "1"


@pytest.mark.parametrize("answer", SENT_AGAIN)
def test_a_repeat_of_a_refused_call_is_sent(mcp: Mcp, scenext: ScriptedScenext, answer: Reply | Exception) -> None:
    """Ours: nothing was started, so the caller may correct the cause and try again."""
    answers(scenext, answer)
    assert start(mcp)["isError"] is True
    scenext.script = numbered()
    assert task_id(start(mcp)) == "1"
    assert len(scenext.requests) == 2


@pytest.mark.parametrize("arguments", [{}, {"wait_seconds": 5}])
def test_a_failed_job_is_forgotten(mcp: Mcp, scenext: ScriptedScenext, arguments: dict[str, Any]) -> None:
    """Ours: a repeat after the failure is a wish for a new attempt."""
    start(mcp)
    scenext.succeeds({"task_id": "1", "status": "FAILED", "result": {"error": "no text"}})
    mcp.call("query_video_status", {"task_id": "1", **arguments})
    scenext.succeeds({"task_id": "2"})
    assert task_id(start(mcp)) == "2"


def test_a_job_in_progress_is_remembered(mcp: Mcp, scenext: ScriptedScenext) -> None:
    """Ours: only a failed job is forgotten."""
    start(mcp)
    scenext.succeeds({"task_id": "1", "status": "COMPLETED", "result": {}})
    mcp.call("query_video_status", {"task_id": "1"})
    assert task_id(start(mcp)) == "1"


def progress(mcp: Mcp, task_id: str) -> str:
    """Return the message of the first progress notification of a wait."""
    call = {"name": "query_video_status", "arguments": {"task_id": task_id, "wait_seconds": 30}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**call, "_meta": {"progressToken": 1}}}
    headers = {**BEARER, "Accept": "application/json, text/event-stream"}
    environ = {"wsgi.multithread": True}  # without threads, calls do not wait
    response = mcp.client.post("/mcp", json=message, headers=headers, environ_overrides=environ, buffered=True)
    event = json.loads(response.get_data(as_text=True).partition("data: ")[2].partition("\n")[0])
    return str(event["params"]["message"])


def test_progress_states_when_a_remembered_job_was_started(scenext: ScriptedScenext, folder: Path) -> None:
    """Ours: Scenext's data does not state it. A broken memory hides only the time."""
    waits = SkippedWaits()
    mcp = Mcp(create_app(CONFIG, scenext, waits.clock._replace(unix=lambda: NOW)).test_client())
    start(mcp)
    scenext.succeeds({"task_id": "1", "status": "IN_PROGRESS", "progress": []})
    assert progress(mcp, "1") == "0 frames · started just now / 0 个画面 · 刚刚开始"
    waits.skipped = 0.0
    broken(folder)
    assert progress(mcp, "1") == "0 frames so far / 已有 0 个画面"


def test_a_repeat_is_logged(mcp: Mcp, lines: list[str]) -> None:
    """Ours: with the seconds since the first call, and without the fields of a call to Scenext."""
    start(mcp)
    start(mcp)
    first, second = [line for line in lines if " tool=gen_video " in line]
    assert "repeat_age_s" not in first
    assert " task_id=1 repeat_age_s=0." in second
    assert "upstream_ms" not in second


def test_the_memory_holds_no_key_and_no_question(mcp: Mcp, folder: Path) -> None:
    """Ours: not even in a digest that can be guessed without the key."""
    start(mcp)
    (file,) = folder.glob("*.sqlite3")
    content = file.read_bytes()
    assert KEY.encode() not in content
    assert b"blue" not in content


def test_in_the_sandbox_the_memory_holds_no_words_of_the_question(folder: Path) -> None:
    """Ours: the sandbox's ids hold them, so the shortened id of the same job is stored."""
    scenext = ScriptedScenext()
    mcp = service(scenext, Config(sandbox=True, repeat_window=30))
    first, second = task_id(start(mcp)), task_id(start(mcp))
    assert len(scenext.requests) == 1
    assert first.startswith(f"{second}-")
    assert mcp.call("query_video_status", {"task_id": second})["structuredContent"]["status"] == "IN_PROGRESS"


def test_without_a_window_every_call_is_sent(scenext: ScriptedScenext, folder: Path) -> None:
    """Ours: off means exactly the behaviour without the memory."""
    mcp = service(scenext, Config(repeat_window=0))
    assert [task_id(start(mcp)), task_id(start(mcp))] == ["1", "2"]
    assert not folder.exists()
    assert "no argument 'variant'" in start(mcp, variant=2)["content"][0]["text"]


def test_the_window_adds_only_the_variant_to_the_list(scenext: ScriptedScenext) -> None:
    """Ours: descriptions stay, because a promise would cause the charge where the memory is not shared."""
    off, on = [
        service(scenext, config).modern("tools/list").get_json()["result"]["tools"]
        for config in (Config(repeat_window=0), CONFIG)
    ]
    variant = on[1]["inputSchema"]["properties"].pop("variant")
    assert (variant["type"], variant["minimum"]) == ("integer", 1)
    assert on == off


def warnings(lines: list[str]) -> list[str]:
    return [line.partition("reason=")[2] for line in lines if 'msg="repeat window unavailable"' in line]


def broken(folder: Path) -> None:
    """Replace the folder with a file."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.touch()


def test_a_memory_that_is_broken_at_the_start_is_reported(
    scenext: ScriptedScenext, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: once, and calls are then sent as without the window, with a warning each."""
    broken(folder)
    mcp = service(scenext)
    cause = f'"{folder} is not a private folder of user {os.getuid()}"'
    assert warnings(capsys.readouterr().err.splitlines()) == [cause]
    assert [task_id(start(mcp)), task_id(start(mcp))] == ["1", "2"]
    assert warnings(capsys.readouterr().err.splitlines()) == [cause] * 2


def test_a_memory_that_breaks_later_stops_no_call(
    mcp: Mcp, scenext: ScriptedScenext, folder: Path, lines: list[str]
) -> None:
    """Ours: during a call, after a start, and when a job has failed."""

    def script(request: requests.PreparedRequest) -> Reply:
        broken(folder)
        return Reply(200, {"status": "success", "data": {"task_id": "1", "status": "FAILED"}})

    scenext.script = script
    assert task_id(start(mcp)) == "1"
    assert len(warnings(lines)) == 1
    mcp.call("query_video_status", {"task_id": "1"})
    assert len(warnings(lines)) == 2


def test_a_locked_memory_delays_a_call_once(
    mcp: Mcp, folder: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: the call is then sent without it, and has its whole time."""
    import sqlite3

    monkeypatch.setattr(started_jobs, "LOCK_TIMEOUT", 0.05)
    (file,) = folder.glob("*.sqlite3")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert task_id(start(mcp)) == "1"
    other.close()
    assert warnings(lines) == ['"database is locked"']


# Calls in flight, step by step, on a clock that advances only while a call sleeps.

ARRIVED = 1000.0  # time on that clock


class Scene:
    """A window with two equal calls, and one place for a call that waits."""

    def __init__(self) -> None:
        self.now = ARRIVED
        self.stopped = False
        self.sent: list[str] = []
        self.record = LogRecord()
        self.changes: list[int] = []
        self.waiter = JobWaiter(50, 1, lambda: self.stopped, Clock(lambda: self.now, self.sleep))
        self.waiter.on_wait_change = self.changes.append
        self.jobs = StartedJobs(1800, lambda: self.now)
        self.window = RepeatWindow(self.jobs, self.waiter, "https://api", 20.0)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def call(
        self, name: str, answer: Callable[[], dict[str, Any]], size: int = 100, deadline: float | None = None
    ) -> Steps[Started]:
        """Start the same job. `answer` is called when the request has been sent."""

        def send(started: float) -> dict[str, Any]:
            self.sent.append(name)
            return answer()

        budget = TimeBudget(self.now, 50.0) if deadline is None else TimeBudget(self.now, 50.0, deadline)
        caller = Caller(api_key=KEY, time=budget, body_size=size)
        call = Call(caller, self.record)
        return self.window.start({"question": "1+1"}, 1, ApiCall(call, Credentials()), call, send)

    def run(self, first: Callable[[], dict[str, Any]]) -> Started:
        return taken(self.call("first", first))[1]


@pytest.fixture
def scene() -> Scene:
    return Scene()


STARTED = {"task_id": "12345"}


def refused() -> dict[str, Any]:
    raise failures.OutOfCredit(402, "top up")


def never() -> dict[str, Any]:
    raise AssertionError


def test_a_call_waits_for_an_equal_one_in_flight(scene: Scene) -> None:
    """Ours: it gets the same job, holds a place of a waiting call, and keeps its stream alive."""
    second = scene.call("second", never)

    def answer() -> dict[str, Any]:
        assert [next(second) for _ in range(20)] == [None] * 20
        assert scene.changes == [1]
        return STARTED

    first = scene.run(answer)
    _, result = taken(second)
    assert (result.data, result.created) == (STARTED, first.created)
    assert first.repeat is None
    assert result.repeat is not None
    assert result.repeat.age == pytest.approx(2.0)
    assert result.repeat.next_variant == 2
    assert (scene.sent, scene.changes) == (["first"], [1, -1])
    assert scene.record.waited_ms == pytest.approx(2000)


def test_a_call_is_busy_if_no_place_is_free_for_it(scene: Scene) -> None:
    """Ours: threads are left for other requests. Nothing was sent."""
    second, third = scene.call("second", never), scene.call("third", never)

    def answer() -> dict[str, Any]:
        next(second)
        with pytest.raises(failures.Busy):
            next(third)
        return STARTED

    scene.run(answer)
    assert scene.sent == ["first"]


def test_a_waiting_call_is_sent_if_the_first_is_refused(scene: Scene) -> None:
    """Ours: if it has waited for at most 4 seconds, it has its whole time."""
    second = scene.call("second", lambda: STARTED)

    def answer() -> dict[str, Any]:
        next(second)
        scene.sleep(3.5)
        return refused()

    with pytest.raises(failures.OutOfCredit):
        scene.run(answer)
    assert taken(second)[1].data == STARTED
    assert scene.sent == ["first", "second"]


def test_a_call_that_has_waited_too_long_is_not_sent(scene: Scene) -> None:
    """Ours: it ends unsent, because a call that may be charged must have its whole time."""
    second = scene.call("second", never)

    def answer() -> dict[str, Any]:
        next(second)
        scene.sleep(4.0)
        return refused()

    with pytest.raises(failures.OutOfCredit):
        scene.run(answer)
    with pytest.raises(
        ToolError, match=r"too little of its time was left\. Nothing was started or charged\."
    ) as caught:
        taken(second)
    assert caught.value.meta is not None
    assert caught.value.meta["scenext/failure"]["kind"] == "NotSent"


def test_only_one_of_two_waiting_calls_is_sent_after_a_refusal(scene: Scene) -> None:
    """Ours: the other one waits for its result."""
    scene.waiter.calls.limit = 32
    third = scene.call("third", never)

    def answer() -> dict[str, Any]:
        next(third)
        return STARTED

    second = scene.call("second", answer)

    def refuse() -> dict[str, Any]:
        next(second)
        next(third)
        return refused()

    with pytest.raises(failures.OutOfCredit):
        scene.run(refuse)
    assert [taken(second)[1].data, taken(third)[1].data] == [STARTED, STARTED]
    assert scene.sent == ["first", "second"]


def test_a_client_that_disconnects_ends_its_wait(scene: Scene) -> None:
    """Ours: its place is free again."""
    second = scene.call("second", never)

    def answer() -> dict[str, Any]:
        next(second)
        with pytest.raises(ToolError, match="got no answer"):
            second.send(True)
        assert scene.changes == [1, -1]
        return STARTED

    scene.run(answer)


def stop(scene: Scene) -> None:
    scene.stopped = True


def pass_time(scene: Scene) -> None:
    scene.sleep(25.0)


@pytest.mark.parametrize("event", [stop, pass_time])
def test_a_wait_ends_without_a_result(scene: Scene, event: Callable[[Scene], None]) -> None:
    """Ours: at a restart, and when its time is up."""
    scene.window = RepeatWindow(scene.jobs, scene.waiter, "https://api", 60.0)
    second = scene.call("second", never)

    def answer() -> dict[str, Any]:
        next(second)
        event(scene)
        with pytest.raises(ToolError, match="got no answer"):
            next(second)
        return STARTED

    scene.run(answer)


def test_a_call_in_a_batch_waits_until_the_deadline_of_the_batch(scene: Scene) -> None:
    """Ours: the whole batch must be answered in time."""
    second = scene.call("second", never, deadline=ARRIVED + 2.0)

    def answer() -> dict[str, Any]:
        with pytest.raises(ToolError, match="got no answer"):
            taken(second)
        assert scene.now == pytest.approx(ARRIVED + 2.0)
        return STARTED

    scene.run(answer)


def test_a_large_call_waits_without_a_stream(scene: Scene) -> None:
    """Ours: a stream would outlive the reservation of the memory for its arguments."""
    second = scene.call("second", never, size=MAX_WAITING_BODY + 1)

    def answer() -> dict[str, Any]:
        with pytest.raises(ToolError, match="got no answer"):
            next(second)
        return STARTED

    scene.run(answer)
    assert scene.now == pytest.approx(ARRIVED + 22.0)  # the timeout, and two seconds to record the result


KILLED = """
import os, sys, tempfile
from scenext_service import create_app
from scenext_service.config import Config
from tests.support.scripted import NOW, ScriptedScenext
from tests.support.messages import Mcp
tempfile.tempdir = sys.argv[1]
scenext = ScriptedScenext(lambda request: os._exit(9))
Mcp(create_app(Config(repeat_window=30), scenext).test_client()).call("gen_video", {"question": "Why is the sky blue?"})
"""


def test_the_call_of_a_killed_process_is_unclear_at_once(mcp: Mcp, scenext: ScriptedScenext, tmp_path: Path) -> None:
    """Ours: it may have been charged, and nothing will record its result."""
    ended = subprocess.run([sys.executable, "-c", KILLED, tmp_path], cwd=ROOT, check=False)
    assert ended.returncode == 9
    assert "got no answer from Scenext" in start(mcp)["content"][0]["text"]
    assert scenext.requests == []


def test_a_bug_in_a_call_leaves_it_unclear(scene: Scene) -> None:
    """Ours: the request may have been sent."""
    with pytest.raises(AssertionError):
        scene.run(never)
    with pytest.raises(ToolError, match="got no answer"):
        scene.run(never)


def test_the_next_free_number_is_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: the search ends, whatever the memory holds."""
    monkeypatch.setattr(repeats, "MAX_VARIANTS", 1)
    scene.run(lambda: STARTED)
    assert scene.run(never).repeat == Repeat(0, 2)


def test_the_memory_may_break_after_a_repeat_was_found(
    scene: Scene, folder: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: the job is returned without a search for the next number."""
    scene.run(lambda: STARTED)
    find = StartedJobs.find

    def breaking(jobs: StartedJobs, digest: bytes) -> Any:
        broken(folder)
        return find(jobs, digest)

    monkeypatch.setattr(StartedJobs, "find", breaking)
    assert scene.run(never).repeat == Repeat(0, 2)
    assert len(warnings(lines)) == 1


@pytest.mark.parametrize(
    ("seconds", "texts"),
    [
        (0.4, ("0 seconds ago", " 0 秒前")),
        (1.9, ("1 second ago", " 1 秒前")),
        (59.9, ("59 seconds ago", " 59 秒前")),
        (60, ("1 minute ago", " 1 分钟前")),
        (1799, ("29 minutes ago", " 29 分钟前")),
    ],
)
def test_times_are_rounded_down(seconds: float, texts: tuple[str, str]) -> None:
    """Ours: whole seconds, then whole minutes."""
    assert ago(seconds) == texts


@pytest.mark.parametrize("calls", [6])
def test_simultaneous_equal_calls_are_charged_once(calls: int) -> None:
    """Ours: all get the same job, together."""
    with Upstream() as upstream, ThreadPoolExecutor(calls) as threads:
        app = create_app(replace(CONFIG, api_base_url=f"{upstream.url}/hold"))
        results = [threads.submit(start, Mcp(app.test_client())) for _ in range(calls)]
        assert upstream.arrived.acquire(timeout=20)
        upstream.let_go.set()
        assert {task_id(result.result(30)) for result in results} == {"12345"}
        assert len(upstream.requests) == 1
