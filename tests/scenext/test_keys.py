"""Redaction of the API key in upstream responses, whatever encoding echoes it."""

import tracemalloc
from collections.abc import Callable
from itertools import product
from urllib.parse import quote

import orjson
import pytest

from scenext_service.scenext.keys import redact
from tests.support.cases import case

KEY = "sentinel/4f9a+1c7e=2b.0d"
PLAIN = "sentinel-key-4f9a1c7e2b"  # most encoders leave it unchanged
SAID = "no such key: {}! 50% of a\\b"
MIB = 1024 * 1024


def percent(text: str) -> str:
    """Percent-encode every character that a URL component cannot contain."""
    return quote(text, safe="")


def lower(text: str) -> str:
    """Percent-encode with lowercase hexadecimal digits."""
    return "".join(char if char.isalnum() or char in "-._~" else f"%{ord(char):02x}" for char in text)


def all_percent(text: str) -> str:
    """Percent-encode every character."""
    return "".join(f"%{ord(char):02X}" for char in text)


def slashes(text: str) -> str:
    """Encode the contents of a JSON string as PHP does, with escaped slashes."""
    return orjson.dumps(text).decode()[1:-1].replace("/", "\\/")


def escapes(text: str) -> str:
    """Encode every character of a JSON string as a Unicode escape."""
    return "".join(f"\\u{ord(char):04x}" for char in text)


Encoder = Callable[[str], str]
ENCODERS = (percent, lower, all_percent, slashes, escapes)
WRITERS: tuple[Encoder, ...] = (lambda text: orjson.dumps(text).decode()[1:-1], slashes, escapes)  # JSON encoders


def written(text: str, encoders: tuple[Encoder, ...]) -> str:
    for encode in encoders:
        text = encode(text)
    return text


def message(key: str, encoders: tuple[Encoder, ...], write: Encoder) -> str:
    """Redact an error response that echoes the key in these encodings, and return its message."""
    echo = written(key, encoders)
    body = f'{{"status":"error","message":"{write(SAID.format(echo))}"}}'
    found = orjson.loads(redact(key, body.encode()))
    assert found.keys() == {"status", "message"}
    text: str = found["message"]
    return text


@pytest.mark.parametrize("write", WRITERS, ids=["plain", "slashes", "escapes"])
@pytest.mark.parametrize("encode", ENCODERS, ids=lambda encode: encode.__name__)
def test_a_key_encoded_up_to_three_times_is_redacted(write: Encoder, encode: Encoder) -> None:
    """Ours: docs/operating.md, "Security". Spec: RFC 3986, section 2.1; RFC 8259, section 7."""
    for key, times in product((KEY, PLAIN), (1, 2, 3)):
        with case(key, times):
            found = message(key, (encode,) * times, write)
            usual = times == 1 or encode in (percent, lower, slashes)
            assert found == (SAID.format("***") if usual else "***")


@pytest.mark.parametrize("key", [KEY, PLAIN])
@pytest.mark.parametrize("write", WRITERS, ids=["plain", "slashes", "escapes"])
def test_a_key_in_any_combination_of_three_encodings_is_redacted(key: str, write: Encoder) -> None:
    """Ours: a string that contains the key only in an unusual form is replaced as a whole."""
    for encoders in product(ENCODERS, repeat=3):
        found = message(key, encoders, write)
        assert found in (SAID.format("***"), "***"), [encode.__name__ for encode in encoders]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({"a": KEY, "b": [f"x{KEY}y", 1, None]}, {"a": "***", "b": ["x***y", 1, None]}, id="nested"),
        pytest.param({KEY: "a%2Fb", percent(KEY): 2.5}, {"***": 2.5}, id="object keys"),
        pytest.param({"a": "a%2Fb", "b": "c\\d"}, {"a": "a%2Fb", "b": "c\\d"}, id="no key"),
        pytest.param(
            {"url": f"https://x.example/?key={percent(percent(KEY))}&sig=c%252Fd"},
            {"url": "https://x.example/?key=***&sig=c%252Fd"},
            id="double-encoded in a URL",
        ),
        pytest.param(
            {"said": orjson.dumps({"url": f"/k/{KEY}", "n": 1}).decode().replace("/", "\\/")},
            {"said": '{"url":"\\/k***","n":1}'.replace("k***", "k\\/***")},
            id="JSON in JSON",
        ),
    ],
)
def test_redaction_leaves_the_rest_of_the_response_unchanged(
    body: dict[str, object], expected: dict[str, object]
) -> None:
    """Ours: apart from the key, `data` is returned unchanged."""
    assert orjson.loads(redact(KEY, orjson.dumps(body))) == expected


def test_a_response_without_the_key_is_returned_byte_for_byte() -> None:
    """Ours: a response is decoded and re-encoded only if it contains the key."""
    body = b' {"n": 1e2, "url": "https:\\/\\/x.example\\/%2F", "\\u0061": "\\u4e2d"}\n'
    assert redact(KEY, body) == body


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<p>no such key: sentinel%2F4f9a%2B1c7e%3D2b.0d</p>", id="HTML"),
        pytest.param(b'{"x":' * 300 + b'"sentinel\\/4f9a+1c7e=2b.0d"' + b"}" * 300, id="300 levels deep"),
        pytest.param(b'{"x":' * 1000 + b'"sentinel\\/4f9a+1c7e=2b.0d"' + b"}" * 1000, id="1000 levels deep"),
    ],
)
def test_a_body_that_cannot_be_reencoded_is_replaced_as_a_whole(body: bytes) -> None:
    """Ours: no part of such a body is ever shown."""
    assert redact(KEY, body) == b"***"


def test_a_key_in_more_encodings_is_not_recognized() -> None:
    """Ours: the limit that docs/operating.md states; each more of them would cost every response that has any."""
    body = b'{"url":"%b"}' % written(KEY, (percent,) * 6).encode()
    assert redact(KEY, body) == body


@pytest.mark.parametrize("place", [0, 65_536 - 40, 65_536 - 1, 65_536, 200_000])
def test_a_key_is_found_anywhere_in_a_long_response(place: int) -> None:
    """Ours: a response is searched in windows, and the key may span two of them."""
    body = b"[%b,%b]" % (orjson.dumps("x" * place + percent(percent(KEY))), orjson.dumps("y" * 100_000))
    first, second = orjson.loads(redact(KEY, body))
    assert first == ("***" if place + 40 > 65_536 else "x" * place + "***")
    assert second == "y" * 100_000


@pytest.mark.parametrize(
    ("filling", "echo", "most"),
    [
        pytest.param("%", "", 6 * MIB, id="percent signs"),
        pytest.param("%41", "", 6 * MIB, id="percent-encoded letters"),
        pytest.param("\\u0041", "", 6 * MIB, id="Unicode escapes"),
        pytest.param("%25", percent(KEY), 32 * MIB, id="percent-encoded key"),
    ],
)
def test_redacting_a_large_response_uses_little_memory(filling: str, echo: str, most: int) -> None:
    """Ours: searching 1 MiB of percent signs once took 190 MB. A response with the key is decoded as JSON too."""
    body = f'["{filling * (MIB // len(filling))}", "{echo}"]'.encode()
    tracemalloc.start()
    try:
        found = redact(KEY, body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert orjson.loads(found)[1] == ("***" if echo else "")
    assert peak < most
