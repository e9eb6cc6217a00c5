"""Serve the page under Apache with mod_wsgi, on Debian's configuration and the site of docs/deploy, also over HTTPS."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.hosting.apache import PAGE, mod_wsgi
from tests.interop.hosting.pages import Pages, replaced
from tests.interop.hosting.site import Site
from tests.support.server import free_port
from tests.support.upstream import CERTIFICATE

SITE = "/etc/apache2/sites-available/scenext.conf"

# A copy of the page's site for HTTPS precedes it and uses the daemon processes of the original.
_HOST = "<VirtualHost *:80>\n"
_SECURE = """\
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
Listen 127.0.0.1:{port}
{site}
"""
_SECURE_HOST = """\
<VirtualHost 127.0.0.1:{port}>
    SSLEngine on
    SSLCertificateFile {certificate}
"""


@contextmanager
def apache(folder: Path) -> Iterator[int]:
    """Run Apache; yield its HTTPS port. Apache does not set `PORT`."""
    folder.mkdir()
    pages, port = Pages(), free_port()
    host = _SECURE_HOST.format(port=port, certificate=CERTIFICATE)
    site = replaced(pages.file(PAGE, SITE), {"<VirtualHost": host, "WSGIDaemonProcess": ""})
    with mod_wsgi(Site(folder, pages), {"<VirtualHost": _SECURE.format(port=port, site=site) + _HOST}):
        yield port
