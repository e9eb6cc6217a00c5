"""Every way in which a call of the Scenext API can fail.

    ScenextError
    ├── NotSent               refused here; nothing left this process
    │   ├── KeyMissing
    │   ├── KeyPlaceholder
    │   ├── KeyUnusable
    │   ├── InvalidTaskId
    │   ├── NoTimeLeft        the calls before it in its batch took the time
    │   └── Busy              every slot is taken
    ├── NeverOpened           there was no connection, so the request is safe to repeat
    │   ├── NameNotResolved
    │   ├── ConnectionFailed
    │   └── TlsFailed
    ├── Incomplete            the request may have arrived; there is no response
    │   ├── DeadlinePassed
    │   └── ConnectionLost
    └── Responded             Scenext responded, and it was not a success
        ├── KeyRefused        401, 403
        ├── OutOfCredit       402, or a message about points
        ├── NotFound          404
        ├── RateLimited       429
        ├── ServerFault       5xx
        ├── Redirected        3xx
        ├── UnexpectedStatus  any other status
        ├── Rejected          {"status": "error"}
        └── BadResponse       empty, not JSON, no object, without data, too large

Which of these may be repeated, and which may have started a job, is a question of the branch: callers ask for the
branch, never for a message. Which of them an operator has to see is said by `OUTAGES`, at the end.
"""


class ScenextError(Exception):
    """Any failure of a call. `detail` is what came, fit to be shown to the caller, and never holds the key.

    `status` is the HTTP status of a response, `retry_after` the seconds after which Scenext wants to be asked again.
    `reason` and `proxy` are for the operator's log: one line that holds nothing of a response, and the host and port of
    the proxy on the way.
    """

    status: int | None = None
    retry_after: int | None = None
    proxy: str | None = None

    def __init__(self, detail: str = "", *, reason: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.reason = reason


class NotSent(ScenextError):
    """The call was refused before anything was sent."""


class KeyMissing(NotSent):
    """The caller brought no key, and may not use the operator's."""


class KeyPlaceholder(NotSent):
    """What the caller brought only shows where a key belongs."""


class KeyUnusable(NotSent):
    """What the caller brought cannot be a key."""


class InvalidTaskId(NotSent):
    """The task id is blank, or has characters that no task id has."""


class NoTimeLeft(NotSent):
    """There was too little time left before anything was sent."""


class Busy(NotSent):
    """All slots wait for Scenext."""


class NeverOpened(ScenextError):
    """There was no connection. Requests that end so are safe to repeat."""


class NameNotResolved(NeverOpened):
    """The host name of the API has no address now."""


class ConnectionFailed(NeverOpened):
    """A connection was refused, or never came about."""


class TlsFailed(NeverOpened):
    """A TLS handshake failed, most often on a certificate."""


class Incomplete(ScenextError):
    """The request may have arrived; the response is not whole."""


class DeadlinePassed(Incomplete):
    """The response was not there in time. `detail` is the time in seconds."""


class ConnectionLost(Incomplete):
    """The connection broke before the whole response was there, or brought another one."""


class Responded(ScenextError):
    """A complete response that is not a success."""

    def __init__(self, status: int, detail: str = "", retry_after: int | None = None) -> None:
        super().__init__(detail, reason=f"HTTP {status}")
        self.status = status
        self.retry_after = retry_after


class KeyRefused(Responded):
    """Scenext does not accept the key."""


class OutOfCredit(Responded):
    """The account has too few points."""


class NotFound(Responded):
    """Scenext knows no such job under this key."""


class RateLimited(Responded):
    """There were too many calls."""


class ServerFault(Responded):
    """Scenext failed."""


class Redirected(Responded):
    """A redirect, which is not followed: the key would go with it."""


class UnexpectedStatus(Responded):
    """A status that the API's documentation does not name."""


class Rejected(Responded):
    """A response that says error in words. `detail` is its message."""


class BadResponse(Responded):
    """A success whose body is not what the API documents. `detail` says what it is instead, in words of ours."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(status, detail)
        self.reason = detail


# What no caller can help: the operator has to see it. RateLimited is not one, because Scenext is well and has told the
# owner of one key to go slower; nor NoTimeLeft, because a batch was too long, or a call before it failed and is one.
OUTAGES = (Busy, NeverOpened, Incomplete, ServerFault, Redirected, BadResponse)
