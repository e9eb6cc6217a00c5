"""An in-memory Scenext as a requests transport adapter: for trying the service without a key, and for its tests.

Being the transport, it leaves URL building, headers, deadline, status table and decoding to the client under test. It
keeps nothing: a job's id holds the time of its creation and the first words of its question, so every worker process
responds alike. What its links lead to, this service serves itself, on the address at which its caller reached it.

Any key is accepted but `sandbox-refused-key` (401) and `sandbox-no-credit-key` (402). A new job is COMPLETED after a
minute; the ids in `OUTCOMES` always end as their line says.

Source: Scenext's API reference; its error statuses are not documented, these are the usual ones.
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

from . import sandbox_jobs

REFUSED_KEY = "sandbox-refused-key"
NO_CREDIT_KEY = "sandbox-no-credit-key"

SLOW = 3.0  # seconds

OUTCOMES: Mapping[str, str] = {
    "sandbox-completed": "COMPLETED, with video and points",
    "sandbox-in-progress": "IN_PROGRESS, half-way, for ever",
    "sandbox-failed": "FAILED, with a reason",
    "sandbox-not-found": "HTTP 404",
    "sandbox-rejected": 'HTTP 200 with {"status": "error"}',
    "sandbox-busy": "HTTP 429 with Retry-After: 30",
    "sandbox-down": "HTTP 503",
    "sandbox-broken": "HTTP 200 with HTML",
    "sandbox-slow": f"COMPLETED, answered after {SLOW:g} seconds",
    "sandbox-silent": "no answer before the deadline",
    "sandbox-unreachable": "a connection that is refused",
}

# Of a request: the address at which its caller reached this service. The network never gets it: only here is it asked.
ADDRESS = "X-Sandbox-Address"


class Sandbox(BaseAdapter):
    """The API as a transport adapter. `clock` gives the seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep) -> None:
        super().__init__()
        self._clock = clock
        self._sleep = sleep
        self._http = HTTPAdapter()

    def send(  # type: ignore[override]  # the base class spells each of the arguments out
        self, request: requests.PreparedRequest, timeout: float = SLOW, **kwargs: Any
    ) -> requests.Response:
        """Respond to a request as Scenext would. Raises what an HTTPAdapter raises."""
        path = str(urlsplit(request.url).path)
        key = str(request.headers.get("Authorization", "")).removeprefix("Bearer ")
        if key in ("", REFUSED_KEY):
            return self._respond(request, 401, {"status": "error", "message": "Invalid API key"})
        if request.method == "POST" and path.endswith("/gen_video"):
            return self._generate(request, key)
        if request.method == "GET" and "/get_status/" in path:
            return self._status(request, path.rpartition("/")[2], timeout)
        return self._respond(request, 404, {"status": "error", "message": "No such operation"})

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _generate(self, request: requests.PreparedRequest, key: str) -> requests.Response:
        if key == NO_CREDIT_KEY:
            return self._respond(request, 402, {"status": "error", "message": "Insufficient points"})
        body: Any = request.body  # bytes, as this client sends it
        job = orjson.loads(body or b"{}")
        if not job.get("question") and not job.get("questionImages"):
            return self._respond(request, 400, {"status": "error", "message": "question or questionImages is needed"})
        task_id = sandbox_jobs.identifier(f"{int(self._clock() * 1000):013}", job.get("question") or "")
        return self._respond(request, 200, {"status": "success", "data": {"task_id": task_id}})

    def _status(self, request: requests.PreparedRequest, task_id: str, timeout: float) -> requests.Response:
        match task_id:
            case "sandbox-busy":
                return self._respond(request, 429, {"status": "error", "message": "Too many requests"}, retry_after=30)
            case "sandbox-down":
                return self._respond(request, 503, {"status": "error", "message": "Service unavailable"})
            case "sandbox-rejected":
                return self._respond(request, 200, {"status": "error", "message": "This job was removed"})
            case "sandbox-broken":
                return self._respond(request, 200, "<html><body>It works!</body></html>")
            case "sandbox-unreachable":
                raise requests.ConnectionError(_refused())
            case "sandbox-silent":
                self._sleep(timeout)
                raise requests.ReadTimeout("timed out")
            case "sandbox-slow":
                if timeout < SLOW:
                    self._sleep(timeout)
                    raise requests.ReadTimeout("timed out")
                self._sleep(SLOW)
        data = sandbox_jobs.data(task_id, str(request.headers.get(ADDRESS, "")), self._clock())
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
    """Make what urllib3 raises for a refused connection."""
    pool: Any = urllib3.HTTPConnectionPool("sandbox.scenext.example")
    reason = urllib3.exceptions.NewConnectionError(pool, "refused")
    reason.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    return urllib3.exceptions.MaxRetryError(pool, "/", reason)
