"""Codes that were exchanged on this machine, as empty files that all processes of one user share.

A file's name is the digest of a code. If the temporary directory cannot be used, only the codes of this process are
known. Other machines do not know them at all.

Source: open(2), O_EXCL.
"""

import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

KEPT = 180  # seconds: the life of a code, twice the clock difference that Fernet tolerates


class UsedCodes:
    """Remember each code until it has expired. Thread-safe. `now` returns the seconds since 1970."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._own: dict[str, float] = {}
        self._lock = threading.Lock()

    def claim(self, digest: str) -> bool:
        """Record the digest of a code. Return False if it is recorded, so that of several callers only one wins."""
        now = self._now()
        with self._lock:
            self._own = {known: used for known, used in self._own.items() if used > now - KEPT}
            if digest in self._own:
                return False
            self._own[digest] = now
        try:
            return _claim_file(digest, now)
        except OSError:
            return True


def _claim_file(digest: str, now: float) -> bool:
    folder = _private_folder()
    for file in folder.iterdir():
        with suppress(OSError):  # another process deletes the same files
            if file.stat().st_mtime < now - KEPT:
                file.unlink()
    try:
        os.close(os.open(folder / digest, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    os.utime(folder / digest, (now, now))
    return True


def _private_folder() -> Path:
    """Return a folder that only this user can change; create it if necessary. Raises OSError."""
    user = os.getuid()
    folder = Path(tempfile.gettempdir(), f"scenext-sign-in-{user}")
    with suppress(FileExistsError):
        folder.mkdir(0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(f"{folder} is not private")
    return folder
