"""The service's address as the client sees it: the headers that determine it, and the values that no link contains."""

from typing import Any

import pytest

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.web.media import address
from tests.support.messages import Mcp
from tests.support.scripted import ScriptedScenext

SERVER = {"wsgi.url_scheme": "http", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8000"}
KNOWN = "http://127.0.0.1:8000"  # the server's own name and port, used as the fallback


def at(**environ: str) -> str:
    """Return the address for an environ with these additions; lowercase names such as `host` are headers."""
    headers = {f"HTTP_{name.upper()}": value for name, value in environ.items() if name.islower()}
    others = {name: value for name, value in environ.items() if name.isupper()}
    return address({**SERVER, **headers, **others})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"host": "a.example"}, "http://a.example", id="host name"),
        pytest.param({"host": "a.example:8443"}, "http://a.example:8443", id="host with a port"),
        pytest.param({"host": "127.0.0.1:8000"}, "http://127.0.0.1:8000", id="IPv4 address"),
        pytest.param({"host": "[::1]:8000"}, "http://[::1]:8000", id="IPv6"),
        pytest.param({"host": "[2001:db8::1]"}, "http://[2001:db8::1]", id="IPv6 without a port"),
        pytest.param({"host": "my_app-1.internal."}, "http://my_app-1.internal.", id="Docker host name"),
        pytest.param({"host": "localhost", "SCRIPT_NAME": "/sub"}, "http://localhost/sub", id="mount path"),
        pytest.param(
            {"host": "localhost", "SCRIPT_NAME": "/a b/\xc3\xa9/"},
            "http://localhost/a%20b/%C3%A9",
            id="unusual mount path",
        ),
        pytest.param({"host": "a", "x_forwarded_proto": "https"}, "https://a", id="X-Forwarded-Proto"),
        pytest.param(
            {"host": "a", "x_forwarded_proto": "HTTPS, http"}, "https://a", id="X-Forwarded-Proto of two proxies"
        ),
        pytest.param({"host": "a", "x_forwarded_host": "b.example:1"}, "http://b.example:1", id="X-Forwarded-Host"),
        pytest.param({"host": "a", "x_forwarded_host": "b , c"}, "http://b", id="X-Forwarded-Host of two proxies"),
        pytest.param({"host": "a", "x_forwarded_prefix": "/sub"}, "http://a/sub", id="X-Forwarded-Prefix"),
        pytest.param(
            {"host": "a", "x_forwarded_prefix": "/a/b-c_d~e.f/"}, "http://a/a/b-c_d~e.f", id="deep X-Forwarded-Prefix"
        ),
        pytest.param(
            {"host": "a", "x_forwarded_prefix": "/sub", "SCRIPT_NAME": "/app"},
            "http://a/sub",
            id="X-Forwarded-Prefix over SCRIPT_NAME",
        ),
        pytest.param({"host": "a", "forwarded": "proto=https;host=b.example"}, "https://b.example", id="Forwarded"),
        pytest.param(
            {"host": "a", "forwarded": 'for="[::1]:7"; Host="b.example:8" ;PROTO=https, for=c;host=c'},
            "https://b.example:8",
            id="Forwarded of two proxies",
        ),
        pytest.param({"host": "a", "forwarded": "for=192.0.2.60"}, "http://a", id="Forwarded without host and proto"),
        pytest.param(
            {"host": "a", "x_forwarded_host": "b", "x_forwarded_proto": "http", "forwarded": "host=c;proto=https"},
            "http://b",
            id="X-Forwarded-* over Forwarded",
        ),
    ],
)
def test_the_address_is_the_one_that_the_client_used(environ: dict[str, str], expected: str) -> None:
    """Spec: PEP 3333, "URL Reconstruction"; RFC 7239, section 4. Ours: X-Forwarded-* as proxies send them."""
    assert at(**environ) == expected


HOSTILE = [
    "",
    " ",
    'a"b',
    "a'b",
    "a b",
    "a\rb",
    "a\nb",
    "a\r\nX: y",
    "a\0",
    "a/b",
    "a\\b",
    "a?b",
    "a#b",
    "a<b>",
    "a(b)",
    "user@a.example",
    "user:pass@a.example",
    "a.example:",
    "a.example:x",
    "a.example:99999",
    "a.example:123456",
    "a..example",
    ".a",
    ":80",
    "[::1",
    "::1",
    "[]",
    "[::1::2]",
    "[::g]",
    "[:::::]:80",
    "[127.0.0.1]",
    "[::1%25eth0]",
    "ä.example",
    "\xe4.example",
    "a%2eb",
    "a;b",
    "a=b",
    "*",
    "a" * 64,
    "a." * 200,
]


@pytest.mark.parametrize("host", [*HOSTILE, "a,b"])
def test_an_invalid_host_is_ignored(host: str) -> None:
    """Spec: RFC 3986, section 3.2.2. Ours: the server's own name and port are used instead."""
    assert at(host=host) == KNOWN


@pytest.mark.parametrize("host", HOSTILE)
def test_an_invalid_forwarded_host_is_ignored(host: str) -> None:
    """Ours: the Host header is used instead."""
    assert at(host="a.example", x_forwarded_host=host) == "http://a.example"
    if "=" not in host and ";" not in host and '"' not in host:
        assert at(host="a.example", forwarded=f'host="{host}"') == "http://a.example"


@pytest.mark.parametrize("proto", ["", "ftp", "javascript", "https:", "https://", "http\r\n", '"https', "wss", "on"])
def test_an_invalid_forwarded_scheme_is_ignored(proto: str) -> None:
    """Ours: links are always http or https."""
    assert at(host="a", x_forwarded_proto=proto) == "http://a"
    assert at(host="a", forwarded=f"proto={proto}x") == "http://a"


@pytest.mark.parametrize(
    "prefix",
    [
        "sub",
        "//evil.example",
        "/a//b",
        "/..",
        "/a/../b",
        "/./a",
        "/a b",
        '/a"b',
        "/a<b",
        "/a)b",
        "/a\r\nb",
        "/a?b",
        "/a#b",
        "/%zz",
        "@evil.example",
        ".evil.example",
        ":80",
        "/" + "a" * 100,
        "/a" * 10,
        "/\xe9",
    ],
)
def test_an_invalid_forwarded_prefix_is_ignored(prefix: str) -> None:
    """Spec: RFC 3986, section 3.3. Ours: the server's mount path is used instead."""
    assert at(host="a", x_forwarded_prefix=prefix) == "http://a"
    assert at(host="a", x_forwarded_prefix=prefix, SCRIPT_NAME="/app") == "http://a/app"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, KNOWN),
        ({"SERVER_PORT": "80"}, "http://127.0.0.1"),
        ({"wsgi.url_scheme": "https", "SERVER_PORT": "443"}, "https://127.0.0.1"),
        ({"wsgi.url_scheme": "https", "SERVER_PORT": "80"}, "https://127.0.0.1:80"),
        ({"SERVER_NAME": "::1"}, "http://[::1]:8000"),
        ({"SERVER_NAME": "localhost", "SERVER_PORT": ""}, "http://localhost"),  # gunicorn on a Unix socket
        ({"SERVER_NAME": "/run/app.sock", "SERVER_PORT": ""}, "http://localhost"),
    ],
)
def test_without_a_host_header_the_server_name_is_used(environ: dict[str, Any], expected: str) -> None:
    """Spec: PEP 3333, "URL Reconstruction": SERVER_NAME and SERVER_PORT, without the scheme's default port."""
    assert address({**SERVER, **environ}) == expected


FORWARDED = {
    "Host": "a.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "b.example",
    "X-Forwarded-Prefix": "/sub",
    "Forwarded": "host=c.example;proto=https",
}


@pytest.mark.parametrize("arguments", [{}, {"wait_seconds": 1}, {"frames": "all"}], ids=str)
def test_the_links_of_the_sandbox_start_with_the_address(mcp: Mcp, arguments: dict[str, Any]) -> None:
    """Ours: in every form of the result, and in both protocol eras."""
    call = {"name": "query_video_status", "arguments": {"task_id": "sandbox-completed", **arguments}}
    sent = {"Authorization": "Bearer any-key-will-do", **FORWARDED}
    for response in (mcp.modern("tools/call", call, sent), mcp.legacy("tools/call", call, sent)):
        written = response.get_data(as_text=True)
        assert "https://b.example/sub/sandbox/sandbox-completed/frame3.svg?" in written
        assert "https://b.example/sub/sandbox/sandbox-completed/video.mp4?" in written
        assert "http://" not in written
        assert "a.example" not in written
        assert "c.example" not in written


def test_the_address_is_never_sent_to_the_real_scenext() -> None:
    """Ours: no such header reaches Scenext, whatever a client sends. Forwarded headers decide nothing."""
    upstream = ScriptedScenext()
    upstream.succeeds({"task_id": "12345", "status": "IN_PROGRESS", "progress": []})
    client = Mcp(create_app(Config(), upstream).test_client())
    sent = {"Authorization": "Bearer sentinel-key-4f9a1c7e2b", **FORWARDED, "X-Sandbox-Address": "https://e.example"}
    plain = client.call("query_video_status", {"task_id": "12345"}, {"Authorization": sent["Authorization"]})
    assert client.call("query_video_status", {"task_id": "12345"}, sent) == plain
    assert upstream.sent("X-Sandbox-Address") == [None, None]
    for request in upstream.requests:
        assert [value for value in request.headers.values() if ".example" in str(value)] == []
