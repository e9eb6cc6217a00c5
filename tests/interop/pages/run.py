"""Use the page at `/` in Chromium, as people do: directly, behind nginx under a sub-path, and under Apache's mod_wsgi.

    python -m tests.interop.pages.run [WORD ...]

Installs Debian's chromium, nginx and Apache (as root, where they are missing) and what drives the browser from
`package-lock.json`, starts a real gunicorn with the shipped configuration in the sandbox, and runs `story.mjs`. Behind
nginx it is met over HTTP and HTTPS, under Apache over HTTPS. Ends with status 1 where anything was different.
With words, runs only the parts whose names have one of them.

Needs Node 22 or newer and npm, which the `interop` extra of setup.cfg brings.
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

HERE = Path(__file__).parent
TIMEOUT = 600  # seconds for the whole story

# The page is at /sub and at /sub/. The name that the browser knows is not passed on as Host.
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
    """Run nginx in front of a service; yield its two ports, of HTTP and of HTTPS."""
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
    """Install what Debian and npm have for this."""
    debian.install((HERE / "debian.txt").read_text(encoding="utf-8").split())
    subprocess.run(["npm", "ci", "--no-fund", "--no-audit", "--silent"], cwd=HERE, check=True)


def main(words: list[str]) -> None:
    """Install, run, print."""
    install()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's workers are of another user
        with (
            running(folder) as server,
            nginx(folder, server.url) as (plain, secure),
            apache(folder / "apache") as wsgi,
        ):
            where = {"url": server.url, "plain": plain, "secure": secure, "wsgi": wsgi}
            command = ["node", str(HERE / "story.mjs"), json.dumps(where), *words]
            status = subprocess.run(command, timeout=TIMEOUT, check=False).returncode
    if status:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
