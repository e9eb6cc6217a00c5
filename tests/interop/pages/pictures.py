"""Take the screenshots of the page at `/` and of the card that the README and `docs/` show.

    python -m tests.interop.pages.pictures

Installs the same as `run.py` and two fonts, starts a real gunicorn with the shipped configuration in the sandbox, and
overwrites `docs/pictures/`, in English, and in Chinese with names that end in `.zh.png`. Exits with status 1 if a
picture is too large. Commit the result.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.interop import debian
from tests.support.pages import ROOT
from tests.support.server import running

from .run import HERE, install

FOLDER = ROOT / "docs" / "pictures"
LARGEST = 150_000  # bytes
TIMEOUT = 300  # seconds


def main() -> None:
    """Install, take the screenshots and print their sizes."""
    install()
    debian.install(["fonts-inter", "fonts-noto-cjk"])
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        command = ["node", str(HERE / "pictures.mjs"), str(server.port), str(FOLDER)]
        subprocess.run(command, timeout=TIMEOUT, check=True)
    sizes = {path.name: path.stat().st_size for path in sorted(FOLDER.iterdir())}
    for name, size in sizes.items():
        print(f"{size:8,} bytes  {name}")
    if max(sizes.values()) > LARGEST:
        sys.exit(f"one is larger than {LARGEST:,} bytes")


if __name__ == "__main__":
    main()
