"""Whose key a call is made with.

In order: the caller's own key from `Authorization: Bearer <key>`, a bare key in `Authorization`, `X-API-Key`, also with
`Bearer` before it; then the operator's key. With an access token set, only callers who present it may use that key.
"""

import hmac
import re
from dataclasses import dataclass, field

from ..scenext.auth import PLACEHOLDER, is_key, is_placeholder
from ..scenext.failures import KeyMissing, KeyPlaceholder, KeyUnusable

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]+(.*)", re.DOTALL)  # RFC 9110, "auth-scheme 1*SP credentials"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an operator lends, and to whom. `repr` hides both."""

    shared_key: str | None = field(default=None, repr=False)  # for callers who bring none
    access_token: str | None = field(default=None, repr=False)  # what a caller must present to use it

    def key_for(self, authorization: str | None, api_key: str | None) -> str:
        """Return the key to call Scenext with, from the two headers of a caller.

        Raises KeyMissing, KeyPlaceholder or KeyUnusable; none of them holds what the caller sent.
        """
        brought = [value for value in (_from_authorization(authorization), _from_api_key(api_key)) if value]
        presented = next((value for value in brought if not is_placeholder(value)), None)
        if presented is not None and not is_key(presented):
            raise KeyUnusable
        shared = (self.shared_key or "").strip()
        if shared == PLACEHOLDER:
            shared = ""
        if self.access_token is None:
            key = presented or shared
        elif presented is not None and hmac.compare_digest(presented.encode(), self.access_token.encode()):
            key = shared
        else:
            key = presented or ""
        if not key:
            raise KeyPlaceholder if brought and presented is None else KeyMissing
        return key


def _from_authorization(header: str | None) -> str:
    """Return the key in an Authorization header; empty where there is none, or the header is another scheme's."""
    scheme, key = _parts(header)
    return key if scheme in ("", "bearer") else ""


def _from_api_key(header: str | None) -> str:
    """Return the key in X-API-Key, which has no scheme: with one, its value is returned as it came."""
    scheme, key = _parts(header)
    return key if scheme in ("", "bearer") else (header or "").strip()


def _parts(header: str | None) -> tuple[str, str]:
    """Return the scheme of a header's value in lower case, empty where there is none, and what follows it."""
    value = (header or "").strip()
    if value.lower() == "bearer":
        return "bearer", ""
    match = _SCHEME.fullmatch(value)
    return ("", value) if match is None else (match[1].lower(), match[2].strip())
