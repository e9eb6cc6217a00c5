"""Whether a client has disconnected, as far as the server exposes it: real sockets, with and without TLS."""

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from scenext_service.mcp.http_request import client_disconnected
from tests.support.upstream import CERTIFICATE

Ends = tuple[Any, Any]  # the client's end, the server's end


@pytest.fixture(params=["plain", "tls"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """Open a connection, with or without TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        plain = socket.create_connection(listener.getsockname(), timeout=10)
        accepted, _ = listener.accept()
    if request.param == "plain":
        with plain, accepted:
            yield plain, accepted
        return
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(CERTIFICATE)
    client = ssl.create_default_context(cafile=str(CERTIFICATE))
    with ThreadPoolExecutor(1) as pool:
        secured = pool.submit(server.wrap_socket, accepted, server_side=True)
        secure = client.wrap_socket(plain, server_hostname="localhost")
        with secure, secured.result() as accepted:
            yield secure, accepted


def environ(sock: Any) -> dict[str, Any]:
    return {"gunicorn.socket": sock}


def test_a_waiting_client_is_still_connected(ends: Ends) -> None:
    """Ours: a waiting client is silent."""
    _, server = ends
    assert client_disconnected(environ(server)) is False


def test_a_pipelining_client_is_still_connected_and_loses_no_data(ends: Ends) -> None:
    """Spec: RFC 9112, section 9.3.2: a client may pipeline its next request."""
    client, server = ends
    client.sendall(b"next")
    assert [client_disconnected(environ(server)) for _ in range(2)] == [False, False]
    assert server.recv(100) == b"next"


@pytest.mark.parametrize("before", [b"", b"half a request"])
def test_a_client_that_closed_has_disconnected(ends: Ends, before: bytes) -> None:
    """Spec: 2026-07-28, basic/patterns/cancellation: "closing the response stream"."""
    client, server = ends
    client.sendall(before)
    client.close()
    assert client_disconnected(environ(server)) is True


def test_a_client_whose_connection_broke_has_disconnected(ends: Ends) -> None:
    """Ours: for example, a phone that leaves the network."""
    client, server = ends
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    assert client_disconnected(environ(server)) is True


def test_a_connection_closed_by_the_server_has_no_client(ends: Ends) -> None:
    """Ours: there is no client to wait for."""
    _, server = ends
    server.close()
    assert client_disconnected(environ(server)) is True


@pytest.mark.parametrize("answer", [True, False])
def test_waitress_reports_the_state_of_the_client(answer: bool) -> None:
    """Spec: waitress's manual, "client_disconnected"."""
    assert client_disconnected({"waitress.client_disconnected": lambda: answer}) is answer


def test_other_servers_do_not_report_a_disconnect() -> None:
    """Ours: mod_wsgi and uWSGI detect it only when they write."""
    assert client_disconnected({}) is False
