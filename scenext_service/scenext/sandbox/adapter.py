"""An in-memory Scenext as a requests transport adapter, for trials of the service without a key, and for its tests.

As a transport, it leaves URL building, headers, deadline, status table and decoding to the client under test. It keeps
no state: a job's id holds its creation time and the first words of its question, so every worker process responds
alike. This service itself serves the targets of the job's links, at the address at which the client reached it.

Any key is accepted except `sandbox-refused-key` (401), `sandbox-no-credit-key` (402) and `sandbox-blocked-key` (403, as
from a firewall). A new job is COMPLETED after a minute. The ids in `OUTCOMES` always have the outcome next to them.

Source: Scenext's API reference. It documents the response to a refused key and no other error. Each other form that an
error or a job may plausibly have has its own id.
"""

import errno
import io
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter

from .jobs import find_data, make_id

REFUSED_KEY = "sandbox-refused-key"
NO_CREDIT_KEY = "sandbox-no-credit-key"
BLOCKED_KEY = "sandbox-blocked-key"

SLOW_DELAY = 3.0  # seconds

OUTCOMES: Mapping[str, str] = {
    "sandbox-completed": "COMPLETED, with video and points",
    "sandbox-in-progress": "IN_PROGRESS, and never ends",
    "sandbox-failed": "FAILED, with a reason",
    "sandbox-list": "COMPLETED, with a list of objects as the result",
    "sandbox-typed": "COMPLETED, with typed items as the result: a text, an image and the video",
    "sandbox-typed-failed": "FAILED, with text items as the reason, no points consumed and no progress",
    "sandbox-no-result": "COMPLETED, without a result",
    "sandbox-consumption": "COMPLETED, with points as consumption, a number",
    "sandbox-consumption-object": "COMPLETED, with points as consumption, an object",
    "sandbox-consumption-list": "COMPLETED, with points as consumption, a list",
    "sandbox-repeated": "COMPLETED, with frames that repeat the previous picture",
    "sandbox-not-found": "HTTP 404",
    "sandbox-no-row": "HTTP 200 with a database error: list index out of range",
    "sandbox-no-uuid": "HTTP 200 with a database error: invalid input syntax for type uuid",
    "sandbox-rejected": 'HTTP 200 with {"status": "error"}',
    "sandbox-messages": "HTTP 200 with an error whose text is in data.messages",
    "sandbox-detail": "HTTP 422 with a list of errors in detail",
    "sandbox-firewall": "HTTP 403 with the page of a firewall",
    "sandbox-busy": "HTTP 429 with Retry-After: 30",
    "sandbox-down": "HTTP 503",
    "sandbox-broken": "HTTP 200 with HTML",
    "sandbox-slow": f"COMPLETED, after {SLOW_DELAY:g} seconds",
    "sandbox-silent": "no response before the deadline",
    "sandbox-unreachable": "a refused connection",
}

# Error responses by id: HTTP status and body.
_ERRORS: Mapping[str, tuple[int, Any]] = {
    "sandbox-no-row": (200, {"status": "error", "message": "list index out of range"}),
    "sandbox-no-uuid": (
        200,
        {"status": "error", "data": {"messages": 'invalid input syntax for type uuid: "sandbox-no-uuid"'}},
    ),
    "sandbox-rejected": (200, {"status": "error", "message": "This job was removed"}),
    "sandbox-messages": (200, {"status": "error", "data": {"messages": "This job was removed"}}),
    "sandbox-detail": (
        422,
        {"detail": [{"type": "uuid_parsing", "loc": ["path", "task_id"], "msg": "Input should be a valid UUID"}]},
    ),
    "sandbox-firewall": (403, "<html><title>403</title><body>Your request was blocked.</body></html>"),
    "sandbox-down": (503, {"status": "error", "message": "Service unavailable"}),
    "sandbox-broken": (200, "<html><body>It works!</body></html>"),
}

# Request header with the address at which the client reached this service. It is only used in the sandbox, so it is
# never sent over the network.
ADDRESS_HEADER = "X-Sandbox-Address"


class Sandbox(BaseAdapter):
    """The API as a transport adapter. `clock` returns the seconds since 1970, and `sleep` waits for some seconds."""

    def __init__(self, clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep) -> None:
        super().__init__()
        self._clock = clock
        self._sleep = sleep
        self._http = HTTPAdapter()

    def send(  # type: ignore[override]  # the base class lists each argument
        self, request: requests.PreparedRequest, timeout: float = SLOW_DELAY, **kwargs: Any
    ) -> requests.Response:
        """Respond to a request as Scenext would. Raises the same exceptions as an HTTPAdapter."""
        path = str(urlsplit(request.url).path)
        key = str(request.headers.get("Authorization", "")).removeprefix("Bearer ")
        if key in ("", REFUSED_KEY):
            refusal = {"status": "error", "data": {"messages": "Unauthorized: Invalid API key"}}
            return self._respond(request, 401, refusal)
        if key == BLOCKED_KEY:
            return self._respond(request, *_ERRORS["sandbox-firewall"])
        if request.method == "POST" and path.endswith("/gen_video"):
            return self._generate(request, key)
        if request.method == "GET" and "/get_status/" in path:
            return self._status(request, path.rpartition("/")[2], timeout)
        return self._respond(request, 404, {"status": "error", "message": "No such operation"})

    def close(self) -> None:
        """Do nothing, because there is no connection."""

    def _generate(self, request: requests.PreparedRequest, key: str) -> requests.Response:
        if key == NO_CREDIT_KEY:
            return self._respond(request, 402, {"status": "error", "message": "Insufficient points"})
        body: Any = request.body  # bytes, as this client sends it
        job = orjson.loads(body or b"{}")
        if not job.get("question") and not job.get("questionImages"):
            return self._respond(request, 400, {"status": "error", "message": "question or questionImages is needed"})
        task_id = make_id(f"{int(self._clock() * 1000):013}", job.get("question") or "")
        return self._respond(request, 200, {"status": "success", "data": {"task_id": task_id}})

    def _status(self, request: requests.PreparedRequest, task_id: str, timeout: float) -> requests.Response:
        if task_id in _ERRORS:
            return self._respond(request, *_ERRORS[task_id])
        match task_id:
            case "sandbox-busy":
                return self._respond(request, 429, {"status": "error", "message": "Too many requests"}, retry_after=30)
            case "sandbox-unreachable":
                raise requests.ConnectionError(_refused())
            case "sandbox-silent":
                self._sleep(timeout)
                raise requests.ReadTimeout("timed out")
            case "sandbox-slow":
                if timeout < SLOW_DELAY:
                    self._sleep(timeout)
                    raise requests.ReadTimeout("timed out")
                self._sleep(SLOW_DELAY)
        data = find_data(task_id, str(request.headers.get(ADDRESS_HEADER, "")), self._clock())
        if data is None:
            return self._respond(request, 404, {"status": "error", "message": "No such task"})
        return self._respond(request, 200, {"status": "success", "data": data})

    def _respond(
        self, request: requests.PreparedRequest, status: int, body: Any, *, retry_after: int | None = None
    ) -> requests.Response:
        content = body.encode() if isinstance(body, str) else orjson.dumps(body)
        headers = {"Content-Type": "text/html" if isinstance(body, str) else "application/json"}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        raw = urllib3.HTTPResponse(io.BytesIO(content), headers, status, preload_content=False)
        return self._http.build_response(request, raw)


def _refused() -> urllib3.exceptions.MaxRetryError:
    """Create the exception that urllib3 raises for a refused connection."""
    pool: Any = urllib3.HTTPConnectionPool("sandbox.scenext.example")
    reason = urllib3.exceptions.NewConnectionError(pool, "refused")
    reason.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    return urllib3.exceptions.MaxRetryError(pool, "/", reason)
