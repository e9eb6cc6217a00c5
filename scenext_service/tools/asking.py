"""One call of Scenext for a caller: with his key and his trace, noted in his record, a failure in words."""

import time
from collections.abc import Callable
from typing import Any

from ..mcp import Call, ToolError
from ..scenext.failures import ScenextError
from .credentials import Credentials
from .failure_texts import advise


def ask(
    operation: Callable[[Any, str, float, dict[str, str]], dict[str, Any]],
    subject: Any,
    call: Call,
    credentials: Credentials,
    *,
    charged: bool = False,
) -> dict[str, Any]:
    """Return what an operation of the client says of its subject. Raises ToolError.

    `charged` says that the operation costs money once it has reached Scenext.
    """
    caller, record = call.caller, call.record
    try:
        key = credentials.key_for(caller.authorization, caller.api_key)
        started = time.monotonic()
        try:
            return operation(subject, key, caller.received, _trace(call))
        finally:
            record.upstream_ms = round((time.monotonic() - started) * 1000, 1)
    except ScenextError as failure:
        record.failure = type(failure).__name__
        raise ToolError(advise(failure, charged=charged)) from failure


def _trace(call: Call) -> dict[str, str]:
    """Return the headers by which a call is found in Scenext's logs."""
    headers = {"X-Request-ID": call.caller.request_id}
    if call.traceparent is not None:
        headers["traceparent"] = call.traceparent
    return headers
