"""The requests of clients that sign in, in the form that their vendors document, from the registration to a call.

Source: Anthropic, "Building custom connectors via remote MCP servers"; OpenAI, "Apps SDK", "Authentication"; the
sources of openai/codex and langgenius/dify; Claude Code's manual, "MCP". None was recorded from the product itself.
"""

from typing import Any
from urllib.parse import urlencode

import pytest

from scenext_service.config import Config
from tests.support.signing_in import (
    CHALLENGE,
    OWN_PAGE,
    PATH,
    SECRET,
    URL,
    VERIFIER,
    Host,
    answer,
    query,
)

from .conftest import Time, client_of

KEY = "sentinel-key-4f9a1c7e2b"
DIFY = "https://cloud.dify.ai/console/api/mcp/oauth/callback"
BOTH_GRANTS = {"grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"]}

# Metadata of the registration, further parameters of the request for a code, and of the token request.
VENDORS: dict[str, tuple[dict[str, Any], dict[str, str], dict[str, str]]] = {
    "claude.ai": (
        {
            "client_name": "Claude",
            "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
            "token_endpoint_auth_method": "none",
            "scope": "scenext",
            **BOTH_GRANTS,
        },
        {"scope": "scenext", "resource": URL},
        {"resource": URL},
    ),
    "claude.com": (
        {"client_name": "Claude", "redirect_uris": ["https://claude.com/api/mcp/auth_callback"], **BOTH_GRANTS},
        {"scope": "scenext", "resource": URL},
        {"resource": URL},
    ),
    "chatgpt": (
        {
            "client_name": "ChatGPT",
            "redirect_uris": ["https://chatgpt.com/connector/oauth/AbCdEf_123-x"],
            "token_endpoint_auth_method": "none",
            **BOTH_GRANTS,
        },
        {"scope": "scenext", "resource": URL},
        {"resource": URL},
    ),
    "chatgpt-with-a-secret": (
        {
            "client_name": "ChatGPT",
            "redirect_uris": ["https://chatgpt.com/connector_platform_oauth_redirect"],
            "token_endpoint_auth_method": "client_secret_post",
            **BOTH_GRANTS,
        },
        {"resource": URL},
        {"resource": URL},
    ),
    "codex": (
        {
            "client_name": "Codex",
            "redirect_uris": ["http://127.0.0.1:41237/callback"],
            "token_endpoint_auth_method": "none",
            **BOTH_GRANTS,
        },
        {},
        {},
    ),
    "claude-code": (
        {
            "client_name": "Claude Code (scenext)",
            "redirect_uris": ["http://localhost:54212/callback"],
            "token_endpoint_auth_method": "none",
            **BOTH_GRANTS,
        },
        {"scope": "scenext", "resource": URL},
        {"resource": URL},
    ),
    "dify": (
        {
            "client_name": "Dify",
            "redirect_uris": [DIFY],
            "client_uri": "https://github.com/langgenius/dify",
            "token_endpoint_auth_method": "none",
            **BOTH_GRANTS,
        },
        {},
        {},
    ),
}


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendors_client_signs_in(vendor: str, time: Time) -> None:
    """Ours: from the challenge to the first call. Dify's address has to be listed by the operator."""
    config = Config(sandbox=True, oauth_url=URL, oauth_secret=(SECRET,), oauth_redirects=frozenset({DIFY}))
    client = client_of(config, time)
    metadata, asked, exchanged = VENDORS[vendor]
    challenge = client.post(PATH, json=query("sandbox-completed")).headers["WWW-Authenticate"]
    document = client.get(challenge.split('resource_metadata="')[1].split('"')[0].removeprefix(URL.removesuffix(PATH)))
    assert document.get_json()["authorization_servers"] == [URL]
    server = client.get(f"/.well-known/oauth-authorization-server{PATH}").get_json()
    registered = client.post(server["registration_endpoint"], json=metadata).get_json()
    request = {
        "response_type": "code",
        "client_id": registered["client_id"],
        "redirect_uri": metadata["redirect_uris"][0],
        "state": "XyZ-123",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **asked,
    }
    page = f"{server['authorization_endpoint']}?{urlencode(request)}"
    assert client.get(page).status_code == 200
    back = answer(client.post(page, data={"key": KEY}, headers=OWN_PAGE))
    assert (back["state"], back["iss"]) == ("XyZ-123", server["issuer"])
    form = {
        "grant_type": "authorization_code",
        "code": back["code"],
        "client_id": registered["client_id"],
        "redirect_uri": request["redirect_uri"],
        "code_verifier": VERIFIER,
        **({"client_secret": registered["client_secret"]} if "client_secret" in registered else {}),
        **exchanged,
    }
    token = client.post(server["token_endpoint"], data=form).get_json()["access_token"]
    assert Host(client).call(token, query("sandbox-completed")).get_json()["result"]["isError"] is False
