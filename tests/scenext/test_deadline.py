"""The timeout of a call is a total: it holds against an upstream, or a proxy, that wastes time in every way."""

import os
import queue
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
import requests

from scenext_service.scenext import failures, names
from scenext_service.scenext.adapter import Idle
from scenext_service.scenext.client import Scenext
from scenext_service.scenext.deadline import DeadlineAdapter
from tests.support.messages import KEY
from tests.support.upstream import CERTIFICATE, GOOD, JOB, Upstream, deaf_port

pytestmark = pytest.mark.usefixtures("no_network_settings")

TIMEOUT = 0.3  # seconds
MARGIN = 1.0  # seconds, for a machine that is busy with something else

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
    """Make a call that must end when its time is up: neither later nor earlier, and in these words."""
    scenext = Scenext(url, timeout=timeout, slots=4)
    before = time.monotonic()
    with pytest.raises(failure) as caught:
        call(scenext)
    took = time.monotonic() - before
    assert caught.value.detail == (f"{timeout:g}" if failure is failures.DeadlinePassed else "")
    assert timeout - 0.05 < took < timeout + MARGIN


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def upstream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with Upstream(tls=request.param) as running:
        yield running


@pytest.mark.parametrize(
    ("behaviour", "call"),
    [
        pytest.param("silent", get_status, id="silent"),
        pytest.param("silent", gen_video, id="silent on a job"),
        pytest.param("silent-body", get_status, id="silent after the headers"),
        pytest.param("drip-head", get_status, id="dripping headers"),
        pytest.param("drip-body", get_status, id="dripping body"),
        pytest.param("drip-body", gen_video, id="dripping body on a job"),
        pytest.param("drip-chunks", get_status, id="dripping chunks"),
        pytest.param("drip-gzip", get_status, id="dripping gzip"),
        pytest.param("endless-continue", get_status, id="100 Continue for ever"),
    ],
)
def test_an_answer_that_takes_too_long_ends_at_the_deadline(upstream: Upstream, behaviour: str, call: Call) -> None:
    """Ours: one total timeout over headers and body; what was sent is not sent again."""
    expect_deadline(call, f"{upstream.url}/{behaviour}")
    assert len(upstream.requests) == 1
    assert upstream.open_connections(0) == 0


def test_the_deadline_counts_from_the_start_that_is_given(upstream: Upstream) -> None:
    """Ours: the timeout counts from when the MCP request came in."""
    scenext = Scenext(f"{upstream.url}/silent", timeout=10, slots=4)
    before = time.monotonic()
    with pytest.raises(failures.DeadlinePassed):
        scenext.get_status("12345", KEY, before - 10 + TIMEOUT)
    assert TIMEOUT - 0.05 < time.monotonic() - before < TIMEOUT + MARGIN
    assert len(upstream.requests) == 1


def test_a_kept_connection_gets_the_whole_time_again() -> None:
    """Ours: what one call took is not taken from the next."""
    with Upstream() as upstream:
        scenext = Scenext(f"{upstream.url}/late", timeout=1, slots=4)
        assert [get_status(scenext), get_status(scenext)] == [JOB, JOB]  # 0.6 seconds each
        assert [request.connection for request in upstream.requests] == [1, 1]


def test_an_upstream_that_never_reads_a_large_job_ends_at_the_deadline() -> None:
    """Ours: sending is part of the call; images make bodies that no socket buffers."""
    with deaf_port() as port:
        expect_deadline(gen_large_video, f"http://127.0.0.1:{port}")


@either
def test_a_tls_handshake_that_nobody_answers_ends_at_the_deadline(call: Call) -> None:
    """Ours: the handshake is part of the call, and the request was not sent: nothing can have been charged."""
    with deaf_port() as port:
        expect_deadline(call, f"https://127.0.0.1:{port}", failure=failures.ConnectionFailed)


@either
@pytest.mark.parametrize(
    ("host", "timeout", "failure", "sent"),
    [
        pytest.param("silent.invalid", TIMEOUT, failures.ConnectionFailed, {"CONNECT"}, id="no-tunnel"),
        pytest.param("deaf.invalid", TIMEOUT, failures.ConnectionFailed, {"CONNECT"}, id="no-handshake"),
        pytest.param("stalled.invalid", 1.5, failures.DeadlinePassed, {"CONNECT", "GET", "POST"}, id="no-answer"),
    ],
)
def test_a_proxy_that_stalls_before_the_tunnel_adds_no_time(
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    timeout: float,
    failure: type[failures.ScenextError],
    sent: set[str],
    call: Call,
) -> None:
    """Ours: one total timeout; before the tunnel is secure nothing is sent, so that nothing can have been charged.

    `stalled` opens its tunnel after 1.4 seconds, and then nothing answers.
    """
    with Upstream() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
        expect_deadline(call, f"https://{host}/silent", timeout, failure)
        assert {request.method for request in proxy.requests} <= sent


class Stalling:
    """Stands in for a resolver that stalls until it is let go, and then finds loopback. `asked` counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = threading.Event()

    def __call__(self, host: str, port: int, *args: Any) -> Any:
        self.asked += 1
        assert self.go.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]


@pytest.fixture
def stalling(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stalling]:
    made = Stalling()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.go.set()


@either
def test_a_name_that_nobody_finds_in_time_ends_at_the_deadline(stalling: Stalling, call: Call) -> None:
    """Ours: the deadline holds from the name on, and nothing was sent: nothing can have been charged."""
    expect_deadline(call, "http://stalling-one.invalid/api", failure=failures.NameNotResolved)


def test_callers_who_want_the_same_name_wait_for_one_look_up(stalling: Stalling) -> None:
    """Ours: a look-up cannot be ended, so that each call of a stalling resolver would leave a thread behind."""
    with Upstream() as upstream, ThreadPoolExecutor(4) as threads:
        scenext = Scenext(f"http://stalling-two.invalid:{upstream.port}/api", timeout=20, slots=8)
        calls = [threads.submit(get_status, scenext) for _ in range(4)]
        expect_deadline(gen_video, f"http://stalling-two.invalid:{upstream.port}/api", failure=failures.NameNotResolved)
        stalling.go.set()
        assert [one.result(5) for one in calls] == [JOB] * 4
        assert stalling.asked == 1


def test_a_look_up_that_hangs_for_long_is_not_waited_for(stalling: Stalling, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a resolver that never comes back takes no later call with it."""
    url = "http://stalling-three.invalid/api"
    expect_deadline(get_status, url, failure=failures.NameNotResolved)
    monkeypatch.setattr(names, "STUCK", 0.0)
    expect_deadline(get_status, url, failure=failures.NameNotResolved)
    assert stalling.asked == 2


def test_a_name_is_found_where_the_platform_allows_no_other_thread(
    stalling: Stalling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: then its look-up has no limit, as everywhere else."""

    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    stalling.go.set()
    with Upstream() as upstream:
        monkeypatch.setattr(threading.Thread, "start", no_thread)
        monkeypatch.setattr(upstream, "_start", lambda target, *args: target(*args))
        found = names.Names().addresses("stalling-four.invalid", upstream.port, socket.AF_INET, 1)
    assert [address for *_, address in found] == [("127.0.0.1", upstream.port)]


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Leave this process without a file descriptor."""
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
def test_a_call_without_a_descriptor_for_its_socket_was_not_sent(call: Call) -> None:
    """Ours: nothing can have been charged."""
    with Upstream() as upstream:
        scenext = Scenext(f"{upstream.url}/api", timeout=20, slots=8)
        assert call(scenext) == JOB
        kept = 1 if call is get_status else 0
        assert upstream.open_connections(kept) == kept  # none is given back meanwhile
        with no_descriptors(), pytest.raises(failures.ConnectionFailed):
            gen_video(scenext)
        assert len(upstream.requests) == 1


@pytest.fixture
def dead_addresses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give every name eight addresses at which connections wait for ever: their listener's backlog is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", listener.getsockname())] * 8
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
        yield


@pytest.mark.usefixtures("dead_addresses")
@either
def test_a_host_of_many_dead_addresses_does_not_add_to_the_deadline(call: Call) -> None:
    """Ours: one total timeout over connect; urllib3 starts its own anew with each address. Nothing was sent."""
    expect_deadline(call, "http://many.invalid/api", failure=failures.ConnectionFailed)


def test_without_a_timeout_the_adapter_is_requests_own(upstream: Upstream) -> None:
    """Ours: the adapter fits any session, as transport adapters do."""
    with requests.Session() as session:
        session.mount(upstream.url, DeadlineAdapter(1))
        with session.get(f"{upstream.url}/api/get_status/12345") as response:
            found = (response.status_code, response.content)
        assert found == (200, GOOD)


def test_a_closed_adapter_opens_new_connections(upstream: Upstream) -> None:
    """Ours: the adapter fits any session, as transport adapters do, and requests' own can be used after close()."""
    with requests.Session() as session:
        adapter = DeadlineAdapter(1)
        session.mount(upstream.url, adapter)
        with session.get(f"{upstream.url}/api/get_status/12345") as response:
            first = response.content
        adapter.close()
        with session.get(f"{upstream.url}/api/get_status/12345") as response:
            second = response.content
    assert (first, second) == (GOOD, GOOD)
    assert [request.connection for request in upstream.requests] == [1, 2]


def test_the_newest_idle_connection_is_used_first() -> None:
    """Ours: the others grow old together, and end together."""
    idle = Idle(3)
    for owner, connection in ((b"a", "old"), (b"a", "new"), (b"b", "other")):
        idle.give(owner, connection)
    assert [idle.take(b"a"), idle.take(b"a")] == ["new", "old"]
    with pytest.raises(queue.Empty):
        idle.take(b"a")
    assert idle.get() == "other"
    with pytest.raises(queue.Empty):
        idle.get()


def test_the_adapter_verifies_as_each_request_asks_for() -> None:
    """Ours: a pool is kept for its origin, its certificates and its proxies, not for one of them alone."""
    adapter = DeadlineAdapter(1)

    def pool(url: str, verify: bool, proxies: dict[str, str]) -> Any:
        request = requests.Request("GET", url).prepare()
        return adapter.get_connection_with_tls_context(request, verify, proxies)

    home = pool("https://a.invalid/x", True, {})
    assert pool("https://a.invalid/y", True, {}).conn_kw is home.conn_kw
    assert home.cert_reqs == "CERT_REQUIRED"
    assert pool("https://a.invalid/x", False, {}).cert_reqs == "CERT_NONE"
    assert pool("https://b.invalid/x", True, {}).host == "b.invalid"
    assert pool("https://a.invalid:8443/x", True, {}).port == 8443
    assert pool("https://a.invalid/x", True, {"https": "http://p.invalid:3128"}).proxy.host == "p.invalid"
