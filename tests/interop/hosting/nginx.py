"""nginx in front of something: a page's server block in the least configuration that nginx starts with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .site import Ports, Site

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
def nginx(site: Site, server: str, at: Ports) -> Iterator[None]:
    """Run nginx with a server block of a page."""
    folder = site.logs / f"nginx-{at.front}"
    folder.mkdir()
    (folder / "uwsgi_params").symlink_to("/etc/nginx/uwsgi_params")  # Debian's, beside the configuration as there
    path = configure(folder, site.local(server, at))
    with site.running(f"nginx -c {path}", f"nginx-{at.front}.log"):
        yield
