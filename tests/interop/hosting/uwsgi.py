"""uWSGI by itself and behind nginx, and PythonAnywhere, which is uWSGI behind nginx with a WSGI file of the user's."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tests.support.server import children, wait_until

from . import nginx, refused, waits
from .conversation import AT_ONCE
from .hosts import Address, Host
from .pages import replaced
from .site import START_TIMEOUT, Site, ports, wait_until_healthy

PAGE = "uwsgi.md"
PYTHONANYWHERE = "pythonanywhere.md"
SUB_PATH = "/scenext"
NGINX, DEBIAN = "Behind nginx, under a sub-path", "Debian's uWSGI"  # headings
PROCESSES = 2  # as the page has it
NO_APPLICATION = 22  # exit status of an instance that `need-app` ends

LENGTH_REQUIRED = "411 Length Required: this server hands no chunked body over; send a Content-Length"


@contextmanager
def alone(site: Site) -> Iterator[Address]:
    """uWSGI as an HTTP server."""
    command = _installed(site)
    at = ports()
    site.write("uwsgi.ini", site.local(site.pages.file(PAGE, "uwsgi.ini"), at))
    with site.running(command, f"uwsgi-{at.app}") as running:
        wait_until_healthy(at.app, "", running)
        yield Address(at.app, running)


@contextmanager
def behind_nginx(site: Site) -> Iterator[Address]:
    """uWSGI behind nginx's `uwsgi_pass`, below a path."""
    command = _installed(site)
    at = ports()
    site.write("uwsgi.ini", site.local(for_nginx(site), at))
    with site.running(command, f"uwsgi-{at.socket}") as running, nginx.debian(site, PAGE, NGINX, at):
        wait_until_healthy(at.front, SUB_PATH, running)
        yield Address(at.front, running, (SUB_PATH,))


def for_nginx(site: Site) -> str:
    """Return the page's file as it is to be changed for nginx."""
    lines = {"http": "", "http-keepalive": "", "module": site.pages.part(PAGE, NGINX, "ini")}
    return replaced(site.pages.file(PAGE, "uwsgi.ini"), lines)


@contextmanager
def pythonanywhere(site: Site) -> Iterator[Address]:
    """The page's WSGI file, in what PythonAnywhere runs it with: uWSGI without threads, behind nginx."""
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
    """Install uWSGI as the page does; return the command that starts it."""
    *install, start = site.pages.commands(PAGE, "By itself")
    site.prepare([*site.pages.commands(PAGE, "uWSGI"), *install])
    return start


def what_waits_and_what_is_refused(site: Site, address: Address) -> str:
    """Tell what becomes of calls that wait, and of a bad setting: uWSGI ends."""
    found = what_waits(site, address)
    text = site.local(site.pages.file(PAGE, "uwsgi.ini"), ports())
    site.write("uwsgi.ini", f"{text}env = {refused.NAME}={refused.VALUE}\n")
    with site.running(_installed(site), "uwsgi-bad") as running:
        status = running.process.wait(START_TIMEOUT)
        named = refused.in_the_log(running.log)
    assert status == NO_APPLICATION, status
    return f"{found}; {named}, and ends it"


def what_waits(site: Site, address: Address) -> str:
    """Tell what becomes of calls that wait."""
    leaving = waits.leaving(site, address, by_writing=True)
    touch = partial(site.run, site.pages.commands(PAGE, "Reload and stop")[0])
    old = set(children(address.running.process.pid))
    reloaded = waits.reload(address, touch, ends=False)
    # One process after the other; TERM in between does not end what is being replaced.
    wait_until(lambda: len(old & set(children(address.running.process.pid))) <= len(old) - PROCESSES)
    return f"{leaving}; {reloaded}; {waits.stop(address, ends=False)}"


def long_streams_too(site: Site, address: Address) -> str:
    """Tell what becomes of calls that wait, and of their streams."""
    return f"{waits.progress(address)}; {what_waits(site, address)}"


HOSTS = (
    Host("uWSGI", PAGE, alone, {"chunked": LENGTH_REQUIRED}, what_waits_and_what_is_refused),
    Host("uWSGI behind nginx, under a sub-path", PAGE, behind_nginx, check=long_streams_too),
    Host("PythonAnywhere's way: uWSGI behind nginx, a WSGI file", PYTHONANYWHERE, pythonanywhere, {"wait": AT_ONCE}),
)
