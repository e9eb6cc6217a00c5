"""Use the page at `/` in Chromium as people do: directly, behind nginx under a sub-path, and under Apache's mod_wsgi.

    python -m tests.interop.pages.run [WORD ...]

Installs Debian's chromium, nginx and Apache (as root, if they are missing) and the packages of `package-lock.json` that
drive the browser. Starts a real gunicorn with the shipped configuration in the sandbox and runs `story.mjs`. The story
uses HTTP and HTTPS behind nginx, and HTTPS under Apache. Another gunicorn is not in sandbox mode; its Scenext API is
`api.py`. Two more have a PORT, as in the image: one shares a key with all callers, and one does not, but has a sample
video on another host. Exits with status 1 if anything differs. With words, runs only the parts whose names contain one
of them.

Needs Node 22 or newer and npm. The `interop` extra of setup.cfg installs both.
"""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop import debian
from tests.interop.hosting.nginx import configure
from tests.support.server import free_port, running, wait_until
from tests.support.upstream import CERTIFICATE

from .apache import apache
from .api import scenext_api

HERE = Path(__file__).parent
TIMEOUT = 900  # seconds for the whole story
SAMPLE = "https://scenext.test:{}/sub/sample.mp4"  # behind nginx
REAL = {"SCENEXT_SANDBOX": "", "SCENEXT_REPEAT_WINDOW": "30"}

# The page is at /sub and at /sub/. The Host header does not pass on the name that the browser uses.
_SERVER = """\
    server {{
        listen 127.0.0.1:{plain};
        listen 127.0.0.1:{secure} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Prefix /sub;
        location = /sub {{ proxy_pass {url}/; }}
        location /sub/ {{ proxy_pass {url}/; proxy_read_timeout 120; }}
    }}
"""


@contextmanager
def nginx(folder: Path, url: str) -> Iterator[tuple[int, int]]:
    """Run nginx in front of a service; yield its HTTP port and its HTTPS port."""
    plain, secure = free_port(), free_port()
    path = configure(folder, _SERVER.format(url=url, plain=plain, secure=secure, certificate=CERTIFICATE))
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(["/usr/sbin/nginx", "-c", str(path)], stdout=log, stderr=log)
        try:
            wait_until((folder / "pid").exists)
            yield plain, secure
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def install() -> None:
    """Install the Debian and npm packages."""
    debian.install((HERE / "debian.txt").read_text(encoding="utf-8").split())
    subprocess.run(["npm", "ci", "--no-fund", "--no-audit", "--silent"], cwd=HERE, check=True)


def main(words: list[str]) -> None:
    """Install, run and exit with the result."""
    install()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's workers run as another user
        for part in ("real", "shared", "own"):
            (folder / part).mkdir()
        port = {"PORT": "8000"}  # as in the image; `running` binds to loopback by an option
        with (
            running(folder) as server,
            scenext_api(media := server.url) as api,
            running(folder / "real", {**REAL, "SCENEXT_API_BASE_URL": api, "SCENEXT_MEDIA_ORIGINS": media}) as real,
            running(folder / "shared", {**port, "SCENEXT_API_KEY": "sentinel-key-of-the-operator"}) as shared,
            nginx(folder, server.url) as (plain, secure),
            running(folder / "own", {**port, "SCENEXT_SAMPLE_VIDEO": SAMPLE.format(secure)}) as own,
            apache(folder / "apache") as wsgi,
        ):
            where = {"url": server.url, "real": real.url, "plain": plain, "secure": secure, "wsgi": wsgi}
            where |= {"shared": shared.port, "own": own.port}
            command = ["node", str(HERE / "story.mjs"), json.dumps(where), *words]
            status = subprocess.run(command, timeout=TIMEOUT, check=False).returncode
    if status:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
