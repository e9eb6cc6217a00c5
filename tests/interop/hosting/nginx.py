"""nginx as a reverse proxy: Debian's nginx set up by the steps of a page, or nginx with a minimal configuration.

The minimal configuration is for platforms that set up nginx themselves, and for hosts that do not test nginx.
"""

import http.client
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.server import wait_until

from .site import Ports, Site

SITE = "/etc/nginx/sites-available/scenext"  # as the pages name it

_CONFIGURATION = """\
daemon off;
error_log stderr;
pid {folder}/pid;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    uwsgi_temp_path {folder}/uwsgi;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    include /etc/nginx/mime.types;
{server}
}}
"""


def configure(folder: Path, server: str) -> Path:
    """Write a configuration with a server block into a folder reserved for nginx; return its path."""
    path = folder / "nginx.conf"
    path.write_text(_CONFIGURATION.format(folder=folder, server=server), encoding="utf-8")
    return path


@contextmanager
def least(site: Site, server: str, at: Ports) -> Iterator[None]:
    """Run nginx with a minimal configuration and a server block of a page."""
    folder = site.logs / f"nginx-{at.front}"
    folder.mkdir()
    (folder / "uwsgi_params").symlink_to("/etc/nginx/uwsgi_params")  # Debian keeps it next to nginx.conf
    path = configure(folder, site.local(server, at))
    with site.running(f"nginx -c {path}", f"nginx-{at.front}.log"):
        yield


@contextmanager
def debian(site: Site, page: str, heading: str, at: Ports) -> Iterator[None]:
    """Run a copy of Debian's nginx configuration with its default site, then follow a page."""
    folder = site.folder / "nginx"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree("/etc/nginx", folder, symlinks=True)
    elsewhere = {"/var/log/nginx": str(site.logs), "/run/nginx.pid": f"{site.logs}/nginx-{at.front}.pid"}
    for path in (folder / "nginx.conf", folder / "sites-available" / "default"):
        text = site.local(path.read_text(encoding="utf-8"), at)
        for there, here in elsewhere.items():
            text = text.replace(there, here)
        path.write_text(text, encoding="utf-8")
    default = folder / "sites-enabled" / "default"
    default.unlink()  # it links to the installed file
    default.symlink_to(folder / "sites-available" / "default")
    with site.running(f"nginx -c {folder}/nginx.conf -g 'daemon off;'", f"nginx-{at.front}.log") as running:
        wait_until(lambda: default_site(at.front))
        site.write(SITE, site.local(site.pages.file(page, SITE), at))
        follow(site, site.pages.commands(page, heading), folder)
        old = running.children()
        running.process.send_signal(signal.SIGHUP)  # as `systemctl reload nginx` does
        wait_until(lambda: not old & running.children())  # until then, old workers serve the previous configuration
        yield


def follow(site: Site, lines: Sequence[str], folder: Path) -> None:
    """Run a page's nginx commands, except those of apt-get and systemctl, which act on the whole system."""
    for line in lines:
        if not line.startswith(("apt-get ", "systemctl ")):
            site.run(line.replace("nginx -t", f"nginx -t -c {folder}/nginx.conf"))


def default_site(port: int) -> bool:
    """Return whether Debian's default site answers: with nginx's own 404, while the service would answer 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return answer.status == 404 and b"<center>nginx" in answer.read()
    except ConnectionRefusedError:
        return False
    finally:
        connection.close()
