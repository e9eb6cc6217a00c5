"""Every way in which a call of the Scenext API can fail.

    ScenextError
    ├── NotSent               refused here; nothing left this process
    │   ├── KeyMissing
    │   ├── KeyUnusable
    │   ├── InvalidTaskId
    │   ├── NoTimeLeft        the calls before it in its batch took all of the time
    │   └── Busy              every upstream slot is taken
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
branch, never for a message.
"""


class ScenextError(Exception):
    """Any failure of a call. `detail` is what came, fit to be shown to the caller, and never holds the key.

    `status` is the HTTP status of a response, `retry_after` the seconds after which Scenext wants to be asked again.
    """

    status: int | None = None
    retry_after: int | None = None

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class NotSent(ScenextError):
    """Indicate that the call was refused before anything was sent."""


class KeyMissing(NotSent):
    """Indicate that the caller brought no key, and none may be lent."""


class KeyUnusable(NotSent):
    """Indicate that what the caller brought cannot be a key."""


class InvalidTaskId(NotSent):
    """Indicate a task id that is blank or has characters that no task id has."""


class NoTimeLeft(NotSent):
    """Indicate that the deadline had passed before anything was sent. `detail` is the time in seconds."""


class Busy(NotSent):
    """Indicate that all upstream slots wait for Scenext."""


class NeverOpened(ScenextError):
    """Indicate that no connection came about. Requests that end so are safe to repeat."""


class NameNotResolved(NeverOpened):
    """Indicate that the host name of the API has no address now."""


class ConnectionFailed(NeverOpened):
    """Indicate a connection that was refused, or that nobody answered."""


class TlsFailed(NeverOpened):
    """Indicate a TLS handshake that failed, most often on a certificate."""


class Incomplete(ScenextError):
    """Indicate a request that may have arrived, without a whole answer."""


class DeadlinePassed(Incomplete):
    """Indicate that the answer was not there in time. `detail` is the time in seconds."""


class ConnectionLost(Incomplete):
    """Indicate a connection that broke before the whole answer was there."""


class Responded(ScenextError):
    """Indicate a complete response that is not a success."""

    def __init__(self, status: int, detail: str = "", retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.retry_after = retry_after


class KeyRefused(Responded):
    """Indicate that Scenext does not accept the key."""


class OutOfCredit(Responded):
    """Indicate that the account has too few points."""


class NotFound(Responded):
    """Indicate that Scenext knows no such job under this key."""


class RateLimited(Responded):
    """Indicate too many calls."""


class ServerFault(Responded):
    """Indicate a failure inside Scenext."""


class Redirected(Responded):
    """Indicate a redirect, which is not followed: the key would go with it."""


class UnexpectedStatus(Responded):
    """Indicate a status that the API's documentation does not name."""


class Rejected(Responded):
    """Indicate an answer that says error in words. `detail` is its message."""


class BadResponse(Responded):
    """Indicate a success whose body is not what the API documents. `detail` says what it is instead."""
