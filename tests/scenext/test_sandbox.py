"""The sandbox adapter: a stateless, in-memory Scenext that behaves as its table of outcomes documents."""

import base64
import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from scenext_service.scenext.sandbox.adapter import (
    ADDRESS_HEADER,
    BLOCKED_KEY,
    NO_CREDIT_KEY,
    OUTCOMES,
    REFUSED_KEY,
    SLOW_DELAY,
    Sandbox,
)
from scenext_service.scenext.sandbox.jobs import DURATION, FRAMES, find_media
from tests.support.messages import KEY
from tests.support.scripted import NOW

BASE = "https://api.scenext.cn/api"
HERE = "https://here.example/sub"  # the service's address, as the client sees it


class Scene:
    """A sandbox with its clock and a record of its sleeps. `address` is the service URL that the client used."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self.address = HERE
        self.slept: list[float] = []
        self.adapter = Sandbox(clock=lambda: self.now, sleep=self.slept.append)

    def send(self, request: requests.Request, key: str | None = KEY, **kwargs: Any) -> tuple[int, Any]:
        """Send a request and return its status and body; a JSON body is decoded."""
        prepared = request.prepare()
        prepared.headers[ADDRESS_HEADER] = self.address
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
        """Start a job and return its ID."""
        status, body = self.generate({"question": question, "questionImages": ["an image"]})
        assert (status, body) == (200, {"status": "success", "data": {"task_id": body["data"]["task_id"]}})
        return str(body["data"]["task_id"])


@pytest.fixture
def scene() -> Scene:
    """Return a sandbox whose clock stands still."""
    return Scene()


def frames(body: Any) -> list[str]:
    """Return the IDs of the frames in a response, each of which has its own image."""
    progress = body["data"]["progress"]
    assert all(frame["image"].startswith("https://") for frame in progress)
    assert len({frame["image"] for frame in progress}) == len(progress)
    return [frame["id"] for frame in progress]


ALL = [f"frame{n}" for n in range(1, FRAMES + 1)]


def test_a_job_gains_frames_until_it_is_completed(scene: Scene) -> None:
    """Ours: sandbox/adapter.py: a new job is COMPLETED after a minute."""
    assert DURATION == 60
    task_id = scene.start()
    frames_seen = []
    for second in range(DURATION):
        scene.now = NOW + second
        status, body = scene.status(task_id)
        assert (status, set(body["data"])) == (200, {"task_id", "status", "progress"})
        assert (body["data"]["task_id"], body["data"]["status"]) == (task_id, "IN_PROGRESS")
        frames_seen.append(frames(body))
    assert frames_seen[0] == []
    assert frames_seen == sorted(frames_seen)
    assert [ids for ids in frames_seen if ids != ALL[: len(ids)]] == []
    assert {len(ids) for ids in frames_seen} == set(range(FRAMES))
    for second in (DURATION, DURATION * 1000):
        scene.now = NOW + second
        status, body = scene.status(task_id)
        assert (status, body["data"]["status"], frames(body)) == (200, "COMPLETED", ALL)
        assert task_id in body["data"]["result"]["video_url"]
        assert body["data"]["points"] > 0


def test_a_job_started_in_the_future_has_no_frames(scene: Scene) -> None:
    """Ours: several worker processes and hosts respond, and their clocks differ."""
    task_id = scene.start()
    scene.now = NOW - 10
    assert frames(scene.status(task_id)[1]) == []


@pytest.mark.parametrize("age", [0, 20, 59.9, 60, 3600])
def test_two_instances_return_the_same_response(age: float) -> None:
    """Ours: job state must be the same in every worker process."""
    task_id = Scene().start()
    assert task_id == Scene().start()
    assert Scene(NOW + age).status(task_id) == Scene(NOW + age).status(task_id)
    assert Scene(NOW + age).status(task_id)[0] == 200


@pytest.mark.parametrize(
    ("question", "words"),
    [
        pytest.param("1 + 1 = ?", "1 + 1 = ?", id="short question"),
        pytest.param("  Why\n is\tit  so? ", "Why is it so?", id="line breaks and tabs"),
        pytest.param("a" * 24, "a" * 24, id="24 characters"),
        pytest.param("a" * 25, "a" * 23 + "…", id="25 characters"),
        pytest.param("天" * 24, "天" * 24, id="Chinese"),
        pytest.param("🌈" * 24, "🌈" * 19, id="emoji limited by bytes"),
        pytest.param("\x00<b>&\u202e", "<b>&", id="control and format characters"),
        pytest.param(">>>???~~~", ">>>???~~~", id="Base64 characters unsafe in URLs"),
        pytest.param("", "", id="images only"),
        pytest.param(" \n ", "", id="whitespace"),
    ],
)
def test_the_job_id_contains_the_start_of_the_question(scene: Scene, question: str, words: str) -> None:
    """Ours: frames take the words from the ID; nothing is stored. Spec: RFC 3986, section 2.3; RFC 4648, section 5."""
    task_id = scene.start(question)
    created, *coded = task_id.removeprefix("sandbox-").split("-", 1)
    assert created == f"{int(NOW * 1000):013}"
    assert coded == ([base64.urlsafe_b64encode(words.encode()).decode().rstrip("=")] if words else [])
    assert re.fullmatch(r"[A-Za-z0-9._~-]{1,128}", task_id)
    assert scene.status(task_id)[1]["data"]["task_id"] == task_id
    assert find_media(task_id, "frame1.svg") == (words, 1)


@pytest.mark.parametrize(
    "suffix",
    [
        pytest.param("-", id="empty suffix"),
        pytest.param("-A", id="incomplete byte"),
        pytest.param("-QQ==", id="padding"),
        pytest.param("-QR", id="stray bits"),
        pytest.param("-_w", id="invalid UTF-8"),
        pytest.param("-IA", id="single space"),
        pytest.param("-QSAgQg", id="two spaces"),
        pytest.param("-AAAA", id="control characters"),
        pytest.param("-+/+/", id="standard Base64 alphabet"),
        pytest.param("-QUFB\n", id="trailing newline"),
        pytest.param(f"-{base64.urlsafe_b64encode(b'a' * 25).decode().rstrip('=')}", id="too many characters"),
        pytest.param("QQ", id="no hyphen"),
    ],
)
def test_an_id_the_sandbox_never_issued_is_not_found(scene: Scene, suffix: str) -> None:
    """Ours: a damaged or invented suffix does not identify a job."""
    assert scene.status(f"sandbox-1795000000000{suffix}")[0] == 404
    assert find_media(f"sandbox-1795000000000{suffix}", "frame1.svg") is None


@pytest.mark.parametrize(
    "stamp", ["179500000000", "17950000000000", "１７９５００００００００００", "-795000000000", "+795000000000"]
)
def test_an_id_with_a_malformed_timestamp_is_not_found(scene: Scene, stamp: str) -> None:
    """Ours: a timestamp has 13 ASCII digits."""
    assert find_media(f"sandbox-{stamp}", "video.mp4") is None


def links(body: Any) -> list[str]:
    """Return every link in a response."""
    job = body["data"]
    video = [job["result"]["video_url"]] if "video_url" in job.get("result", {}) else []
    return [frame["image"] for frame in job["progress"]] + video


# The documented IDs that return a job.
JOBS = (
    *("sandbox-completed", "sandbox-slow", "sandbox-failed", "sandbox-in-progress", "sandbox-list", "sandbox-typed"),
    *("sandbox-typed-failed", "sandbox-no-result", "sandbox-repeated"),
    *("sandbox-consumption", "sandbox-consumption-object", "sandbox-consumption-list"),
)


@pytest.mark.parametrize("address", ["http://localhost", "http://[::1]:8000", HERE])
@pytest.mark.parametrize("task_id", ["sandbox-completed", "sandbox-in-progress", "sandbox-failed", "sandbox-slow", ""])
def test_every_link_points_to_a_file_the_service_serves(scene: Scene, task_id: str, address: str) -> None:
    """Ours: links use the client's view of the address. Those of a new job are as long as Scenext's: 217 characters."""
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
        assert find_media(its_id, name) is not None
        assert len(link) == 217 if not task_id else len(link) < 120
    assert len(set(found)) == len(found)


def test_a_long_link_is_not_truncated(scene: Scene) -> None:
    """Ours: a link that does not fit into 217 characters is longer, and works too."""
    scene.address = f"https://{'long.' * 20}example"
    task_id = scene.start("天" * 24)
    scene.now += DURATION
    (*_, video) = links(scene.status(task_id)[1])
    assert video.startswith(f"{scene.address}/sandbox/{task_id}/video.mp4?Expires=")


@pytest.mark.parametrize(
    ("task_id", "numbers", "video"),
    [
        ("sandbox-completed", range(1, 4), True),
        ("sandbox-slow", range(1, 4), True),
        ("sandbox-failed", range(1, 2), False),
        ("sandbox-in-progress", range(1, 2), False),
        ("sandbox-list", range(1, 4), True),
        ("sandbox-typed", range(1, 4), True),
        ("sandbox-typed-failed", range(0), False),
        ("sandbox-no-result", range(1, 2), False),
        ("sandbox-consumption", range(1, 4), True),
        ("sandbox-consumption-object", range(1, 4), True),
        ("sandbox-consumption-list", range(1, 4), True),
        ("sandbox-repeated", range(1, 4), True),
        ("sandbox-1795000000000", range(1, 7), True),
        *[(task_id, range(0), False) for task_id in sorted(OUTCOMES) if task_id not in JOBS],
        ("", range(0), False),
        ("12345", range(0), False),
    ],
)
def test_only_frames_and_videos_of_jobs_are_served(task_id: str, numbers: range, video: bool) -> None:
    """Ours: the frames in a job's final state, and its video if it has one."""
    names = [f"frame{number}.svg" for number in range(9)]
    assert [name for name in names if find_media(task_id, name)] == [f"frame{number}.svg" for number in numbers]
    assert (find_media(task_id, "video.mp4") is not None) is video
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
        assert find_media(task_id, name) is None


def test_jobs_of_different_times_have_different_ids() -> None:
    """Ours: Scenext's API reference: each call starts a new job."""
    assert len({Scene(NOW + milliseconds / 1000).start() for milliseconds in (0, 1, 2)}) == 3


EXPECTED: dict[str, tuple[int, str] | type[requests.RequestException]] = {
    "sandbox-completed": (200, "COMPLETED"),
    "sandbox-in-progress": (200, "IN_PROGRESS"),
    "sandbox-failed": (200, "FAILED"),
    "sandbox-slow": (200, "COMPLETED"),
    "sandbox-list": (200, "COMPLETED"),
    "sandbox-typed": (200, "COMPLETED"),
    "sandbox-typed-failed": (200, "FAILED"),
    "sandbox-no-result": (200, "COMPLETED"),
    "sandbox-consumption": (200, "COMPLETED"),
    "sandbox-consumption-object": (200, "COMPLETED"),
    "sandbox-consumption-list": (200, "COMPLETED"),
    "sandbox-repeated": (200, "COMPLETED"),
    "sandbox-not-found": (404, "error"),
    "sandbox-no-row": (200, "error"),
    "sandbox-no-uuid": (200, "error"),
    "sandbox-rejected": (200, "error"),
    "sandbox-messages": (200, "error"),
    "sandbox-detail": (422, "path.task_id"),
    "sandbox-firewall": (403, "HTML"),
    "sandbox-busy": (429, "error"),
    "sandbox-down": (503, "error"),
    "sandbox-broken": (200, "HTML"),
    "sandbox-silent": requests.ReadTimeout,
    "sandbox-unreachable": requests.ConnectionError,
}


@pytest.mark.parametrize("task_id", sorted(OUTCOMES))
@pytest.mark.parametrize("now", [0.0, NOW, NOW + 10_000])
def test_every_documented_id_has_its_outcome_at_any_time(task_id: str, now: float) -> None:
    """Ours: `OUTCOMES`; a documented ID without an expectation here fails."""
    expected = EXPECTED[task_id]
    if not isinstance(expected, tuple):
        with pytest.raises(expected):
            Scene(now).status(task_id)
        return
    status, body = Scene(now).status(task_id)
    if expected[1] == "HTML":
        shown = "HTML" if body.startswith("<html>") else body
    elif "detail" in body:
        shown = ".".join(body["detail"][0]["loc"])
    else:
        shown = body["data"]["status"] if body["status"] == "success" else body["status"]
    assert (status, shown) == expected
    assert str(status) in OUTCOMES[task_id] or shown in OUTCOMES[task_id]


def test_job_states_contain_what_the_table_promises(scene: Scene) -> None:
    """Ours: `OUTCOMES`: a video and points, some of the frames, an error message."""
    completed = scene.status("sandbox-completed")[1]["data"]
    assert (completed["points"] > 0, completed["result"]["video_url"][:8]) == (True, "https://")
    assert len(frames(scene.status("sandbox-in-progress")[1])) < len(completed["progress"])
    assert scene.status("sandbox-failed")[1]["data"]["result"]["error"]


def test_each_possible_form_of_a_job_is_available_once(scene: Scene) -> None:
    """Gap: Scenext documents few of these forms. The sandbox shows each of them without a Scenext key."""
    jobs = {task_id: scene.status(task_id)[1]["data"] for task_id in JOBS}
    video = {task_id: f"{HERE}/sandbox/{task_id}/video.mp4?Expires=4102444800&Signature=sandbox" for task_id in JOBS}
    images = {task_id: [frame["image"] for frame in job.get("progress", [])] for task_id, job in jobs.items()}
    assert jobs["sandbox-list"]["result"] == [{"error": None}, {"video_url": video["sandbox-list"]}]
    assert jobs["sandbox-typed"]["result"] == [
        {"type": "text", "content": "Rivers carry salt into the sea."},
        {"type": "image", "content": images["sandbox-typed"][0]},
        {"type": "video", "content": video["sandbox-typed"]},
    ]
    assert jobs["sandbox-typed-failed"] == {
        "task_id": "sandbox-typed-failed",
        "status": "FAILED",
        "result": [
            {"type": "text", "content": "The image is blurred / 图片模糊"},
            {"type": "text", "content": "No points were consumed / 未消耗积分"},
        ],
    }
    assert set(jobs["sandbox-no-result"]) == {"task_id", "status", "progress", "points"}
    forms = {task_id: job["consumption"] for task_id, job in jobs.items() if "consumption" in job}
    assert forms == {
        "sandbox-consumption": 10,
        "sandbox-consumption-object": {"points": 10},
        "sandbox-consumption-list": [{"type": "video", "points": 10}],
    }
    assert ["points" in jobs[task_id] for task_id in forms] == [False] * 3
    first, second, *_ = images["sandbox-repeated"]
    assert (len(images["sandbox-repeated"]), second) == (6, f"{first}-again")


def test_the_simulated_429_includes_retry_after(scene: Scene) -> None:
    """Spec: RFC 9110, section 10.2.3, "Retry-After"."""
    request = requests.Request("GET", f"{BASE}/get_status/sandbox-busy", headers={"Authorization": "Bearer k"})
    response = scene.adapter.send(request.prepare())
    assert (response.status_code, response.headers["Retry-After"]) == (429, "30")


def test_only_ids_that_simulate_delays_sleep(scene: Scene) -> None:
    """Ours: `OUTCOMES`: only two entries mention waiting."""
    for task_id in set(OUTCOMES) - {"sandbox-slow", "sandbox-silent", "sandbox-unreachable"}:
        scene.status(task_id)
    assert scene.slept == []


@pytest.mark.parametrize(
    ("task_id", "timeout", "slept", "responds"),
    [
        pytest.param("sandbox-slow", 20.0, SLOW_DELAY, True, id="slow"),
        pytest.param("sandbox-slow", SLOW_DELAY, SLOW_DELAY, True, id="slow, just in time"),
        pytest.param("sandbox-slow", 1.5, 1.5, False, id="slow, timed out"),
        pytest.param("sandbox-silent", 20.0, 20.0, False, id="silent"),
        pytest.param("sandbox-silent", 0.25, 0.25, False, id="silent, short timeout"),
    ],
)
def test_simulated_delays_respect_the_timeout(
    scene: Scene, task_id: str, timeout: float, slept: float, responds: bool
) -> None:
    """Ours: requests' adapters raise ReadTimeout once the timeout has passed, and never wait longer."""
    if responds:
        assert scene.status(task_id, timeout=timeout)[0] == 200
    else:
        with pytest.raises(requests.ReadTimeout):
            scene.status(task_id, timeout=timeout)
    assert scene.slept == [slept]


@pytest.mark.parametrize("key", [None, "", REFUSED_KEY])
@pytest.mark.parametrize("task_id", ["sandbox-completed", "sandbox-not-found", "sandbox-silent"])
def test_every_call_without_an_accepted_key_is_401(scene: Scene, key: str | None, task_id: str) -> None:
    """Spec: Scenext API: a rejected key results in 401, with the message in `data.messages`."""
    refusal = (401, {"status": "error", "data": {"messages": "Unauthorized: Invalid API key"}})
    assert REFUSED_KEY == "sandbox-refused-key"
    assert scene.status(task_id, key=key) == refusal
    assert scene.generate({"question": "q"}, key=key) == refusal


def test_a_blocked_key_gets_the_firewall_page_for_every_call(scene: Scene) -> None:
    """Ours: sandbox/adapter.py, "`sandbox-blocked-key` (403, as from a firewall)"."""
    assert BLOCKED_KEY == "sandbox-blocked-key"
    page = scene.status("sandbox-firewall")
    assert (page[0], page[1][:6]) == (403, "<html>")
    assert scene.status("sandbox-completed", key=BLOCKED_KEY) == page
    assert scene.generate({"question": "q"}, key=BLOCKED_KEY) == page


def test_without_credit_jobs_are_rejected_but_status_is_free(scene: Scene) -> None:
    """Ours: sandbox/adapter.py, "`sandbox-no-credit-key` (402)"; status queries cost nothing."""
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
        pytest.param({"question": "", "questionImages": [], "answer": "2"}, 400, id="answer only"),
    ],
)
def test_a_job_needs_a_question_or_an_image(scene: Scene, job: Any, status: int) -> None:
    """Ours: Scenext's API reference: at least one of `question` and `questionImages` is needed."""
    assert scene.generate(job)[0] == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "/gen_video", id="GET gen_video"),
        pytest.param("POST", "/get_status/sandbox-completed", id="POST get_status"),
        pytest.param("DELETE", "/get_status/sandbox-completed", id="DELETE"),
        pytest.param("GET", "/balance", id="unknown operation"),
        pytest.param("GET", "/get_status/", id="no ID"),
        pytest.param("GET", "/get_status/12345", id="unknown ID"),
        pytest.param("GET", "/get_status/sandbox-179500000000", id="short timestamp"),
    ],
)
def test_unknown_operations_and_jobs_are_404(scene: Scene, method: str, path: str) -> None:
    """Ours: Scenext's API reference documents two operations."""
    status, body = scene.send(requests.Request(method, BASE + path))
    assert (status, body["status"]) == (404, "error")


def test_a_post_without_a_body_is_a_bad_request(scene: Scene) -> None:
    """Ours: Scenext's API reference: at least one of `question` and `questionImages` is needed."""
    assert scene.send(requests.Request("POST", f"{BASE}/gen_video"))[0] == 400


def test_closing_the_adapter_has_no_effect(scene: Scene) -> None:
    """Ours: requests closes the adapters of a session; the sandbox has no connections."""
    scene.adapter.close()
    assert scene.status("sandbox-completed")[0] == 200
