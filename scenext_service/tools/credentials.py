"""Whose key a call is made with.

In order: the caller's own key from `Authorization: Bearer <key>`, a bare key in `Authorization`, `X-API-Key`; then the
operator's key. With an access token set, only callers who present it may use that key.
"""

import hmac
import re
from dataclasses import dataclass, field

from ..scenext.auth import PLACEHOLDER, is_key
from ..scenext.failures import KeyMissing, KeyUnusable

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]+(.*)", re.DOTALL)  # RFC 9110, "auth-scheme 1*SP credentials"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an operator lends, and to whom. `repr` hides both."""

    shared_key: str | None = field(default=None, repr=False)  # for callers who bring none
    access_token: str | None = field(default=None, repr=False)  # what a caller must present to use it

    def key_for(self, authorization: str | None, api_key: str | None) -> str:
        """Return the key to call Scenext with, from the two headers of a caller.

        Raises KeyMissing or KeyUnusable; neither holds what the caller sent.
        """
        presented = _bearer(authorization) or _present_or_none(api_key)
        if presented is not None and not is_key(presented):
            raise KeyUnusable
        shared = _present_or_none(self.shared_key)
        if self.access_token is None:
            key = presented or shared
        elif presented is not None and hmac.compare_digest(presented.encode(), self.access_token.encode()):
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
        return _present_or_none(value)
    return _present_or_none(match[2]) if match[1].lower() == "bearer" else None


def _present_or_none(value: str | None) -> str | None:
    """Return a value without surrounding blanks; None where it is blank or the documentation's placeholder."""
    value = (value or "").strip()
    return None if value in ("", PLACEHOLDER) else value
