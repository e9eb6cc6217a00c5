"""The sandbox's jobs: which ids and frames there are, what is said of a job, and what its links lead to.

A new job's id holds the time of its creation and the first words of its question. So nothing is kept, and every worker
process knows every job. Its links lead to this service itself, on the address at which a caller reached it.
"""

import base64
import re
from hashlib import sha512
from typing import Any

from .text import one_line

DURATION = 60  # seconds from a job's creation to its end
FRAMES = 6  # they appear evenly over that time

PATHS = "/sandbox/<task_id>/<name>"  # of frames and films, below the address
_FILM = "video.mp4"
_FRAME = "frame{}.svg"

# The jobs that are always there: the first words of the question, and how many frames there are.
_FIXED = {
    "sandbox-completed": ("Why is the sky blue?", 3),
    "sandbox-slow": ("Why is glass so slow?", 3),
    "sandbox-failed": ("A question in an image", 1),
    "sandbox-in-progress": ("What is infinity?", 1),
}
_WITHOUT_FILM = ("sandbox-failed", "sandbox-in-progress")

_NEW = re.compile(r"sandbox-([0-9]{13})(?:-[A-Za-z0-9_-]+)?")
_CHARACTERS, _BYTES = (
    24,
    79,
)  # of a question: with more, an emoji takes four bytes, the id would have over 128 characters

_EXPIRES = 4102444800  # the year 2100
_LINK = 217  # characters, as Scenext documents its own


def data(task_id: str, address: str, now: float) -> dict[str, Any] | None:
    """Return a job's `data` as it is `now`, in seconds since 1970; None where there is no such job."""
    known = _known(task_id)
    if known is None:
        return None
    frames = known[1]
    if task_id == "sandbox-failed":
        reason = {"error": "The question in the image could not be read"}
        return {**_drawn(address, task_id, "FAILED", frames), "points": 0, "result": reason}
    if task_id == "sandbox-in-progress":
        return _drawn(address, task_id, "IN_PROGRESS", frames)
    if task_id not in _FIXED:
        age = now - int(task_id.split("-")[1]) / 1000
        if age < DURATION:
            return _drawn(address, task_id, "IN_PROGRESS", int(max(age, 0) * frames / DURATION))
    video = {"video_url": _link(address, task_id, _FILM)}
    return {**_drawn(address, task_id, "COMPLETED", frames), "points": 10, "result": video}


def leads_to(task_id: str, name: str) -> tuple[str, int] | None:
    """Return the first words of a job's question, and the number of the frame that has this name, 0 for the film.

    None where no link has these. When a frame appears is not asked: clocks differ.
    """
    known = _known(task_id)
    if known is None:
        return None
    words, frames = known
    numbers = {_FRAME.format(number): number for number in range(1, frames + 1)}
    if task_id not in _WITHOUT_FILM:
        numbers[_FILM] = 0
    return (words, numbers[name]) if name in numbers else None


def identifier(created: str, question: str) -> str:
    """Make the id of a new job, from the milliseconds since 1970, in 13 digits, and the question."""
    words = one_line(question, _CHARACTERS).encode()[:_BYTES].decode(errors="ignore").strip().encode()
    return f"sandbox-{created}" + (f"-{base64.urlsafe_b64encode(words).decode().rstrip('=')}" if words else "")


def _known(task_id: str) -> tuple[str, int] | None:
    """Return the first words of a job's question, and how many frames it gets; None where there is no such job."""
    if task_id in _FIXED:
        return _FIXED[task_id]
    if not _NEW.fullmatch(task_id):
        return None
    _, created, *coded = task_id.split("-", 2)
    try:
        words = base64.urlsafe_b64decode("".join(coded) + "==").decode()
    except ValueError:  # neither Base64 nor UTF-8
        return None
    return (words, FRAMES) if identifier(created, words) == task_id else None


def _drawn(address: str, task_id: str, status: str, frames: int) -> dict[str, Any]:
    progress = [{"id": f"frame{n}", "image": _link(address, task_id, _FRAME.format(n))} for n in range(1, frames + 1)]
    return {"task_id": task_id, "status": status, "progress": progress}


def _link(address: str, task_id: str, name: str) -> str:
    """Make a signed link: a short one to read, or of a new job one of 217 characters, as Scenext's are.

    What a model reads is paid for, and so a job in the sandbox costs what a real one does.
    """
    path = PATHS.replace("<task_id>", task_id).replace("<name>", name)
    link = f"{address}{path}?Expires={_EXPIRES}&Signature="
    if task_id in _FIXED:
        return f"{link}sandbox"
    text = base64.urlsafe_b64encode(sha512(path.encode()).digest()).decode().rstrip("=")
    return link + (text * 3)[: max(_LINK - len(link), len("sandbox"))]
