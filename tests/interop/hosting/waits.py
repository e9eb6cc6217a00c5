"""Check waiting calls beyond the conversation: long streams, disconnects, very many calls, and a stop."""

import resource
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from .conversation import PUNCTUAL, WAITS, Talk, WaitResponse, expect_moments, healthy, takes_stream, waiting
from .hosts import Address
from .site import Site

# Seconds.
LONG = 12  # of a wait with two progress notifications
SECOND = 10  # until the second of them
QUIET = 3.0  # between two events of a stream
NOTICED = 3.0  # until a disconnect is noticed
SETTLED = 1.0  # until calls whose start is not visible are waiting
PROMPT = 1.0  # for another call's answer during very many waiting calls
LONGER = 20  # of a wait that a stop or a disconnect ends
SHORT = 6  # of a wait that ends by itself
GONE = 5.0  # until a stopped host has exited
LATEST = 30.0  # of an answer among many, because platforms give up then
PATIENT = 30.0  # until a stopped host that lets waiting calls finish has exited

CALLERS = 9
RECEIVED = 65536  # bytes at a time


def progress(address: Address) -> str:
    """Check that events arrive when they are sent. Raises Unexpected or AssertionError."""

    def one(kind: str) -> WaitResponse:
        return _talk(address).wait(LONG, kind)

    with ThreadPoolExecutor() as pool:
        answers = dict(zip(WAITS, pool.map(one, WAITS), strict=True))
    expect_moments(answers["progress"], 0, SECOND, LONG)
    expect_moments(answers["one body"], LONG)
    expect_moments(answers["comments"], LONG)
    moments = [0.0, *(event.seconds for event in answers["comments"].events)]
    silence = max(later - earlier for earlier, later in pairwise(moments))
    assert silence < QUIET + PUNCTUAL, f"a stream was silent for {silence:.1f} s"
    return f"waits tell progress every {SECOND} s"


def leaving(site: Site, address: Address, *, by_writing: bool = False) -> str:
    """Check that a call ends when its client disconnects. Raises AssertionError.

    `by_writing`: the host notices a disconnect only by a failed write. Then only streams are checked, because their
    second event after the disconnect cannot be sent.
    """
    kinds = [kind for kind in WAITS if takes_stream(kind) or not by_writing]
    before = _cancelled(site)
    callers = [_Caller(address, LONGER, kind) for kind in kinds]
    time.sleep(SETTLED)
    for caller in callers:
        caller.sock.close()
    end = time.monotonic() + NOTICED + by_writing * 2 * QUIET
    while (cancelled := _cancelled(site) - before) < len(kinds):
        assert time.monotonic() < end, f"of {len(kinds)} who left, {cancelled} were noticed"
        time.sleep(0.05)
    return "a caller who leaves a stream is noticed" if by_writing else "a caller who leaves is noticed"


def _cancelled(site: Site) -> int:
    """Return the number of cancelled calls in all logs so far."""
    return sum(path.read_bytes().count(b"outcome=cancelled") for path in site.logs.rglob("*") if path.is_file())


def reload(address: Address, act: Callable[[], object], *, ends: bool = True) -> str:
    """Check that a reload loses no answer of a waiting call, and whether it ends the waits. Raises AssertionError."""
    _answered(address, act, ends)
    assert address.running.process.poll() is None, "a reload ended it"
    assert healthy(address.port, address.prefixes[0], address.secure), "not healthy after a reload"
    return f"a reload {_WORDS[ends]}"


def stop(address: Address, number: signal.Signals = signal.SIGTERM, *, ends: bool = True, name: str = "a stop") -> str:
    """Check that a stop loses no answer of a waiting call and that the host exits. Raises AssertionError.

    `name` is the table's name of the stop.
    """
    since = _answered(address, partial(address.running.process.send_signal, number), ends)
    most = GONE if ends else PATIENT
    try:
        address.running.process.wait(max(since + most - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        raise AssertionError(f"not gone {most:g} s after its stop") from None
    return f"{name} {_WORDS[ends]}"


_WORDS = {True: "answers all who wait", False: "waits for all who wait"}


def _answered(address: Address, act: Callable[[], object], ends: bool) -> float:
    """Start waiting calls, then act; return the time.monotonic() of the act, or of the last answer if `ends` is False.

    Raises AssertionError if an answer is lost or late.
    """
    seconds = LONGER if ends else SHORT
    begun = threading.Semaphore(0)

    def one(number: int) -> float:
        _talk(address).wait(seconds, [*WAITS][number % len(WAITS)], begun.release)
        return time.monotonic()

    with ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(one, number) for number in range(CALLERS)]
        streams = CALLERS * sum(map(takes_stream, WAITS)) // len(WAITS)
        assert all(begun.acquire(timeout=GONE) for _ in range(streams)), "not every stream began"
        time.sleep(SETTLED)
        assert not any(call.done() for call in calls), "a call did not wait"
        acted = time.monotonic()
        act()
        lost = [str(error) for call in calls if (error := call.exception())]
    assert not lost, f"{len(lost)} of {CALLERS} answers were lost: {lost[0]}"
    last = max(call.result() for call in calls)
    if not ends:
        return last
    assert last - acted < GONE, f"the last answer came after {last - acted:.1f} s"
    return acted


@dataclass(init=False, slots=True)
class _Caller:
    """A caller on a plain socket, cheap enough for thousands: the time of its call, and the answer."""

    sock: socket.socket
    called: float
    answer: bytes

    def __init__(self, address: Address, seconds: int, kind: str) -> None:
        body, headers = Talk("modern", address.port).write("tools/call", *waiting(seconds, kind))
        lines = [f"{name}: {value}" for name, value in headers.items()]
        secure = address.secure
        host = f"Host: {secure.name if secure else '127.0.0.1'}"
        head = [f"POST {address.prefixes[0]}/mcp HTTP/1.1", host, "Connection: close", *lines]
        self.answer = b""
        there = ("127.0.0.1", address.port)
        self.sock = secure.connect(address.port, GONE) if secure else socket.create_connection(there, GONE)
        self.called = time.monotonic()
        self.sock.sendall("\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body)


def many(address: Address, callers: int, where: str = "in one process") -> str:
    """Check that so many calls can wait concurrently without delaying others. Raises AssertionError.

    `where` is the table's wording for it.
    """
    _allow_descriptors(callers + 100)
    kinds = [*WAITS]
    with selectors.DefaultSelector() as selector, ExitStack() as sockets:
        for number in range(callers):
            caller = _Caller(address, LONGER, kinds[number % len(kinds)])
            sockets.enter_context(caller.sock)
            selector.register(caller.sock, selectors.EVENT_READ, caller)
        seconds = _receive(selector, time.monotonic() + LONGER / 2)
        assert not seconds, f"an answer after {min(seconds):.1f} s"
        started = time.monotonic()
        listed = Talk("modern", address.port).ask("tools/list", {})
        prompt = time.monotonic() - started
        seconds = _receive(selector, time.monotonic() + LONGER)
    assert len(seconds) == callers, f"{len(seconds)} of {callers} were answered"
    assert min(seconds) > LONGER - PUNCTUAL, f"an answer after {min(seconds):.1f} s"
    assert max(seconds) < LATEST, f"an answer after {max(seconds):.1f} s"
    assert (listed.status, prompt < PROMPT) == (200, True), f"tools/list took {prompt:.1f} s: {listed.status}"
    return f"{callers} calls wait for the end of a job {where}"


def _receive(selector: selectors.BaseSelector, end: float) -> list[float]:
    """Receive until `end` or until all callers have an answer; return how many seconds each of them waited."""
    seconds = []
    while selector.get_map() and (remaining := end - time.monotonic()) > 0:
        for key, _ in selector.select(remaining):
            caller: _Caller = key.data
            with suppress(ConnectionResetError):
                if received := caller.sock.recv(RECEIVED):
                    caller.answer += received
                    continue
            selector.unregister(caller.sock)
            assert b'"structuredContent"' in caller.answer, f"an answer was lost: {caller.answer[:200]!r}"
            seconds.append(time.monotonic() - caller.called)
    return seconds


def _allow_descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _talk(address: Address) -> Talk:
    return Talk("modern", address.port, address.prefixes[0], address.secure)
