"""Every way in which a call of the Scenext API can fail.

    ScenextError
    ├── NotSent               rejected by this process; nothing was sent
    │   ├── KeyMissing
    │   ├── KeyPlaceholder
    │   ├── KeyUnusable
    │   ├── SignInToken       the token of a sign-in, which is no key
    │   ├── InvalidTaskId
    │   ├── NoTimeLeft        earlier calls in its batch used up the time
    │   └── Busy              every slot is taken
    ├── NeverOpened           no connection was opened, so the request is safe to repeat
    │   ├── NameNotResolved
    │   ├── ConnectionFailed
    │   └── TlsFailed
    ├── Incomplete            the request may have arrived; there is no response
    │   ├── DeadlinePassed
    │   └── ConnectionLost
    └── Responded             the response is complete, but not a success
        ├── KeyRefused        401, 403
        ├── OutOfCredit       402, or a message about points
        ├── NotFound          404
        ├── RateLimited       429
        ├── ServerFault       5xx
        ├── Redirected        3xx
        ├── UnexpectedStatus  any other status
        ├── ForeignResponse   401, 402, 403, 404 or another status, not in Scenext's form
        ├── Rejected          {"status": "error"}
        └── BadResponse       empty, not JSON, no object, without data, too large

The branch determines whether a call may be repeated and whether it may have started a job. Callers check the branch,
never a message. `OUTAGES`, at the end, lists the failures that an operator has to see.
"""


class ScenextError(Exception):
    """Any failure of a call. `detail` is text for the caller, such as Scenext's message; it never holds the key.

    `status` is the HTTP status of the response, and `retry_after` the seconds that Scenext asks callers to wait.
    `reason` and `proxy` are for the operator's log. `reason` is one line without any part of a response, `proxy` the
    host and port of the proxy in use.
    """

    status: int | None = None
    retry_after: int | None = None
    proxy: str | None = None

    def __init__(self, detail: str = "", *, reason: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.reason = reason


class NotSent(ScenextError):
    """The call was rejected before anything was sent."""


class KeyMissing(NotSent):
    """The caller sent no key and may not use the operator's."""


class KeyPlaceholder(NotSent):
    """The caller sent a placeholder instead of a key."""


class KeyUnusable(NotSent):
    """The caller sent a value that cannot be a key."""


class SignInToken(NotSent):
    """The caller sent the token of a sign-in, which Scenext must never receive, instead of a key."""


class InvalidTaskId(NotSent):
    """The task id is blank, too long, or contains characters that no task id has."""


class NoTimeLeft(NotSent):
    """Too little time was left to send the request."""


class Busy(NotSent):
    """All slots are in use by calls in flight."""


class NeverOpened(ScenextError):
    """No connection was opened, so the request is safe to repeat."""


class NameNotResolved(NeverOpened):
    """The host name of the API could not be resolved."""


class ConnectionFailed(NeverOpened):
    """A connection was refused, or could not be established."""


class TlsFailed(NeverOpened):
    """A TLS handshake failed, most often on a certificate."""


class Incomplete(ScenextError):
    """The request may have arrived, but the response is incomplete."""


class DeadlinePassed(Incomplete):
    """The response did not arrive in time. `detail` is the timeout in seconds."""


class ConnectionLost(Incomplete):
    """The connection broke before the response was complete, or delivered the response to another request."""


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
    """Scenext has no such job under this key."""


class RateLimited(Responded):
    """Too many calls were made with this key."""


class ServerFault(Responded):
    """Scenext failed with an error of its own."""


class Redirected(Responded):
    """A redirect. It is not followed, because the key would be sent to its target."""


class UnexpectedStatus(Responded):
    """A status that the API's documentation does not name."""


class ForeignResponse(Responded):
    """A status that Scenext may use, with a body that is not in Scenext's form, such as a firewall's page or none.

    It reveals nothing about the key, the points or the job. `detail` is "".
    """

    def __init__(self, status: int, detail: str = "", retry_after: int | None = None) -> None:
        super().__init__(status, detail, retry_after)
        self.reason = f"HTTP {status}, not in Scenext's form"


class Rejected(Responded):
    """An HTTP success whose body reports an error. `detail` is the error's message."""


class BadResponse(Responded):
    """A success whose body is not as documented. `detail` is this client's description of the difference."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(status, detail)
        self.reason = detail


# Failures that no caller can fix, so the operator has to see them. RateLimited is not one, because Scenext works and
# limits a single key. Neither is NoTimeLeft: the batch was too long, or an earlier call in it failed and is an outage.
OUTAGES = (Busy, NeverOpened, Incomplete, ServerFault, Redirected, ForeignResponse, BadResponse)
