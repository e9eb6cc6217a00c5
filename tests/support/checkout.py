"""Copy the checkout to modify or deploy it."""

import re
import shutil
import subprocess
from pathlib import Path

from .pages import ROOT

_VERSION = Path("scenext_service", "__init__.py")


def copy(folder: Path) -> None:
    """Copy every file that git tracks or would add, in its working-tree state, into a folder."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)


def set_version(folder: Path, version: str) -> None:
    """Set the version of the code in a folder."""
    path = folder / _VERSION
    text, count = re.subn(r'(?m)^__version__ = ".*"$', f'__version__ = "{version}"', path.read_text(encoding="utf-8"))
    assert count == 1
    path.write_text(text, encoding="utf-8")
