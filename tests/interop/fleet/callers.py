"""Callers who use the fleet in a loop: they start jobs, ask for them, and wait, in both eras; what came of each."""

import itertools
import json
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.interop.hosting.conversation import ERAS, KEY, WAITS, Talk, Unexpected, waiting

from .scenext import ENDLESS

START, ASK, WAIT = "gen_video", "query_video_status", "wait"
SECONDS = 6  # of a wait


@dataclass(slots=True, eq=False)
class Call:
    """A call: what for, its id, when it began and ended (time.monotonic()), and what was wrong with the answer."""

    kind: str
    request_id: str
    began: float
    ended: float = 0.0
    task_id: str = ""
    problem: str = ""


def start(talk: Talk) -> Call:
    """Start a job."""
    return _call(talk, START, {"name": START, "arguments": {"question": "1 + 1?"}}, {"X-API-Key": KEY})


def ask(talk: Talk, task_id: str) -> Call:
    """Ask for a job."""
    return _call(talk, ASK, {"name": ASK, "arguments": {"task_id": task_id}}, {"X-API-Key": KEY})


def wait(talk: Talk, kind: str) -> Call:
    """Wait for a job that never ends; `kind` is one of `WAITS`."""
    params, headers = waiting(SECONDS, kind)
    params["arguments"]["task_id"] = ENDLESS
    return _call(talk, WAIT, params, headers)


def _call(talk: Talk, kind: str, params: dict[str, Any], headers: dict[str, str]) -> Call:
    call = Call(kind, uuid.uuid4().hex, time.monotonic())
    try:
        answer = talk.ask("tools/call", params, {**headers, "X-Request-ID": call.request_id})
        message = answer.json or json.loads(answer.body.rpartition(b"data: ")[2])  # of a stream the last event
        call.task_id = message["result"]["structuredContent"]["task_id"]
    except Unexpected as unexpected:
        call.problem = str(unexpected)
    except (ValueError, KeyError):
        call.problem = f"{answer.status} {answer.body[-500:]!r}"
    call.ended = time.monotonic()
    return call


@contextmanager
def callers(port: int, active: int, patient: int) -> Iterator[list[Call]]:
    """Have so many start jobs and ask for them, and so many wait, until the block ends; yield the calls that ended.

    Of each four of them two make a new connection for each call.
    """
    calls: list[Call] = []
    over = threading.Event()

    def loop(number: int) -> None:
        talk = Talk(ERAS[number % 2], port)
        kinds = itertools.cycle([*WAITS])
        job = ""
        while not over.is_set():
            if number < patient:
                call = wait(talk, next(kinds))
            elif job:
                call, job = ask(talk, job), ""
            else:
                call = start(talk)
                job = call.task_id
            calls.append(call)
            if number % 4 < 2:
                talk.connection.close()
        talk.connection.close()

    with ThreadPoolExecutor(active + patient) as pool:
        loops = [pool.submit(loop, number) for number in range(active + patient)]
        try:
            yield calls
        finally:
            over.set()
        for each in loops:
            each.result()
