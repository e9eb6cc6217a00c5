"""`job_text`: the text of a job stays readable, harmless and short, whatever its data contains."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from scenext_service.tools import messages

URL = "https://oss.scenext.example/1/video.mp4?Expires=1&Signature=a%2Bb%3D"
VIDEO = f"Video / 视频: [Watch the video / 观看视频]({URL})"
NEXT = "Next: show the user the video as a Markdown link. The links are signed and expire; query again for fresh ones."
LINK = re.compile(r"(?<!\\)(?:\\\\)*\]\(([^)]*)\)")  # an escaped bracket does not start a link
FRAMES = [{"id": "frame1", "image": "https://oss.scenext.example/1.png"}]


HOW = 'wait_seconds=50, frames="none"'


def written(data: dict[str, Any]) -> str:
    """Return the text for a server that allows waits of 50 seconds."""
    return messages.status_text(data, HOW)


def lines(data: dict[str, Any]) -> list[str]:
    """Return the text as lines, split at every character that any reader treats as a line break."""
    return written(data).splitlines()


def test_the_text_of_a_completed_job_is_complete() -> None:
    """Ours: the state, the links as Markdown, and the next step."""
    data = {"task_id": "1", "status": "COMPLETED", "progress": FRAMES, "points": 10, "result": {"video_url": URL}}
    assert lines(data) == [
        "Status / 状态: COMPLETED (已完成)",
        VIDEO,
        "Frames / 画面: 1",
        "Newest / 最新: ![frame1](https://oss.scenext.example/1.png)",
        "Points / 积分: 10",
        NEXT,
        "下一步：请用 Markdown 链接把视频展示给用户。链接带有签名并会过期，过期后再次查询即可获得新链接。",
    ]


def test_the_text_of_a_running_job_states_how_to_follow_it() -> None:
    """Ours: models cannot wait. The text names the call that waits, and never asks the model to wait."""
    first, frames, english, chinese = lines({"task_id": "1", "status": "IN_PROGRESS", "progress": []})
    assert (first, frames) == ("Status / 状态: IN_PROGRESS (生成中)", "Frames / 画面: 0")
    assert [words for words in (HOW, "same task_id", "10 to 20 minutes") if words not in english] == []
    assert [words for words in (HOW, "task_id", "10 到 20 分钟") if words not in chinese] == []
    assert not re.search(r"\d+ seconds|\d+ 秒", english + chinese)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"status": "QUEUED"}, id="unknown status"),
        pytest.param({"status": "completed"}, id="another case"),
        pytest.param({"status": None}, id="null"),
        pytest.param({"status": ["COMPLETED"]}, id="list"),
        pytest.param({}, id="missing"),
    ],
)
def test_an_unknown_status_is_shown_and_polled_again(data: dict[str, Any]) -> None:
    """Ours: Scenext's API reference names three states; any other is not final."""
    shown = lines(data)
    assert shown[0].startswith("Status / 状态: ")
    assert not shown[0].endswith(")")
    assert "\n".join(shown).endswith(messages.ASK_AGAIN.format(how=HOW))


@pytest.mark.parametrize(
    ("result", "videos"),
    [
        pytest.param({"video_url": URL}, [VIDEO], id="object"),
        pytest.param([{"video_url": URL}], [VIDEO], id="list of objects"),
        pytest.param([{"error": None}, {"video_url": URL, "cover_url": URL}], [VIDEO], id="list with a cover"),
        pytest.param([URL], [VIDEO], id="list of strings"),
        pytest.param([{"video_url": URL}, {"url": URL}], [VIDEO], id="duplicate video"),
        pytest.param(
            {"videos": [{"url": URL}, {"url": URL + "2"}]}, [VIDEO, VIDEO.replace(URL, URL + "2")], id="two videos"
        ),
        pytest.param(URL, [VIDEO], id="string"),
        pytest.param({"video_url": f" {URL}\n"}, [VIDEO], id="surrounding whitespace"),
        pytest.param({"video_url": "HTTPS://h/1"}, [VIDEO.replace(URL, "HTTPS://h/1")], id="upper case"),
        pytest.param({"image": URL, "poster": URL, "thumbnail_url": URL}, [], id="pictures only"),
        pytest.param(None, [], id="null"),
        pytest.param([], [], id="empty list"),
        pytest.param("soon", [], id="not a URL"),
        pytest.param({"video_url": None}, [], id="null URL"),
        pytest.param({"video_url": 5}, [], id="number"),
        pytest.param({"video_url": "/1/video.mp4"}, [], id="relative URL"),
        pytest.param({"video_url": "https:video.mp4"}, [], id="URL without a host"),
        pytest.param({"video_url": "http://[::1"}, [], id="invalid host"),
        pytest.param({"video_url": "ftp://oss.scenext.example/1"}, [], id="ftp"),
        pytest.param({"video_url": "javascript:alert(1)//https://a"}, [], id="javascript"),
        pytest.param({"video_url": "java\nscript:alert(1)"}, [], id="javascript with a newline"),
        pytest.param({"video_url": "\x01javascript:alert(1)"}, [], id="javascript with a control character"),
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


PICTURE = "https://oss.scenext.example/1/cover.png"
GRADE = {"score": 9, "scoreDetail": {"message": "well done", "url": "https://oss.scenext.example/grade"}}


@pytest.mark.parametrize(
    ("result", "videos"),
    [
        pytest.param([{"type": "video", "content": URL}], [VIDEO], id="video"),
        pytest.param(
            [
                {"type": "text", "content": "The sky is blue because …"},
                {"type": "image", "content": PICTURE},
                {"type": "video", "content": URL, **GRADE},
            ],
            [VIDEO],
            id="text, image and video",
        ),
        pytest.param([{"type": "image", "content": PICTURE}], [], id="image only"),
        pytest.param([{"type": "image", "url": PICTURE}], [], id="image without content"),
        pytest.param([{"type": "text", "content": "https://h/1.mp4"}], [], id="link in a text item"),
        pytest.param([{"type": "audio", "content": "https://h/1.mp3"}], [], id="other type"),
        pytest.param([{"type": " Video ", "content": URL}], [VIDEO], id="another case"),
        pytest.param([{"type": "video/mp4", "content": URL}], [VIDEO], id="media type"),
        pytest.param([{"type": "video", "content": {"url": URL, "cover": PICTURE}}], [VIDEO], id="video with a cover"),
        pytest.param(
            [{"type": "video", "content": [URL, URL + "2"]}], [VIDEO, VIDEO.replace(URL, URL + "2")], id="two videos"
        ),
        pytest.param({"type": "video", "content": URL}, [VIDEO], id="single item"),
        pytest.param(
            [{"type": "image", "content": PICTURE}, {"video_url": URL}], [VIDEO], id="image item and an object"
        ),
        pytest.param({"type": "success", "video_url": URL}, [VIDEO], id="object that is not an item"),
        pytest.param([{"type": 7, "content": URL}], [VIDEO], id="integer type"),
        pytest.param([{"type": "video", "content": None}], [], id="null"),
        pytest.param([{"type": "video"}], [], id="nothing"),
    ],
)
def test_the_type_of_an_item_identifies_a_video(result: Any, videos: list[str]) -> None:
    """Spec: Scenext API, "Webhook": `result` is an array. Gap: the form of its items is not documented."""
    shown = lines({"status": "COMPLETED", "result": result})
    assert shown[1:-2] == [*videos, "Frames / 画面: 0"]
    assert ("no video link" in shown[-2]) is (not videos)


def test_a_missing_result_has_no_video() -> None:
    """Ours: Scenext's API reference: accept nothing."""
    assert "no video link" in lines({"status": "COMPLETED"})[-2]


def test_characters_that_would_end_a_link_are_escaped() -> None:
    """Ours: CommonMark, "Link destination"."""
    (shown,) = [line for line in lines({"result": 'https://h/a b)c(d"e<f>[g]\\h`i'}) if line.startswith("Video")]
    assert shown.endswith("](https://h/a%20b%29c%28d%22e%3Cf%3E%5Bg%5D%5Ch%60i)")


# Untrusted fields

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
    """Ours: upstream's text is shown, never obeyed. It adds no line break, hidden character or link."""
    text = written(SLOTS[slot](HOSTILE))
    assert len(text.splitlines()) == len(lines(SLOTS[slot]("x")))
    assert [char for char in text if not char.isprintable() and char != "\n"] == []
    assert [address for address in LINK.findall(text) if not address.startswith("https://h/")] == []


HUGE = "points image " * 300_000


@pytest.mark.parametrize("slot", SLOTS)
def test_a_huge_field_leaves_the_text_short(slot: str) -> None:
    """Ours: the text is for a model, and the structured data is complete."""
    started = time.perf_counter()
    length = len(written(SLOTS[slot](HUGE)))
    assert 50 < length < 100_000
    assert time.perf_counter() - started < 5  # seconds; one pass over the text takes less than 1 s


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"progress": [{"id": "f", "image": "https://h/1"}] * 10_000}, id="frames"),
        pytest.param({"result": [{"video_url": "https://h/1"}] * 10_000}, id="videos"),
        pytest.param({"status": "FAILED", "result": ["no"] * 10_000}, id="reasons"),
        pytest.param({"points": list(range(10_000))}, id="points"),
    ],
)
def test_many_values_leave_the_text_short(data: dict[str, Any]) -> None:
    """Ours: the text is for a model, and the structured data is complete."""
    assert len(lines(data)) < 30


def nested(depth: int) -> Any:
    """Return nested lists. orjson parses 1,024 levels."""
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
def test_deep_nesting_does_not_fail(data: dict[str, Any]) -> None:
    """Ours: all data that orjson parses has a text."""
    assert lines(data)[0].startswith("Status / 状态: ")


# Frames, points, reasons


@pytest.mark.parametrize("status", ["IN_PROGRESS", "COMPLETED", "FAILED"])
def test_only_the_newest_frame_and_the_number_of_frames_are_shown(status: str) -> None:
    """Ours: each link costs tokens in every later turn of the conversation. The structured data has all of them."""
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
        pytest.param([None, 1, "f", []], 0, [], id="no objects"),
        pytest.param([{"id": 7, "image": "https://h/1"}], 1, ["![7](https://h/1)"], id="integer id"),
        pytest.param([{"id": "f"}], 1, ["f"], id="no image"),
        pytest.param([{"id": "f", "image": "data:image/png;base64,a"}], 1, ["f"], id="data URL as image"),
        pytest.param([{"id": "[f](x)", "image": "https://h/1"}], 1, [r"![\[f\](x)](https://h/1)"], id="brackets"),
        pytest.param([{"id": "f" * 99, "image": "https://h/1"}], 1, [f"![{'f' * 59}…](https://h/1)"], id="long id"),
    ],
)
def test_malformed_frames_are_shown_as_far_as_possible(progress: Any, count: int, shown: list[str]) -> None:
    """Ours: Scenext's API reference documents a list of {id, image}; anything else is tolerated."""
    assert lines({"progress": progress})[1:-2] == [f"Frames / 画面: {count}", *(f"Newest / 最新: {it}" for it in shown)]


SIGNED = "?Expires={0}&OSSAccessKeyId=a{0}&Signature=s{0}%3D"
SIGNED_V4 = "?x-oss-date=2026111{0}T000000Z&x-oss-expires={0}&x-oss-credential=a%2F{0}&x-oss-signature=s{0}"


@pytest.mark.parametrize(
    ("images", "count", "newest"),
    [
        pytest.param(["1.png", "1.png", "2.png", "2.png", "2.png"], 2, "2.png", id="repeat of the previous picture"),
        pytest.param(["1.png", "2.png", "1.png"], 2, "1.png", id="repeat of an earlier picture"),
        pytest.param(["1.png" + SIGNED.format(n) for n in (1, 2)], 1, "1.png" + SIGNED.format(2), id="new signature"),
        pytest.param(
            ["1.png" + SIGNED_V4.format(n) for n in (1, 2)], 1, "1.png" + SIGNED_V4.format(2), id="new v4 signature"
        ),
        pytest.param(["1.png?n=1", "1.png?n=2&Signature=a"], 2, "1.png?n=2&Signature=a", id="different query"),
        pytest.param(["1.png?n=1&Signature=a", "1.png?Signature=b&n=1"], 1, "1.png?Signature=b&n=1", id="same query"),
        pytest.param(["1.png", "1.png?"], 1, "1.png?", id="empty query"),
    ],
)
def test_frames_that_repeat_a_picture_count_once(images: list[str], count: int, newest: str) -> None:
    """Gap: Scenext does not document it, but a frame may repeat the picture of the previous one."""
    progress = [{"id": f"frame{n}", "image": f"https://h/{image}"} for n, image in enumerate(images)]
    assert lines({"progress": progress})[1:3] == [
        f"Frames / 画面: {count}",
        f"Newest / 最新: ![frame{len(images) - 1}](https://h/{newest})",
    ]


def test_frames_without_a_picture_count_separately() -> None:
    """Gap: Scenext's API reference documents a list of {id, image}; anything else is tolerated."""
    odd = [{}, {"image": ""}, {"image": None}, {"image": 7}, {"image": ["https://h/1.png"]}]
    assert lines({"progress": odd})[1] == "Frames / 画面: 5"


def test_a_frame_without_an_id_is_shown_as_a_picture() -> None:
    """Ours: Scenext's API reference documents a list of {id, image}; anything else is tolerated."""
    assert LINK.findall(written({"progress": [{"image": "https://h/1"}]})) == ["https://h/1"]


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        pytest.param({"points": 10}, ["10"], id="points"),
        pytest.param({"points": 10.0}, ["10"], id="float"),
        pytest.param({"consumed_points": 1.5}, ["1.5"], id="consumed points"),
        pytest.param({"creditsUsed": "10"}, ["10"], id="credits"),
        pytest.param({"points": "10 积分"}, ["10 积分"], id="amount with a unit"),
        pytest.param({"cost": 0}, ["0"], id="zero cost"),
        pytest.param({"consumption": 10}, ["10"], id="consumption"),
        pytest.param({"consumption": {"points": 10}}, ["10"], id="object"),
        pytest.param(
            {"consumption": {"amount": 10, "unit": "points", "seconds": 95}}, ["10"], id="object with other fields"
        ),
        pytest.param({"consumption": {"video": 8, "voice": 2}}, ["8 (video), 2 (voice)"], id="object of parts"),
        pytest.param({"consumption": [10]}, ["10"], id="list"),
        pytest.param({"consumption": [8, 2]}, ["8, 2"], id="list of parts"),
        pytest.param({"consumption": [{"type": "video", "points": 10}]}, ["10"], id="list of objects"),
        pytest.param({"points": 10, "consumption": {"points": 10}}, ["10"], id="duplicate value"),
        pytest.param({"points": 10, "consumption": 12}, ["10 (points), 12 (consumption)"], id="two different amounts"),
        pytest.param({"result": {"video_url": URL, "points": 3}}, ["3"], id="inside result"),
        pytest.param({"usage": {"points": 3}, "result": [{"cost": 4}]}, ["3 (points), 4 (cost)"], id="several places"),
        pytest.param({"points": None, "score": 10}, [], id="null"),
        pytest.param({"score": {"points": 9}, "result": [{"scoreDetail": {"points": 9}}]}, [], id="points of a grade"),
        pytest.param({"points": True}, [], id="boolean"),
        pytest.param({"knowledge_points": ["Rayleigh scattering"]}, [], id="points of another kind"),
        pytest.param({"consumption": {"at": "2026-11-18"}}, [], id="date"),
        pytest.param({"consumption": {}}, [], id="empty"),
        pytest.param({"progress": [{"points": 3}]}, [], id="points of a frame"),
    ],
)
def test_points_are_shown_in_one_line_whatever_field_holds_them(data: dict[str, Any], shown: list[str]) -> None:
    """Gap: Scenext documents neither the field nor its form. Names are shown only to distinguish several amounts."""
    found = [line for line in lines({"status": "COMPLETED", **data}) if line.startswith("Points / 积分: ")]
    assert found == [f"Points / 积分: {pair}" for pair in shown]


@pytest.mark.parametrize(
    ("data", "reasons"),
    [
        pytest.param({"result": {"error": "no text"}}, ["no text"], id="object"),
        pytest.param({"result": [{"error": "no text"}, {"message": "blurred"}]}, ["no text", "blurred"], id="list"),
        pytest.param({"result": {"error": {"code": 7, "message": "no text"}}}, ["no text"], id="nested"),
        pytest.param({"result": "no text"}, ["no text"], id="string"),
        pytest.param({"result": ["no text"]}, ["no text"], id="list of strings"),
        pytest.param({"fail_reason": "题目不清"}, ["题目不清"], id="outside result"),
        pytest.param({"result": {"error": "e" * 600}}, ["e" * 499 + "…"], id="long reason"),
        pytest.param({"result": {"error": "no text"}, "message": "no text"}, ["no text"], id="duplicate value"),
        pytest.param({"result": {"error": None, "points": 0}}, [], id="null"),
        pytest.param({"result": {"error": " ", "message": True}}, [], id="blank"),
        pytest.param({"result": [{"type": "text", "content": "no text"}]}, ["no text"], id="text item"),
        pytest.param(
            {"result": [{"type": "text", "content": "题目不清"}, {"type": "text", "content": "未消耗积分", **GRADE}]},
            ["题目不清", "未消耗积分"],
            id="text items",
        ),
        pytest.param(
            {"result": [{"type": "text", "text": ["no", "text"]}]}, ["no", "text"], id="text item with a list of texts"
        ),
        pytest.param({"result": [{"type": "error", "content": "no text"}]}, ["no text"], id="error item"),
        pytest.param(
            {"result": [{"type": "video", "content": None, "error": "no text"}]}, ["no text"], id="video item"
        ),
        pytest.param({"result": [{"type": "image", "content": "no text"}]}, [], id="image item"),
        pytest.param({"result": {"content": "no text"}}, [], id="object that is not an item"),
        pytest.param({}, [], id="missing"),
    ],
)
def test_a_failed_job_shows_its_reasons_and_that_a_new_job_costs_points(
    data: dict[str, Any], reasons: list[str]
) -> None:
    """Spec: Scenext API, "`result`". Ours: a new job costs points, whether or not the failed one did."""
    shown = lines({"status": "FAILED", **data})
    assert shown[0] == "Status / 状态: FAILED (失败)"
    assert [line for line in shown if line.startswith("Reason")] == [f"Reason / 原因: {text}" for text in reasons]
    assert shown[-2] == (
        "Next: tell the user the reason. A new job costs points, so start one only if the user asks for it."
    )
    assert shown[-1] == "下一步：请把失败原因告知用户。新建任务需要消耗积分，仅在用户要求时重新创建。"


def test_a_completed_job_shows_no_reason() -> None:
    """Ours: a message in a successful job is not a failure reason."""
    assert "Reason" not in written({"status": "COMPLETED", "result": {"message": "ok", "video_url": URL}})


# Progress

NOW = 1_795_000_000.0  # seconds since 1970


@pytest.mark.parametrize(
    ("age", "english", "chinese"),
    [
        (None, "2 frames so far", "已有 2 个画面"),
        (0, "2 frames · started just now", "2 个画面 · 刚刚开始"),
        (9.9, "2 frames · started just now", "2 个画面 · 刚刚开始"),
        (10, "2 frames · started 10 s ago", "2 个画面 · 10 秒前开始"),
        (54.9, "2 frames · started 50 s ago", "2 个画面 · 50 秒前开始"),
        (55, "2 frames · started 1 min ago", "2 个画面 · 1 分钟前开始"),
        (119.9, "2 frames · started 1 min ago", "2 个画面 · 1 分钟前开始"),
        (3600, "2 frames · started 60 min ago", "2 个画面 · 60 分钟前开始"),
    ],
)
def test_progress_states_how_long_ago_a_job_was_started(age: float | None, english: str, chinese: str) -> None:
    """Ours: the same words as on the page and the card. “ago” cannot be read as the time that is left."""
    frames = [{"id": f"frame{n}", "image": f"https://h/{n}"} for n in (1, 2)]
    assert messages.progress_message({"progress": frames}, age) == f"{english} / {chinese}"


@pytest.mark.parametrize(
    ("frames", "words"), [(0, "0 frames so far"), (1, "1 frame so far"), (180, "180 frames so far")]
)
def test_progress_counts_frames(frames: int, words: str) -> None:
    """Ours: in correct English."""
    progress = [{"image": f"https://h/{n}"} for n in range(frames)]
    assert messages.progress_message({"progress": progress}, None) == f"{words} / 已有 {frames} 个画面"


@pytest.mark.parametrize(
    ("data", "age"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"created_at": NOW - 90}, 90.0, id="seconds"),
        pytest.param({"created_at": int(NOW) - 90}, 90.0, id="whole seconds"),
        pytest.param({"created_at": int(NOW - 90) * 1000}, 90.0, id="milliseconds"),
        pytest.param({"created_at": "2026-11-18T11:05:10Z"}, 90.0, id="UTC"),
        pytest.param({"created_at": "2026-11-18T19:05:10+08:00"}, 90.0, id="offset"),
        pytest.param({"created_at": "2026-11-18 11:05:10"}, None, id="no time zone"),
        pytest.param({"created_at": "yesterday"}, None, id="words"),
        pytest.param({"created_at": True}, None, id="boolean"),
        pytest.param({"created_at": [NOW]}, None, id="list"),
        pytest.param({"created_at": NOW + 1}, None, id="future"),
        pytest.param({"created_at": NOW - 200_000}, None, id="days ago"),
        pytest.param({"created_at": 1e300}, None, id="huge"),
        pytest.param({"created_at": -1e300}, None, id="negative"),
        pytest.param({"task_id": "sandbox-1794999910000-V2h5"}, 90.0, id="sandbox"),
        pytest.param({"task_id": "sandbox-in-progress"}, None, id="fixed job of the sandbox"),
        pytest.param({"task_id": 12345}, None, id="number"),
    ],
)
def test_the_age_of_a_job_is_read_from_its_data(data: dict[str, Any], age: float | None) -> None:
    """Ours: Scenext documents no such field, so a time that could be another one is not used."""
    assert messages.job_age(data, NOW, lambda task_id: None) == age


def test_the_recorded_start_is_used_if_the_data_states_none() -> None:
    """Ours: the memory of started jobs knows jobs of the real Scenext."""
    starts = {"12345": NOW - 90}
    assert messages.job_age({"task_id": 12345}, NOW, starts.get) == 90
    assert messages.job_age({"task_id": "12345", "created_at": NOW - 60}, NOW, starts.get) == 60
