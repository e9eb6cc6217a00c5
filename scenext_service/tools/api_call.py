"""Call the Scenext API for a caller: choose the key, attach headers, time the call, turn failures into tool errors.

Keys in order of precedence: the caller's own from `Authorization: Bearer <key>`, a bare key in `Authorization`, a key
in `X-API-Key`, with or without `Bearer`, and last the operator's key. If an access token is set, only callers who
present it may use the operator's key.
"""

import hmac
import math
import re
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from ..mcp import Call, LogRecord, ToolError
from ..scenext.client import Scenext, is_task_id
from ..scenext.failures import OUTAGES, KeyMissing, KeyPlaceholder, KeyUnusable, ScenextError, SignInToken
from ..scenext.keys import SIGN_IN_TOKEN, is_key, is_placeholder
from ..scenext.sandbox.adapter import ADDRESS_HEADER
from ..scenext.sandbox.jobs import strip_question
from . import failure_people
from .failure_texts import advise
from .messages import FAILED

# An operation of the client, with the caller's arguments bound. Parameters: the key, the time.monotonic() from which
# the timeout counts, headers, and the timeout in seconds, or None for the client's own.
Operation = Callable[[str, float, dict[str, str], float | None], dict[str, Any]]

OnFailed = Callable[[str], None]  # takes the id of a job

_BEARER = re.compile(r"bearer(?:[ \t]+|\Z)", re.IGNORECASE)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]+(.*)", re.DOTALL)  # RFC 9110, "auth-scheme 1*SP credentials"


class Credentials:
    """The operator's key, and the access token that protects it if it is set."""

    def __init__(self, shared_key: str | None = None, access_token: str | None = None) -> None:
        shared = (shared_key or "").strip()
        self._shared_key = "" if is_placeholder(shared) else shared
        self._access_token = access_token

    def key_for(self, authorization: str | None, api_key: str | None) -> str:
        """Return the key for a Scenext call, given the two headers of the client's request.

        Raises KeyMissing, KeyPlaceholder, KeyUnusable or SignInToken, none of which holds the headers' values.
        """
        presented, has_placeholder = "", False
        for value in (_from_authorization(authorization), _from_api_key(api_key)):
            if value and is_placeholder(value):
                has_placeholder = True
            else:
                presented = presented or value
        if presented and not is_key(presented):
            raise KeyUnusable
        if presented.lower().startswith(SIGN_IN_TOKEN):
            raise SignInToken
        key = presented
        if self._access_token is None:
            key = presented or self._shared_key
        elif presented and hmac.compare_digest(presented.encode(), self._access_token.encode()):
            key = self._shared_key
        if not key:
            raise KeyPlaceholder if has_placeholder and not presented else KeyMissing
        return key

    def owner(self, key: str) -> str:
        """Return the owner of a key: `shared` for the operator's, otherwise `caller`."""
        return "shared" if key == self._shared_key else "caller"


class ApiCall:
    """The Scenext API calls of one tool call. Its creation raises the failures of `Credentials.key_for`."""

    def __init__(self, call: Call, credentials: Credentials, task_id: str = "") -> None:
        caller = call.caller
        self._caller = caller
        self._record = call.record
        self._key = credentials.key_for(caller.authorization, caller.api_key)
        self._record.key = credentials.owner(self._key)
        if task_id:
            self.log_task_id(task_id)
        self._headers = {"X-Request-ID": caller.request_id}  # identifies the call in Scenext's logs
        if call.traceparent is not None:
            self._headers["traceparent"] = call.traceparent
        if caller.address:  # only set in the sandbox
            self._headers[ADDRESS_HEADER] = caller.address

    @property
    def key_digest(self) -> bytes:
        """The SHA-256 digest of the key in use."""
        return sha256(self._key.encode()).digest()

    def keyed_digest(self, message: bytes) -> bytes:
        """Return the HMAC-SHA256 digest of a message under the key in use."""
        return hmac.digest(self._key.encode(), message, "sha256")

    def log_task_id(self, task_id: str) -> None:
        """Record the call's job, unless the id is invalid or contains a secret, given in the wrong place."""
        headers = f"{self._caller.authorization} {self._caller.api_key}"
        if is_task_id(task_id) and self._key not in task_id and task_id not in headers.split():
            self._record.task_id = strip_question(task_id) if task_id.startswith("sandbox-") else task_id

    def run(self, operation: Operation, started: float, seconds: float = math.inf) -> dict[str, Any]:
        """Run an operation, record its duration, and return its result.

        The timeout is `seconds`, counted from `started`, a time.monotonic(). Raises any ScenextError.
        """
        sent = time.monotonic()
        timeout = min(seconds, self._caller.time.deadline - started)
        try:
            return operation(self._key, started, self._headers, None if timeout == math.inf else timeout)
        finally:
            elapsed = (time.monotonic() - sent) * 1000
            self._record.upstream_ms = round((self._record.upstream_ms or 0.0) + elapsed, 1)


def status_query(scenext: Scenext, task_id: str, on_failed: OnFailed) -> Operation:
    """Return the operation that queries a job, and calls `on_failed` with its id if it has failed."""

    def query(key: str, started: float, headers: dict[str, str], timeout: float | None) -> dict[str, Any]:
        job = scenext.get_status(task_id, key, started, headers, timeout)
        if job.get("status") == FAILED:
            on_failed(task_id)
        return job

    return query


def log_failure(failure: ScenextError, record: LogRecord) -> None:
    """Record a failed API call. An outage adds a reason, which makes the log line of the tool call a warning."""
    outage = isinstance(failure, OUTAGES)
    record.failure = type(failure).__name__
    record.upstream_status = failure.status
    record.reason = failure.reason if outage else None
    record.proxy = failure.proxy if outage else None


def tool_error(failure: ScenextError, call: Call, *, charged: bool = False) -> ToolError:
    """Record the failure that ends a tool call, and return it as an error for the model and for people.

    `charged` is true if the operation costs money once it has reached Scenext.
    """
    log_failure(failure, call.record)
    caller = call.caller
    text = advise(failure, charged=charged, request_id=caller.request_id, signed_in=caller.signed_in)
    return ToolError(text, failure_people.explain(failure, charged=charged))


def _from_authorization(header: str | None) -> str:
    """Return the key in an Authorization header; "" if there is none, or if the scheme is not Bearer."""
    scheme, key = _parts(header)
    return key if scheme in ("", "bearer") else ""


def _from_api_key(header: str | None) -> str:
    """Return the key in X-API-Key. The header has no schemes, so a value with one, except Bearer, is returned whole."""
    scheme, key = _parts(header)
    return key if scheme in ("", "bearer") else (header or "").strip()


def _parts(header: str | None) -> tuple[str, str]:
    """Split a header's value into the scheme in lower case, "" if there is none, and the rest.

    Some clients put `Bearer` before a key that already has it, so repetitions are dropped.
    """
    if header is None:
        return "", ""
    value = header.strip()
    scheme = ""
    while bearer := _BEARER.match(value):
        scheme, value = "bearer", value[bearer.end() :]
    match = _SCHEME.fullmatch(value)
    return (scheme, value) if scheme or match is None else (match[1].lower(), match[2].strip())
