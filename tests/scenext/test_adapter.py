"""The transport adapter works with any session, keeps idle connections by key, and looks pools up by their settings."""

import queue
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from scenext_service.scenext.transport.adapter import DeadlineAdapter, IdleConnections
from tests.support.upstream import CERTIFICATE, GOOD, Upstream

pytestmark = pytest.mark.usefixtures("no_network_settings")


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def upstream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with Upstream(tls=request.param) as running:
        yield running


def test_without_a_timeout_the_adapter_behaves_like_requests_own(upstream: Upstream) -> None:
    """Ours: like other transport adapters, it works with any session."""
    with requests.Session() as session:
        session.mount(upstream.url, DeadlineAdapter(1))
        with session.get(f"{upstream.url}/api/get_status/12345") as response:
            found = (response.status_code, response.content)
        assert found == (200, GOOD)


def test_a_closed_adapter_opens_new_connections(upstream: Upstream) -> None:
    """Ours: the adapter works with any session, as transport adapters do. requests' own is usable after close()."""
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


def test_the_newest_idle_connection_is_reused_first() -> None:
    """Ours: the other connections age together and expire together."""
    idle = IdleConnections(3)
    old, new, other = (SimpleNamespace(sock=object()) for _ in range(3))
    for owner, connection in ((b"a", old), (b"a", new), (b"b", other)):
        idle.give(owner, connection)
    assert [idle.take(b"a"), idle.take(b"a")] == [new, old]
    with pytest.raises(queue.Empty):
        idle.take(b"a")
    assert idle.get() is other
    with pytest.raises(queue.Empty):
        idle.get()


def test_the_adapter_applies_the_tls_settings_of_each_request() -> None:
    """Ours: a pool is keyed by origin, certificates and proxies together, not by one of them alone."""
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
