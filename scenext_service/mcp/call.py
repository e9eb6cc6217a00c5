"""What goes along with a message: what HTTP said of its caller, how long he can be kept, what the log says of it.

Source: MCP 2026-07-28, basic/patterns/progress and basic/patterns/cancellation.
"""

import math
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .jsonrpc import notification

# Seconds from a request to its answer that are safe for every client: platforms want a first byte within 30 s, and
# clients that ask for no progress give up after 60, however much of a stream they have got.
ONE_BODY = 25.0
SILENT_STREAM = 50.0

# What takes long is done in steps. Each yields what is to be sent before the answer, as `Call.progress` makes it, or
# None where nothing is; a caller who takes no stream gets none of it. What comes back from the yield is true once the
# caller has left: then the result is for nobody, and whatever was held for him is to be let go.
Result = TypeVar("Result")
Steps = Generator[bytes | None, bool | None, Result]


@dataclass(frozen=True, slots=True)
class Caller:
    """What HTTP said; None where it has no such header. `repr` hides the credentials."""

    protocol_version: str | None = None  # MCP-Protocol-Version
    method: str | None = None  # Mcp-Method
    name: str | None = None  # Mcp-Name
    traceparent: str | None = None  # W3C Trace Context
    authorization: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)  # X-API-Key
    accept: str = ""  # Accept
    request_id: str = ""  # the caller's X-Request-ID, or one that was made
    received: float = 0.0  # time.monotonic() when the body was there, or this message of it had its turn
    until: float = math.inf  # time.monotonic() when all of his batch has to be answered
    patience: float = 0.0  # seconds that a call of his may take, as far as the server is concerned
    address: str = ""  # the URL at which he reached the service; told only where something links to it

    @property
    def takes_stream(self) -> bool:
        """Whether an answer may come as a stream of events."""
        for part in self.accept.lower().split(","):
            media_type, *parameters = (word.strip() for word in part.split(";"))
            if media_type == "text/event-stream":
                return not any(word.startswith("q=") and not word.strip("q=0.") for word in parameters)
        return False


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
    reason: str | None = None  # why it failed, where the operator has to see it
    upstream_status: int | None = None  # of the response that was a failure
    proxy: str | None = None  # host and port of the one on the way, with a reason
    upstream_ms: float | None = None  # milliseconds that Scenext took
    waited_ms: float | None = None  # milliseconds between its questions, in a call that waited

    def measure(self, started: float, size: int) -> None:
        """Note the time since `started`, which is a time.monotonic(), and the size of the answer's body."""
        self.ms = round((time.monotonic() - started) * 1000, 1)
        self.bytes = size

    def fields(self) -> dict[str, Any]:
        """Return what there is to say, by name."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a method: who calls, what is noted of it, the trace it belongs to, and what its metadata asks for."""

    caller: Caller
    record: Record
    traceparent: str | None = None  # of version 00
    progress_token: str | int | None = None
    capabilities: Any = None  # what the client says of itself, as it came

    @property
    def patience(self) -> float:
        """Seconds since `caller.received` after which the answer has to be there, as far as the request tells."""
        if not self.caller.takes_stream:
            return min(self.caller.patience, ONE_BODY)
        return self.caller.patience if self.progress_token is not None else min(self.caller.patience, SILENT_STREAM)

    @property
    def extensions(self) -> dict[str, Any]:
        """What the client has beyond the protocol, as it came, by name; empty where it does not say."""
        found = self.capabilities.get("extensions") if isinstance(self.capabilities, dict) else None
        return found if isinstance(found, dict) else {}

    def progress(self, progress: float, message: str, total: float | None = None) -> bytes:
        """Make the notification of what has been done; without words where the caller asked for none.

        `progress` must be more than the last one was.
        """
        if self.progress_token is None:
            return b""
        params = {"progressToken": self.progress_token, "progress": progress, "message": message}
        return notification("notifications/progress", params if total is None else {**params, "total": total})
