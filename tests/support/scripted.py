"""A Scenext without a network: a transport of requests that notes what it gets and answers what a test says."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter

from scenext_service.scenext.sandbox import Sandbox

NOW = 1_795_000_000.0  # the sandbox's clock: 2026-11-18


@dataclass(frozen=True, slots=True)
class Reply:
    """What Scenext sends: a body as it is, or anything else as JSON."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None


Script = Callable[[requests.PreparedRequest], Reply]


class ScriptedScenext(BaseAdapter):
    """Answers as `script` does, or as the sandbox where there is none. `requests` is what it got, in order."""

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
        """Answer whatever comes with a status and a body."""
        self.script = lambda request: Reply(status, body)

    def succeeds(self, data: Any) -> None:
        """Answer whatever comes with a success that holds `data`."""
        self.answers(200, {"status": "success", "data": data})

    def fails(self, error: Exception) -> None:
        """Raise an error, whatever comes."""

        def script(request: requests.PreparedRequest) -> Reply:
            raise error

        self.script = script

    def sent(self, header: str) -> list[str | bytes | None]:
        """Return what each request had in a header, None where it had none."""
        return [request.headers.get(header) for request in self.requests]
