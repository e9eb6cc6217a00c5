"""API keys: what can be one, and how one is taken out of a response."""

import contextlib
import re
from urllib.parse import unquote_to_bytes

import orjson

PLACEHOLDER = "YOUR_API_KEY"  # the documentation's; it counts as no key

# What else stands where a key belongs: `<key>`, and a variable that a client did not fill in.
_BRACKETED = re.compile(r"<.*>|\$?\{.*\}", re.DOTALL)

MIN_SECRET = 16  # characters; a shorter key is not a real one, and may occur in a response by chance


def is_key(text: str) -> bool:
    """Return whether text can be a single key: visible ASCII, and no comma, with which WSGI joins repeated headers."""
    return text.isascii() and text.isprintable() and not any(char in text for char in " ,")


def is_placeholder(text: str) -> bool:
    """Return whether text only shows where a key belongs."""
    return text.upper() == PLACEHOLDER or _BRACKETED.fullmatch(text) is not None


def redact(key: str, body: bytes) -> bytes:
    """Return a response's body with `***` for the key, also where JSON escapes or percent-encoding write it.

    Scenext may echo the key, and the caller may be using the operator's: never show it.
    """
    if len(key) < MIN_SECRET:
        return body
    if b"\\" in body:
        with contextlib.suppress(ValueError, orjson.JSONEncodeError):
            body = orjson.dumps(orjson.loads(body))
    secret = key.encode()
    body = body.replace(secret, b"***").replace(orjson.dumps(key)[1:-1], b"***")
    if b"%" in body and secret in unquote_to_bytes(body):
        body = re.sub(b"".join(map(_percent_encoded, secret)), b"***", body)
        re.purge()  # it keeps patterns, and this one is the key
    return body


def _percent_encoded(byte: int) -> bytes:
    return b"(?:%b|(?i:%%%02x))" % (re.escape(bytes([byte])), byte)
