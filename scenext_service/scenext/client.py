"""The client of the Scenext API: two operations, one deadline for each call, and a class of `failures` for each error.

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

from .. import __version__
from . import failures, responses
from .keys import SIGN_IN_TOKEN, redact
from .responses import one_line
from .transport.adapter import Deadline, DeadlineAdapter
from .transport.errors import MAX_REASON, TRANSPORT_ERRORS, clear_frames, to_failure
from .transport.proxies import Route, read_route

QUALITIES = ("h", "m", "l")  # video quality: high, medium, low

MAX_RESPONSE = 4 * 1024 * 1024  # bytes of a response, after decompression
MAX_PARTS = 100_000  # objects, arrays and members; decoding 4 MiB of `[[],[],…]` blocks all threads for a second

RETRY_TIME = 0.1  # seconds; with less left, a retry would time out and hide the cause of the first failure

_TASK_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")  # RFC 3986's unreserved characters

Headers = Mapping[str, str]
NO_HEADERS: Headers = {}


def is_task_id(text: str) -> bool:
    """Return whether text can be the id of a job and a segment of a URL's path."""
    # `..` consists of allowed characters, but would change the path of the operation. So may the token of a sign-in,
    # which Scenext must not receive.
    return _TASK_ID.fullmatch(text) is not None and text not in (".", "..") and not text.startswith(SIGN_IN_TOKEN)


class Operation(NamedTuple):
    """An operation of the API. A `repeatable` one may be sent again if the connection never opened.

    `parse` takes the HTTP status, headers and body of a response, and returns its `data` object.
    """

    name: str
    method: str
    path: str
    repeatable: bool
    parse: Callable[[int, Headers, bytes], dict[str, Any]]


# Starting a job costs money, so the request is never repeated. Status queries are free.
GET_STATUS = Operation("get_status", "GET", "/get_status/", repeatable=True, parse=responses.parse)
GEN_VIDEO = Operation("gen_video", "POST", "/gen_video", repeatable=False, parse=responses.parse_start)


class Limit:
    """A counter that allows at most `limit` concurrent uses. Thread-safe.

    `limit` may change at any time. After a reduction, new uses are rejected until enough have ended.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_use = 0
        self._lock = threading.Lock()

    def acquire(self) -> bool:
        """Begin a use. Return False if the limit is reached."""
        with self._lock:
            if self.in_use >= self.limit:
                return False
            self.in_use += 1
            return True

    def release(self) -> None:
        """End a use."""
        with self._lock:
            self.in_use -= 1


class Scenext:
    """The API at one base URL. Thread-safe. `adapter` is the transport, by default the network.

    A call takes at most `timeout` seconds, and at most `slots` calls are in flight.
    `on_slot_change(1)` is called when a slot is acquired, and `on_slot_change(-1)` when it is released.
    `on_complete(operation, failure, seconds)` is called after each call; `failure` is the name of the failure's class,
    or "" on success.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float,
        slots: int,
        adapter: BaseAdapter | None = None,
    ) -> None:
        self._base_url = base_url
        self._timeout = timeout
        self.slots = Limit(slots)
        self._given_adapter = adapter
        self.on_slot_change: Callable[[int], None] = lambda change: None
        self.on_complete: Callable[[str, str, float], None] = lambda operation, failure, seconds: None

    def get_status(
        self, task_id: str, key: str, started: float, headers: Headers = NO_HEADERS, timeout: float | None = None
    ) -> dict[str, Any]:
        """Return the `data` object of a job. `started` is the time.monotonic() from which the timeout counts.

        `headers` are added to the request. `timeout` can only shorten the client's own. Raises any ScenextError.
        """
        if not is_task_id(task_id):
            raise failures.InvalidTaskId(one_line(task_id, 80) or "blank")
        request = self._request(GET_STATUS, task_id, None, key, headers)
        return self._call(GET_STATUS, request, key, self._deadline(started, timeout), task_id)

    def gen_video(
        self, job: dict[str, Any], key: str, started: float, headers: Headers = NO_HEADERS, timeout: float | None = None
    ) -> dict[str, Any]:
        """Start a job, which is charged; return the `data` object, with its `task_id`. Raises any ScenextError.

        If `timeout` is shorter than the client's own, the request is not sent, because a charged call must have its
        full time.
        """
        if timeout is not None and timeout < self._timeout:
            raise failures.NoTimeLeft
        request = self._request(GEN_VIDEO, "", orjson.dumps(job), key, headers)
        return self._call(GEN_VIDEO, request, key, self._deadline(started), None)

    @cached_property
    def _adapter(self) -> BaseAdapter:
        """The transport, created on the first call, because the server has set the number of slots by then."""
        return self._given_adapter or DeadlineAdapter(self.slots.limit)

    @cached_property
    def _route(self) -> Route:
        """The proxy and the CA bundle, read once, on the first call."""
        return read_route(self._base_url)

    def _call(
        self,
        operation: Operation,
        request: requests.PreparedRequest,
        key: str,
        deadline: Deadline,
        expected_id: str | None,
    ) -> dict[str, Any]:
        if not self.slots.acquire():
            raise failures.Busy(reason="every slot is taken")
        self.on_slot_change(1)
        started, failure_name = time.monotonic(), ""
        try:
            try:
                response = self._send(request, deadline)
            except failures.NeverOpened:
                if not operation.repeatable or deadline.remaining() < RETRY_TIME:
                    raise
                response = self._send(request, deadline)
            with response:
                return self._data(operation, response, key, deadline, expected_id)
        except failures.ScenextError as failure:
            failure_name = type(failure).__name__
            failure.proxy = self._route.proxy
            raise
        finally:
            self.on_complete(operation.name, failure_name, time.monotonic() - started)
            self.on_slot_change(-1)
            self.slots.release()

    def _data(
        self, operation: Operation, response: requests.Response, key: str, deadline: Deadline, expected_id: str | None
    ) -> dict[str, Any]:
        """Read a response; return its `data`. `expected_id` is the id of the requested job, None for a new job."""
        body = redact(key, self._read(response, deadline))
        data = operation.parse(response.status_code, response.headers, body)
        if expected_id is not None and responses.task_id(data) not in (None, expected_id):
            response.raw.close()  # this connection delivers responses to other requests
            raise failures.ConnectionLost(reason="a response about another job")
        return data

    def _request(
        self, operation: Operation, task_id: str, body: bytes | None, key: str, headers: Headers
    ) -> requests.PreparedRequest:
        """Build a request without requests' checks: its parts are valid (benchmarks/prices.py, "request by hand")."""
        request = requests.PreparedRequest()
        request.method = operation.method
        request.url = f"{self._base_url}{operation.path}{task_id}"
        fixed = _HEADERS if body is None else {**_JSON_HEADERS, "Content-Length": str(len(body))}
        sent: Any = {**fixed, "Authorization": f"Bearer {key}", **headers}  # urllib3 only iterates over it
        request.headers = sent
        request.body = body
        return request

    def _deadline(self, started: float, timeout: float | None = None) -> Deadline:
        seconds = self._timeout if timeout is None else min(self._timeout, timeout)
        return Deadline(started + seconds, seconds)

    def _send(self, request: requests.PreparedRequest, deadline: Deadline) -> requests.Response:
        timeout = deadline.remaining()
        if timeout <= 0:
            raise failures.NoTimeLeft
        settings = self._route.settings
        try:
            return self._adapter.send(request, stream=True, timeout=timeout, **settings)
        except TRANSPORT_ERRORS as error:
            raise to_failure(error, deadline.seconds) from None
        except OSError as error:  # raised by requests if REQUESTS_CA_BUNDLE is not a file
            raise failures.TlsFailed(reason=one_line(str(error), MAX_REASON)) from None

    def _read(self, response: requests.Response, deadline: Deadline) -> bytes:
        """Read the body, and decode it only if encoded (benchmarks/prices.py, "decoding only what is encoded")."""
        raw = response.raw
        compressed = "Content-Encoding" in response.headers
        try:
            body: bytes = raw.read(MAX_RESPONSE + 1, decode_content=compressed)
        except urllib3.exceptions.DecodeError as error:
            clear_frames(error)
            raise failures.BadResponse(response.status_code, "its compression is broken") from None
        except TRANSPORT_ERRORS as error:
            raise to_failure(error, deadline.seconds) from None
        if len(body) > MAX_RESPONSE:
            raise failures.BadResponse(response.status_code, f"larger than {MAX_RESPONSE} bytes")
        if len(body) > MAX_PARTS and sum(map(body.count, (b"{", b"[", b","))) > MAX_PARTS:
            raise failures.BadResponse(response.status_code, f"of more than {MAX_PARTS} parts")
        if not compressed and raw.length_remaining:  # truncated: urllib3 2.8 raises only at the next read
            raise failures.ConnectionLost(reason="the body was cut short")
        return body


_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": f"scenext-service/{__version__}",
}
_JSON_HEADERS = {**_HEADERS, "Content-Type": "application/json", "Connection": "close"}
