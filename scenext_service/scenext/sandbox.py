"""An in-memory Scenext as a requests transport adapter: for trying the service without a key, and for its tests.

Being the transport, it leaves URL building, headers, deadline, status table and decoding to the client under test. It
keeps nothing: a job's id holds the time of its creation, so every worker process responds alike.

Any key is accepted but `sandbox-refused-key` (401) and `sandbox-no-credit-key` (402). A new job is COMPLETED after a
minute; the ids in `OUTCOMES` always end as their line says.

Source: Scenext's API reference; its error statuses are not documented, these are the usual ones.
"""

import base64
import io
import re
import time
from collections.abc import Callable, Mapping
from hashlib import sha512
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

import orjson
import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter

REFUSED_KEY = "sandbox-refused-key"
NO_CREDIT_KEY = "sandbox-no-credit-key"

DURATION = 60  # seconds from a job's creation to its end
FRAMES = 6  # they appear evenly over that time
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

_JOB = re.compile(r"sandbox-(\d{13})")  # milliseconds since 1970
HOST = "https://oss.scenext.example"  # a reserved name: these links lead nowhere
_EXPIRES = 4102444800  # the year 2100


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
        task_id = f"sandbox-{int(self._clock() * 1000):013}"
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
        data = self._job(task_id)
        if data is None:
            return self._respond(request, 404, {"status": "error", "message": "No such task"})
        return self._respond(request, 200, {"status": "success", "data": data})

    def _job(self, task_id: str) -> dict[str, Any] | None:
        """Return a job's `data` as it is now; None where there is no such job."""
        match task_id:
            case "sandbox-failed":
                reason = {"error": "The question in the image could not be read"}
                return {**_data(task_id, "FAILED", 1), "points": 0, "result": reason}
            case "sandbox-in-progress":
                return _data(task_id, "IN_PROGRESS", 1)
            case "sandbox-completed" | "sandbox-slow":
                return _completed(task_id, 3)
        created = _JOB.fullmatch(task_id)
        if not created:
            return None
        age = self._clock() - int(created[1]) / 1000
        if age < DURATION:
            return _data(task_id, "IN_PROGRESS", int(max(age, 0) * FRAMES / DURATION))
        return _completed(task_id, FRAMES)

    def _respond(
        self, request: requests.PreparedRequest, status: int, body: Any, *, retry_after: int | None = None
    ) -> requests.Response:
        content = body.encode() if isinstance(body, str) else orjson.dumps(body)
        headers = {"Content-Type": "text/html" if isinstance(body, str) else "application/json"}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        raw = urllib3.HTTPResponse(io.BytesIO(content), headers, status, preload_content=False)
        return self._http.build_response(request, raw)


def _completed(task_id: str, frames: int) -> dict[str, Any]:
    video = {"video_url": _link(task_id, "video.mp4")}
    return {**_data(task_id, "COMPLETED", frames), "points": 10, "result": video}


def _data(task_id: str, status: str, frames: int) -> dict[str, Any]:
    names = [f"frame{n}" for n in range(1, frames + 1)]
    progress = [{"id": name, "image": _link(task_id, f"{name}.png")} for name in names]
    return {"task_id": task_id, "status": status, "progress": progress}


def _link(task_id: str, name: str) -> str:
    """Make a signed link: a short one to read, or of a new job's frame one of 217 characters, as Scenext's are.

    What a model reads is paid for, and so a job in the sandbox costs what a real one does.
    """
    if task_id in OUTCOMES:
        return f"{HOST}/{task_id}/{name}?Expires={_EXPIRES}&Signature=sandbox"
    text = base64.urlsafe_b64encode(sha512(f"{task_id}/{name}".encode()).digest()).decode()
    path = f"frame_img/{uuid5(NAMESPACE_URL, task_id)}/{task_id}/{name}"
    return f"{HOST}/{path}?OSSAccessKeyId={text[:24]}&Expires={_EXPIRES}&Signature={text[24:61]}%3D"


def _refused() -> urllib3.exceptions.MaxRetryError:
    """Make what urllib3 raises for a refused connection."""
    pool: Any = urllib3.HTTPConnectionPool("sandbox.scenext.example")
    reason = urllib3.exceptions.NewConnectionError(pool, "refused")
    return urllib3.exceptions.MaxRetryError(pool, "/", reason)
