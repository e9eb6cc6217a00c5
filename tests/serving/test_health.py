"""`GET /healthz`."""

from flask.testing import FlaskClient

from scenext_service.version import VERSION


def test_healthz_tells_of_the_process_its_version_and_the_sandbox(client: FlaskClient) -> None:
    """Ours: README, "Deploy"."""
    response = client.get("/healthz")
    assert (response.status_code, response.content_type) == (200, "application/json")
    assert response.get_json() == {"status": "ok", "version": VERSION, "sandbox": True}


def test_healthz_refuses_other_methods_in_json_with_allow(client: FlaskClient) -> None:
    """Ours: RFC 9110, section 15.5.6, in JSON."""
    response = client.post("/healthz")
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")
    assert response.get_json() == {"error": "method_not_allowed"}
