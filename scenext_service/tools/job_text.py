"""A job's `data` as a text for people: state, links as Markdown, and what to do next.

The data itself goes to the caller unchanged beside it. Nothing in it is relied on here: `result` may be an object, a
list or missing, and any field may hold anything.

Source: Scenext's API reference, "Get status" and "Webhook".
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from ..scenext.text import one_line, printable

MAX_LINES = 10  # of one kind: videos, points, reasons
MAX_TEXT = 500  # characters of a reason or another value
MAX_LABEL = 60  # characters of a frame's id or a field's name
MAX_URL = 2000  # characters; what browsers are sure to accept

ENDS = ("COMPLETED", "FAILED")  # the states in which a job stays

ASK_AGAIN = (
    "Next: call query_video_status with the same task_id, {how}; a video takes 10 to 20 minutes. Do not start another"
    " job.\n下一步：用同一个 task_id 调用 query_video_status，参数 {how}；一般需要 10 到 20 分钟。请勿重新创建任务。"
)
_COMPLETED = (
    "Next: show the user the video as a Markdown link. The links are signed and expire; query again for fresh ones."
    "\n下一步：请用 Markdown 链接把视频展示给用户。链接带有签名并会过期，过期后再次查询即可获得新链接。"
)
_NO_VIDEO = (
    "Next: the job is done, but its answer has no video link. Show the user the data above.\n"
    "下一步：任务已完成，但结果中没有视频链接。请把上面的数据展示给用户。"
)
_FAILED = (
    "Next: tell the user the reason. A new job is charged again, so start one only if the user asks for it.\n"
    "下一步：请把失败原因告知用户。重新创建任务会再次扣费，请在用户要求时才重新创建。"
)
_STATES = {"IN_PROGRESS": "生成中", "COMPLETED": "已完成", "FAILED": "失败"}

_POINTS = re.compile(r"point|credit|consum|cost", re.IGNORECASE)
_PICTURE = re.compile(r"image|picture|cover|poster|thumb|frame", re.IGNORECASE)
_REASON = re.compile(r"error|reason|message|msg|detail", re.IGNORECASE)
# Characters that would end a Markdown link, and those that would begin one.
_URL_ESCAPES = {ord(char): f"%{ord(char):02X}" for char in ' "<>()[]\\`|^{}'}
_TEXT_ESCAPES = {ord(char): f"\\{char}" for char in "\\[]<>`"}


def ended(data: dict[str, Any]) -> bool:
    """Return whether a job has come to its end."""
    return data.get("status") in ENDS


def frames(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the frames that a job has so far, the newest last."""
    progress = data.get("progress")
    return [frame for frame in progress if isinstance(frame, dict)] if isinstance(progress, list) else []


def videos(data: dict[str, Any]) -> list[str]:
    """Return the links of a job's result that are no pictures."""
    return _videos(_leaves(data.get("result")))


def write(data: dict[str, Any], how: str) -> str:
    """Return the text for a job's `data`; `how` are the arguments with which to ask again."""
    status = _text(data.get("status", "unknown"), MAX_LABEL)
    state = _STATES.get(status)
    result = list(_leaves(data.get("result")))
    rest = list(_leaves({key: value for key, value in data.items() if key not in ("progress", "result")}))
    films = _videos(result)
    lines = [f"Status / 状态: {status}" + (f" ({state})" if state else "")]
    lines += [f"Video / 视频: [Watch the video / 观看视频]({url})" for url in films[:MAX_LINES]]
    lines += _frames(frames(data))
    points = [(name, value) for name, value in rest + result if _POINTS.search(name)]
    lines += [f"Points / 积分: {_text(name, MAX_LABEL)} = {_text(value)}" for name, value in points[:MAX_LINES]]
    if status == "FAILED":
        reasons = [value for name, value in result + rest if not name or _REASON.search(name)]
        lines += [f"Reason / 原因: {_text(reason)}" for reason in reasons[:MAX_LINES]]
        lines.append(_FAILED)
    elif status == "COMPLETED":
        lines.append(_COMPLETED if films else _NO_VIDEO)
    else:
        lines.append(ASK_AGAIN.format(how=how))
    return "\n".join(lines)


def _videos(result: Iterable[tuple[str, Any]]) -> list[str]:
    return [url for name, value in result if not _PICTURE.search(name) and (url := _url(value))]


def _frames(drawn: list[dict[str, Any]]) -> list[str]:
    lines = [f"Frames / 画面: {len(drawn)}"]
    if drawn:
        url, label = _url(drawn[-1].get("image")), _text(drawn[-1].get("id", "frame"), MAX_LABEL)
        lines.append(f"Newest / 最新: ![{label}]({url})" if url else f"Newest / 最新: {label}")
    return lines


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield `(name, value)` for each plain value in nested objects and lists; a list's items have the list's name."""
    stack = [(name, value)]
    while stack:
        name, value = stack.pop()
        if isinstance(value, dict):
            stack += [(str(key), item) for key, item in reversed(value.items())]
        elif isinstance(value, list):
            stack += [(name, item) for item in reversed(value)]
        elif value is not None:
            yield name, value


def _text(value: Any, limit: int = MAX_TEXT) -> str:
    """Return a plain value on one line, with nothing in it that Markdown takes for more than text."""
    return "…" if isinstance(value, (dict, list)) else one_line(str(value), limit).translate(_TEXT_ESCAPES)


def _url(value: Any) -> str | None:
    """Return a web address fit for a Markdown link; None for anything else, such as `javascript:`."""
    if not isinstance(value, str) or len(value) > MAX_URL:
        return None
    text = printable(value).strip()
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return text.translate(_URL_ESCAPES) if parts.scheme in ("http", "https") and parts.netloc else None
