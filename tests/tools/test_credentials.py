"""`Credentials.key_for`: which API key a call uses."""

from itertools import product

import pytest

from scenext_service.scenext.failures import KeyMissing, KeyPlaceholder, KeyUnusable, ScenextError
from scenext_service.tools.api_call import Credentials
from tests.support.cases import case

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
        pytest.param(f"bearer {OWN}", id="lower case"),
        pytest.param(f"BEARER {OWN}", id="upper case"),
        pytest.param(f"Bearer  \t {OWN} ", id="surrounding whitespace"),
        pytest.param(OWN, id="bare key"),
        pytest.param(f" {OWN} ", id="bare key with surrounding whitespace"),
    ],
)
def test_a_key_in_authorization_takes_precedence(authorization: str) -> None:
    """Ours: the order of the sources."""
    for api_key, config in product((None, OTHER, "one,two"), (ALONE, LENT, GUARDED)):
        with case(api_key, config):
            assert config.key_for(authorization, api_key) == OWN


NO_KEY = (
    None,
    "",
    " \t ",
    "Bearer",
    "Bearer   ",
    "Basic dXNlcjpwYXNz",
    "basic dXNlcjpwYXNz",
    'Digest username="Mufasa", realm="a"',
    "AWS4-HMAC-SHA256 Credential=a",
)


@pytest.mark.parametrize(
    ("api_key", "config", "expected"),
    [
        pytest.param(OTHER, ALONE, OTHER, id="X-API-Key"),
        pytest.param(f" {OTHER}\t", ALONE, OTHER, id="X-API-Key with surrounding whitespace"),
        pytest.param(f"Bearer {OTHER}", ALONE, OTHER, id="X-API-Key with Bearer"),
        pytest.param(f"bearer  {OTHER} ", GUARDED, OTHER, id="X-API-Key with bearer and whitespace"),
        pytest.param("Bearer", ALONE, KeyMissing, id="X-API-Key with Bearer only"),
        pytest.param(f"Basic {OTHER}", ALONE, KeyUnusable, id="X-API-Key with Basic"),
        pytest.param(OTHER, LENT, OTHER, id="X-API-Key before the shared key"),
        pytest.param(OTHER, GUARDED, OTHER, id="X-API-Key before a guarded key"),
        pytest.param(None, LENT, SHARED, id="shared key"),
        pytest.param(" ", LENT, SHARED, id="blank X-API-Key, shared key"),
        pytest.param("YOUR_API_KEY", LENT, SHARED, id="placeholder X-API-Key, shared key"),
        pytest.param(TOKEN, GUARDED, SHARED, id="access token in X-API-Key"),
        pytest.param(None, ALONE, KeyMissing, id="no key"),
        pytest.param("", ALONE, KeyMissing, id="empty X-API-Key"),
        pytest.param("YOUR_API_KEY", ALONE, KeyPlaceholder, id="placeholder X-API-Key"),
        pytest.param(None, GUARDED, KeyMissing, id="no key, guarded key"),
        pytest.param(None, Credentials(shared_key=" "), KeyMissing, id="blank shared key"),
        pytest.param(None, Credentials(shared_key="YOUR_API_KEY"), KeyMissing, id="placeholder as the shared key"),
        pytest.param("a b", ALONE, KeyUnusable, id="unusable X-API-Key"),
        pytest.param("a b", LENT, KeyUnusable, id="unusable X-API-Key, shared key"),
    ],
)
def test_without_a_key_in_authorization_the_next_source_is_used(
    api_key: str | None, config: Credentials, expected: str | type[ScenextError]
) -> None:
    """Ours: whitespace and other schemes count as no key, as does a placeholder if there is another key."""
    for authorization in NO_KEY:
        with case(authorization):
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
        "${{ secrets.SCENEXT_KEY }}",
        "$SCENEXT_KEY",
        "$env:SCENEXT_KEY",
        "$Env:scenext_key2",
        "$env.SCENEXT_KEY",
        "$(SCENEXT_KEY)",
        "%SCENEXT_KEY%",
        "undefined",
        "null",
        "None",
        "NULL",
        "none",
        "Undefined",
    ],
)
def test_a_placeholder_is_reported_and_any_key_replaces_it(placeholder: str) -> None:
    """Ours: a placeholder comes from a client without a configured key, or with an unset variable."""
    ways = [(f"Bearer {placeholder}", None), (None, placeholder), (f"bearer  {placeholder} ", f"Bearer {placeholder}")]
    if " " not in placeholder:  # with a space, it would be a scheme and its parameters
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
        "$2b$10$N9qo8uLOickgx2ZM",
        "sk-$SCENEXT_KEY",
        "$SCENEXT_KEY-1",
        "$SCENEXT$KEY",
        "a%SCENEXT_KEY%",
        "%41%42",
        "%41_KEY%",
        "100%sure-0000000001",
        "null-0000000000001",
        "nonesuch-000000001",
        "undefined2",
        "{key",
        "key>",
        "$",
        "%%",
    ],
)
def test_a_key_that_merely_resembles_a_placeholder_is_sent(key: str) -> None:
    """Ours: Scenext may issue any key, so only a complete placeholder counts as none."""
    for sent in ((f"Bearer {key}", None), (key, None), (None, key), (None, f"Bearer {key}")):
        assert LENT.key_for(*sent) == key


@pytest.mark.parametrize("value", [f"Bearer Bearer {OWN}", f"bearer  BEARER\tBearer {OWN} ", f"Bearer {OWN}"])
def test_a_repeated_bearer_prefix_is_ignored(value: str) -> None:
    """Ours: labring/FastGPT#6375 and others: both the client and the user write Bearer."""
    assert ALONE.key_for(value, None) == OWN
    assert ALONE.key_for(None, value) == OWN
    assert GUARDED.key_for(value.replace(OWN, TOKEN), None) == SHARED


def test_a_repeated_bearer_prefix_without_a_key_is_no_key() -> None:
    """Ours: the header counts as absent, and the next source is used."""
    assert LENT.key_for("Bearer Bearer ", "bearer bearer") == SHARED
    with pytest.raises(KeyMissing):
        ALONE.key_for("Bearer Bearer", None)


@pytest.mark.parametrize("setting", ["YOUR_API_KEY", "$SCENEXT_KEY", "%SCENEXT_KEY%", "undefined", "<your key>"])
def test_a_placeholder_is_not_used_as_the_shared_key(setting: str) -> None:
    """Ours: a variable that a platform left unset is not a key."""
    with pytest.raises(KeyMissing):
        Credentials(shared_key=setting).key_for(None, None)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("one,two", id="joined keys"),
        pytest.param("one, two", id="joined keys with a space"),
        pytest.param(f"{OWN},", id="trailing comma"),
        pytest.param("sk_one two", id="inner space"),
        pytest.param("sk_one\ttwo", id="inner tab"),
        pytest.param("one\ntwo", id="newline"),
        pytest.param("one\x00two", id="NUL"),
        pytest.param("one\x7ftwo", id="DEL"),
        pytest.param("clé", id="Latin-1"),
        pytest.param("密钥", id="Chinese"),
        pytest.param("one\u202etwo", id="bidirectional override"),
        pytest.param("one\ud800", id="surrogate"),
    ],
)
def test_an_unusable_key_is_rejected_and_never_shown(key: str) -> None:
    """Ours: an error that the client can fix, not a crash. The shared key is not used instead."""
    for config in (ALONE, LENT, GUARDED):
        with case(config):
            for sent in ((f"Bearer {key}", None), (key, OTHER), (None, key)):
                with pytest.raises(KeyUnusable) as caught:
                    config.key_for(*sent)
                assert (str(caught.value), caught.value.detail, caught.value.__cause__) == ("", "", None)


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(f"Bearer {OWN}, Bearer {OTHER}", id="two Bearer keys"),
        pytest.param(f"Bearer {OWN},Bearer {OTHER}", id="two Bearer keys without a space"),
        pytest.param(f"Bearer Basic {OWN}", id="two schemes"),
        pytest.param(f"Bearer {OWN} {OTHER}", id="two keys"),
    ],
)
def test_two_keys_in_one_authorization_header_are_rejected(authorization: str) -> None:
    """Ours: WSGI joins repeated headers with a comma."""
    with pytest.raises(KeyUnusable):
        LENT.key_for(authorization, OTHER)


@pytest.mark.parametrize(
    ("sent", "config", "expected"),
    [
        pytest.param((f"Bearer {TOKEN}", None), GUARDED, SHARED, id="Bearer"),
        pytest.param((TOKEN, None), GUARDED, SHARED, id="bare key"),
        pytest.param((None, TOKEN), GUARDED, SHARED, id="X-API-Key"),
        pytest.param((f"Bearer {TOKEN}x", None), GUARDED, f"{TOKEN}x", id="longer than the token"),
        pytest.param((f"Bearer {TOKEN.upper()}", None), GUARDED, TOKEN.upper(), id="token in another case"),
        pytest.param((f"Bearer {TOKEN}", None), TOKEN_ONLY, KeyMissing, id="no shared key"),
        pytest.param((f"Bearer {TOKEN}", None), PLACEHOLDER, KeyMissing, id="placeholder as the shared key of a token"),
        pytest.param((None, None), TOKEN_ONLY, KeyMissing, id="neither key nor token"),
        pytest.param((f"Bearer {OWN}", None), TOKEN_ONLY, OWN, id="own key"),
    ],
)
def test_the_access_token_selects_the_shared_key_and_is_never_sent(
    sent: tuple[str | None, str | None], config: Credentials, expected: str | type[ScenextError]
) -> None:
    """Ours: only clients that present the token use the server's key."""
    if isinstance(expected, str):
        assert config.key_for(*sent) == expected != TOKEN
    else:
        with pytest.raises(expected):
            config.key_for(*sent)


def test_repr_hides_every_secret() -> None:
    """Ours: representations of objects end up in logs."""
    assert SHARED not in repr(GUARDED)
    assert TOKEN not in repr(GUARDED)
