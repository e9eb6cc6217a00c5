"""The endpoint over HTTP: paths, methods, media types, body sizes, Origin, CORS and log lines."""

import io
import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse, create_environ, run_wsgi_app

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.mcp import Origins
from tests.support.cases import case
from tests.support.messages import BEARER, KEY, META, NOT_FOUND, PING, PONG, Mcp, outcome, refusal
from tests.support.scripted import ScriptedScenext

BODY = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
JSON = {"Content-Type": "application/json"}
LIMIT = 1_000  # bytes
PAGE = "https://app.example.com"  # in allowed_origins
CORS = {
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, X-API-Key, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method,"
    " Mcp-Name, Mcp-Session-Id, Last-Event-ID, traceparent, tracestate",
    "Access-Control-Expose-Headers": "X-Request-ID",
    "Access-Control-Max-Age": "86400",
    "Vary": "Origin",
}


@pytest.fixture
def config() -> Config:
    return Config(sandbox=True, allowed_origins=frozenset({PAGE, "https://[2001:db8::1]:8443"}), max_body=LIMIT)


def cors(response: TestResponse) -> dict[str, str]:
    """Return the CORS headers of a response."""
    return {name: value for name, value in response.headers if name == "Vary" or name.startswith("Access-Control-")}


class Unread(io.RawIOBase):
    """A body that must not be read."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise AssertionError("the body was read")


class Failing(io.RawIOBase):
    """A body whose connection breaks. Reading it raises `failure`, as in a WSGI server."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise self.failure


@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/mcp?a=1", "/mcp/?"])
def test_a_trailing_slash_is_served_without_a_redirect(mcp: Mcp, path: str) -> None:
    """Ours: on a redirect, clients drop their Authorization header or add a round trip to every call."""
    assert outcome(mcp.post(PING, path=path)) == (200, PONG)


def test_extra_leading_slashes_are_served_without_a_redirect(client: FlaskClient) -> None:
    """Ours: Werkzeug skips them. A base URL with a trailing slash produces such a path."""
    overrides = {"PATH_INFO": "//mcp"}
    assert outcome(client.post("/", json=PING, environ_overrides=overrides)) == (200, PONG)


@pytest.mark.parametrize(
    "path",
    [
        "/mcp//",
        "/MCP",
        "/mcp/mcp",
        "/mcp/sse",
        "/sse",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/register",
        "/static/x",
        "/mcp/../x",
        "/讲解",
    ],
)
def test_the_404_of_an_unknown_path_is_valid_for_oauth_clients(client: FlaskClient, path: str) -> None:
    """Ours: `error` is a string, because some clients parse the body of a well-known path as an OAuth error."""
    for method in ("GET", "POST", "OPTIONS", "DELETE"):
        with case(method):
            raw = path.encode().decode("latin-1")
            response = client.open("/", method=method, environ_overrides={"PATH_INFO": raw})
            assert outcome(response) == (404, NOT_FOUND)
            assert "Location" not in response.headers


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH", "TRACE", "CONNECT", "BREW", "post"])
def test_other_methods_are_rejected_before_any_other_check(client: FlaskClient, method: str, path: str) -> None:
    """Spec: 2025-11-25, basic/transports: 405 for GET without a stream. RFC 9110, section 15.5.6: with Allow."""
    message = "Method Not Allowed: this server has no sessions; send each message by POST"
    overrides = {"REQUEST_METHOD": method, "wsgi.input": Unread()}
    unusual = method in ("CONNECT", "BREW")
    for headers in ({}, {"Accept": "text/event-stream"}, {"Authorization": "Bearer a b", "Content-Type": "text/html"}):
        response = client.open(path, headers=headers, environ_overrides=overrides)
        assert outcome(response) == (405, {"error": "method_not_allowed"} if unusual else refusal(message))
        assert {"POST", "OPTIONS"} <= set(response.headers["Allow"].split(", "))
        assert unusual or response.headers["Allow"] == "POST, OPTIONS"


def test_head_is_not_allowed_and_has_no_body(client: FlaskClient) -> None:
    """Spec: RFC 9110, sections 9.3.2 and 15.5.6."""
    response = client.head("/mcp")
    assert (response.status_code, response.headers["Allow"], response.data) == (405, "POST, OPTIONS", b"")


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
        " application/json ; a=b",
        'application/json; profile="a;b"',
    ],
)
def test_json_is_accepted_with_any_parameters_and_in_any_case(mcp: Mcp, media_type: str) -> None:
    """Spec: RFC 9110, section 8.3.1: media types are compared without case and parameters."""
    assert outcome(mcp.post(BODY, {"Content-Type": media_type})) == (200, PONG)


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "text/plain; application/json",
        "application/jsonx",
        "application/json-rpc",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "application/json, text/plain",
        "",
        ";",
    ],
)
def test_any_other_media_type_is_unsupported(mcp: Mcp, media_type: str) -> None:
    """Ours: 415. Otherwise a page could post without a preflight."""
    message = "Unsupported Media Type: send the message with Content-Type: application/json"
    assert outcome(mcp.post(BODY, {"Content-Type": media_type})) == (415, refusal(message))


def test_a_body_without_a_media_type_is_unsupported(client: FlaskClient) -> None:
    """Ours: 415."""
    message = "Unsupported Media Type: send the message with Content-Type: application/json"
    assert outcome(client.post("/mcp", data=BODY)) == (415, refusal(message))


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity", "GZIP"])
def test_an_encoded_body_is_unsupported(mcp: Mcp, encoding: str) -> None:
    """Spec: RFC 9110, section 15.5.16. Ours: no content coding is supported."""
    message = "Unsupported Media Type: send the message without Content-Encoding"
    assert outcome(mcp.post(BODY, {"Content-Encoding": encoding})) == (415, refusal(message))


@pytest.mark.parametrize("encoding", ["identity", "Identity"])
def test_the_identity_encoding_is_accepted(mcp: Mcp, encoding: str) -> None:
    """Spec: RFC 9110, section 8.4.1."""
    assert outcome(mcp.post(BODY, {"Content-Encoding": encoding})) == (200, PONG)


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        "application/json",
        "text/event-stream",
        "application/json, text/event-stream",
        "text/html",
        "application/json;q=0",
        "",
    ],
)
def test_every_accept_header_is_answered_in_json(mcp: Mcp, accept: str | None) -> None:
    """Spec: 2026-07-28, streamable-http "Sending Messages". Ours: some clients name only one of the two media types."""
    headers = {} if accept is None else {"Accept": accept}
    assert outcome(mcp.post(PING, headers)) == (200, PONG)
    assert mcp.modern("server/discover", {}, headers).content_type == "application/json"


TOO_LARGE = "Content Too Large: the limit is 1000 bytes. Send images as URLs. Nothing was started or charged."
LENGTH_REQUIRED = "Length Required: this server accepts no chunked bodies; send a Content-Length"


def test_a_body_at_the_limit_is_read(mcp: Mcp) -> None:
    """Ours: max_body is the largest permitted size in bytes."""
    assert outcome(mcp.post(BODY.ljust(LIMIT))) == (200, PONG)


def test_a_body_with_too_large_a_content_length_is_rejected_unread(client: FlaskClient) -> None:
    """Spec: RFC 9110, section 15.5.14."""
    overrides = {"CONTENT_LENGTH": str(LIMIT + 1), "wsgi.input": Unread()}
    response = client.post("/mcp", headers=JSON, environ_overrides=overrides)
    assert outcome(response) == (413, refusal(TOO_LARGE))


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        pytest.param(BODY.ljust(LIMIT), (200, PONG), id="at the limit"),
        pytest.param(BODY.ljust(LIMIT + 1), (413, refusal(TOO_LARGE)), id="one byte over the limit"),
        pytest.param(BODY.ljust(1_000_000), (413, refusal(TOO_LARGE)), id="far over the limit"),
    ],
)
def test_a_body_of_unknown_length_is_read_up_to_the_limit(client: FlaskClient, body: bytes, answer: Any) -> None:
    """Spec: RFC 9110, section 15.5.14; RFC 9112, section 7.1: a chunked body has no Content-Length."""
    overrides = {"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True}
    assert outcome(client.post("/mcp", headers=JSON, environ_overrides=overrides)) == answer


class Dripping(io.BytesIO):
    """A body that returns at most three bytes from each read."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 3, 3))


def test_a_body_that_arrives_in_pieces_is_read_completely(client: FlaskClient) -> None:
    """Ours: a WSGI server may return fewer bytes than requested."""
    overrides = {"wsgi.input": Dripping(BODY), "wsgi.input_terminated": True}
    assert outcome(client.post("/mcp", headers=JSON, environ_overrides=overrides)) == (200, PONG)


@pytest.mark.parametrize(
    ("length", "answer"),
    [
        pytest.param(str(len(BODY)), (200, PONG), id="buffered by a proxy"),
        pytest.param(str(LIMIT + 1), (413, refusal(TOO_LARGE)), id="buffered, too large"),
        pytest.param("", (411, refusal(LENGTH_REQUIRED)), id="no length"),
    ],
)
def test_a_buffered_chunked_body_needs_a_content_length(client: FlaskClient, length: str, answer: Any) -> None:
    """Ours: uWSGI behind nginx sets the length, but uWSGI alone passes no body on (docs/deploy/uwsgi.md)."""
    headers = {**JSON, "Transfer-Encoding": "chunked"}
    overrides = {"CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(BODY)}
    assert outcome(client.post("/mcp", headers=headers, environ_overrides=overrides)) == answer


@pytest.mark.parametrize("coding", ["gzip, chunked", "identity, chunked", "gzip,chunked", "zork", "chunked, chunked"])
def test_a_body_with_another_transfer_coding_is_rejected_unread(client: FlaskClient, coding: str) -> None:
    """Spec: RFC 9112, section 7. Ours: 400 instead of 501 (section 6.1), as a bad request is not a server failure."""
    message = "Bad Request: the only accepted Transfer-Encoding is chunked"
    overrides = {"wsgi.input": Unread(), "wsgi.input_terminated": True}
    headers = {**JSON, "Transfer-Encoding": coding}
    assert outcome(client.post("/mcp", headers=headers, environ_overrides=overrides)) == (400, refusal(message))


@pytest.mark.parametrize("coding", ["chunked", "Chunked", " chunked "])
def test_chunked_is_accepted_in_any_case(client: FlaskClient, coding: str) -> None:
    """Spec: RFC 9112, section 7: names of codings are compared without case."""
    overrides = {"wsgi.input": io.BytesIO(BODY), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": coding}
    assert outcome(client.post("/mcp", headers=JSON, environ_overrides=overrides)) == (200, PONG)


def test_the_default_limit_is_8_mib() -> None:
    """Ours: messages contain images in Base64."""
    mcp = Mcp(create_app(Config(sandbox=True)).test_client())
    assert outcome(mcp.post(BODY.ljust(8 * 1024 * 1024), BEARER)) == (200, PONG)
    refused = refusal(TOO_LARGE.replace("1000", "8388608"))
    assert outcome(mcp.post(BODY.ljust(8 * 1024 * 1024 + 1), BEARER)) == (413, refused)


UNREADABLE = refusal("Parse error: the body could not be read completely. Nothing was started or charged.", -32700)


@pytest.mark.parametrize(
    "failure",
    [OSError("reset"), ValueError("bad chunk"), TimeoutError(), EOFError(), RuntimeError("internals")],
    ids=lambda failure: type(failure).__name__,
)
def test_a_body_that_cannot_be_read_is_a_parse_error(
    client: FlaskClient, log_lines: list[str], failure: Exception
) -> None:
    """Ours: WSGI servers raise different errors for a bad chunk or a lost connection. None may cause a 5xx."""
    overrides = {"CONTENT_LENGTH": "40", "wsgi.input": Failing(failure)}
    response = client.post("/mcp", headers=JSON, environ_overrides=overrides)
    assert outcome(response) == (400, UNREADABLE)
    request_id = response.headers["X-Request-ID"]
    assert f' level=info msg="unreadable body" request_id={request_id} reason=' in log_lines[0]
    assert str(failure) == "" or str(failure) not in log_lines[0]  # the error's text may quote the request


def test_a_body_that_arrives_too_late_is_a_timeout(client: FlaskClient, log_lines: list[str]) -> None:
    """Spec: RFC 9110, section 15.5.9. Ours: servers with a limit on slow bodies raise TimeoutError."""
    overrides = {"CONTENT_LENGTH": "40", "wsgi.input": Failing(TimeoutError()), "wsgi.input_terminated": True}
    response = client.post("/mcp", headers=JSON, environ_overrides=overrides)
    late = "Request Timeout: the body was not complete in time. Nothing was started or charged."
    assert outcome(response) == (408, refusal(late))
    assert " reason=TimeoutError" in log_lines[0]


@pytest.mark.parametrize("length", ["40", "100"])
def test_a_body_shorter_than_its_content_length_is_rejected(client: FlaskClient, length: str) -> None:
    """Spec: RFC 9112, section 8: an incomplete message is not used."""
    overrides = {"CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(BODY[:20])}
    assert outcome(client.post("/mcp", headers=JSON, environ_overrides=overrides)) == (400, UNREADABLE)


@pytest.mark.parametrize("length", ["", "0", "-1", "x", "1.5"])
def test_a_body_without_a_valid_length_is_empty(client: FlaskClient, length: str) -> None:
    """Ours: a request without a length and without chunks has no body, so the error is "not JSON"."""
    overrides = {"CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(BODY)}
    status, answer = outcome(client.post("/mcp", headers=JSON, environ_overrides=overrides))
    assert (status, answer["id"], answer["error"]["code"]) == (400, None, -32700)


FORBIDDEN = refusal("Forbidden: pages of this origin may not call this server. Add it to SCENEXT_ALLOWED_ORIGINS.")
ALLOWED_ORIGINS = [
    PAGE,
    "https://[2001:db8::1]:8443",
    "http://localhost",
    "https://localhost",
    "http://localhost:6274",
    "http://LOCALHOST:6274",
    "https://localhost:65535",
    "http://127.0.0.1",
    "https://127.0.0.1:8080",
    "http://[::1]",
    "https://[::1]:3000",
]
REFUSED_ORIGINS = [
    "null",
    "",
    " ",
    "*",
    "x",
    "http://",
    "https://evil.example",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.example",
    "https://evil.example/https://app.example.com",
    "https://app.example.com/",
    "https://app.example.co",
    "https://evil-app.example.com",
    "https://x.app.example.com",
    "https://app.example.com, https://app.example.com",
    "https://localhost.evil.example",
    "https://localhost.",
    "https://evil.localhost",
    "https://notlocalhost",
    "http://localhost/",
    "http://localhost?",
    "http://localhost#",
    "http://localhost:80/x",
    "http://localhost:evil.example",
    "http://localhost:80evil.example",
    "http://localhost:",
    "http://localhost:-1",
    "http://localhost\t",
    " http://localhost",
    "http://local\thost",
    "http://localhost\\.evil.example",
    "http://user@localhost",
    "http://localhost@evil.example",
    "http://evil.example#@localhost",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.1evil.example",
    "http://127.0.0.11",
    "http://[::1].evil.example",
    "http://[::1]evil.example:80",
    "http://evil.example[::1]",
    "http://[::1",
    "http://[::2]",
    "http://[localhost]",
    "http://::1",
    "ftp://localhost",
    "file://localhost",
    "chrome-extension://localhost",
    "localhost",
    "//localhost",
    "localhost:8080",
]


@pytest.mark.parametrize("origin", ALLOWED_ORIGINS)
def test_a_page_of_a_listed_or_loopback_origin_may_call(mcp: Mcp, origin: str) -> None:
    """Spec: 2026-07-28, streamable-http "Security & Endpoint". Fetch, "CORS protocol": the response names it."""
    response = mcp.post(PING, {"Origin": origin})
    assert outcome(response) == (200, PONG)
    assert cors(response) == {"Access-Control-Allow-Origin": origin, **CORS}


@pytest.mark.parametrize("origin", REFUSED_ORIGINS)
def test_a_page_of_any_other_origin_is_forbidden(client: FlaskClient, origin: str) -> None:
    """Spec: 2026-07-28, streamable-http "Security & Endpoint": 403. Ours: whole origins are compared, never parts."""
    for method in ("POST", "OPTIONS", "GET"):
        with case(method):
            headers = {"Origin": origin, "Authorization": f"Bearer {KEY}", **JSON}
            response = client.open("/mcp", method=method, headers=headers, environ_overrides={"wsgi.input": Unread()})
            assert outcome(response) == (403, FORBIDDEN)
            assert cors(response) == {}


def test_a_request_without_an_origin_is_answered_without_cors(mcp: Mcp) -> None:
    """Spec: 2026-07-28, streamable-http "Security & Endpoint": only an Origin that is present is validated."""
    response = mcp.post(PING)
    assert (response.status_code, cors(response)) == (200, {})


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://[::1].evil.example"])
def test_every_page_may_call_if_all_origins_are_allowed(origin: str) -> None:
    """Ours: SCENEXT_ALLOWED_ORIGINS=*."""
    app = create_app(Config(sandbox=True, allowed_origins=frozenset({"*"})))
    response = Mcp(app.test_client()).post(PING, {"Origin": origin})
    assert outcome(response) == (200, PONG)
    assert cors(response) == {"Access-Control-Allow-Origin": origin, **CORS}


@pytest.mark.parametrize(
    ("public", "origin", "host", "status"),
    [
        pytest.param(True, "https://mcp.example.com", "mcp.example.com", 200, id="own origin"),
        pytest.param(True, "https://MCP.example.com", "mcp.EXAMPLE.com", 200, id="own origin in another case"),
        pytest.param(True, "http://mcp.example.com:8080", "mcp.example.com:8080", 200, id="own origin with a port"),
        pytest.param(True, "https://evil.example", "mcp.example.com", 403, id="another origin"),
        pytest.param(True, "https://mcp.example.com.evil.example", "mcp.example.com", 403, id="own origin as a prefix"),
        pytest.param(True, "https://mcp.example.com:8443", "mcp.example.com", 403, id="another port"),
        pytest.param(True, "ftp://mcp.example.com", "mcp.example.com", 403, id="another scheme"),
        pytest.param(True, "https://a@mcp.example.com", "a@mcp.example.com", 403, id="user information"),
        pytest.param(True, "http://", "", 403, id="neither host nor Host header"),
        pytest.param(False, "https://mcp.example.com", "mcp.example.com", 403, id="own origin, loopback server"),
        pytest.param(False, "http://evil.example:5000", "evil.example:5000", 403, id="DNS rebinding"),
    ],
)
def test_a_page_of_the_servers_own_host_may_call_only_a_public_server(
    public: bool, origin: str, host: str, status: int
) -> None:
    """Spec: 2026-07-28, streamable-http "Security & Endpoint". On a loopback server, it would allow DNS rebinding."""
    mcp = Mcp(create_app(Config(sandbox=True, public=public)).test_client())
    overrides = {"HTTP_HOST": host}
    response = mcp.client.post("/mcp", json=PING, headers={"Origin": origin}, environ_overrides=overrides)
    assert outcome(response) == (status, PONG if status == 200 else FORBIDDEN)
    assert cors(response) == ({"Access-Control-Allow-Origin": origin, **CORS} if status == 200 else {})


SHARED = {"api_key": KEY}
TOKEN = "sentinel-token-71f5a8e93c"


@pytest.mark.parametrize(
    ("shared", "origin", "host", "status"),
    [
        pytest.param(SHARED, "http://evil.example:8000", "evil.example:8000", 403, id="rebound name"),
        pytest.param(SHARED, "http://evil.example", "evil.example", 403, id="rebound to port 80"),
        pytest.param(SHARED, "http://EVIL.example:8000", "evil.EXAMPLE:8000", 403, id="rebound in capitals"),
        pytest.param(SHARED, "http://192.0.2.1:8000", "192.0.2.1:8000", 403, id="IP address"),
        pytest.param(SHARED, "https://mcp.example.com", "mcp.example.com", 200, id="HTTPS"),
        pytest.param(SHARED, "http://localhost:6274", "evil.example:8000", 200, id="loopback page"),
        pytest.param(SHARED, "https://app.example.com", "mcp.example.com", 200, id="listed origin"),
        pytest.param({**SHARED, "access_token": TOKEN}, "http://a.example", "a.example", 200, id="access token"),
        pytest.param({"api_key": "YOUR_API_KEY"}, "http://a.example", "a.example", 200, id="placeholder key"),
        pytest.param({}, "http://a.example", "a.example", 200, id="no key"),
    ],
)
def test_a_page_on_a_rebound_name_cannot_spend_a_shared_key(
    shared: dict[str, Any], origin: str, host: str, status: int
) -> None:
    """Ours: DNS rebinding turns an attacker's name into the server's own, but without a certificate for HTTPS."""
    scenext = ScriptedScenext()
    listed = frozenset({"https://app.example.com"})
    mcp = Mcp(create_app(Config(public=True, allowed_origins=listed, **shared), scenext).test_client())
    body = {**PING, "method": "tools/call", "params": {"name": "gen_video", "arguments": {"question": "1 + 1 = ?"}}}
    response = mcp.client.post("/mcp", json=body, headers={"Origin": origin}, environ_overrides={"HTTP_HOST": host})
    assert response.status_code == status
    assert cors(response) == ({"Access-Control-Allow-Origin": origin, **CORS} if status == 200 else {})
    assert len(scenext.requests) == (1 if status == 200 and shared == SHARED else 0)


def test_the_own_page_over_https_may_use_a_shared_key() -> None:
    """Spec: Fetch Metadata, "Sec-Fetch-Site"; also behind a proxy that does not forward Host."""
    client = create_app(Config(sandbox=True, public=True, api_key=KEY)).test_client()
    headers = {"Origin": "https://mcp.example.com", **SAME}
    assert outcome(client.post("/mcp", json=PING, headers=headers)) == (200, PONG)


SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize("host", ["mcp.example.com", "127.0.0.1:8000", "internal", ""])
@pytest.mark.parametrize("public", [True, False])
def test_a_same_origin_https_page_may_call_under_any_host(public: bool, host: str) -> None:
    """Ours: Passenger and proxies that drop Host would make the server reject its own page. Spec: Fetch Metadata."""
    client = create_app(Config(sandbox=True, public=public)).test_client()
    headers = {"Origin": "https://mcp.example.com:8443", **SAME}
    response = client.post("/mcp", json=PING, headers=headers, environ_overrides={"HTTP_HOST": host})
    assert outcome(response) == (200, PONG)


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        pytest.param("http://evil.example:8000", "same-origin", id="DNS rebinding, without a certificate"),
        pytest.param("http://mcp.example.com", "same-origin", id="own page over plain HTTP"),
        pytest.param("https://evil.example", "cross-site", id="another site"),
        pytest.param("https://evil.example.com", "same-site", id="another name of the same site"),
        pytest.param("https://mcp.example.com", "none", id="not a page"),
        pytest.param("https://mcp.example.com", None, id="no Sec-Fetch-Site"),
        pytest.param("https://mcp.example.com", "Same-Origin", id="wrong case of the value"),
        pytest.param("https://mcp.example.com", "same-origin, cross-site", id="two values"),
        pytest.param("null", "same-origin", id="opaque origin"),
        pytest.param("https://", "same-origin", id="no host"),
        pytest.param("https://mcp.example.com/x", "same-origin", id="origin with a path"),
        pytest.param("https://a@mcp.example.com", "same-origin", id="user information"),
    ],
)
def test_sec_fetch_site_does_not_admit_any_other_page(mcp: Mcp, origin: str, site: str | None) -> None:
    """Ours: only browsers set both headers, and they must report a same-origin page over HTTPS."""
    response = mcp.post(PING, {"Origin": origin, **({} if site is None else {"Sec-Fetch-Site": site})})
    assert outcome(response) == (403, FORBIDDEN)
    assert cors(response) == {}


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(("path", "start"), [("/mcp", "./"), ("/mcp/", "../")])
@pytest.mark.parametrize("accept", [BROWSER, "text/html", "Text/HTML"])
def test_a_browser_on_the_endpoint_gets_a_link_to_the_start_page(
    client: FlaskClient, path: str, start: str, accept: str
) -> None:
    """Ours: still 405. The link works under every prefix, and the page needs no exception in the security policy."""
    response = client.get(path, headers={"Accept": accept})
    assert (response.status_code, response.headers["Allow"]) == (405, "POST, OPTIONS")
    assert response.content_type == "text/html; charset=utf-8"
    page = response.get_data(as_text=True)
    assert re.findall(r'(?:href|src)="([^"]+)"', page) == [start, start]
    assert "MCP" in page
    assert "客户端" in page
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["Cache-Control"] == "no-store"
    head = client.head(path, headers={"Accept": accept})
    assert (head.status_code, head.data, head.content_length) == (405, b"", len(response.data))


@pytest.mark.parametrize(
    ("method", "accept"),
    [
        ("GET", "text/event-stream"),
        ("GET", "*/*"),
        ("GET", ""),
        ("GET", "text/html, text/event-stream"),
        ("GET", "application/json, text/html"),
        ("DELETE", BROWSER),
        ("PUT", BROWSER),
    ],
)
def test_a_program_on_the_endpoint_never_gets_html(client: FlaskClient, method: str, accept: str) -> None:
    """Ours: a request that accepts a media type of MCP, or is not a GET, comes from a program."""
    message = "Method Not Allowed: this server has no sessions; send each message by POST"
    assert outcome(client.open("/mcp", method=method, headers={"Accept": accept})) == (405, refusal(message))


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "DELETE"])
def test_an_mcp_request_to_the_root_gets_the_path_of_the_endpoint(client: FlaskClient, method: str) -> None:
    """Ours: a URL without its path is the most common mistake. The root is the page for people."""
    response = client.open("/", method=method)
    assert outcome(response) == (405, {"error": "method_not_allowed", "message": "the MCP endpoint is /mcp"})
    assert response.headers["Allow"] == "GET, HEAD"


def test_only_loopback_pages_may_call_by_default() -> None:
    """Ours: the default is safe, also for applications that use the blueprint elsewhere."""
    assert Origins().accept("http://localhost:6274", "mcp.example.com")
    assert not Origins().accept("https://mcp.example.com", "mcp.example.com")


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
@pytest.mark.parametrize("extra", [{}, {"Access-Control-Request-Headers": "authorization,mcp-method"}])
def test_a_preflight_needs_no_key_and_has_no_body(client: FlaskClient, path: str, extra: dict[str, str]) -> None:
    """Spec: Fetch, "CORS-preflight request"."""
    headers = {"Origin": PAGE, "Access-Control-Request-Method": "POST", **extra}
    response = client.options(path, headers=headers)
    assert (response.status_code, response.data, response.headers.get("Content-Type")) == (204, b"", None)
    assert cors(response) == {"Access-Control-Allow-Origin": PAGE, **CORS}


def test_options_without_an_origin_are_answered_without_cors(client: FlaskClient) -> None:
    """Spec: RFC 9110, section 9.3.7: with Allow. Ours: without an Origin, there is nothing to grant."""
    response = client.options("/mcp")
    assert (response.status_code, response.data, cors(response)) == (204, b"", {})
    assert response.headers["Allow"] == "POST, OPTIONS"


@pytest.mark.parametrize(
    ("method", "body", "headers", "status"),
    [
        pytest.param("POST", b"{", JSON, 400, id="parse error"),
        pytest.param("POST", BODY, {**JSON, "MCP-Protocol-Version": "v999"}, 400, id="unsupported version"),
        pytest.param("POST", BODY, {**JSON, "MCP-Protocol-Version": "2026-07-28"}, 400, id="modern, no metadata"),
        pytest.param("GET", b"", {}, 405, id="wrong method"),
        pytest.param("POST", BODY.ljust(LIMIT + 1), JSON, 413, id="too large"),
        pytest.param("POST", BODY, {"Content-Type": "text/plain"}, 415, id="wrong media type"),
        pytest.param("POST", b'{"jsonrpc":"2.0","method":"a"}', JSON, 202, id="notification"),
    ],
)
def test_an_allowed_page_may_read_every_response(
    client: FlaskClient, method: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    """Spec: Fetch, "CORS protocol". Ours: without its headers, an error looks like a lost connection to a page."""
    response = client.open("/mcp", method=method, data=body, headers={**headers, "Origin": PAGE})
    assert response.status_code == status
    assert cors(response) == {"Access-Control-Allow-Origin": PAGE, **CORS}


@pytest.mark.parametrize("given", ["a", "req-1.2_3", "A" * 64])
def test_the_request_id_of_a_client_is_kept(mcp: Mcp, log_lines: list[str], given: str) -> None:
    """Ours: X-Request-ID connects the log lines of a router and of this service."""
    assert mcp.post(PING, {"X-Request-ID": given}).headers["X-Request-ID"] == given
    assert f" request_id={given} " in log_lines[-1]


@pytest.mark.parametrize("given", [None, "", "a b", "A" * 65, "a,b", "é", 'x" outcome=ok', "a\n"])
def test_a_request_id_is_generated_unless_a_valid_one_is_sent(
    mcp: Mcp, log_lines: list[str], given: str | None
) -> None:
    """Ours: clients cannot inject text into a log line, and generated ids are unique."""
    made = set()
    for _ in range(2):
        overrides = {} if given is None else {"HTTP_X_REQUEST_ID": given}
        response = mcp.client.post("/mcp", json=PING, environ_overrides=overrides)
        made.add(response.headers["X-Request-ID"])
        assert f" request_id={response.headers['X-Request-ID']} " in log_lines[-1]
    assert len(made) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", value) for value in made)


@pytest.mark.parametrize(
    ("method", "body", "headers"),
    [
        pytest.param("OPTIONS", b"", {}, id="204"),
        pytest.param("POST", b"{", JSON, id="400"),
        pytest.param("POST", BODY, {**JSON, "Origin": "null"}, id="403"),
        pytest.param("GET", b"", {}, id="405"),
        pytest.param("POST", BODY.ljust(LIMIT + 1), JSON, id="413"),
        pytest.param("POST", BODY, {}, id="415"),
    ],
)
def test_every_response_of_the_endpoint_has_the_request_id(
    client: FlaskClient, log_lines: list[str], method: str, body: bytes, headers: dict[str, str]
) -> None:
    """Ours: operators look up rejected requests in the log like any other."""
    response = client.open("/mcp", method=method, data=body, headers={**headers, "X-Request-ID": "me"})
    assert response.headers["X-Request-ID"] == "me"
    size = len(response.data)
    http = rf"http_method={method} path=/mcp status={response.status_code} bytes={size} ms=[\d.]+"
    assert re.fullmatch(rf"\S+Z level=info msg=request {http} request_id=me( outcome=-?\d+)?", log_lines[-1])


QUERY = {"name": "query_video_status", "arguments": {"task_id": "sandbox-completed"}}
TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"}
TRACED = "trace_id=0af7651916cd43dd8448eb211c80319c"
SPENT = r"upstream_ms=[\d.]+"
JOB = "task_id=sandbox-completed key=caller"


@pytest.mark.parametrize(
    ("method", "params", "pairs"),
    [
        pytest.param("server/discover", {}, "outcome=ok", id="method"),
        pytest.param("tools/list", {"_meta": {**META, **TRACE}}, "outcome=ok", id="trace context"),
        pytest.param("tools/call", {"name": "gen_video"}, "tool=gen_video outcome=tool_error", id="tool error"),
        pytest.param("tools/call", QUERY, rf"tool=query_video_status {JOB} outcome=ok {SPENT}", id="upstream call"),
        pytest.param("tools/call", {"name": 1}, "tool=unknown outcome=-32602", id="protocol error"),
    ],
)
def test_each_call_is_logged_in_one_line_with_its_outcome(
    mcp: Mcp, log_lines: list[str], method: str, params: dict[str, Any], pairs: str
) -> None:
    """Ours: request id, era, method, tool, outcome, milliseconds, upstream milliseconds, trace id; never the key."""
    response = mcp.modern(method, params, {"X-Request-ID": "me", "Authorization": f"Bearer {KEY}"})
    (line,) = log_lines
    http = rf"http_method=POST path=/mcp status={response.status_code} bytes={len(response.data)} ms=[\d.]+"
    start = rf"ts=\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z level=info msg=request {http} request_id=me"
    traced = f" {TRACED}" if "_meta" in params else ""
    assert re.fullmatch(rf"{start}{traced} era=modern method={method} {pairs}", line)


@pytest.mark.parametrize(
    ("method", "body", "status", "lengths", "sent"),
    [
        pytest.param("POST", BODY, "200 OK", ["36"], b'{"jsonrpc":"2.0","id":1,"result":{}}', id="response"),
        pytest.param("POST", BODY.replace(b'"id":1,', b""), "202 ACCEPTED", ["0"], b"", id="202 without a body"),
        pytest.param("OPTIONS", b"", "204 NO CONTENT", [], b"", id="204"),
    ],
)
def test_the_wsgi_server_gets_exactly_the_response(
    app: Flask, method: str, body: bytes, status: str, lengths: list[str], sent: bytes
) -> None:
    """Spec: RFC 9110, sections 8.6 and 9.3.2. Ours: some servers forward bytes that they should drop."""
    environ = create_environ("/mcp", method=method, data=body, content_type="application/json")
    iterable, line, headers = run_wsgi_app(app, environ)
    assert (line, headers.getlist("Content-Length"), b"".join(iterable)) == (status, lengths, sent)


def test_head_gets_the_headers_of_get_without_a_body(app: Flask, client: FlaskClient) -> None:
    """Spec: RFC 9110, section 9.3.2."""
    get = client.get("/mcp")
    iterable, _, headers = run_wsgi_app(app, create_environ("/mcp", method="HEAD"))
    assert headers["Content-Length"] == str(len(get.data)) != "0"
    assert b"".join(iterable) == b""
