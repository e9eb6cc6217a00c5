"""The repeat window: a repeated call of `gen_video` returns the job of the first call instead of starting another.

Hosts, frameworks and models repeat calls, and Scenext charges each one. A call is a repeat if it has the same API key,
the same body for Scenext and the same `variant` as an earlier one, and comes within the window. The memory is a safety
net, and no text promises it: it may be lost, and other machines do not share it. If it fails, calls are sent as if
there were no window.
"""

import logging
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from ..mcp import Call, Steps, ToolError
from ..scenext import failures
from ..scenext.sandbox.jobs import strip_question
from . import failure_people
from .api_call import ApiCall
from .failure_texts import NOTHING_CHARGED
from .started_jobs import Start, StartedJobs, StoreError, is_running
from .waiting import JobWaiter

log = logging.getLogger(__name__)

# Seconds.
TICK = 0.1  # between checks whether the first call has its result
MAX_WAIT = 25.0  # for that result, from the arrival of the repeat; safe for every client, as for any other call
SEND_WITHIN = 4.0  # of its arrival, a waiting repeat is sent if the first call was refused; its timeout starts then
CLEANUP_TIME = 2.0  # after SCENEXT_TIMEOUT, within which every call that runs has recorded its result

MAX_VARIANTS = 100  # that are checked for the next free number

# Attempts after which a job may exist. Every other failure means that Scenext refused the call or never got it.
UNCLEAR = (failures.Incomplete, failures.ServerFault, failures.BadResponse)

NO_ANSWER = (
    "The same call was sent {ago}, got no answer from Scenext and may have been charged, so this one was not sent. Tell"
    " the user, who can look the job up at Scenext. Only if the user wants another attempt, call gen_video again with"
    " variant={variant}, which is charged.\n\n"
    "相同的请求已在{ago_chinese}发出，没有得到 Scenext 的响应，可能已经扣费，因此本次请求未发送。请告知用户，由用户在"
    " Scenext 中确认。仅在用户要求再试一次时，才用 variant={variant} 重新调用 gen_video（会扣费）。"
)
TOO_LATE = (
    "The same call was in progress, and Scenext refused it. This call was not sent, because too little of its time was"
    f" left. {NOTHING_CHARGED.english} Call gen_video again.\n\n"
    f"正在处理的相同请求被 Scenext 拒绝，本次请求剩余时间不足，未发送。{NOTHING_CHARGED.chinese}请重新调用 gen_video。"
)


class Repeat(NamedTuple):
    """A repeated call: the seconds since the first one, and the variant that starts another job."""

    age: float
    next_variant: int


class Started(NamedTuple):
    """A started job: its `data`, and when the first call was sent, in milliseconds since 1970, if that is recorded.

    `repeat` is None if this call has started the job.
    """

    data: dict[str, Any]
    created: int | None = None
    repeat: Repeat | None = None


class RepeatWindow:
    """The jobs that were started within the window. Thread-safe.

    `api` identifies the Scenext that jobs are started at. `timeout` is that of a call to it in seconds.
    """

    def __init__(self, jobs: StartedJobs, waiter: JobWaiter, api: str, timeout: float) -> None:
        self._jobs = jobs
        self._waiter = waiter
        self._api = api
        self._timeout = timeout

    def check(self) -> None:
        """Log a warning if the memory cannot be used."""
        try:
            self._jobs.check()
        except StoreError as error:
            _warn(error)

    def start(
        self, job: dict[str, Any], variant: int, api: ApiCall, call: Call, send: Callable[[float], dict[str, Any]]
    ) -> Steps[Started]:
        """Start a job with `send`, which takes the start of its timeout, or return the job of an earlier, equal call.

        If an equal call is in flight, wait for its result. Raises ToolError, and any ScenextError.
        """
        request = sha256(orjson.dumps([self._api, job])).digest()

        def digest(variant: int) -> bytes:
            return api.keyed_digest(request + str(variant).encode())

        try:
            new, first = self._jobs.claim(digest(variant))
            if not new and self._is_in_flight(first):
                new, first = yield from self._result_of(digest(variant), first, api, call)
        except StoreError as error:
            _warn(error)
            return Started(send(time.monotonic()))
        if new:
            return self._send(digest(variant), first.started, send)
        age = self._jobs.now() - first.started
        call.record.repeat_age_s = round(age, 1)
        next_variant = self._next_variant(digest, variant)
        if first.task_id is None:
            english, chinese = ago(age)
            text = NO_ANSWER.format(ago=english, ago_chinese=chinese, variant=next_variant)
            raise ToolError(text, failure_people.NOT_REPEATED)
        return Started({"task_id": first.task_id}, int(first.started * 1000), Repeat(age, next_variant))

    def forget_failed(self, task_id: str) -> None:
        """Forget a job that has failed, so that the same call starts a new one."""
        try:
            self._jobs.forget_job(strip_question(task_id))
        except StoreError as error:
            _warn(error)

    def started_at(self, task_id: str) -> float | None:
        """Return the time at which a job was started, in seconds since 1970, None if it is not known."""
        try:
            return self._jobs.started_at(strip_question(task_id))
        except StoreError as error:
            _warn(error)
            return None

    def _is_in_flight(self, start: Start) -> bool:
        """Return whether a call may still record its result. If its process was killed, it cannot."""
        if start.task_id is not None or start.unclear:
            return False
        return self._jobs.now() < start.started + self._timeout + CLEANUP_TIME and is_running(start.pid)

    def _result_of(self, digest: bytes, first: Start, api: ApiCall, call: Call) -> Steps[tuple[bool, Start]]:
        """Wait for the result of a call in flight, and return its row.

        If that call is refused, claim the request for this call. The result is that of `StartedJobs.claim`.
        """
        arrived = call.caller.time.started
        end = min(arrived + MAX_WAIT, call.caller.time.deadline)
        with self._waiter.place(api.key_digest, call) as free:
            if not free:
                raise failures.Busy(reason="no place is left for a waiting call")
            new = False
            while not new and self._is_in_flight(first) and self._waiter.pause(TICK, end):
                # The memory of a stream's arguments is not reserved, so a large call waits without a stream.
                if not call.too_large_to_wait and (yield None):  # the client has disconnected
                    break
                found = self._jobs.find(digest)
                if found is not None:
                    first = found
                elif self._waiter.now() > arrived + SEND_WITHIN:
                    raise ToolError(TOO_LATE, failure_people.NOT_SENT)
                else:
                    new, first = self._jobs.claim(digest)  # not new if another waiting call was faster
        return new, first

    def _send(self, digest: bytes, started: float, send: Callable[[float], dict[str, Any]]) -> Started:
        """Send the request, and record its result."""
        task_id, refused = None, False
        try:
            data = send(time.monotonic())
            task_id = strip_question(str(data["task_id"]))
            return Started(data, int(started * 1000))
        except failures.ScenextError as failure:
            refused = not isinstance(failure, UNCLEAR)
            raise
        finally:
            self._record(digest, task_id, refused)

    def _record(self, digest: bytes, task_id: str | None, refused: bool) -> None:
        try:
            if task_id is not None:
                self._jobs.finish(digest, task_id)
            elif refused:
                self._jobs.forget(digest)
            else:
                self._jobs.mark_unclear(digest)
        except StoreError as error:
            _warn(error)

    def _next_variant(self, digest: Callable[[int], bytes], variant: int) -> int:
        """Return the next number that no call within the window has used."""
        try:
            numbers = range(variant + 1, variant + MAX_VARIANTS)
            return next((number for number in numbers if self._jobs.find(digest(number)) is None), numbers.stop)
        except StoreError as error:
            _warn(error)
            return variant + 1


def ago(seconds: float) -> tuple[str, str]:
    """Return how long ago something happened, in English and in Chinese."""
    number, unit, chinese = (int(seconds), "second", "秒") if seconds < 60 else (int(seconds / 60), "minute", "分钟")
    return f"{number} {unit}{'' if number == 1 else 's'} ago", f" {number} {chinese}前"


def _warn(error: StoreError) -> None:
    log.warning("repeat window unavailable", extra={"fields": {"reason": str(error)}})
