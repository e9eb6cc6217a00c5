"""`config.from_env`, and the budget that the configuration and gunicorn's settings share."""

import dataclasses
from typing import Any

import pytest

from scenext_service.config import MAX_TIMEOUT, VARIABLES, Config, ConfigError, from_env
from scenext_service.serving import capacity, settings

from .support.messages import KEY

ORIGINS = frozenset({"https://a", "http://b:80", "app://c"})
MEDIA = frozenset({"https://*.a.example", "http://127.0.0.1:80", "https://b"})


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    """Ours: Config; Scenext's API reference for the address."""
    assert from_env({}) == Config(
        api_base_url="https://api.scenext.cn/api",
        api_key=None,
        access_token=None,
        default_quality="m",
        log_level="INFO",
        allowed_origins=frozenset(),
        media_origins=frozenset({"https://*.scenext.cn"}),
        timeout=20.0,
        upstream_slots=120,
        max_wait=50,
        waiting_calls=60,
        sandbox=False,
        public=False,
        max_body=8 * 1024 * 1024,
    )


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_variable_is_unset(blank: str) -> None:
    """Ours: platforms and `.env` files leave empty variables behind."""
    assert from_env(dict.fromkeys([*VARIABLES, "SCENEXT_SANDOBX", "PORT", "HTTPS_PROXY"], blank)) == Config()


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        pytest.param("API_BASE_URL", "http://[::1]:9/api/", "api_base_url", "http://[::1]:9/api", id="base-url"),
        pytest.param("API_BASE_URL", "https://h", "api_base_url", "https://h", id="base-url-without-path"),
        pytest.param("API_KEY", f" {KEY}\n", "api_key", KEY, id="key"),
        pytest.param("API_KEY", "0" * 16, "api_key", "0" * 16, id="key-of-digits"),
        pytest.param("API_KEY", "YOUR_API_KEY", "api_key", "YOUR_API_KEY", id="key-placeholder"),
        pytest.param("ACCESS_TOKEN", "12345", "access_token", "12345", id="token-of-digits"),
        pytest.param("DEFAULT_QUALITY", "h", "default_quality", "h", id="quality"),
        pytest.param("DEFAULT_QUALITY", " L ", "default_quality", "l", id="quality-upper-case"),
        pytest.param("LOG_LEVEL", "debug", "log_level", "DEBUG", id="log-level-lower-case"),
        pytest.param("LOG_LEVEL", "ERROR", "log_level", "ERROR", id="log-level"),
        pytest.param("ALLOWED_ORIGINS", "*", "allowed_origins", frozenset({"*"}), id="origins-all"),
        pytest.param("ALLOWED_ORIGINS", "https://a, http://b:80,,app://c", "allowed_origins", ORIGINS, id="origins"),
        pytest.param("MEDIA_ORIGINS", ", ".join(sorted(MEDIA)), "media_origins", MEDIA, id="media-origins"),
        pytest.param("MEDIA_ORIGINS", ",", "media_origins", Config().media_origins, id="media-origins-none"),
        pytest.param("TIMEOUT", "1.5", "timeout", 1.5, id="timeout"),
        pytest.param("TIMEOUT", "24", "timeout", 24.0, id="timeout-most"),
        pytest.param("UPSTREAM_SLOTS", "1", "upstream_slots", 1, id="slots"),
        pytest.param("MAX_WAIT", "0", "max_wait", 0, id="no-wait"),
        pytest.param("MAX_WAIT", "900", "max_wait", 900, id="longest-wait"),
        pytest.param("WAITING_CALLS", "1", "waiting_calls", 1, id="waiting-calls"),
        *[pytest.param("SANDBOX", on, "sandbox", True, id=f"sandbox-{on}") for on in ("1", "true", "YES", "On")],
        *[pytest.param("SANDBOX", off, "sandbox", False, id=f"sandbox-{off}") for off in ("0", "False", "no", "off")],
    ],
)
def test_each_variable_sets_its_field_and_no_other(name: str, value: str, field: str, expected: Any) -> None:
    """Ours: Config."""
    config = from_env({f"SCENEXT_{name}": value, "HOME": "/"})
    assert config == dataclasses.replace(Config(), **{field: expected})
    assert type(getattr(config, field)) is type(expected)


def test_a_port_means_that_the_public_reaches_the_server() -> None:
    """Ours: gunicorn binds to every address where a platform sets PORT."""
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
        pytest.param("SCENEXT_API_BASE_URL", "https://h/a b", id="base-url-blank"),
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
def test_a_bad_value_names_the_variable_and_shows_no_secret(name: str, value: str) -> None:
    """Ours: a bad value fails at start with the variable's name, on one line."""
    with pytest.raises(ConfigError) as caught:
        from_env({name: value})
    message = str(caught.value)
    assert message.startswith(f"{name} must ")
    assert KEY not in message
    assert len(message.splitlines()) == 1


def test_the_configuration_is_frozen() -> None:
    """Ours: Config is read once."""
    config: Any = Config()
    for field in dataclasses.fields(Config):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(config, field.name, None)


def test_every_call_ends_before_gunicorn_and_the_platforms_give_up() -> None:
    """Ours: One total deadline and "A slow upstream cannot starve the rest"."""
    assert 0 < Config().timeout <= MAX_TIMEOUT < settings.graceful_timeout < 30
    assert 0 < Config().upstream_slots < capacity.THREADS
    assert 0 < Config().waiting_calls < capacity.THREADS


def test_quotes_around_a_secret_are_said_to_be_part_of_it() -> None:
    """Ours: a shell takes them away, and Docker's `--env-file` does not: Scenext would refuse the key."""
    with pytest.raises(ConfigError, match=r"^SCENEXT_API_KEY must not be in quotes: they are part of its value here$"):
        from_env({"SCENEXT_API_KEY": f'"{KEY}"'})


def test_a_variable_that_means_nothing_is_noted() -> None:
    """Ours: one letter wrong in SCENEXT_SANDBOX, and the service starts against the real API."""
    config = from_env(
        {"SCENEXT_SANDOBX": "1", "SCENEXT_A": "", "SCENEXTS": "1", "scenext_sandbox": "1", "SCENEXT_": "x"}
    )
    assert config == Config(unknown=("SCENEXT_", "SCENEXT_SANDOBX"))


@pytest.mark.parametrize("service", ["SCENEXT", "SCENEXT_SERVICE", "SCENEXT_MCP"])
def test_what_kubernetes_sets_for_a_service_is_not_noted(service: str) -> None:
    """Spec: Kubernetes, "Accessing the Service", "Environment Variables": for each Service of the namespace."""
    names = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT_80_TCP_PROTO", "PORT_80_TCP_PORT"]
    environ = {f"{service}_{name}": "80" for name in [*names, "PORT_80_TCP_ADDR"]}
    urls = {f"{service}_{name}": "tcp://10.0.0.11:80" for name in ("PORT", "PORT_80_TCP")}
    assert from_env({**environ, **urls}) == Config()


def test_a_port_with_our_prefix_is_noted() -> None:
    """Ours: the platforms' PORT is the one that is read."""
    assert from_env({"SCENEXT_PORT": "8000"}).unknown == ("SCENEXT_PORT",)


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        pytest.param({"HTTPS_PROXY": "localhost:3128"}, "HTTPS_PROXY", id="proxy"),
        pytest.param({"REQUESTS_CA_BUNDLE": "/nowhere"}, "REQUESTS_CA_BUNDLE", id="certificates"),
    ],
)
def test_a_way_out_that_cannot_be_used_ends_the_start(environ: dict[str, str], named: str) -> None:
    """Ours: every call would fail; the sandbox makes none."""
    with pytest.raises(ConfigError, match=f"^{named} must be "):
        from_env(environ)
    assert from_env({**environ, "SCENEXT_SANDBOX": "1"}) == Config(sandbox=True)


def test_the_configuration_knows_its_proxy() -> None:
    """Ours: the line of the start shows it, without the password."""
    assert (
        from_env({"https_proxy": f"http://user:{KEY}@proxy.example:3128"}).proxy == "proxy.example:3128 (https_proxy)"
    )
