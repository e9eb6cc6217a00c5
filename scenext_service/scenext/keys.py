"""API keys: tell possible keys from placeholders, and redact a key in a response.

Scenext may echo the key, and the caller may be using the operator's. A key is recognized in plain form, in JSON
escapes, in percent-encoding, and in up to `ROUNDS` nested layers of these, such as a link inside a link or JSON inside
a string. Other encodings, such as Base64, are not recognized.

Source: RFC 3986, section 2; RFC 8259, section 7.
"""

import re
from itertools import product
from string import hexdigits
from typing import Any

import orjson

PLACEHOLDER = "YOUR_API_KEY"  # in the documentation; it counts as no key

# Placeholders: the documentation's, `<key>`, a variable that a client did not fill in, and the words that programs
# write for a missing value. A key may contain `$` and `%`, so a variable must be the whole text and have a name.
_PLACEHOLDER = re.compile(
    r"YOUR_API_KEY|undefined|null|none"
    r"|<.*>|\$?\{.*\}|\$\(.*\)"  # <key>, {KEY}, {{KEY}}, ${KEY}, $(KEY)
    r"|\$(?:env[:.])?[a-z_][a-z0-9_]*|%[a-z_][a-z0-9_]*%",  # $KEY, $env:KEY of PowerShell, %KEY%
    re.DOTALL | re.IGNORECASE,
)

MIN_SECRET = 16  # characters; a shorter key is not real, and may occur in a response by chance


def is_key(text: str) -> bool:
    """Return whether text can be a single key: visible ASCII without commas, because WSGI joins headers with them."""
    return text.isascii() and text.isprintable() and " " not in text and "," not in text


def is_placeholder(text: str) -> bool:
    """Return whether text is a placeholder for a key."""
    return _PLACEHOLDER.fullmatch(text) is not None


# The beginning of each token of a sign-in, which holds a key for this service alone.
SIGN_IN_TOKEN = "scenext-signin-"  # noqa: S105

ROUNDS = 4  # layers: the response's own JSON and three more encodings

_WINDOW = 64 * 1024  # bytes that are decoded at a time
_MOST = 6**3  # bytes that one character of a key may take: `\u00XX`, with its characters escaped the same way twice

# Escapes of visible ASCII, by prefix.
_FORMS = {mark: re.compile(re.escape(mark) + rb"([2-7][0-9A-Fa-f])") for mark in (b"%", b"\\u00")}
_MARKS = (*_FORMS, b"\\\\")  # a text without any of these needs no decoding
_BYTES = {digits.encode(): bytes.fromhex(digits) for digits in map("".join, product("234567", hexdigits))}

# A percent-encoded letter, digit, or one of - . _ ~, which encoders normally leave alone.
_UNUSUAL = re.compile(rb"%(?:25)*(?:2[DdEe]|3[0-9]|[46][1-9A-Fa-f]|5[0-9AaFf]|7[0-9AaEe])")


def redact(key: str, body: bytes) -> bytes:
    """Return a response's body with `***` in place of the key, and otherwise unchanged.

    A body that holds an encoded key but is not JSON is replaced as a whole, because no part of it is ever shown.
    """
    if len(key) < MIN_SECRET:
        return body
    secret = key.encode()
    if b"%" not in body and b"\\" not in body:
        return body.replace(secret, b"***")
    if not _may_hold(secret, body) or not _holds(secret, body):
        return body
    try:
        return orjson.dumps(_redacted(orjson.loads(body), key, _pattern(secret)))
    except (ValueError, orjson.JSONEncodeError, RecursionError):
        return b"***"
    finally:
        re.purge()  # `re` caches patterns, and this one contains the key


def _may_hold(secret: bytes, body: bytes) -> bool:
    """Return False if a body certainly does not hold the secret, so that most bodies with signed links skip `_holds`.

    Encoders leave letters, digits and - . _ ~ alone. If the beginning of the secret consists of these, it therefore
    appears unencoded, unless the body shows that something encoded even these characters.
    """
    head = secret[:MIN_SECRET]
    if head in body or not head.translate(None, b"-._~").isalnum():
        return True
    # In a longer body, the search would block all other threads for a noticeable time.
    return len(body) > _WINDOW or b"u00" in body or _UNUSUAL.search(body) is not None


def _holds(secret: bytes, text: bytes) -> bool:
    """Return whether a text holds the secret, encoded or not.

    The text is decoded in windows, because decoding 4 MiB of `%` at once took 780 MB and 6 seconds.
    """
    bare = secret.translate(None, b"\\")
    overlap = _MOST * len(bare)
    step = max(_WINDOW, overlap)
    for start in range(0, len(text), step):
        window = text[start : start + step + overlap]
        for _ in range(ROUNDS + 1):
            # JSON escapes quotation marks and backslashes, and some encoders also escape slashes.
            if bare in (window.translate(None, b"\\") if b"\\" in window else window):
                return True
            if not any(mark in window for mark in _MARKS):
                break
            before, window = window, _decoded(window)
            if window == before:
                break
    return False


def _decoded(text: bytes) -> bytes:
    """Return a text with one level of encoding undone."""
    while b"\\\\" in text:  # JSON inside JSON doubles backslashes
        text = text.replace(b"\\\\", b"\\")
    for mark, form in _FORMS.items():
        if mark in text:
            parts = form.split(text)
            parts[1::2] = map(_BYTES.__getitem__, parts[1::2])
            text = b"".join(parts)
    return text


def _redacted(value: Any, key: str, pattern: re.Pattern[str]) -> Any:
    """Return a JSON value with the key redacted in every string, including member names."""
    if isinstance(value, str):
        return _redacted_text(value, key, pattern)
    if isinstance(value, dict):
        return {_redacted_text(name, key, pattern): _redacted(item, key, pattern) for name, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item, key, pattern) for item in value]
    return value


def _redacted_text(text: str, key: str, pattern: re.Pattern[str]) -> str:
    """Return a string with `***` for the key, or `***` alone if the key's encoding is unusual or the string is long."""
    text = text.replace(key, "***")
    if len(text) < MIN_SECRET or not _holds(key.encode(), text.encode()):
        return text
    if len(text) > _WINDOW:
        return "***"
    text = pattern.sub("***", text)
    return "***" if _holds(key.encode(), text.encode()) else text


def _pattern(secret: bytes) -> re.Pattern[str]:
    """Return a pattern that matches the usual encodings of the secret."""
    return re.compile("".join(map(_pattern_of, secret)))


def _pattern_of(byte: int) -> str:
    """Return a pattern for one character: plain, with backslashes, as a JSON escape, or percent-encoded repeatedly."""
    return rf"\\{{0,15}}(?:{re.escape(chr(byte))}|u00(?i:{byte:02x})|%(?:25){{0,{ROUNDS - 1}}}(?i:{byte:02x}))"
