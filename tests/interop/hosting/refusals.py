"""Requests with rejected bodies next to valid requests, behind a proxy that keeps its upstream connections alive."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

SECONDS = 6.0
INNOCENT, REFUSED = 8, 6  # callers
BODY = bytes(300_000)
LIST = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
JSON = {"Content-Type": "application/json"}

KINDS = (
    ("POST", "/mcp", {"Content-Type": "text/plain"}),  # 415
    ("POST", "/nothing", JSON),  # 404
    ("PUT", "/mcp", JSON),  # 405
)
EXPECTED = {415, 404, 405}


def beside_refused_bodies(port: int) -> str:
    """Check that rejected bodies cost no valid request its answer. Raises AssertionError."""
    innocent: Counter[int] = Counter()
    refused: Counter[int] = Counter()
    done = threading.Event()

    def loop(number: int) -> None:
        method, path, headers = KINDS[number % len(KINDS)]
        while not done.is_set():
            _count(refused, port, lambda at: at.request(method, path, BODY, headers))

    def innocently() -> None:
        while not done.is_set():
            _count(innocent, port, lambda at: at.request("POST", "/mcp", LIST, JSON))

    with ThreadPoolExecutor(INNOCENT + REFUSED) as pool:
        callers = [pool.submit(loop, number) for number in range(REFUSED)]
        callers += [pool.submit(innocently) for _ in range(INNOCENT)]
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and not any(caller.done() for caller in callers):
            done.wait(0.1)
        done.set()
        for caller in callers:
            caller.result()
    assert set(innocent) == {200}, f"innocent callers got {dict(innocent)}"
    assert innocent[200] > 100, f"only {innocent[200]} innocent calls"
    assert set(refused) >= EXPECTED, f"refused callers got {dict(refused)}"
    return "rejected bodies do not affect other clients"


def _count(statuses: Counter[int], port: int, send: Callable[[http.client.HTTPConnection], None]) -> None:
    """Send one request on a new connection and count its status. nginx may close one while its body is being sent."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with suppress(BrokenPipeError, ConnectionResetError):
        send(connection)
        statuses[connection.getresponse().status] += 1
    connection.close()
