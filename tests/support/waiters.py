"""Clients that wait for a job, many in one thread: each has its own connection, which its response ends."""

import itertools
import selectors
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import orjson

from .messages import KEY

STREAM, BODY = "application/json, text/event-stream", "application/json"


@dataclass(slots=True)
class Waiter:
    """A waiting client: time.monotonic() of its request and of the first and last byte, and the response."""

    sock: socket.socket
    asked: float
    first: float = 0.0
    ended: float = 0.0
    data: bytearray = field(default_factory=bytearray)

    @property
    def answered(self) -> bool:
        """Whether the client got a complete response to a wait for a job in progress."""
        return bool(self.ended) and b'\\"next\\":\\"Call query_video_status again now' in self.data

    @property
    def refused(self) -> bool:
        """Whether the call returned without waiting, because the server had no free place for a wait."""
        return b'\\"next\\":\\"This server cannot wait' in self.data

    def leave(self) -> None:
        """Close the connection."""
        self.sock.close()


_CALLERS = itertools.count()


def wait(port: int, seconds: int, accept: str = STREAM, task_id: str = "sandbox-in-progress") -> Waiter:
    """Send a waiting call with a unique key, and with a progress token if the client accepts a stream."""
    call = {"name": "query_video_status", "arguments": {"task_id": task_id, "wait_seconds": seconds, "frames": "none"}}
    params = {**call, "_meta": {"progressToken": 1}} if accept == STREAM else call
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    lines = ["POST /mcp HTTP/1.1", "Host: localhost", "Connection: close", "Content-Type: application/json"]
    lines += [f"Accept: {accept}", f"X-API-Key: {KEY}-{next(_CALLERS)}", f"Content-Length: {len(body)}"]
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    return Waiter(sock, time.monotonic())


def start_and_leave(port: int) -> None:
    """Start a job, and close for writing in the same TCP segment as the last byte of the request."""
    call = {"name": "gen_video", "arguments": {"question": "1+1"}}
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})
    headers = ["Host: localhost", f"X-API-Key: {KEY}", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        sock.sendall("\r\n".join(["POST /mcp HTTP/1.1", *headers, "", ""]).encode() + body)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(12) == b"HTTP/1.1 200"


def collect(waiters: Iterable[Waiter], seconds: float, until_first: bool = False) -> None:
    """Read until every client has its response, or a first byte if `until_first`, but at most for `seconds`."""
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for waiter in waiters:
            if not waiter.ended and not (until_first and waiter.first):
                selector.register(waiter.sock, selectors.EVENT_READ, waiter)
        while selector.get_map() and (remaining := end - time.monotonic()) > 0:
            for key, _ in selector.select(remaining):
                waiter = key.data
                data = b""
                with suppress(ConnectionResetError):
                    data = waiter.sock.recv(65536)
                waiter.data += data
                waiter.first = waiter.first or time.monotonic()
                if not data:
                    waiter.ended = time.monotonic()
                    waiter.sock.close()
                if not data or until_first:
                    selector.unregister(waiter.sock)
