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

from . import answers, failures
from .config import Config
from .deadline import DeadlineAdapter, HandshakeFailed
from .text import one_line
from .version import VERSION

MAX_ANSWER = 4 * 1024 * 1024  # bytes of an answer, after decompression

MIN_SECRET = 16  # characters; anything shorter is no real key, and may stand in an answer by chance

_TASK_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")  # RFC 3986's unreserved characters

# Why a connection never opened, by what urllib3 says of it; the first that fits.
_NEVER_OPENED: Mapping[type[Exception], type[failures.NeverOpened]] = {
    HandshakeFailed: failures.TlsFailed,
    urllib3.exceptions.NameResolutionError: failures.NameNotResolved,
    urllib3.exceptions.NewConnectionError: failures.ConnectionFailed,
    urllib3.exceptions.ConnectTimeoutError: failures.ConnectionFailed,
    urllib3.exceptions.ProxyError: failures.ConnectionFailed,
    urllib3.exceptions.LocationValueError: failures.ConnectionFailed,  # a proxy's URL; the API's own is checked
    requests.exceptions.InvalidURL: failures.ConnectionFailed,
    requests.exceptions.InvalidSchema: failures.ConnectionFailed,
}
Headers = Mapping[str, str]
NO_HEADERS: Headers = {}

_TIMED_OUT = (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError)
_BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError)


class Operation(NamedTuple):
    """A call of the API. Whatever reached Scenext is never sent again; `repeatable` is for connections that failed."""

    method: str
    path: str
    repeatable: bool


# A job costs money, so it is started once or not at all. Asking how it stands is free.
GET_STATUS = Operation("GET", "/get_status/", repeatable=True)
GEN_VIDEO = Operation("POST", "/gen_video", repeatable=False)


class BearerAuth(requests.auth.AuthBase):
    """The key as requests' `auth=`: a netrc entry would overwrite a plain Authorization header."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


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
        return self._call(GET_STATUS, self._request(GET_STATUS, task_id, None, headers), key, started)

    def gen_video(self, job: dict[str, Any], key: str, started: float, headers: Headers = NO_HEADERS) -> dict[str, Any]:
        """Start a job, which is charged for; return the `data` object, with its `task_id`. Raises any ScenextError."""
        request = self._request(GEN_VIDEO, "", orjson.dumps(job), headers)
        data = self._call(GEN_VIDEO, request, key, started)
        task_id = data.get("task_id")
        if isinstance(task_id, bool) or not isinstance(task_id, (str, int)) or task_id == "":
            raise failures.BadAnswer(200, 'without a "task_id"')
        return data

    @cached_property
    def _environment(self) -> dict[str, Any]:
        """The proxies and the CA bundle, read once: requests looks them up again for every call."""
        settings = requests.Session().merge_environment_settings(self._base_url, {}, None, None, None)
        return {"proxies": settings["proxies"], "verify": settings["verify"] or True}

    def _call(
        self, operation: Operation, request: requests.PreparedRequest, key: str, started: float
    ) -> dict[str, Any]:
        request.prepare_auth(BearerAuth(key))
        try:
            slot = self._slots.pop()
        except IndexError:
            raise failures.Busy from None
        self._occupy(1)
        try:
            try:
                response = self._send(request, started)
            except failures.NeverOpened:
                if not operation.repeatable:
                    raise
                response = self._send(request, started)
            with response:
                content = self._read(response)
        finally:
            self._occupy(-1)
            self._slots.append(slot)
        if len(key) >= MIN_SECRET:
            # An upstream that echoes what it got must not show a key that was lent to the one it was lent to.
            content = answers.without(key, content)
        return answers.data(response.status_code, response.headers, content)

    def _request(
        self, operation: Operation, task_id: str, body: bytes | None, headers: Headers
    ) -> requests.PreparedRequest:
        """Prepare a request by hand: its parts are valid, and the checks of requests cost a third of the call."""
        request = requests.PreparedRequest()
        request.method = operation.method
        request.url = f"{self._base_url}{operation.path}{task_id}"
        # A plain mapping takes a tenth of the time of requests' own, and urllib3 only goes through it.
        request.headers = {**(_HEADERS if body is None else _JSON_HEADERS), **headers}  # type: ignore[assignment]
        request.body = body
        return request

    def _send(self, request: requests.PreparedRequest, started: float) -> requests.Response:
        left = started + self._timeout - time.monotonic()
        if left <= 0:
            raise failures.DeadlinePassed(f"{self._timeout:g}")
        environment = self._environment
        try:
            return self._adapter.send(request, stream=True, timeout=left, **environment)
        except _BROKEN as error:
            raise self._incomplete(error) from error
        except OSError as error:  # requests' own, where REQUESTS_CA_BUNDLE names no file
            raise failures.TlsFailed from error

    def _read(self, response: requests.Response) -> bytes:
        raw = response.raw
        compressed = "Content-Encoding" in response.headers
        try:
            content: bytes = raw.read(MAX_ANSWER + 1, decode_content=compressed)
        except urllib3.exceptions.DecodeError as error:
            raise failures.BadAnswer(response.status_code, "its compression is broken") from error
        except _BROKEN as error:
            raise self._incomplete(error) from error
        if len(content) > MAX_ANSWER:
            raise failures.BadAnswer(response.status_code, f"larger than {MAX_ANSWER} bytes")
        if not compressed and raw.length_remaining:  # urllib3 would say so to the next read
            raise failures.ConnectionLost
        return content

    def _incomplete(self, error: Exception) -> failures.ScenextError:
        """Translate what requests or urllib3 raised for a call without a whole answer."""
        if isinstance(error, _TIMED_OUT):
            return failures.DeadlinePassed(f"{self._timeout:g}")
        reason = getattr(error.args[0], "reason", None) if error.args else None
        for kind, failure in _NEVER_OPENED.items():
            if isinstance(reason, kind) or isinstance(error, kind):
                return failure()
        return failures.ConnectionLost()


_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": f"scenext-service/{VERSION}",
}
_JSON_HEADERS = {**_HEADERS, "Content-Type": "application/json"}
