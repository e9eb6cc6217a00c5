"""The sandbox adapter: an in-memory Scenext that keeps nothing and does what its table says."""

import base64
import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from scenext_service.scenext.sandbox import ADDRESS, NO_CREDIT_KEY, OUTCOMES, REFUSED_KEY, SLOW, Sandbox
from scenext_service.scenext.sandbox_jobs import DURATION, FRAMES, leads_to
from tests.support.messages import KEY
from tests.support.scripted import NOW

BASE = "https://api.scenext.cn/api"
HERE = "https://here.example/sub"  # the service's address, as its caller has it


class Scene:
    """A sandbox, its clock, and what it slept. `address` is the one at which its caller reached the service."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self.address = HERE
        self.slept: list[float] = []
        self.adapter = Sandbox(clock=lambda: self.now, sleep=self.slept.append)

    def send(self, request: requests.Request, key: str | None = KEY, **kwargs: Any) -> tuple[int, Any]:
        """Send a request; return the status and the body, decoded where it is JSON."""
        prepared = request.prepare()
        prepared.headers[ADDRESS] = self.address
        if key is not None:
            prepared.headers["Authorization"] = f"Bearer {key}"
        response = self.adapter.send(prepared, **kwargs)
        is_json = response.headers["Content-Type"] == "application/json"
        return response.status_code, response.json() if is_json else response.text

    def status(self, task_id: str, **kwargs: Any) -> tuple[int, Any]:
        return self.send(requests.Request("GET", f"{BASE}/get_status/{task_id}"), **kwargs)

    def generate(self, job: Any, **kwargs: Any) -> tuple[int, Any]:
        return self.send(requests.Request("POST", f"{BASE}/gen_video", data=json.dumps(job)), **kwargs)

    def start(self, question: str = "1 + 1 = ?") -> str:
        """Start a job and return its id."""
        status, body = self.generate({"question": question, "questionImages": ["an image"]})
        assert (status, body) == (200, {"status": "success", "data": {"task_id": body["data"]["task_id"]}})
        return str(body["data"]["task_id"])


@pytest.fixture
def scene() -> Scene:
    """Make a sandbox whose clock stands still."""
    return Scene()


def frames(body: Any) -> list[str]:
    """Return the ids of the frames in an answer, each of which has a picture of its own."""
    progress = body["data"]["progress"]
    assert all(frame["image"].startswith("https://") for frame in progress)
    assert len({frame["image"] for frame in progress}) == len(progress)
    return [frame["id"] for frame in progress]


ALL = [f"frame{n}" for n in range(1, FRAMES + 1)]


def test_a_job_gains_frames_and_is_completed_after_its_time(scene: Scene) -> None:
    """Ours: sandbox.py: a new job is COMPLETED after a minute."""
    assert DURATION == 60
    task_id = scene.start()
    seen = []
    for second in range(DURATION):
        scene.now = NOW + second
        status, body = scene.status(task_id)
        assert (status, set(body["data"])) == (200, {"task_id", "status", "progress"})
        assert (body["data"]["task_id"], body["data"]["status"]) == (task_id, "IN_PROGRESS")
        seen.append(frames(body))
    assert seen[0] == []
    assert seen == sorted(seen)
    assert [ids for ids in seen if ids != ALL[: len(ids)]] == []
    assert {len(ids) for ids in seen} == set(range(FRAMES))
    for second in (DURATION, DURATION * 1000):
        scene.now = NOW + second
        status, body = scene.status(task_id)
        assert (status, body["data"]["status"], frames(body)) == (200, "COMPLETED", ALL)
        assert task_id in body["data"]["result"]["video_url"]
        assert body["data"]["points"] > 0


def test_a_clock_that_is_behind_shows_a_job_without_frames(scene: Scene) -> None:
    """Ours: several worker processes and hosts answer; their clocks differ."""
    task_id = scene.start()
    scene.now = NOW - 10
    assert frames(scene.status(task_id)[1]) == []


@pytest.mark.parametrize("age", [0, 20, 59.9, 60, 3600])
def test_two_instances_give_the_same_answer(age: float) -> None:
    """Ours: job state must survive more than one worker process."""
    task_id = Scene().start()
    assert task_id == Scene().start()
    assert Scene(NOW + age).status(task_id) == Scene(NOW + age).status(task_id)
    assert Scene(NOW + age).status(task_id)[0] == 200


@pytest.mark.parametrize(
    ("question", "words"),
    [
        pytest.param("1 + 1 = ?", "1 + 1 = ?", id="all of it"),
        pytest.param("  Why\n is\tit  so? ", "Why is it so?", id="one line"),
        pytest.param("a" * 24, "a" * 24, id="as many as fit"),
        pytest.param("a" * 25, "a" * 23 + "…", id="one more"),
        pytest.param("天" * 24, "天" * 24, id="Chinese"),
        pytest.param("🌈" * 24, "🌈" * 19, id="as many bytes as fit"),
        pytest.param("\x00<b>&\u202e", "<b>&", id="no control and no format character"),
        pytest.param(">>>???~~~", ">>>???~~~", id="the letters of Base64 that a URL has not"),
        pytest.param("", "", id="only images"),
        pytest.param(" \n ", "", id="blanks"),
    ],
)
def test_the_first_words_of_a_question_travel_in_the_id(scene: Scene, question: str, words: str) -> None:
    """Ours: nothing is kept, so the frames get them from the id. Spec: RFC 3986, section 2.3; RFC 4648, section 5."""
    task_id = scene.start(question)
    created, *coded = task_id.removeprefix("sandbox-").split("-", 1)
    assert created == f"{int(NOW * 1000):013}"
    assert coded == ([base64.urlsafe_b64encode(words.encode()).decode().rstrip("=")] if words else [])
    assert re.fullmatch(r"[A-Za-z0-9._~-]{1,128}", task_id)
    assert scene.status(task_id)[1]["data"]["task_id"] == task_id
    assert leads_to(task_id, "frame1.svg") == (words, 1)


@pytest.mark.parametrize(
    "suffix",
    [
        pytest.param("-", id="nothing"),
        pytest.param("-A", id="no byte"),
        pytest.param("-QQ==", id="padded"),
        pytest.param("-QR", id="stray bits"),
        pytest.param("-_w", id="no UTF-8"),
        pytest.param("-IA", id="a blank"),
        pytest.param("-QSAgQg", id="two blanks"),
        pytest.param("-AAAA", id="control characters"),
        pytest.param("-+/+/", id="the other alphabet"),
        pytest.param("-QUFB\n", id="a line's end"),
        pytest.param(f"-{base64.urlsafe_b64encode(b'a' * 25).decode().rstrip('=')}", id="too many"),
        pytest.param("QQ", id="no hyphen"),
    ],
)
def test_an_id_that_nobody_was_given_is_no_job(scene: Scene, suffix: str) -> None:
    """Ours: a suffix that was damaged or made up is a job that is not there."""
    assert scene.status(f"sandbox-1795000000000{suffix}")[0] == 404
    assert leads_to(f"sandbox-1795000000000{suffix}", "frame1.svg") is None


@pytest.mark.parametrize(
    "stamp", ["179500000000", "17950000000000", "１７９５００００００００００", "-795000000000", "+795000000000"]
)
def test_a_time_of_another_form_is_no_job(scene: Scene, stamp: str) -> None:
    """Ours: 13 digits, of ASCII."""
    assert leads_to(f"sandbox-{stamp}", "video.mp4") is None


def links(body: Any) -> list[str]:
    """Return every link in an answer."""
    job = body["data"]
    film = [job["result"]["video_url"]] if "video_url" in job.get("result", {}) else []
    return [frame["image"] for frame in job["progress"]] + film


@pytest.mark.parametrize("address", ["http://localhost", "http://[::1]:8000", HERE])
@pytest.mark.parametrize("task_id", ["sandbox-completed", "sandbox-in-progress", "sandbox-failed", "sandbox-slow", ""])
def test_every_link_leads_to_what_the_service_serves(scene: Scene, task_id: str, address: str) -> None:
    """Ours: on the address that the caller used. Those of a new job are as long as Scenext's: 217 characters."""
    scene.address = address
    new = scene.start("Why is the sky blue?")
    scene.now += DURATION
    found = links(scene.status(task_id or new)[1])
    assert found
    for link in found:
        parts = urlsplit(link)
        assert f"{parts.scheme}://{parts.netloc}" == "/".join(address.split("/")[:3])
        assert re.fullmatch(r"Expires=\d{10}&Signature=[A-Za-z0-9_-]{7,}", parts.query)
        _, sandbox, its_id, name = parts.path.removeprefix(urlsplit(address).path).split("/")
        assert (sandbox, its_id) == ("sandbox", task_id or new)
        assert leads_to(its_id, name) is not None
        assert len(link) == 217 if not task_id else len(link) < 120
    assert len(set(found)) == len(found)


def test_the_longest_link_is_not_cut(scene: Scene) -> None:
    """Ours: what has no room in 217 characters is longer, and leads there all the same."""
    scene.address = f"https://{'long.' * 20}example"
    task_id = scene.start("天" * 24)
    scene.now += DURATION
    (*_, film) = links(scene.status(task_id)[1])
    assert film.startswith(f"{scene.address}/sandbox/{task_id}/video.mp4?Expires=")


@pytest.mark.parametrize(
    ("task_id", "numbers", "film"),
    [
        ("sandbox-completed", range(1, 4), True),
        ("sandbox-slow", range(1, 4), True),
        ("sandbox-failed", range(1, 2), False),
        ("sandbox-in-progress", range(1, 2), False),
        ("sandbox-1795000000000", range(1, 7), True),
        *[
            (task_id, range(0), False)
            for task_id in set(OUTCOMES)
            - {"sandbox-completed", "sandbox-slow"}
            - {"sandbox-failed", "sandbox-in-progress"}
        ],
        ("", range(0), False),
        ("12345", range(0), False),
    ],
)
def test_nothing_else_leads_anywhere(task_id: str, numbers: range, film: bool) -> None:
    """Ours: the frames that a job shows in the end, and its film where it has one."""
    names = [f"frame{number}.svg" for number in range(9)]
    assert [name for name in names if leads_to(task_id, name)] == [f"frame{number}.svg" for number in numbers]
    assert (leads_to(task_id, "video.mp4") is not None) is film
    for name in (
        "",
        "frame.svg",
        "frame01.svg",
        "frame1.png",
        "frame1.svg/",
        "FRAME1.SVG",
        "video.mp4.",
        "..",
        "frame１.svg",
    ):
        assert leads_to(task_id, name) is None


def test_jobs_of_different_times_have_different_ids() -> None:
    """Ours: Scenext's API reference: each call starts a new job."""
    assert len({Scene(NOW + milliseconds / 1000).start() for milliseconds in (0, 1, 2)}) == 3


ANSWERS: dict[str, tuple[int, str] | type[requests.RequestException]] = {
    "sandbox-completed": (200, "COMPLETED"),
    "sandbox-in-progress": (200, "IN_PROGRESS"),
    "sandbox-failed": (200, "FAILED"),
    "sandbox-slow": (200, "COMPLETED"),
    "sandbox-not-found": (404, "error"),
    "sandbox-rejected": (200, "error"),
    "sandbox-busy": (429, "error"),
    "sandbox-down": (503, "error"),
    "sandbox-broken": (200, "HTML"),
    "sandbox-silent": requests.ReadTimeout,
    "sandbox-unreachable": requests.ConnectionError,
}


@pytest.mark.parametrize("task_id", sorted(OUTCOMES))
@pytest.mark.parametrize("now", [0.0, NOW, NOW + 10_000])
def test_every_documented_id_ends_as_its_line_says_at_any_time(task_id: str, now: float) -> None:
    """Ours: sandbox.OUTCOMES; an id without an expectation here fails."""
    expected = ANSWERS[task_id]
    if not isinstance(expected, tuple):
        with pytest.raises(expected):
            Scene(now).status(task_id)
        return
    status, body = Scene(now).status(task_id)
    if expected[1] == "HTML":
        shown = "HTML" if body.startswith("<html>") else body
    else:
        shown = body["data"]["status"] if body["status"] == "success" else body["status"]
    assert (status, shown) == expected
    assert str(status) in OUTCOMES[task_id] or shown in OUTCOMES[task_id]


def test_the_states_hold_what_their_lines_promise(scene: Scene) -> None:
    """Ours: sandbox.OUTCOMES: video and points, half-way, a reason."""
    completed = scene.status("sandbox-completed")[1]["data"]
    assert (completed["points"] > 0, completed["result"]["video_url"][:8]) == (True, "https://")
    assert len(frames(scene.status("sandbox-in-progress")[1])) < len(completed["progress"])
    assert scene.status("sandbox-failed")[1]["data"]["result"]["error"]


def test_busy_says_when_to_come_back(scene: Scene) -> None:
    """Spec: RFC 9110, section 10.2.3, "Retry-After"."""
    request = requests.Request("GET", f"{BASE}/get_status/sandbox-busy", headers={"Authorization": "Bearer k"})
    response = scene.adapter.send(request.prepare())
    assert (response.status_code, response.headers["Retry-After"]) == (429, "30")


def test_no_other_id_sleeps(scene: Scene) -> None:
    """Ours: sandbox.OUTCOMES: only two lines speak of waiting."""
    for task_id in set(OUTCOMES) - {"sandbox-slow", "sandbox-silent", "sandbox-unreachable"}:
        scene.status(task_id)
    assert scene.slept == []


@pytest.mark.parametrize(
    ("task_id", "timeout", "slept", "answers"),
    [
        pytest.param("sandbox-slow", 20.0, SLOW, True, id="slow"),
        pytest.param("sandbox-slow", SLOW, SLOW, True, id="slow-in-the-nick-of-time"),
        pytest.param("sandbox-slow", 1.5, 1.5, False, id="slow-cut-short"),
        pytest.param("sandbox-silent", 20.0, 20.0, False, id="silent"),
        pytest.param("sandbox-silent", 0.25, 0.25, False, id="silent-cut-short"),
    ],
)
def test_waiting_honours_the_timeout(scene: Scene, task_id: str, timeout: float, slept: float, answers: bool) -> None:
    """Ours: requests' adapters raise ReadTimeout once the timeout has passed, and never wait longer."""
    if answers:
        assert scene.status(task_id, timeout=timeout)[0] == 200
    else:
        with pytest.raises(requests.ReadTimeout):
            scene.status(task_id, timeout=timeout)
    assert scene.slept == [slept]


@pytest.mark.parametrize("key", [None, "", REFUSED_KEY])
@pytest.mark.parametrize("task_id", ["sandbox-completed", "sandbox-not-found", "sandbox-silent"])
def test_without_an_accepted_key_everything_is_401(scene: Scene, key: str | None, task_id: str) -> None:
    """Ours: sandbox.py, "Any key is accepted but `sandbox-refused-key` (401)"."""
    refusal = (401, {"status": "error", "message": "Invalid API key"})
    assert REFUSED_KEY == "sandbox-refused-key"
    assert scene.status(task_id, key=key) == refusal
    assert scene.generate({"question": "q"}, key=key) == refusal


def test_without_credit_jobs_are_refused_and_asking_is_free(scene: Scene) -> None:
    """Ours: sandbox.py, "`sandbox-no-credit-key` (402)"; asking costs nothing."""
    assert NO_CREDIT_KEY == "sandbox-no-credit-key"
    refusal = (402, {"status": "error", "message": "Insufficient points"})
    assert scene.generate({"question": "q"}, key=NO_CREDIT_KEY) == refusal
    assert scene.status("sandbox-completed", key=NO_CREDIT_KEY)[0] == 200


@pytest.mark.parametrize(
    ("job", "status"),
    [
        pytest.param({"question": "q"}, 200, id="question"),
        pytest.param({"question": "", "questionImages": ["a"]}, 200, id="image"),
        pytest.param({}, 400, id="empty"),
        pytest.param({"question": "", "questionImages": [], "answer": "2"}, 400, id="answer-only"),
    ],
)
def test_a_job_needs_a_question_or_an_image(scene: Scene, job: Any, status: int) -> None:
    """Ours: Scenext's API reference: at least one of `question` and `questionImages` is needed."""
    assert scene.generate(job)[0] == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "/gen_video", id="GET-gen_video"),
        pytest.param("POST", "/get_status/sandbox-completed", id="POST-get_status"),
        pytest.param("DELETE", "/get_status/sandbox-completed", id="DELETE"),
        pytest.param("GET", "/balance", id="unknown"),
        pytest.param("GET", "/get_status/", id="no-id"),
        pytest.param("GET", "/get_status/12345", id="unknown-id"),
        pytest.param("GET", "/get_status/sandbox-179500000000", id="id-too-short"),
    ],
)
def test_unknown_operations_and_jobs_are_404(scene: Scene, method: str, path: str) -> None:
    """Ours: Scenext's API reference knows two operations."""
    status, body = scene.send(requests.Request(method, BASE + path))
    assert (status, body["status"]) == (404, "error")


def test_a_post_without_a_body_is_a_job_without_a_question(scene: Scene) -> None:
    """Ours: Scenext's API reference: at least one of `question` and `questionImages` is needed."""
    assert scene.send(requests.Request("POST", f"{BASE}/gen_video"))[0] == 400


def test_closing_it_changes_nothing(scene: Scene) -> None:
    """Ours: requests closes the adapters of a session; there is no connection."""
    scene.adapter.close()
    assert scene.status("sandbox-completed")[0] == 200
