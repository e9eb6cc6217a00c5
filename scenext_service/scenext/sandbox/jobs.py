"""The sandbox's jobs: their ids, their data at a given time, their frames, and the targets of their links.

A new job's id holds its creation time and the first words of its question. No state is therefore needed, and every
worker process knows every job. Links lead to this service itself, at the address at which the client reached it.
"""

import base64
import re
from collections.abc import Mapping
from hashlib import sha512
from typing import Any, NamedTuple

from ..responses import one_line

DURATION = 60  # seconds from a job's creation to its end
FRAMES = 6  # number of frames, which appear evenly over that time

MEDIA_PATH = "/sandbox/<task_id>/<name>"  # of frames and videos, below the address
_VIDEO = "video.mp4"
_FRAME = "frame{}.svg"


class _Job(NamedTuple):
    words: str  # the first ones of the question
    frames: int  # their number


# Jobs that always exist.
_FIXED_JOBS = {
    "sandbox-completed": _Job("Why is the sky blue?", 3),
    "sandbox-slow": _Job("Why is glass so slow?", 3),
    "sandbox-failed": _Job("A question in an image", 1),
    "sandbox-in-progress": _Job("What is infinity?", 1),
    "sandbox-list": _Job("Why do leaves fall?", 3),
    "sandbox-typed": _Job("Why is the sea salty?", 3),
    "sandbox-typed-failed": _Job("A blurred image", 0),
    "sandbox-no-result": _Job("What is nothing?", 1),
    "sandbox-consumption": _Job("What is a kilowatt-hour?", 3),
    "sandbox-consumption-object": _Job("What is a calorie?", 3),
    "sandbox-consumption-list": _Job("What is a joule?", 3),
    "sandbox-repeated": _Job("What is a period?", 3),
}
_WITHOUT_VIDEO = ("sandbox-failed", "sandbox-in-progress", "sandbox-typed-failed", "sandbox-no-result")

_POINTS = 10  # consumed by a job that is COMPLETED

# Other forms of the points than the number `points`.
_CONSUMPTION: Mapping[str, Any] = {
    "sandbox-consumption": _POINTS,
    "sandbox-consumption-object": {"points": _POINTS},
    "sandbox-consumption-list": [{"type": "video", "points": _POINTS}],
}

_NEW_ID = re.compile(r"sandbox-([0-9]{13})(?:-[A-Za-z0-9_-]+)?")
# Limits on the words of a question in an id. An emoji takes four bytes, and an id may have at most 128 characters.
_MAX_CHARACTERS, _MAX_BYTES = 24, 79

_EXPIRES = 4102444800  # the year 2100
_LINK_LENGTH = 217  # characters, like the links in Scenext's documentation


def find_data(task_id: str, address: str, now: float) -> dict[str, Any] | None:
    """Return a job's `data` at the time `now`, in seconds since 1970; None if there is no such job."""
    job = _find_job(task_id)
    if job is None:
        return None
    if task_id == "sandbox-in-progress":
        return _job_data(address, task_id, "IN_PROGRESS", job.frames)
    if task_id not in _FIXED_JOBS:
        age = now - int(task_id.split("-")[1]) / 1000
        if age < DURATION:
            return _job_data(address, task_id, "IN_PROGRESS", int(max(age, 0) * job.frames / DURATION))
    return _final_data(address, task_id, job.frames)


def find_media(task_id: str, name: str) -> tuple[str, int] | None:
    """Return the first words of a job's question, and the number of the frame with this name, or 0 for the video.

    Return None if no link has this id and name. A frame's time of appearance is not checked, because clocks differ.
    """
    job = _find_job(task_id)
    if job is None:
        return None
    numbers = {_FRAME.format(number): number for number in range(1, job.frames + 1)}
    if task_id not in _WITHOUT_VIDEO:
        numbers[_VIDEO] = 0
    return (job.words, numbers[name]) if name in numbers else None


def make_id(created: str, question: str) -> str:
    """Make the id of a new job from its creation time, in milliseconds since 1970 with 13 digits, and its question."""
    words = one_line(question, _MAX_CHARACTERS).encode()[:_MAX_BYTES].decode(errors="ignore").strip().encode()
    return f"sandbox-{created}" + (f"-{base64.urlsafe_b64encode(words).decode().rstrip('=')}" if words else "")


def strip_question(task_id: str) -> str:
    """Return a task id without the first words of the question, which the id of a new job holds.

    The shortened id is valid for the same job.
    """
    match = _NEW_ID.fullmatch(task_id)
    return task_id if match is None else f"sandbox-{match[1]}"


def creation_time(task_id: str) -> float | None:
    """Return the time at which a job was created, in seconds since 1970, None unless it is a new job of the sandbox."""
    match = _NEW_ID.fullmatch(task_id)
    return None if match is None else int(match[1]) / 1000


def _find_job(task_id: str) -> _Job | None:
    if task_id in _FIXED_JOBS:
        return _FIXED_JOBS[task_id]
    if not _NEW_ID.fullmatch(task_id):
        return None
    _, created, *coded = task_id.split("-", 2)
    try:
        words = base64.urlsafe_b64decode("".join(coded) + "==").decode()
    except ValueError:  # neither Base64 nor UTF-8
        return None
    return _Job(words, FRAMES) if make_id(created, words) == task_id else None


def _final_data(address: str, task_id: str, frames: int) -> dict[str, Any]:
    """Return the data of a job that has ended, in the documented form or in the form that its id selects."""
    video = _link(address, task_id, _VIDEO)
    points = {"consumption": _CONSUMPTION[task_id]} if task_id in _CONSUMPTION else {"points": _POINTS}
    data = {**_job_data(address, task_id, "COMPLETED", frames), **points, "result": {"video_url": video}}
    match task_id:
        case "sandbox-failed":
            reason = {"error": "The question in the image could not be read"}
            return {**data, "status": "FAILED", "points": 0, "result": reason}
        case "sandbox-list":
            data["result"] = [{"error": None}, {"video_url": video}]
        case "sandbox-typed":
            text, image = "Rivers carry salt into the sea.", data["progress"][0]["image"]
            data["result"] = _typed_items(("text", text), ("image", image), ("video", video))
        case "sandbox-typed-failed":
            reasons = _typed_items(
                ("text", "The image is blurred / 图片模糊"), ("text", "No points were consumed / 未消耗积分")
            )
            return {"task_id": task_id, "status": "FAILED", "result": reasons}
        case "sandbox-no-result":
            del data["result"]
        case "sandbox-repeated":
            data["progress"] = _with_repeats(data["progress"])
    return data


def _typed_items(*items: tuple[str, str]) -> list[dict[str, str]]:
    return [{"type": kind, "content": content} for kind, content in items]


def _with_repeats(frames: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the frames, each followed by another frame with the same picture and a newly signed link."""
    twice = [image for frame in frames for image in (frame["image"], f"{frame['image']}-again")]
    return [{"id": f"frame{number}", "image": image} for number, image in enumerate(twice, 1)]


def _job_data(address: str, task_id: str, status: str, frames: int) -> dict[str, Any]:
    progress = [{"id": f"frame{n}", "image": _link(address, task_id, _FRAME.format(n))} for n in range(1, frames + 1)]
    return {"task_id": task_id, "status": status, "progress": progress}


def _link(address: str, task_id: str, name: str) -> str:
    """Make a signed link: short and readable for a fixed job, and as long as Scenext's, 217 characters, for a new job.

    A model's input is charged by length, so a new job in the sandbox costs as many tokens as a real one.
    """
    path = MEDIA_PATH.replace("<task_id>", task_id).replace("<name>", name)
    link = f"{address}{path}?Expires={_EXPIRES}&Signature="
    if task_id in _FIXED_JOBS:
        return f"{link}sandbox"
    text = base64.urlsafe_b64encode(sha512(path.encode()).digest()).decode().rstrip("=")
    return link + (text * 3)[: max(_LINK_LENGTH - len(link), len("sandbox"))]
