"""The endpoint behind the gate: the order of its checks, challenges, refused keys, and everything else as on /mcp."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.signin import TOKEN_PREFIX
from scenext_service.signin.envelopes import Envelopes
from scenext_service.tools.job_ids import make_task_id
from scenext_service.tools.signed_in import SIGNED_IN
from tests.support.messages import BEARER, META
from tests.support.scripted import NOW, Reply, ScriptedScenext, SkippedWaits
from tests.support.signing_in import INITIALIZE, ORIGIN, PATH, SECRET, URL, Host, query
from tests.support.upstream import Upstream

from .conftest import Time, client_of

KEY = "sentinel-key-4f9a1c7e2b"
REFUSED = "sandbox-refused-key"
METADATA = f"{ORIGIN}/.well-known/oauth-protected-resource{PATH}"
UNAUTHORIZED = f'Bearer resource_metadata="{METADATA}", scope="scenext"'

MODERN = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "query_video_status"}


def modern(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "params": {**message["params"], "_meta": META}}


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PUT", "PATCH", "TRACE", "POST"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_method_needs_a_token(client: FlaskClient, method: str, slash: str) -> None:
    """Spec: RFC 9728, section 5.1. Ours: before all other checks, so a body of any size and type gets a 401."""
    response = client.open(
        PATH + slash, method=method, headers={"Content-Length": "99999999", "Content-Type": "text/plain"}
    )
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == UNAUTHORIZED.replace('signin"', f'signin{slash}"')
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Request-ID"]
    if method != "HEAD":
        body = response.get_json()
        assert (set(body), body["error"]) == ({"error", "error_description"}, "unauthorized")
        assert "/mcp" in body["error_description"]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": KEY},
        {"Authorization": KEY},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic Og=="},
        {"Authorization": "Token x"},
        {"Cookie": "access_token=x"},
    ],
    ids=str,
)
def test_other_credentials_count_as_none(host: Host, headers: dict[str, str]) -> None:
    """Spec: RFC 6750, section 2.1. Ours: no token in a query or a body."""
    token = host.sign_in(KEY)
    body = {**INITIALIZE, "access_token": token}
    response = host.client.post(f"{PATH}?access_token={token}", json=body, headers=headers)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, UNAUTHORIZED)


@pytest.mark.parametrize("token", [KEY, "x", "scenext-signin-", "scenext-signin-x", "Bearer x", "a b", "\xff", "é"])
def test_a_token_that_is_none_is_invalid(host: Host, token: str) -> None:
    """Spec: RFC 6750, section 3.1: the error is named if a token came."""
    response = host.call(token)
    description = response.get_json()["error_description"]
    assert (response.status_code, response.get_json()["error"]) == (401, "invalid_token")
    assert response.headers["WWW-Authenticate"] == (
        f'Bearer error="invalid_token", error_description="{description}", {UNAUTHORIZED.removeprefix("Bearer ")}'
    )
    assert "/mcp" in description


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "  Bearer  "])
def test_the_scheme_is_in_any_case(host: Host, scheme: str) -> None:
    """Spec: RFC 9110, section 11.1."""
    headers = {"Authorization": f"{scheme} {host.sign_in(KEY)} "}
    for path in (PATH, f"{PATH}/"):
        assert host.client.post(path, json=INITIALIZE, headers=headers).status_code == 200


def test_a_sign_in_ends_after_thirty_days(host: Host, time: Time) -> None:
    """Ours: `expires_in`."""
    token = host.sign_in(KEY)
    time.now += 30 * 24 * 3600
    assert host.call(token).status_code == 200
    time.now += 1
    assert host.call(token).status_code == 401


def test_pages_are_checked_before_tokens(host: Host) -> None:
    """Ours: a foreign page learns nothing; a preflight has no token."""
    foreign, own = {"Origin": "https://evil.example"}, {"Origin": "http://localhost:6274"}
    assert host.client.post(PATH, json=INITIALIZE, headers=foreign).status_code == 403
    assert host.client.options(PATH, headers=foreign).status_code == 403
    preflight = host.client.options(PATH, headers=own)
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"]) == (204, own["Origin"])
    for response in (preflight, host.client.post(PATH, json=INITIALIZE, headers=own)):
        assert response.headers["Access-Control-Expose-Headers"] == "X-Request-ID, WWW-Authenticate"
    assert host.client.options("/mcp", headers=own).headers["Access-Control-Expose-Headers"] == "X-Request-ID"


def test_with_a_token_all_is_as_on_mcp(host: Host) -> None:
    """Ours: 405, 415, 413, JSON-RPC errors, batches, streams and notifications, with the same bytes."""
    token = host.sign_in(KEY)
    own = {"Authorization": f"Bearer {KEY}", "X-Request-ID": "one"}
    signed = {**own, "Authorization": f"Bearer {token}"}
    stream = {"Accept": "application/json, text/event-stream"}
    cases: list[tuple[str, Any, dict[str, str]]] = [
        ("GET", None, {}),
        ("DELETE", None, {}),
        ("POST", b"{}", {"Content-Type": "text/plain"}),
        ("POST", b"{", {}),
        ("POST", b"x" * (8 * 1024 * 1024 + 1), {}),
        ("POST", json.dumps(query("sandbox-completed")).encode(), {}),
        ("POST", json.dumps(modern(query("sandbox-completed"))).encode(), MODERN),
        ("POST", json.dumps([query("sandbox-completed")]).encode(), {}),
        ("POST", json.dumps(query("sandbox-completed", wait_seconds=1)).encode(), stream),
        ("POST", json.dumps(query("sandbox-not-found")).encode(), {}),
        ("POST", json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}).encode(), {}),
    ]
    for method, body, headers in cases:
        one, other = (
            host.client.open(
                path,
                method=method,
                data=body,
                headers={"Content-Type": "application/json", **sent, **headers},
                buffered=True,
            )
            for path, sent in (("/mcp", own), (PATH, signed))
        )
        assert (one.status_code, dict(one.headers), one.data) == (other.status_code, dict(other.headers), other.data)


def test_the_key_of_the_sign_in_is_the_only_one(host: Host, time: Time) -> None:
    """Ours: X-API-Key is ignored, and Scenext gets the typed key."""
    with Upstream() as upstream:
        config = Config(oauth_url=URL, oauth_secret=(SECRET,), api_base_url=f"{upstream.url}/api")
        other = Host(create_app(config).test_client())
        token = other.sign_in(KEY)
        other.call(token, query("12345"), **{"X-API-Key": "sentinel-other-key-000"})
        assert {request.headers["authorization"] for request in upstream.requests} == {f"Bearer {KEY}"}
        assert len(upstream.requests) == 2  # the check of the key, and the call


def challenged(host: Host, message: Any, **headers: str) -> Any:
    """Send a message with the sign-in of a key that Scenext has come to refuse; return the response."""
    return host.call(token_for(REFUSED), message, **headers)


def token_for(key: str) -> str:
    """Issue a token without the check of the key, which may have been deleted since."""
    return TOKEN_PREFIX + Envelopes((SECRET,), f"token for {URL}", 1, lambda: NOW).seal(key.encode())


@pytest.mark.parametrize(
    ("message", "headers"),
    [
        pytest.param(query("sandbox-completed"), {}, id="legacy"),
        pytest.param(modern(query("sandbox-completed")), MODERN, id="modern"),
        pytest.param(query("sandbox-completed", wait_seconds=1), {}, id="wait-without-a-stream"),
        pytest.param(
            query("sandbox-completed", wait_seconds=1), {"Accept": "text/event-stream"}, id="refused-before-the-stream"
        ),
    ],
)
def test_a_refused_key_asks_for_a_new_sign_in(host: Host, message: Any, headers: Any, lines: list[str]) -> None:
    """Ours: then the client opens the page again, instead of a model that explains it."""
    response = challenged(host, message, **headers)
    assert (response.status_code, response.get_json()["error"]) == (401, "invalid_token")
    assert response.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token", error_description="Scenext')
    (line,) = [line for line in lines if "tool=query_video_status" in line]
    for field in ("status=401", "failure=KeyRefused", "outcome=tool_error", "upstream_status=401", "key=caller"):
        assert f" {field}" in line


def test_a_refused_key_in_a_batch_is_a_result(host: Host) -> None:
    """Ours: the other messages of the batch may have succeeded."""
    for batch in ([query("sandbox-completed")], [query("sandbox-completed"), {**INITIALIZE, "id": 2}]):
        response = challenged(host, batch)
        result = response.get_json()[0]["result"]
        assert (response.status_code, result["isError"]) == (200, True)
        english, chinese = result["content"][0]["text"].split("\n\n")
        assert "disconnect this server in their client and to connect it again" in english
        assert "断开此服务器并重新连接" in chinese


def test_other_refusals_are_results(host: Host) -> None:
    """Ours: a new sign-in would not help."""
    response = host.call(token_for("sandbox-blocked-key"), query("sandbox-completed"))
    assert (response.status_code, response.get_json()["result"]["isError"]) == (200, True)


def test_a_key_refused_with_403_is_a_result(time: Time) -> None:
    """Ours: Scenext may refuse only this call."""
    with Upstream() as upstream:
        config = Config(oauth_url=URL, oauth_secret=(SECRET,), api_base_url=f"{upstream.url}/status-403")
        host = Host(create_app(config).test_client())
        response = host.call(host.sign_in(KEY), query("12345"))
        assert (response.status_code, response.get_json()["result"]["isError"]) == (200, True)


def test_a_key_refused_inside_a_stream_is_a_result() -> None:
    """Ours: the status has been sent. The text names the way to a new sign-in."""
    working = {"status": "success", "data": {"task_id": "12345", "status": "IN_PROGRESS", "progress": []}}
    replies = [Reply(200, working), Reply(401, {"status": "error", "message": "because"})]
    scenext = ScriptedScenext(lambda request: replies.pop(0))
    config = Config(oauth_url=URL, oauth_secret=(SECRET,))
    client = create_app(config, scenext, SkippedWaits().clock).test_client()
    message = query("12345", wait_seconds=20)
    message["params"]["_meta"] = {"progressToken": 1}

    def call(accept: str) -> Any:
        headers = {"Authorization": f"Bearer {token_for(KEY)}", "Accept": accept}
        threads = {"wsgi.multithread": True}  # without threads, no call waits
        return client.post(PATH, json=message, headers=headers, environ_overrides=threads, buffered=True)

    response = call("text/event-stream")
    assert (response.status_code, response.content_type) == (200, "text/event-stream")
    assert "disconnect this server" in response.get_data(as_text=True)
    replies += [Reply(200, working), Reply(401, {"status": "error", "message": "because"})]
    assert call("application/json").status_code == 401


def test_a_task_with_a_refused_key_asks_for_a_new_sign_in(host: Host) -> None:
    """Ours: a poll of a task is one message like any other."""
    declared: dict[str, Any] = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
    params = {
        "taskId": make_task_id("sandbox-completed", int(NOW * 1000)),
        "_meta": {**META, "io.modelcontextprotocol/clientCapabilities": declared},
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": params}
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tasks/get"}
    assert challenged(host, message, **headers).status_code == 401
    assert host.call(host.sign_in(KEY), message, **headers).status_code == 200


def test_an_access_token_without_a_shared_key_is_explained(time: Time) -> None:
    """Ours: the operator has removed SCENEXT_API_KEY. The text does not speak of headers."""
    token = "sentinel-token-71f5a8e93c"
    config = Config(sandbox=True, oauth_url=URL, oauth_secret=(SECRET,), access_token=token)
    host = Host(client_of(config, time))
    response = host.call(token_for(token), query("sandbox-completed"))
    text = response.get_json()["result"]["content"][0]["text"]
    assert (response.status_code, "header" in text, "请求头" in text) == (200, False, False)
    assert "disconnect this server" in text


def test_the_texts_at_mcp_still_speak_of_headers(client: FlaskClient) -> None:
    """Ours: only the address with sign-in has the other texts."""
    response = client.post("/mcp", json=INITIALIZE, headers=BEARER)
    assert "HTTP headers" in response.get_json()["result"]["instructions"]
    assert SIGNED_IN not in response.get_json()["result"]["instructions"]
