"""The threats to a sign-in and the traps in it. Each row of the table in docs/operating.md has a test here."""

import base64
import html
import io
import re
import subprocess
import sys
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from flask.testing import FlaskClient

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.signin.clients import MAX_ID, Client
from scenext_service.tools.failure_texts import TEXTS
from tests.support.messages import BEARER, Mcp
from tests.support.pages import ROOT
from tests.support.signing_in import (
    CLAUDE,
    INITIALIZE,
    LOOPBACK,
    ORIGIN,
    OTHER_SECRET,
    OWN_PAGE,
    PATH,
    SECRET,
    URL,
    Host,
    answer,
    oauth_error,
    query,
)
from tests.support.upstream import Upstream

from .conftest import Time, client_of

KEY = "sentinel-key-4f9a1c7e2b"
SHARED = "sentinel-shared-key-8d2e"
TOKEN = "sentinel-token-71f5a8e93c"

EVIL = [
    "https://evil.example/api/mcp/auth_callback",
    "https://claude.ai.evil.example/api/mcp/auth_callback",
    "https://claude.ai@evil.example/api/mcp/auth_callback",
    "https://claude.ai/api/mcp/auth_callback?next=https://evil.example",
    "https://claude.ai/api/mcp/auth_callback#x",
    "https://claude.ai/api/mcp/auth_callback/",
    "https://claude.ai/logout",
    "https://claude.ai:8443/api/mcp/auth_callback",
    "http://claude.ai/api/mcp/auth_callback",
    "HTTPS://CLAUDE.AI/api/mcp/auth_callback",
    "https://chatgpt.com/connector/oauth/",
    "https://chatgpt.com/connector/oauth/a/b",
    "https://chatgpt.com/connector/oauth/" + "a" * 65,
    "https://chatgpt.com/connector/oauth/a%2F..",
    "https://vscode.dev/redirect",
    "https://www.cursor.com/agents/mcp/oauth/callback",
    "https://global.consent.azure-apim.net/redirect",
    "http://localhost.evil.example/",
    "http://127.0.0.1.evil.example/",
    "http://127.0.0.1:80@evil.example/",
    "http://127.0.0.1:123456/",
    "http://127.0.0.1:/x",
    "http://127.0.0.1/?a=b",
    "http://127.0.0.1/#a",
    "http://127.0.0.1/\r\nx",
    "http://127.0.0.1\\@evil.example/",
    "http://127.0.0.1/a\n",
    "http://127.0.0.2/",
    "http://[::2]/",
    "http://0.0.0.0/",
    "https://127.0.0.1/",
    "http://localhost:١٢/",
    "http://127.0.0.1/" + "a" * 120,
    "javascript:alert(1)",
    "data:text/html,x",
    "cursor://anysphere.cursor-retrieval/oauth/callback",
    "//claude.ai/api/mcp/auth_callback",
    "",
]


@pytest.mark.parametrize("uri", EVIL)
def test_no_client_can_register_another_address(client: FlaskClient, uri: str) -> None:
    """Ours: phishing. Anyone may register, so only whole addresses of known hosts and of this computer are kept."""
    response = client.post(f"{PATH}/register", json={"redirect_uris": [uri]})
    assert oauth_error(response) == (400, "invalid_redirect_uri")


@pytest.mark.parametrize("uri", EVIL)
def test_an_id_written_by_hand_cannot_name_another_address(host: Host, uri: str) -> None:
    """Ours: an id is no secret, and so each address in it is checked at each use."""
    host.client_id, host.redirect_uri = Client(0, "", (uri,)).id(), uri
    response = host.open()
    assert (response.status_code, response.headers.get("Location")) == (400, None)
    assert "<form" not in response.get_data(as_text=True)
    host.redirect_uri = CLAUDE
    host.client_id = Client(0, "", (CLAUDE, uri)).id()
    assert host.open().status_code == 400


def test_the_page_names_where_the_sign_in_goes(host: Host) -> None:
    """Ours: phishing. The host is a fact; the client's name is only its own word."""
    host.register(client_name="Scenext official")
    text = host.open().get_data(as_text=True)
    assert re.search(r"<h1>Your sign-in will be given to <b translate=\"no\">claude\.ai</b></h1>", text)
    assert "“Scenext official”" in text
    assert "(the name that it gave itself)" in text


def test_the_page_warns_of_a_program_on_this_computer(client: FlaskClient) -> None:
    """Ours: any program can listen on loopback."""
    text = Host(client, LOOPBACK).open().get_data(as_text=True)
    assert "<b>a program on this computer</b>" in text
    assert '<p class="note">Any program on this computer can ask for this.' in text
    assert "127.0.0.1:33418" not in re.sub(r'href="[^"]*"', "", text)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ORIGIN + ".evil.example"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "none"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": ""},
        {"Host": "evil.example", "Origin": "https://evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Host": "evil.example", "Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {"X-Forwarded-Host": "evil.example", "Origin": "https://evil.example"},
        {"Referer": f"{URL}/authorize"},
    ],
    ids=str,
)
def test_only_the_page_itself_can_send_its_form(host: Host, headers: dict[str, str]) -> None:
    """Ours: CSRF. Another page could otherwise connect a person's client to the attacker's account."""
    for form in ({"key": KEY}, {"cancel": "1"}):
        response = host.post(form, headers)
        assert (response.status_code, response.headers.get("Location")) == (403, None)
        assert "<form" not in response.get_data(as_text=True)


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": ORIGIN}, OWN_PAGE], ids=str)
def test_the_own_page_is_known_by_either_header(host: Host, headers: dict[str, str]) -> None:
    """Spec: Fetch Metadata. Ours: older browsers send only Origin."""
    assert host.post({"key": KEY}, headers).status_code == 302


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_cannot_be_framed_or_run_code(host: Host, language: str) -> None:
    """Ours: clickjacking and injection. The omitted directives would break the redirect or cut off the opener."""
    headers = host.open({"Accept-Language": language}).headers
    policy = re.sub(r"'sha256-[A-Za-z0-9+/]{43}='", "HASH", headers["Content-Security-Policy"])
    assert policy == ("default-src 'none'; style-src HASH; img-src 'self'; base-uri 'none'; frame-ancestors 'none'")
    assert (headers["X-Frame-Options"], headers["Referrer-Policy"]) == ("DENY", "same-origin")
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
    for name in ("Cross-Origin-Opener-Policy", "Set-Cookie", "Access-Control-Allow-Origin"):
        assert name not in headers


INJECTIONS = ["<script>x</script>", '"><img src=x>', "{{ 7*7 }}", "/* x */", "‮evil", "a\r\nb\x00c"]


@pytest.mark.parametrize("text", INJECTIONS)
def test_nothing_in_a_request_becomes_markup(host: Host, text: str) -> None:
    """Ours: injection. The name, the state and every other field are only text."""
    host.register(client_name=f"n{text}")
    shown = host.open(state=text, scope=text, other=text).get_data(as_text=True)
    assert "<script" not in shown
    assert "<img" not in shown
    assert "\u202e" not in shown
    assert "49" not in re.sub(r"<style>.*?</style>", "", re.sub(r'href="[^"]*"', "", shown), flags=re.DOTALL)
    rejected = host.client.get(f"{PATH}/authorize?{urlencode({'client_id': text, text: text})}")
    assert rejected.status_code == 400
    outside = re.sub(r'href="[^"]*"', "", rejected.get_data(as_text=True))
    assert [word for word in ("<script", "<img", "evil", "{{") if word in outside] == []


def test_a_page_about_an_invalid_request_repeats_nothing_of_it(host: Host) -> None:
    """Ours: only the link to the other language holds the request."""
    response = host.client.get(f"{PATH}/authorize?client_id=sentinel-a&state=sentinel-b&key=sentinel-c")
    text = response.get_data(as_text=True)
    assert response.status_code == 400
    assert text.count("sentinel") == 3
    assert 'href="?client_id=sentinel-a&amp;state=sentinel-b&amp;key=sentinel-c&amp;lang=zh"' in text


def test_a_stolen_code_is_worth_nothing_without_the_verifier(host: Host) -> None:
    """Spec: RFC 7636."""
    code = host.code(KEY)
    assert oauth_error(host.exchange(code, code_verifier="a" * 43)) == (400, "invalid_grant")
    assert oauth_error(host.exchange(code, code_verifier=None)) == (400, "invalid_request")
    assert host.exchange(code).status_code == 200


@pytest.mark.parametrize("method", [None, "plain", "", "s256"])
def test_only_s256_is_accepted(host: Host, method: str | None) -> None:
    """Spec: OAuth 2.1, section 4.1.1. Without a method, RFC 7636 means `plain`, which protects nothing."""
    assert answer(host.open(code_challenge_method=method))["error"] == "invalid_request"


def test_a_code_lives_for_a_minute(host: Host, time: Time) -> None:
    """Ours: an old code in a history or a log is worth nothing."""
    code, later = host.code(KEY), host.code(KEY)
    time.now += 60
    assert host.exchange(later).status_code == 200
    time.now += 1
    assert oauth_error(host.exchange(code)) == (400, "invalid_grant")


def test_a_code_is_exchanged_once(host: Host, config: Config, time: Time) -> None:
    """Spec: OAuth 2.1, section 4.1.3. Ours: also not at another process of this machine."""
    code = host.code(KEY)
    assert host.exchange(code).status_code == 200
    assert oauth_error(host.exchange(code)) == (400, "invalid_grant")
    other = Host(client_of(config, time))
    other.client_id = host.client_id
    assert oauth_error(other.exchange(code)) == (400, "invalid_grant")


def test_another_spelling_of_a_used_code_is_not_a_new_code(host: Host) -> None:
    """Ours: the decoder would accept stray characters, padding, and other values of the unused last bits."""
    code = host.code(KEY)
    assert host.exchange(code).status_code == 200
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet[alphabet.index(code[-1]) ^ 1]
    others = [code + "=", code + "\n", " " + code, code[:9] + "." + code[9:], code[:-1] + last, code + "A"]
    assert [oauth_error(host.exchange(one)) for one in others] == [(400, "invalid_grant")] * len(others)


def test_a_code_belongs_to_one_client_and_one_address(host: Host) -> None:
    """Spec: OAuth 2.1, section 4.1.3."""
    code, own = host.code(KEY), host.client_id
    host.register(client_name="Another client")
    assert oauth_error(host.exchange(code)) == (400, "invalid_grant")
    host.client_id = own
    assert oauth_error(host.exchange(code, redirect_uri=f"{CLAUDE}x")) == (400, "invalid_grant")
    assert host.exchange(code).status_code == 200


def test_codes_tokens_and_secrets_cannot_stand_for_each_other(host: Host) -> None:
    """Ours: each purpose has keys of its own."""
    code, token = host.code(KEY), host.sign_in(KEY)
    assert host.call(code).status_code == 401
    assert host.call(f"scenext-signin-{code}").status_code == 401
    assert oauth_error(host.exchange(token)) == (400, "invalid_grant")
    assert oauth_error(host.exchange(token.removeprefix("scenext-signin-"))) == (400, "invalid_grant")
    assert host.call(token).status_code == 200


def test_a_sign_in_is_valid_at_one_address(host: Host, time: Time) -> None:
    """Ours: a token for one URL does not open another, even with the same secret."""
    moved = Config(sandbox=True, oauth_url="https://other.example/mcp/signin", oauth_secret=(SECRET,))
    other = Host(client_of(moved, time))
    assert other.call(host.sign_in(KEY)).status_code == 401
    other.register()
    assert oauth_error(other.exchange(host.code(KEY))) == (400, "invalid_grant")


def test_a_changed_envelope_does_not_open(host: Host) -> None:
    """Ours: envelopes are authenticated."""
    token = host.sign_in(KEY)
    for position in range(len("scenext-signin-"), len(token), 7):
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        assert host.call(changed).status_code == 401


@pytest.mark.parametrize(
    "typed",
    ["", " ", "YOUR_API_KEY", "<your key>", "${SCENEXT_KEY}", "undefined", "null", "Bearer", "bearer YOUR_API_KEY"],
)
@pytest.mark.parametrize("access_token", [None, TOKEN])
def test_no_typed_word_shares_a_key_without_the_token(typed: str, access_token: str | None, time: Time) -> None:
    """Ours: a placeholder that resolved to the shared key would give every visitor a sign-in at the operator's cost."""
    config = Config(sandbox=True, oauth_url=URL, oauth_secret=(SECRET,), api_key=SHARED, access_token=access_token)
    response = Host(client_of(config, time)).post({"key": typed})
    assert (response.status_code, response.headers.get("Location")) == (400, None)


def test_a_shared_key_is_never_used_without_a_sign_in(time: Time) -> None:
    """Ours: a key that /mcp shares with all callers needs the caller's own at the other address."""
    config = Config(sandbox=True, oauth_url=URL, oauth_secret=(SECRET,), api_key=SHARED)
    host = Host(client_of(config, time))
    assert host.client.post("/mcp", json=query("sandbox-completed")).get_json()["result"]["isError"] is False
    for headers in ({}, BEARER, {"X-API-Key": KEY}):
        assert host.client.post(PATH, json=query("sandbox-completed"), headers=headers).status_code == 401


def test_a_typed_access_token_uses_the_shared_key_as_long_as_it_is_valid(time: Time) -> None:
    """Ours: the envelope holds the typed word, so a changed access token ends these sign-ins."""
    with Upstream() as upstream:
        api = f"{upstream.url}/api"
        settings: dict[str, Any] = {"oauth_url": URL, "oauth_secret": (SECRET,), "api_base_url": api}

        def host(**more: Any) -> Host:
            return Host(create_app(Config(**settings, **more)).test_client())

        token = host(api_key=SHARED, access_token=TOKEN).sign_in(TOKEN)
        assert upstream.requests[-1].headers["authorization"] == f"Bearer {SHARED}"
        assert host(api_key=SHARED, access_token=TOKEN).call(token, query("12345")).status_code == 200
        assert upstream.requests[-1].headers["authorization"] == f"Bearer {SHARED}"
        host(api_key=SHARED, access_token="another-access-token").call(token, query("12345"))
        assert upstream.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"


def test_scenext_never_gets_an_envelope(host: Host, time: Time) -> None:
    """Ours: at /mcp, a token of a sign-in is refused before anything is sent, in every header and spelling."""
    token = host.sign_in(KEY)
    with Upstream() as upstream:
        config = Config(oauth_url=URL, oauth_secret=(SECRET,), api_base_url=f"{upstream.url}/api")
        mcp = Mcp(create_app(config).test_client())
        presented: list[dict[str, str]] = [
            {"Authorization": f"Bearer {token}"},
            {"Authorization": token},
            {"Authorization": f"Bearer Bearer {token}"},
            {"X-API-Key": token},
            {"X-API-Key": f"Bearer {token}"},
            {"Authorization": f"Bearer {token.upper()}"},
            {"Authorization": "Bearer YOUR_API_KEY", "X-API-Key": token},
        ]
        for headers in presented:
            result = mcp.call("query_video_status", {"task_id": "12345"}, headers)
            assert (result["isError"], "the token of a sign-in" in result["content"][0]["text"]) == (True, True)
        typed = Host(mcp.client).post({"key": token})
        assert (typed.status_code, "This is the token of a sign-in" in typed.get_data(as_text=True)) == (400, True)
        assert mcp.call("query_video_status", {"task_id": f"{token[:90]}"})["isError"] is True
        assert upstream.requests == []


@pytest.mark.parametrize("header", ["Host", "Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix"])
def test_no_answer_depends_on_a_header_about_the_host(host: Host, header: str) -> None:
    """Ours: host injection."""
    value = {"Forwarded": "host=evil.example;proto=http", "X-Forwarded-Proto": "http"}.get(header, "evil.example")
    host.register()
    authorize = f"{PATH}/authorize?{urlencode(host.fields())}"
    for method, path in (
        ("GET", f"/.well-known/oauth-protected-resource{PATH}"),
        ("GET", f"/.well-known/oauth-authorization-server{PATH}"),
        ("GET", authorize),
        ("GET", authorize.replace("S256", "plain")),
        ("POST", f"{PATH}/register"),
        ("POST", f"{PATH}/token"),
        ("POST", PATH),
    ):
        plain, changed = (host.client.open(path, method=method, headers=sent) for sent in ({}, {header: value}))
        assert changed.get_data() == plain.get_data()
        names = ("Location", "WWW-Authenticate", "Content-Security-Policy")
        assert [changed.headers.get(name) for name in names] == [plain.headers.get(name) for name in names]


def test_no_log_line_holds_a_secret_of_a_sign_in(host: Host, lines: list[str]) -> None:
    """Ours: the log has paths only, no query, key, code or token."""
    code = host.code(KEY)
    host.post({"key": "sandbox-refused-key"})
    host.client.get(f"{PATH}/authorize?key=sentinel-in-query")
    response = host.exchange(code)
    token = response.get_json()["access_token"]
    host.call(token, query("sandbox-completed"))
    host.call(token[:-1], query("sandbox-completed"))
    text = "\n".join(lines)
    assert len(lines) >= 7
    paths = {word.removeprefix("path=") for word in text.split() if word.startswith("path=")}
    assert paths == {PATH, f"{PATH}/register", f"{PATH}/authorize", f"{PATH}/token"}
    for secret in (KEY, code, token[:-1], SECRET, "sentinel", "client_id", "scenext."):
        assert secret not in text


# Traps that a first version fell into.


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"CONTENT_LENGTH": "200"}, id="cut-short"),
        pytest.param({"CONTENT_TYPE": "application/json"}, id="not-a-form"),
        pytest.param({"CONTENT_TYPE": "multipart/form-data; boundary=x"}, id="multipart"),
        pytest.param({"HTTP_CONTENT_ENCODING": "gzip"}, id="encoded"),
        pytest.param({"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}, id="chunks-that-nobody-decodes"),
    ],
)
def test_a_part_of_a_form_is_no_form(host: Host, environ: dict[str, str]) -> None:
    """Ours: a key was once taken from a request that was cut, which may hold only the beginning of the key."""
    sent = urlencode({"key": KEY}).encode()
    overrides = {
        "wsgi.input": io.BytesIO(sent),
        "CONTENT_LENGTH": str(len(sent)),
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "HTTP_SEC_FETCH_SITE": "same-origin",
        **environ,
    }
    response = host.client.open(
        f"{PATH}/authorize?{urlencode(host.fields())}", method="POST", environ_overrides=overrides
    )
    assert (response.status_code, "Enter your Scenext API key." in response.get_data(as_text=True)) == (400, True)


class Broken(io.BytesIO):
    """A body that ends in an error of the server, as a bad chunk does."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError("bad chunk")


def test_a_broken_body_is_an_empty_form(host: Host, lines: list[str]) -> None:
    """Ours: never a 5xx, and no traceback, which would quote the body."""
    overrides: dict[str, Any] = {
        "wsgi.input": Broken(),
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "HTTP_SEC_FETCH_SITE": "same-origin",
    }
    query_string = urlencode(host.fields())
    for path, status in ((f"{PATH}/authorize?{query_string}", 400), (f"{PATH}/token", 400), (f"{PATH}/register", 400)):
        assert host.client.open(path, method="POST", environ_overrides=overrides).status_code == status
    assert [line for line in lines if "level=error" in line] == []


def test_too_many_or_malformed_fields_are_no_form(host: Host) -> None:
    """Ours: these once ended in a 500."""
    form = "application/x-www-form-urlencoded"
    for body in ("a=1&" * 50 + f"key={KEY}", f"key={KEY}&a=%ff", f"a={'x' * 17_000}&key={KEY}"):
        response = host.client.post(
            f"{PATH}/authorize?{urlencode(host.fields())}", data=body, content_type=form, headers=OWN_PAGE
        )
        assert response.status_code == 400
        assert oauth_error(host.client.post(f"{PATH}/token", data=body, content_type=form)) == (400, "invalid_request")
    assert host.client.get(f"{PATH}/authorize?{'a=1&' * 50}{urlencode(host.fields())}").status_code == 400


@pytest.mark.parametrize(
    "content",
    [
        b'[0.0,"","%s"]',
        b'[true,"","%s"]',
        b'[-1,"","%s"]',
        b'[3,"","%s"]',
        b'[9999999999999999999999,"","%s"]',
        b'["0","","%s"]',
        b'[0,null,"%s"]',
        b'[0,7,"%s"]',
        b'[0," x","%s"]',
        b'[0,"","%s","%s"]',
        b'[0,"",7,"%s"]',
        b'[0, "","%s"]',
        b'[0,"a\\u0062","%s"]',
        b'[0,""]',
        b'{"a":"%s"}',
        b'"%s"',
        b"[" * 600,
        b"\xff%s",
        b"",
    ],
)
def test_a_client_id_has_one_spelling(host: Host, content: bytes) -> None:
    """Ours: a float in an id once ended in a 500."""
    content = content.replace(b"%s", CLAUDE.encode())
    host.client_id = "scenext." + base64.urlsafe_b64encode(content).decode().rstrip("=")
    assert host.open().status_code == 400
    assert oauth_error(host.exchange("x")) == (401, "invalid_client")


def test_a_request_for_a_code_fits_a_request_line(host: Host) -> None:
    """Ours: gunicorn accepts 4,094 bytes in a line. A longer client id is never issued."""
    uris = [f"http://127.0.0.1:{port}/{'a' * 100}" for port in range(10, 20)]
    response = host.client.post(f"{PATH}/register", json={"redirect_uris": uris})
    assert oauth_error(response) == (400, "invalid_client_metadata")
    host.client_id = Client(0, "", tuple(uris)).id()
    assert len(host.client_id) > MAX_ID
    host.redirect_uri = uris[0]
    assert host.open().status_code == 400
    longest = urlencode({**host.fields(client_id="a" * MAX_ID), "state": "s" * 1000, "resource": URL})
    assert len(f"GET {PATH}/authorize?{longest} HTTP/1.1") < 4094


def test_the_redirect_after_the_form_is_a_302_that_keeps_no_referrer(host: Host) -> None:
    """Ours: a 307 would post the key to the client."""
    response = host.post({"key": KEY})
    assert response.status_code == 302
    assert (response.headers["Cache-Control"], response.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert KEY not in response.headers["Location"]


@pytest.mark.parametrize(
    "path",
    [
        *("/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server"),
        *("/.well-known/openid-configuration", f"/.well-known/openid-configuration{PATH}"),
        *(f"{PATH}/.well-known/openid-configuration", f"{PATH}/.well-known/oauth-authorization-server"),
        *(f"/.well-known/oauth-authorization-server{PATH}/", "/.well-known/oauth-protected-resource/mcp"),
        *("/.well-known/oauth-authorization-server/mcp", "/authorize", "/token", "/register", "/mcp/token"),
        *(f"{PATH}/authorize/", f"{PATH}/token/", f"{PATH}/register/"),
        *(f"{PATH}/revoke", f"{PATH}/introspect", f"{PATH}/jwks", f"{PATH}//"),
    ],
)
def test_no_other_address_exists(client: FlaskClient, path: str) -> None:
    """Ours: documents at the root make several clients sign in at /mcp."""
    for method in ("GET", "POST"):
        response = client.open(path, method=method)
        assert (response.status_code, response.get_json()["error"]) == (404, "not_found")


def test_mcp_stays_as_it_is_beside_another_address(client: FlaskClient) -> None:
    """Ours: byte for byte, except for the token of a sign-in."""
    plain = create_app(Config(sandbox=True)).test_client()
    messages = [INITIALIZE, query("sandbox-completed"), query("sandbox-completed", frames="none"), [INITIALIZE], 7]
    for message in messages:
        for headers in ({}, BEARER, {"X-API-Key": KEY}, {"Authorization": "Bearer sandbox-refused-key"}):
            sent = {**headers, "X-Request-ID": "one", "Origin": "http://localhost"}
            for path in ("/mcp", "/mcp/"):
                one, other = (app.post(path, json=message, headers=sent, buffered=True) for app in (plain, client))
                assert (one.status_code, one.headers, one.data) == (other.status_code, other.headers, other.data)


def test_cryptography_is_imported_only_for_a_sign_in() -> None:
    """Ours: off by default, without a trace in memory."""
    program = (
        "import sys; from scenext_service import create_app; from scenext_service.config import Config\n"
        "{}\n"
        "print(*[name for name in ('cryptography', 'scenext_service.signin', 'scenext_service.web.consent')"
        " if name in sys.modules])"
    )
    settings = f"Config(oauth_url={URL!r}, oauth_secret=({SECRET!r},))"
    for created, found in (("create_app(Config())", ""), (settings, ""), (f"create_app({settings})", "all")):
        command = [sys.executable, "-c", program.format(created)]
        printed = subprocess.run(command, capture_output=True, cwd=ROOT, text=True, check=True).stdout
        assert bool(printed.strip()) is bool(found), printed


def test_every_secret_opens_and_a_dropped_one_does_not(time: Time) -> None:
    """Ours: rotation. The first secret seals, each opens, and a dropped one ends its sign-ins."""

    def host(*secrets: str) -> Host:
        return Host(client_of(Config(sandbox=True, oauth_url=URL, oauth_secret=secrets), time))

    old = host(SECRET).sign_in(KEY)
    both = host(OTHER_SECRET, SECRET)
    new = both.sign_in(KEY)
    assert [both.call(token).status_code for token in (old, new)] == [200, 200]
    assert [host(OTHER_SECRET).call(token).status_code for token in (old, new)] == [401, 200]
    assert [host(SECRET).call(token).status_code for token in (old, new)] == [200, 401]


def test_the_texts_of_the_endpoint_do_not_speak_of_headers(host: Host) -> None:
    """Ours: the client has no field for a header."""
    token = host.sign_in(KEY)
    list_tools = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    for message in (INITIALIZE, list_tools):
        text = host.call(token, message).get_data(as_text=True)
        assert "header" not in text.lower()
        assert "请求头" not in text
        assert "The user has signed in with a Scenext API key; never ask for it in the conversation." in text
    assert all("header" in TEXTS[kind].english for kind in TEXTS if kind.__name__ == "KeyMissing")


def test_the_link_to_the_other_language_keeps_the_whole_request(host: Host) -> None:
    """Ours: with every byte of it, also of a state that is not UTF-8."""
    raw = f"{urlencode(host.fields(state=None))}&state=%FF%26%3D+x&resource={quote(URL, safe='')}&empty=&lang=en"
    text = host.client.get(f"{PATH}/authorize?{raw}").get_data(as_text=True)
    (href,) = re.findall(r'class="switch" href="\?([^"]*)"', text)
    assert html.unescape(href) == raw.removesuffix("&lang=en") + "&lang=zh"
    chinese = host.client.get(f"{PATH}/authorize?{html.unescape(href)}")
    assert (chinese.status_code, chinese.headers["Content-Language"]) == (200, "zh-CN")
    response = host.client.post(f"{PATH}/authorize?{html.unescape(href)}", data={"key": KEY}, headers=OWN_PAGE)
    assert "&state=%FF%26%3D+x&iss=" in response.headers["Location"]
