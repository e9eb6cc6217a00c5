"""The client of the Scenext API: two calls, one deadline each, every failure one class of `failures`.

Source: Scenext's API reference, "Get status" and "Generate video".
"""

import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import orjson
import requests
import urllib3
from requests.adapters import BaseAdapter

from ..config import MIN_SECRET, Config
from ..version import VERSION
from . import failures, responses
from .deadline import DeadlineAdapter
from .incomplete import BROKEN, forget, translate
from .text import one_line

MAX_ANSWER = 4 * 1024 * 1024  # bytes of an answer, after decompression
MAX_PARTS = 100_000  # objects, arrays and members of an answer: 4 MiB of `[[],[],…]` stop all threads for a second

_TASK_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")  # RFC 3986's unreserved characters

Headers = Mapping[str, str]
NO_HEADERS: Headers = {}


class Operation(NamedTuple):
    """A call of the API. Whatever reached Scenext is never sent again; `repeatable` is for connections that failed."""

    method: str
    path: str
    repeatable: bool


# A job costs money, so it is started once or not at all. Asking how it stands is free.
GET_STATUS = Operation("GET", "/get_status/", repeatable=True)
GEN_VIDEO = Operation("POST", "/gen_video", repeatable=False)


class Scenext:
    """The API at one base URL; shared by all threads. `adapter` is the transport: the network where it is left out.

    `occupy` is told of each upstream slot that is taken (1) and given back (-1).
    """

    def __init__(
        self, config: Config, adapter: BaseAdapter | None = None, occupy: Callable[[int], None] | None = None
    ) -> None:
        self._base_url = config.api_base_url
        self._timeout = config.timeout
        self._adapter = adapter or DeadlineAdapter(config.upstream_slots)
        self._slots = deque(range(config.upstream_slots))  # thread-safe, and quicker than a semaphore
        self._occupy = occupy or (lambda change: None)

    def get_status(self, task_id: str, key: str, started: float, headers: Headers = NO_HEADERS) -> dict[str, Any]:
        """Return the `data` object of a job. `started` is the time.monotonic() from which the timeout counts.

        `headers` go with the request. Raises any ScenextError.
        """
        # `..` is made of allowed characters, and would leave the path of the operation.
        if not _TASK_ID.fullmatch(task_id) or task_id in (".", ".."):
            raise failures.InvalidTaskId(one_line(task_id, 80) or "blank")
        request = self._request(GET_STATUS, task_id, None, key, headers)
        return self._call(GET_STATUS, request, key, started, task_id)

    def gen_video(self, job: dict[str, Any], key: str, started: float, headers: Headers = NO_HEADERS) -> dict[str, Any]:
        """Start a job, which is charged for; return the `data` object, with its `task_id`. Raises any ScenextError."""
        request = self._request(GEN_VIDEO, "", orjson.dumps(job), key, headers)
        data = self._call(GEN_VIDEO, request, key, started)
        if responses.task_id(data) is None:
            raise failures.BadAnswer(200, 'without a "task_id"')
        return data

    @cached_property
    def _environment(self) -> dict[str, Any]:
        """The proxies and the CA bundle, read once: requests looks them up again for every call."""
        settings = requests.Session().merge_environment_settings(self._base_url, {}, None, None, None)
        return {"proxies": settings["proxies"], "verify": settings["verify"] or True}

    def _call(
        self,
        operation: Operation,
        request: requests.PreparedRequest,
        key: str,
        started: float,
        asked: str | None = None,
    ) -> dict[str, Any]:
        try:
            slot = self._slots.pop()
        except IndexError:
            raise failures.Busy from None
        self._occupy(1)
        try:
            try:
                response = self._send(request, started)
            except failures.NeverOpened:
                if not operation.repeatable or self._left(started) <= 0:
                    raise
                response = self._send(request, started)
            with response:
                return self._data(response, key, asked)
        finally:
            self._occupy(-1)
            self._slots.append(slot)

    def _data(self, response: requests.Response, key: str, asked: str | None) -> dict[str, Any]:
        """Read a response; return its `data`. `asked` is the job that it must be about."""
        content = self._read(response)
        if len(key) >= MIN_SECRET:
            # An upstream that echoes what it got must not show a key that was lent to the one it was lent to.
            content = responses.without(key, content)
        data = responses.data(response.status_code, response.headers, content)
        if asked is not None and responses.task_id(data) not in (None, asked):
            response.raw.close()  # whatever comes from this connection answers another request
            raise failures.ConnectionLost
        return data

    def _request(
        self, operation: Operation, task_id: str, body: bytes | None, key: str, headers: Headers
    ) -> requests.PreparedRequest:
        """Prepare a request by hand: its parts are valid, and the checks of requests cost a third of the call."""
        request = requests.PreparedRequest()
        request.method = operation.method
        request.url = f"{self._base_url}{operation.path}{task_id}"
        fixed = _HEADERS if body is None else {**_JSON_HEADERS, "Content-Length": str(len(body))}
        # A plain mapping takes a tenth of the time of requests' own, and urllib3 only goes through it.
        request.headers = {**fixed, "Authorization": f"Bearer {key}", **headers}  # type: ignore[assignment]
        request.body = body
        return request

    def _left(self, started: float) -> float:
        return started + self._timeout - time.monotonic()

    def _send(self, request: requests.PreparedRequest, started: float) -> requests.Response:
        left = self._left(started)
        if left <= 0:
            raise failures.NoTimeLeft(f"{self._timeout:g}")
        environment = self._environment
        try:
            return self._adapter.send(request, stream=True, timeout=left, **environment)
        except BROKEN as error:
            raise translate(error, self._timeout) from None
        except OSError:  # requests' own, where REQUESTS_CA_BUNDLE names no file
            raise failures.TlsFailed from None

    def _read(self, response: requests.Response) -> bytes:
        raw = response.raw
        compressed = "Content-Encoding" in response.headers
        try:
            content: bytes = raw.read(MAX_ANSWER + 1, decode_content=compressed)
        except urllib3.exceptions.DecodeError as error:
            forget(error)
            raise failures.BadAnswer(response.status_code, "its compression is broken") from None
        except BROKEN as error:
            raise translate(error, self._timeout) from None
        if len(content) > MAX_ANSWER:
            raise failures.BadAnswer(response.status_code, f"larger than {MAX_ANSWER} bytes")
        if sum(map(content.count, (b"{", b"[", b","))) > MAX_PARTS:
            raise failures.BadAnswer(response.status_code, f"of more than {MAX_PARTS} parts")
        if not compressed and raw.length_remaining:  # urllib3 would say so to the next read
            raise failures.ConnectionLost
        return content


_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": f"scenext-service/{VERSION}",
}
_JSON_HEADERS = {**_HEADERS, "Content-Type": "application/json", "Connection": "close"}
