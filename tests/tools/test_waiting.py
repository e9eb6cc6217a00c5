"""`JobWaiter` with a clock that advances only while a wait sleeps, and with a Scenext that misbehaves during a wait."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import pytest

from scenext_service.mcp import Call, LogRecord, Steps
from scenext_service.mcp.context import Caller, TimeBudget
from scenext_service.scenext import failures
from scenext_service.scenext.client import Scenext
from scenext_service.tools import waiting
from scenext_service.tools.waiting import Clock, FairLimit, JobWaiter, WaitResult
from tests.support.messages import KEY, taken
from tests.support.upstream import ANSWERS, JOB, Upstream

RECEIVED = 1000.0  # time on the clock of these tests
UNIX = 1_795_000_000.0  # seconds since 1970 at the zero of that clock
RUNNING = {"task_id": "12345", "status": "IN_PROGRESS", "progress": [{"id": "frame1", "image": "https://h/1"}]}
DONE = {"task_id": "12345", "status": "COMPLETED", "result": {"video_url": "https://h/v"}}
FAILED = {"task_id": "12345", "status": "FAILED", "result": {"error": "no text"}}

Answer = dict[str, Any] | failures.ScenextError


class Scene:
    """A wait in progress. `asked` holds the times of its polls in seconds, `seconds` the timeout of each poll."""

    def __init__(self, answers: Iterable[Answer] = (), takes: float = 0.0, most: int = 1) -> None:
        self.now = RECEIVED
        self.stopped = False
        self.changes: list[int] = []
        self.poll_times: list[float] = []
        self.seconds: list[float] = []
        self.slept: list[float] = []
        self.record = LogRecord()
        clock = Clock(lambda: self.now, self.sleep, lambda: self.now + UNIX)
        self.waiter = JobWaiter(900, most, lambda: self.stopped, clock)
        self.waiter.on_wait_change = self.changes.append
        self._answers = iter(answers)
        self._takes = takes

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def question(self, since: float, seconds: float) -> dict[str, Any]:
        assert since == self.now
        self.poll_times.append(round(self.now - RECEIVED, 3))
        self.seconds.append(round(seconds, 3))
        self.now += self._takes
        self.record.upstream_ms = (self.record.upstream_ms or 0.0) + self._takes * 1000
        answer = next(self._answers, RUNNING)
        if isinstance(answer, failures.ScenextError):
            raise answer
        return answer

    def wait(
        self,
        seconds: float,
        job: dict[str, Any] = RUNNING,
        token: str | None = "t",  # noqa: S107
        key: bytes = b"digest",
    ) -> Steps[WaitResult]:
        call = Call(Caller(time=TimeBudget(RECEIVED)), self.record, progress_token=token)
        return self.waiter.wait(self.question, job, call, RECEIVED + seconds, key)


def progress_in(yielded: list[bytes | None]) -> list[tuple[float, str]]:
    """Return the progress value and the message of each notification."""
    notifications = [orjson.loads(message) for message in yielded if message]
    assert [(it["jsonrpc"], it["method"]) for it in notifications] == [("2.0", "notifications/progress")] * len(
        notifications
    )
    assert {it["params"]["progressToken"] for it in notifications} <= {"t"}
    return [(it["params"]["progress"], it["params"]["message"]) for it in notifications]


@pytest.mark.parametrize("job", [DONE, FAILED], ids=["completed", "failed"])
def test_a_finished_job_is_not_waited_for(job: dict[str, Any]) -> None:
    """Ours: nothing is yielded, so the response is plain JSON."""
    scene = Scene()
    assert taken(scene.wait(50, job)) == ([], WaitResult(job, True))
    assert (scene.poll_times, scene.changes, scene.record.waited_ms) == ([], [], None)


@pytest.mark.parametrize("end", [DONE, FAILED], ids=["completed", "failed"])
def test_a_wait_ends_with_the_job(end: dict[str, Any]) -> None:
    """Ours: the result is returned as soon as it is known, not at the end of the wait."""
    scene = Scene([RUNNING, end])
    _, waited = taken(scene.wait(50))
    assert waited == WaitResult(end, True)
    assert len(scene.poll_times) == 2
    assert scene.now == pytest.approx(RECEIVED + scene.poll_times[1], abs=0.001)
    assert scene.record.waited_ms == pytest.approx(scene.poll_times[1] * 1000, abs=1)


@pytest.mark.parametrize(
    ("seconds", "steady"),
    [
        pytest.param(1, [], id="1 s: no poll"),
        pytest.param(4, [2.0], id="4 s: the final poll"),
        pytest.param(25, [23.0], id="25 s: one poll, then the final one"),
        pytest.param(50, [48.0], id="50 s"),
        pytest.param(900, [898.0], id="900 s"),
    ],
)
def test_scenext_is_polled_every_15_seconds_and_shortly_before_the_end(seconds: int, steady: list[float]) -> None:
    """Ours: Scenext recommends 30 s. Jitter shortens the first pause, so that simultaneous callers spread out."""
    scene = Scene()
    _, waited = taken(scene.wait(seconds))
    assert waited == WaitResult(RUNNING, True)
    assert scene.now == RECEIVED + seconds
    assert [last - 2 <= polled <= last for polled, last in zip(scene.poll_times[-1:], steady, strict=True)] in (
        [],
        [True],
    )
    pauses = [after - before for before, after in zip([0.0, *scene.poll_times], scene.poll_times, strict=False)]
    if seconds >= 25:
        assert 7.5 <= pauses[0] <= 15
        assert [round(pause, 3) for pause in pauses[1:-1]] == [15.0] * (len(pauses) - 2)
    assert max(pauses, default=0) <= 15.001


def test_jitter_spreads_out_the_polls_of_simultaneous_callers() -> None:
    """Ours: otherwise 250 callers of a worker would poll at the same moment, and some would find no slot."""
    first = set()
    for _ in range(40):
        scene = Scene()
        taken(scene.wait(50))
        first.add(scene.poll_times[0])
    assert len(first) > 30
    assert max(first) - min(first) > 3


@pytest.mark.parametrize(
    ("first_seconds", "limit"),
    [pytest.param(0.2, 2.0, id="quick"), pytest.param(1.5, 3.0, id="slow"), pytest.param(9.0, 5.0, id="very slow")],
)
def test_later_polls_time_out_after_twice_the_time_of_the_first_query(first_seconds: float, limit: float) -> None:
    """Ours: between 2 and 5 s, so that a disconnect or a restart does not wait long for a poll."""
    scene = Scene()
    scene.now += first_seconds
    taken(scene.wait(50))
    assert scene.seconds[0] == limit
    assert 2.0 <= scene.seconds[-1] <= 4.0  # the final poll has the remaining time
    assert scene.now == RECEIVED + 50


def test_progress_is_sent_immediately_and_every_10_s_and_increases() -> None:
    """Spec: 2026-07-28, basic/patterns/progress: "The `progress` value MUST increase with each notification"."""
    scene = Scene([{**RUNNING, "progress": [{}, {}, {}]}])
    yielded, _ = taken(scene.wait(35))
    progress, words = zip(*progress_in(yielded), strict=True)
    assert progress == (0.0, 10.0, 20.0, 30.0)
    assert words[0] == "1 frame so far / 已有 1 个画面"
    assert words[2] == "3 frames so far / 已有 3 个画面"
    assert yielded.count(None) > 30  # a check for a disconnected client at least every second
    assert max(scene.slept) <= 1.001


def test_progress_counts_each_picture_once() -> None:
    """Ours: a frame may repeat the previous picture. The text and the card show it once."""
    repeated = [{"id": f"frame{n}", "image": "https://h/1"} for n in (1, 2)]
    yielded, _ = taken(Scene().wait(5, {**RUNNING, "progress": repeated}))
    assert progress_in(yielded) == [(0.0, "1 frame so far / 已有 1 个画面")]


@pytest.mark.parametrize(
    "job",
    [
        pytest.param({**RUNNING, "created_at": UNIX + RECEIVED - 40}, id="Scenext's time"),
        pytest.param({**RUNNING, "task_id": f"sandbox-{int((UNIX + RECEIVED - 40) * 1000)}-V2h5"}, id="sandbox"),
    ],
)
def test_progress_counts_from_the_start_of_the_job(job: dict[str, Any]) -> None:
    """Ours: a second call continues where the first one ended. Only the first query needs to state the start."""
    scene = Scene()
    scene.now += 2  # the first query takes some time
    yielded, _ = taken(scene.wait(32, job))
    assert progress_in(yielded) == [
        (42.0, "1 frame · started 40 s ago / 1 个画面 · 40 秒前开始"),
        (52.0, "1 frame · started 50 s ago / 1 个画面 · 50 秒前开始"),
        (62.0, "1 frame · started 1 min ago / 1 个画面 · 1 分钟前开始"),
    ]


def test_no_progress_is_sent_without_a_token() -> None:
    """Spec: 2026-07-28, basic/patterns/progress: only tokens that were provided in an active request."""
    yielded, _ = taken(Scene().wait(12, token=None))
    assert [message for message in yielded if message is not None] == [b"", b""]


# Failures

TRANSIENT = [
    failures.Busy(),
    failures.NameNotResolved(),
    failures.ConnectionFailed(),
    failures.TlsFailed(),
    failures.DeadlinePassed("2"),
    failures.ConnectionLost(),
    failures.RateLimited(429),
    failures.ServerFault(503),
    failures.ForeignResponse(403),
    failures.BadResponse(200, "empty"),
]
LASTING = [
    failures.KeyRefused(401),
    failures.KeyRefused(403),
    failures.OutOfCredit(402),
    failures.NotFound(404),
    failures.Rejected(200, "removed"),
    failures.Redirected(302),
    failures.UnexpectedStatus(418),
]


def identity(failure: failures.ScenextError) -> str:
    return f"{type(failure).__name__}-{failure.status}"


def test_each_failure_is_either_transient_or_permanent() -> None:
    """Ours: a new failure class needs a decision. Of NotSent, only Busy can result from a later poll."""

    def leaves(kind: type[failures.ScenextError]) -> Iterator[type[failures.ScenextError]]:
        yield from [leaf for below in kind.__subclasses__() for leaf in leaves(below)] or [kind]

    keys = {failures.KeyMissing, failures.KeyPlaceholder, failures.KeyUnusable, failures.SignInToken}
    first = {*keys, failures.InvalidTaskId, failures.NoTimeLeft}
    assert {type(it) for it in [*TRANSIENT, *LASTING]} | first == set(leaves(failures.ScenextError))


@pytest.mark.parametrize("failure", TRANSIENT, ids=identity)
def test_a_transient_failure_does_not_end_a_wait(failure: failures.ScenextError) -> None:
    """Ours: after a first successful query, the next poll may succeed. The operator still sees the failure."""
    scene = Scene([failure, DONE])
    assert taken(scene.wait(50))[1] == WaitResult(DONE, True)
    assert (scene.record.failure, scene.record.outcome) == (type(failure).__name__, None)


@pytest.mark.parametrize("failure", TRANSIENT, ids=identity)
def test_a_repeated_transient_failure_returns_the_last_known_state(failure: failures.ScenextError) -> None:
    """Ours: a wait that ends without news is a normal result."""
    newer = {**RUNNING, "progress": [{}, {}]}
    scene = Scene([newer, *[failure] * 9])
    assert taken(scene.wait(50))[1] == WaitResult(newer, True)
    assert scene.now == RECEIVED + 50


@pytest.mark.parametrize("failure", LASTING, ids=identity)
def test_a_permanent_failure_ends_a_wait_immediately(failure: failures.ScenextError) -> None:
    """Ours: polling again would not help, because the key, the job or the account has changed."""
    scene = Scene([failure])
    with pytest.raises(type(failure)):
        taken(scene.wait(50))
    assert scene.changes == [1, -1]
    assert scene.now == pytest.approx(RECEIVED + scene.poll_times[0], abs=0.001)


@pytest.mark.parametrize("kind", [failures.RateLimited, failures.ServerFault])
def test_retry_after_is_respected_between_polls(kind: type[failures.Responded]) -> None:
    """Spec: RFC 9110, section 10.2.3."""
    scene = Scene([kind(429, "", 20), RUNNING])
    assert taken(scene.wait(50))[1] == WaitResult(RUNNING, True)
    first, second = scene.poll_times[:2]
    assert first + 19.999 <= second <= first + 21.001
    assert scene.now == RECEIVED + 50


def test_a_retry_after_beyond_the_wait_forbids_another_call() -> None:
    """Spec: RFC 9110, section 10.2.3. Ours: the result is still in time, but an immediate call would be too early."""
    scene = Scene([failures.RateLimited(429, "", 300)])
    assert taken(scene.wait(50))[1] == WaitResult(RUNNING, False)
    assert len(scene.poll_times) == 1
    assert scene.now == RECEIVED + 50


# FairLimit, disconnects and shutdown


def test_the_number_of_waiting_calls_is_limited() -> None:
    """Ours: if all threads waited, other requests would find none."""
    scene = Scene(most=2)
    steps = [scene.wait(50, key=key) for key in (b"one", b"another")]
    for one in steps:
        next(one)
    assert taken(scene.wait(50)) == ([], WaitResult(RUNNING, False))
    assert scene.changes == [1, 1]
    for one in steps:
        one.close()
    assert scene.changes == [1, 1, -1, -1]
    assert taken(scene.wait(2))[1] == WaitResult(RUNNING, True)


@pytest.mark.parametrize(
    ("most", "shared"),
    [
        pytest.param(16, 8, id="half"),
        pytest.param(80, 40, id="half of a larger number"),
        pytest.param(1, 1, id="only place"),
    ],
)
def test_one_key_uses_at_most_half_of_the_places(most: int, shared: int) -> None:
    """Ours: a caller with many waits leaves places for others. Callers with a shared key also share its limit."""
    places = FairLimit(most)
    assert [places.acquire(b"greedy") for _ in range(most + 1)] == [True] * shared + [False] * (most + 1 - shared)


def test_each_key_may_use_an_eighth_once_half_of_the_places_are_taken() -> None:
    """Ours: `docs/operating.md`, "Calls that wait"."""
    places = FairLimit(32)
    assert [places.acquire(b"greedy") for _ in range(17)] == [True] * 16 + [False]
    for key in (b"a", b"b", b"c", b"d"):
        assert [places.acquire(key) for _ in range(5)] == [True] * 4 + [False]
    assert (places.in_use, places.acquire(b"e")) == (32, False)
    places.release(b"greedy")
    assert [places.acquire(key) for key in (b"greedy", b"a", b"e")] == [False, False, True]


def test_a_released_place_is_available_to_the_same_key() -> None:
    """Ours: no entry remains for a key that is not in use."""
    places = FairLimit(2)
    for _ in range(5):
        assert places.acquire(b"key")
        places.release(b"key")
    assert (places.in_use, dict(places._held)) == (0, {})


def test_a_disconnected_client_frees_its_place() -> None:
    """Spec: 2026-07-28, basic/patterns/cancellation: "Free associated resources"."""
    scene = Scene()
    steps = scene.wait(50)
    next(steps)
    next(steps)
    with pytest.raises(StopIteration):
        steps.send(True)
    assert scene.changes == [1, -1]
    assert scene.record.waited_ms == 1000.0
    assert taken(scene.wait(2))[1] == WaitResult(RUNNING, True)


def test_a_shutdown_ends_a_wait_with_the_current_result() -> None:
    """Ours: a restart neither interrupts a call nor waits for one."""
    scene = Scene()

    def stop() -> None:
        scene.stopped = scene.now >= RECEIVED + 5

    assert taken(scene.wait(50), stop)[1] == WaitResult(RUNNING, True)
    assert scene.now <= RECEIVED + 6


def test_a_first_query_that_used_up_the_time_leaves_no_wait() -> None:
    """Ours: the time counts from the request."""
    scene = Scene()
    scene.now += 25
    assert taken(scene.wait(25)) == ([], WaitResult(RUNNING, True))


def test_wait_time_and_upstream_time_are_recorded_separately() -> None:
    """Ours: the log distinguishes a slow Scenext from a long wait."""
    scene = Scene(takes=1.5)
    taken(scene.wait(25))
    assert scene.record.upstream_ms == 1500.0 * len(scene.poll_times)
    assert scene.record.waited_ms == pytest.approx(25_000 - scene.record.upstream_ms)


# A real client and a misbehaving Scenext


BEHAVIOURS = [
    *["closed", "reset", "half-head", "half-body", "half-chunk", "bad-chunk", "bad-status", "not-http"],
    *["silent", "silent-body", "drip-head", "drip-body", "drip-chunks", "endless-body", "endless-headers"],
    *["endless-line", "endless-continue", "empty", "no-content", "html", "not-utf-8", "array", "no-data", "data-array"],
    *["too-large", "bomb", "broken-gzip", "cut-gzip", "too-many-headers", "two-lengths", "parts", "limited"],
    *["firewall", "status-500", "status-502", "status-503", "status-504", "after-101", "body-of-204"],
]


@pytest.mark.usefixtures("no_network_settings")
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_misbehaving_scenext_does_not_end_a_wait(behaviour: str) -> None:
    """Ours: each kind of misbehaviour that the tests simulate, between two successful queries."""
    scene = Scene()
    with Upstream() as upstream:
        bad = Scenext(f"{upstream.url}/{behaviour}", timeout=20, slots=1)
        good = Scenext(f"{upstream.url}/api", timeout=20, slots=1)
        through: list[str] = []

        def question(since: float, seconds: float) -> dict[str, Any]:
            scenext = bad if not through else good
            through.append(behaviour if scenext is bad else "api")
            return scenext.get_status("12345", KEY, time.monotonic(), timeout=min(seconds, 0.3))

        call = Call(Caller(time=TimeBudget(RECEIVED)), scene.record)
        _, waited = taken(scene.waiter.wait(question, RUNNING, call, RECEIVED + 50, b"digest"))
    assert through[:2] == [behaviour, "api"]
    assert waited == WaitResult(JOB, True)
    assert scene.now == RECEIVED + 50
    assert scene.changes == [1, -1]


def test_the_intervals_match_the_documentation() -> None:
    """Ours: docs/protocol.md, "Wait for its end"."""
    assert (waiting.POLL_INTERVAL, waiting.FINAL_POLL_BEFORE_END, waiting.PROGRESS_INTERVAL, waiting.TICK) == (
        15.0,
        2.0,
        10.0,
        1.0,
    )
    assert "limited" in ANSWERS
