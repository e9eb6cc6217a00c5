"""What asks Scenext for a caller: with his key and his trace; its time and its failures noted, and told in words."""

import math
import time
from collections.abc import Callable
from typing import Any

from ..mcp import Call, Record, ToolError
from ..scenext.failures import OUTAGES, ScenextError
from ..scenext.sandbox import ADDRESS
from .credentials import Credentials
from .failure_texts import advise

# An operation of the client, with all that a caller does not decide: his key, when its time began, headers, and how
# many seconds there are; None where that is up to the client.
Operation = Callable[[str, float, dict[str, str], float | None], dict[str, Any]]


class Asking:
    """What asks Scenext for one caller. Raises KeyMissing or KeyUnusable."""

    def __init__(self, call: Call, credentials: Credentials) -> None:
        self._record = call.record
        self._until = call.caller.until
        self._key = credentials.key_for(call.caller.authorization, call.caller.api_key)
        self._headers = {"X-Request-ID": call.caller.request_id}  # by which a call is found in Scenext's logs
        if call.traceparent is not None:
            self._headers["traceparent"] = call.traceparent
        if call.caller.address:  # never told outside of the sandbox
            self._headers[ADDRESS] = call.caller.address

    def ask(self, operation: Operation, since: float, seconds: float = math.inf) -> dict[str, Any]:
        """Return what an operation says within so many seconds; `since` is the time.monotonic() from which they count.

        Raises any ScenextError.
        """
        started = time.monotonic()
        left = min(seconds, self._until - since)
        try:
            return operation(self._key, since, self._headers, None if left == math.inf else left)
        finally:
            took = (time.monotonic() - started) * 1000
            self._record.upstream_ms = round((self._record.upstream_ms or 0.0) + took, 1)


def note(failure: ScenextError, record: Record) -> None:
    """Note how a question failed; with a reason, the line of the call is a warning."""
    record.failure = type(failure).__name__
    record.upstream_status = failure.status
    seen = isinstance(failure, OUTAGES)
    record.reason = failure.reason if seen else None
    record.proxy = failure.proxy if seen else None


def explained(failure: ScenextError, call: Call, *, charged: bool = False) -> ToolError:
    """Note a failure that a call ends in; return what the model is told of it.

    `charged` says that the operation costs money once it has reached Scenext.
    """
    note(failure, call.record)
    return ToolError(advise(failure, charged=charged, request_id=call.caller.request_id))
