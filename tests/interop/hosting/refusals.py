"""Callers whose bodies are refused, beside innocent ones, behind a proxy that keeps its connections to the service."""

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
    """Tell that no innocent caller loses an answer to those whose bodies are refused. Raises AssertionError."""
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
    return "bodies that are refused cost nobody else an answer"


def _count(statuses: Counter[int], port: int, send: Callable[[http.client.HTTPConnection], None]) -> None:
    """Send one request on a connection of its own, and count its status; nginx may end one while its body comes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with suppress(BrokenPipeError, ConnectionResetError):
        send(connection)
        statuses[connection.getresponse().status] += 1
    connection.close()
