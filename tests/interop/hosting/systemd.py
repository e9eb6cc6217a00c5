"""Follow the pages word for word on a bare Debian with systemd: nginx, certbot, Caddy and Debian's uWSGI."""

import re
import shutil
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.support import checkout, crowd
from tests.support.crowd import Group, Plan
from tests.support.server import wait_until

from . import uwsgi, waits
from .conversation import OK, Secure, Talk, converse
from .hosts import Address, Host
from .machine import FIRST, NAME, Machine, commit, machine
from .nginx import SITE, default_site
from .site import Site, wait_until_healthy

PAGE = "server.md"
PREFIXES = ("", "/scenext")
EXPOSURE = 3  # the highest allowed, of 10
CALLERS = 800  # that wait concurrently; more than Debian's nginx allows by default

NGINX, SCENEXT = "nginx", "scenext"  # services
CADDYFILE = "/etc/caddy/Caddyfile"
LOCAL_CERTIFICATES = "{\n\tlocal_certs\n}\n"  # instead of certificates of a public authority
ROOT_CERTIFICATE = "pki/authorities/local/root.crt"

# A local ACME authority for certbot. Like any other, it validates at port 80 of the name.
ACME = "localhost:14000"
AUTHORITY = f"""\
{{
    admin off
    auto_https disable_redirects
    skip_install_trust
    storage file_system /root/acme
}}
https://{ACME} {{
    tls internal
    acme_server
}}
"""
ASK_IT = f"server = https://{ACME}/acme/local/directory\nno-verify-ssl = true\n"

BUSTLE = [Group("missing", 10), Group("list", 10, pause=0.02), Group("list", 5, kept=False), Group("health", 5, 0.3)]
SECONDS = 8.0  # of concurrent calls around a restart


@contextmanager
def behind_nginx(site: Site) -> Iterator[Address]:
    """Follow the page from its first command: packages, units, and nginx instead of Debian's default site."""
    with machine(site, "debian-nginx") as there, there.port(80) as port:
        _service(site, there)
        _nginx(site, there, PAGE, "nginx")
        wait_until_healthy(port, "", there.running)
        yield Address(port, there.running, PREFIXES, machine=there)


@contextmanager
def behind_caddy(site: Site) -> Iterator[Address]:
    """Follow the page with Caddy instead of nginx, and with certificates of Caddy's local authority."""
    with machine(site, "debian-caddy") as there, there.port(443) as port:
        _service(site, there)
        install, reload = site.pages.commands(PAGE, "Caddy")
        there.follow([install])
        there.write(CADDYFILE, LOCAL_CERTIFICATES + site.pages.file(PAGE, CADDYFILE))
        there.follow([reload])
        secure = _trusting(there.root / "var/lib/caddy/.local/share/caddy" / ROOT_CERTIFICATE)
        wait_until_healthy(port, "", there.running, secure)
        yield Address(port, there.running, PREFIXES, secure)


@contextmanager
def behind_uwsgi(site: Site) -> Iterator[Address]:
    """Run Debian's uWSGI as Debian starts it, behind nginx instead of Debian's default site."""
    with machine(site, "debian-uwsgi") as there, there.port(80) as port:
        there.follow(site.pages.commands(uwsgi.PAGE, "uWSGI"))
        install, *rest = site.pages.commands(uwsgi.PAGE, uwsgi.DEBIAN)
        there.follow([install])
        part = site.pages.part(uwsgi.PAGE, uwsgi.DEBIAN, "ini")
        there.write("/etc/uwsgi/apps-available/scenext.ini", uwsgi.for_nginx(site) + part)
        there.follow(rest)
        _nginx(site, there, uwsgi.PAGE, uwsgi.NGINX)
        log = f"{' '.join(there.enter(''))} tail --lines=+1 --follow=name /var/log/uwsgi/app/scenext.log"
        with site.running(log, "debian-uwsgi-log"):
            wait_until_healthy(port, uwsgi.SUB_PATH, there.running)
            yield Address(port, there.running, (uwsgi.SUB_PATH,), machine=there)


def _service(site: Site, there: Machine) -> None:
    there.follow(site.pages.commands(PAGE, "A server of your own"))
    there.follow(site.pages.commands(PAGE, "systemd"))


def _nginx(site: Site, there: Machine, page: str, heading: str) -> None:
    """Install nginx, check that Debian's default site answers, and follow the page."""
    install, *rest = site.pages.commands(page, heading)
    there.follow([install])
    with there.port(80) as port:
        wait_until(partial(default_site, port))
    there.write(SITE, site.pages.file(page, SITE))
    old = _children(there, NGINX)
    there.follow(rest)
    wait_until(lambda: not old & _children(there, NGINX))  # until then, old workers serve the previous configuration


def _trusting(certificate: Path) -> Secure:
    wait_until(certificate.exists)
    return Secure(NAME, ssl.create_default_context(cafile=certificate))


def all_of_the_page(site: Site, address: Address) -> str:
    """Check the page's claims about the unit, many callers, upgrades and certbot. Raises AssertionError."""
    assert address.machine
    address.machine.run("systemd-analyze verify scenext.service scenext.socket")
    unit = "/etc/systemd/system/scenext.service"
    address.machine.run(f"systemd-analyze security --offline=true --threshold={EXPOSURE * 10} {unit}")
    found = [
        f"`systemd-analyze security` says {EXPOSURE} of 10 or less",
        waits.progress(address),
        waits.leaving(site, address),
        waits.many(address, CALLERS, "at the same time"),
        _upgrade(site, address, address.machine),
        _certbot(site, address.machine),
        _repeats(address.machine),
    ]
    return "; ".join(found)


def _upgrade(site: Site, address: Address, there: Machine) -> str:
    """Check that the page's commands upgrade and roll back under load, and that a reload changes no code."""
    *bring, restart = site.pages.commands(PAGE, "Upgrade and rollback")
    (new,) = re.findall(r"git checkout --quiet v(\S+)", "\n".join(bring))
    origin = there.root / "srv" / "origin"
    checkout.set_version(origin, new)
    commit(origin, f"v{new}")
    there.follow(bring)
    old = _children(there, SCENEXT)
    there.run("systemctl reload scenext")
    wait_until(lambda: not old & _children(there, SCENEXT))
    assert _version(address) == FIRST, "a reload brought the new code"
    _restart(address, there, restart)
    assert _version(address) == new, "a restart kept the old code"
    there.follow([line.replace(f"v{new}", f"v{FIRST}") for line in bring])
    _restart(address, there, restart)
    assert _version(address) == FIRST, "there was no way back"
    return "an upgrade and a rollback lose no answer; a reload keeps the code"


def _restart(address: Address, there: Machine, command: str) -> None:
    """Restart during short and waiting calls. Raises AssertionError if a call gets no answer."""
    with crowd.crowd(address.port, Plan(BUSTLE, SECONDS)) as calls:
        calls.wait_until("there")
        calls.wait_until("warm")
        waits.reload(address, partial(there.follow, [command]))
        report = calls.report()
    lost = [*map(str, report.losses), *report.wrong]
    assert not lost, f"{len(lost)} answers were lost: {lost[0]}"
    assert set(report.last) == {"ok"}, f"not only answers: {report}"


def _children(there: Machine, service: str) -> set[str]:
    """Return the ids of the child processes of a service's first process."""
    pid = there.run(f"systemctl show --property=MainPID --value {service}").strip()
    return set(there.run(f"cat /proc/{pid}/task/{pid}/children").split())


def _version(address: Address) -> object:
    return Talk("modern", address.port).send("GET", "/healthz").json.get("version")


def _certbot(site: Site, there: Machine) -> str:
    """Check that certbot makes nginx serve HTTPS, with a local certificate authority."""
    shutil.copy("/usr/bin/caddy", there.root / "root" / "authority")
    there.write("/root/Caddyfile", AUTHORITY)
    command = f"{' '.join(there.enter('--net'))} /root/authority run --adapter caddyfile --config /root/Caddyfile"
    install, certbot = site.pages.commands(PAGE, "certbot")
    there.follow([install])
    there.write("/etc/letsencrypt/cli.ini", ASK_IT)
    with site.running(command, "authority") as authority, there.port(443) as port:
        wait_until(lambda: "certificate obtained" in authority.log.read_text(encoding="utf-8"))
        there.follow([certbot])
        secure = _trusting(there.root / "root" / "acme" / ROOT_CERTIFICATE)
        wait_until_healthy(port, "", there.running, secure)
        outcomes = [outcome for prefix in PREFIXES for outcome in converse(port, prefix, secure).values()]
    assert set(outcomes) == {OK}, f"over certbot's HTTPS: {outcomes}"
    return "the same over HTTPS, by certbot"


def _repeats(there: Machine) -> str:
    """Check that a repeated call gets the job of the first one after a reload and a restart. Raises AssertionError."""
    reload, restart = (f"systemctl {action} {SCENEXT}" for action in ("reload", "restart"))
    there.run(f"echo SCENEXT_REPEAT_WINDOW=30 >> /etc/scenext.env; {restart}")
    with there.port(8000) as port:
        known = [_is_known(port)]
        old = _children(there, SCENEXT)
        there.run(reload)
        wait_until(lambda: not old & _children(there, SCENEXT))
        known.append(_is_known(port))
        there.run(restart)
        known.append(_is_known(port))
    assert known == [False, True, True], f"the same call was known before: {known}"
    return "a reload and a restart keep the repeat window"


def _is_known(port: int) -> bool:
    """Start a job; return whether the service names the job of an earlier, equal call instead."""
    job = Talk("modern", port).call("gen_video", {"question": "Does a restart keep the repeat window?"})
    return "already started" in job["structuredContent"]["message"]


def long_streams(site: Site, address: Address) -> str:
    """Check waiting calls behind Caddy: progress and disconnects."""
    return f"{waits.progress(address)}; {waits.leaving(site, address)}"


def as_debian_stops_it(site: Site, address: Address) -> str:
    """Check waiting calls when Debian restarts uWSGI and when the page's command reloads it."""
    assert address.machine
    restart = waits.reload(address, partial(address.machine.run, "systemctl restart uwsgi"), ends=False)
    touch = partial(address.machine.follow, site.pages.commands(uwsgi.PAGE, "Reload and stop"))
    found = f"{waits.progress(address)}; {waits.leaving(site, address, by_writing=True)}"
    return f"{restart.replace('reload', 'restart')}; {found}; {waits.reload(address, touch, ends=False)}"


HOSTS = (
    Host("a bare Debian: systemd, nginx", PAGE, behind_nginx, check=all_of_the_page),
    Host("a bare Debian: systemd, Caddy, HTTPS", PAGE, behind_caddy, check=long_streams),
    Host("a bare Debian: its uWSGI, nginx", uwsgi.PAGE, behind_uwsgi, check=as_debian_stops_it),
)
