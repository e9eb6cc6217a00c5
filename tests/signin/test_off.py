"""Without the variables there is no sign-in, and each response is as before."""

import pytest
from flask.testing import FlaskClient

from scenext_service import create_app
from scenext_service.config import Config

PATHS = [
    *("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server"),
    *("/mcp/register", "/mcp/authorize", "/mcp/token", "/mcp/signin", "/mcp/signin/authorize"),
]


@pytest.fixture
def config() -> Config:
    return Config(sandbox=True)


@pytest.fixture
def client(config: Config) -> FlaskClient:
    return create_app(config).test_client()


@pytest.mark.parametrize("path", PATHS)
def test_no_address_of_a_sign_in_exists(client: FlaskClient, path: str) -> None:
    """Ours: off by default."""
    for method in ("GET", "POST", "OPTIONS"):
        response = client.open(path, method=method)
        body = {"error": "not_found", "message": "the MCP endpoint is /mcp"}
        assert (response.status_code, response.get_json()) == (404, body)
