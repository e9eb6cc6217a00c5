"""A Scenext without a network: a transport adapter that records requests and returns scripted responses."""

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter

from scenext_service.scenext.sandbox.adapter import Sandbox
from scenext_service.tools.waiting import Clock

NOW = 1_795_000_000.0  # the sandbox's clock: 2026-11-18


class SkippedWaits:
    """The clock of an application whose calls sleep without waiting. A new call must find `skipped` at zero."""

    def __init__(self) -> None:
        self.skipped = 0.0
        self.clock = Clock(lambda: time.monotonic() + self.skipped, self._skip, lambda: NOW + self.skipped)

    def _skip(self, seconds: float) -> None:
        self.skipped += seconds


@dataclass(frozen=True, slots=True)
class Reply:
    """A response of Scenext; a body of bytes is sent unchanged, anything else as JSON."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None


Script = Callable[[requests.PreparedRequest], Reply]


class ScriptedScenext(BaseAdapter):
    """Respond with `script`, or as the sandbox if it is None. `requests` holds all requests, in order."""

    def __init__(self, script: Script | None = None) -> None:
        super().__init__()
        self.requests: list[requests.PreparedRequest] = []
        self.now = NOW
        self.script = script
        self._sandbox = Sandbox(clock=lambda: self.now, sleep=lambda seconds: None)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        self.requests.append(request)
        if self.script is None:
            return self._sandbox.send(request, **kwargs)
        reply = self.script(request)
        body = reply.body if isinstance(reply.body, bytes) else orjson.dumps(reply.body)
        headers = {"Content-Type": "application/json", **reply.headers}
        raw = urllib3.HTTPResponse(io.BytesIO(body), headers, reply.status, reason=reply.reason, preload_content=False)
        return HTTPAdapter().build_response(request, raw)

    def close(self) -> None:
        self._sandbox.close()

    def answers(self, status: int, body: Any) -> None:
        """Respond to every request with this status and body."""
        self.script = lambda request: Reply(status, body)

    def succeeds(self, data: Any) -> None:
        """Respond to every request with a success that contains `data`."""
        self.answers(200, {"status": "success", "data": data})

    def fails(self, error: Exception) -> None:
        """Raise an error for every request."""

        def script(request: requests.PreparedRequest) -> Reply:
            raise error

        self.script = script

    def sent(self, header: str) -> list[str | bytes | None]:
        """Return the value of a header in each request, or None if it is absent."""
        return [request.headers.get(header) for request in self.requests]
