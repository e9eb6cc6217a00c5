"""Wait for a job to end inside one tool call, because models cannot wait between calls.

Scenext is polled at most every 15 seconds. Its API reference advises 30, but here a user is waiting. Progress is
reported every 10 seconds. Transient failures do not end the wait, and the last known state is kept.

Source: Scenext's API reference, "Polling advice"; RFC 9110, section 10.2.3 (Retry-After).
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..mcp import Call, Steps
from ..scenext import failures
from .api_call import log_failure
from .messages import ended, job_age, progress_message

Job = dict[str, Any]
Poll = Callable[[float, float], Job]  # takes a timeout's start, as time.monotonic(), and its length in seconds

# Seconds.
POLL_INTERVAL = 15.0
FINAL_POLL_BEFORE_END = 2.0
PROGRESS_INTERVAL = 10.0
TICK = 1.0  # between checks whether the client has disconnected or the process is stopping

# Bounds of a later poll's timeout, which is twice the duration of the first. If Scenext is fast, a poll that hangs
# delays the reaction to a disconnect or a restart only briefly.
MIN_POLL_TIMEOUT, MAX_POLL_TIMEOUT = 2.0, 5.0

# Other failures are reported at once, because the key, the job or the account has changed.
TRANSIENT_FAILURES = (
    failures.Busy,
    failures.NeverOpened,
    failures.Incomplete,
    failures.RateLimited,
    failures.ServerFault,
    failures.ForeignResponse,
    failures.BadResponse,
)


class WaitResult(NamedTuple):
    """The last known state of a job, and whether it makes sense to wait for it again now."""

    job: Job
    retry: bool


class Clock(NamedTuple):
    """The clock of waits and tasks. `sleep` sleeps for some seconds.

    `now` returns a time.monotonic(), and `unix` the seconds since 1970.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    unix: Callable[[], float] = time.time


SYSTEM_CLOCK = Clock()


class FairLimit:
    """A limit on waiting calls that is fair to all keys. It may change at any time. Thread-safe.

    Once half of the limit is in use, one key may hold at most an eighth of it, so that others find some. Keys are
    identified by their digests. All callers who use the server's key share its part.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_use = 0
        self._held: Counter[bytes] = Counter()
        self._lock = threading.Lock()

    def acquire(self, key: bytes) -> bool:
        """Begin a waiting call of a key. Return False if the limit is reached for this key."""
        with self._lock:
            if self.in_use >= self.limit:
                return False
            if 2 * self.in_use >= self.limit and self._held[key] >= max(self.limit // 8, 1):
                return False
            self.in_use += 1
            self._held[key] += 1
            return True

    def release(self, key: bytes) -> None:
        """End a waiting call of a key."""
        with self._lock:
            self.in_use -= 1
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]


class JobWaiter:
    """Wait for jobs: at most `max_wait` seconds each, and at most `max_calls` at once, because each holds a thread.

    `stopping` returns whether the process is stopping, which ends all waits. `on_wait_change(1)` is called when a wait
    begins, and `on_wait_change(-1)` when it ends. `started_at` returns the start of the job with an id in seconds since
    1970, None if it is not known.
    """

    def __init__(
        self,
        max_wait: int,
        max_calls: int,
        stopping: Callable[[], bool] = lambda: False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.max_wait = max_wait
        self.calls = FairLimit(max_calls)
        self._stopping = stopping
        self.on_wait_change: Callable[[int], None] = lambda change: None
        self.started_at: Callable[[str], float | None] = lambda task_id: None
        self.now = clock.now
        self._sleep = clock.sleep
        self._unix = clock.unix

    def wait(self, poll: Poll, job: Job, call: Call, end: float, key: bytes) -> Steps[WaitResult]:
        """Wait until a job has ended, at most until `end`, a time.monotonic(); return its last known state.

        Yields progress notifications. `key` is the digest of the key in use. Raises any ScenextError that is not in
        `TRANSIENT_FAILURES`.
        """
        if ended(job) or self.now() >= end:
            return WaitResult(job, retry=True)
        with self.place(key, call) as free:
            if not free:
                return WaitResult(job, retry=False)
            return (yield from self._poll_until_ended(poll, job, call, end))

    @contextmanager
    def place(self, key: bytes, call: Call) -> Iterator[bool]:
        """Count and time a waiting call. Yields False, and counts nothing, if no place is free for its key."""
        if not self.calls.acquire(key):
            yield False
            return
        self.on_wait_change(1)
        started, upstream_ms = self.now(), call.record.upstream_ms or 0.0
        try:
            yield True
        finally:
            self.on_wait_change(-1)
            self.calls.release(key)
            waited_ms = (self.now() - started) * 1000 - ((call.record.upstream_ms or 0.0) - upstream_ms)
            call.record.waited_ms = round(waited_ms, 1)

    def pause(self, seconds: float, end: float) -> bool:
        """Sleep, at most until `end`. Return False if `end` has passed or the process is stopping."""
        if self._stopping() or (remaining := end - self.now()) <= 0:
            return False
        self._sleep(min(seconds, remaining))
        return True

    def _poll_until_ended(self, poll: Poll, job: Job, call: Call, end: float) -> Steps[WaitResult]:
        next_progress = started = self.now()
        call_started = call.caller.time.started
        poll_timeout = min(max(2 * (started - call_started), MIN_POLL_TIMEOUT), MAX_POLL_TIMEOUT)
        last_poll = max(end - FINAL_POLL_BEFORE_END, started + TICK)
        # Jitter the first poll so that simultaneous callers spread out.
        next_poll = min(started + POLL_INTERVAL * random.uniform(0.5, 1), last_poll)  # noqa: S311
        not_before = started  # from Retry-After
        # Without progress notifications, the age is not needed, and the memory of started jobs is not read.
        age = None if call.progress_token is None else job_age(job, self._unix(), self.started_at)
        while (now := self.now()) < end and not self._stopping():
            notification = None
            if now >= next_progress:
                total = None if age is None else age + now - started
                progress = now - call_started if total is None else total
                notification = call.progress(round(progress, 1), progress_message(job, total))
                next_progress += PROGRESS_INTERVAL
            if (yield notification):  # the client has disconnected
                break
            now = self.now()  # a slow client delays the yield
            if next_poll <= now < end:
                try:
                    job = poll(now, min(poll_timeout, end - now))
                except TRANSIENT_FAILURES as failure:
                    log_failure(failure, call.record)
                    not_before = now + (failure.retry_after or 0)
                if ended(job):
                    break
                last_poll = last_poll if now < last_poll - FINAL_POLL_BEFORE_END else end
                next_poll = max(min(now + POLL_INTERVAL, last_poll), not_before)
            self._sleep(max(min(now + TICK, next_poll, next_progress, end) - self.now(), 0.0))
        return WaitResult(job, retry=not_before <= self.now())
