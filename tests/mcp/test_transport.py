"""The endpoint over HTTP: paths, methods, media types, sizes, Origin, CORS and the log line of a call."""

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
from tests.support.messages import KEY, META, NOT_FOUND, PING, PONG, Mcp, outcome, refusal

BODY = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
JSON = {"Content-Type": "application/json"}
LIMIT = 1_000  # bytes
PAGE = "https://app.example.com"  # listed
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
    """Return the headers that CORS is made of."""
    return {name: value for name, value in response.headers if name == "Vary" or name.startswith("Access-Control-")}


class Unread(io.RawIOBase):
    """A body that must not be read."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise AssertionError("the body was read")


class Failing(io.RawIOBase):
    """A body whose connection breaks, as a WSGI server tells it."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise self.failure


@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/mcp?a=1", "/mcp/?"])
def test_the_endpoint_answers_with_and_without_a_slash_and_never_redirects(mcp: Mcp, path: str) -> None:
    """Ours: clients lose their Authorization on a redirect, or pay it on every call."""
    assert outcome(mcp.post(PING, path=path)) == (200, PONG)


def test_slashes_before_the_path_are_neither_refused_nor_redirected(client: FlaskClient) -> None:
    """Ours: Werkzeug skips them, and a base URL with a slash at its end gives such a path."""
    overrides = {"PATH_INFO": "//mcp"}
    assert outcome(client.post("/", json=PING, environ_overrides=overrides)) == (200, PONG)


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
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
def test_an_unknown_path_is_not_found_in_words_that_oauth_clients_parse(
    client: FlaskClient, path: str, method: str
) -> None:
    """Ours: `error` is a string; some clients parse the body of a well-known path as an OAuth error."""
    raw = path.encode().decode("latin-1")
    response = client.open("/", method=method, environ_overrides={"PATH_INFO": raw})
    assert outcome(response) == (404, NOT_FOUND)
    assert "Location" not in response.headers


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH", "TRACE", "CONNECT", "BREW", "post"])
def test_any_other_method_is_not_allowed_before_anything_else_is_looked_at(
    client: FlaskClient, method: str, path: str
) -> None:
    """Spec: 2025-11-25, basic/transports: 405 for GET without a stream. RFC 9110, section 15.5.6: with Allow."""
    message = "Method Not Allowed: this server has no sessions; send each message by POST"
    overrides = {"REQUEST_METHOD": method, "wsgi.input": Unread()}
    made_up = method in ("CONNECT", "BREW")
    for headers in ({}, {"Accept": "text/event-stream"}, {"Authorization": "Bearer a b", "Content-Type": "text/html"}):
        response = client.open(path, headers=headers, environ_overrides=overrides)
        assert outcome(response) == (405, {"error": "method_not_allowed"} if made_up else refusal(message))
        assert {"POST", "OPTIONS"} <= set(response.headers["Allow"].split(", "))
        assert made_up or response.headers["Allow"] == "POST, OPTIONS"


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
    """Spec: RFC 9110, section 8.3.1: a media type is compared without case and parameters."""
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
    """Ours: 415. Without it a page could post without a preflight."""
    message = "Unsupported Media Type: send the message with Content-Type: application/json"
    assert outcome(mcp.post(BODY, {"Content-Type": media_type})) == (415, refusal(message))


def test_a_body_without_a_media_type_is_unsupported(client: FlaskClient) -> None:
    """Ours: 415."""
    message = "Unsupported Media Type: send the message with Content-Type: application/json"
    assert outcome(client.post("/mcp", data=BODY)) == (415, refusal(message))


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity", "GZIP"])
def test_an_encoded_body_is_unsupported(mcp: Mcp, encoding: str) -> None:
    """Spec: RFC 9110, section 15.5.16. Ours: no content coding is understood."""
    message = "Unsupported Media Type: send the message without Content-Encoding"
    assert outcome(mcp.post(BODY, {"Content-Encoding": encoding})) == (415, refusal(message))


@pytest.mark.parametrize("encoding", ["identity", "Identity"])
def test_the_identity_encoding_is_none(mcp: Mcp, encoding: str) -> None:
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
    """Spec: 2026-07-28, streamable-http "Sending Messages". Ours: clients exist that name only one of the two."""
    headers = {} if accept is None else {"Accept": accept}
    assert outcome(mcp.post(PING, headers)) == (200, PONG)
    assert mcp.modern("server/discover", {}, headers).content_type == "application/json"


TOO_LARGE = "Content Too Large: the limit is 1000 bytes; nothing was started or charged; give images as URLs"
LENGTH_REQUIRED = "Length Required: this server hands no chunked body over; send a Content-Length"


def test_a_body_as_large_as_the_limit_is_read(mcp: Mcp) -> None:
    """Ours: max_body counts the bytes that are allowed."""
    assert outcome(mcp.post(BODY.ljust(LIMIT))) == (200, PONG)


def test_a_body_that_announces_too_much_is_refused_unread(client: FlaskClient) -> None:
    """Spec: RFC 9110, section 15.5.14."""
    overrides = {"CONTENT_LENGTH": str(LIMIT + 1), "wsgi.input": Unread()}
    response = client.post("/mcp", headers=JSON, environ_overrides=overrides)
    assert outcome(response) == (413, refusal(TOO_LARGE))


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        pytest.param(BODY.ljust(LIMIT), (200, PONG), id="at the limit"),
        pytest.param(BODY.ljust(LIMIT + 1), (413, refusal(TOO_LARGE)), id="one byte more"),
        pytest.param(BODY.ljust(1_000_000), (413, refusal(TOO_LARGE)), id="much more"),
    ],
)
def test_a_body_of_unknown_length_is_read_to_the_limit(client: FlaskClient, body: bytes, answer: Any) -> None:
    """Spec: RFC 9110, section 15.5.14; RFC 9112, section 7.1: a chunked body announces no length."""
    overrides = {"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True}
    assert outcome(client.post("/mcp", headers=JSON, environ_overrides=overrides)) == answer


class Dripping(io.BytesIO):
    """A body of which each read gives no more than three bytes."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 3, 3))


def test_a_body_that_comes_in_pieces_is_read_to_its_end(client: FlaskClient) -> None:
    """Ours: a WSGI server may return less than was asked for."""
    overrides = {"wsgi.input": Dripping(BODY), "wsgi.input_terminated": True}
    assert outcome(client.post("/mcp", headers=JSON, environ_overrides=overrides)) == (200, PONG)


@pytest.mark.parametrize(
    ("length", "answer"),
    [
        pytest.param(str(len(BODY)), (200, PONG), id="put together by a proxy"),
        pytest.param(str(LIMIT + 1), (413, refusal(TOO_LARGE)), id="put together, and too large"),
        pytest.param("", (411, refusal(LENGTH_REQUIRED)), id="not handed over"),
    ],
)
def test_a_chunked_body_on_a_host_without_them_is_read_by_its_length(
    client: FlaskClient, length: str, answer: Any
) -> None:
    """Ours: uWSGI behind nginx tells the length, uWSGI by itself hands nothing over (docs/deploy/uwsgi.md)."""
    headers = {**JSON, "Transfer-Encoding": "chunked"}
    overrides = {"CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(BODY)}
    assert outcome(client.post("/mcp", headers=headers, environ_overrides=overrides)) == answer


@pytest.mark.parametrize("coding", ["gzip, chunked", "identity, chunked", "gzip,chunked", "zork", "chunked, chunked"])
def test_a_body_with_another_transfer_coding_is_refused_unread(client: FlaskClient, coding: str) -> None:
    """Spec: RFC 9112, section 7. Ours: 400; section 6.1 has 501, but no bad request is a failure of ours."""
    message = "Bad Request: send the message without a Transfer-Encoding other than chunked"
    overrides = {"wsgi.input": Unread(), "wsgi.input_terminated": True}
    headers = {**JSON, "Transfer-Encoding": coding}
    assert outcome(client.post("/mcp", headers=headers, environ_overrides=overrides)) == (400, refusal(message))


@pytest.mark.parametrize("coding", ["chunked", "Chunked", " chunked "])
def test_chunks_are_the_transfer_coding_that_is_read(client: FlaskClient, coding: str) -> None:
    """Spec: RFC 9112, section 7: names of codings are compared without case."""
    overrides = {"wsgi.input": io.BytesIO(BODY), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": coding}
    assert outcome(client.post("/mcp", headers=JSON, environ_overrides=overrides)) == (200, PONG)


def test_the_limit_holds_8_mib_where_nothing_else_is_said() -> None:
    """Ours: images travel as Base64 inside a message."""
    mcp = Mcp(create_app(Config(sandbox=True)).test_client())
    assert outcome(mcp.post(BODY.ljust(8 * 1024 * 1024))) == (200, PONG)
    refused = refusal(TOO_LARGE.replace("1000", "8388608"))
    assert outcome(mcp.post(BODY.ljust(8 * 1024 * 1024 + 1))) == (413, refused)


UNREADABLE = refusal("Parse error: the body could not be read to its end; nothing was started or charged", -32700)


@pytest.mark.parametrize(
    "failure",
    [OSError("reset"), ValueError("bad chunk"), TimeoutError(), EOFError(), RuntimeError("internals")],
    ids=lambda failure: type(failure).__name__,
)
def test_a_body_that_breaks_off_is_a_parse_error(client: FlaskClient, log_lines: list[str], failure: Exception) -> None:
    """Ours: each WSGI server raises in its own way for a bad chunk or a lost connection; none may give a 5xx."""
    overrides = {"CONTENT_LENGTH": "40", "wsgi.input": Failing(failure)}
    response = client.post("/mcp", headers=JSON, environ_overrides=overrides)
    assert outcome(response) == (400, UNREADABLE)
    request_id = response.headers["X-Request-ID"]
    assert f' info "unreadable body" request_id={request_id} reason=' in log_lines[0]
    assert str(failure) == "" or str(failure) not in log_lines[0]  # it may repeat what was sent


def test_a_body_that_is_late_is_a_timeout(client: FlaskClient, log_lines: list[str]) -> None:
    """Spec: RFC 9110, section 15.5.9. Ours: a server with limits for its clients raises TimeoutError."""
    overrides = {"CONTENT_LENGTH": "40", "wsgi.input": Failing(TimeoutError()), "wsgi.input_terminated": True}
    response = client.post("/mcp", headers=JSON, environ_overrides=overrides)
    late = "Request Timeout: the body did not come to its end in time; nothing was started or charged"
    assert outcome(response) == (408, refusal(late))
    assert " reason=TimeoutError" in log_lines[0]


@pytest.mark.parametrize("length", ["40", "100"])
def test_a_body_shorter_than_announced_is_refused(client: FlaskClient, length: str) -> None:
    """Spec: RFC 9112, section 8: an incomplete message is not used."""
    overrides = {"CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(BODY[:20])}
    assert outcome(client.post("/mcp", headers=JSON, environ_overrides=overrides)) == (400, UNREADABLE)


@pytest.mark.parametrize("length", ["", "0", "-1", "x", "1.5"])
def test_a_body_of_no_usable_length_is_empty(client: FlaskClient, length: str) -> None:
    """Ours: without a length and without chunks there is no body; the answer says that it is not JSON."""
    overrides = {"CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(BODY)}
    status, answer = outcome(client.post("/mcp", headers=JSON, environ_overrides=overrides))
    assert (status, answer["id"], answer["error"]["code"]) == (400, None, -32700)


FORBIDDEN = refusal("Forbidden: pages of this Origin may not call this server; see SCENEXT_ALLOWED_ORIGINS")
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
    """Spec: 2026-07-28, streamable-http "Security & Endpoint". Fetch, "CORS protocol": the answer names the origin."""
    response = mcp.post(PING, {"Origin": origin})
    assert outcome(response) == (200, PONG)
    assert cors(response) == {"Access-Control-Allow-Origin": origin, **CORS}


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "GET"])
@pytest.mark.parametrize("origin", REFUSED_ORIGINS)
def test_a_page_of_any_other_origin_is_forbidden_whatever_it_sends(
    client: FlaskClient, origin: str, method: str
) -> None:
    """Spec: 2026-07-28, streamable-http "Security & Endpoint": 403. Whole origins count, never parts of them."""
    headers = {"Origin": origin, "Authorization": f"Bearer {KEY}", **JSON}
    response = client.open("/mcp", method=method, headers=headers, environ_overrides={"wsgi.input": Unread()})
    assert outcome(response) == (403, FORBIDDEN)
    assert cors(response) == {}


def test_a_call_that_comes_from_no_page_is_answered_without_cors(mcp: Mcp) -> None:
    """Spec: 2026-07-28, streamable-http "Security & Endpoint": only an Origin that is present is validated."""
    response = mcp.post(PING)
    assert (response.status_code, cors(response)) == (200, {})


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://[::1].evil.example"])
def test_every_page_may_call_where_the_operator_says_so(origin: str) -> None:
    """Ours: SCENEXT_ALLOWED_ORIGINS=*."""
    app = create_app(Config(sandbox=True, allowed_origins=frozenset({"*"})))
    response = Mcp(app.test_client()).post(PING, {"Origin": origin})
    assert outcome(response) == (200, PONG)
    assert cors(response) == {"Access-Control-Allow-Origin": origin, **CORS}


@pytest.mark.parametrize(
    ("public", "origin", "host", "status"),
    [
        pytest.param(True, "https://mcp.example.com", "mcp.example.com", 200, id="its own"),
        pytest.param(True, "https://MCP.example.com", "mcp.EXAMPLE.com", 200, id="its own, in other cases"),
        pytest.param(True, "http://mcp.example.com:8080", "mcp.example.com:8080", 200, id="its own, with a port"),
        pytest.param(True, "https://evil.example", "mcp.example.com", 403, id="another"),
        pytest.param(True, "https://mcp.example.com.evil.example", "mcp.example.com", 403, id="its own and more"),
        pytest.param(True, "https://mcp.example.com:8443", "mcp.example.com", 403, id="another port"),
        pytest.param(True, "ftp://mcp.example.com", "mcp.example.com", 403, id="another scheme"),
        pytest.param(True, "https://a@mcp.example.com", "a@mcp.example.com", 403, id="user information"),
        pytest.param(True, "http://", "", 403, id="no host at all"),
        pytest.param(False, "https://mcp.example.com", "mcp.example.com", 403, id="its own, on a loopback server"),
        pytest.param(False, "http://evil.example:5000", "evil.example:5000", 403, id="DNS rebinding"),
    ],
)
def test_a_page_of_the_servers_own_host_may_call_only_a_public_server(
    public: bool, origin: str, host: str, status: int
) -> None:
    """Spec: 2026-07-28, streamable-http "Security & Endpoint". On a loopback server it would be DNS rebinding."""
    mcp = Mcp(create_app(Config(sandbox=True, public=public)).test_client())
    overrides = {"HTTP_HOST": host}
    response = mcp.client.post("/mcp", json=PING, headers={"Origin": origin}, environ_overrides=overrides)
    assert outcome(response) == (status, PONG if status == 200 else FORBIDDEN)
    assert cors(response) == ({"Access-Control-Allow-Origin": origin, **CORS} if status == 200 else {})


SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize("host", ["mcp.example.com", "127.0.0.1:8000", "internal", ""])
@pytest.mark.parametrize("public", [True, False])
def test_a_page_of_this_server_over_https_may_call_whatever_the_host(public: bool, host: str) -> None:
    """Ours: behind Passenger or a proxy that drops Host the own page would be refused. Spec: Fetch Metadata."""
    client = create_app(Config(sandbox=True, public=public)).test_client()
    headers = {"Origin": "https://mcp.example.com:8443", **SAME}
    response = client.post("/mcp", json=PING, headers=headers, environ_overrides={"HTTP_HOST": host})
    assert outcome(response) == (200, PONG)


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        pytest.param("http://evil.example:8000", "same-origin", id="DNS rebinding, which needs no certificate"),
        pytest.param("http://mcp.example.com", "same-origin", id="its own, over plain HTTP"),
        pytest.param("https://evil.example", "cross-site", id="another site"),
        pytest.param("https://evil.example.com", "same-site", id="another name of the same site"),
        pytest.param("https://mcp.example.com", "none", id="no page"),
        pytest.param("https://mcp.example.com", None, id="a browser that says nothing"),
        pytest.param("https://mcp.example.com", "Same-Origin", id="no word of the specification"),
        pytest.param("https://mcp.example.com", "same-origin, cross-site", id="two words"),
        pytest.param("null", "same-origin", id="an opaque origin"),
        pytest.param("https://", "same-origin", id="no host"),
        pytest.param("https://mcp.example.com/x", "same-origin", id="more than an origin"),
        pytest.param("https://a@mcp.example.com", "same-origin", id="user information"),
    ],
)
def test_no_other_page_may_call_by_saying_where_it_is_from(mcp: Mcp, origin: str, site: str | None) -> None:
    """Ours: only what a browser says of a page that came over HTTPS from here; no page can write either header."""
    response = mcp.post(PING, {"Origin": origin, **({} if site is None else {"Sec-Fetch-Site": site})})
    assert outcome(response) == (403, FORBIDDEN)
    assert cors(response) == {}


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(("path", "start"), [("/mcp", "./"), ("/mcp/", "../")])
@pytest.mark.parametrize("accept", [BROWSER, "text/html", "Text/HTML"])
def test_a_browser_on_the_endpoint_is_told_where_people_start(
    client: FlaskClient, path: str, start: str, accept: str
) -> None:
    """Ours: still 405, with a link that is right under every prefix, and nothing that a policy need allow."""
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
def test_a_client_on_the_endpoint_never_gets_html(client: FlaskClient, method: str, accept: str) -> None:
    """Ours: who takes a media type of MCP, or sends something else than GET, is a program."""
    message = "Method Not Allowed: this server has no sessions; send each message by POST"
    assert outcome(client.open("/mcp", method=method, headers={"Accept": accept})) == (405, refusal(message))


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "DELETE"])
def test_a_client_at_the_root_is_told_where_the_endpoint_is(client: FlaskClient, method: str) -> None:
    """Ours: a URL without its path is the most common mistake; the root is the page for people."""
    response = client.open("/", method=method)
    assert outcome(response) == (405, {"error": "method_not_allowed", "message": "the MCP endpoint is /mcp"})
    assert response.headers["Allow"] == "GET, HEAD"


def test_no_page_but_a_loopback_one_may_call_where_nothing_is_said() -> None:
    """Ours: the safe choice is the default, also for who uses the blueprint elsewhere."""
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
    """Spec: RFC 9110, section 9.3.7: with Allow. Ours: no page asks, so nothing is granted."""
    response = client.options("/mcp")
    assert (response.status_code, response.data, cors(response)) == (204, b"", {})
    assert response.headers["Allow"] == "POST, OPTIONS"


@pytest.mark.parametrize(
    ("method", "body", "headers", "status"),
    [
        pytest.param("POST", b"{", JSON, 400, id="parse error"),
        pytest.param("POST", BODY, {**JSON, "MCP-Protocol-Version": "v999"}, 400, id="unsupported version"),
        pytest.param("POST", BODY, {**JSON, "MCP-Protocol-Version": "2026-07-28"}, 400, id="modern, no metadata"),
        pytest.param("GET", b"", {}, 405, id="method"),
        pytest.param("POST", BODY.ljust(LIMIT + 1), JSON, 413, id="size"),
        pytest.param("POST", BODY, {"Content-Type": "text/plain"}, 415, id="media type"),
        pytest.param("POST", b'{"jsonrpc":"2.0","method":"a"}', JSON, 202, id="notification"),
    ],
)
def test_a_page_may_read_every_answer_that_is_not_its_refusal(
    client: FlaskClient, method: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    """Spec: Fetch, "CORS protocol". Ours: without its headers a page sees an error as a lost connection."""
    response = client.open("/mcp", method=method, data=body, headers={**headers, "Origin": PAGE})
    assert response.status_code == status
    assert cors(response) == {"Access-Control-Allow-Origin": PAGE, **CORS}


@pytest.mark.parametrize("given", ["a", "req-1.2_3", "A" * 64])
def test_the_request_id_of_a_caller_is_taken_over(mcp: Mcp, log_lines: list[str], given: str) -> None:
    """Ours: X-Request-ID joins the lines of a router and of this service."""
    assert mcp.post(PING, {"X-Request-ID": given}).headers["X-Request-ID"] == given
    assert f" request_id={given} " in log_lines[-1]


@pytest.mark.parametrize("given", [None, "", "a b", "A" * 65, "a,b", "é", 'x" outcome=ok', "a\n"])
def test_a_request_id_is_made_where_none_is_usable(mcp: Mcp, log_lines: list[str], given: str | None) -> None:
    """Ours: nobody writes into a log line; two requests never share an id that was made."""
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
def test_every_answer_of_the_endpoint_has_the_request_id(
    client: FlaskClient, log_lines: list[str], method: str, body: bytes, headers: dict[str, str]
) -> None:
    """Ours: a refusal is looked up in the log like any call."""
    response = client.open("/mcp", method=method, data=body, headers={**headers, "X-Request-ID": "me"})
    assert response.headers["X-Request-ID"] == "me"
    size = len(response.data)
    pattern = rf"\S+Z info request http_method={method} path=/mcp status={response.status_code} bytes={size} ms=[\d.]+"
    assert re.fullmatch(rf"{pattern} request_id=me( outcome=-?\d+)?", log_lines[-1])


QUERY = {"name": "query_video_status", "arguments": {"task_id": "sandbox-completed"}}
TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"}
TRACED = "trace_id=0af7651916cd43dd8448eb211c80319c"
SPENT = r"upstream_ms=[\d.]+"


@pytest.mark.parametrize(
    ("method", "params", "pairs"),
    [
        pytest.param("server/discover", {}, "outcome=ok", id="method"),
        pytest.param("tools/list", {"_meta": {**META, **TRACE}}, "outcome=ok", id="trace"),
        pytest.param("tools/call", {"name": "gen_video"}, "tool=gen_video outcome=tool_error", id="tool"),
        pytest.param("tools/call", QUERY, rf"tool=query_video_status outcome=ok {SPENT}", id="upstream"),
        pytest.param("tools/call", {"name": 1}, "tool=unknown outcome=-32602", id="error"),
    ],
)
def test_a_call_leaves_one_line_that_says_what_came_of_it(
    mcp: Mcp, log_lines: list[str], method: str, params: dict[str, Any], pairs: str
) -> None:
    """Ours: request id, era, method, tool, outcome, milliseconds, upstream milliseconds, trace id; never the key."""
    response = mcp.modern(method, params, {"X-Request-ID": "me", "Authorization": f"Bearer {KEY}"})
    (line,) = log_lines
    http = rf"http_method=POST path=/mcp status={response.status_code} bytes={len(response.data)} ms=[\d.]+"
    start = rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z info request {http} request_id=me"
    traced = f" {TRACED}" if "_meta" in params else ""
    assert re.fullmatch(rf"{start}{traced} era=modern method={method} {pairs}", line)


@pytest.mark.parametrize(
    ("method", "body", "status", "lengths", "sent"),
    [
        pytest.param("POST", BODY, "200 OK", ["36"], b'{"jsonrpc":"2.0","id":1,"result":{}}', id="answer"),
        pytest.param("POST", BODY.replace(b'"id":1,', b""), "202 ACCEPTED", ["0"], b"", id="acknowledgement"),
        pytest.param("OPTIONS", b"", "204 NO CONTENT", [], b"", id="no-content"),
    ],
)
def test_the_wsgi_server_gets_the_whole_answer_and_nothing_else(
    app: Flask, method: str, body: bytes, status: str, lengths: list[str], sent: bytes
) -> None:
    """Spec: RFC 9110, sections 8.6 and 9.3.2. Ours: some servers pass on what they should drop."""
    environ = create_environ("/mcp", method=method, data=body, content_type="application/json")
    iterable, line, headers = run_wsgi_app(app, environ)
    assert (line, headers.getlist("Content-Length"), b"".join(iterable)) == (status, lengths, sent)


def test_an_answer_to_head_is_that_to_get_without_its_body(app: Flask, client: FlaskClient) -> None:
    """Spec: RFC 9110, section 9.3.2."""
    get = client.get("/mcp")
    iterable, _, headers = run_wsgi_app(app, create_environ("/mcp", method="HEAD"))
    assert headers["Content-Length"] == str(len(get.data)) != "0"
    assert b"".join(iterable) == b""
