"""The memory of started jobs: an SQLite file that all processes of one user on one machine share.

It may be lost at any time without harm, so nothing waits for the disk. A row holds the digest of a request, the times
at which the request was first sent and expires, and the id of its job. It holds no key and no part of a question.

Source: SQLite's documentation, "Transaction" and "PRAGMA synchronous".
"""

import errno
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3

LOCK_TIMEOUT = 3.0  # seconds; a call then still ends within the 30 s that platforms allow

# A new version of the schema needs a new name of the file.
_FILE = "started-jobs-1.sqlite3"
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS starts (
        digest BLOB PRIMARY KEY,
        started REAL NOT NULL,
        expires REAL NOT NULL,
        task_id TEXT,
        unclear INTEGER NOT NULL,
        pid INTEGER NOT NULL
    ) WITHOUT ROWID
"""
_SELECT = "SELECT started, expires, task_id, unclear, pid FROM starts WHERE digest = ?"


class StoreError(Exception):
    """The memory cannot be used. The message states the cause without any part of a row."""


class Start(NamedTuple):
    """A request to start a job. Times are in seconds since 1970."""

    started: float
    expires: float
    task_id: str | None  # None until Scenext has answered
    unclear: int  # 1 if the attempt ended without a clear answer
    pid: int  # of the process that sends it


class StartedJobs:
    """The rows that are not older than `window` seconds. Thread-safe. Each method raises StoreError."""

    def __init__(self, window: float, now: Callable[[], float] = time.time) -> None:
        self._window = window
        self.now = now

    def check(self) -> None:
        """Create the file if it does not exist."""
        with self._transaction():
            pass

    def claim(self, digest: bytes) -> tuple[bool, Start]:
        """Record that this process sends a request, unless it is recorded. Return whether it is new, and its row."""
        now = self.now()
        with self._transaction() as rows:
            rows.execute("DELETE FROM starts WHERE expires <= ?", (now,))
            start = Start(now, now + self._window, None, 0, os.getpid())
            inserted = rows.execute("INSERT OR IGNORE INTO starts VALUES (?, ?, ?, ?, ?, ?)", (digest, *start))
            if not inserted.rowcount:
                start = Start(*rows.execute(_SELECT, (digest,)).fetchone())
        return bool(inserted.rowcount), start

    def find(self, digest: bytes) -> Start | None:
        """Return the row of a request, None if there is none."""
        with self._transaction("BEGIN") as rows:
            row = rows.execute(_SELECT, (digest,)).fetchone()
        start = Start(*row) if row else None
        return start if start and start.expires > self.now() else None

    def started_at(self, task_id: str) -> float | None:
        """Return the time at which a job was started, in seconds since 1970, None if it is not recorded."""
        with self._transaction("BEGIN") as rows:
            row = rows.execute("SELECT started FROM starts WHERE task_id = ?", (task_id,)).fetchone()
        return None if row is None else float(row[0])

    def finish(self, digest: bytes, task_id: str) -> None:
        """Record the id of the started job."""
        with self._transaction() as rows:
            rows.execute("UPDATE starts SET task_id = ? WHERE digest = ?", (task_id, digest))

    def mark_unclear(self, digest: bytes) -> None:
        """Record that a request ended without a clear answer."""
        with self._transaction() as rows:
            rows.execute("UPDATE starts SET unclear = 1 WHERE digest = ?", (digest,))

    def forget(self, digest: bytes) -> None:
        """Delete the row of a request that Scenext has refused, or that was not sent."""
        with self._transaction() as rows:
            rows.execute("DELETE FROM starts WHERE digest = ?", (digest,))

    def forget_job(self, task_id: str) -> None:
        """Delete the row of a job that has failed."""
        with self._transaction() as rows:
            rows.execute("DELETE FROM starts WHERE task_id = ?", (task_id,))

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator["sqlite3.Connection"]:
        """Open a connection for one transaction, because a connection must not be shared with a forked process."""
        try:
            import sqlite3  # only if the repeat window is on, because it takes a megabyte
        except ImportError as error:
            raise StoreError("this Python has no sqlite3") from error
        try:
            path = _private_folder() / _FILE
            with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute("PRAGMA journal_mode = TRUNCATE")  # twice as fast as the default
                connection.execute(begin)
                connection.execute(_SCHEMA)
                yield connection
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            if type(error) is sqlite3.DatabaseError:  # the file is damaged or no database, so start with an empty one
                with suppress(OSError):
                    path.unlink()
            raise StoreError(str(error)) from error
        except OSError as error:
            raise StoreError(f"{type(error).__name__}: {error.strerror}") from error


def _private_folder() -> Path:
    """Return the folder of this user below the temporary directory; create it if necessary.

    Raises StoreError if another user could have created it, or could read it.
    """
    user = os.getuid()
    folder = Path(tempfile.gettempdir(), f"scenext-service-{user}")
    with suppress(FileExistsError):
        folder.mkdir(0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user or stat.S_IMODE(found.st_mode) & 0o077:
        raise StoreError(f"{folder} is not a private folder of user {user}")
    return folder


def is_running(pid: int) -> bool:
    """Return whether a process is running on this machine."""
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM  # it belongs to another user
    return True
