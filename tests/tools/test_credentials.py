"""`Credentials.key_for`: whose key a call is made with."""

import pytest

from scenext_service.scenext.failures import KeyMissing, KeyPlaceholder, KeyUnusable, ScenextError
from scenext_service.tools.credentials import Credentials

OWN, OTHER = "caller-key-0000000001", "caller-key-0000000002"
SHARED, TOKEN = "operator-key-00000001", "operator-token-000001"

ALONE = Credentials()
LENT = Credentials(shared_key=SHARED)
GUARDED = Credentials(shared_key=SHARED, access_token=TOKEN)
TOKEN_ONLY = Credentials(access_token=TOKEN)
PLACEHOLDER = Credentials(shared_key="YOUR_API_KEY", access_token=TOKEN)


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(f"Bearer {OWN}", id="Bearer"),
        pytest.param(f"bearer {OWN}", id="lower-case"),
        pytest.param(f"BEARER {OWN}", id="upper-case"),
        pytest.param(f"Bearer  \t {OWN} ", id="blanks-around"),
        pytest.param(OWN, id="bare"),
        pytest.param(f" {OWN} ", id="bare-blanks-around"),
    ],
)
@pytest.mark.parametrize("api_key", [None, OTHER, "one,two"])
@pytest.mark.parametrize("config", [ALONE, LENT, GUARDED], ids=["alone", "lent", "guarded"])
def test_a_key_in_authorization_comes_before_every_other(
    authorization: str, api_key: str | None, config: Credentials
) -> None:
    """Ours: the order of the sources."""
    assert config.key_for(authorization, api_key) == OWN


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(None, id="absent"),
        pytest.param("", id="empty"),
        pytest.param(" \t ", id="blank"),
        pytest.param("Bearer", id="Bearer-alone"),
        pytest.param("Bearer   ", id="Bearer-blank"),
        pytest.param("Basic dXNlcjpwYXNz", id="Basic"),
        pytest.param("basic dXNlcjpwYXNz", id="basic"),
        pytest.param('Digest username="Mufasa", realm="a"', id="Digest"),
        pytest.param("AWS4-HMAC-SHA256 Credential=a", id="another-scheme"),
    ],
)
@pytest.mark.parametrize(
    ("api_key", "config", "expected"),
    [
        pytest.param(OTHER, ALONE, OTHER, id="X-API-Key"),
        pytest.param(f" {OTHER}\t", ALONE, OTHER, id="X-API-Key-blanks-around"),
        pytest.param(f"Bearer {OTHER}", ALONE, OTHER, id="X-API-Key-Bearer"),
        pytest.param(f"bearer  {OTHER} ", GUARDED, OTHER, id="X-API-Key-bearer-blanks"),
        pytest.param("Bearer", ALONE, KeyMissing, id="X-API-Key-Bearer-alone"),
        pytest.param(f"Basic {OTHER}", ALONE, KeyUnusable, id="X-API-Key-Basic"),
        pytest.param(OTHER, LENT, OTHER, id="X-API-Key-before-shared"),
        pytest.param(OTHER, GUARDED, OTHER, id="X-API-Key-guarded"),
        pytest.param(None, LENT, SHARED, id="shared"),
        pytest.param(" ", LENT, SHARED, id="X-API-Key-blank-shared"),
        pytest.param("YOUR_API_KEY", LENT, SHARED, id="X-API-Key-placeholder-shared"),
        pytest.param(TOKEN, GUARDED, SHARED, id="X-API-Key-token"),
        pytest.param(None, ALONE, KeyMissing, id="nothing"),
        pytest.param("", ALONE, KeyMissing, id="X-API-Key-empty"),
        pytest.param("YOUR_API_KEY", ALONE, KeyPlaceholder, id="X-API-Key-placeholder"),
        pytest.param(None, GUARDED, KeyMissing, id="guarded-nothing"),
        pytest.param(None, Credentials(shared_key=" "), KeyMissing, id="shared-blank"),
        pytest.param(None, Credentials(shared_key="YOUR_API_KEY"), KeyMissing, id="shared-placeholder"),
        pytest.param("a b", ALONE, KeyUnusable, id="X-API-Key-unusable"),
        pytest.param("a b", LENT, KeyUnusable, id="X-API-Key-unusable-shared"),
    ],
)
def test_without_a_key_in_authorization_the_next_source_decides(
    authorization: str | None, api_key: str | None, config: Credentials, expected: str | type[ScenextError]
) -> None:
    """Ours: blanks and another scheme count as no key, and so does a placeholder where there is another."""
    if isinstance(expected, str):
        assert config.key_for(authorization, api_key) == expected
    else:
        with pytest.raises(expected):
            config.key_for(authorization, api_key)


@pytest.mark.parametrize(
    "placeholder",
    [
        "YOUR_API_KEY",
        "your_api_key",
        "<key>",
        "<your Scenext key>",
        "${SCENEXT_KEY}",
        "${input:scenext-key}",
        "{env:SCENEXT_KEY}",
        "{{ SCENEXT_KEY }}",
    ],
)
def test_a_placeholder_is_called_one_and_gives_way_to_every_key(placeholder: str) -> None:
    """Ours: it comes of a client in which nobody put a key, or which did not fill in a variable."""
    ways = [(f"Bearer {placeholder}", None), (None, placeholder), (f"bearer  {placeholder} ", f"Bearer {placeholder}")]
    if " " not in placeholder:  # else it would be a scheme and what follows
        ways.append((placeholder, None))
    for sent in ways:
        for config in (ALONE, GUARDED, TOKEN_ONLY, PLACEHOLDER):
            with pytest.raises(KeyPlaceholder) as caught:
                config.key_for(*sent)
            assert (str(caught.value), caught.value.detail, caught.value.__cause__) == ("", "", None)
        assert LENT.key_for(*sent) == SHARED
    assert ALONE.key_for(f"Bearer {placeholder}", OTHER) == OTHER
    assert ALONE.key_for(f"Bearer {OWN}", placeholder) == OWN


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("one,two", id="joined"),
        pytest.param("one, two", id="joined-with-blank"),
        pytest.param(f"{OWN},", id="comma"),
        pytest.param("sk_one two", id="inner-blank"),
        pytest.param("sk_one\ttwo", id="inner-tab"),
        pytest.param("one\ntwo", id="newline"),
        pytest.param("one\x00two", id="nul"),
        pytest.param("one\x7ftwo", id="delete"),
        pytest.param("clé", id="latin-1"),
        pytest.param("密钥", id="chinese"),
        pytest.param("one\u202etwo", id="bidi"),
        pytest.param("one\ud800", id="surrogate"),
    ],
)
@pytest.mark.parametrize("config", [ALONE, LENT, GUARDED], ids=["alone", "lent", "guarded"])
def test_what_cannot_be_one_key_is_refused_and_never_shown(key: str, config: Credentials) -> None:
    """Ours: refused in words, not by a crash; a shared key does not take its place."""
    for sent in ((f"Bearer {key}", None), (key, OTHER), (None, key)):
        with pytest.raises(KeyUnusable) as caught:
            config.key_for(*sent)
        assert (str(caught.value), caught.value.detail, caught.value.__cause__) == ("", "", None)


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(f"Bearer {OWN}, Bearer {OTHER}", id="two-Bearers"),
        pytest.param(f"Bearer {OWN},Bearer {OTHER}", id="two-Bearers-tight"),
        pytest.param(f"Bearer Bearer {OWN}", id="Bearer-twice"),
        pytest.param(f"Bearer {OWN} {OTHER}", id="two-keys"),
    ],
)
def test_two_keys_in_one_authorization_header_are_refused(authorization: str) -> None:
    """Ours: WSGI joins repeated headers with a comma."""
    with pytest.raises(KeyUnusable):
        LENT.key_for(authorization, OTHER)


@pytest.mark.parametrize(
    ("sent", "config", "expected"),
    [
        pytest.param((f"Bearer {TOKEN}", None), GUARDED, SHARED, id="Bearer"),
        pytest.param((TOKEN, None), GUARDED, SHARED, id="bare"),
        pytest.param((None, TOKEN), GUARDED, SHARED, id="X-API-Key"),
        pytest.param((f"Bearer {TOKEN}x", None), GUARDED, f"{TOKEN}x", id="almost"),
        pytest.param((f"Bearer {TOKEN.upper()}", None), GUARDED, TOKEN.upper(), id="other-case"),
        pytest.param((f"Bearer {TOKEN}", None), TOKEN_ONLY, KeyMissing, id="no-key-to-lend"),
        pytest.param((f"Bearer {TOKEN}", None), PLACEHOLDER, KeyMissing, id="placeholder-to-lend"),
        pytest.param((None, None), TOKEN_ONLY, KeyMissing, id="nothing-at-all"),
        pytest.param((f"Bearer {OWN}", None), TOKEN_ONLY, OWN, id="own-key"),
    ],
)
def test_the_access_token_borrows_the_shared_key_and_is_never_a_key(
    sent: tuple[str | None, str | None], config: Credentials, expected: str | type[ScenextError]
) -> None:
    """Ours: only who presents the token is lent it."""
    if isinstance(expected, str):
        assert config.key_for(*sent) == expected != TOKEN
    else:
        with pytest.raises(expected):
            config.key_for(*sent)


def test_repr_hides_every_secret() -> None:
    """Ours: what is shown of an object ends up in logs."""
    assert repr(GUARDED) == "Credentials()"
