"""`create_app`: its wiring, the log at the start, and JSON on every path."""

from types import SimpleNamespace

import pytest
from flask import Flask, Response, abort, request
from flask.testing import FlaskClient

from scenext_service import __version__, create_app
from scenext_service.config import Config

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
    """Ours: JSON on every path. OAuth clients parse this body."""
    response = client.open(path, method=method)
    assert (response.status_code, response.content_type) == (404, "application/json")
    assert response.get_json() == NOT_FOUND
    assert "Location" not in response.headers


@pytest.mark.parametrize("path", ["//mcp", "/mcp//", "//mcp//", "//healthz", "/.well-known//x", "//"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_doubled_slash_is_never_redirected(client: FlaskClient, method: str, path: str) -> None:
    """Ours: clients drop Authorization on a redirect."""
    # The test client would read `//mcp` in a URL as a host.
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
    """Create an application with routes that fail."""
    app = create_app(Config(sandbox=True))

    def broken() -> str:
        raise RuntimeError("sentinel <b>bug</b>")

    app.add_url_rule("/broken", view_func=broken)
    app.add_url_rule("/teapot", view_func=lambda: abort(418), endpoint="teapot")
    return app


def test_an_exception_outside_mcp_is_logged_and_answered_with_500(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ours: the response is never HTML and does not reveal the exception."""
    client = fresh().test_client()
    capsys.readouterr()
    response = client.get("/broken")
    assert (response.status_code, response.content_type) == (500, "application/json")
    assert response.get_json() == {"error": "internal_error"}
    written = capsys.readouterr()
    (line,), (logged,) = written.err.splitlines(), written.out.splitlines()
    assert " level=info msg=request http_method=GET path=/broken status=500 bytes=27 " in logged
    assert ' level=error msg="unhandled exception" exception="Traceback (most recent call last):' in line
    assert 'RuntimeError: sentinel <b>bug</b>"' in line
    assert "<html" not in line.lower()


def test_an_http_error_of_flask_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: JSON on every path."""
    client = fresh().test_client()
    capsys.readouterr()
    response = client.get("/teapot")
    assert (response.status_code, response.content_type) == (418, "application/json")
    assert response.get_json() == {"error": "i'm_a_teapot"}
    assert " level=info msg=request http_method=GET path=/teapot status=418 bytes=25 " in capsys.readouterr().out


SANDBOX = "SCENEXT_SANDBOX is on"
SHARED = "SCENEXT_API_KEY is shared with all callers that send no key."
PUBLIC = "PORT is set while SCENEXT_API_KEY is shared with all callers"
GUARDED = "SCENEXT_API_KEY is shared with all callers that send SCENEXT_ACCESS_TOKEN."
PLACEHOLDER = "SCENEXT_API_KEY is a placeholder and counts as unset."
NO_EFFECT = "SCENEXT_ACCESS_TOKEN has no effect"
UNKNOWN = 'SCENEXT_X is an unknown variable and has no effect."'
TOKEN = "sentinel-token-71f5a8e93c"


@pytest.mark.parametrize(
    ("config", "warnings"),
    [
        pytest.param(Config(), [], id="defaults"),
        pytest.param(Config(sandbox=True), [SANDBOX], id="sandbox"),
        pytest.param(Config(api_key=KEY), [SHARED], id="shared-key"),
        pytest.param(Config(api_key=KEY, access_token=TOKEN), [GUARDED], id="shared-key-with-token"),
        pytest.param(Config(api_key=KEY, public=True), [SHARED, PUBLIC], id="shared-key-with-port"),
        pytest.param(Config(api_key=KEY, access_token=TOKEN, public=True), [GUARDED], id="token-with-port"),
        pytest.param(Config(public=True), [], id="port"),
        pytest.param(Config(access_token=TOKEN), [NO_EFFECT], id="token-without-key"),
        pytest.param(Config(api_key="YOUR_API_KEY"), [PLACEHOLDER], id="placeholder"),
        pytest.param(Config(api_key="$SCENEXT_KEY"), [PLACEHOLDER], id="unexpanded-variable"),
        pytest.param(Config(api_key="YOUR_API_KEY", access_token=TOKEN), [PLACEHOLDER], id="placeholder-with-token"),
        pytest.param(Config(sandbox=True, api_key=KEY), [SANDBOX, SHARED], id="sandbox-and-shared-key"),
        pytest.param(Config(unknown=("SCENEXT_X",)), [UNKNOWN], id="unknown-variable"),
        pytest.param(
            Config(unknown=("SCENEXT_X", "SCENEXT_Y")),
            [UNKNOWN, UNKNOWN.replace("_X", "_Y")],
            id="two-unknown-variables",
        ),
    ],
)
def test_the_start_warns_of_risky_settings(
    capsys: pytest.CaptureFixture[str], config: Config, warnings: list[str]
) -> None:
    """Ours: the start logs a warning about a shared key and about the sandbox."""
    create_app(config)
    written = capsys.readouterr().err
    lines = [line.partition(" ")[2] for line in written.splitlines()]
    starts = [line[: len(words) + 19] for words, line in zip(warnings, lines, strict=True)]
    assert starts == [f'level=warning msg="{words}' for words in warnings]
    assert KEY not in written
    assert TOKEN not in written


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        pytest.param(
            Config(),
            "api=https://api.scenext.cn/api endpoint=/mcp slots=120 waiting_calls=60 timeout=20"
            ' max_wait=50 repeat_window=30 key="not shared" tasks=on metrics=off',
            id="defaults",
        ),
        pytest.param(Config(sandbox=True), "api=sandbox endpoint=/mcp", id="sandbox"),
        pytest.param(Config(api_key=KEY), 'key="shared with all"', id="shared-key"),
        pytest.param(Config(api_key=KEY, access_token=TOKEN), 'key="shared with token holders"', id="token"),
        pytest.param(Config(access_token=TOKEN), 'key="not shared"', id="token-without-key"),
        pytest.param(Config(api_key="YOUR_API_KEY"), 'key="not shared"', id="placeholder"),
        pytest.param(Config(api_key="%KEY%"), 'key="not shared"', id="unexpanded-variable"),
        pytest.param(Config(timeout=1.5, max_wait=0), "timeout=1.5 max_wait=0", id="times"),
        pytest.param(Config(proxy="p:1 (ALL_PROXY)"), 'proxy="p:1 (ALL_PROXY)" endpoint=/mcp', id="proxy"),
    ],
)
def test_the_start_logs_one_line_with_the_settings_in_use(
    capsys: pytest.CaptureFixture[str], config: Config, fields: str
) -> None:
    """Ours: docs/operating.md, "The start"."""
    create_app(config).log_startup()
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.partition(" ")[2].startswith(f"level=info msg=started version={__version__} ")
    assert f" {fields} " in f"{line} "
    assert KEY not in line
    assert TOKEN not in line


def test_a_server_adds_fields_to_the_line_of_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: gunicorn knows its addresses and the numbers of its workers and threads."""
    app = create_app(Config())
    app.use_threads(1000)
    app.log_startup(endpoint="http://127.0.0.1:8000/mcp", workers=2, threads=1000)
    line = capsys.readouterr().out
    assert " endpoint=http://127.0.0.1:8000/mcp workers=2 threads=1000 slots=400 " in line


@pytest.mark.parametrize("sandbox", [True, False])
def test_the_environment_is_read_if_no_configuration_is_passed(bare: pytest.MonkeyPatch, sandbox: bool) -> None:
    """Ours: Config is read once from the environment."""
    bare.setenv("SCENEXT_SANDBOX", str(int(sandbox)))
    client = create_app().test_client()
    assert client.get("/healthz").get_json() == {"status": "ok", "version": __version__, "sandbox": sandbox}


def test_a_passed_configuration_replaces_the_environment(bare: pytest.MonkeyPatch) -> None:
    """Ours: create_app's docstring."""
    bare.setenv("SCENEXT_SANDBOX", "maybe")
    assert create_app(Config()).test_client().get("/healthz").get_json()["sandbox"] is False


@pytest.mark.parametrize(("level", "lines"), [("INFO", 1), ("WARNING", 0)])
def test_the_log_level_controls_the_line_of_a_request(
    capsys: pytest.CaptureFixture[str], level: str, lines: int
) -> None:
    """Ours: SCENEXT_LOG_LEVEL. The warning about the sandbox is logged at both levels."""
    client = create_app(Config(sandbox=True, log_level=level)).test_client()
    client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
    written = capsys.readouterr()
    assert (len(written.out.splitlines()), len(written.err.splitlines())) == (lines, 1)


def test_two_applications_share_no_state() -> None:
    """Ours: no module-level mutable state."""
    apps = [create_app(Config(sandbox=sandbox)) for sandbox in (True, False)]
    assert [app.test_client().get("/healthz").get_json()["sandbox"] for app in apps] == [True, False]


@pytest.mark.parametrize(
    ("settings", "threads", "shares", "warning"),
    [
        pytest.param({}, 1000, (400, 500), "", id="default threads"),
        pytest.param({}, 4, (1, 1), "", id="waitress"),
        pytest.param({}, 0, (120, 60), "", id="unknown number of threads"),
        pytest.param({"upstream_slots": 800, "waiting_calls": 100}, 1000, (800, 100), "", id="settings that fit"),
        pytest.param(
            {"upstream_slots": 800, "waiting_calls": 500},
            1000,
            (553, 347),
            "SCENEXT_UPSTREAM_SLOTS=800 and SCENEXT_WAITING_CALLS=500 would exceed the 900 of 1000 threads that calls"
            " may hold. The limits are reduced to 553 slots and 347 waiting calls.",
            id="settings above the limit",
        ),
        pytest.param(
            {"upstream_slots": 120},
            64,
            (56, 0),
            "SCENEXT_UPSTREAM_SLOTS=120 would exceed the 56 of 64 threads that calls may hold. The limits are reduced"
            " to 56 slots and 0 waiting calls.",
            id="one setting above the limit",
        ),
    ],
)
def test_calls_share_the_threads_of_the_server(
    settings: dict[str, int],
    threads: int,
    shares: tuple[int, int],
    warning: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ours: docs/configuration.md. The log line of the start has the values in use, and the warning is logged once."""
    app = create_app(Config(**settings))  # type: ignore[arg-type]
    capsys.readouterr()
    for _ in range(2):  # in gunicorn's master, then in its worker after the fork
        app.use_threads(threads)
    lines = capsys.readouterr().err.splitlines()
    assert (app.startup_fields["slots"], app.startup_fields["waiting_calls"]) == shares
    assert [line.split(" ", 2)[1:] for line in lines] == [["level=warning", f'msg="{warning}"']] * bool(warning)


def test_the_threads_of_waitress_are_read_at_a_request() -> None:
    """Spec: waitress's manual, "client_disconnected": each request's environ holds this method of the connection."""

    class Channel:
        server = SimpleNamespace(adj=SimpleNamespace(threads=4))

        def check_client_disconnected(self) -> bool:
            return False

    app = create_app(Config())
    overrides = {"waitress.client_disconnected": Channel().check_client_disconnected}
    app.test_client().get("/healthz", environ_overrides=overrides)
    assert (app.threads, app.startup_fields["slots"], app.startup_fields["waiting_calls"]) == (4, 1, 1)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_view_can_use_conditional_responses(method: str) -> None:
    """Spec: RFC 9110, section 15.4.5: 304 has no body. Ours: views outside /mcp are ordinary Flask code."""
    app = create_app(Config())

    @app.get("/tagged")
    def tagged() -> Response:
        response = Response("hello")
        response.set_etag("a")
        response.make_conditional(request)
        return response

    client = app.test_client()
    first = client.open("/tagged", method=method)
    revalidated = client.open("/tagged", method=method, headers={"If-None-Match": '"a"'})
    assert (first.status_code, first.content_length, first.data) == (200, 5, b"hello" if method == "GET" else b"")
    assert (revalidated.status_code, revalidated.data, "Content-Type" in revalidated.headers) == (304, b"", False)
    assert revalidated.headers["X-Request-ID"]
