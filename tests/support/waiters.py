"""Callers who wait for a job, many of them in one thread: each on a connection of its own, ended by its answer."""

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
    """A caller: when he asked, when the first and the last byte came (time.monotonic()), and what he got."""

    sock: socket.socket
    asked: float
    first: float = 0.0
    ended: float = 0.0
    data: bytearray = field(default_factory=bytearray)

    @property
    def answered(self) -> bool:
        """Whether he got the whole answer to a call that found a job under way."""
        return bool(self.ended) and b'\\"next\\":\\"Call query_video_status again now' in self.data

    @property
    def refused(self) -> bool:
        """Whether he was answered at once, because there was no place to wait."""
        return b'\\"next\\":\\"This server cannot wait' in self.data

    def leave(self) -> None:
        """Close the connection."""
        self.sock.close()


def wait(port: int, seconds: int, accept: str = STREAM, task_id: str = "sandbox-in-progress") -> Waiter:
    """Have one caller wait; with a progress token where he takes a stream."""
    call = {"name": "query_video_status", "arguments": {"task_id": task_id, "wait_seconds": seconds, "frames": "none"}}
    params = {**call, "_meta": {"progressToken": 1}} if accept == STREAM else call
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    lines = ["POST /mcp HTTP/1.1", "Host: localhost", "Connection: close", "Content-Type: application/json"]
    lines += [f"Accept: {accept}", f"X-API-Key: {KEY}", f"Content-Length: {len(body)}"]
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    return Waiter(sock, time.monotonic())


def collect(waiters: Iterable[Waiter], seconds: float, until_first: bool = False) -> None:
    """Read what comes, for so long at most, until each has his answer; or with `until_first` a first byte."""
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for waiter in waiters:
            if not waiter.ended and not (until_first and waiter.first):
                selector.register(waiter.sock, selectors.EVENT_READ, waiter)
        while selector.get_map() and (left := end - time.monotonic()) > 0:
            for key, _ in selector.select(left):
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
