"""The timeout of a call is a total limit, however an upstream or a proxy stalls."""

import gc
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from scenext_service.scenext import failures
from scenext_service.scenext.client import Scenext
from scenext_service.scenext.transport import sockets
from tests.support.messages import KEY
from tests.support.server import wait_until
from tests.support.upstream import CERTIFICATE, JOB, Upstream, dead_address, deaf_port

pytestmark = pytest.mark.usefixtures("no_network_settings")

TIMEOUT = 0.5  # seconds; a request must leave within it, even on a busy machine
MARGIN = 2.0  # seconds of tolerance on a busy machine

Call = Callable[[Scenext], dict[str, Any]]


def get_status(scenext: Scenext) -> dict[str, Any]:
    return scenext.get_status("12345", KEY, time.monotonic())


def gen_video(scenext: Scenext) -> dict[str, Any]:
    return scenext.gen_video({"question": "1+1"}, KEY, time.monotonic())


either = pytest.mark.parametrize("call", [pytest.param(c, id=c.__name__) for c in (get_status, gen_video)])


def gen_large_video(scenext: Scenext) -> dict[str, Any]:
    return scenext.gen_video({"questionImages": ["A" * 16_000_000]}, KEY, time.monotonic())


def expect_deadline(
    call: Call, url: str, timeout: float = TIMEOUT, failure: type[failures.ScenextError] = failures.DeadlinePassed
) -> None:
    """Make a call that must fail with `failure` at its deadline, neither earlier nor later."""
    scenext = Scenext(url, timeout=timeout, slots=4)
    before = time.monotonic()
    with pytest.raises(failure) as caught:
        call(scenext)
    elapsed = time.monotonic() - before
    assert caught.value.detail == (f"{timeout:g}" if failure is failures.DeadlinePassed else "")
    assert timeout - 0.05 < elapsed < timeout + MARGIN


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def upstream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with Upstream(tls=request.param) as running:
        yield running


@pytest.mark.parametrize(
    ("behaviour", "call"),
    [
        pytest.param("silent", get_status, id="silent"),
        pytest.param("silent", gen_video, id="silent, job"),
        pytest.param("silent-body", get_status, id="silent after the headers"),
        pytest.param("drip-continue", get_status, id="dripping interim responses"),
        pytest.param("drip-head", get_status, id="dripping headers"),
        pytest.param("drip-body", get_status, id="dripping body"),
        pytest.param("drip-body", gen_video, id="dripping body, job"),
        pytest.param("drip-chunks", get_status, id="dripping chunks"),
        pytest.param("drip-gzip", get_status, id="dripping gzip"),
    ],
)
def test_a_slow_response_ends_at_the_deadline(upstream: Upstream, behaviour: str, call: Call) -> None:
    """Ours: one total timeout covers headers and body, and a request is not sent again."""
    expect_deadline(call, f"{upstream.url}/{behaviour}")
    wait_until(lambda: bool(upstream.requests))  # a busy machine may not have read the request yet
    assert upstream.open_connections(0) == 0
    assert len(upstream.requests) == 1


def test_endless_interim_responses_break_the_connection(upstream: Upstream) -> None:
    """Ours: CPython 3.13.0 reads them without a limit, and keeps a processor busy until the deadline."""
    scenext = Scenext(f"{upstream.url}/endless-continue", timeout=5, slots=4)
    before = time.monotonic()
    with pytest.raises(failures.ConnectionLost):
        get_status(scenext)
    assert time.monotonic() - before < MARGIN
    assert upstream.open_connections(0) == 0
    assert len(upstream.requests) == 1


def test_the_deadline_counts_from_the_given_start(upstream: Upstream) -> None:
    """Ours: the timeout starts when the MCP request arrives."""
    scenext = Scenext(f"{upstream.url}/silent", timeout=10, slots=4)
    before = time.monotonic()
    with pytest.raises(failures.DeadlinePassed):
        scenext.get_status("12345", KEY, before - 10 + TIMEOUT)
    assert TIMEOUT - 0.05 < time.monotonic() - before < TIMEOUT + MARGIN
    wait_until(lambda: bool(upstream.requests))
    assert len(upstream.requests) == 1


def test_a_reused_connection_gets_the_full_timeout_again() -> None:
    """Ours: time spent on one call does not count against the next."""
    with Upstream() as upstream:
        scenext = Scenext(f"{upstream.url}/late", timeout=1, slots=4)
        assert [get_status(scenext), get_status(scenext)] == [JOB, JOB]  # 0.6 seconds each
        assert [request.connection for request in upstream.requests] == [1, 1]


def test_a_job_upload_that_is_never_read_ends_at_the_deadline() -> None:
    """Ours: sending is part of the call, and bodies with images exceed any socket buffer."""
    with deaf_port() as port:
        expect_deadline(gen_large_video, f"http://127.0.0.1:{port}", timeout=2)  # writing 16 MB as JSON takes time, too


@either
def test_an_unanswered_tls_handshake_ends_at_the_deadline(call: Call) -> None:
    """Ours: the handshake is part of the call. The request was not sent, so nothing can have been charged."""
    with deaf_port() as port:
        expect_deadline(call, f"https://127.0.0.1:{port}", failure=failures.ConnectionFailed)


@either
@pytest.mark.parametrize(
    ("host", "timeout", "failure", "sent"),
    [
        pytest.param("silent.invalid", TIMEOUT, failures.ConnectionFailed, {"CONNECT"}, id="no tunnel"),
        pytest.param("deaf.invalid", TIMEOUT, failures.ConnectionFailed, {"CONNECT"}, id="no handshake"),
        pytest.param("stalled.invalid", 3.5, failures.DeadlinePassed, {"CONNECT", "GET", "POST"}, id="no response"),
    ],
)
def test_a_stalling_proxy_does_not_extend_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    timeout: float,
    failure: type[failures.ScenextError],
    sent: set[str],
    call: Call,
) -> None:
    """Ours: one total timeout. Nothing is sent before the tunnel is secure, so nothing can have been charged.

    `stalled` opens its tunnel after 2.5 seconds, which is longer than MARGIN, and then never responds.
    """
    with Upstream() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
        expect_deadline(call, f"https://{host}/silent", timeout, failure)
        assert {request.method for request in proxy.requests} <= sent


class Stalling:
    """A simulated resolver that blocks until `go` is set and then returns loopback. `asked` counts its calls."""

    def __init__(self) -> None:
        self.request_count = 0
        self.go = threading.Event()

    def __call__(self, host: str, port: int, *args: Any) -> Any:
        self.request_count += 1
        assert self.go.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]


def no_thread(self: threading.Thread) -> None:
    """Fail as threading.Thread.start does when the platform allows no more threads."""
    raise RuntimeError("can't start new thread")


@pytest.fixture
def stalling(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stalling]:
    made = Stalling()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.go.set()


@either
def test_a_stalled_name_lookup_ends_at_the_deadline(stalling: Stalling, call: Call) -> None:
    """Ours: the deadline covers name resolution. Nothing was sent, so nothing can have been charged."""
    expect_deadline(call, "http://stalling-one.invalid/api", 1.5, failures.NameNotResolved)


@either
def test_a_name_resolved_too_late_counts_as_not_resolved(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    """Ours: no connection was attempted, so none has failed.

    If the platform allows no more threads, a lookup runs in the calling thread and has no timeout of its own.
    Here, such a lookup is certain to return an address, but only after the deadline.
    """
    found: list[int] = []

    def late(host: str, port: int, *args: Any) -> Any:
        threading.Event().wait(1.5 * TIMEOUT)
        found.append(port)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", late)
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(failures.NameNotResolved) as caught:
        call(Scenext("http://late.invalid/api", timeout=TIMEOUT, slots=4))
    assert (found, caught.value.reason) == ([80], "TimeoutError")


def test_concurrent_callers_share_one_name_lookup(stalling: Stalling) -> None:
    """Ours: a lookup cannot be cancelled, so a stalled resolver would otherwise leak one thread per call."""
    with Upstream() as upstream, ThreadPoolExecutor(4) as threads:
        scenext = Scenext(f"http://stalling-two.invalid:{upstream.port}/api", timeout=20, slots=8)
        calls = [threads.submit(get_status, scenext) for _ in range(4)]
        expect_deadline(gen_video, f"http://stalling-two.invalid:{upstream.port}/api", failure=failures.NameNotResolved)
        stalling.go.set()
        assert [one.result(5) for one in calls] == [JOB] * 4
        assert stalling.request_count == 1


def test_a_lookup_that_hangs_for_long_is_abandoned(stalling: Stalling, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a lookup that never returns does not block later calls."""
    url = "http://stalling-three.invalid/api"
    expect_deadline(get_status, url, failure=failures.NameNotResolved)
    monkeypatch.setattr(sockets, "SHARED_LOOKUP_TIME", 0.0)
    expect_deadline(get_status, url, failure=failures.NameNotResolved)
    assert stalling.request_count == 2


def test_a_name_is_resolved_if_no_thread_can_be_started(stalling: Stalling, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: the lookup then has no time limit, as is usual elsewhere."""
    stalling.go.set()
    with Upstream() as upstream:
        monkeypatch.setattr(threading.Thread, "start", no_thread)
        monkeypatch.setattr(upstream, "_start", lambda target, *args: target(*args))
        found = sockets.Resolver().resolve("stalling-four.invalid", upstream.port, socket.AF_INET, 1)
    assert [address for *_, address in found] == [("127.0.0.1", upstream.port)]


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Leave this process without a free file descriptor. Garbage of earlier tests must not release one later."""
    gc.collect()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@either
def test_a_call_without_a_free_descriptor_is_not_sent(call: Call) -> None:
    """Ours: nothing can have been charged."""
    with Upstream() as upstream:
        scenext = Scenext(f"{upstream.url}/api", timeout=20, slots=8)
        assert call(scenext) == JOB
        kept = 1 if call is get_status else 0
        assert upstream.open_connections(kept) == kept  # none is released during the next call
        with no_descriptors(), pytest.raises(failures.ConnectionFailed):
            gen_video(scenext)
        assert len(upstream.requests) == 1


@pytest.fixture
def dead_addresses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Resolve every name to eight addresses that drop every SYN."""
    with dead_address("127.0.0.1") as dead:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [dead] * 8)
        yield


@pytest.mark.usefixtures("dead_addresses")
@either
def test_many_dead_addresses_do_not_extend_the_deadline(call: Call) -> None:
    """Ours: one total timeout covers connecting; urllib3 restarts its own for each address. Nothing was sent."""
    expect_deadline(call, "http://many.invalid/api", failure=failures.ConnectionFailed)
