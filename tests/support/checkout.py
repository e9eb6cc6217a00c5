"""A copy of the checkout, to be changed or to be deployed."""

import re
import shutil
import subprocess
from pathlib import Path

from .pages import ROOT

_VERSION = Path("scenext_service", "version.py")


def copy(folder: Path) -> None:
    """Copy every file that git knows or would add, as it stands, into a folder."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)


def set_version(folder: Path, version: str) -> None:
    """Have the code in a folder say another version of itself."""
    path = folder / _VERSION
    text, count = re.subn(r'(?m)^VERSION = ".*"$', f'VERSION = "{version}"', path.read_text(encoding="utf-8"))
    assert count == 1
    path.write_text(text, encoding="utf-8")
