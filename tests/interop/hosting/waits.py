"""What the conversation does not show of calls that wait: a long stream, a caller who leaves, very many, and a stop."""

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

from .conversation import PUNCTUAL, WAITS, Talk, Waited, expect_moments, healthy, takes_stream, waiting
from .hosts import Address
from .site import Site

# Seconds.
LONG = 12  # of a wait in which progress is told twice
SECOND = 10  # when
QUIET = 3.0  # between two events of a stream
NOTICED = 3.0  # until a caller's leaving is known
SETTLED = 1.0  # until callers wait of whom nothing tells that they do
PROMPT = 1.0  # for an answer beside very many calls that wait
LONGER = 20  # of a wait that something else ends
SHORT = 6  # of one that ends by itself
GONE = 5.0  # until a host that is stopped is gone
PATIENT = 30.0  # until one is that waits for all who wait

CALLERS = 9
RECEIVED = 65536  # bytes at a time


def progress(address: Address) -> str:
    """Tell that events arrive when they are sent. Raises Unexpected or AssertionError."""

    def one(kind: str) -> Waited:
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
    """Tell that a call ends whose caller leaves. Raises AssertionError.

    Where that is known `by_writing` only, it is so of streams only: the second event after his leaving cannot be sent.
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
    """Return how many calls have been cancelled, as all that was logged so far says."""
    return sum(path.read_bytes().count(b"outcome=cancelled") for path in site.logs.rglob("*") if path.is_file())


def reload(address: Address, act: Callable[[], object], *, ends: bool = True) -> str:
    """Tell that a reload loses no answer of calls that wait, and whether it ends them. Raises AssertionError."""
    _answered(address, act, ends)
    assert address.running.process.poll() is None, "a reload ended it"
    assert healthy(address.port, address.prefixes[0], address.secure), "not healthy after a reload"
    return f"a reload {_WORDS[ends]}"


def stop(address: Address, number: signal.Signals = signal.SIGTERM, *, ends: bool = True, name: str = "a stop") -> str:
    """Tell that a stop loses no answer of calls that wait, and that the host is gone; `name` is the table's for it.

    Raises AssertionError.
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
    """Have callers wait, and do something; return when it was done, or when their waits ended by themselves.

    It is a time.monotonic(). Raises AssertionError where an answer is lost, or comes later than it should.
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
    """A caller on a plain socket, of whom there can be thousands: when he called, and what came."""

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
    """Tell that so many calls wait at the same time, and are no burden to the rest; `where` is the table's for it.

    Raises AssertionError.
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
    assert max(seconds) < LONGER + GONE, f"an answer after {max(seconds):.1f} s"
    assert (listed.status, prompt < PROMPT) == (200, True), f"tools/list took {prompt:.1f} s: {listed.status}"
    return f"{callers} calls wait for the end of a job {where}"


def _receive(selector: selectors.BaseSelector, end: float) -> list[float]:
    """Receive until then, or until all callers have their answer; return how many seconds each waited for it."""
    seconds = []
    while selector.get_map() and (left := end - time.monotonic()) > 0:
        for key, _ in selector.select(left):
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
