"""Generate `scenext_service/web/assets/favicon.ico` from `icon.svg` in the same folder.

    python -m tests.interop.pages.favicon

Installs Debian's librsvg2-bin (as root, if it is missing), which renders the icon as a PNG image of each size.

Source: MS-ICO as browsers read it: a directory with one entry for each image, followed by the PNG images.
"""

import struct
import subprocess

from tests.interop import debian
from tests.support.pages import ROOT

VIEWS = ROOT / "scenext_service" / "web" / "assets"
SIZES = (16, 32, 48)  # pixels

_HEADER, _ENTRY = struct.Struct("<HHH"), struct.Struct("<BBBBHHII")


def draw(size: int) -> bytes:
    """Return the icon as a square PNG image of `size` pixels."""
    command = ["rsvg-convert", "--width", str(size), "--height", str(size), str(VIEWS / "icon.svg")]
    return subprocess.run(command, check=True, capture_output=True).stdout


def pack(pictures: dict[int, bytes]) -> bytes:
    """Return an icon file with these PNG images, which are keyed by their size."""
    directory = _HEADER.pack(0, 1, len(pictures))
    offset = _HEADER.size + _ENTRY.size * len(pictures)
    for size, picture in pictures.items():
        directory += _ENTRY.pack(size, size, 0, 0, 1, 32, len(picture), offset)  # 1 plane, 32 bits a pixel
        offset += len(picture)
    return directory + b"".join(pictures.values())


def main() -> None:
    """Install the renderer, draw the images and write the file."""
    debian.install(["librsvg2-bin"])
    icon = pack({size: draw(size) for size in SIZES})
    (VIEWS / "favicon.ico").write_bytes(icon)
    print(f"{len(icon)} bytes")


if __name__ == "__main__":
    main()
