"""What goes along with a message: what HTTP said of its caller, and what is said of it in the log."""

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Caller:
    """What HTTP said; None where it has no such header. `repr` hides the credentials."""

    protocol_version: str | None = None  # MCP-Protocol-Version
    method: str | None = None  # Mcp-Method
    name: str | None = None  # Mcp-Name
    traceparent: str | None = None  # W3C Trace Context
    authorization: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)  # X-API-Key
    request_id: str = ""  # the caller's X-Request-ID, or one that was made
    received: float = 0.0  # time.monotonic() when the body was there


@dataclass(slots=True)
class Record:
    """What the log line and the metrics say of one message. None is left out."""

    http_method: str | None = None
    path: str | None = None
    status: int | None = None  # of HTTP
    bytes: int | None = None  # of the answer's body
    ms: float | None = None  # milliseconds in all
    request_id: str | None = None
    trace_id: str | None = None  # of the caller's W3C Trace Context
    era: str | None = None
    method: str | None = None  # of MCP, or `notification`, `response`, `unknown`
    tool: str | None = None  # or `unknown`
    outcome: str | int | None = None  # `ok`, `tool_error`, `internal_error`, or the code of a JSON-RPC error
    failure: str | None = None  # the class of a failed call of Scenext
    upstream_ms: float | None = None  # milliseconds that Scenext took

    def measure(self, started: float, size: int) -> None:
        """Note the time since `started`, which is a time.monotonic(), and the size of the answer's body."""
        self.ms = round((time.monotonic() - started) * 1000, 1)
        self.bytes = size

    def fields(self) -> dict[str, Any]:
        """Return what there is to say, by name."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a method: who calls, what is noted of it, and the trace that it belongs to."""

    caller: Caller
    record: Record
    traceparent: str | None = None  # of version 00
