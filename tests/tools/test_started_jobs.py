"""The memory of started jobs: its rows, its folder and its failures."""

import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from scenext_service.tools import started_jobs
from scenext_service.tools.started_jobs import StartedJobs, StoreError, is_running

WINDOW = 1800.0  # seconds
FIRST, SECOND = b"1" * 32, b"2" * 32


class Clock:
    """A clock that a test sets, in seconds since 1970."""

    now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a temporary directory of the test's own; return the folder of the memory in it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"scenext-service-{os.getuid()}"


@pytest.fixture
def jobs(folder: Path, clock: Clock) -> StartedJobs:
    return StartedJobs(WINDOW, clock)


@pytest.fixture
def file(folder: Path, jobs: StartedJobs) -> Path:
    """Return the file of the memory, which exists."""
    jobs.check()
    (found,) = folder.glob("*.sqlite3")
    return found


def test_only_the_first_claim_is_new(jobs: StartedJobs, clock: Clock) -> None:
    """Ours: a later claim gets the row of the first one."""
    new, row = jobs.claim(FIRST)
    clock.now += 60
    assert (new, jobs.claim(FIRST)) == (True, (False, row))
    assert (row.started, row.expires) == (clock.now - 60, clock.now - 60 + WINDOW)
    assert (row.task_id, row.unclear, row.pid) == (None, 0, os.getpid())
    assert jobs.claim(SECOND)[0] is True


def test_a_row_records_the_result(jobs: StartedJobs) -> None:
    """Ours: the id of the job, or that the result is unclear."""
    jobs.claim(FIRST)
    jobs.claim(SECOND)
    jobs.finish(FIRST, "12345")
    jobs.mark_unclear(SECOND)
    first, second = jobs.find(FIRST), jobs.find(SECOND)
    assert first is not None
    assert second is not None
    assert (first.task_id, first.unclear) == ("12345", 0)
    assert (second.task_id, second.unclear) == (None, 1)


def test_the_start_of_a_job_is_recorded(jobs: StartedJobs, clock: Clock) -> None:
    """Ours: a client that knows the id of a job may learn when it was started, so progress can state it."""
    jobs.claim(FIRST)
    started = clock.now
    clock.now += 60
    jobs.finish(FIRST, "12345")
    assert (jobs.started_at("12345"), jobs.started_at("1")) == (started, None)


def test_rows_can_be_forgotten(jobs: StartedJobs) -> None:
    """Ours: a refused request by its digest, a failed job by its id. Other rows stay."""
    for digest, task_id in [(FIRST, "1"), (SECOND, "2")]:
        jobs.claim(digest)
        jobs.finish(digest, task_id)
    jobs.forget_job("2")
    assert (jobs.find(FIRST) is None, jobs.find(SECOND)) == (False, None)
    jobs.forget(FIRST)
    assert jobs.find(FIRST) is None


def test_a_row_lasts_for_the_window(jobs: StartedJobs, clock: Clock, file: Path) -> None:
    """Ours: the window counts from the first call, and expired rows are deleted by the next claim."""
    jobs.claim(FIRST)
    clock.now += WINDOW - 1
    assert jobs.claim(FIRST)[0] is False
    clock.now += 1
    assert jobs.find(FIRST) is None
    jobs.claim(SECOND)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT digest FROM starts").fetchall() == [(SECOND,)]
    assert jobs.claim(SECOND)[0] is False


def test_the_folder_is_private(folder: Path, file: Path) -> None:
    """Ours: other users of the machine cannot read it."""
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_deleted_folder_is_created_again(folder: Path, jobs: StartedJobs, file: Path) -> None:
    """Ours: programs that clean temporary directories may delete it at any time."""
    jobs.claim(FIRST)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert jobs.claim(FIRST)[0] is True


def open_to_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)


def of_another_user(folder: Path) -> None:
    folder.mkdir(0o700)
    os.chown(folder, 65534, 65534)


def link_to_elsewhere(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir(0o700)
    folder.symlink_to(folder.parent / "elsewhere")


def plain_file(folder: Path) -> None:
    folder.touch(0o700)


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can create a folder of another user")


@pytest.mark.parametrize(
    "prepare", [open_to_all, pytest.param(of_another_user, marks=needs_root), link_to_elsewhere, plain_file]
)
def test_a_folder_that_another_user_may_have_made_is_not_used(
    folder: Path, jobs: StartedJobs, prepare: Callable[[Path], None]
) -> None:
    """Ours: anyone can create a folder of this name in a shared temporary directory."""
    prepare(folder)
    with pytest.raises(StoreError, match=r"^/.+ is not a private folder of user \d+$"):
        jobs.claim(FIRST)


def test_a_locked_file_is_an_error(jobs: StartedJobs, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a call is not held up for longer than the lock timeout."""
    monkeypatch.setattr(started_jobs, "LOCK_TIMEOUT", 0.05)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match=r"^database is locked$"):
            jobs.claim(FIRST)
    assert jobs.claim(FIRST)[0] is True


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + bytes(4080)])
def test_a_damaged_file_is_an_error_once(jobs: StartedJobs, file: Path, content: bytes) -> None:
    """Ours: the next call starts with an empty file, because the memory may be lost without harm."""
    file.write_bytes(content)
    with pytest.raises(StoreError):
        jobs.claim(FIRST)
    assert jobs.claim(FIRST)[0] is True


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_an_error(jobs: StartedJobs, folder: Path) -> None:
    """Ours: the next call works if there is space again."""
    with full_disk(), pytest.raises(StoreError):
        jobs.claim(FIRST)
    assert jobs.claim(FIRST)[0] is True


def test_a_missing_temporary_directory_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: the message has the cause."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(StoreError, match=r"^FileNotFoundError: No such file or directory$"):
        StartedJobs(WINDOW).claim(FIRST)


def test_a_python_without_sqlite_is_an_error(jobs: StartedJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: some Pythons are built without it."""
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    with pytest.raises(StoreError, match=r"^this Python has no sqlite3$"):
        jobs.check()


def test_a_process_is_running_until_it_has_ended() -> None:
    """Ours: also if it belongs to another user, as process 1 may."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert (is_running(child.pid), is_running(1)) == (True, True)
    child.communicate(b"\n")
    assert is_running(child.pid) is False
