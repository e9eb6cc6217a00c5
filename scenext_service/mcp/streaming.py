"""Long-running responses, as a stream of server-sent events or in one piece, and responses that must arrive.

The client's connection is checked between two steps. If the client has closed it, the call is cancelled: it ends at
once, with the response that it has by then. This response is still sent, because the client may have closed only its
own side. A comment interrupts each silence of a stream. Proxies close a stream after 60 s of silence, and clients based
on httpx, such as the Python SDK, after 5 s.

Each event with data has a name. HTML's default is `message`, but some clients drop events without the field and then
wait until they time out: the MCP client 1.0 of the Vercel AI SDK, mcp-go of 2025, Spring AI and the Java SDK.

A WSGI server requests the next part of a response once it has written the previous one, or has taken responsibility for
writing it. If the write fails, the server calls `close` instead. This reveals a connection that was lost after the last
check.

Source: MCP 2026-07-28, basic/transports/streamable-http "Receiving Messages", basic/patterns/cancellation; HTML,
"Server-sent events"; PEP 3333, "Buffering and Streaming".
"""

import time
from collections.abc import Callable, Generator

from .context import Steps
from .dispatch import HttpResponse

HEADERS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-cache"),
    ("X-Accel-Buffering", "no"),  # otherwise nginx buffers the events
)

_COMMENT = b":\n\n"
KEEP_ALIVE_INTERVAL = 3.0  # seconds

IsDisconnected = Callable[[], bool]
OnEnd = Callable[
    [HttpResponse, int, int], None
]  # receives the response, the status that was sent, and the number of bytes


class Events:
    """The body of a streamed response, for a WSGI server: the notifications of a call, and then its response.

    `first` is the value that the first of `steps` yielded. `on_end` is called once: after the last event, or when the
    server closes the stream because the client has disconnected.
    """

    def __init__(
        self, first: bytes | None, steps: Steps[HttpResponse], is_disconnected: IsDisconnected, on_end: OnEnd
    ) -> None:
        self._first = first
        self._steps = steps
        self._is_disconnected = is_disconnected
        self._on_end = on_end
        self._response: HttpResponse | None = None
        self._written = False
        self._sent = 0
        self._last_sent = 0.0  # time.monotonic() of the last event

    def __iter__(self) -> Generator[bytes]:
        step = self._first
        try:
            while not self._is_disconnected():
                if step is not None:
                    yield self._event(step)
                elif time.monotonic() >= self._last_sent + KEEP_ALIVE_INTERVAL:
                    yield self._event(b"")
                step = next(self._steps)
            response = cancel(self._steps)
        except StopIteration as stop:
            response = stop.value
            if self._is_disconnected():
                mark_cancelled(response)
        self._response = response
        yield self._event(response.body or b"")
        self._written = True

    def close(self) -> None:
        """End the call, whether or not it has a response, and report it."""
        response = self._response or cancel(self._steps)
        if not self._written:
            mark_cancelled(response)
        self._on_end(response, 200, self._sent)

    def _event(self, message: bytes) -> bytes:
        event = b"event: message\ndata: %b\n\n" % message if message else _COMMENT
        self._sent += len(event)
        self._last_sent = time.monotonic()
        return event


class TrackedBody:
    """The body of a response that must arrive. `on_end` is called once: when the body is written, or if that fails."""

    def __init__(self, response: HttpResponse, on_end: OnEnd) -> None:
        self._response = response
        self._body = response.body or b""
        self._on_end = on_end
        self._ended = False

    def __iter__(self) -> Generator[bytes]:
        yield self._body
        self._finish()

    def close(self) -> None:
        """End the response. If it was not written, the client has disconnected."""
        if not self._ended:
            mark_cancelled(self._response)
            self._finish()

    def _finish(self) -> None:
        self._ended = True
        self._on_end(self._response, self._response.status, len(self._body))


def exhaust(steps: Steps[HttpResponse], is_disconnected: IsDisconnected) -> HttpResponse:
    """Run the steps for a client that accepts no stream, and return the response."""
    try:
        while not is_disconnected():
            next(steps)
    except StopIteration as stop:
        response: HttpResponse = stop.value
        return response
    return cancel(steps)


def cancel(steps: Steps[HttpResponse]) -> HttpResponse:
    """Run the steps of a call to their end after its client has disconnected, and return the response."""
    try:
        while True:
            steps.send(True)
    except StopIteration as stop:
        response: HttpResponse = stop.value
        mark_cancelled(response)
        return response


def mark_cancelled(response: HttpResponse) -> None:
    """Record that the client disconnected before the response was written."""
    for record in response.records:
        record.outcome = "cancelled"
