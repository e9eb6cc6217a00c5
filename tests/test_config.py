"""`config.from_env`, and the budget that the configuration and gunicorn's settings share."""

import dataclasses
import runpy
from typing import Any

import pytest

from scenext_service.config import MAX_TIMEOUT, Config, ConfigError, from_env

from .support.messages import KEY
from .support.pages import ROOT

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


VARIABLES = [
    "SCENEXT_API_BASE_URL",
    "SCENEXT_API_KEY",
    "SCENEXT_ACCESS_TOKEN",
    "SCENEXT_DEFAULT_QUALITY",
    "SCENEXT_LOG_LEVEL",
    "SCENEXT_ALLOWED_ORIGINS",
    "SCENEXT_MEDIA_ORIGINS",
    "SCENEXT_TIMEOUT",
    "SCENEXT_UPSTREAM_SLOTS",
    "SCENEXT_MAX_WAIT",
    "SCENEXT_WAITING_CALLS",
    "SCENEXT_SANDBOX",
    "PORT",
]


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_variable_is_unset(blank: str) -> None:
    """Ours: platforms and `.env` files leave empty variables behind."""
    assert from_env(dict.fromkeys(VARIABLES, blank)) == Config()


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
    config = from_env({f"SCENEXT_{name}": value, "HOME": "/", "SCENEXT_UNKNOWN": "1"})
    assert config == dataclasses.replace(Config(), **{field: expected})
    assert type(getattr(config, field)) is type(expected)


def test_a_port_means_that_the_public_reaches_the_server() -> None:
    """Ours: gunicorn.conf.py binds to every address where a platform sets PORT."""
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


def test_every_call_ends_before_gunicorn_and_the_platforms_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: One total deadline and "A slow upstream cannot starve the rest"."""
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    gunicorn = runpy.run_path(str(ROOT / "gunicorn.conf.py"))
    assert 0 < Config().timeout <= MAX_TIMEOUT < gunicorn["graceful_timeout"] < 30
    assert 0 < Config().upstream_slots < gunicorn["threads"]
    assert 0 < Config().waiting_calls < gunicorn["threads"]
