"""`create_app`: what is wired, what the start says, and JSON on every path."""

import re

import pytest
from flask import Flask, abort
from flask.testing import FlaskClient

from scenext_service import create_app, factory
from scenext_service.config import Config
from scenext_service.version import VERSION

from .support.messages import KEY, NOT_FOUND


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
UNKNOWN = 'unknown variable SCENEXT_X has no effect"'
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
        pytest.param(Config(unknown=("SCENEXT_X",)), [UNKNOWN], id="unknown"),
        pytest.param(Config(unknown=("SCENEXT_X", "SCENEXT_Y")), [UNKNOWN, UNKNOWN.replace("_X", "_Y")], id="two"),
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


@pytest.mark.parametrize(
    ("config", "said"),
    [
        pytest.param(
            Config(),
            "api=https://api.scenext.cn/api endpoint=/mcp slots=120 waiting_calls=60 timeout=20"
            ' max_wait=50 key="callers bring theirs" metrics=off',
            id="nothing set",
        ),
        pytest.param(Config(sandbox=True), "api=sandbox endpoint=/mcp", id="sandbox"),
        pytest.param(Config(api_key=KEY), 'key="lent to all"', id="shared-key"),
        pytest.param(Config(api_key=KEY, access_token=TOKEN), 'key="lent to holders of the token"', id="token"),
        pytest.param(Config(access_token=TOKEN), 'key="callers bring theirs"', id="token-without-key"),
        pytest.param(Config(api_key="YOUR_API_KEY"), 'key="callers bring theirs"', id="placeholder"),
        pytest.param(Config(timeout=1.5, max_wait=0), "timeout=1.5 max_wait=0", id="times"),
        pytest.param(Config(proxy="p:1 (ALL_PROXY)"), 'proxy="p:1 (ALL_PROXY)" endpoint=/mcp', id="proxy"),
    ],
)
def test_one_line_at_the_start_says_what_runs(capsys: pytest.CaptureFixture[str], config: Config, said: str) -> None:
    """Ours: docs/operating.md, "The start"."""
    create_app(config).announce()
    line = capsys.readouterr().out.splitlines()[-1]
    assert re.match(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z info started version={re.escape(VERSION)} ", line)
    assert f" {said} " in f"{line} "
    assert KEY not in line
    assert TOKEN not in line


@pytest.mark.parametrize(
    ("unknown", "meant"),
    [
        ("SCENEXT_SANDOBX", "SCENEXT_SANDBOX"),
        ("SCENEXT_KEY", "SCENEXT_API_KEY"),
        ("SCENEXT_APIKEY", "SCENEXT_API_KEY"),
        ("SCENEXT_TOKEN", "SCENEXT_ACCESS_TOKEN"),
        ("SCENEXT_BASE_URL", "SCENEXT_API_BASE_URL"),
        ("SCENEXT_LOGLEVEL", "SCENEXT_LOG_LEVEL"),
        ("SCENEXT_LOG_FROMAT", "SCENEXT_LOG_FORMAT"),
        ("SCENEXT_ALLOWED_ORIGIN", "SCENEXT_ALLOWED_ORIGINS"),
        ("SCENEXT_SLOTS", "SCENEXT_UPSTREAM_SLOTS"),
        ("SCENEXT_QUALITY", "SCENEXT_DEFAULT_QUALITY"),
        ("SCENEXT_METRIC", "SCENEXT_METRICS"),
    ],
)
def test_the_variable_that_was_meant_is_asked_for(unknown: str, meant: str) -> None:
    """Ours: one letter wrong in SCENEXT_SANDBOX, and the service starts against the real API."""
    assert list(factory.warnings(Config(unknown=(unknown,)))) == [
        f"unknown variable {unknown} has no effect; did you mean {meant}?"
    ]


def test_the_start_says_whether_there_are_metrics() -> None:
    """Ours: docs/operating.md, "The start"; made without them, because they are one set for a process."""
    assert [factory.about(Config(metrics=on))["metrics"] for on in (True, False)] == ["on", "off"]


def test_a_server_adds_what_it_knows(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: gunicorn knows where it listens, and how many workers and threads there are."""
    create_app(Config()).announce(endpoint="http://127.0.0.1:8000/mcp", workers=2, threads=1000)
    line = capsys.readouterr().out
    assert " endpoint=http://127.0.0.1:8000/mcp workers=2 threads=1000 slots=120 " in line


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
