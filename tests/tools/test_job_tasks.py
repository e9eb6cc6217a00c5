"""Jobs as tasks, through the whole application: the start, the polls until the end, and every failure between."""

from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import fastjsonschema
import orjson
import pytest
import requests
from werkzeug.test import TestResponse

from scenext_service import __version__, create_app
from scenext_service.config import Config
from scenext_service.mcp.context import Call, Caller, LogRecord
from scenext_service.mcp.resources import APPS_EXTENSION, VIEW_MIME_TYPE
from scenext_service.mcp.tasks import EXTENSION
from scenext_service.scenext.client import Scenext
from scenext_service.tools.api_call import Credentials
from scenext_service.tools.gen_video import OUTPUT_SCHEMA, SHOWN
from scenext_service.tools.job_ids import make_task_id
from scenext_service.tools.job_tasks import MAX_RECENT, JobTasks, RecentStates
from scenext_service.tools.simulated import NOTE
from scenext_service.tools.waiting import Clock
from tests.support.messages import BEARER, CLIENT_CAPABILITIES, KEY, META, Mcp, failure, outcome
from tests.support.scripted import NOW, Reply, ScriptedScenext

START = int(NOW * 1000)  # the time at which a test starts, in milliseconds
TASK_ID = make_task_id("12345", START)
TASKS = {**META, CLIENT_CAPABILITIES: {"extensions": {EXTENSION: {}}}}
VIEWS = {APPS_EXTENSION: {"mimeTypes": [VIEW_MIME_TYPE]}}
STAMP = {
    "resultType": "complete",
    "_meta": {
        "io.modelcontextprotocol/serverInfo": {"name": "scenext_service", "title": "Scenext", "version": __version__}
    },
}
GEN = {"name": "gen_video", "arguments": {"question": "Why?"}}
FRAMES = [{"id": f"frame{n}", "image": f"https://h.example/{n}.png"} for n in range(1, 8)]
RUNNING = {"task_id": "12345", "status": "IN_PROGRESS", "progress": FRAMES}
SIGNED = "https://h.example/v.mp4?Expires=1&Signature=a%2Fb"
COMPLETED = {**RUNNING, "status": "COMPLETED", "points": 10, "result": {"video_url": SIGNED}}
FAILED = {**RUNNING, "status": "FAILED", "result": {"error": "no text"}}

LINK = "[Watch the video](url). Links expire: for fresh ones call query_video_status with task_id 12345 again."
NEXT = f"Show the user the video as a Markdown link, {LINK}"
UNESCAPE = " If the link was HTML-escaped on its way to you, unescape it first."
NEXT_FAILED = "Tell the user why the job 12345 failed. A new job costs points: start one only if the user asks for it."
CONTINUES = "The job 12345 continues. Once this is fixed, query_video_status returns its state."


class Scene:
    """An application whose Scenext is scripted, and whose clock stands still unless a test adds to `seconds`."""

    def __init__(self, **config: Any) -> None:
        self.upstream = ScriptedScenext()
        self.upstream.succeeds({"task_id": "12345"})
        self.seconds = 0.0
        clock = Clock(lambda: self.seconds, unix=lambda: NOW + self.seconds)
        settings = Config(repeat_window=0, **config)
        self.mcp = Mcp(create_app(settings, self.upstream, clock).test_client())

    def start(self, meta: dict[str, Any] = TASKS, headers: dict[str, str] = BEARER) -> dict[str, Any]:
        response = self.mcp.modern("tools/call", {**GEN, "_meta": meta}, headers)
        result: dict[str, Any] = response.get_json()["result"]
        return result

    def ask(self, method: str = "tasks/get", task_id: str = TASK_ID, headers: Any = BEARER) -> TestResponse:
        params = {"taskId": task_id, "inputResponses": {}, "_meta": TASKS}
        return self.mcp.modern(method, params, {"Mcp-Name": task_id, **headers})

    def poll(self, task_id: str = TASK_ID, headers: Any = BEARER) -> dict[str, Any]:
        response = self.ask("tasks/get", task_id, headers)
        assert response.status_code == 200, response.get_data(as_text=True)
        result: dict[str, Any] = response.get_json()["result"]
        return result

    def error(self, task_id: str = TASK_ID, headers: Any = BEARER) -> tuple[int, str]:
        status, answer = outcome(self.ask("tasks/get", task_id, headers))
        assert (status, set(answer["error"])) == (400, {"code", "message"})
        return answer["error"]["code"], answer["error"]["message"]


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def sandbox() -> Scene:
    scene = Scene(sandbox=True)
    scene.upstream.script = None
    return scene


def state(message: str, seconds: int = 0, **changed: Any) -> dict[str, Any]:
    """Return the state of the working task of job 12345, last updated some seconds after the start."""
    return {
        "taskId": TASK_ID,
        "status": "working",
        "statusMessage": message,
        "createdAt": "2026-11-18T11:06:40.000Z",
        "lastUpdatedAt": f"2026-11-18T11:{6 + (40 + seconds) // 60:02d}:{(40 + seconds) % 60:02d}.000Z",
        "ttlMs": 86_400_000,
        "pollIntervalMs": 30_000,
        **STAMP,
        **changed,
    }


# The start


def test_a_declaring_client_gets_a_task_for_a_started_job(scene: Scene) -> None:
    """Ours: the handle names the job, so the client can poll it in any process, and says that it cannot be stopped."""
    message = (
        "The video is being made, which takes 10 to 20 minutes and cannot be stopped."
        " / 视频生成中，一般需要 10 到 20 分钟，开始后无法取消。"
    )
    assert scene.start() == state(message, resultType="task")
    assert len(scene.upstream.requests) == 1


@pytest.mark.parametrize(
    "meta",
    [
        pytest.param(META, id="no extension"),
        pytest.param({**META, CLIENT_CAPABILITIES: {"extensions": VIEWS}}, id="card"),
        pytest.param({**META, CLIENT_CAPABILITIES: {"extensions": {**VIEWS, EXTENSION: {}}}}, id="card and tasks"),
    ],
)
def test_a_client_without_tasks_or_with_the_card_gets_a_result(scene: Scene, meta: dict[str, Any]) -> None:
    """Ours: a host gives the card its tool result only at the end of a task, so a card would stay empty."""
    result = scene.start(meta)
    assert (result["resultType"], result["structuredContent"]["task_id"]) == ("complete", "12345")
    assert (SHOWN in result["structuredContent"]["message"]) is (meta is not META)


def test_a_legacy_client_never_gets_a_task(scene: Scene) -> None:
    """Spec: ext-tasks: the extension exists only in 2026-07-28."""
    meta: dict[str, Any] = {CLIENT_CAPABILITIES: {"extensions": {EXTENSION: {}}}}
    result = scene.mcp.legacy("tools/call", {**GEN, "_meta": meta}, BEARER).get_json()["result"]
    assert (set(result), result["structuredContent"]["task_id"]) == (
        {"content", "isError", "structuredContent"},
        "12345",
    )


@pytest.mark.parametrize("job", ["a/b", "..", "x" * 129, "任务"])
def test_a_job_that_cannot_be_queried_is_no_task(scene: Scene, job: str) -> None:
    """Ours: the client could never poll it. The result at least shows the id."""
    scene.upstream.succeeds({"task_id": job})
    assert scene.start()["structuredContent"]["task_id"] == job


@pytest.mark.parametrize(
    ("status", "headers", "arguments"),
    [
        pytest.param(500, BEARER, GEN["arguments"], id="outage"),
        pytest.param(401, BEARER, GEN["arguments"], id="refused key"),
        pytest.param(200, {}, GEN["arguments"], id="no key"),
        pytest.param(200, BEARER, {}, id="no question"),
        pytest.param(200, BEARER, {"other": 1}, id="unknown argument"),
    ],
)
def test_a_failed_start_is_the_same_for_every_client(
    scene: Scene, status: int, headers: dict[str, str], arguments: dict[str, Any]
) -> None:
    """Ours: without a job there is nothing to follow."""
    scene.upstream.answers(status, {"status": "error", "message": "because"})
    sent = {**headers, "X-Request-ID": "abc-123"}  # the text of an outage contains it
    answers = [
        scene.mcp.modern("tools/call", {**GEN, "arguments": arguments, "_meta": meta}, sent).get_json()
        for meta in (TASKS, META)
    ]
    assert answers[0] == answers[1]
    assert answers[0]["result"]["isError"] is True


def test_a_query_is_never_a_task(scene: Scene) -> None:
    """Ours: the card and the page query jobs through hosts that may follow tasks."""
    scene.upstream.succeeds(RUNNING)
    params = {"name": "query_video_status", "arguments": {"task_id": "12345"}, "_meta": TASKS}
    result = scene.mcp.modern("tools/call", params, BEARER).get_json()["result"]
    assert (result["resultType"], result["structuredContent"]) == ("complete", RUNNING)


def test_a_task_keeps_the_creation_time_of_its_first_start() -> None:
    """Ours: a repeated start returns the same task, and its id holds the time."""
    scenext = Scenext("https://api.example/api", timeout=5, slots=1)
    tasks = JobTasks(scenext, Credentials(), clock=Clock(unix=lambda: NOW))
    call = Call(Caller(), LogRecord(), extensions=frozenset({EXTENSION}))
    first, second = tasks.begin("12345", call, START - 60_000), tasks.begin("12345", call, START - 60_000)
    assert first is not None
    assert first == second
    assert (first.id, first.created, first.updated) == (
        make_task_id("12345", START - 60_000),
        START - 60_000,
        START - 60_000,
    )


def test_the_extension_can_be_switched_off() -> None:
    """Ours: SCENEXT_TASKS=0 gives every client the behaviour of a server without tasks."""
    scene = Scene(tasks=False)
    assert scene.start()["structuredContent"]["task_id"] == "12345"
    assert outcome(scene.ask()) == (404, failure(-32601, "Method not found: tasks/get"))
    capabilities = scene.mcp.modern("server/discover").get_json()["result"]["capabilities"]
    assert capabilities["extensions"] == {APPS_EXTENSION: {}}


# Polls


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(RUNNING, "7 frames · started 30 s ago / 7 个画面 · 30 秒前开始", id="in progress"),
        pytest.param(
            {**RUNNING, "progress": FRAMES[:1]}, "1 frame · started 30 s ago / 1 个画面 · 30 秒前开始", id="one frame"
        ),
        pytest.param({"task_id": 12345}, "0 frames · started 30 s ago / 0 个画面 · 30 秒前开始", id="no status"),
        pytest.param(
            {"status": ["COMPLETED"]}, "0 frames · started 30 s ago / 0 个画面 · 30 秒前开始", id="odd status"
        ),
        pytest.param({"status": "QUEUED"}, "0 frames · started 30 s ago / 0 个画面 · 30 秒前开始", id="unknown status"),
    ],
)
def test_any_state_but_an_end_is_working(scene: Scene, data: dict[str, Any], message: str) -> None:
    """Ours: Scenext's reference documents only IN_PROGRESS; the others are tolerated."""
    scene.upstream.succeeds(data)
    scene.seconds += 30
    assert scene.poll() == state(message, 30)


def test_a_task_is_known_at_once_in_every_process(scene: Scene) -> None:
    """Spec: ext-tasks: `tasks/get` resolves as soon as the task is returned. Ours: no process keeps the task."""
    task_id = scene.start()["taskId"]
    another = Scene()
    another.upstream.succeeds(RUNNING)
    assert another.poll(task_id) == state("7 frames · started just now / 7 个画面 · 刚刚开始")


def test_a_task_is_never_older_than_its_creation(scene: Scene) -> None:
    """Ours: a client may poll another machine, whose clock is behind."""
    scene.upstream.succeeds(RUNNING)
    task = scene.poll(make_task_id("12345", START + 2_000))
    assert task["createdAt"] == task["lastUpdatedAt"] == "2026-11-18T11:06:42.000Z"
    assert task["statusMessage"] == "7 frames · started just now / 7 个画面 · 刚刚开始"


def end(data: dict[str, Any], step: str, failed: bool, **changed: Any) -> dict[str, Any]:
    """Return the state of the task whose job has ended, 900 seconds after the start."""
    job = {**{name: value for name, value in data.items() if name != "progress"}, "frames_total": 7, "next": step}
    job |= changed
    result = {
        "content": [{"type": "text", "text": orjson.dumps(job).decode()}],
        "isError": failed,
        "structuredContent": job,
        "resultType": "complete",
    }
    return state(data["status"], 900, status="completed", result=result)


@pytest.mark.parametrize(
    ("data", "step", "failed"),
    [
        pytest.param(COMPLETED, NEXT + UNESCAPE, False, id="signed link"),
        pytest.param({**COMPLETED, "result": {"video_url": "https://h.example/v.mp4"}}, NEXT, False, id="plain link"),
        pytest.param(
            {**COMPLETED, "result": None},
            "The job 12345 has completed, but has no video link: show the user the other data.",
            False,
            id="no link",
        ),
        pytest.param(FAILED, NEXT_FAILED, True, id="failed"),
    ],
)
def test_an_ended_job_completes_its_task(scene: Scene, data: dict[str, Any], step: str, failed: bool) -> None:
    """Spec: ext-tasks: `result` is the result of the call, also with `isError`; `failed` is for JSON-RPC errors.

    Ours: npm ext-tasks 0.2.2 requires a `resultType` in it. Claude Code 2.1.332 escapes the `&` of a link.
    """
    scene.upstream.succeeds(data)
    scene.seconds += 900
    assert scene.poll() == end(data, step, failed)


@pytest.mark.parametrize("named", [{"task_id": 12345}, {}, {"task_id": None}], ids=["number", "none", "null"])
def test_a_result_fits_the_output_schema_of_gen_video(scene: Scene, named: dict[str, Any]) -> None:
    """Spec: 2026-07-28, server/tools "Output Schema". Ours: clients check it, also at the end of a task."""
    scene.upstream.succeeds({**{name: value for name, value in COMPLETED.items() if name != "task_id"}, **named})
    job = scene.poll()["result"]["structuredContent"]
    assert job["task_id"] == "12345"
    fastjsonschema.compile(OUTPUT_SCHEMA)(job)


def test_the_sandbox_marks_the_result_as_simulated(sandbox: Scene) -> None:
    """Ours: its video must not be mistaken for a real one."""
    english = NOTE.partition(" / ")[0]
    for job, failed in (("sandbox-completed", False), ("sandbox-failed", True)):
        result = sandbox.poll(make_task_id(job, START))["result"]
        assert (result["isError"], result["structuredContent"]["next"].endswith(f" {english}")) == (failed, True)
        assert orjson.loads(result["content"][0]["text"]) == result["structuredContent"]


def test_a_job_of_the_sandbox_is_followed_to_its_end(sandbox: Scene) -> None:
    """Ours: a trial shows what a client does with tasks."""
    task_id = sandbox.start()["taskId"]
    assert task_id == make_task_id(f"sandbox-{START}", START)  # without words of the question, which would make it long
    statuses = []
    for _ in range(4):
        statuses.append(sandbox.poll(task_id)["status"])
        sandbox.seconds += 30
        sandbox.upstream.now += 30
    assert statuses == ["working", "working", "completed", "completed"]


# Failures


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        pytest.param(Reply(429, {"status": "error", "message": "slow down"}), "RateLimited", id="429"),
        pytest.param(Reply(500, {}), "ServerFault", id="500"),
        pytest.param(Reply(503, b""), "ServerFault", id="503"),
        pytest.param(Reply(403, b"<html>blocked</html>"), "ForeignResponse", id="firewall"),
        pytest.param(Reply(404, b"<html>nothing here</html>"), "ForeignResponse", id="foreign 404"),
        pytest.param(Reply(200, b"not JSON"), "BadResponse", id="no JSON"),
        pytest.param(Reply(200, {"status": "success"}), "BadResponse", id="no data"),
        pytest.param(requests.ConnectionError(), "ConnectionLost", id="lost connection"),
        pytest.param(requests.ReadTimeout(), "DeadlinePassed", id="timeout"),
    ],
)
def test_an_outage_is_working(scene: Scene, reply: Reply | Exception, name: str) -> None:
    """Ours: ext-tasks and fastmcp-tasks give up a paid job at an error. Nothing newer than the start is known."""
    if isinstance(reply, Exception):
        scene.upstream.fails(reply)
    else:
        scene.upstream.script = lambda request: reply
    scene.seconds += 60
    english = f"The job continues at Scenext, but its state could not be queried just now ({name})."
    assert scene.poll() == state(f"{english} / 任务仍在 Scenext 进行，但暂时无法查询状态（{name}）。")
    scene.seconds += 10
    scene.upstream.succeeds(RUNNING)
    assert scene.poll() == state("7 frames · started 1 min ago / 7 个画面 · 1 分钟前开始", 70)


def test_a_server_at_its_limit_is_working() -> None:
    """Ours: no slot was free, so the state is not known, and nothing was sent."""
    scene = Scene(upstream_slots=1)
    other: list[str] = []

    def script(request: requests.PreparedRequest) -> Reply:
        if not other:
            other.append("")
            other[0] = scene.poll(make_task_id("2", START))["statusMessage"]
        return Reply(200, {"status": "success", "data": RUNNING})

    scene.upstream.script = script
    assert scene.poll()["statusMessage"] == "7 frames · started just now / 7 个画面 · 刚刚开始"
    assert "(Busy)" in other[0]
    assert len(scene.upstream.requests) == 1


@pytest.mark.parametrize(
    ("retry_after", "interval", "pause"),
    [("5", 30_000, 10), ("45", 45_000, 45), ("60", 60_000, 60), ("3600", 60_000, 60)],
)
def test_scenext_is_not_asked_before_retry_after(scene: Scene, retry_after: str, interval: int, pause: int) -> None:
    """Spec: RFC 9110, section 10.2.3. Ours: at most a minute, so that an error does not delay the video."""
    body = {"status": "error", "message": "slow down"}
    scene.upstream.script = lambda request: Reply(429, body, {"Retry-After": retry_after})
    assert scene.poll()["pollIntervalMs"] == interval
    scene.seconds += pause - 1
    scene.poll()
    assert len(scene.upstream.requests) == 1
    scene.seconds += 1
    scene.poll()
    assert len(scene.upstream.requests) == 2


def test_a_new_job_that_scenext_does_not_know_yet_is_working(scene: Scene) -> None:
    """Spec: ext-tasks: `tasks/get` resolves as soon as the task is returned."""
    scene.upstream.answers(404, {"status": "error", "message": "no such job"})
    scene.seconds += 14
    assert scene.poll() == state("0 frames · started 10 s ago / 0 个画面 · 10 秒前开始", 14)
    scene.seconds += 10
    assert scene.error() == (-32602, "Unknown task: Scenext has no such job for this API key.")


KEYS = [
    pytest.param({}, None, "No Scenext API key was sent with the request.", id="no key"),
    pytest.param(
        {"X-API-Key": "YOUR_API_KEY"}, None, "The Scenext API key in the request is a placeholder", id="sample"
    ),
    pytest.param({"X-API-Key": "a b"}, None, "The Scenext API key in the request is malformed", id="malformed"),
    pytest.param(BEARER, 401, "Scenext refused the API key: “because”. Ask the user to check", id="401"),
    pytest.param(BEARER, 403, "Scenext refused the API key: “because”. Ask the user to check", id="403"),
    pytest.param(BEARER, 402, "The Scenext account has too few points: “because”. Tell the user", id="402"),
]


@pytest.mark.parametrize(("headers", "status", "begins"), KEYS)
def test_a_key_that_cannot_be_used_ends_the_task_at_once(
    scene: Scene, headers: dict[str, str], status: int | None, begins: str
) -> None:
    """Ours: Claude Code 2.1.332 reports the message of -32600 at once, but that of -32603 never."""
    if status:
        scene.upstream.answers(status, {"status": "error", "message": "because"})
    code, message = scene.error(headers=headers)
    assert (code, message.startswith(begins), message.endswith(CONTINUES)) == (-32600, True, True)
    assert message.isascii() is (status is None)  # Scenext's own message is in typographic quotation marks
    assert len(scene.upstream.requests) == (status is not None)


@pytest.mark.parametrize(
    ("reply", "begins"),
    [
        pytest.param(Reply(200, {"status": "error", "message": "m"}), "Scenext answered with an error", id="rejected"),
        pytest.param(Reply(302, b"", {"Location": "/"}), "Scenext answered with a redirect", id="redirect"),
        pytest.param(Reply(418, {"message": "m"}), "Scenext did not accept the call, HTTP 418", id="418"),
    ],
)
def test_any_other_failure_is_an_internal_error(scene: Scene, reply: Reply, begins: str) -> None:
    """Ours: clients retry -32603, and the failure may pass."""
    scene.upstream.script = lambda request: reply
    code, message = scene.error()
    assert (code, message.startswith(begins)) == (-32603, True)


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
@pytest.mark.parametrize("task_id", ["", "12345", TASK_ID.upper(), f"{TASK_ID[:-1]}0", make_task_id("..", START)])
def test_an_id_that_was_not_created_here_is_unknown(scene: Scene, method: str, task_id: str) -> None:
    """Spec: ext-tasks: -32602 for an unknown task. Ours: nothing is sent."""
    message = "Unknown task: this server did not create the taskId. Use the taskId of the tool's result, unchanged."
    assert outcome(scene.ask(method, task_id)) == (400, failure(-32602, message))
    assert scene.upstream.requests == []


# Expiry


def test_a_task_that_has_not_ended_expires_after_a_day(scene: Scene) -> None:
    """Ours: a client would otherwise poll a job that never ends without limit."""
    scene.upstream.succeeds(RUNNING)
    scene.seconds += 24 * 3600 - 1
    assert scene.poll()["status"] == "working"
    scene.seconds += 10
    assert scene.error() == (-32602, "The task has expired. query_video_status returns the state of the job 12345.")


def test_the_end_of_a_job_is_returned_however_old_the_task_is(scene: Scene) -> None:
    """Ours: the video was paid for."""
    scene.upstream.succeeds(COMPLETED)
    scene.seconds += 30 * 24 * 3600
    assert scene.poll()["status"] == "completed"


def test_an_outage_does_not_expire_a_task(scene: Scene) -> None:
    """Ours: the job may have ended."""
    scene.upstream.answers(500, {})
    scene.seconds += 30 * 24 * 3600
    assert scene.poll()["status"] == "working"


# Memory


def test_scenext_is_asked_once_in_ten_seconds(scene: Scene) -> None:
    """Ours: fastmcp-tasks 4.1.4 polls 11 times in its first 20 seconds."""
    scene.upstream.succeeds(RUNNING)
    first = scene.poll()
    scene.seconds += 9
    assert scene.poll() == first
    assert len(scene.upstream.requests) == 1
    scene.seconds += 1
    assert scene.poll()["lastUpdatedAt"] == "2026-11-18T11:06:50.000Z"
    assert len(scene.upstream.requests) == 2


def test_another_key_is_asked_for_itself(scene: Scene) -> None:
    """Spec: ext-tasks: authorization is checked on every request."""
    scene.upstream.succeeds(RUNNING)
    scene.poll()
    scene.upstream.answers(401, {"status": "error", "message": "because"})
    assert scene.error(headers={"X-API-Key": "another-key-0001"})[0] == -32600
    assert scene.error(headers={})[0] == -32600
    assert len(scene.upstream.requests) == 2


def test_another_task_is_asked_for_itself(scene: Scene) -> None:
    """Ours: the same job may have two tasks, which differ in their creation."""
    scene.upstream.succeeds(RUNNING)
    assert [scene.poll(task_id)["taskId"] for task_id in (TASK_ID, make_task_id("12345", START - 1))] == [
        TASK_ID,
        make_task_id("12345", START - 1),
    ]
    assert len(scene.upstream.requests) == 2


@pytest.mark.parametrize("data", [COMPLETED, FAILED], ids=["completed", "failed"])
def test_an_end_is_not_remembered(scene: Scene, data: dict[str, Any]) -> None:
    """Ours: its link expires, and each query signs it again."""
    scene.upstream.succeeds(data)
    assert scene.poll() == scene.poll()
    assert len(scene.upstream.requests) == 2


def test_an_error_is_not_remembered(scene: Scene) -> None:
    """Ours: once the user has fixed the key, the next poll succeeds."""
    scene.upstream.answers(401, {"status": "error", "message": "because"})
    assert scene.error()[0] == -32600
    scene.upstream.succeeds(RUNNING)
    assert scene.poll()["status"] == "working"


def test_the_memory_is_bounded() -> None:
    """Ours: the oldest state is forgotten, which costs one more query."""
    recent = RecentStates(lambda: 0.0)
    call = Call(Caller(), LogRecord(), extensions=frozenset({EXTENSION}))
    task = JobTasks(Scenext("https://api.example/api", timeout=5, slots=1), Credentials()).begin("1", call)
    assert task is not None
    for number in range(MAX_RECENT):
        recent.put(b"%d" % number, task, 10.0)
    recent.put(b"0", task, 10.0)
    recent.put(b"new", task, 10.0)
    kept = [key for key in (b"0", b"1", b"2", b"new") if recent.get(key)]
    assert kept == [b"0", b"2", b"new"]


# Cancellation and input


@pytest.mark.parametrize("method", ["tasks/update", "tasks/cancel"])
def test_a_cancellation_is_acknowledged_and_stops_nothing(scene: Scene, method: str) -> None:
    """Spec: ext-tasks: cancelling is cooperative, and acknowledging it is enough. Ours: Scenext stops no job."""
    assert outcome(scene.ask(method)) == (200, {"jsonrpc": "2.0", "id": 1, "result": STAMP})
    assert scene.upstream.requests == []
    scene.upstream.succeeds(RUNNING)
    assert scene.poll()["status"] == "working"


@pytest.mark.parametrize("method", ["tasks/update", "tasks/cancel"])
def test_a_cancellation_needs_a_usable_key(scene: Scene, method: str) -> None:
    """Spec: ext-tasks: authorization is checked on every request."""
    status, answer = outcome(scene.ask(method, headers={}))
    assert (status, answer["error"]["code"]) == (400, -32600)


# The tool that queries a job


def test_a_query_accepts_the_id_of_a_task(scene: Scene) -> None:
    """Ours: until the end, the model of Claude Code knows no other id."""
    scene.upstream.succeeds(RUNNING)
    result = scene.mcp.call("query_video_status", {"task_id": TASK_ID})
    assert result["structuredContent"] == RUNNING
    assert str(scene.upstream.requests[0].url).endswith("/get_status/12345")


@pytest.mark.parametrize("text", ["1.2", f"{TASK_ID[:-1]}0", "12345"])
def test_a_query_passes_any_other_id_on(scene: Scene, text: str) -> None:
    """Ours: a job's id may have any form that Scenext chooses."""
    scene.upstream.succeeds({"status": "IN_PROGRESS"})
    scene.mcp.call("query_video_status", {"task_id": text})
    assert str(scene.upstream.requests[0].url).endswith(f"/get_status/{text}")


# The log


@pytest.fixture
def logged(lines: list[str]) -> Iterator[list[str]]:
    """Collect the log lines without their times, and check that they hold no key."""
    yield lines
    assert [line for line in lines if KEY in line] == []


def fields(line: str) -> dict[str, str]:
    names = ("level", "method", "tool", "task_id", "key", "outcome", "failure", "reason", "upstream_status", "status")
    pairs = [part.partition("=") for part in line.split(" ")]
    return {name: value for name, _, value in pairs if name in names}


def test_polls_are_logged_as_queries_are(scene: Scene, logged: list[str]) -> None:
    """Ours: an operator finds the start of a job and its polls by the job's id."""
    replies = chain([Reply(200, {"status": "success", "data": {"task_id": "12345"}})], repeat(Reply(503, b"")))
    scene.upstream.script = lambda request: next(replies)
    scene.start()
    scene.poll()
    scene.error(headers={})
    scene.ask("tasks/cancel")
    job = {"task_id": "12345", "key": "caller"}
    start = {"level": "info", "status": "200", "method": "tools/call", "tool": "gen_video", **job, "outcome": "ok"}
    assert [fields(line) for line in logged if " msg=request " in line] == [
        start,
        {
            "level": "warning",
            "status": "200",
            "method": "tasks/get",
            **job,
            "outcome": "ok",
            "failure": "ServerFault",
            "reason": '"HTTP',
            "upstream_status": "503",
        },
        {"level": "info", "status": "400", "method": "tasks/get", "outcome": "-32600", "failure": "KeyMissing"},
        {"level": "info", "status": "200", "method": "tasks/cancel", **job, "outcome": "ok"},
    ]


def test_a_handle_that_the_client_did_not_get_is_logged(scene: Scene, logged: list[str]) -> None:
    """Ours: the job is charged, so its id must not be lost."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**GEN, "_meta": TASKS}}
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "gen_video", **BEARER}
    response = scene.mcp.client.post("/mcp", json=body, headers=headers, buffered=False)
    response.close()
    (line,) = [line for line in logged if " msg=request " in line]
    assert 'task_id=12345 key=caller outcome=cancelled reason="client disconnected, job undelivered"' in line
