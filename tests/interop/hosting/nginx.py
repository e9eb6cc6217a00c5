"""nginx in front of something: as Debian installs it, by the steps of a page, or in the least configuration of all.

The least is for platforms whose nginx is not ours to set up, and for hosts that are not about nginx.
"""

import http.client
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.server import wait_until

from .site import Ports, Site

SITE = "/etc/nginx/sites-available/scenext"  # of the pages

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
    """Write the configuration into a folder of nginx's own, with a server block; return its path."""
    path = folder / "nginx.conf"
    path.write_text(_CONFIGURATION.format(folder=folder, server=server), encoding="utf-8")
    return path


@contextmanager
def least(site: Site, server: str, at: Ports) -> Iterator[None]:
    """Run nginx with a server block of a page."""
    folder = site.logs / f"nginx-{at.front}"
    folder.mkdir()
    (folder / "uwsgi_params").symlink_to("/etc/nginx/uwsgi_params")  # Debian's, beside the configuration as there
    path = configure(folder, site.local(server, at))
    with site.running(f"nginx -c {path}", f"nginx-{at.front}.log"):
        yield


@contextmanager
def debian(site: Site, page: str, heading: str, at: Ports) -> Iterator[None]:
    """Run Debian's nginx with its own configuration and its default site, in a place of ours, and follow a page."""
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
    default.unlink()  # it leads to the one that is installed
    default.symlink_to(folder / "sites-available" / "default")
    with site.running(f"nginx -c {folder}/nginx.conf -g 'daemon off;'", f"nginx-{at.front}.log") as running:
        wait_until(lambda: default_site(at.front))
        site.write(SITE, site.local(site.pages.file(page, SITE), at))
        follow(site, site.pages.commands(page, heading), folder)
        old = running.children()
        running.process.send_signal(signal.SIGHUP)  # what `systemctl reload nginx` sends
        wait_until(lambda: not old & running.children())  # until then some are told what was there before
        yield


def follow(site: Site, lines: Sequence[str], folder: Path) -> None:
    """Run a page's commands for nginx, but for those that are about the system's own: apt-get's and systemd's."""
    for line in lines:
        if not line.startswith(("apt-get ", "systemctl ")):
            site.run(line.replace("nginx -t", f"nginx -t -c {folder}/nginx.conf"))


def default_site(port: int) -> bool:
    """Tell whether Debian's default site is what answers: nginx's own 404, wherever the service would answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return answer.status == 404 and b"<center>nginx" in answer.read()
    except ConnectionRefusedError:
        return False
    finally:
        connection.close()
