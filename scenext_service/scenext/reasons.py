"""Why a call failed, in a few words for the operator's log: the class of the cause, and its errno or its like.

None of it is text that came over the network: that could be the key, or anything else.
"""

import errno
import re
import socket
import ssl

from .text import one_line

MAX_REASON = 200  # characters

_RESOLVER = {getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")}
_TUNNEL = re.compile(r"Tunnel connection failed: ([0-9]{3})")  # CPython, `http.client.HTTPConnection._tunnel`


def reason(error: BaseException) -> str:
    """Return why an exception of requests or urllib3 was raised: `ConnectionRefusedError: ECONNREFUSED`."""
    cause = _cause(error)
    name, more = type(cause).__name__, _more(cause)
    return one_line(f"{name}: {more}" if more else name, MAX_REASON)


def _cause(error: BaseException) -> BaseException:
    """Return what is at the bottom of an exception. Both libraries wrap one in the other, each class in its own way."""
    while True:
        held = (*error.args, getattr(error, "reason", None), error.__cause__)
        inner = next((one for one in held if isinstance(one, BaseException)), None)
        if inner is None:
            return error
        error = inner


def _more(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return str(cause.verify_message)
    if isinstance(cause, ssl.SSLError):
        return str(cause.reason or "")
    if isinstance(cause, socket.gaierror):
        return _RESOLVER.get(cause.errno, "")
    if isinstance(cause, OSError) and cause.errno is not None:
        return errno.errorcode.get(cause.errno, "")
    tunnel = _TUNNEL.match(str(cause))
    return f"the proxy said {tunnel[1]}" if tunnel else ""
