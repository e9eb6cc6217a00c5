"""Per-message context: the client's HTTP headers, the time limits and the log record.

Source: MCP 2026-07-28, basic/patterns/progress and basic/patterns/cancellation.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from .jsonrpc import notification
from .resources import APPS_EXTENSION

Result = TypeVar("Result")

# Bytes of a request's body. Larger requests must not wait: a waiting call keeps its id and its arguments in memory.
MAX_WAITING_BODY = 8 * 1024

# Long-running work is a generator. Each step yields a notification to stream, as returned by `Call.progress`, or None.
# Without a stream, the notifications are dropped. `yield` returns True once the client has disconnected: release
# resources and return.
Steps = Generator[bytes | None, bool | None, Result]


@dataclass(slots=True)  # not frozen, because its creation would take twice as long
class TimeBudget:
    """The time limits of one message. Times are time.monotonic(), durations are seconds."""

    started: float = 0.0  # when the body was read or, in a batch, when this message was started
    max_wait: float = 0.0  # for which the server lets a call wait
    deadline: float = math.inf  # by which the whole batch must be answered

    # From request to response, safe for every client. Platforms expect the first byte within 30 s. Clients that request
    # no progress notifications give up after 60 s, no matter how much of a stream they have received.
    MAX_UNSTREAMED: ClassVar[float] = 25.0
    MAX_WITHOUT_PROGRESS: ClassVar[float] = 50.0

    def for_batch(self) -> "TimeBudget":
        """Return the budget of a batch. Its calls must not wait, because they would delay the messages behind them."""
        return TimeBudget(self.started, 0.0, self.started + self.MAX_UNSTREAMED)

    def wait_limit(self, streams: bool, reports_progress: bool) -> float:
        """Return the time from `started` within which a waiting call must respond; 0 if it must not wait."""
        if not streams:
            return min(self.max_wait, self.MAX_UNSTREAMED)
        return self.max_wait if reports_progress else min(self.max_wait, self.MAX_WITHOUT_PROGRESS)


@dataclass(slots=True)  # not frozen, like TimeBudget
class Caller:
    """The client's HTTP headers, None if absent, and the limits of its call. `repr` hides the credentials."""

    protocol_version: str | None = None  # MCP-Protocol-Version
    method: str | None = None  # Mcp-Method
    name: str | None = None  # Mcp-Name
    traceparent: str | None = None  # W3C Trace Context
    authorization: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)  # X-API-Key
    accept: str = ""  # Accept
    request_id: str = ""  # the client's X-Request-ID, or a generated id
    time: TimeBudget = field(default_factory=TimeBudget)
    body_size: int = 0  # bytes
    signed_in: bool = False  # whether `authorization` comes from a sign-in, so that the client has no header for a key
    address: str = ""  # the URL at which the client reached the service; empty unless something links to it


def takes_stream(accept: str) -> bool:
    """Return whether an Accept header allows an event stream."""
    for part in accept.lower().split(","):
        media_type, *parameters = (word.strip() for word in part.split(";"))
        if media_type == "text/event-stream":
            return not any(word.startswith("q=") and not word.strip("q=0.") for word in parameters)
    return False


@dataclass(slots=True)
class LogRecord:
    """The facts about one message for its log line and the metrics. None is omitted."""

    http_method: str | None = None
    path: str | None = None
    status: int | None = None  # HTTP status
    bytes: int | None = None  # size of the response body
    ms: float | None = None  # milliseconds in total
    request_id: str | None = None
    trace_id: str | None = None  # of the client's W3C Trace Context
    era: str | None = None
    method: str | None = None  # MCP method, or `notification`, `response`, `unknown`
    tool: str | None = None  # name of a tool, or `unknown`
    task_id: str | None = None  # id of the job that was started or queried
    repeat_age_s: float | None = None  # seconds since the first of several equal calls, if this one was not sent
    key: str | None = None  # owner of the API key that was used: `caller` or `shared`
    outcome: str | None = None  # `ok`, `tool_error`, `internal_error`, `cancelled`, or the code of a JSON-RPC error
    failure: str | None = None  # class of the failure of a Scenext call
    reason: str | None = None  # cause of a failure that the operator has to see
    upstream_status: int | None = None  # HTTP status of the failed upstream response
    proxy: str | None = None  # host and port of the outbound proxy; set only with a reason
    upstream_ms: float | None = None  # milliseconds spent in Scenext calls
    waited_ms: float | None = None  # milliseconds between Scenext calls, if the tool call waited
    undelivered: str | None = None  # not logged; becomes the reason if the client does not get the response


@dataclass(slots=True)  # not frozen, like TimeBudget
class Call:
    """One call of a method: its client, log record and trace, and the options from its metadata."""

    caller: Caller
    record: LogRecord
    traceparent: str | None = None  # in version 00 of its format
    progress_token: str | int | None = None
    extensions: frozenset[str] = frozenset()  # those of this package's that the client declares on this request

    @property
    def shows_views(self) -> bool:
        """Whether the client declares support for MCP Apps views."""
        return APPS_EXTENSION in self.extensions

    @property
    def max_wait(self) -> float:
        """Seconds from the start of the call within which it must respond; 0 if it must not wait."""
        if self.too_large_to_wait:
            return 0.0
        return self.caller.time.wait_limit(takes_stream(self.caller.accept), self.progress_token is not None)

    @property
    def too_large_to_wait(self) -> bool:
        """Whether the request is too large to be kept in memory during a wait."""
        return self.caller.body_size > MAX_WAITING_BODY

    def progress(self, progress: float, message: str, total: float | None = None) -> bytes:
        """Return a progress notification, or b"" (streamed as a comment) if the client did not request progress.

        `progress` must be greater than in the previous notification.
        """
        if self.progress_token is None:
            return b""
        params = {"progressToken": self.progress_token, "progress": progress, "message": message}
        return notification("notifications/progress", params if total is None else {**params, "total": total})
