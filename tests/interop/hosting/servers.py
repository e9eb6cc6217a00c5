"""gunicorn behind nginx, gunicorn's gevent worker, and waitress."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import takewhile
from typing import Any

from tests.support.pages import ROOT
from tests.support.server import wait_until
from tests.support.upstream import CERTIFICATE, Upstream

from . import nginx, waits
from .conversation import Talk
from .hosts import Address, Host
from .refusals import beside_refused_bodies
from .repeats import charged_once, slow_scenext, without_sandbox
from .site import Site, ports, wait_until_healthy

PAGE = "server.md"
PLATFORMS = "platforms.md"
MANY = 400  # concurrent Scenext calls in one process
VERY_MANY = 2000  # calls that wait in one process for the end of a job
PROMPT = 2.0  # seconds for another call's answer meanwhile


@contextmanager
def behind_nginx(site: Site) -> Iterator[Address]:
    """Run gunicorn with the shipped configuration behind nginx, at the root and under a sub-path."""
    site.prepare(site.pages.commands(PAGE, "A server of your own"))
    at = ports()
    bind = {"GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{at.app}"}
    (command,) = site.pages.commands(PAGE, "A first start")
    with site.running(command, f"gunicorn-{at.app}", bind) as running, nginx.debian(site, PAGE, "nginx", at):
        wait_until_healthy(at.front, "", running)
        yield Address(at.front, running, ("", "/scenext"))


def kept_connections_and_waits(site: Site, address: Address) -> str:
    """Check the connections that nginx keeps alive, waiting calls, and equal calls."""
    refused = beside_refused_bodies(address.port)
    return f"{refused}; {waits.progress(address)}; {_ends(site, address)}; {_charged_once_behind_nginx(site)}"


def _charged_once_behind_nginx(site: Site) -> str:
    at = ports()
    (command,) = site.pages.commands(PAGE, "A first start")
    server = site.pages.file(PAGE, nginx.SITE)
    with slow_scenext(site) as (upstream, environ):
        variables = {"GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{at.app}", **environ}
        log = f"gunicorn-repeats-{at.app}"
        with site.running(without_sandbox(command), log, variables) as running, nginx.least(site, server, at):
            wait_until_healthy(at.front, "", running)
            return charged_once(upstream, Address(at.front, running))


def _ends(site: Site, address: Address) -> str:
    leaving = waits.leaving(site, address)
    old = address.running.children()
    reload = waits.reload(address, partial(address.running.process.send_signal, signal.SIGHUP))
    # Old workers still answer on the keep-alive connections from nginx. Wait until they have exited.
    wait_until(lambda: not old & address.running.children())
    return f"{leaving}; {reload}; {waits.stop(address)}"


@contextmanager
def beanstalk(site: Site) -> Iterator[Address]:
    """Run the Procfile's command without `PORT`, behind an nginx with the settings of the platforms page."""
    site.prepare(site.pages.commands(PAGE, "A server of your own"))
    at = ports()
    bind = {"GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{at.app}", "SCENEXT_SANDBOX": "1"}
    server = site.pages.file(PLATFORMS, ".platform/nginx/conf.d/body.conf")
    location = "proxy_http_version 1.1; proxy_set_header Host $host; proxy_pass http://127.0.0.1:8000;"
    server += f"server {{ listen 80; location / {{ {location} }} }}"
    command = site.pages.part(PLATFORMS, "Other platforms", "procfile").removeprefix("web: ")
    with site.running(command, f"beanstalk-{at.app}", bind) as running, nginx.least(site, server, at):
        wait_until_healthy(at.front, "", running)
        yield Address(at.front, running)


@contextmanager
def gevent(site: Site) -> Iterator[Address]:
    """Run the page's gevent configuration in the sandbox."""
    with _gevent(site, {"SCENEXT_SANDBOX": "1"}) as address:
        yield address


def many_slow_calls(site: Site, address: Address) -> str:
    """Check that many HTTPS calls can wait in one process without delaying others. Raises AssertionError."""
    found = _ends(site, address)
    with _gevent(site, {"SCENEXT_SANDBOX": "1", "WEB_CONCURRENCY": "1"}) as at:
        very_many = waits.many(at, VERY_MANY)
    environ = {"REQUESTS_CA_BUNDLE": str(site.code / CERTIFICATE.relative_to(ROOT)), "WEB_CONCURRENCY": "1"}
    with Upstream(tls=True) as upstream:
        environ["SCENEXT_API_BASE_URL"] = f"{upstream.url}/hold"
        with _gevent(site, environ) as at, ThreadPoolExecutor(MANY) as pool:
            calls = [pool.submit(_query, at.port) for _ in range(MANY)]
            try:
                held = sum(takewhile(bool, (upstream.arrived.acquire(timeout=5) for _ in range(MANY))))
                started = time.monotonic()
                listed = Talk("modern", at.port).ask("tools/list", {})
                seconds = time.monotonic() - started
            finally:
                upstream.let_go.set()
            failed = [result for call in calls if (result := call.result())["isError"]]
    with slow_scenext(site) as (scenext, variables), _gevent(site, variables) as at:
        charged = charged_once(scenext, at)
    _assert_refused_without_its_file(site)
    assert not failed, failed[0]["content"][0]["text"]
    assert held == MANY, f"only {held} of {MANY} calls waited at the same time"
    assert listed.status == 200, listed.status
    assert seconds < PROMPT, f"tools/list took {seconds:.1f} s beside them"
    return f"{MANY} HTTPS calls wait in one process; {very_many}; {found}; {charged}"


def _assert_refused_without_its_file(site: Site) -> None:
    printed = ""
    try:
        site.run("timeout 20 .venv/bin/gunicorn --worker-class gevent --bind 127.0.0.1:0 wsgi:app")
    except RuntimeError as error:
        printed = str(error)
    assert "preload_app must be False" in printed, f"gevent with a preloaded application is not refused {printed}"


def _query(port: int) -> Any:
    return Talk("modern", port).call("query_video_status", {"task_id": "12345"})


@contextmanager
def _gevent(site: Site, environ: dict[str, str]) -> Iterator[Address]:
    site.prepare(site.pages.commands(PAGE, "A server of your own"))
    install, command = site.pages.commands(PAGE, "Very many slow calls")
    site.prepare([install])
    site.write("gunicorn.gevent.py", site.pages.file(PAGE, "gunicorn.gevent.py"))
    at = ports()
    variables = {"GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{at.app}", **environ}
    with site.running(command, f"gevent-{at.app}", variables) as running:
        wait_until_healthy(at.app, "", running)
        yield Address(at.app, running)


@contextmanager
def waitress(site: Site) -> Iterator[Address]:
    """Run waitress with the page's file."""
    site.prepare(site.pages.commands(PAGE, "A server of your own"))
    install, command = site.pages.commands(PAGE, "waitress")
    site.prepare([install])
    with _waitress(site, command) as address:
        yield address


@contextmanager
def _waitress(site: Site, command: str, variables: dict[str, str] | None = None) -> Iterator[Address]:
    at = ports()
    site.write("serve.py", site.local(site.pages.file(PAGE, "serve.py"), at))
    with site.running(command, f"waitress-{at.app}", variables) as running:
        wait_until_healthy(at.app, "", running)
        yield Address(at.app, running)


def waitress_waits(site: Site, address: Address) -> str:
    """Check waiting calls: progress, disconnects and stop. Then check equal calls to two services."""
    found = f"{waits.progress(address)}; {waits.leaving(site, address)}; {waits.stop(address)}"
    command = without_sandbox(site.pages.commands(PAGE, "waitress")[1])
    with (
        slow_scenext(site) as (upstream, environ),
        _waitress(site, command, environ) as one,
        _waitress(site, command, environ) as two,
    ):
        return f"{found}; {charged_once(upstream, one, two)}"


HOSTS = (
    Host(
        "gunicorn behind nginx, at the root and under a sub-path", PAGE, behind_nginx, check=kept_connections_and_waits
    ),
    Host("Elastic Beanstalk's way: the Procfile's command behind nginx", PLATFORMS, beanstalk),
    Host("gunicorn's gevent worker", PAGE, gevent, check=many_slow_calls),
    Host("waitress", PAGE, waitress, check=waitress_waits),
)
