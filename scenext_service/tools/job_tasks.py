"""Jobs as tasks: a client such as Claude Code follows the job in the background, and the model gets only its end.

A task has no state here. Its id holds the job's id and the time of its creation, and each poll asks Scenext with the
key of the request. Only the last working states are kept for some seconds, because some clients poll in a tight loop.

Clients give up a task at the first error, so an outage is the state `working`. JSON-RPC errors are left for a key or a
job that cannot become valid by itself. Claude Code reports the code -32600 at once, with the message, and the code
-32603 only after minutes.

Source: modelcontextprotocol/ext-tasks e434597; Claude Code 2.1.332; npm @modelcontextprotocol/ext-tasks 0.2.2;
fastmcp-tasks 4.1.4; Scenext's API reference, "Polling advice".
"""

import threading
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from ..mcp import Call, ToolResult
from ..mcp.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, RpcError
from ..mcp.tasks import COMPLETED, Task, declared
from ..scenext import failures
from ..scenext.client import Scenext, is_task_id
from ..scenext.sandbox.jobs import strip_question
from .api_call import ApiCall, Credentials, OnFailed, log_failure, status_query
from .failure_texts import advise
from .job_ids import JobId, make_task_id, parse
from .messages import ended, next_step, progress_message, videos
from .query_video_status import NONE, brief
from .simulated import simulated, with_sandbox_times
from .waiting import SYSTEM_CLOCK, TRANSIENT_FAILURES, Clock

# Milliseconds.
TTL = 24 * 3_600_000  # a client gives up a job that never ends; long enough for a laptop that is opened next morning
INTERVAL = 30_000  # between two polls: Scenext's advice, and the longest that Claude Code waits
GRACE = 15_000  # for which Scenext may not know a new job yet

# Seconds.
POLL_TIMEOUT = 10.0  # less than any client's timeout, so that the client always gets a response
REPEAT_TIME = 10.0  # for which a working state is repeated without asking Scenext
MAX_RETRY_AFTER = 60

MAX_RECENT = 4096  # working states that are kept

STARTED = (
    "The video is being made, which takes 10 to 20 minutes and cannot be stopped."
    " / 视频生成中，一般需要 10 到 20 分钟，开始后无法取消。"
)
UNKNOWN_STATE = (
    "The job continues at Scenext, but its state could not be queried just now ({failure})."
    " / 任务仍在 Scenext 进行，但暂时无法查询状态（{failure}）。"
)
UNKNOWN_TASK = "Unknown task: this server did not create the taskId. Use the taskId of the tool's result, unchanged."
UNKNOWN_JOB = "Unknown task: Scenext has no such job for this API key."
EXPIRED = "The task has expired. query_video_status returns the state of the job {job}."
JOB_CONTINUES = "The job {job} continues. Once this is fixed, query_video_status returns its state."
ESCAPED = " If the link was HTML-escaped on its way to you, unescape it first."  # Claude Code 2.1.332 escapes it

_KEY_FAILURES = (
    failures.KeyMissing,
    failures.KeyPlaceholder,
    failures.KeyUnusable,
    failures.SignInToken,
    failures.KeyRefused,
    failures.OutOfCredit,
)


class RecentStates:
    """The working states of the last seconds, at most `MAX_RECENT`. They may be lost at any time. Thread-safe.

    `now` returns a time.monotonic().
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._states: dict[bytes, tuple[float, Task]] = {}
        self._lock = threading.Lock()

    def get(self, key: bytes) -> Task | None:
        """Return a state, or None if there is no recent one."""
        until, task = self._states.get(key, (0.0, None))
        return task if self._now() < until else None

    def put(self, key: bytes, task: Task, seconds: float) -> None:
        """Keep a state for some seconds, in place of the oldest one if there are too many."""
        with self._lock:
            self._states.pop(key, None)
            while len(self._states) >= MAX_RECENT:
                del self._states[next(iter(self._states))]
            self._states[key] = (self._now() + seconds, task)


class JobTasks:
    """The jobs of `gen_video` as tasks. Thread-safe. `sandbox` marks their results as simulated.

    `on_failed` is called with the id of each job that has failed.
    """

    def __init__(
        self,
        scenext: Scenext,
        credentials: Credentials,
        on_failed: OnFailed = lambda job: None,
        *,
        sandbox: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._scenext = scenext
        self._credentials = credentials
        self._on_failed = on_failed
        self._sandbox = sandbox
        self._unix = clock.unix
        self._recent = RecentStates(clock.now)

    def begin(self, job: str, call: Call, created: int | None = None) -> Task | None:
        """Return the task of a job that was started, or None if the client does not follow it as a task.

        `created` is the job's creation in milliseconds since 1970, by default now. A client that shows the card gets no
        task, because its card would stay empty until the end. The card is better for people, and costs no tokens.

        The id of the task leaves out the words of the question in an id of the sandbox, because Claude Code 2.1.332
        shows its model only 128 characters.
        """
        if not declared(call) or call.shows_views or not is_task_id(job):
            return None
        created = self._now() if created is None else created
        message = with_sandbox_times(STARTED) if self._sandbox else STARTED
        return Task(make_task_id(strip_question(job), created), created, created, message, INTERVAL, TTL)

    def get(self, task_id: str, call: Call) -> Task:
        """Return the state of a task. Asks Scenext at most once in 10 seconds for one key and task."""
        job, api = self._authorized(task_id, call)
        key = sha256(api.key_digest + task_id.encode()).digest()
        known = self._recent.get(key)
        if known is not None:
            return known
        try:
            get_status = status_query(self._scenext, job.job, self._on_failed)
            data = api.run(get_status, call.caller.time.started, POLL_TIMEOUT)
        except TRANSIENT_FAILURES as failure:
            log_failure(failure, call.record)
            # Nothing newer than the creation is known.
            message = UNKNOWN_STATE.format(failure=type(failure).__name__)
            pause = min(failure.retry_after or 0, MAX_RETRY_AFTER)
            task = Task(task_id, job.created, job.created, message, max(INTERVAL, 1000 * pause), TTL)
        except failures.ScenextError as failure:
            pause, task = 0, self._failed(failure, task_id, job, call)
        else:
            pause, task = 0, self._state(data, task_id, job)
        if task.status != COMPLETED:
            self._recent.put(key, task, max(REPEAT_TIME, pause))
        return task

    def update(self, task_id: str, responses: dict[str, Any], call: Call) -> None:
        """Accept responses, although a job never asks for input."""
        self._authorized(task_id, call)

    def cancel(self, task_id: str, call: Call) -> None:
        """Accept the request. Scenext cannot stop a job, so it continues, and its video can be queried later."""
        self._authorized(task_id, call)

    def _authorized(self, task_id: str, call: Call) -> tuple[JobId, ApiCall]:
        """Return the job of a task and the API call that may ask for it. Raises RpcError. Nothing is sent."""
        job = parse(task_id)
        if job is None:
            raise RpcError(INVALID_PARAMS, UNKNOWN_TASK)
        try:
            return job, ApiCall(call, self._credentials, job.job)
        except failures.NotSent as failure:
            raise _error(failure, job, call) from failure

    def _failed(self, failure: failures.ScenextError, task_id: str, job: JobId, call: Call) -> Task:
        """Return the state after a failure that is not transient. Raises RpcError unless the job is new."""
        now = self._now(job)
        if isinstance(failure, failures.NotFound) and now - job.created < GRACE:
            log_failure(failure, call.record)
            return self._working(task_id, job, {}, now)
        raise _error(failure, job, call) from failure

    def _state(self, data: dict[str, Any], task_id: str, job: JobId) -> Task:
        """Return the state of a task from the `data` of its job. Raises RpcError if the task has expired."""
        now = self._now(job)
        if ended(data):
            more = {"result": self._result(data, job.job)}
            return Task(task_id, job.created, now, data["status"], INTERVAL, TTL, COMPLETED, more)
        if now - job.created >= TTL:
            raise RpcError(INVALID_PARAMS, EXPIRED.format(job=job.job))
        return self._working(task_id, job, data, now)

    def _working(self, task_id: str, job: JobId, data: dict[str, Any], now: int) -> Task:
        message = progress_message(data, (now - job.created) / 1000)
        return Task(task_id, job.created, now, message, INTERVAL, TTL)

    def _result(self, data: dict[str, Any], job: str) -> dict[str, Any]:
        """Return the result of `gen_video` once its job has ended.

        A failed job has `isError`, not the task's status `failed`, which is for JSON-RPC errors. gen_video's output
        schema requires `task_id` to be a string. Some clients reject a result without `resultType`.
        """
        step = next_step(data, job, "", can_wait=True)
        if any("&" in url for url in videos(data)):
            step += ESCAPED
        shown = brief({"task_id": job, **data} | {"task_id": job}, NONE, step)
        result = ToolResult([], shown, failed=data["status"] == "FAILED")
        return {**(simulated(result) if self._sandbox else result).written(), "resultType": "complete"}

    def _now(self, job: JobId | None = None) -> int:
        """Return the time in milliseconds since 1970. It is never before a job's creation, although clocks differ."""
        now = int(self._unix() * 1000)
        return now if job is None else max(now, job.created)


def _error(failure: failures.ScenextError, job: JobId, call: Call) -> RpcError:
    """Record a failure, and return it as a JSON-RPC error with the English text of the tools."""
    log_failure(failure, call.record)
    if isinstance(failure, failures.NotFound):
        return RpcError(INVALID_PARAMS, UNKNOWN_JOB)
    caller = call.caller
    text = advise(failure, charged=False, request_id=caller.request_id, signed_in=caller.signed_in)
    english, _, _ = text.partition("\n\n")
    if isinstance(failure, _KEY_FAILURES):
        return RpcError(INVALID_REQUEST, f"{english} {JOB_CONTINUES.format(job=job.job)}")
    return RpcError(INTERNAL_ERROR, english)
