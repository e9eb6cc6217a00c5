"""Draw the sample video, `scenext_service/web/assets/sample.mp4`, and its six frames, `sample1.svg` to `sample6.svg`.

    python -m tests.interop.pages.sample [FOLDER]

Installs Debian's chromium, ffmpeg and two fonts (as root, if they are missing) and the packages of `package-lock.json`.
`scenes.mjs` has the drawings. With FOLDER, an existing one, also writes `sheet.png` there: the video at a glance.

Safari and Chromium can play the video, and a page can start it before it is fully loaded: H.264 main profile, 4:2:0,
the index before the data, no sound.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.interop import debian
from tests.support.pages import ROOT

HERE = Path(__file__).parent
ASSETS = ROOT / "scenext_service" / "web" / "assets"
RATE = 20  # pictures per second
QUALITY = 32  # of libx264: lower is better. Text is still crisp.
LARGEST = 320_000  # bytes

_CODED = f"-an -c:v libx264 -profile:v main -preset veryslow -tune animation -crf {QUALITY} -g 200 -threads 1"
_REPRODUCIBLE = "-map_metadata -1 -fflags +bitexact -flags:v +bitexact -bsf:v filter_units=remove_types=6"


def main() -> None:
    """Install, draw the pictures, encode them, and describe the video."""
    debian.install(["chromium", "ffmpeg", "fonts-inter", "fonts-noto-cjk"])
    environ = dict(os.environ)
    debian.run(["npm", "ci", "--prefix", str(HERE)], environ)
    video = ASSETS / "sample.mp4"
    with tempfile.TemporaryDirectory() as folder:
        debian.run(["node", str(HERE / "sample.mjs"), folder, str(RATE)], environ)
        for frame in Path(folder).glob("sample*.svg"):
            (ASSETS / frame.name).write_bytes(frame.read_bytes())
        pictures = ["ffmpeg", "-v", "error", "-y", "-framerate", str(RATE), "-i", f"{folder}/raw/%04d.png"]
        scaled = ["-vf", "scale=854:480:flags=lanczos,format=yuv420p"]
        finish = ["-movflags", "+faststart", str(video)]
        debian.run([*pictures, *scaled, *_CODED.split(), *_REPRODUCIBLE.split(), *finish], environ)
    for sheet in sys.argv[1:]:
        tiles = ["-vf", "fps=1,scale=427:240,tile=4x6", "-frames:v", "1", f"{sheet}/sheet.png"]
        debian.run(["ffmpeg", "-v", "error", "-y", "-i", str(video), *tiles], environ)
    shown = "stream=codec_name,profile,level,pix_fmt,width,height,duration"
    subprocess.run(["ffprobe", "-v", "error", "-show_entries", shown, "-of", "compact", str(video)], check=True)
    size = video.stat().st_size
    print(f"{size:,} bytes")
    if size > LARGEST:
        sys.exit(f"it is larger than {LARGEST:,} bytes")


if __name__ == "__main__":
    main()
