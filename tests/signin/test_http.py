"""The addresses of the sign-in: documents, registration, the page with its errors, and tokens."""

import base64
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest
from flask.testing import FlaskClient

from scenext_service.config import Config
from tests.support.signing_in import (
    CHALLENGE,
    CLAUDE,
    LOOPBACK,
    ORIGIN,
    OTHER_SECRET,
    PATH,
    SECRET,
    URL,
    VERIFIER,
    Host,
    answer,
    oauth_error,
)

from .conftest import Time, client_of

KEY = "sentinel-key-4f9a1c7e2b"
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Accept, MCP-Protocol-Version",
}
CHATGPT = "https://chatgpt.com/connector/oauth/AbC_1-2"
LISTED = "https://app.example.com/oauth/callback?tenant=1"


def resource(url: str, issuer: str) -> dict[str, Any]:
    return {
        "resource": url,
        "authorization_servers": [issuer],
        "scopes_supported": ["scenext"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Scenext",
    }


def server(url: str, issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{url}/authorize",
        "token_endpoint": f"{url}/token",
        "registration_endpoint": f"{url}/register",
        "scopes_supported": ["scenext"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }


RESOURCE, SERVER = "/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server"


@pytest.mark.parametrize("path", ["/mcp/signin", "/mcp/a/b.c/D~/e_"])
def test_the_documents_of_an_address_below_mcp(path: str, time: Time) -> None:
    """Spec: RFC 9728, section 3; RFC 8414, section 3. Ours: exactly these members."""
    url = f"{ORIGIN}{path}"
    client = client_of(Config(sandbox=True, oauth_url=url, oauth_secret=(SECRET,)), time)
    expected = {
        RESOURCE + path: resource(url, url),
        f"{RESOURCE}{path}/": resource(f"{url}/", url),
        SERVER + path: server(url, url),
    }
    for address, document in expected.items():
        response = client.get(address)
        assert (response.status_code, response.content_type, response.get_json()) == (200, "application/json", document)
        assert response.headers["Cache-Control"] == "max-age=300"
        assert {name: response.headers[name] for name in CORS} == CORS
        head = client.head(address)
        assert (head.status_code, head.data, head.content_length) == (200, b"", response.content_length)
    assert [client.get(address).status_code for address in (RESOURCE, SERVER)] == [404, 404]


def test_the_documents_of_mcp_itself(time: Time) -> None:
    """Spec: RFC 8414, section 3. Ours: the issuer is the origin, so its document is at the root, too."""
    url = f"{ORIGIN}/mcp"
    client = client_of(Config(sandbox=True, oauth_url=url, oauth_secret=(SECRET,)), time)
    for address in (SERVER, f"{SERVER}/mcp"):
        assert client.get(address).get_json() == server(url, ORIGIN)
    assert client.get(f"{RESOURCE}/mcp").get_json() == resource(url, ORIGIN)
    assert client.get(RESOURCE).status_code == 404
    host = Host(client, path="/mcp")
    assert client.post("/mcp", json={}).status_code == 401
    assert answer(host.post({"key": KEY}))["iss"] == ORIGIN
    assert host.call(host.sign_in(KEY)).status_code == 200


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        (RESOURCE + PATH, "GET, HEAD, OPTIONS"),
        (SERVER + PATH, "GET, HEAD, OPTIONS"),
        (f"{PATH}/register", "OPTIONS, POST"),
        (f"{PATH}/token", "OPTIONS, POST"),
        (f"{PATH}/authorize", "GET, HEAD, POST"),
    ],
)
def test_other_methods_are_not_allowed(client: FlaskClient, path: str, allow: str) -> None:
    """Spec: RFC 9110, section 15.5.6. Pages of other origins may read everything but the page for people."""
    response = client.delete(path)
    assert (response.status_code, response.headers["Allow"]) == (405, allow)
    preflight = client.options(path)
    if "OPTIONS" not in allow:
        assert preflight.status_code == 405
        return
    assert (preflight.status_code, preflight.data, preflight.headers.get("Content-Type")) == (204, b"", None)
    assert {name: preflight.headers[name] for name in CORS} == CORS


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param({"redirect_uris": [CLAUDE]}, {"redirect_uris": [CLAUDE]}, id="least"),
        pytest.param(
            {
                "redirect_uris": [CLAUDE],
                "client_name": "Claude",
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
                "scope": "scenext",
                "application_type": "web",
            },
            {"redirect_uris": [CLAUDE], "client_name": "Claude"},
            id="claude",
        ),
        pytest.param(
            {"redirect_uris": ["x:y", CHATGPT, 7, CHATGPT, LOOPBACK], "client_name": 7},
            {"redirect_uris": [CHATGPT, LOOPBACK]},
            id="some-kept",
        ),
        pytest.param(
            {"redirect_uris": [CLAUDE], "token_endpoint_auth_method": "private_key_jwt", "client_name": ""},
            {"redirect_uris": [CLAUDE]},
            id="unknown-method",
        ),
        pytest.param(
            {"redirect_uris": [CLAUDE], "client_name": " a\r\n\u202eb\u3000c\x00" + "d" * 80},
            {"redirect_uris": [CLAUDE], "client_name": "a b c " + "d" * 54},
            id="name-on-one-line",
        ),
        pytest.param(
            {"redirect_uris": [CLAUDE], "client_name": "a" * 59 + " b"},
            {"redirect_uris": [CLAUDE], "client_name": "a" * 59},
            id="name-without-space-at-its-end",
        ),
        pytest.param(
            {"redirect_uris": [CLAUDE], "client_name": "教学视频"},
            {"redirect_uris": [CLAUDE], "client_name": "教学视频"},
            id="chinese-name",
        ),
    ],
)
def test_a_client_registers(client: FlaskClient, sent: dict[str, Any], expected: dict[str, Any]) -> None:
    """Spec: RFC 7591, section 3.2.1. Ours: unknown metadata is ignored."""
    response = client.post(f"{PATH}/register", json=sent)
    body = response.get_json()
    assert (response.status_code, response.headers["Cache-Control"]) == (201, "no-store")
    assert body.pop("client_id").startswith("scenext.")
    assert body == {
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        **expected,
    }


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
def test_a_client_can_register_for_a_secret(host: Host, method: str) -> None:
    """Spec: RFC 7591, section 3.2.1."""
    body = host.register(token_endpoint_auth_method=method)
    assert body["token_endpoint_auth_method"] == method
    assert (len(body["client_secret"]), body["client_secret_expires_at"]) == (64, 0)


def test_a_registration_survives_a_change_of_secrets(host: Host, time: Time) -> None:
    """Ours: a client's id is not signed, because nothing in it is trusted."""
    host.register()
    changed = Host(client_of(Config(sandbox=True, oauth_url=URL, oauth_secret=(OTHER_SECRET,)), time))
    changed.client_id = host.client_id
    assert changed.call(changed.sign_in(KEY)).status_code == 200


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "invalid_client_metadata"),
        (b"{", "invalid_client_metadata"),
        (b"[]", "invalid_client_metadata"),
        (b'{"redirect_uris": NaN}', "invalid_client_metadata"),
        (b'{"a": "' + b"x" * 16_384 + b'"}', "invalid_client_metadata"),
        (b"{}", "invalid_redirect_uri"),
        (b'{"redirect_uris": "http://localhost/"}', "invalid_redirect_uri"),
        (b'{"redirect_uris": []}', "invalid_redirect_uri"),
        (b'{"redirect_uris": [{}]}', "invalid_redirect_uri"),
        (b'{"redirect_uris": [' + b'"http://localhost/",' * 10 + b'"http://localhost/"]}', "invalid_redirect_uri"),
    ],
)
def test_a_malformed_registration_is_refused(client: FlaskClient, body: bytes, error: str) -> None:
    """Spec: RFC 7591, section 3.2.2."""
    response = client.post(f"{PATH}/register", data=body)
    assert (oauth_error(response), response.headers["Cache-Control"]) == ((400, error), "no-store")
    if error == "invalid_redirect_uri":
        assert "SCENEXT_OAUTH_REDIRECTS" in response.get_json()["error_description"]


def test_the_operator_can_list_addresses(time: Time) -> None:
    """Ours: SCENEXT_OAUTH_REDIRECTS, exactly. The own query of such an address is kept."""
    config = Config(sandbox=True, oauth_url=URL, oauth_secret=(SECRET,), oauth_redirects=frozenset({LISTED}))
    host = Host(client_of(config, time), LISTED)
    assert host.post({"key": KEY}).headers["Location"].startswith(f"{LISTED}&code=")
    assert host.open(redirect_uri=f"{LISTED}2").status_code == 400
    without = Host(client_of(Config(sandbox=True, oauth_url=URL, oauth_secret=(SECRET,)), time), LISTED)
    without.client_id = host.client_id
    assert without.open().status_code == 400


@pytest.mark.parametrize(
    ("registered", "asked", "status"),
    [
        (LOOPBACK, "http://127.0.0.1:1/callback", 200),
        (LOOPBACK, "http://127.0.0.1/callback", 200),
        (LOOPBACK, "http://127.0.0.1:33418/callback2", 400),
        (LOOPBACK, "http://localhost:33418/callback", 400),
        (LOOPBACK, "http://127.0.0.1:123456/callback", 400),
        ("http://[::1]/", "http://[::1]:5000/", 200),
        ("http://localhost", "http://localhost:5000", 200),
        ("http://localhost", "http://localhost:5000/", 400),
        (CLAUDE, CLAUDE, 200),
        (CLAUDE, "https://claude.com/api/mcp/auth_callback", 400),
    ],
)
def test_the_port_on_loopback_may_differ(client: FlaskClient, registered: str, asked: str, status: int) -> None:
    """Spec: RFC 8252, section 7.3; OAuth 2.1, section 4.1.3: all else is compared as text."""
    assert Host(client, registered).open(redirect_uri=asked).status_code == status


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_without_one_client_and_one_address_nothing_goes_back(host: Host, name: str) -> None:
    """Spec: OAuth 2.1, section 4.1.2.1: a page explains it, because the address cannot be trusted."""
    assert host.open(**{name: None}).status_code == 400
    fields = [*host.fields().items(), (name, host.fields()[name])]
    response = host.client.get(f"{PATH}/authorize?{urlencode(fields)}")
    assert (response.status_code, response.headers.get("Location")) == (400, None)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "="}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:-1]}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:-1] + "+"}, "invalid_request"),
        ({"resource": "https://other.example/mcp"}, "invalid_target"),
        ({"resource": f"{URL}//"}, "invalid_target"),
        ({"resource": URL.upper()}, "invalid_target"),
        ({"resource": "x"}, "invalid_target"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_malformed_request_goes_back_to_the_client(host: Host, method: str, changes: Any, error: str) -> None:
    """Spec: OAuth 2.1, section 4.1.2.1; RFC 8707, section 2; RFC 9207."""
    response = host.open(**changes) if method == "GET" else host.post({"key": KEY}, **changes)
    assert response.status_code == 302
    assert response.headers["Location"].startswith(f"{CLAUDE}?")
    back = answer(response)
    assert back.pop("error_description")
    assert back == {"error": error, "state": "s", "iss": URL}


@pytest.mark.parametrize("name", ["response_type", "code_challenge", "code_challenge_method", "scope", "state", "x"])
def test_a_repeated_field_goes_back_to_the_client(host: Host, name: str) -> None:
    """Spec: OAuth 2.1, section 3.1."""
    fields = {"scope": "scenext", "x": "1", **host.fields()}
    response = host.client.get(f"{PATH}/authorize?{urlencode([*fields.items(), (name, fields[name])])}")
    back = answer(response)
    assert (back["error"], "state" in back) == ("invalid_request", name != "state")


@pytest.mark.parametrize(
    "changes",
    [
        {"state": None},
        {"state": ""},
        {"scope": "openid offline_access"},
        {"scope": ""},
        {"resource": ""},
        {"resource": URL},
        {"resource": f"{URL}/"},
        {"resource": f"HTTPS://SCENEXT.Example.com{PATH}"},
        {"prompt": "consent", "response_mode": "query", "nonce": "1", "access_type": "offline"},
    ],
    ids=str,
)
def test_everything_else_is_fine(host: Host, changes: Any) -> None:
    """Spec: OAuth 2.1, section 3.1: unknown parameters are ignored. Ours: there is one scope."""
    assert host.open(**changes).status_code == 200
    back = answer(host.post({"key": KEY}, **changes))
    assert set(back) == {"code", "iss"} | (set() if changes.get("state", "s") is None else {"state"})
    assert back.get("state") == changes.get("state", "s")
    assert host.exchange(back["code"], resource=changes.get("resource")).status_code == 200


def test_one_of_several_resources_is_enough(host: Host) -> None:
    """Spec: RFC 8707, section 2: the parameter may be repeated."""
    fields = [*host.fields().items(), ("resource", "https://other.example/"), ("resource", URL)]
    assert host.client.get(f"{PATH}/authorize?{urlencode(fields)}").status_code == 200


def test_cancel_goes_back_without_a_code(host: Host) -> None:
    """Spec: OAuth 2.1, section 4.1.2.1. Also with a key in the field, and without one."""
    for form in ({"cancel": "1"}, {"key": KEY, "cancel": ""}):
        back = answer(host.post(form))
        assert back.pop("error_description")
        assert back == {"error": "access_denied", "state": "s", "iss": URL}


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("", "Enter your Scenext API key."),
        ("  ", "Enter your Scenext API key."),
        ("bearer", "Enter your Scenext API key."),
        ("YOUR_API_KEY", "This is a placeholder."),
        ("< your key >", "This is a placeholder."),
        ("two words", "This is not an API key."),
        ("Bearer " + KEY, "This is not an API key."),
        ("one,two", "This is not an API key."),
        ("schlüssel", "This is not an API key."),
        ("a\x7fb", "This is not an API key."),
        ("k" * 513, "This is not an API key."),
        ("scenext-signin-x", "This is the token of a sign-in"),
        ("sandbox-refused-key", "Scenext refused this API key."),
    ],
)
def test_an_unusable_key_shows_the_page_again(host: Host, typed: str, problem: str) -> None:
    """Ours: with the reason, and with an empty field."""
    response = host.post({"key": typed})
    text = response.get_data(as_text=True)
    assert response.status_code == 400
    assert f'<p class="wrong" id="wrong">{problem}' in text
    assert 'aria-describedby="wrong note" aria-invalid="true" autofocus>' in text
    assert "value=" not in text.replace('name="cancel" value="1"', "")


@pytest.mark.parametrize("typed", [KEY, f"  {KEY}\r\n", "k", "sandbox-no-credit-key", "sandbox-blocked-key", "k" * 512])
def test_any_other_key_is_accepted(host: Host, typed: str) -> None:
    """Ours: only Scenext's 401 refuses a key. Without an answer, each call checks the key."""
    assert host.call(host.sign_in(typed)).status_code == 200


def test_a_key_in_the_query_is_not_taken(host: Host) -> None:
    """Ours: it would be in histories and logs."""
    assert host.post({}, key=KEY).status_code == 400


def test_a_token_response_has_four_members(host: Host) -> None:
    """Spec: OAuth 2.1, section 3.2.3."""
    response = host.exchange(host.code(KEY))
    body = response.get_json()
    assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-store")
    assert body.pop("access_token").startswith("scenext-signin-")
    assert body == {"token_type": "Bearer", "expires_in": 2_592_000, "scope": "scenext"}


def test_a_token_of_a_usual_key_is_short(host: Host) -> None:
    """Ours: it is part of each request."""
    assert len(host.sign_in("k" * 40)) == 155
    assert len(host.code("k" * 40)) == 311


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"grant_type": None}, (400, "unsupported_grant_type")),
        ({"grant_type": "refresh_token"}, (400, "unsupported_grant_type")),
        ({"grant_type": "client_credentials"}, (400, "unsupported_grant_type")),
        ({"client_id": None}, (400, "invalid_request")),
        ({"client_id": ""}, (400, "invalid_request")),
        ({"code": None}, (400, "invalid_request")),
        ({"code": ""}, (400, "invalid_request")),
        ({"code_verifier": None}, (400, "invalid_request")),
        ({"resource": "https://other.example"}, (400, "invalid_target")),
        ({"code": "x"}, (400, "invalid_grant")),
        ({"code": "x" * 9000}, (400, "invalid_grant")),
        ({"code": "gAAAAAA"}, (400, "invalid_grant")),
        ({"code": "schlüssel"}, (400, "invalid_grant")),
        ({"code_verifier": VERIFIER + "x"}, (400, "invalid_grant")),
        ({"code_verifier": "ü" * 43}, (400, "invalid_grant")),
        ({"redirect_uri": LOOPBACK}, (400, "invalid_grant")),
        ({"redirect_uri": "ü"}, (400, "invalid_grant")),
        ({"client_id": "x"}, (401, "invalid_client")),
        ({"client_id": "scenext.AAAAA"}, (401, "invalid_client")),
        ({"client_id": "ü"}, (401, "invalid_client")),
    ],
)
def test_a_refused_attempt_leaves_the_code_valid(host: Host, changes: Any, expected: tuple[int, str]) -> None:
    """Spec: OAuth 2.1, section 3.2.4; RFC 8707, section 2. Ours: otherwise a guess would end a person's sign-in."""
    code = host.code(KEY)
    response = host.exchange(**{"code": code, **changes})
    assert oauth_error(response) == expected
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers.get("WWW-Authenticate") == ('Basic realm="Scenext sign-in"' if expected[0] == 401 else None)
    assert host.exchange(code).status_code == 200


def test_parameters_in_the_query_of_a_token_request_do_not_count(host: Host) -> None:
    """Spec: OAuth 2.1, section 3.2.2."""
    code = host.code(KEY)
    query = urlencode({"grant_type": "authorization_code", "code": code, "client_id": host.client_id})
    response = host.client.post(f"{PATH}/token?{query}", data={"code_verifier": VERIFIER})
    assert oauth_error(response) == (400, "unsupported_grant_type")


def test_a_repeated_parameter_of_a_token_request_is_refused(host: Host) -> None:
    """Spec: OAuth 2.1, section 3.2."""
    code = host.code(KEY)
    response = host.client.post(f"{PATH}/token", data={"grant_type": ["authorization_code"] * 2, "code": code})
    assert oauth_error(response) == (400, "invalid_request")


def test_a_json_body_is_no_form(host: Host) -> None:
    """Spec: OAuth 2.1, section 3.2."""
    response = host.client.post(f"{PATH}/token", json={"grant_type": "authorization_code"})
    assert oauth_error(response) == (400, "invalid_request")


def test_redirect_uri_and_resource_may_be_left_out(host: Host) -> None:
    """Spec: OAuth 2.1, section 4.1.3. Ours: Codex and Dify send no resource."""
    assert host.exchange(host.code(KEY), redirect_uri=None).status_code == 200


def basic(client_id: str, secret: str) -> dict[str, str]:
    coded = base64.b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()
    return {"Authorization": f"Basic {coded}"}


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
def test_a_client_with_a_secret_presents_it(host: Host, method: str) -> None:
    """Spec: RFC 6749, section 2.3.1. Ours: in either place."""
    secret = host.register(token_endpoint_auth_method=method)["client_secret"]
    code = host.code(KEY)
    for wrong in (None, "", "x", secret[:-1], "ü"):
        assert oauth_error(host.exchange(code, client_secret=wrong)) == (401, "invalid_client")
    assert oauth_error(host.exchange(code, basic(host.client_id, "x"), client_id=None)) == (401, "invalid_client")
    assert host.exchange(code, client_secret=secret).status_code == 200
    assert host.exchange(host.code(KEY), basic(host.client_id, secret), client_id=None).status_code == 200
    assert host.exchange(host.code(KEY), basic(host.client_id, secret)).status_code == 200


def test_a_client_without_a_secret_may_send_any(host: Host) -> None:
    """Ours: some clients send an empty one, or Basic with nothing behind the colon."""
    assert host.exchange(host.code(KEY), client_secret="x").status_code == 200
    assert host.exchange(host.code(KEY), basic(host.client_id, "")).status_code == 200


@pytest.mark.parametrize("credentials", ["", "x", "eA==", "/w==", "ü", "e y"])
def test_malformed_basic_credentials_are_refused(host: Host, credentials: str) -> None:
    """Spec: RFC 7617, section 2."""
    headers = {"Authorization": f"Basic {credentials}"}
    assert oauth_error(host.exchange(host.code(KEY), headers)) == (401, "invalid_client")


def test_the_id_in_the_form_is_the_one_in_the_header(host: Host) -> None:
    """Spec: RFC 6749, section 2.3: one method of authentication for each request."""
    code = host.code(KEY)
    assert oauth_error(host.exchange(code, basic("scenext.x", ""))) == (401, "invalid_client")
    assert host.exchange(code, {"Authorization": "Bearer x"}).status_code == 200


def test_every_secret_of_the_server_makes_a_valid_client_secret(host: Host, time: Time) -> None:
    """Ours: a client's secret is valid until the server's secret behind it is dropped."""
    secret = host.register(token_endpoint_auth_method="client_secret_post")["client_secret"]
    for secrets, status in (((OTHER_SECRET, SECRET), 200), ((OTHER_SECRET,), 401)):
        other = Host(client_of(Config(sandbox=True, oauth_url=URL, oauth_secret=secrets), time))
        other.client_id = host.client_id
        assert other.exchange(other.code(KEY), client_secret=secret).status_code == status
