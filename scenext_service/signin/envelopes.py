"""Encrypt and authenticate codes and tokens. Clients can neither read nor change the content of an envelope.

Each purpose has its own keys, so that an envelope for one purpose or address does not open for another.

Source: cryptography's manual, "Fernet", whose format has a timestamp, AES-128-CBC and HMAC-SHA256.
"""

import base64
import hmac
import re
import time
from collections.abc import Callable, Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

_TEXT = re.compile(r"[A-Za-z0-9_-]{1,8192}")


def derive(secret: str, purpose: str) -> bytes:
    """Return a key of 32 bytes for one purpose."""
    return hmac.digest(secret.encode(), f"scenext_service sign-in: {purpose}".encode(), "sha256")


class Envelopes:
    """Seal contents for one purpose, and open them for `lifetime` seconds. Thread-safe.

    The first secret seals, and every secret opens. `now` returns the seconds since 1970.
    """

    def __init__(
        self, secrets: Sequence[str], purpose: str, lifetime: int, now: Callable[[], float] = time.time
    ) -> None:
        keys = [base64.urlsafe_b64encode(derive(secret, purpose)) for secret in secrets]
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self._lifetime = lifetime
        self._now = now

    def seal(self, content: bytes) -> str:
        """Return an envelope of letters, digits, - and _."""
        return self._fernet.encrypt_at_time(content, int(self._now())).decode().rstrip("=")

    def open(self, text: str) -> bytes | None:
        """Return the content, or None if the envelope is not valid here and now.

        Each envelope has exactly one valid spelling. The decoder of cryptography 50.0 would skip other characters and
        ignore the last bits, so that one envelope could pass as several.
        """
        if not _TEXT.fullmatch(text) or len(text) % 4 == 1:
            return None
        padded = text + "=" * (-len(text) % 4)
        if base64.urlsafe_b64encode(base64.urlsafe_b64decode(padded)).decode() != padded:
            return None
        try:
            return self._fernet.decrypt_at_time(padded, self._lifetime, int(self._now()))
        except InvalidToken:
            return None
