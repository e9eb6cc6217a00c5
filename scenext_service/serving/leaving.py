"""Whether the client of a request has left while it waits for its answer.

Source: gunicorn 27.0.1, `http/wsgi.py` `create`; waitress's manual, "client_disconnected"; poll(2), recv(2).
"""

import select
import socket
from contextlib import suppress
from typing import Any

_CLOSED = getattr(select, "POLLRDHUP", 0)  # of Linux: the client has closed, whatever it sent before, and also with TLS


def left(environ: dict[str, Any]) -> bool:
    """Return whether the client is known to have closed its connection; other servers do not tell."""
    disconnected = environ.get("waitress.client_disconnected")
    if disconnected is not None:
        return bool(disconnected())
    sock = environ.get("gunicorn.socket")
    return sock is not None and _closed(sock)


def _closed(sock: Any) -> bool:
    poll = select.poll()
    with suppress(OSError, ValueError):  # closed on our side
        poll.register(sock.fileno(), select.POLLIN | _CLOSED)
        for _, events in poll.poll(0):
            # gevent's poll does not tell of the closing, but of something to read: nothing, which is the end.
            return bool(events & ~select.POLLIN) or socket.socket.recv(sock, 1, socket.MSG_PEEK) == b""
        return False
    return True
