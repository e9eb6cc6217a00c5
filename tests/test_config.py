"""The configuration: `from_env`, warnings and startup fields, and its time budget beside that of gunicorn."""

import dataclasses
import re
from typing import Any

import pytest

from scenext_service.config import MAX_TIMEOUT, VARIABLES, Config, ConfigError, from_env, startup_fields, warnings
from scenext_service.server.gunicorn import settings

from .support.messages import KEY

TOKEN = "sentinel-token-71f5a8e93c"
PLACEHOLDERS = (
    *("YOUR_TOKEN", "YOUR_ACCESS_TOKEN", "your-access-token-here", "YOUR_API_KEY", "<your-access-token>"),
    *("${SCENEXT_ACCESS_TOKEN}", "{{SCENEXT_ACCESS_TOKEN}}", "change-me-to-a-secret", "CHANGEME-CHANGEME"),
    *("replace_me_with_a_token", "placeholder-of-a-token"),
)
BAD_TOKENS = (*PLACEHOLDERS, "x", "12345", "t" * 15)

ORIGINS = frozenset({"https://a", "http://b:80", "app://c"})
VIDEO = "https://oss-1.Example.com:8443/a/sample.mp4?Expires=1&Signature=x%2F#t=5"
MEDIA = frozenset({"https://*.a.example", "http://127.0.0.1:80", "https://b"})


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    """Ours: Config. The address is from Scenext's API reference."""
    assert from_env({}) == Config(
        api_base_url="https://api.scenext.cn/api",
        api_key=None,
        access_token=None,
        default_quality="m",
        log_level="INFO",
        allowed_origins=frozenset(),
        media_origins=frozenset({"https://*.scenext.cn"}),
        timeout=20.0,
        upstream_slots=None,
        max_wait=50,
        waiting_calls=None,
        sandbox=False,
        public=False,
        max_body=8 * 1024 * 1024,
    )


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_variable_is_unset(blank: str) -> None:
    """Ours: platforms and `.env` files often set empty variables."""
    assert from_env(dict.fromkeys([*VARIABLES, "SCENEXT_SANDOBX", "PORT", "HTTPS_PROXY"], blank)) == Config()


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        pytest.param("API_BASE_URL", "http://[::1]:9/api/", "api_base_url", "http://[::1]:9/api", id="base-url"),
        pytest.param("API_BASE_URL", "https://h", "api_base_url", "https://h", id="base-url-without-path"),
        pytest.param("API_KEY", f" {KEY}\n", "api_key", KEY, id="key"),
        pytest.param("API_KEY", "0" * 16, "api_key", "0" * 16, id="key-of-digits"),
        *[
            pytest.param("API_KEY", text, "api_key", text, id=f"key-placeholder-{text}")
            for text in ("YOUR_API_KEY", "$SCENEXT_KEY", "$env:KEY", "%KEY%", "undefined", "null", "<your own key>")
        ],
        pytest.param("ACCESS_TOKEN", f" {TOKEN}\n", "access_token", TOKEN, id="token"),
        pytest.param("ACCESS_TOKEN", "0" * 16, "access_token", "0" * 16, id="token-of-digits"),
        pytest.param("ACCESS_TOKEN", "yours-0123456789", "access_token", "yours-0123456789", id="token-in-words"),
        pytest.param("ACCESS_TOKEN", "", "access_token", None, id="token-blank-without-a-key"),
        pytest.param("DEFAULT_QUALITY", "h", "default_quality", "h", id="quality"),
        pytest.param("DEFAULT_QUALITY", " L ", "default_quality", "l", id="upper-case-quality"),
        pytest.param("LOG_LEVEL", "debug", "log_level", "DEBUG", id="lower-case-log-level"),
        pytest.param("LOG_LEVEL", "ERROR", "log_level", "ERROR", id="log-level"),
        pytest.param("ALLOWED_ORIGINS", "*", "allowed_origins", frozenset({"*"}), id="all-origins"),
        pytest.param("ALLOWED_ORIGINS", "https://a, http://b:80,,app://c", "allowed_origins", ORIGINS, id="origins"),
        pytest.param("MEDIA_ORIGINS", ", ".join(sorted(MEDIA)), "media_origins", MEDIA, id="media-origins"),
        pytest.param("MEDIA_ORIGINS", ",", "media_origins", Config().media_origins, id="empty-list-of-media-origins"),
        pytest.param("SAMPLE_VIDEO", f" {VIDEO} ", "sample_video", VIDEO, id="sample-video"),
        pytest.param("TIMEOUT", "1.5", "timeout", 1.5, id="timeout"),
        pytest.param("TIMEOUT", "24", "timeout", 24.0, id="longest-timeout"),
        pytest.param("UPSTREAM_SLOTS", "1", "upstream_slots", 1, id="slots"),
        pytest.param("MAX_WAIT", "0", "max_wait", 0, id="no-wait"),
        pytest.param("MAX_WAIT", "900", "max_wait", 900, id="longest-wait"),
        pytest.param("WAITING_CALLS", "1", "waiting_calls", 1, id="waiting-calls"),
        *[pytest.param("SANDBOX", on, "sandbox", True, id=f"sandbox-{on}") for on in ("1", "true", "YES", "On")],
        *[pytest.param("SANDBOX", off, "sandbox", False, id=f"sandbox-{off}") for off in ("0", "False", "no", "off")],
    ],
)
def test_each_variable_sets_its_field_and_no_other(name: str, value: str, field: str, expected: Any) -> None:
    """Ours: Config, and its parsers."""
    config = from_env({f"SCENEXT_{name}": value, "HOME": "/"})
    assert config == dataclasses.replace(Config(), **{field: expected})
    assert type(getattr(config, field)) is type(expected)


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_token_beside_a_key_ends_the_start(blank: str) -> None:
    """Ours: the operator meant to protect the key, but a blank token would share it with all callers."""
    with pytest.raises(ConfigError) as caught:
        from_env({"SCENEXT_API_KEY": KEY, "SCENEXT_ACCESS_TOKEN": blank})
    assert str(caught.value) == (
        "SCENEXT_ACCESS_TOKEN: the value is blank while SCENEXT_API_KEY is set. Set a token, or remove"
        " SCENEXT_ACCESS_TOKEN to share the key with all callers."
    )


@pytest.mark.parametrize("key", ["", " ", "YOUR_API_KEY"])
def test_a_blank_token_without_a_key_is_ignored(key: str) -> None:
    """Ours: platforms and `.env` files often set empty variables."""
    config = from_env({"SCENEXT_API_KEY": key, "SCENEXT_ACCESS_TOKEN": ""})
    assert config == Config(api_key=key.strip() or None)


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        *[
            pytest.param(token, "is a placeholder. Use a random token of at least 16 characters.", id=token)
            for token in PLACEHOLDERS
        ],
        pytest.param("t" * 15, "has fewer than 16 characters. Use a longer one.", id="short"),
    ],
)
def test_a_guessable_token_ends_the_start(token: str, problem: str) -> None:
    """Ours: the token protects the operator's points, and the placeholders of the documentation are public."""
    with pytest.raises(ConfigError) as caught:
        from_env({"SCENEXT_API_KEY": KEY, "SCENEXT_ACCESS_TOKEN": token})
    assert str(caught.value) == f"SCENEXT_ACCESS_TOKEN: the value {problem}"


def test_a_set_port_means_that_the_server_is_public() -> None:
    """Ours: gunicorn binds to all addresses if PORT is set."""
    assert from_env({"PORT": "8080"}) == Config(public=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("SCENEXT_API_BASE_URL", "api.scenext.cn/api", id="base-url-without-scheme"),
        pytest.param("SCENEXT_API_BASE_URL", "ftp://api.scenext.cn", id="base-url-ftp"),
        pytest.param("SCENEXT_API_BASE_URL", "https://", id="base-url-without-host"),
        pytest.param("SCENEXT_API_BASE_URL", "https:///api", id="base-url-path-only"),
        pytest.param("SCENEXT_API_BASE_URL", "https://h:99999/", id="base-url-port"),
        pytest.param("SCENEXT_API_BASE_URL", "https://h:0/", id="base-url-port-zero"),
        pytest.param("SCENEXT_API_BASE_URL", "http://[::1", id="base-url-broken"),
        pytest.param("SCENEXT_API_BASE_URL", "https://h/a b", id="base-url-space"),
        pytest.param("SCENEXT_API_BASE_URL", "https://例子/", id="base-url-non-ascii"),
        pytest.param("SCENEXT_API_BASE_URL", f"https://user:{KEY}@h/", id="base-url-password"),
        pytest.param("SCENEXT_API_BASE_URL", f"https://h/api?key={KEY}", id="base-url-query"),
        pytest.param("SCENEXT_API_BASE_URL", f"https://h/api#{KEY}", id="base-url-fragment"),
        pytest.param("SCENEXT_API_BASE_URL", "https://h/api?", id="base-url-empty-query"),
        pytest.param("SCENEXT_API_BASE_URL", "https://h/api#", id="base-url-empty-fragment"),
        pytest.param("SCENEXT_API_KEY", f"Bearer {KEY}", id="key-with-scheme"),
        pytest.param("SCENEXT_API_KEY", "k" * 15, id="key-too-short-to-be-redacted"),
        pytest.param("SCENEXT_API_KEY", f"{KEY},b", id="key-comma"),
        pytest.param("SCENEXT_API_KEY", f"{KEY}é", id="key-non-ascii"),
        pytest.param("SCENEXT_API_KEY", f"{KEY}\x01", id="key-control"),
        pytest.param("SCENEXT_ACCESS_TOKEN", f"{KEY}\n{KEY}", id="token-two-lines"),
        *[pytest.param("SCENEXT_ACCESS_TOKEN", bad, id=f"token-{bad}") for bad in BAD_TOKENS],
        pytest.param("SCENEXT_DEFAULT_QUALITY", "high", id="quality"),
        pytest.param("SCENEXT_LOG_LEVEL", "LOUD", id="log-level"),
        pytest.param("SCENEXT_ALLOWED_ORIGINS", "a.example", id="origin-without-scheme"),
        pytest.param("SCENEXT_ALLOWED_ORIGINS", "https://a.example/", id="origin-slash"),
        pytest.param("SCENEXT_ALLOWED_ORIGINS", "https://a.example/x", id="origin-path"),
        pytest.param("SCENEXT_ALLOWED_ORIGINS", "https://a.example, null", id="origin-null"),
        pytest.param("SCENEXT_ALLOWED_ORIGINS", "https://[a.example", id="origin-broken"),
        *[
            pytest.param("SCENEXT_MEDIA_ORIGINS", bad, id=f"media-{bad}")
            for bad in (
                *("a.example", "https://a.example/", "https://a.example, *", "https://*", "https://a.*.example"),
                *("https://a*.example", "*.example", "data:", "ws://a.example", "https://a.example;script-src"),
                *("https://u@a.example", "https://[::1]:80", "https://a.example:port", "https://例子", "'self'"),
            )
        ],
        *[
            pytest.param("SCENEXT_SAMPLE_VIDEO", bad, id=f"sample-{bad[:40]}")
            for bad in (
                *(
                    "sample.mp4",
                    "http://a.example/a.mp4",
                    "https://a.example",
                    "https://a.example/",
                    "//a.example/a.mp4",
                ),
                *("https://*.example/a.mp4", "https://u@a.example/a", "https://[::1]/a.mp4", "https://a.example/a b"),
                *('https://a.example/a"', "https://a.example/<a>", "https://例子/a", "https://a.example/例", "'self'"),
                f"https://a.example/{'a' * 1901}",
            )
        ],
        *[
            pytest.param("SCENEXT_TIMEOUT", bad, id=f"timeout-{bad}")
            for bad in ("soon", "0", "-1", "24.1", "30", "nan", "inf", "1e999", "20s")
        ],
        *[
            pytest.param("SCENEXT_UPSTREAM_SLOTS", bad, id=f"slots-{bad[:9]}")
            for bad in ("many", "0", "-1", "1.5", "10001", "9" * 5000)
        ],
        *[pytest.param("SCENEXT_MAX_WAIT", bad, id=f"wait-{bad}") for bad in ("long", "-1", "901", "2.5", "50s")],
        *[pytest.param("SCENEXT_WAITING_CALLS", bad, id=f"waiting-{bad}") for bad in ("all", "0", "-1", "10001")],
        pytest.param("SCENEXT_SANDBOX", "maybe", id="sandbox"),
        pytest.param("SCENEXT_SANDBOX", "2", id="sandbox-number"),
        *[pytest.param(name, f'"{KEY}"', id=f"{name}-in-quotes") for name in VARIABLES],
        pytest.param("SCENEXT_API_KEY", f"'{KEY}'", id="key-in-single-quotes"),
    ],
)
def test_the_error_for_a_bad_value_names_the_variable_and_no_secret(name: str, value: str) -> None:
    """Ours: the line names the variable, the problem and the remedy."""
    with pytest.raises(ConfigError) as caught:
        from_env({name: value})
    message = str(caught.value)
    assert re.fullmatch(rf"{name}: .+\. (?:Use|Set|Remove) .+\.", message)
    assert KEY not in message


def test_repr_hides_the_secrets() -> None:
    """Ours: a configuration in a traceback or a log must not reveal a key."""
    text = repr(Config(api_key=KEY, access_token=TOKEN))
    assert "timeout=20.0" in text
    assert (KEY in text, TOKEN in text) == (False, False)


def test_the_configuration_is_frozen() -> None:
    """Ours: the configuration is read once."""
    config: Any = Config()
    for field in dataclasses.fields(Config):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(config, field.name, None)


def test_the_call_timeout_is_below_those_of_gunicorn_and_platforms() -> None:
    """Ours: a call has one total deadline, so that a slow upstream cannot block other requests."""
    assert 0 < Config().timeout <= MAX_TIMEOUT < settings.graceful_timeout < 30


def test_quotes_around_a_secret_are_rejected() -> None:
    """Ours: a shell removes them, but Docker's `--env-file` keeps them, and Scenext would reject the key."""
    with pytest.raises(
        ConfigError, match=r"^SCENEXT_API_KEY: the value is in quotes, which are part of it here\. Remove the quotes\.$"
    ):
        from_env({"SCENEXT_API_KEY": f'"{KEY}"'})


def test_an_unknown_variable_is_reported() -> None:
    """Ours: with a typo in SCENEXT_SANDBOX, the service would use the real API."""
    config = from_env(
        {"SCENEXT_SANDOBX": "1", "SCENEXT_A": "", "SCENEXTS": "1", "scenext_sandbox": "1", "SCENEXT_": "x"}
    )
    assert config == Config(unknown=("SCENEXT_", "SCENEXT_SANDOBX"))


@pytest.mark.parametrize("service", ["SCENEXT", "SCENEXT_SERVICE", "SCENEXT_MCP"])
def test_the_service_variables_of_kubernetes_are_not_reported(service: str) -> None:
    """Spec: Kubernetes, "Accessing the Service", "Environment Variables": it sets them for each Service."""
    names = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT_80_TCP_PROTO", "PORT_80_TCP_PORT"]
    environ = {f"{service}_{name}": "80" for name in [*names, "PORT_80_TCP_ADDR"]}
    urls = {f"{service}_{name}": "tcp://10.0.0.11:80" for name in ("PORT", "PORT_80_TCP")}
    assert from_env({**environ, **urls}) == Config()


def test_scenext_port_is_reported_as_unknown() -> None:
    """Ours: only PORT is read, which platforms set."""
    assert from_env({"SCENEXT_PORT": "8000"}).unknown == ("SCENEXT_PORT",)


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        pytest.param({"HTTPS_PROXY": "localhost:3128"}, "HTTPS_PROXY", id="proxy"),
        pytest.param({"REQUESTS_CA_BUNDLE": "/nowhere"}, "REQUESTS_CA_BUNDLE", id="certificates"),
    ],
)
def test_an_unusable_proxy_or_certificate_bundle_ends_the_start(environ: dict[str, str], named: str) -> None:
    """Ours: every call would fail. The sandbox makes no calls."""
    with pytest.raises(ConfigError, match=f"^{named}"):
        from_env(environ)
    assert from_env({**environ, "SCENEXT_SANDBOX": "1"}) == Config(sandbox=True)


def test_the_configuration_holds_the_proxy() -> None:
    """Ours: the log line of the start shows the proxy without its password."""
    assert (
        from_env({"https_proxy": f"http://user:{KEY}@proxy.example:3128"}).proxy == "proxy.example:3128 (https_proxy)"
    )


@pytest.mark.parametrize(
    ("unknown", "suggestion"),
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
def test_the_warning_about_an_unknown_variable_suggests_a_known_one(unknown: str, suggestion: str) -> None:
    """Ours: with a typo in SCENEXT_SANDBOX, the service would use the real API."""
    assert list(warnings(Config(unknown=(unknown,)))) == [
        f"{unknown} is an unknown variable and has no effect. Did you mean {suggestion}?"
    ]


def test_the_line_of_the_start_states_whether_metrics_are_on() -> None:
    """Ours: docs/operating.md, "The start". No application is created, because a process has one set of metrics."""
    assert [startup_fields(Config(metrics=on))["metrics"] for on in (True, False)] == ["on", "off"]
