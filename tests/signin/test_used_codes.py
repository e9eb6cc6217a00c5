"""Codes that were used: shared by the processes of a machine, for a while, and without a usable folder."""

import os
import tempfile
from pathlib import Path

import pytest

from scenext_service.signin.used_codes import KEPT, UsedCodes
from tests.support.scripted import NOW

DIGEST = "0" * 64


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"scenext-sign-in-{os.getuid()}"


def test_a_code_is_claimed_once_on_a_machine(folder: Path) -> None:
    """Ours: two processes have two objects, and one folder."""
    one, other = UsedCodes(), UsedCodes()
    assert [one.claim(DIGEST), one.claim(DIGEST), other.claim(DIGEST)] == [True, False, False]
    assert [other.claim("1" * 64), one.claim("1" * 64)] == [True, False]
    assert (folder.stat().st_mode & 0o777, sorted(file.stat().st_size for file in folder.iterdir())) == (0o700, [0, 0])


def test_a_code_is_forgotten_once_it_has_expired(folder: Path) -> None:
    """Ours: the folder does not grow."""
    now = NOW
    codes = UsedCodes(lambda: now)
    codes.claim(DIGEST)
    now += KEPT
    codes.claim("1" * 64)
    assert len(list(folder.iterdir())) == 2
    now += 1
    codes.claim("2" * 64)
    assert {file.name[0] for file in folder.iterdir()} == {"1", "2"}


@pytest.mark.parametrize("obstacle", ["file", "open-folder", "link"])
def test_without_a_private_folder_a_process_knows_its_own_codes(folder: Path, obstacle: str) -> None:
    """Ours: another user could have prepared the folder. The sign-in works, and each process counts for itself."""
    if obstacle == "file":
        folder.touch()
    elif obstacle == "open-folder":
        folder.mkdir()
        folder.chmod(0o755)
    else:
        folder.symlink_to(folder.parent)
    one, other = UsedCodes(), UsedCodes()
    assert [one.claim(DIGEST), one.claim(DIGEST), other.claim(DIGEST)] == [True, False, True]
