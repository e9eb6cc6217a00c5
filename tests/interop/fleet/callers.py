"""Callers that use the fleet in a loop, in both eras: they start jobs, query them and wait. Records every call."""

import itertools
import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.interop.hosting.conversation import ERAS, KEY, WAITS, Talk, Unexpected, waiting
from tests.support.scenext import ENDLESS

START, ASK, WAIT = "gen_video", "query_video_status", "wait"
SECONDS = 6  # of a wait
_NUMBERS = itertools.count()  # of questions


@dataclass(slots=True, eq=False)
class Call:
    """A call: its kind, its request id, when it began and ended (time.monotonic()), and the problem with its answer."""

    kind: str
    request_id: str
    began: float
    ended: float = 0.0
    task_id: str = ""
    problem: str = ""


def start(talk: Talk, question: str = "", headers: Mapping[str, str] | None = None) -> Call:
    """Start a job. Without a question, use a new one, because an equal call returns the job of an earlier one."""
    arguments = {"question": question or f"{next(_NUMBERS)} + 1?"}
    return _call(talk, START, {"name": START, "arguments": arguments}, headers or {"X-API-Key": KEY})


def ask(talk: Talk, task_id: str) -> Call:
    """Query the status of a job."""
    return _call(talk, ASK, {"name": ASK, "arguments": {"task_id": task_id}}, {"X-API-Key": KEY})


def wait(talk: Talk, kind: str) -> Call:
    """Wait for a job that never ends; `kind` is one of `WAITS`."""
    params, headers = waiting(SECONDS, kind)
    params["arguments"]["task_id"] = ENDLESS
    return _call(talk, WAIT, params, headers)


def _call(talk: Talk, kind: str, params: dict[str, Any], headers: Mapping[str, str]) -> Call:
    call = Call(kind, uuid.uuid4().hex, time.monotonic())
    try:
        answer = talk.ask("tools/call", params, {**headers, "X-Request-ID": call.request_id})
        message = answer.json or json.loads(answer.body.rpartition(b"data: ")[2])  # the last event of a stream
        call.task_id = message["result"]["structuredContent"]["task_id"]
    except Unexpected as unexpected:
        call.problem = str(unexpected)
    except (ValueError, KeyError):
        call.problem = f"{answer.status} {answer.body[-500:]!r}"
    call.ended = time.monotonic()
    return call


@contextmanager
def callers(port: int, active: int, patient: int) -> Iterator[list[Call]]:
    """Run `active` callers that start and query jobs, and `patient` callers that wait, until the block ends.

    Yields the list of finished calls. Half of the callers make a new connection for each call.
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
