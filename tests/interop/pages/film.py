"""Make the film that the sandbox shows for every video, `scenext_service/views/film.mp4`.

    python -m tests.interop.pages.film

Installs Debian's ffmpeg and a font (as root, where they are missing). What a Safari and a Chromium play, and a page
begins to play before all of it is there: H.264 in its main profile, 4:2:0, the index before the data; no sound.
"""

import os
import subprocess

from tests.interop import debian
from tests.support.pages import ROOT

FILM = ROOT / "scenext_service" / "views" / "film.mp4"
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"
SIZE, SECONDS, RATE = "640x360", 8, 12  # pixels, and pictures a second

# A square crosses, a line below it grows with the time, and the seconds are counted.
_WORDS = (
    ("Scenext sandbox", 44, 90),
    ("This film is made up.", 28, 150),
    ("%{eif\\:t+1\\:d} s", 24, 300),
)
_DRAWN = ",".join(
    f"drawtext=fontfile={FONT}:text='{words}':fontcolor=white:fontsize={size}:x=40:y={y}" for words, size, y in _WORDS
)
_GRAPH = f"[0][1]overlay=x='t*80-60':y=200[one];[one][2]overlay=x='t*80-640':y=344,{_DRAWN},format=yuv420p"


def main() -> None:
    """Install, draw, write."""
    debian.install(["ffmpeg", "fonts-dejavu-core"])
    sources = (("0x07305f", SIZE), ("0xf5b400", "60x60"), ("0x5aa9ff", "640x16"))
    inputs = [
        word
        for colour, size in sources
        for word in ("-f", "lavfi", "-i", f"color=c={colour}:s={size}:r={RATE}:d={SECONDS}")
    ]
    coded = "-an -c:v libx264 -profile:v main -level 3.0 -preset veryslow -crf 30 -g 24 -threads 1"
    kept = "-map_metadata -1 -fflags +bitexact -flags:v +bitexact -bsf:v filter_units=remove_types=6"
    made = ["-filter_complex", _GRAPH, *coded.split(), *kept.split(), "-movflags", "+faststart", str(FILM)]
    debian.run(["ffmpeg", "-v", "error", "-y", *inputs, *made], dict(os.environ))
    shown = "stream=codec_name,profile,level,pix_fmt,width,height,duration"
    subprocess.run(["ffprobe", "-v", "error", "-show_entries", shown, "-of", "compact", str(FILM)], check=True)
    print(f"{FILM.stat().st_size} bytes")


if __name__ == "__main__":
    main()
