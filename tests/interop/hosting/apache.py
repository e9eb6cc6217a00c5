"""Apache: mod_wsgi, mod_wsgi-express and Passenger, on copies of Debian's Apache configuration."""

import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from . import refused, waits
from .conversation import AT_ONCE, crowd
from .hosts import Address, Host
from .pages import replaced
from .repeats import SANDBOX, charged_once, slow_scenext
from .site import Ports, Site, ports, wait_until_healthy

PAGE = "apache.md"
PASSENGER = "passenger.md"
POOL = 6  # Passenger's processes, as on its page
SLOW = 3.0  # seconds

SUB_PATH = "/scenext"
_HEADINGS = {PAGE: "mod_wsgi", PASSENGER: "Your own Apache"}


@contextmanager
def mod_wsgi(
    site: Site,
    change: Mapping[str, str] | None = None,
    prefix: str = "",
    *,
    bad: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Address]:
    """Run Debian's mod_wsgi with the page's site.

    `change` replaces lines of it, `bad` adds an invalid setting, and the variables in `environ` replace the sandbox.
    """
    site.prepare(site.pages.commands(PAGE, "Apache"))
    text = replaced(site.pages.file(PAGE, "/etc/apache2/sites-available/scenext.conf"), change or {})
    variables = site.pages.file(PAGE, "/etc/apache2/envvars")
    variables += f"export {refused.NAME}={refused.VALUE}\n" if bad else ""
    if environ:
        lines = "\n".join(f"export {name}={value}" for name, value in environ.items())
        variables = variables.replace(f"export {SANDBOX}", lines)
    with _apache(site, PAGE, "mod_wsgi", text, prefix, variables, bad=bad) as address:
        yield address


@contextmanager
def without_authorization(site: Site) -> Iterator[Address]:
    """Run mod_wsgi with Apache's defaults for `Authorization` and chunked bodies."""
    with mod_wsgi(site, {"WSGIPassAuthorization": "", "WSGIChunkedRequest": ""}) as address:
        yield address


@contextmanager
def sub_path(site: Site) -> Iterator[Address]:
    """Run the site under a sub-path."""
    with mod_wsgi(site, {"WSGIScriptAlias": site.pages.part(PAGE, "mod_wsgi", "apache")}, SUB_PATH) as address:
        yield address


@contextmanager
def passenger(site: Site, *, bad: bool = False) -> Iterator[Address]:
    """Run Debian's Passenger with the page's site; `bad` adds an invalid setting."""
    site.prepare(site.pages.commands(PASSENGER, _HEADINGS[PASSENGER]))
    text = site.pages.file(PASSENGER, "/etc/apache2/sites-available/scenext.conf")
    if bad:
        text = text.replace("    SetEnv ", f"    SetEnv {refused.NAME} {refused.VALUE}\n    SetEnv ")
    with _apache(site, PASSENGER, "passenger", text, bad=bad) as address:
        yield address


@contextmanager
def express(site: Site, without: str = "") -> Iterator[Address]:
    """Run mod_wsgi-express with the page's command; `without` removes one of its options."""
    *install, start = site.pages.commands(PAGE, "mod_wsgi-express")
    site.prepare(site.pages.commands(PAGE, "Apache"))
    site.prepare(install)
    at = ports()
    command = f"{site.local(start.replace(without, ''), at)} --server-root {site.folder}/express-{at.app}"
    with site.running(command, f"mod_wsgi-express-{at.app}") as running:
        wait_until_healthy(at.app, "", running)
        yield Address(at.app, running)


def express_unchunked(site: Site) -> AbstractContextManager[Address]:
    """Run mod_wsgi-express with its default for chunked bodies."""
    return express(site, "--chunked-request")


@contextmanager
def _apache(
    site: Site, page: str, module: str, text: str, prefix: str = "", variables: str = "", *, bad: bool = False
) -> Iterator[Address]:
    """Run a copy of Debian's Apache configuration with the given site and only one of the two WSGI modules."""
    at = ports()
    folder = site.folder / "apache"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree("/etc/apache2", folder, symlinks=True)
    (folder / "ports.conf").write_text(f"Listen 127.0.0.1:{at.front}\n", encoding="utf-8")
    _enable_only(folder, module)
    with (folder / "envvars").open("a", encoding="utf-8") as file:
        file.write(variables + _elsewhere(site, at))
    site.write("/etc/apache2/sites-available/scenext.conf", site.local(text, at))
    # `systemctl restart apache2` is the only command of the page that this run replaces with its own.
    for line in site.pages.commands(page, _HEADINGS[page]):
        if line.startswith("a2"):
            site.run(line, {"APACHE_CONFDIR": str(folder)})
    command = f"bash -c '. {folder}/envvars && exec apache2 -d {folder} -f apache2.conf -D FOREGROUND'"
    with site.running(command, f"{module}-{at.front}", {"APACHE_CONFDIR": str(folder)}) as running:
        (refused.wait_until_refused if bad else wait_until_healthy)(at.front, prefix, running)
        yield Address(at.front, running, (prefix,))


def _enable_only(folder: Path, module: str) -> None:
    """Disable the other module that serves WSGI, because Debian's packages enable every installed one."""
    other = {"mod_wsgi": "passenger", "passenger": "wsgi"}[module]
    for path in (folder / "mods-enabled").glob(f"{other}.*"):
        path.unlink()


def _elsewhere(site: Site, at: Ports) -> str:
    """Return the variables of Debian's envvars that keep this instance apart from any other."""
    state = site.logs / f"apache-{at.front}"
    state.mkdir()
    folders = "".join(f"export APACHE_{name}_DIR={state}\n" for name in ("RUN", "LOCK", "LOG"))
    return f"{folders}export APACHE_PID_FILE={state}/pid\n"


def one_request_a_process(site: Site, address: Address) -> str:
    """Check that two calls for each process take twice the time of one. Raises AssertionError if they do not."""
    seconds = crowd(2 * POOL, address.port)
    assert seconds >= 2 * SLOW, f"{2 * POOL} slow calls took {seconds:.1f} s"
    with passenger(site, bad=True) as failed:
        named = refused.by_apache(site, failed, 2 * refused.REQUESTS)  # Passenger tries to start with each request
    pool = f"{2 * POOL} calls of {SLOW:g} s on {POOL} processes take {2 * SLOW:g} s or more"
    return f"one request a process: {pool}; {named}"


def what_waits(site: Site, address: Address) -> str:
    """Check waiting calls: progress, disconnects, reload and stop. Then check an invalid setting and equal calls."""
    graceful = partial(address.running.process.send_signal, signal.SIGUSR1)  # as `systemctl reload apache2` does
    found = (
        f"{waits.progress(address)}; {waits.leaving(site, address, by_writing=True)}; {waits.reload(address, graceful)}"
    )
    stop = waits.stop(address, signal.SIGWINCH, ends=False, name="`apachectl graceful-stop`")
    with mod_wsgi(site, bad=True) as failed:
        named = refused.by_apache(site, failed, 1)
    with slow_scenext(site) as (upstream, environ), mod_wsgi(site, environ=environ) as at:
        charged = charged_once(upstream, at)
    return f"{found}; {stop}; {named}; {charged}"


_DROPPED = {"Authorization": "No Scenext API key was sent with the request", "chunked": "411 text/html"}

HOSTS = (
    Host("Apache, `mod_wsgi`", PAGE, mod_wsgi, check=what_waits),
    Host("Apache, `mod_wsgi`, under a sub-path", PAGE, sub_path),
    Host("Apache, `mod_wsgi` without its two switches", PAGE, without_authorization, _DROPPED),
    Host("`mod_wsgi-express`", PAGE, express),
    Host("`mod_wsgi-express` without `--chunked-request`", PAGE, express_unchunked, {"chunked": "411 text/html"}),
    Host("Apache, Passenger", PASSENGER, passenger, {"wait": AT_ONCE}, check=one_request_a_process),
)
