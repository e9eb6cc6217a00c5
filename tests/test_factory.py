"""`create_app` and `wsgi.py`: what is wired, what the start says, and JSON on every path."""

import os
import runpy
import subprocess
import sys

import pytest
from flask import Flask, abort
from flask.testing import FlaskClient

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.version import VERSION

from .support.messages import KEY, NOT_FOUND
from .support.pages import ROOT


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Take everything that the configuration reads out of the environment."""
    for name in os.environ:
        if name.startswith("SCENEXT_") or name == "PORT":
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/mcp/x",
        "/MCP",
        "/healthz/",
        "/static/x",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource/mcp",
        "/%00",
        "/%ff",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_an_unknown_path_is_not_found_in_json(client: FlaskClient, method: str, path: str) -> None:
    """Ours: JSON on every path; OAuth clients parse this body."""
    response = client.open(path, method=method)
    assert (response.status_code, response.content_type) == (404, "application/json")
    assert response.get_json() == NOT_FOUND
    assert "Location" not in response.headers


@pytest.mark.parametrize("path", ["//mcp", "/mcp//", "//mcp//", "//healthz", "/.well-known//x", "//"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_doubled_slash_is_never_redirected(client: FlaskClient, method: str, path: str) -> None:
    """Ours: clients lose their Authorization on a redirect."""
    # As a URL of the test client, `//mcp` would be a host.
    response = client.open("/", method=method, environ_overrides={"PATH_INFO": path})
    assert not 300 <= response.status_code < 400
    assert "Location" not in response.headers
    if path.endswith("mcp//"):
        assert (response.status_code, response.get_json()) == (404, NOT_FOUND)


def test_options_of_every_path_name_its_methods(client: FlaskClient, app: Flask) -> None:
    """Spec: RFC 9110, sections 9.3.7 and 15.5.6."""
    paths = sorted(rule.rule for rule in app.url_map.iter_rules())
    assert {"/", "/healthz", "/mcp", "/mcp/"} <= set(paths)
    for path in paths:
        response = client.options(path)
        expected = (204, "POST, OPTIONS") if path.startswith("/mcp") else (405, "GET, HEAD")
        assert (response.status_code, response.headers["Allow"]) == expected


def fresh() -> Flask:
    """Make an application with routes that break."""
    app = create_app(Config(sandbox=True))

    def broken() -> str:
        raise RuntimeError("sentinel <b>bug</b>")

    app.add_url_rule("/broken", view_func=broken)
    app.add_url_rule("/teapot", view_func=lambda: abort(418), endpoint="teapot")
    return app


def test_a_bug_outside_mcp_is_an_internal_error_with_its_trace_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ours: never HTML, and nothing of the bug in the answer."""
    client = fresh().test_client()
    capsys.readouterr()
    response = client.get("/broken")
    assert (response.status_code, response.content_type) == (500, "application/json")
    assert response.get_json() == {"error": "internal_error"}
    line, request = capsys.readouterr().out.splitlines()
    assert " info request http_method=GET path=/broken status=500 bytes=27 " in request
    assert ' error unhandled exception="Traceback (most recent call last):' in line
    assert 'RuntimeError: sentinel <b>bug</b>"' in line
    assert "<html" not in line.lower()


def test_any_refusal_of_flask_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: JSON on every path."""
    client = fresh().test_client()
    capsys.readouterr()
    response = client.get("/teapot")
    assert (response.status_code, response.content_type) == (418, "application/json")
    assert response.get_json() == {"error": "i'm_a_teapot"}
    assert " info request http_method=GET path=/teapot status=418 bytes=25 " in capsys.readouterr().out


SANDBOX = "SCENEXT_SANDBOX is on"
LENT = "SCENEXT_API_KEY is lent to every caller who brings no key"
GUARDED = "SCENEXT_API_KEY is lent to every caller who presents SCENEXT_ACCESS_TOKEN"
PLACEHOLDER = "SCENEXT_API_KEY is the placeholder of the documentation and counts as none"
NO_EFFECT = "SCENEXT_ACCESS_TOKEN has no effect"
TOKEN = "sentinel-token-71f5a8e93c"


@pytest.mark.parametrize(
    ("config", "warnings"),
    [
        pytest.param(Config(), [], id="nothing"),
        pytest.param(Config(sandbox=True), [SANDBOX], id="sandbox"),
        pytest.param(Config(api_key=KEY), [LENT], id="shared-key"),
        pytest.param(Config(api_key=KEY, access_token=TOKEN), [GUARDED], id="shared-key-with-token"),
        pytest.param(Config(access_token=TOKEN), [NO_EFFECT], id="token-without-key"),
        pytest.param(Config(api_key="YOUR_API_KEY"), [PLACEHOLDER], id="placeholder-is-lent-to-nobody"),
        pytest.param(Config(api_key="YOUR_API_KEY", access_token=TOKEN), [PLACEHOLDER], id="placeholder-with-token"),
        pytest.param(Config(sandbox=True, api_key=KEY), [SANDBOX, LENT], id="sandbox-and-shared-key"),
    ],
)
def test_the_start_warns_of_what_an_operator_must_not_be_surprised_by(
    capsys: pytest.CaptureFixture[str], config: Config, warnings: list[str]
) -> None:
    """Ours: the shared key and the sandbox: start-up logs a warning that says so."""
    create_app(config)
    written = capsys.readouterr().out
    lines = written.splitlines()
    assert [f' warning "{words}' in line for words, line in zip(warnings, lines, strict=True)] == [True] * len(warnings)
    assert KEY not in written
    assert TOKEN not in written


@pytest.mark.parametrize("sandbox", [True, False])
def test_the_environment_is_read_where_no_configuration_is_given(bare: pytest.MonkeyPatch, sandbox: bool) -> None:
    """Ours: Config is read once from the environment."""
    bare.setenv("SCENEXT_SANDBOX", str(int(sandbox)))
    client = create_app().test_client()
    assert client.get("/healthz").get_json() == {"status": "ok", "version": VERSION, "sandbox": sandbox}


def test_a_configuration_that_is_given_is_taken_instead_of_the_environment(bare: pytest.MonkeyPatch) -> None:
    """Ours: create_app's docstring."""
    bare.setenv("SCENEXT_SANDBOX", "maybe")
    assert create_app(Config()).test_client().get("/healthz").get_json()["sandbox"] is False


@pytest.mark.parametrize(("level", "lines"), [("INFO", 2), ("WARNING", 1)])
def test_a_request_has_its_line_where_lines_are_wanted(
    capsys: pytest.CaptureFixture[str], level: str, lines: int
) -> None:
    """Ours: SCENEXT_LOG_LEVEL; the warning about the sandbox stays."""
    client = create_app(Config(sandbox=True, log_level=level)).test_client()
    client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
    assert len(capsys.readouterr().out.splitlines()) == lines


def test_two_applications_share_nothing() -> None:
    """Ours: no module-level mutable state."""
    apps = [create_app(Config(sandbox=sandbox)) for sandbox in (True, False)]
    assert [app.test_client().get("/healthz").get_json()["sandbox"] for app in apps] == [True, False]


@pytest.mark.usefixtures("bare")
def test_wsgi_gives_one_application_under_both_names() -> None:
    """Ours: wsgi.py: `app` for gunicorn, `application` for mod_wsgi, uWSGI and Elastic Beanstalk."""
    wsgi = runpy.run_path(str(ROOT / "wsgi.py"))
    assert isinstance(wsgi["app"], Flask)
    assert wsgi["app"] is wsgi["application"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("SCENEXT_TIMEOUT", "soon", id="timeout"),
        pytest.param("SCENEXT_API_KEY", f"Bearer {KEY}", id="key"),
        pytest.param("SCENEXT_ALLOWED_ORIGINS", "https://[a", id="origin"),
    ],
)
def test_a_bad_configuration_ends_the_start_with_one_line(bare: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Ours: a bad value fails at start with the variable's name."""
    bare.setenv(name, value)
    ended = subprocess.run([sys.executable, "wsgi.py"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"scenext_service cannot start: {name} must ")
    assert KEY not in line
