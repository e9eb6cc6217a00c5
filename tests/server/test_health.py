"""`GET /health` and `GET /healthz`."""

import pytest
from flask.testing import FlaskClient

from scenext_service import __version__

both = pytest.mark.parametrize("path", ["/health", "/healthz"])


@both
def test_health_reports_the_version_and_sandbox_mode(client: FlaskClient, path: str) -> None:
    """Ours: README, "Deploy". Cloud Run's front end reserves `/healthz` for itself."""
    response = client.get(path)
    assert (response.status_code, response.content_type) == (200, "application/json")
    assert response.get_json() == {"status": "ok", "version": __version__, "sandbox": True}


@both
def test_health_rejects_other_methods_with_json_and_allow(client: FlaskClient, path: str) -> None:
    """Ours: RFC 9110, section 15.5.6, with a JSON body."""
    response = client.post(path)
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")
    assert response.get_json() == {"error": "method_not_allowed"}
