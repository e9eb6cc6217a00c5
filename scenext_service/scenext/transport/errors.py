"""Translate the exceptions of requests and urllib3 into classes of `failures`, each with a reason for the log.

A reason is the class of the root cause, and its errno or a similar code. It contains no text from the network, because
that could be the key, or anything else.

Source: requests 2.34, `adapters.HTTPAdapter.send`; urllib3 2.8, `exceptions`.
"""

import errno
import re
import socket
import ssl
import traceback
from collections.abc import Mapping

import requests
import urllib3

from .. import failures
from ..responses import one_line
from .connection import HandshakeFailed

TRANSPORT_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError)

MAX_REASON = 200  # characters

_TIMEOUTS = (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError)

# Why a connection never opened, by the library's exception. The first match applies.
_NEVER_OPENED: Mapping[type[Exception], type[failures.NeverOpened]] = {
    HandshakeFailed: failures.TlsFailed,
    urllib3.exceptions.NameResolutionError: failures.NameNotResolved,
    urllib3.exceptions.NewConnectionError: failures.ConnectionFailed,
    urllib3.exceptions.ConnectTimeoutError: failures.ConnectionFailed,
    urllib3.exceptions.ProxyError: failures.ConnectionFailed,
    urllib3.exceptions.LocationValueError: failures.ConnectionFailed,  # a proxy's URL; the API's own URL is validated
    requests.exceptions.InvalidURL: failures.ConnectionFailed,
    requests.exceptions.InvalidSchema: failures.ConnectionFailed,
}

_RESOLVER_CODES = {getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")}
_TUNNEL = re.compile(r"Tunnel connection failed: ([0-9]{3})")  # CPython, `http.client.HTTPConnection._tunnel`


def to_failure(error: Exception, timeout: float) -> failures.ScenextError:
    """Return the failure for one of `TRANSPORT_ERRORS`, and clear the error's frames. `timeout` is in seconds."""
    clear_frames(error)
    reason = describe_cause(error)
    if isinstance(error, _TIMEOUTS):
        return failures.DeadlinePassed(f"{timeout:.3g}", reason=reason)
    inner = getattr(error.args[0], "reason", None) if error.args else None
    for kind, failure in _NEVER_OPENED.items():
        if isinstance(inner, kind) or isinstance(error, kind):
            return failure(reason=reason)
    return failures.ConnectionLost(reason=reason)


def clear_frames(error: BaseException | None) -> None:
    """Clear the frames in the tracebacks of an exception and of its causes.

    In urllib3 2.8, these frames reference the request and the exceptions that reference them (`new_e` and `err` in
    `connectionpool.HTTPConnectionPool`). Such cycles keep the key and a whole body of `gen_video` in memory until the
    next full garbage collection.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def describe_cause(error: BaseException) -> str:
    """Return why an exception of requests or urllib3 was raised, such as `ConnectionRefusedError: ECONNREFUSED`."""
    cause = _root_cause(error)
    name, detail = type(cause).__name__, _detail(cause)
    return one_line(f"{name}: {detail}" if detail else name, MAX_REASON)


def _root_cause(error: BaseException) -> BaseException:
    """Return the innermost cause of an exception. The libraries' exception classes hold their causes differently."""
    while True:
        held = (*error.args, getattr(error, "reason", None), error.__cause__)
        inner = next((one for one in held if isinstance(one, BaseException)), None)
        if inner is None:
            return error
        error = inner


def _detail(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return str(cause.verify_message)
    if isinstance(cause, ssl.SSLError):
        return str(cause.reason or "")
    if isinstance(cause, socket.gaierror):
        return _RESOLVER_CODES.get(cause.errno, "")
    if isinstance(cause, OSError) and cause.errno is not None:
        return errno.errorcode.get(cause.errno, "")
    tunnel = _TUNNEL.match(str(cause))
    return f"HTTP {tunnel[1]} from the proxy" if tunnel else ""
