"""The application factory: the wiring of all parts."""

import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from flask import Blueprint
from requests.adapters import BaseAdapter

from . import __version__, mcp
from .config import Config, from_env, startup_fields, thread_shares, thread_warnings, warnings
from .mcp.gate import Gate
from .mcp.http import Report
from .scenext.client import Scenext
from .scenext.sandbox.adapter import Sandbox
from .scenext.sandbox.jobs import MEDIA_PATH, find_media
from .server import health, logs
from .server.application import Service
from .server.metrics import Metrics
from .tools import create_tools, instructions, title
from .tools.api_call import Credentials
from .tools.job_tasks import JobTasks
from .tools.repeats import RepeatWindow
from .tools.signed_in import KeyCheck, is_key_refused, signed_in_credentials
from .tools.started_jobs import StartedJobs
from .tools.waiting import SYSTEM_CLOCK, Clock, JobWaiter
from .web import card, media, page
from .web.media import address

log = logging.getLogger(__name__)


def create_app(config: Config | None = None, adapter: BaseAdapter | None = None, clock: Clock | None = None) -> Service:
    """Create the application. The configuration defaults to that of the environment.

    `adapter` replaces the Scenext client's HTTP transport, and `clock` that of waits and tasks. Raises
    environment.ConfigError.
    """
    config = config or from_env(os.environ)
    logs.configure(config.log_level, config.log_format)
    for warning in warnings(config):
        log.warning("%s", warning)
    app = Service(__name__)
    shares = thread_shares(config, None)
    app.startup_fields = startup_fields(config)
    metrics = Metrics(shares.slots) if config.metrics else None
    scenext = Scenext(
        config.api_base_url,
        timeout=config.timeout,
        slots=shares.slots,
        adapter=adapter or (Sandbox() if config.sandbox else None),
    )
    clock = clock or SYSTEM_CLOCK
    waiter = JobWaiter(config.max_wait, shares.waiting_calls, lambda: app.stopping, clock)
    if metrics is not None:
        scenext.on_slot_change, scenext.on_complete = metrics.on_slot_change, metrics.on_complete
        waiter.on_wait_change = metrics.on_wait_change
    app.on_threads = lambda threads: _divide(threads, config, app, scenext, waiter, metrics)
    parts = _Parts(config, scenext, waiter, clock, _repeats(config, waiter, clock))
    for blueprint in _endpoints(parts, logs.RequestLog(metrics).write):
        app.register_blueprint(blueprint)
    app.register_blueprint(health.create_blueprint(config.sandbox, metrics))
    app.register_blueprint(page.create_blueprint(_deployment(config)))
    app.register_blueprint(media.create_sample_blueprint())
    if config.sandbox:
        app.register_blueprint(media.create_sandbox_blueprint(MEDIA_PATH, find_media))
    return app


def _divide(
    threads: int, config: Config, app: Service, scenext: Scenext, waiter: JobWaiter, metrics: Metrics | None
) -> None:
    """Divide the threads of a process among calls, and apply the resulting limits."""
    for warning in thread_warnings(config, threads):
        log.warning("%s", warning)
    shares = thread_shares(config, threads)
    scenext.slots.limit, waiter.calls.limit = shares
    app.startup_fields = startup_fields(config, threads)
    if metrics is not None:
        metrics.slots = shares.slots


def _repeats(config: Config, waiter: JobWaiter, clock: Clock) -> RepeatWindow | None:
    """Return the repeat window, None if it is off. Warn if its memory cannot be used."""
    if not config.repeat_minutes:
        return None
    api = "sandbox" if config.sandbox else config.api_base_url
    repeats = RepeatWindow(StartedJobs(config.repeat_minutes * 60, clock.unix), waiter, api, config.timeout)
    repeats.check()
    waiter.started_at = repeats.started_at
    return repeats


class _Parts(NamedTuple):
    """The parts that all endpoints share."""

    config: Config
    scenext: Scenext
    waiter: JobWaiter
    clock: Clock
    repeats: RepeatWindow | None


def _endpoints(parts: _Parts, report: Report) -> Iterator[Blueprint]:
    """Create /mcp, unless that address is the one with sign-in, and the endpoint with sign-in if there is one.

    `report` is called with the record of each message.
    """
    config = parts.config
    anonymous = config.key_shared_with == "all"
    endpoint = partial(
        mcp.create_blueprint,
        origins=mcp.Origins(config.allowed_origins, own=_own_schemes(config)),
        bodies=mcp.BodyReader.with_budget(config.max_body, config.body_budget, anonymous=anonymous),
        report=report,
        max_wait=config.max_wait,
        address=address if config.sandbox else None,
    )
    if not config.sign_in_only:
        yield endpoint(_server(parts, Credentials(config.api_key, config.access_token)))
    if config.oauth_url is not None:
        yield from _sign_in(config.oauth_url, parts, endpoint)


def _sign_in(url: str, parts: _Parts, endpoint: Callable[..., Blueprint]) -> Iterator[Blueprint]:
    """Create the endpoint with sign-in at `url`, and the addresses of its sign-in."""
    # Imported here, because cryptography takes memory and is installed only if it is needed.
    from . import signin
    from .web.consent import ConsentPages

    config = parts.config
    sign_in = signin.SignIn(url, config.oauth_secret, config.oauth_redirects, parts.clock.unix)
    credentials = signed_in_credentials(config.api_key, config.access_token)
    there = sign_in.address
    gate = Gate(there.path, there.resource_metadata, sign_in.open_token, is_key_refused)
    yield endpoint(_server(parts, credentials, signed_in=True), gate=gate)
    pages = ConsentPages(there.origin, config.sandbox, accepts_token=config.key_shared_with == "token")
    yield signin.create_blueprint(sign_in, pages, KeyCheck(parts.scenext, credentials))


def _server(parts: _Parts, keys: Credentials, *, signed_in: bool = False) -> mcp.Server:
    config, scenext, waiter, clock, repeats = parts
    on_failed = (lambda job: None) if repeats is None else repeats.forget_failed
    tasks = JobTasks(scenext, keys, on_failed, sandbox=config.sandbox, clock=clock) if config.tasks else None
    view = mcp.html_view(card.URI, "job", card.TITLE, card.html(), config.media_origins)
    return mcp.Server(
        info={"name": "scenext_service", "title": title(config.sandbox), "version": __version__},
        instructions=instructions(config.max_wait, config.sandbox, signed_in=signed_in),
        tools=create_tools(
            scenext,
            keys,
            config.default_quality,
            waiter,
            card.URI,
            repeats,
            config.sandbox,
            tasks,
            signed_in=signed_in,
        ),
        resources=[view],
        icons={"icons": [page.icon()]},
        tasks=tasks,
    )


def _deployment(config: Config) -> page.Deployment:
    """Describe this deployment for the page."""
    return page.Deployment(
        config.sandbox,
        config.key_shared_with,
        config.max_wait,
        config.media_origins,
        config.sample_video,
        config.repeat_minutes > 0,
        config.oauth_url,
        sign_in_only=config.sign_in_only,
    )


def _own_schemes(config: Config) -> tuple[str, ...]:
    """Return the schemes under which pages of the server's own host name may call.

    Over plain HTTP, a page on a name that an attacker points at this server looks like the server's own (DNS
    rebinding). Such a page may call if it must bring its own key, but not if it could spend a key that is shared with
    all callers.
    """
    if not config.public:
        return ()
    return ("https",) if config.key_shared_with == "all" else ("https", "http")
