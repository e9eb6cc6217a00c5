"""uWSGI alone and behind nginx, and PythonAnywhere, which is uWSGI behind nginx with the user's WSGI file."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from tests.support.server import wait_until

from . import nginx, refused, waits
from .conversation import AT_ONCE
from .hosts import Address, Host
from .pages import replaced
from .repeats import charged_once, slow_scenext
from .site import START_TIMEOUT, Ports, Running, Site, ports, wait_until_healthy

PAGE = "uwsgi.md"
PYTHONANYWHERE = "pythonanywhere.md"
SUB_PATH = "/scenext"
NGINX, DEBIAN = "Behind nginx, under a sub-path", "Debian's uWSGI"  # headings
CHAINED = b"chain reloading complete"  # in uWSGI's log
NO_APPLICATION = 22  # uWSGI's exit status if `need-app` finds no application

LENGTH_REQUIRED = "411 Length Required: this server accepts no chunked bodies; send a Content-Length"


@contextmanager
def alone(site: Site) -> Iterator[Address]:
    """Run uWSGI as an HTTP server."""
    command = _installed(site)
    at = ports()
    site.write("uwsgi.ini", site.local(site.pages.file(PAGE, "uwsgi.ini"), at))
    with site.running(command, f"uwsgi-{at.app}") as running:
        wait_until_healthy(at.app, "", running)
        yield Address(at.app, running)


@contextmanager
def behind_nginx(site: Site) -> Iterator[Address]:
    """Run uWSGI behind nginx's `uwsgi_pass`, under a sub-path."""
    command = _installed(site)
    at = ports()
    site.write("uwsgi.ini", site.local(for_nginx(site), at))
    with site.running(command, f"uwsgi-{at.socket}") as running, nginx.debian(site, PAGE, NGINX, at):
        wait_until_healthy(at.front, SUB_PATH, running)
        yield Address(at.front, running, (SUB_PATH,))


def for_nginx(site: Site) -> str:
    """Return the page's file with the changes for nginx."""
    lines = {"http": "", "http-keepalive": "", "module": site.pages.part(PAGE, NGINX, "ini")}
    return replaced(site.pages.file(PAGE, "uwsgi.ini"), lines)


@contextmanager
def pythonanywhere(site: Site) -> Iterator[Address]:
    """Run the page's WSGI file as PythonAnywhere does: in uWSGI without threads, behind nginx."""
    _installed(site)
    site.prepare(site.pages.commands(PYTHONANYWHERE, "PythonAnywhere"))
    at = ports()
    name = "/var/www/YOU_pythonanywhere_com_wsgi.py"
    path = site.write(name, site.local(site.pages.file(PYTHONANYWHERE, name)))
    command = f"uwsgi --socket 127.0.0.1:{at.socket} --wsgi-file {path} --virtualenv {site.code}/.venv"
    command += " --chdir / --master --processes 2 --need-app --die-on-term --uid www-data --gid www-data"
    server = site.pages.file(PAGE, nginx.SITE).replace("/scenext/", "/")
    with site.running(command, f"pythonanywhere-{at.socket}") as running, nginx.least(site, server, at):
        wait_until_healthy(at.front, "", running)
        yield Address(at.front, running)


def _installed(site: Site) -> str:
    """Install uWSGI as the page does; return its start command."""
    *install, start = site.pages.commands(PAGE, "By itself")
    site.prepare([*site.pages.commands(PAGE, "uWSGI"), *install])
    return start


def what_waits_and_what_is_refused(site: Site, address: Address) -> str:
    """Check waiting calls, equal calls, and that uWSGI exits with an invalid setting."""
    found = f"{what_waits(site, address)}; {_charged_once(site)}"
    text = site.local(site.pages.file(PAGE, "uwsgi.ini"), ports())
    site.write("uwsgi.ini", f"{text}env = {refused.NAME}={refused.VALUE}\n")
    with site.running(_installed(site), "uwsgi-bad") as running:
        status = running.process.wait(START_TIMEOUT)
        named = refused.in_the_log(running.log)
    assert status == NO_APPLICATION, status
    return f"{found}; {named}, and ends it"


def what_waits(site: Site, address: Address) -> str:
    """Check waiting calls: disconnects, reload and stop."""
    leaving = waits.leaving(site, address, by_writing=True)
    touch = partial(site.run, site.pages.commands(PAGE, "Reload and stop")[0])
    reloaded = waits.reload(address, touch, ends=False)
    # uWSGI replaces its processes one after the other. Until all are ready, TERM loses answers, so wait.
    wait_until(lambda: CHAINED in address.running.log.read_bytes())
    return f"{leaving}; {reloaded}; {waits.stop(address, ends=False)}"


def _charged_once(site: Site) -> str:
    at = ports()
    text = site.pages.file(PAGE, "uwsgi.ini")
    with slow_scenext(site) as (upstream, environ), _with_variables(site, text, at, environ) as running:
        wait_until_healthy(at.app, "", running)
        return charged_once(upstream, Address(at.app, running))


def _charged_once_behind_nginx(site: Site) -> str:
    at = ports()
    server = site.pages.file(PAGE, nginx.SITE)
    with (
        slow_scenext(site) as (upstream, environ),
        _with_variables(site, for_nginx(site), at, environ) as running,
        nginx.least(site, server, at),
    ):
        wait_until_healthy(at.front, SUB_PATH, running)
        return charged_once(upstream, Address(at.front, running, (SUB_PATH,)))


def _with_variables(site: Site, text: str, at: Ports, environ: Mapping[str, str]) -> AbstractContextManager[Running]:
    """Run uWSGI with a file of the page in which these variables replace the sandbox."""
    lines = "".join(f"env = {name}={value}\n" for name, value in environ.items())
    site.write("uwsgi.ini", site.local(replaced(text, {"env": lines}), at))
    return site.running(_installed(site), f"uwsgi-repeats-{at.app}")


def long_streams_too(site: Site, address: Address) -> str:
    """Check waiting calls, including the progress on their streams, and equal calls."""
    return f"{waits.progress(address)}; {what_waits(site, address)}; {_charged_once_behind_nginx(site)}"


HOSTS = (
    Host("uWSGI", PAGE, alone, {"chunked": LENGTH_REQUIRED}, what_waits_and_what_is_refused),
    Host("uWSGI behind nginx, under a sub-path", PAGE, behind_nginx, check=long_streams_too),
    Host("PythonAnywhere's way: uWSGI behind nginx, a WSGI file", PYTHONANYWHERE, pythonanywhere, {"wait": AT_ONCE}),
)
