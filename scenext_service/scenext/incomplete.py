"""Why a call has no whole response: what requests and urllib3 raise, as classes of `failures`.

Source: requests 2.34, `adapters.HTTPAdapter.send`; urllib3 2.8, `exceptions`.
"""

import traceback
from collections.abc import Mapping

import requests
import urllib3

from . import failures
from .connection import HandshakeFailed
from .reasons import reason

BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError)

_TIMED_OUT = (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError)

# Why a connection never opened, by what urllib3 says of it; the first that fits.
_NEVER_OPENED: Mapping[type[Exception], type[failures.NeverOpened]] = {
    HandshakeFailed: failures.TlsFailed,
    urllib3.exceptions.NameResolutionError: failures.NameNotResolved,
    urllib3.exceptions.NewConnectionError: failures.ConnectionFailed,
    urllib3.exceptions.ConnectTimeoutError: failures.ConnectionFailed,
    urllib3.exceptions.ProxyError: failures.ConnectionFailed,
    urllib3.exceptions.LocationValueError: failures.ConnectionFailed,  # a proxy's URL; the API's own is checked
    requests.exceptions.InvalidURL: failures.ConnectionFailed,
    requests.exceptions.InvalidSchema: failures.ConnectionFailed,
}


def translate(error: Exception, seconds: float) -> failures.ScenextError:
    """Return the failure that an exception of `BROKEN` stands for, and forget it. `seconds` is the timeout."""
    forget(error)
    why = reason(error)
    if isinstance(error, _TIMED_OUT):
        return failures.DeadlinePassed(f"{seconds:.3g}", reason=why)
    inner = getattr(error.args[0], "reason", None) if error.args else None
    for kind, failure in _NEVER_OPENED.items():
        if isinstance(inner, kind) or isinstance(error, kind):
            return failure(reason=why)
    return failures.ConnectionLost(reason=why)


def forget(error: BaseException | None) -> None:
    """Empty the frames that an exception came through. urllib3's hold the exceptions that hold them, and the request.

    Such cycles keep the key and a whole body of `gen_video` until the next full collection. urllib3 2.8, `new_e` and
    `err` in `connectionpool.HTTPConnectionPool`.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
