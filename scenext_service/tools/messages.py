"""Describe a job to people and models: read its `data`, format it as text, and state the next step.

Scenext documents little of `data`, so this module relies on no field. `result` may be an object, a list of objects, a
list of typed items `{"type": "text" | "video" | "image", "content": …}`, or missing, and any field may hold any value.
The result of the tool also contains the data itself, unchanged.

Source: Scenext's API reference, "Get status" and "Webhook".
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..scenext.responses import one_line, printable
from ..scenext.sandbox.jobs import creation_time

MAX_URL = 2000  # characters; all browsers accept URLs of this length

FAILED = "FAILED"
ENDS = ("COMPLETED", FAILED)  # final states

MAX_AGE = 48 * 3600  # seconds; a longer time since the start is taken for an error
_SECONDS_END = 1e11  # a larger time is in milliseconds

_ITEM_TYPES = ("text", "video", "image")
_PICTURE = re.compile(r"image|picture|cover|poster|thumb|frame", re.IGNORECASE)
_REASON = re.compile(r"error|reason|message|msg|detail", re.IGNORECASE)
_ITEM_TEXT = re.compile(r"content|text", re.IGNORECASE)
_POINTS = re.compile(r"point|credit|consum|cost", re.IGNORECASE)
_TOTAL = re.compile(r"total|amount|used", re.IGNORECASE)
_AMOUNT = re.compile(r"[-+]?\d[\d.,]*\s*[^\W\d_]{0,12}")  # also `10 points` and `10积分`
_GRADE = re.compile(r"score", re.IGNORECASE)  # `score` and `scoreDetail` grade an answer: neither reasons nor points
# Parameters of a signed link, which differ each time it is signed: Alibaba Cloud OSS (V1 and V4), AWS and Google.
_SIGNATURE = re.compile(r"expires|signature|access-?key-?id|token|credential|-date$", re.IGNORECASE)
# Characters that would end or start a Markdown link.
_URL_ESCAPES = {ord(char): f"%{ord(char):02X}" for char in ' "<>()[]\\`|^{}'}


class Leaf(NamedTuple):
    """A plain value in nested data, with the name of its field, and the type of the typed item around it, or ""."""

    name: str
    value: Any
    item_type: str


def ended(data: dict[str, Any]) -> bool:
    """Return whether a job has ended."""
    return data.get("status") in ENDS


def frames(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a job's frames so far, the newest last. Of frames with the same picture, return only the last."""
    progress = data.get("progress")
    found: dict[Any, dict[str, Any]] = {}
    for number, frame in enumerate(progress if isinstance(progress, list) else []):
        if isinstance(frame, dict):
            picture = _picture(frame.get("image")) or number
            found.pop(picture, None)  # the last occurrence determines the order
            found[picture] = frame
    return list(found.values())


def videos(data: dict[str, Any]) -> list[str]:
    """Return the links to a job's videos, each once, escaped for Markdown.

    In a typed item, the type decides. Elsewhere, a link is a video unless the name of its field suggests a picture.
    """
    links = (
        link(leaf.value)
        for leaf in _leaves(data.get("result"))
        if leaf.item_type in ("", "video") and not _PICTURE.search(leaf.name)
    )
    return list(dict.fromkeys(filter(None, links)))


def reasons(data: dict[str, Any]) -> list[Any]:
    """Return the reasons of a failure, each once: the text items of the result, and fields named like an error."""
    rest = {name: value for name, value in data.items() if name not in ("progress", "result")}
    found = [leaf for part in (data.get("result"), rest) for leaf in _leaves(part)]
    return list(dict.fromkeys(leaf.value for leaf in found if _is_reason(leaf)))


def points(data: dict[str, Any]) -> list[Leaf]:
    """Return the amounts of points in a job, such as `points`, or the numbers below `consumption`.

    Fields with the same amounts count once.
    """
    rest = {name: value for name, value in data.items() if name != "progress"}
    fields: dict[tuple[Any, ...], list[Leaf]] = {}
    stack: list[tuple[str, Any]] = [("", rest)]
    while stack:
        name, value = stack.pop()
        if _POINTS.search(name):
            amounts = _amounts(name, value)
            fields.setdefault(tuple(amount.value for amount in amounts), amounts)
        elif isinstance(value, dict):
            stack += reversed([(str(key), item) for key, item in value.items() if not _GRADE.match(str(key))])
        elif isinstance(value, list):
            stack += [(name, item) for item in reversed(value)]
    return [amount for amounts in fields.values() for amount in amounts]


def link(value: Any) -> str | None:
    """Return a web address escaped for a Markdown link; None for any other value, such as `javascript:`."""
    if not isinstance(value, str) or len(value) > MAX_URL:
        return None
    text = (value if value.isprintable() else printable(value)).strip()
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return text.translate(_URL_ESCAPES) if parts.scheme in ("http", "https") and parts.netloc else None


def _picture(image: Any) -> str:
    """Return the link to a picture without its signature, which differs each time; "" if there is no link."""
    address, _, query = image.partition("?") if isinstance(image, str) else ("", "", "")
    kept = [part for part in query.split("&") if part and not _SIGNATURE.search(part.partition("=")[0])]
    return "?".join([address, *(["&".join(kept)] if kept else [])])


def _is_reason(leaf: Leaf) -> bool:
    if isinstance(leaf.value, bool) or not str(leaf.value).strip():
        return False
    if leaf.item_type not in ("", "video", "image") and _ITEM_TEXT.fullmatch(leaf.name):
        return True
    return not leaf.name or _REASON.search(leaf.name) is not None


def _amounts(name: str, value: Any) -> list[Leaf]:
    """Return the amounts in a field about points. If some are named like points or a total, return only those."""
    found = [
        leaf._replace(
            value=int(leaf.value) if isinstance(leaf.value, float) and leaf.value.is_integer() else leaf.value
        )
        for leaf in _leaves(value, name)
        if not isinstance(leaf.value, bool) and _AMOUNT.fullmatch(str(leaf.value).strip())
    ]
    return [leaf for leaf in found if _POINTS.search(leaf.name) or _TOTAL.search(leaf.name)] or found


def _leaves(value: Any, name: str = "") -> Iterator[Leaf]:
    """Yield each plain value in nested objects and lists, in order; a list's items have the list's name."""
    stack = [(name, value, "")]
    while stack:
        name, value, item_type = stack.pop()
        if isinstance(value, dict):
            item_type = _item_type(value) or item_type
            fields = [(str(key), item, item_type) for key, item in value.items() if not _GRADE.match(str(key))]
            stack += reversed(fields)
        elif isinstance(value, list):
            stack += [(name, item, item_type) for item in reversed(value)]
        elif value is not None:
            yield Leaf(name, value, item_type)


def _item_type(value: dict[str, Any]) -> str:
    """Return the type of a typed item, such as `video` for `video` or `video/mp4`; "" for any other object."""
    named = value.get("type")
    found = named.strip().lower().partition("/")[0] if isinstance(named, str) else ""
    return found if found in _ITEM_TYPES or "content" in value else ""


def job_age(data: dict[str, Any], now: float, started_at: Callable[[str], float | None]) -> float | None:
    """Return the seconds since a job was started, None if that is not known.

    `now` is in seconds since 1970. `started_at` is asked if the job's data does not state the time.
    """
    task_id = str(data.get("task_id"))
    created = _unix_time(data.get("created_at")) or creation_time(task_id) or started_at(task_id)
    age = None if created is None else now - created
    return age if age is None or 0 <= age <= MAX_AGE else None


def _unix_time(value: Any) -> float | None:
    """Return a time in seconds since 1970, None for a text without a time zone or for any other value."""
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            return None
        return None if time.tzinfo is None else time.timestamp()
    if type(value) not in (int, float):
        return None
    return float(value) / (1000 if value > _SECONDS_END else 1)


def progress_message(data: dict[str, Any], age: float | None) -> str:
    """Return the progress message of a job that was started `age` seconds ago, None if that is unknown.

    It has no other time, because people read a time without a start as the time that is left.
    """
    drawn = len(frames(data))
    english, chinese = f"{drawn} frame{'' if drawn == 1 else 's'}", f"{drawn} 个画面"
    if age is None:
        return f"{english} so far / 已有 {chinese}"
    if age < 10:
        return f"{english} · started just now / {chinese} · 刚刚开始"
    tens, minutes = int(age / 10) * 10, max(int(age / 60), 1)
    amount, unit, chinese_unit = (tens, "s", "秒") if age < 55 else (minutes, "min", "分钟")
    return f"{english} · started {amount} {unit} ago / {chinese} · {amount} {chinese_unit}前开始"


MAX_LINES = 10  # of one kind: videos, reasons, amounts of points
MAX_TEXT = 500  # characters of a reason or another value
MAX_LABEL = 60  # characters of a frame's id or a field's name

ASK_AGAIN = (
    "Next: call query_video_status with the same task_id, {how}; a video takes 10 to 20 minutes. Do not start another"
    " job.\n下一步：用同一 task_id 调用 query_video_status，参数 {how}；视频一般需要 10 到 20 分钟。请勿重新创建任务。"
)
_COMPLETED = (
    "Next: show the user the video as a Markdown link. The links are signed and expire; query again for fresh ones."
    "\n下一步：请用 Markdown 链接把视频展示给用户。链接带有签名并会过期，过期后再次查询即可获得新链接。"
)
_NO_VIDEO = (
    "Next: the job has completed, but has no video link. Show the user the data above.\n"
    "下一步：任务已完成，但结果中没有视频链接。请把上面的数据展示给用户。"
)
_FAILED = (
    "Next: tell the user the reason. A new job costs points, so start one only if the user asks for it.\n"
    "下一步：请把失败原因告知用户。新建任务需要消耗积分，仅在用户要求时重新创建。"
)
_STATES = {"IN_PROGRESS": "生成中", "COMPLETED": "已完成", "FAILED": "失败"}

_TEXT_ESCAPES = {ord(char): f"\\{char}" for char in "\\[]<>`"}


def status_text(data: dict[str, Any], how: str) -> str:
    """Return a job's `data` as text: its state, links in Markdown, and the next step.

    `how` are the arguments of the next query.
    """
    status = _text(data.get("status", "unknown"), MAX_LABEL)
    state = _STATES.get(status)
    links = videos(data)
    lines = [f"Status / 状态: {status}" + (f" ({state})" if state else "")]
    lines += [f"Video / 视频: [Watch the video / 观看视频]({url})" for url in links[:MAX_LINES]]
    lines += _frames(frames(data))
    lines += _points(points(data)[:MAX_LINES])
    if status == FAILED:
        lines += [f"Reason / 原因: {_text(reason)}" for reason in reasons(data)[:MAX_LINES]]
        lines.append(_FAILED)
    elif status == "COMPLETED":
        lines.append(_COMPLETED if links else _NO_VIDEO)
    else:
        lines.append(ASK_AGAIN.format(how=how))
    return "\n".join(lines)


def _frames(drawn: list[dict[str, Any]]) -> list[str]:
    lines = [f"Frames / 画面: {len(drawn)}"]
    if drawn:
        url, label = link(drawn[-1].get("image")), _text(drawn[-1].get("id", "frame"), MAX_LABEL)
        lines.append(f"Newest / 最新: ![{label}]({url})" if url else f"Newest / 最新: {label}")
    return lines


def _points(amounts: list[Leaf]) -> list[str]:
    """Return the line about points. If the amounts come from several fields, each has its field's name."""
    named = len({amount.name for amount in amounts}) > 1
    texts = [f"{_text(it.value)} ({_text(it.name, MAX_LABEL)})" if named else _text(it.value) for it in amounts]
    return [f"Points / 积分: {', '.join(texts)}"] if texts else []


def _text(value: Any, limit: int = MAX_TEXT) -> str:
    """Return a plain value on one line, escaped so that Markdown shows it as plain text."""
    if isinstance(value, str) and len(value) <= limit and value.isidentifier():  # has nothing to escape
        return value
    return "…" if isinstance(value, (dict, list)) else one_line(str(value), limit).translate(_TEXT_ESCAPES)


# The next step for the model. Some hosts pass only `structuredContent` to the model, so the text is part of it. It is
# short, because its tokens are charged again in every later turn of the conversation.
_NEXT_WAIT = (
    "Call query_video_status again now with task_id {task_id} and {how}; start no other job. If you cannot"
    " continue, tell the user to ask again in 10 minutes, with this task_id."
)
_NEXT_NO_WAIT = (
    "This server cannot wait for the job now. Do not call again at once, and start no other job: tell the user to ask"
    " again in 10 minutes, with task_id {task_id}."
)
_NEXT_TOO_LARGE = (
    "This request was too large to wait for the job. Call query_video_status again now with task_id {task_id} and"
    " {how}, and nothing else; start no other job."
)
_NEXT_COMPLETED = (
    "Show the user the video as a Markdown link, [Watch the video](url). Links expire: for fresh ones call"
    " query_video_status with task_id {task_id} again."
)
_NEXT_NO_VIDEO = "The job {task_id} has completed, but has no video link: show the user the other data."
_NEXT_FAILED = (
    "Tell the user why the job {task_id} failed. A new job costs points: start one only if the user asks for it."
)


def query_arguments(max_wait: int) -> str:
    """Return the arguments for following a job, except its id. `max_wait` is in seconds."""
    return f'wait_seconds={max_wait}, frames="none"' if max_wait else 'frames="none"'


def next_step(job: dict[str, Any], task_id: str, how: str, *, can_wait: bool, too_large: bool = False) -> str:
    """Return the next step with a job, for the model.

    `how` are the arguments of the next call, and `can_wait` is true if that call can wait. `too_large` is true if the
    request was too large to wait.
    """
    if not ended(job):
        step = _NEXT_TOO_LARGE if too_large else _NEXT_WAIT if can_wait else _NEXT_NO_WAIT
    elif job["status"] == FAILED:
        step = _NEXT_FAILED
    else:
        step = _NEXT_COMPLETED if videos(job) else _NEXT_NO_VIDEO
    return step.format(task_id=task_id, how=how)


def any_of_type(kind: str, description: str | None = None) -> dict[str, Any]:
    """Return an output schema that states the expected type of one of Scenext's values, but allows any type.

    The values are passed on unchanged, and clients reject a result that violates its schema: all clients in
    docs/works-with.md do. A property without a type, however, causes a warning in the MCP Inspector.
    """
    schema: dict[str, Any] = {"anyOf": [{"type": kind}, {"not": {"type": kind}}]}
    return schema if description is None else {**schema, "description": description}
