"""A dead address of a host costs only a quarter of a second: real loopback sockets with a simulated resolver."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from scenext_service.scenext import failures
from scenext_service.scenext.client import Scenext
from scenext_service.scenext.transport import sockets
from scenext_service.scenext.transport.errors import describe_cause
from tests.support.messages import KEY
from tests.support.pages import ROOT
from tests.support.server import wait_until
from tests.support.upstream import CERTIFICATE, JOB, Upstream, closed_port, dead_address, full_listener, resolved

pytestmark = pytest.mark.usefixtures("no_network_settings")

Found = Callable[..., None]

IPV6 = Path("/proc/net/if_inet6")


def get_status(scenext: Scenext) -> dict[str, Any]:
    return scenext.get_status("12345", KEY, time.monotonic())


def gen_video(scenext: Scenext) -> dict[str, Any]:
    return scenext.gen_video({"question": "1+1"}, KEY, time.monotonic())


either = pytest.mark.parametrize("call", [pytest.param(c, id=c.__name__) for c in (get_status, gen_video)])


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def upstream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with Upstream(tls=request.param) as running:
        yield running


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Found:
    """Return a function that sets the addresses that every name resolves to."""
    look_up = socket.getaddrinfo

    def resolve(*addresses: Any) -> None:
        def find(host: str, *args: Any, **kwargs: Any) -> Any:
            return look_up(host, *args, **kwargs) if host[0].isdigit() else list(addresses)

        monkeypatch.setattr(socket, "getaddrinfo", find)

    return resolve


def good(upstream: Upstream) -> Any:
    return (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", upstream.port))


def localhost(upstream: Upstream, timeout: float) -> Scenext:
    return Scenext(upstream.url.replace("127.0.0.1", "localhost") + "/api", timeout=timeout, slots=4)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@either
@pytest.mark.parametrize(("dead", "seconds"), [(1, 1.5), (8, 3.0)], ids=["one dead address", "eight dead addresses"])
def test_dead_addresses_before_a_good_one_cost_little(
    upstream: Upstream, resolve: Found, call: Callable[[Scenext], Any], dead: int, seconds: float
) -> None:
    """Spec: RFC 8305, section 5: the next attempt starts after 250 ms. The call's timeout is the limit under test.

    Exactly one request arrives, on one connection, and no socket or thread is leaked.
    """
    with ExitStack() as stack:
        hosts = [f"127.0.0.{number}" for number in range(2, 2 + dead)]
        resolve(*(stack.enter_context(dead_address(host, upstream.port)) for host in hosts), good(upstream))
        scenext = localhost(upstream, seconds)
        kept = 1 if call is get_status else 0
        before = (descriptors(), threading.active_count())
        assert call(scenext) == JOB
        assert (upstream.connections, len(upstream.requests)) == (1, 1)
        assert upstream.open_connections(kept) == kept
        # An idle connection holds one descriptor on our side, and one descriptor and one thread in the upstream.
        wait_until(lambda: threading.active_count() == before[1] + kept)
        assert descriptors() == before[0] + 2 * kept


@either
def test_a_proxy_with_a_dead_address_is_reached_at_the_next_one(
    monkeypatch: pytest.MonkeyPatch, resolve: Found, call: Callable[[Scenext], Any]
) -> None:
    """Spec: RFC 8305, section 5. A proxy's addresses are tried in the same way as Scenext's."""
    with Upstream() as proxy, dead_address("127.0.0.2", proxy.port) as dead:
        monkeypatch.setenv("https_proxy", f"http://proxy.invalid:{proxy.port}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
        resolve(dead, good(proxy))
        assert call(Scenext("https://tunnel.invalid/api", timeout=1.5, slots=4)) == JOB
        assert [request.method for request in proxy.requests][:1] == ["CONNECT"]
        assert (proxy.connections, len(proxy.requests)) == (1, 2)


@pytest.mark.skipif(not IPV6.exists(), reason="this machine has no IPv6")
@pytest.mark.parametrize("first", ["IPv6", "IPv4"])
def test_address_families_alternate(first: str) -> None:
    """Spec: RFC 8305, section 4: a broken family with many addresses costs one delay, not one per address."""
    host, other = ("::1", "127.0.0.1") if first == "IPv6" else ("127.0.0.1", "::1")
    with dead_address(host) as dead:
        family = socket.AF_INET if ":" in host else socket.AF_INET6
        port = dead[4][1]
        with socket.create_server((other, port), family=family) as listener:
            found = [dead] * 8 + [resolved(listener)]
            with sockets.connect(found, (), time.monotonic() + 1.5) as sock:
                assert sock.getpeername()[:2] == (other, port)


def test_a_refused_connection_starts_the_next_attempt_at_once(resolve: Found) -> None:
    """Spec: RFC 8305, section 5: a failed attempt ends the delay. Otherwise, twenty would take five seconds."""
    with Upstream() as upstream, closed_port() as port:
        refused = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))
        resolve(*[refused] * 20, good(upstream))
        assert gen_video(localhost(upstream, 2.0)) == JOB


def waiting_for(port: int) -> int:
    """Return the number of connections to a local port whose SYN is unanswered."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return sum(1 for line in lines if line[2].endswith(f":{port:04X}") and line[3] == "02")


def test_an_attempt_continues_while_later_ones_run() -> None:
    """Spec: RFC 8305, section 5: a slow host listed before a dead one is reached when its SYN is resent after 1 s."""
    with full_listener("127.0.0.1") as slow, dead_address("127.0.0.2") as dead, ThreadPoolExecutor(1) as threads:
        port = slow.getsockname()[1]
        fillers = waiting_for(port)
        call = threads.submit(sockets.connect, [resolved(slow), dead], (), time.monotonic() + 10)
        wait_until(lambda: waiting_for(port) > fillers)
        slow.listen(16)  # makes room in the backlog
        with call.result(10) as sock:
            assert sock.getpeername() == slow.getsockname()


def test_an_attempt_ends_at_its_own_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: if all addresses of a host are dead, time remains for the retry of a status query."""
    monkeypatch.setattr(sockets, "ATTEMPT_TIMEOUT", 0.3)
    before = descriptors()
    with dead_address("127.0.0.1") as dead:
        started = time.monotonic()
        with pytest.raises(TimeoutError) as caught:
            sockets.connect([dead, dead], (), started + 60)
        assert 0.55 - 0.05 < time.monotonic() - started < 10
        assert describe_cause(caught.value) == "TimeoutError"
    assert descriptors() == before


def test_the_last_failed_attempt_is_reported_as_the_reason(resolve: Found) -> None:
    """Ours: the log records it. The class is the same whether the kernel reports the failure at once or later."""
    with Upstream() as upstream, closed_port() as port:
        resolve((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)))
        with pytest.raises(failures.ConnectionFailed) as caught:
            gen_video(localhost(upstream, 2.0))
        assert caught.value.reason == "ConnectionRefusedError: ECONNREFUSED"


@pytest.mark.parametrize(
    "unusable",
    [
        pytest.param((255, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 9)), id="unsupported address family"),
        pytest.param((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("255.255.255.255", 9)), id="broadcast address"),
    ],
)
def test_an_attempt_that_fails_at_once_starts_the_next(resolve: Found, unusable: Any) -> None:
    """Ours: this happens on a host without IPv6 whose resolver returns IPv6 addresses."""
    with Upstream() as upstream:
        resolve(*[unusable] * 20, good(upstream))
        assert gen_video(localhost(upstream, 2.0)) == JOB


GEVENT = """
from gevent import monkey

monkey.patch_all()

import socket
import sys
import time

import gevent

from scenext_service.scenext.transport.sockets import connect
from tests.support.upstream import dead_address

with dead_address("127.0.0.1") as dead, socket.create_server(("127.0.0.1", 0)) as listener:
    beats = 0

    def beat():
        global beats
        while True:
            beats += 1
            gevent.sleep(0.01)

    beating = gevent.spawn(beat)
    good = (socket.AF_INET, socket.SOCK_STREAM, 0, "", listener.getsockname())
    with connect([dead, dead, good], (), time.monotonic() + 5) as sock:
        sock.settimeout(5)
        there, _ = listener.accept()
        there.sendall(b"good")
        answer = sock.recv(4)
        there.close()
    alone = beats
    try:
        connect([dead], (), time.monotonic() + 0.1)
    except TimeoutError:
        print(answer.decode(), alone > 10)
"""


def test_under_gevent_connecting_does_not_block_other_requests() -> None:
    """Ours: docs/deploy describes gevent's worker, which a single blocking call would stop."""
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", GEVENT]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.stderr) == ("good True\n", "")
