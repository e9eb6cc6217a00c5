"""The client of the Scenext API: two calls, one deadline each, every failure one class of `failures`.

Source: Scenext's API reference, "Get status" and "Generate video".
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import orjson
import requests
import urllib3
from requests.adapters import BaseAdapter

from ..version import VERSION
from . import failures, responses
from .auth import redact
from .deadline import Deadline, DeadlineAdapter
from .incomplete import BROKEN, forget, translate
from .reasons import MAX_REASON
from .route import Route, route
from .text import one_line

QUALITIES = ("h", "m", "l")  # of a video: high, medium, low

MAX_RESPONSE = 4 * 1024 * 1024  # bytes of a response, after decompression
MAX_PARTS = 100_000  # objects, arrays and members of a response: 4 MiB of `[[],[],…]` stop all threads for a second

_TASK_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")  # RFC 3986's unreserved characters

Headers = Mapping[str, str]
NO_HEADERS: Headers = {}


class Operation(NamedTuple):
    """A call of the API. `repeatable`: may be sent again after a connection that never opened."""

    name: str
    method: str
    path: str
    repeatable: bool


# A job costs money, so it is started once or not at all. Asking for its status is free.
GET_STATUS = Operation("get_status", "GET", "/get_status/", repeatable=True)
GEN_VIDEO = Operation("gen_video", "POST", "/gen_video", repeatable=False)


class Scenext:
    """The API at one base URL; shared by all threads. `adapter` is the transport: the network where it is left out.

    A call lasts `timeout` seconds at most, and `slots` of them go on at the same time. `in_use` is called with 1 when a
    slot is taken and -1 when it is free again, `took` then with the operation's name, the class of the failure, or a
    blank, and the seconds between.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float,
        slots: int,
        adapter: BaseAdapter | None = None,
        in_use: Callable[[int], None] = lambda change: None,
        took: Callable[[str, str, float], None] = lambda operation, failure, seconds: None,
    ) -> None:
        self._base_url = base_url
        self._timeout = timeout
        self._adapter = adapter or DeadlineAdapter(slots)
        self._slots = threading.BoundedSemaphore(slots)
        self._in_use = in_use
        self._took = took

    def get_status(
        self, task_id: str, key: str, started: float, headers: Headers = NO_HEADERS, timeout: float | None = None
    ) -> dict[str, Any]:
        """Return the `data` object of a job. `started` is the time.monotonic() from which the timeout counts.

        `headers` go with the request; `timeout` makes the client's own a shorter one. Raises any ScenextError.
        """
        # `..` is made of allowed characters, and would leave the path of the operation.
        if not _TASK_ID.fullmatch(task_id) or task_id in (".", ".."):
            raise failures.InvalidTaskId(one_line(task_id, 80) or "blank")
        request = self._request(GET_STATUS, task_id, None, key, headers)
        return self._call(GET_STATUS, request, key, self._deadline(started, timeout), task_id)

    def gen_video(
        self, job: dict[str, Any], key: str, started: float, headers: Headers = NO_HEADERS, timeout: float | None = None
    ) -> dict[str, Any]:
        """Start a job, which is charged for; return the `data` object, with its `task_id`. Raises any ScenextError.

        It is not sent where `timeout` is shorter than the client's own: what is charged has all of its time.
        """
        if timeout is not None and timeout < self._timeout:
            raise failures.NoTimeLeft
        request = self._request(GEN_VIDEO, "", orjson.dumps(job), key, headers)
        data = self._call(GEN_VIDEO, request, key, self._deadline(started), None)
        if responses.task_id(data) is None:
            raise failures.BadResponse(200, 'without a "task_id"')
        return data

    @cached_property
    def _route(self) -> Route:
        """The proxy and the CA bundle, read once, with the first call."""
        return route(self._base_url)

    def _call(
        self, operation: Operation, request: requests.PreparedRequest, key: str, deadline: Deadline, asked: str | None
    ) -> dict[str, Any]:
        if not self._slots.acquire(blocking=False):
            raise failures.Busy(reason="every slot is taken")
        self._in_use(1)
        begun, failed = time.monotonic(), ""
        try:
            try:
                response = self._send(request, deadline)
            except failures.NeverOpened:
                if not operation.repeatable or deadline.left() <= 0:
                    raise
                response = self._send(request, deadline)
            with response:
                return self._data(response, key, deadline, asked)
        except failures.ScenextError as failure:
            failed = type(failure).__name__
            failure.proxy = self._route.proxy
            raise
        finally:
            self._took(operation.name, failed, time.monotonic() - begun)
            self._in_use(-1)
            self._slots.release()

    def _data(self, response: requests.Response, key: str, deadline: Deadline, asked: str | None) -> dict[str, Any]:
        """Read a response; return its `data`. `asked` is the job that it must be about."""
        body = redact(key, self._read(response, deadline))
        data = responses.parse(response.status_code, response.headers, body)
        if asked is not None and responses.task_id(data) not in (None, asked):
            response.raw.close()  # whatever comes from this connection belongs to another request
            raise failures.ConnectionLost(reason="a response about another job")
        return data

    def _request(
        self, operation: Operation, task_id: str, body: bytes | None, key: str, headers: Headers
    ) -> requests.PreparedRequest:
        """Prepare a request by hand: its parts are valid (benchmarks/prices.py, "request by hand")."""
        request = requests.PreparedRequest()
        request.method = operation.method
        request.url = f"{self._base_url}{operation.path}{task_id}"
        fixed = _HEADERS if body is None else {**_JSON_HEADERS, "Content-Length": str(len(body))}
        sent: Any = {**fixed, "Authorization": f"Bearer {key}", **headers}  # urllib3 only goes through it
        request.headers = sent
        request.body = body
        return request

    def _deadline(self, started: float, timeout: float | None = None) -> Deadline:
        seconds = self._timeout if timeout is None else min(self._timeout, timeout)
        return Deadline(started + seconds, seconds)

    def _send(self, request: requests.PreparedRequest, deadline: Deadline) -> requests.Response:
        left = deadline.left()
        if left <= 0:
            raise failures.NoTimeLeft
        settings = self._route.settings
        try:
            return self._adapter.send(request, stream=True, timeout=left, **settings)
        except BROKEN as error:
            raise translate(error, deadline.seconds) from None
        except OSError as error:  # raised by requests if REQUESTS_CA_BUNDLE is not a file
            raise failures.TlsFailed(reason=one_line(str(error), MAX_REASON)) from None

    def _read(self, response: requests.Response, deadline: Deadline) -> bytes:
        """Read the body, and decode what is encoded (benchmarks/prices.py, "decoding only what is encoded")."""
        raw = response.raw
        compressed = "Content-Encoding" in response.headers
        try:
            body: bytes = raw.read(MAX_RESPONSE + 1, decode_content=compressed)
        except urllib3.exceptions.DecodeError as error:
            forget(error)
            raise failures.BadResponse(response.status_code, "its compression is broken") from None
        except BROKEN as error:
            raise translate(error, deadline.seconds) from None
        if len(body) > MAX_RESPONSE:
            raise failures.BadResponse(response.status_code, f"larger than {MAX_RESPONSE} bytes")
        if len(body) > MAX_PARTS and sum(map(body.count, (b"{", b"[", b","))) > MAX_PARTS:
            raise failures.BadResponse(response.status_code, f"of more than {MAX_PARTS} parts")
        if not compressed and raw.length_remaining:  # a cut body: urllib3 would raise at the next read
            raise failures.ConnectionLost(reason="the body was cut short")
        return body


_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": f"scenext-service/{VERSION}",
}
_JSON_HEADERS = {**_HEADERS, "Content-Type": "application/json", "Connection": "close"}
