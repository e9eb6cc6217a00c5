"""What a model is told to do next with a job: one short sentence, in which the job is named.

Some hosts hand their model nothing but `structuredContent`, so it stands there; and each of its words is read, and paid
for, in every later turn of the conversation.
"""

from typing import Any

from . import job_text

_RUNS = (
    "Call query_video_status again now with task_id {task_id} and {how}; start no other job. If you cannot go on"
    " calling, tell the user this task_id and to ask again in 10 minutes."
)
_NO_WAIT = (
    "This server cannot wait for the job now. Do not call again at once, and start no other job: tell the user the"
    " task_id {task_id} and to ask again in 10 minutes."
)
_COMPLETED = (
    "Show the user the video as a Markdown link, [Watch the video](url). Links expire: for fresh ones call"
    " query_video_status with task_id {task_id} again."
)
_NO_VIDEO = "The job {task_id} is done, but has no video link: show the user what there is."
_FAILED = (
    "Tell the user why the job {task_id} failed. A new job is charged again: start one only if the user asks for it."
)


def arguments(longest: int) -> str:
    """Return the arguments with which a job is followed, beside its id; `longest` are the seconds of a wait."""
    return f'wait_seconds={longest}, frames="none"' if longest else 'frames="none"'


def after(job: dict[str, Any], task_id: str, how: str, *, again: bool) -> str:
    """Return the next step; `how` are the arguments of the next call, and `again` tells whether it would be of use."""
    if not job_text.ended(job):
        step = _RUNS if again else _NO_WAIT
    elif job["status"] == "FAILED":
        step = _FAILED
    else:
        step = _COMPLETED if job_text.videos(job) else _NO_VIDEO
    return step.format(task_id=task_id, how=how)
