"""Whether a client has left, as a server lets us see it: real sockets, with and without TLS."""

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from scenext_service.serving.leaving import left
from tests.support.upstream import CERTIFICATE

Ends = tuple[Any, Any]  # the client's, the server's


@pytest.fixture(params=["plain", "tls"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """Open a connection; plain, or with TLS on top."""
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


def test_a_client_who_waits_has_not_left(ends: Ends) -> None:
    """Ours: silence is what a waiting client does."""
    _, server = ends
    assert left(environ(server)) is False


def test_a_client_who_sends_more_has_not_left_and_loses_nothing(ends: Ends) -> None:
    """Spec: RFC 9112, section 9.3.2: a client may pipeline its next request."""
    client, server = ends
    client.sendall(b"next")
    assert [left(environ(server)) for _ in range(2)] == [False, False]
    assert server.recv(100) == b"next"


@pytest.mark.parametrize("before", [b"", b"half a request"])
def test_a_client_who_closed_has_left_whatever_he_sent_before(ends: Ends, before: bytes) -> None:
    """Spec: 2026-07-28, basic/patterns/cancellation: "closing the response stream"."""
    client, server = ends
    client.sendall(before)
    client.close()
    assert left(environ(server)) is True


def test_a_client_whose_connection_broke_has_left(ends: Ends) -> None:
    """Ours: as a phone does that leaves the network."""
    client, server = ends
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    assert left(environ(server)) is True


def test_a_connection_that_we_closed_has_no_client(ends: Ends) -> None:
    """Ours: nobody is there to wait for."""
    _, server = ends
    server.close()
    assert left(environ(server)) is True


@pytest.mark.parametrize("answer", [True, False])
def test_waitress_is_asked_itself(answer: bool) -> None:
    """Spec: waitress's manual, "client_disconnected"."""
    assert left({"waitress.client_disconnected": lambda: answer}) is answer


def test_another_server_does_not_tell() -> None:
    """Ours: mod_wsgi and uWSGI see it when they write."""
    assert left({}) is False
