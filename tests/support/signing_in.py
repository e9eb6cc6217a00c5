"""A client that signs in, step by step, and the person at its browser."""

import base64
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

ORIGIN = "https://scenext.example.com"
PATH = "/mcp/signin"
URL = ORIGIN + PATH
SECRET = "0123456789abcdef0123456789abcdef"
OTHER_SECRET = "fedcba9876543210fedcba9876543210"

CLAUDE = "https://claude.ai/api/mcp/auth_callback"
LOOPBACK = "http://127.0.0.1:33418/callback"
OWN_PAGE = {"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN}

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # of RFC 7636, appendix B, with its challenge
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "client", "version": "1"},
    },
}


def challenge(verifier: str) -> str:
    """Return the S256 challenge of a verifier."""
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


class Host:
    """A client of the endpoint with sign-in at `path`."""

    def __init__(self, client: FlaskClient, redirect_uri: str = CLAUDE, path: str = PATH) -> None:
        self.client = client
        self.redirect_uri = redirect_uri
        self.path = path
        self.client_id = ""

    def register(self, **metadata: Any) -> dict[str, Any]:
        """Register, and return the response."""
        body = {"redirect_uris": [self.redirect_uri], "client_name": "A client", **metadata}
        response = self.client.post(f"{self.path}/register", json=body)
        assert response.status_code == 201, response.get_data(as_text=True)
        registered: dict[str, Any] = response.get_json()
        self.client_id = registered["client_id"]
        return registered

    def fields(self, **changes: str | None) -> dict[str, str]:
        """Return the fields of the request for a code. A change to None leaves a field out."""
        if not self.client_id:
            self.register()
        fields: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "state": "s",
            **changes,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def open(self, headers: dict[str, str] | None = None, **changes: str | None) -> TestResponse:
        """Open the page."""
        return self.client.get(f"{self.path}/authorize?{urlencode(self.fields(**changes))}", headers=headers)

    def post(self, form: Any, headers: dict[str, str] | None = None, **changes: str | None) -> TestResponse:
        """Send the form of the page, by default as the page itself does."""
        query = urlencode(self.fields(**changes))
        sent = OWN_PAGE if headers is None else headers
        return self.client.post(f"{self.path}/authorize?{query}", data=form, headers=sent)

    def code(self, key: str, **changes: Any) -> str:
        """Type a key, and return the code."""
        response = self.post({"key": key}, **changes)
        assert response.status_code == 302, response.get_data(as_text=True)
        return answer(response)["code"]

    def exchange(self, code: str, headers: dict[str, str] | None = None, **changes: str | None) -> TestResponse:
        """Exchange a code for a token. A change to None leaves a field out."""
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "code_verifier": VERIFIER,
            **changes,
        }
        sent = {name: value for name, value in form.items() if value is not None}
        return self.client.post(f"{self.path}/token", data=sent, headers=headers)

    def sign_in(self, key: str) -> str:
        """Sign in, and return the token."""
        response = self.exchange(self.code(key))
        assert response.status_code == 200, response.get_data(as_text=True)
        token: str = response.get_json()["access_token"]
        return token

    def call(self, token: str, message: Any = INITIALIZE, path: str | None = None, **headers: str) -> TestResponse:
        """Post a message with a token."""
        sent = {"Authorization": f"Bearer {token}", **headers}
        return self.client.post(path or self.path, json=message, headers=sent, buffered=True)


def query(task_id: str, id: int = 1, **arguments: Any) -> dict[str, Any]:
    """Return a legacy call of query_video_status."""
    params = {"name": "query_video_status", "arguments": {"task_id": task_id, **arguments}}
    return {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}


def answer(response: TestResponse) -> dict[str, str]:
    """Return the parameters that a redirect to the client holds, each once."""
    parsed = parse_qs(urlsplit(response.headers["Location"]).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in parsed.values())
    return {name: values[0] for name, values in parsed.items()}


def oauth_error(response: TestResponse) -> tuple[int, str]:
    """Return the status and the code of an error, after a check of the body's shape."""
    body = response.get_json()
    assert set(body) == {"error", "error_description"}
    return response.status_code, body["error"]
