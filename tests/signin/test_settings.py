"""The settings of the sign-in, and the start with each of them missing or wrong."""

import importlib.util
import re
from typing import Any

import pytest

from scenext_service.__main__ import main
from scenext_service.check import check
from scenext_service.config import Config, ConfigError, from_env, startup_fields
from tests.support.signing_in import OTHER_SECRET, SECRET, URL

BOTH = {"SCENEXT_OAUTH_URL": URL, "SCENEXT_OAUTH_SECRET": SECRET}
LISTED = "https://app.example.com/oauth/callback?tenant=1"

GOOD_URLS = [
    "https://scenext.example.com/mcp",
    "https://scenext.example.com:8443/mcp/signin",
    "https://h/mcp/a/b.c/D_~/..e",
    "http://127.0.0.1:8000/mcp",
    "http://localhost/mcp/signin",
    "http://[::1]:1/mcp/register/x",
    "https://[2001:db8::1]/mcp",
]
BAD_URLS = [
    "scenext.example.com/mcp",
    "http://scenext.example.com/mcp",
    "http://127.0.0.1.example.com/mcp",
    "HTTPS://scenext.example.com/mcp",
    "https://Scenext.example.com/mcp",
    "https://scenext.example.com",
    "https://scenext.example.com/",
    "https://scenext.example.com/mcp/",
    "https://scenext.example.com/mcp//a",
    "https://scenext.example.com/mcpx",
    "https://scenext.example.com/api",
    "https://scenext.example.com/mcp/a/b/c/d/e",
    "https://scenext.example.com/mcp/.",
    "https://scenext.example.com/mcp/../a",
    "https://scenext.example.com/mcp/a%20b",
    "https://scenext.example.com/mcp/register",
    "https://scenext.example.com/mcp/a/authorize",
    "https://scenext.example.com/mcp/token",
    "https://user@scenext.example.com/mcp",
    "https://scenext.example.com/mcp?a=b",
    "https://scenext.example.com/mcp#a",
    "https://scenext.example.com:0/mcp",
    "https://scenext.example.com:443/mcp",
    "http://127.0.0.1:80/mcp",
    "https://scenext.example.com:65536/mcp",
    "https://scenext.example.com:08443/mcp",
    "https://例子/mcp",
    "https:///mcp",
]


@pytest.mark.parametrize("url", GOOD_URLS)
def test_a_whole_address_at_or_below_mcp_is_accepted(url: str) -> None:
    """Ours: SCENEXT_OAUTH_URL."""
    assert from_env({**BOTH, "SCENEXT_OAUTH_URL": f" {url} "}).oauth_url == url


@pytest.mark.parametrize("url", BAD_URLS)
def test_any_other_address_ends_the_start(url: str) -> None:
    """Ours: clients compare the address as text, so it has one spelling."""
    assert error({**BOTH, "SCENEXT_OAUTH_URL": url}).startswith("SCENEXT_OAUTH_URL: ")


def error(environ: dict[str, str]) -> str:
    """Return the message that ends the start: one line, without a secret."""
    with pytest.raises(ConfigError) as caught:
        from_env(environ)
    message = str(caught.value)
    assert re.fullmatch(r"SCENEXT_\w+: .+\. (?:Use|Set|Install) .+\.", message)
    assert [secret for secret in (SECRET, OTHER_SECRET, "short") if secret in message] == []
    return message


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        (SECRET, (SECRET,)),
        (f"{OTHER_SECRET} {SECRET}", (OTHER_SECRET, SECRET)),
        (f"{OTHER_SECRET},{SECRET}", (OTHER_SECRET, SECRET)),
        (f" {OTHER_SECRET} ,\n {SECRET},", (OTHER_SECRET, SECRET)),
    ],
)
def test_the_newest_secret_comes_first(text: str, secrets: tuple[str, ...]) -> None:
    """Ours: SCENEXT_OAUTH_SECRET."""
    assert from_env({**BOTH, "SCENEXT_OAUTH_SECRET": text}).oauth_secret == secrets


@pytest.mark.parametrize(
    "text",
    ["short", SECRET[:-1], f"{SECRET} short", "é" * 32, "change-me-" + "x" * 30, "YOUR_SECRET_" + "x" * 30],
)
def test_a_guessable_secret_ends_the_start(text: str) -> None:
    """Ours: anyone who signs in with a key of their own could guess a short one offline."""
    assert error({**BOTH, "SCENEXT_OAUTH_SECRET": text}).startswith("SCENEXT_OAUTH_SECRET: ")


def test_further_addresses_are_a_list() -> None:
    """Ours: SCENEXT_OAUTH_REDIRECTS."""
    environ = {**BOTH, "SCENEXT_OAUTH_REDIRECTS": f"{LISTED}, https://b.example:8443/x"}
    assert from_env(environ).oauth_redirects == {LISTED, "https://b.example:8443/x"}


@pytest.mark.parametrize(
    "address",
    [
        *(
            "http://a.example/x",
            "a.example/x",
            "https://",
            "https:///x",
            "https://u@a.example/x",
            "https://a.example/x#y",
        ),
        *(
            "https://a.example/x#",
            "HTTPS://a.example/x",
            "https://a.example:0/",
            "https://a.example:x/",
            "https://例子/",
        ),
        *("https://[a/", "javascript:alert(1)", "*"),
    ],
)
def test_an_address_that_is_not_whole_ends_the_start(address: str) -> None:
    """Ours: it is compared as text."""
    environ = {**BOTH, "SCENEXT_OAUTH_REDIRECTS": f"{LISTED} {address}"}
    assert error(environ).startswith(f"SCENEXT_OAUTH_REDIRECTS: {address!r} is not")


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"SCENEXT_OAUTH_URL": URL}, "SCENEXT_OAUTH_SECRET"),
        ({"SCENEXT_OAUTH_URL": URL, "SCENEXT_OAUTH_SECRET": ","}, "SCENEXT_OAUTH_SECRET"),
        ({"SCENEXT_OAUTH_URL": URL, "SCENEXT_OAUTH_REDIRECTS": LISTED}, "SCENEXT_OAUTH_SECRET"),
        ({"SCENEXT_OAUTH_SECRET": SECRET}, "SCENEXT_OAUTH_URL"),
        ({"SCENEXT_OAUTH_REDIRECTS": LISTED}, "SCENEXT_OAUTH_URL"),
    ],
)
def test_a_missing_variable_ends_the_start(environ: dict[str, str], named: str) -> None:
    """Ours: a half-configured sign-in would look like none."""
    assert error(environ).startswith(f"{named}: the variable is not set")


def test_a_start_without_cryptography_ends_with_the_name_of_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: the library is an extra."""
    monkeypatch.setattr("scenext_service.config.find_spec", lambda name: None)
    assert error(BOTH) == "SCENEXT_OAUTH_URL: cryptography is not installed. Install the `oauth` extra."
    assert importlib.util.find_spec("cryptography") is not None


def test_the_command_ends_with_one_line(bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: no traceback."""
    bare.setenv("SCENEXT_OAUTH_URL", URL)
    with pytest.raises(SystemExit) as caught:
        main([])
    assert str(caught.value).startswith("scenext_service cannot start: SCENEXT_OAUTH_SECRET: ")
    assert "\n" not in str(caught.value)


def test_repr_hides_the_secrets() -> None:
    """Ours: a configuration in a traceback or a log must not reveal a secret."""
    text = repr(from_env(BOTH))
    assert (URL in text, SECRET in text) == (True, False)


def test_the_start_names_the_address(bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: in the log and in `--check`, and nothing if there is no sign-in."""
    assert startup_fields(from_env(BOTH))["sign_in"] == URL
    assert startup_fields(Config())["sign_in"] is None
    environ: dict[str, Any] = {**BOTH, "SCENEXT_SANDBOX": "1"}
    assert check(environ) == 0
    assert f"sign_in        {URL}\n" in capsys.readouterr().out
