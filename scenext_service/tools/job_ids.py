"""The ids of tasks: a job's id, the time of its creation, and a check. No store is needed to understand them.

The id of a task is `{job}.{created}{check}`: the job's id at Scenext, 11 hexadecimal digits for the milliseconds since
1970, and the first 4 hexadecimal digits of the SHA-256 of all before them. The check finds slips; it is no secret. Each
request carries a key, and Scenext decides what the key may see.
"""

import re
from hashlib import sha256
from typing import NamedTuple

from ..scenext.client import is_task_id

_TASK = re.compile(r"((.+)\.([0-9a-f]{11}))([0-9a-f]{4})")


class JobId(NamedTuple):
    """A job's id at Scenext, and its creation in milliseconds since 1970."""

    job: str
    created: int


def make_task_id(job: str, created: int) -> str:
    """Return the id of the task of a job that was created at `created`, in milliseconds since 1970."""
    named = f"{job}.{created:011x}"
    return named + _check(named)


def parse(task_id: str) -> JobId | None:
    """Return the contents of a task's id, or None if `make_task_id` does not return such an id."""
    match = _TASK.fullmatch(task_id)
    if match is None or match[4] != _check(match[1]) or not is_task_id(match[2]):
        return None
    return JobId(match[2], int(match[3], 16))


def job_of(text: str) -> str:
    """Return the job's id in the id of a task, and any other text unchanged."""
    found = parse(text)
    return text if found is None else found.job


def _check(named: str) -> str:
    return sha256(named.encode()).hexdigest()[:4]
