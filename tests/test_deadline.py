"""The timeout of a call is a total: it holds against an upstream, or a proxy, that wastes time in every way."""

import queue
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from scenext_service import failures
from scenext_service.config import Config
from scenext_service.deadline import DeadlineAdapter
from scenext_service.lean import Stack
from scenext_service.scenext import Scenext
from tests import upstream as misbehaving
from tests.upstream import CERTIFICATE, GOOD, JOB, Upstream, deaf_port

KEY = "sentinel-key-4f9a1c7e2b"
TIMEOUT = 0.3  # seconds
MARGIN = 1.0  # seconds, for a machine that is busy with something else

Call = Callable[[Scenext], dict[str, Any]]


def get_status(scenext: Scenext) -> dict[str, Any]:
    return scenext.get_status("12345", KEY, time.monotonic())


def gen_video(scenext: Scenext) -> dict[str, Any]:
    return scenext.gen_video({"question": "1+1"}, KEY, time.monotonic())


def gen_large_video(scenext: Scenext) -> dict[str, Any]:
    return scenext.gen_video({"questionImages": ["A" * 16_000_000]}, KEY, time.monotonic())


def expect_deadline(call: Call, url: str, timeout: float = TIMEOUT) -> None:
    """Make a call that must end when its time is up: neither later nor earlier, and in these words."""
    scenext = Scenext(Config(api_base_url=url, timeout=timeout))
    before = time.monotonic()
    with pytest.raises(failures.DeadlinePassed) as caught:
        call(scenext)
    took = time.monotonic() - before
    assert caught.value.detail == f"{timeout:g}"
    assert timeout - 0.05 < took < timeout + MARGIN


@pytest.fixture(autouse=True)
def _network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    misbehaving.forget_network_settings(monkeypatch, tmp_path)


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
    scenext = Scenext(Config(api_base_url=f"{upstream.url}/silent", timeout=10))
    before = time.monotonic()
    with pytest.raises(failures.DeadlinePassed):
        scenext.get_status("12345", KEY, before - 10 + TIMEOUT)
    assert TIMEOUT - 0.05 < time.monotonic() - before < TIMEOUT + MARGIN
    assert len(upstream.requests) == 1


def test_a_kept_connection_gets_the_whole_time_again() -> None:
    """Ours: what one call took is not taken from the next."""
    with Upstream() as upstream:
        scenext = Scenext(Config(api_base_url=f"{upstream.url}/late", timeout=1))
        assert [get_status(scenext), gen_video(scenext)] == [JOB, JOB]  # 0.6 seconds each
        assert [request.connection for request in upstream.requests] == [1, 1]


def test_an_upstream_that_never_reads_a_large_job_ends_at_the_deadline() -> None:
    """Ours: sending is part of the call; images make bodies that no socket buffers."""
    with deaf_port() as port:
        expect_deadline(gen_large_video, f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("call", [get_status, gen_video], ids=["get_status", "gen_video"])
def test_a_tls_handshake_that_nobody_answers_ends_at_the_deadline(call: Call) -> None:
    """Ours: the handshake is part of the call."""
    with deaf_port() as port:
        expect_deadline(call, f"https://127.0.0.1:{port}")


@pytest.mark.parametrize(("host", "timeout"), [("silent.invalid", TIMEOUT), ("stalled.invalid", 1.5)])
def test_a_proxy_that_wastes_time_before_the_tunnel_is_open_does_not_add_to_the_deadline(
    monkeypatch: pytest.MonkeyPatch, host: str, timeout: float
) -> None:
    """Ours: one total timeout; `stalled` opens its tunnel after 1.4 seconds, and then nothing answers."""
    with Upstream() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
        expect_deadline(get_status, f"https://{host}/silent", timeout)


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
@pytest.mark.parametrize(
    ("call", "kinds"),
    [
        pytest.param(get_status, (failures.ConnectionFailed, failures.DeadlinePassed), id="get_status"),
        pytest.param(gen_video, failures.ConnectionFailed, id="gen_video"),  # nothing was sent, nor charged
    ],
)
def test_a_host_of_many_dead_addresses_does_not_add_to_the_deadline(call: Call, kinds: Any) -> None:
    """Ours: one total timeout over connect; urllib3 starts its own anew with each address."""
    before = time.monotonic()
    with pytest.raises(kinds):
        call(Scenext(Config(api_base_url="http://many.invalid/api", timeout=TIMEOUT)))
    assert TIMEOUT - 0.05 < time.monotonic() - before < TIMEOUT + MARGIN


def test_without_a_timeout_the_adapter_is_requests_own(upstream: Upstream) -> None:
    """Ours: the adapter fits any session, as transport adapters do."""
    with requests.Session() as session:
        session.mount(upstream.url, DeadlineAdapter(1))
        response = session.get(f"{upstream.url}/api/get_status/12345")
        assert (response.status_code, response.content) == (200, GOOD)


def test_a_closed_adapter_opens_new_connections(upstream: Upstream) -> None:
    """Ours: the adapter fits any session, as transport adapters do, and requests' own can be used after close()."""
    with requests.Session() as session:
        adapter = DeadlineAdapter(1)
        session.mount(upstream.url, adapter)
        first = session.get(f"{upstream.url}/api/get_status/12345")
        adapter.close()
        second = session.get(f"{upstream.url}/api/get_status/12345")
    assert (first.content, second.content) == (GOOD, GOOD)


def test_the_newest_idle_connection_is_used_first() -> None:
    """Ours: the others grow old together, and end together."""
    idle = Stack(2)
    idle.put("old")
    idle.put("new")
    assert [idle.get(), idle.get()] == ["new", "old"]
    with pytest.raises(queue.Empty):
        idle.get()


def test_the_adapter_verifies_as_each_request_asks_for() -> None:
    """Ours: a pool is kept for its origin, its certificates and its proxies, not for one of them alone."""
    adapter = DeadlineAdapter(1)

    def pool(url: str, verify: bool, proxies: dict[str, str]) -> Any:
        request = requests.Request("GET", url).prepare()
        return adapter.get_connection_with_tls_context(request, verify, proxies)

    home = pool("https://a.invalid/x", True, {})
    assert pool("https://a.invalid/y", True, {}) is home
    assert home.cert_reqs == "CERT_REQUIRED"
    assert pool("https://a.invalid/x", False, {}).cert_reqs == "CERT_NONE"
    assert pool("https://b.invalid/x", True, {}).host == "b.invalid"
    assert pool("https://a.invalid:8443/x", True, {}).port == 8443
    assert pool("https://a.invalid/x", True, {"https": "http://p.invalid:3128"}).proxy.host == "p.invalid"
