"""A call that waits until a job has ended, so that a model, which cannot wait, need not ask again and again.

It asks Scenext at most every 15 seconds, half of the 30 that its API reference advises: here somebody waits for the
news. What fails for the moment is ridden out with the last good answer.

Source: Scenext's API reference, "Polling advice"; RFC 9110, section 10.2.3 (Retry-After).
"""

import random
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ..mcp import Call, Steps
from ..scenext import failures
from .asking import note
from .job_text import ended, frames

Job = dict[str, Any]
Question = Callable[[float, float], Job]  # when its time began, as time.monotonic(), and how many seconds it has

# Seconds.
ASK_EVERY = 15.0
LAST = 2.0  # before the end, when the last question is put
TELL_EVERY = 10.0
BEAT = 1.0  # between two looks whether the caller has left, or the process is to end

# What a later question may take: as long as the first one twice, so that where Scenext is quick a caller who leaves,
# or a restart, is not kept waiting.
LEAST_ANSWER, MOST_ANSWER = 2.0, 5.0

# Failures that may be gone the next time. The others are told at once: the key, the job or the account has changed.
PASSING = (
    failures.Busy,
    failures.NeverOpened,
    failures.Incomplete,
    failures.RateLimited,
    failures.ServerFault,
    failures.BadResponse,
)


class Waited(NamedTuple):
    """A job, and whether another wait for it is of use now."""

    job: Job
    again: bool


class Waits:
    """The calls that wait: `longest` seconds each, and `most` at the same time, because they hold threads.

    `stopping` says that the process is to end, which ends them all; `in_use` is called with 1 when one begins and -1
    when it ends.
    """

    def __init__(
        self,
        longest: int,
        most: int,
        stopping: Callable[[], bool] = lambda: False,
        in_use: Callable[[int], None] = lambda change: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.longest = longest
        self._places = threading.BoundedSemaphore(most)
        self._stopping = stopping
        self._in_use = in_use
        self._clock = clock
        self._sleep = sleep

    def wait(self, question: Question, job: Job, call: Call, end: float) -> Steps[Waited]:
        """Wait until a job has ended, at most until `end`, a time.monotonic(); return it as it was seen last.

        Raises any ScenextError that is not `PASSING`.
        """
        began = self._clock()
        if ended(job) or began >= end:
            return Waited(job, True)
        if not self._places.acquire(blocking=False):
            return Waited(job, False)
        self._in_use(1)
        asked_ms = call.record.upstream_ms or 0.0
        try:
            return (yield from self._follow(question, job, call, end))
        finally:
            self._in_use(-1)
            self._places.release()
            waited_ms = (self._clock() - began) * 1000 - ((call.record.upstream_ms or 0.0) - asked_ms)
            call.record.waited_ms = round(waited_ms, 1)

    def _follow(self, question: Question, job: Job, call: Call, end: float) -> Steps[Waited]:
        tell = began = self._clock()
        patience = min(max(2 * (began - call.caller.received), LEAST_ANSWER), MOST_ANSWER)
        last = max(end - LAST, began + BEAT)
        # Callers who begin together would go on asking together.
        ask_at = min(began + ASK_EVERY * random.uniform(0.5, 1), last)  # noqa: S311
        not_before = began  # Retry-After
        while (now := self._clock()) < end and not self._stopping():
            news = None
            if now >= tell:
                waited = now - call.caller.received
                news = call.progress(round(waited, 1), said(job, waited))
                tell += TELL_EVERY
            if (yield news):  # he has left
                break
            now = self._clock()  # sending takes as long as the client likes
            if ask_at <= now < end:
                try:
                    job = question(now, min(patience, end - now))
                except PASSING as failure:
                    note(failure, call.record)
                    not_before = now + (failure.retry_after or 0)
                if ended(job):
                    break
                last = last if now < last - LAST else end
                ask_at = max(min(now + ASK_EVERY, last), not_before)
            self._sleep(max(min(now + BEAT, ask_at, tell, end) - self._clock(), 0.0))
        return Waited(job, not_before <= self._clock())


def said(job: Job, seconds: float) -> str:
    """Return what a person is told of a job that is waited for."""
    drawn = len(frames(job))
    many = "frame" if drawn == 1 else "frames"
    return f"{drawn} {many} drawn, waiting for {seconds:.0f} s / 已生成 {drawn} 帧，已等待 {seconds:.0f} 秒"
