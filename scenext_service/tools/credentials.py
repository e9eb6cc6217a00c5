"""Whose key a call is made with.

In order: the caller's own key from `Authorization: Bearer <key>`, a bare key in `Authorization`, `X-API-Key`; then the
operator's key, lent to callers who bring none. Where an access token is set, only who presents it is lent that key.
"""

import hmac
import re

from ..config import PLACEHOLDER, Config, is_key
from ..mcp import Caller
from ..scenext.failures import KeyMissing, KeyUnusable

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]+(.*)", re.DOTALL)  # RFC 9110, "auth-scheme 1*SP credentials"


def key_for(caller: Caller, config: Config) -> str:
    """Return the key to call Scenext with. Raises KeyMissing or KeyUnusable; neither holds what the caller sent."""
    presented = _bearer(caller.authorization) or _given(caller.api_key)
    if presented is not None and not is_key(presented):
        raise KeyUnusable
    shared = _given(config.api_key)
    if config.access_token is None:
        key = presented or shared
    elif presented is not None and hmac.compare_digest(presented.encode(), config.access_token.encode()):
        key = shared
    else:
        key = presented
    if key is None:
        raise KeyMissing
    return key


def _bearer(header: str | None) -> str | None:
    """Return the key in an Authorization header; None where the header is another scheme's."""
    value = (header or "").strip()
    if value.lower() == "bearer":
        return None
    match = _SCHEME.fullmatch(value)
    if match is None:
        return _given(value)
    return _given(match[2]) if match[1].lower() == "bearer" else None


def _given(value: str | None) -> str | None:
    """Return a value without surrounding blanks; None where it is blank or the documentation's placeholder."""
    value = (value or "").strip()
    return None if value in ("", PLACEHOLDER) else value
