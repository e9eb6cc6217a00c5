"""`Waits`, over a clock that only moves when a wait sleeps; and over a Scenext that misbehaves in the middle of it."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import pytest

from scenext_service.mcp import Call, Caller, Record, Steps
from scenext_service.scenext import failures
from scenext_service.scenext.client import Scenext
from scenext_service.tools import waiting
from scenext_service.tools.waiting import Waited, Waits
from tests.support.messages import KEY, taken
from tests.support.upstream import ANSWERS, JOB, Upstream

RECEIVED = 1000.0  # on the clock of these tests
RUNNING = {"task_id": "12345", "status": "IN_PROGRESS", "progress": [{"id": "frame1", "image": "https://h/1"}]}
DONE = {"task_id": "12345", "status": "COMPLETED", "result": {"video_url": "https://h/v"}}
FAILED = {"task_id": "12345", "status": "FAILED", "result": {"error": "no text"}}

Answer = dict[str, Any] | failures.ScenextError


class Scene:
    """A wait under way. `asked` are the seconds at which Scenext was asked, `seconds` what it had each time."""

    def __init__(self, answers: Iterable[Answer] = (), takes: float = 0.0, most: int = 1) -> None:
        self.now = RECEIVED
        self.stopped = False
        self.changes: list[int] = []
        self.asked: list[float] = []
        self.seconds: list[float] = []
        self.slept: list[float] = []
        self.record = Record()
        self.waits = Waits(900, most, lambda: self.stopped, self.changes.append, lambda: self.now, self.sleep)
        self._answers = iter(answers)
        self._takes = takes

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def question(self, since: float, seconds: float) -> dict[str, Any]:
        assert since == self.now
        self.asked.append(round(self.now - RECEIVED, 3))
        self.seconds.append(round(seconds, 3))
        self.now += self._takes
        self.record.upstream_ms = (self.record.upstream_ms or 0.0) + self._takes * 1000
        answer = next(self._answers, RUNNING)
        if isinstance(answer, failures.ScenextError):
            raise answer
        return answer

    def wait(self, seconds: float, job: dict[str, Any] = RUNNING, token: str | None = "t") -> Steps[Waited]:  # noqa: S107
        call = Call(Caller(received=RECEIVED), self.record, progress_token=token)
        return self.waits.wait(self.question, job, call, RECEIVED + seconds)


def told(yielded: list[bytes | None]) -> list[tuple[float, str]]:
    """Return the progress of each notification, and its words."""
    notifications = [orjson.loads(message) for message in yielded if message]
    assert [(it["jsonrpc"], it["method"]) for it in notifications] == [("2.0", "notifications/progress")] * len(
        notifications
    )
    assert {it["params"]["progressToken"] for it in notifications} <= {"t"}
    return [(it["params"]["progress"], it["params"]["message"]) for it in notifications]


@pytest.mark.parametrize("job", [DONE, FAILED], ids=["completed", "failed"])
def test_a_job_that_has_ended_is_not_waited_for(job: dict[str, Any]) -> None:
    """Ours: the answer is plain JSON then: nothing is yielded."""
    scene = Scene()
    assert taken(scene.wait(50, job)) == ([], Waited(job, True))
    assert (scene.asked, scene.changes, scene.record.waited_ms) == ([], [], None)


@pytest.mark.parametrize("end", [DONE, FAILED], ids=["completed", "failed"])
def test_a_wait_ends_with_the_job(end: dict[str, Any]) -> None:
    """Ours: the news is told when it is there, not at the end of the time."""
    scene = Scene([RUNNING, end])
    _, waited = taken(scene.wait(50))
    assert waited == Waited(end, True)
    assert len(scene.asked) == 2
    assert scene.now == pytest.approx(RECEIVED + scene.asked[1], abs=0.001)
    assert scene.record.waited_ms == pytest.approx(scene.asked[1] * 1000, abs=1)


@pytest.mark.parametrize(
    ("seconds", "steady"),
    [
        pytest.param(1, [], id="1: none"),
        pytest.param(4, [2.0], id="4: the last"),
        pytest.param(25, [23.0], id="25: one, and the last"),
        pytest.param(50, [48.0], id="50"),
        pytest.param(900, [898.0], id="900"),
    ],
)
def test_scenext_is_asked_every_15_seconds_and_once_more_close_to_the_end(seconds: int, steady: list[float]) -> None:
    """Ours: Scenext advises 30; the first pause is shorter, by chance, so that callers do not ask together."""
    scene = Scene()
    _, waited = taken(scene.wait(seconds))
    assert waited == Waited(RUNNING, True)
    assert scene.now == RECEIVED + seconds
    assert [last - 2 <= asked <= last for asked, last in zip(scene.asked[-1:], steady, strict=True)] in ([], [True])
    pauses = [after - before for before, after in zip([0.0, *scene.asked], scene.asked, strict=False)]
    if seconds >= 25:
        assert 7.5 <= pauses[0] <= 15
        assert [round(pause, 3) for pause in pauses[1:-1]] == [15.0] * (len(pauses) - 2)
    assert max(pauses, default=0) <= 15.001


def test_callers_who_begin_together_do_not_go_on_asking_together() -> None:
    """Ours: 250 of a worker would ask in one moment, and some find no slot."""
    first = set()
    for _ in range(40):
        scene = Scene()
        taken(scene.wait(50))
        first.add(scene.asked[0])
    assert len(first) > 30
    assert max(first) - min(first) > 3


@pytest.mark.parametrize(
    ("took", "limit"),
    [pytest.param(0.2, 2.0, id="quick"), pytest.param(1.5, 3.0, id="slow"), pytest.param(9.0, 5.0, id="very slow")],
)
def test_a_later_question_has_as_long_as_the_first_took_twice(took: float, limit: float) -> None:
    """Ours: so that a caller who leaves, or a restart, need not wait for it long; between 2 and 5 seconds."""
    scene = Scene()
    scene.now += took
    taken(scene.wait(50))
    assert scene.seconds[0] == limit
    assert 2.0 <= scene.seconds[-1] <= 4.0  # the last one has what is left
    assert scene.now == RECEIVED + 50


def test_progress_is_told_at_once_and_every_10_seconds_and_grows() -> None:
    """Spec: 2026-07-28, basic/patterns/progress: "The `progress` value MUST increase with each notification"."""
    scene = Scene([{**RUNNING, "progress": [{}, {}, {}]}])
    yielded, _ = taken(scene.wait(35))
    progress, words = zip(*told(yielded), strict=True)
    assert progress == (0.0, 10.0, 20.0, 30.0)
    assert words[0] == "1 frame drawn, waiting for 0 s / 已生成 1 帧，已等待 0 秒"
    assert words[2] == "3 frames drawn, waiting for 20 s / 已生成 3 帧，已等待 20 秒"
    assert yielded.count(None) > 30  # a moment to see whether the caller is there, at least each second
    assert max(scene.slept) <= 1.001


def test_who_asked_for_no_progress_gets_words_of_none() -> None:
    """Spec: 2026-07-28, basic/patterns/progress: only tokens that were provided in an active request."""
    yielded, _ = taken(Scene().wait(12, token=None))
    assert [message for message in yielded if message is not None] == [b"", b""]


# Failures

PASSING = [
    failures.Busy(),
    failures.NameNotResolved(),
    failures.ConnectionFailed(),
    failures.TlsFailed(),
    failures.DeadlinePassed("2"),
    failures.ConnectionLost(),
    failures.RateLimited(429),
    failures.ServerFault(503),
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


def test_each_failure_of_the_tree_is_one_or_the_other() -> None:
    """Ours: a new class has to be decided on. All of NotSent but Busy never come of a later question."""

    def leaves(kind: type[failures.ScenextError]) -> Iterator[type[failures.ScenextError]]:
        yield from [leaf for below in kind.__subclasses__() for leaf in leaves(below)] or [kind]

    keys = {failures.KeyMissing, failures.KeyPlaceholder, failures.KeyUnusable}
    first = {*keys, failures.InvalidTaskId, failures.NoTimeLeft}
    assert {type(it) for it in [*PASSING, *LASTING]} | first == set(leaves(failures.ScenextError))


@pytest.mark.parametrize("failure", PASSING, ids=identity)
def test_a_passing_failure_is_ridden_out(failure: failures.ScenextError) -> None:
    """Ours: after a first good answer, the next question may go better; the operator still sees that one failed."""
    scene = Scene([failure, DONE])
    assert taken(scene.wait(50))[1] == Waited(DONE, True)
    assert (scene.record.failure, scene.record.outcome) == (type(failure).__name__, None)


@pytest.mark.parametrize("failure", PASSING, ids=identity)
def test_a_failure_that_lasts_leaves_the_last_good_answer_in_time(failure: failures.ScenextError) -> None:
    """Ours: a wait that ends without news is a normal result."""
    newer = {**RUNNING, "progress": [{}, {}]}
    scene = Scene([newer, *[failure] * 9])
    assert taken(scene.wait(50))[1] == Waited(newer, True)
    assert scene.now == RECEIVED + 50


@pytest.mark.parametrize("failure", LASTING, ids=identity)
def test_a_lasting_failure_is_told_at_once(failure: failures.ScenextError) -> None:
    """Ours: asking again would not help: the key, the job or the account has changed."""
    scene = Scene([failure])
    with pytest.raises(type(failure)):
        taken(scene.wait(50))
    assert scene.changes == [1, -1]
    assert scene.now == pytest.approx(RECEIVED + scene.asked[0], abs=0.001)


@pytest.mark.parametrize("kind", [failures.RateLimited, failures.ServerFault])
def test_scenext_is_not_asked_again_before_it_wants_to_be(kind: type[failures.Responded]) -> None:
    """Spec: RFC 9110, section 10.2.3."""
    scene = Scene([kind(429, "", 20), RUNNING])
    assert taken(scene.wait(50))[1] == Waited(RUNNING, True)
    first, second = scene.asked[:2]
    assert first + 19.999 <= second <= first + 21.001
    assert scene.now == RECEIVED + 50


def test_who_may_not_ask_again_soon_is_told_not_to() -> None:
    """Spec: RFC 9110, section 10.2.3. Ours: the answer still comes in time, and the next call would ask too soon."""
    scene = Scene([failures.RateLimited(429, "", 300)])
    assert taken(scene.wait(50))[1] == Waited(RUNNING, False)
    assert len(scene.asked) == 1
    assert scene.now == RECEIVED + 50


# Places, and ends that come from outside


def test_no_more_wait_than_there_are_places() -> None:
    """Ours: with all threads waiting, nobody else is answered."""
    scene = Scene(most=2)
    steps = [scene.wait(50) for _ in range(2)]
    for one in steps:
        next(one)
    assert taken(scene.wait(50)) == ([], Waited(RUNNING, False))
    assert scene.changes == [1, 1]
    for one in steps:
        one.close()
    assert scene.changes == [1, 1, -1, -1]
    assert taken(scene.wait(2))[1] == Waited(RUNNING, True)


def test_who_leaves_frees_his_place() -> None:
    """Spec: 2026-07-28, basic/patterns/cancellation: "Free associated resources"."""
    scene = Scene()
    steps = scene.wait(50)
    next(steps)
    next(steps)
    with pytest.raises(StopIteration):
        steps.send(True)
    assert scene.changes == [1, -1]
    assert scene.record.waited_ms == 1000.0
    assert taken(scene.wait(2))[1] == Waited(RUNNING, True)


def test_the_end_of_the_process_ends_a_wait_with_its_answer() -> None:
    """Ours: a restart cuts nobody off, and waits for nobody."""
    scene = Scene()

    def stop() -> None:
        scene.stopped = scene.now >= RECEIVED + 5

    assert taken(scene.wait(50), stop)[1] == Waited(RUNNING, True)
    assert scene.now <= RECEIVED + 6


def test_a_first_question_that_took_all_of_the_time_leaves_none_to_wait() -> None:
    """Ours: the time counts from the request."""
    scene = Scene()
    scene.now += 25
    assert taken(scene.wait(25)) == ([], Waited(RUNNING, True))


def test_what_was_waited_is_told_apart_from_what_scenext_took() -> None:
    """Ours: a log line tells a slow Scenext from a patient caller."""
    scene = Scene(takes=1.5)
    taken(scene.wait(25))
    assert scene.record.upstream_ms == 1500.0 * len(scene.asked)
    assert scene.record.waited_ms == pytest.approx(25_000 - scene.record.upstream_ms)


# A real client, and a Scenext that misbehaves


BEHAVIOURS = [
    *["closed", "reset", "half-head", "half-body", "half-chunk", "bad-chunk", "bad-status", "not-http"],
    *["silent", "silent-body", "drip-head", "drip-body", "drip-chunks", "endless-body", "endless-headers"],
    *["endless-line", "endless-continue", "empty", "no-content", "html", "not-utf-8", "array", "no-data", "data-array"],
    *["too-large", "bomb", "broken-gzip", "cut-gzip", "too-many-headers", "two-lengths", "parts", "limited"],
    *["status-500", "status-502", "status-503", "status-504", "after-101", "body-of-204"],
]


@pytest.mark.usefixtures("no_network_settings")
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_scenext_that_misbehaves_in_the_middle_of_a_wait_is_ridden_out(behaviour: str) -> None:
    """Ours: each kind of misbehaviour that the tests know, between two good answers."""
    scene = Scene()
    with Upstream() as upstream:
        bad = Scenext(f"{upstream.url}/{behaviour}", timeout=20, slots=1)
        good = Scenext(f"{upstream.url}/api", timeout=20, slots=1)
        through: list[str] = []

        def question(since: float, seconds: float) -> dict[str, Any]:
            scenext = bad if not through else good
            through.append(behaviour if scenext is bad else "api")
            return scenext.get_status("12345", KEY, time.monotonic(), timeout=min(seconds, 0.3))

        call = Call(Caller(received=RECEIVED), scene.record)
        _, waited = taken(scene.waits.wait(question, RUNNING, call, RECEIVED + 50))
    assert through[:2] == [behaviour, "api"]
    assert waited == Waited(JOB, True)
    assert scene.now == RECEIVED + 50
    assert scene.changes == [1, -1]


def test_the_pauses_are_what_the_documentation_says() -> None:
    """Ours: docs/protocol.md, "Wait for its end"."""
    assert (waiting.ASK_EVERY, waiting.LAST, waiting.TELL_EVERY, waiting.BEAT) == (15.0, 2.0, 10.0, 1.0)
    assert "limited" in ANSWERS
