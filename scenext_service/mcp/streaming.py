"""An answer that takes long: a stream of server-sent events, or the same steps taken for a caller who takes no stream.

Between two steps it looks whether the caller is still there. One who has left has cancelled his call. A comment ends
each silence of a stream: proxies close after 60 s of it, and clients over httpx, the Python SDK's among them, after 5.

Source: MCP 2026-07-28, basic/transports/streamable-http "Receiving Messages", basic/patterns/cancellation; HTML,
"Server-sent events".
"""

import time
from collections.abc import Callable, Generator

from .call import Steps
from .dispatch import Answer

HEADERS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-cache"),
    ("X-Accel-Buffering", "no"),  # nginx would hold the events back
)

CLIENT_CLOSED_REQUEST = 499  # nginx's name for the status in a log where nobody was left to get one

_COMMENT = b":\n\n"
SILENCE = 3.0  # seconds

Gone = Callable[[], bool]
End = Callable[[Answer, int, int], None]  # gets the answer, the status that was sent, and the bytes


class Events:
    """The events of a call, as a WSGI server sends them: what goes before the answer, and then the answer.

    `first` is what the first of `steps` yielded. `end` is called once: after the last event, or when the server closes
    the stream because its client left.
    """

    def __init__(self, first: bytes | None, steps: Steps[Answer], gone: Gone, end: End) -> None:
        self._first = first
        self._steps = steps
        self._gone = gone
        self._end = end
        self._answer: Answer | None = None
        self._sent = 0
        self._spoken = 0.0  # a time.monotonic()

    def __iter__(self) -> Generator[bytes]:
        step = self._first
        try:
            while not self._gone():
                if step is not None:
                    yield self._event(step)
                elif time.monotonic() >= self._spoken + SILENCE:
                    yield self._event(b"")
                step = next(self._steps)
        except StopIteration as stop:
            self._answer = stop.value
            yield self._event(stop.value.body)

    def close(self) -> None:
        """End the call, whether or not it came to its answer."""
        self._end(self._answer or cancel(self._steps), 200, self._sent)

    def _event(self, message: bytes) -> bytes:
        event = b"data: %b\n\n" % message if message else _COMMENT
        self._sent += len(event)
        self._spoken = time.monotonic()
        return event


def exhaust(steps: Steps[Answer], gone: Gone) -> Answer:
    """Take the steps for a caller who takes no stream; return the answer."""
    try:
        while not gone():
            next(steps)
    except StopIteration as stop:
        answer: Answer = stop.value
        return answer
    return cancel(steps)


def cancel(steps: Steps[Answer]) -> Answer:
    """Tell the steps of a call that its caller has left, until they end; return what there is to be noted of it."""
    try:
        while True:
            steps.send(True)
    except StopIteration as stop:
        for record in stop.value.records:
            record.outcome = "cancelled"
        return Answer(CLIENT_CLOSED_REQUEST, None, stop.value.records)
