"""`job_text`: whatever a job's data holds, its text stays readable, harmless and short."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from scenext_service.tools import job_text

URL = "https://oss.scenext.example/1/video.mp4?Expires=1&Signature=a%2Bb%3D"
VIDEO = f"Video / 视频: [Watch the video / 观看视频]({URL})"
NEXT = "Next: show the user the video as a Markdown link. The links are signed and expire; query again for fresh ones."
LINK = re.compile(r"(?<!\\)(?:\\\\)*\]\(([^)]*)\)")  # an escaped bracket makes none
FRAMES = [{"id": "frame1", "image": "https://oss.scenext.example/1.png"}]


HOW = 'wait_seconds=50, frames="none"'


def written(data: dict[str, Any]) -> str:
    """Return the text, of a server that allows waits of 50 seconds."""
    return job_text.write(data, HOW)


def lines(data: dict[str, Any]) -> list[str]:
    """Return the text in lines, broken wherever any reader may break it."""
    return written(data).splitlines()


def test_a_completed_job_is_told_whole() -> None:
    """Ours: the state, the links as Markdown, and what to do next."""
    data = {"task_id": "1", "status": "COMPLETED", "progress": FRAMES, "points": 10, "result": {"video_url": URL}}
    assert lines(data) == [
        "Status / 状态: COMPLETED (已完成)",
        VIDEO,
        "Frames / 画面: 1",
        "Newest / 最新: ![frame1](https://oss.scenext.example/1.png)",
        "Points / 积分: points = 10",
        NEXT,
        "下一步：请用 Markdown 链接把视频展示给用户。链接带有签名并会过期，过期后再次查询即可获得新链接。",
    ]


def test_a_job_in_progress_says_how_to_follow_it() -> None:
    """Ours: a model cannot wait: it is told the call that waits for it, and never to wait by itself."""
    first, frames, english, chinese = lines({"task_id": "1", "status": "IN_PROGRESS", "progress": []})
    assert (first, frames) == ("Status / 状态: IN_PROGRESS (生成中)", "Frames / 画面: 0")
    assert [words for words in (HOW, "same task_id", "10 to 20 minutes") if words not in english] == []
    assert [words for words in (HOW, "task_id", "10 到 20 分钟") if words not in chinese] == []
    assert not re.search(r"\d+ seconds|\d+ 秒", english + chinese)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"status": "QUEUED"}, id="unknown"),
        pytest.param({"status": "completed"}, id="other-case"),
        pytest.param({"status": None}, id="null"),
        pytest.param({"status": ["COMPLETED"]}, id="list"),
        pytest.param({}, id="missing"),
    ],
)
def test_an_unknown_status_is_shown_and_asked_for_again(data: dict[str, Any]) -> None:
    """Ours: Scenext's API reference names three states; any other is no end."""
    shown = lines(data)
    assert shown[0].startswith("Status / 状态: ")
    assert not shown[0].endswith(")")
    assert "\n".join(shown).endswith(job_text.ASK_AGAIN.format(how=HOW))


@pytest.mark.parametrize(
    ("result", "videos"),
    [
        pytest.param({"video_url": URL}, [VIDEO], id="object"),
        pytest.param([{"video_url": URL}], [VIDEO], id="list-of-objects"),
        pytest.param([{"error": None}, {"video_url": URL, "cover_url": URL}], [VIDEO], id="list-with-cover"),
        pytest.param([URL], [VIDEO], id="list-of-strings"),
        pytest.param({"videos": [{"url": URL}, {"url": URL + "2"}]}, [VIDEO, VIDEO.replace(URL, URL + "2")], id="two"),
        pytest.param(URL, [VIDEO], id="string"),
        pytest.param({"video_url": f" {URL}\n"}, [VIDEO], id="surrounded-by-blanks"),
        pytest.param({"video_url": "HTTPS://h/1"}, [VIDEO.replace(URL, "HTTPS://h/1")], id="upper-case"),
        pytest.param({"image": URL, "poster": URL, "thumbnail_url": URL}, [], id="pictures-only"),
        pytest.param(None, [], id="null"),
        pytest.param([], [], id="empty-list"),
        pytest.param("soon", [], id="no-address"),
        pytest.param({"video_url": None}, [], id="null-address"),
        pytest.param({"video_url": 5}, [], id="number"),
        pytest.param({"video_url": "/1/video.mp4"}, [], id="relative"),
        pytest.param({"video_url": "https:video.mp4"}, [], id="without-host"),
        pytest.param({"video_url": "http://[::1"}, [], id="broken-host"),
        pytest.param({"video_url": "ftp://oss.scenext.example/1"}, [], id="ftp"),
        pytest.param({"video_url": "javascript:alert(1)//https://a"}, [], id="javascript"),
        pytest.param({"video_url": "java\nscript:alert(1)"}, [], id="javascript-broken"),
        pytest.param({"video_url": "\x01javascript:alert(1)"}, [], id="javascript-control"),
        pytest.param({"video_url": "data:text/html;base64,PHNjcmlwdD4="}, [], id="data"),
    ],
)
def test_the_video_is_found_in_a_result_of_any_shape(result: Any, videos: list[str]) -> None:
    """Ours: Scenext's reference has an object, a list of objects, or nothing. Only web addresses become links."""
    shown = lines({"status": "COMPLETED", "result": result})
    assert shown[0] == "Status / 状态: COMPLETED (已完成)"
    assert shown[1:-2] == [*videos, "Frames / 画面: 0"]
    assert LINK.findall("\n".join(shown)) == [line.split("](")[1][:-1] for line in videos]
    assert ("no video link" in shown[-2]) is (not videos)


def test_a_result_that_is_missing_has_no_video() -> None:
    """Ours: Scenext's API reference: accept nothing."""
    assert "no video link" in lines({"status": "COMPLETED"})[-2]


def test_characters_that_would_end_a_link_are_escaped() -> None:
    """Ours: CommonMark, "Link destination"."""
    (shown,) = [line for line in lines({"result": 'https://h/a b)c(d"e<f>[g]\\h`i'}) if line.startswith("Video")]
    assert shown.endswith("](https://h/a%20b%29c%28d%22e%3Cf%3E%5Bg%5D%5Ch%60i)")


# Fields from outside

HOSTILE = "x\r\n\n\x0b\x85\u2028\u2029\x00\x1b[31m\u202e\u2066](javascript:1) [a](javascript:b) \\](data:c) ![d](d:d)"
SLOTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "status": lambda text: {"status": text},
    "task-id": lambda text: {"task_id": text, "status": "COMPLETED"},
    "result": lambda text: {"status": "FAILED", "result": text},
    "reason": lambda text: {"status": "FAILED", "result": {"error": text}},
    "video-url": lambda text: {"status": "COMPLETED", "result": {"video_url": f"https://h/{text}"}},
    "points": lambda text: {"status": "COMPLETED", "points": text},
    "points-name": lambda text: {"status": "COMPLETED", f"points {text}": 10},
    "points-name-in-result": lambda text: {"status": "COMPLETED", "result": [{f"cost {text}": 10}]},
    "frame-id": lambda text: {"progress": [{"id": text, "image": "https://h/1.png"}]},
    "frame-id-alone": lambda text: {"progress": [{"id": text}]},
    "frame-image": lambda text: {"progress": [{"id": "frame1", "image": f"https://h/{text}"}]},
    "unknown-field": lambda text: {"x": {text: text}, "result": {text: text}},
}


@pytest.mark.parametrize("slot", SLOTS)
def test_no_field_breaks_out_of_its_line(slot: str) -> None:
    """Ours: upstream's text is shown, never obeyed: no new line, no hidden character, no link of its own."""
    text = written(SLOTS[slot](HOSTILE))
    assert len(text.splitlines()) == len(lines(SLOTS[slot]("x")))
    assert [char for char in text if not char.isprintable() and char != "\n"] == []
    assert [address for address in LINK.findall(text) if not address.startswith("https://h/")] == []


HUGE = "points image " * 300_000


@pytest.mark.parametrize("slot", SLOTS)
def test_a_huge_field_leaves_the_text_short(slot: str) -> None:
    """Ours: the text goes to a model; the data beside it has all."""
    started = time.perf_counter()
    length = len(written(SLOTS[slot](HUGE)))
    assert 50 < length < 100_000
    assert time.perf_counter() - started < 5  # seconds; a loop over it takes less than one


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"progress": [{"id": "f", "image": "https://h/1"}] * 100_000}, id="frames"),
        pytest.param({"result": [{"video_url": "https://h/1"}] * 100_000}, id="videos"),
        pytest.param({"status": "FAILED", "result": ["no"] * 100_000}, id="reasons"),
        pytest.param({"points": list(range(100_000))}, id="points"),
    ],
)
def test_many_values_leave_the_text_short(data: dict[str, Any]) -> None:
    """Ours: the text goes to a model; the data beside it has all."""
    assert len(lines(data)) < 30


def nested(depth: int) -> Any:
    """Return lists in lists; orjson reads 1,024 levels."""
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"status": nested(1020)}, id="status"),
        pytest.param({"points": nested(1020)}, id="points"),
        pytest.param({"status": "FAILED", "result": nested(1020)}, id="result"),
        pytest.param({"progress": nested(1020)}, id="progress"),
        pytest.param({"progress": [{"id": nested(1020), "image": nested(1020)}]}, id="frame"),
    ],
)
def test_deep_nesting_is_no_failure(data: dict[str, Any]) -> None:
    """Ours: whatever orjson reads can be told."""
    assert lines(data)[0].startswith("Status / 状态: ")


# Frames, points, reasons


@pytest.mark.parametrize("status", ["IN_PROGRESS", "COMPLETED", "FAILED"])
def test_of_many_frames_the_newest_is_shown_and_how_many_there_are(status: str) -> None:
    """Ours: each link is paid for in every later turn of the conversation; the data beside it has all of them."""
    frames = [{"id": f"frame{n}", "image": f"https://h/{n}.png"} for n in range(1, 501)]
    shown = lines({"status": status, "progress": frames})
    assert shown[1:3] == ["Frames / 画面: 500", "Newest / 最新: ![frame500](https://h/500.png)"]
    assert LINK.findall("\n".join(shown)) == ["https://h/500.png"]


@pytest.mark.parametrize(
    ("progress", "count", "shown"),
    [
        pytest.param(None, 0, [], id="null"),
        pytest.param("soon", 0, [], id="string"),
        pytest.param({"id": "f", "image": "https://h/1"}, 0, [], id="object"),
        pytest.param([None, 1, "f", []], 0, [], id="no-objects"),
        pytest.param([{"id": 7, "image": "https://h/1"}], 1, ["![7](https://h/1)"], id="integer-id"),
        pytest.param([{"id": "f"}], 1, ["f"], id="without-image"),
        pytest.param([{"id": "f", "image": "data:image/png;base64,a"}], 1, ["f"], id="data-image"),
        pytest.param([{"id": "[f](x)", "image": "https://h/1"}], 1, [r"![\[f\](x)](https://h/1)"], id="brackets"),
        pytest.param([{"id": "f" * 99, "image": "https://h/1"}], 1, [f"![{'f' * 59}…](https://h/1)"], id="long-id"),
    ],
)
def test_odd_frames_are_shown_as_far_as_they_go(progress: Any, count: int, shown: list[str]) -> None:
    """Ours: Scenext's API reference documents a list of {id, image}; anything else is tolerated."""
    assert lines({"progress": progress})[1:-2] == [f"Frames / 画面: {count}", *(f"Newest / 最新: {it}" for it in shown)]


def test_a_frame_without_an_id_is_still_a_picture() -> None:
    """Ours: Scenext's API reference documents a list of {id, image}; anything else is tolerated."""
    assert LINK.findall(written({"progress": [{"image": "https://h/1"}]})) == ["https://h/1"]


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        pytest.param({"points": 10}, ["points = 10"], id="points"),
        pytest.param({"consumed_points": 1.5}, ["consumed_points = 1.5"], id="consumed-points"),
        pytest.param({"creditsUsed": "10"}, ["creditsUsed = 10"], id="credits"),
        pytest.param({"cost": 0}, ["cost = 0"], id="cost-zero"),
        pytest.param({"result": {"video_url": URL, "points": 3}}, ["points = 3"], id="in-result"),
        pytest.param({"usage": {"points": 3}, "result": [{"cost": 4}]}, ["points = 3", "cost = 4"], id="several"),
        pytest.param({"points": None, "score": 10}, [], id="none"),
        pytest.param({"progress": [{"points": 3}]}, [], id="not-of-a-frame"),
    ],
)
def test_points_are_shown_under_whatever_name_they_came(data: dict[str, Any], shown: list[str]) -> None:
    """Ours: Scenext's API reference: the field's name is not documented."""
    found = [line for line in lines({"status": "COMPLETED", **data}) if line.startswith("Points / 积分: ")]
    assert found == [f"Points / 积分: {pair}" for pair in shown]


@pytest.mark.parametrize(
    ("data", "reasons"),
    [
        pytest.param({"result": {"error": "no text"}}, ["no text"], id="object"),
        pytest.param({"result": [{"error": "no text"}, {"message": "blurred"}]}, ["no text", "blurred"], id="list"),
        pytest.param({"result": {"error": {"code": 7, "message": "no text"}}}, ["no text"], id="nested"),
        pytest.param({"result": "no text"}, ["no text"], id="string"),
        pytest.param({"result": ["no text"]}, ["no text"], id="list-of-strings"),
        pytest.param({"fail_reason": "题目不清"}, ["题目不清"], id="beside-result"),
        pytest.param({"result": {"error": "e" * 600}}, ["e" * 499 + "…"], id="long"),
        pytest.param({"result": {"error": None, "points": 0}}, [], id="none"),
        pytest.param({}, [], id="missing"),
    ],
)
def test_a_failed_job_gives_its_reasons_and_the_price_of_another(data: dict[str, Any], reasons: list[str]) -> None:
    """Ours: Scenext's API reference, "`result`"; a new job is charged again."""
    shown = lines({"status": "FAILED", **data})
    assert shown[0] == "Status / 状态: FAILED (失败)"
    assert [line for line in shown if line.startswith("Reason")] == [f"Reason / 原因: {text}" for text in reasons]
    assert shown[-2].startswith("Next: tell the user the reason. A new job is charged again")


def test_a_completed_job_shows_no_reason() -> None:
    """Ours: a message beside a success is none of a failure."""
    assert "Reason" not in written({"status": "COMPLETED", "result": {"message": "ok", "video_url": URL}})
