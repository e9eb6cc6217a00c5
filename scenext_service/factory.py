"""The factory: it wires all, and it alone knows the configuration."""

import difflib
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

from requests.adapters import BaseAdapter

from . import mcp
from .config import PREFIX, VARIABLES, Config, from_env
from .scenext.auth import PLACEHOLDER
from .scenext.client import Scenext
from .scenext.sandbox import Sandbox
from .scenext.sandbox_jobs import PATHS, leads_to
from .serving import health, leaving, logs
from .serving.address import address
from .serving.application import Service, noted
from .serving.metrics import Metrics
from .tools import instructions, title, tools
from .tools.credentials import Credentials
from .tools.waiting import Waits
from .version import VERSION
from .views import card, media, page

log = logging.getLogger(__name__)


def create_app(config: Config | None = None, adapter: BaseAdapter | None = None) -> Service:
    """Make the application; the configuration comes from the environment where it is left out.

    `adapter` replaces the transport under the Scenext client. Raises environment.ConfigError.
    """
    config = config or from_env(os.environ)
    logs.configure(config.log_level, config.log_format)
    for warning in warnings(config):
        log.warning("%s", warning)
    app = Service(__name__)
    app.about = about(config)
    metrics = Metrics(config.upstream_slots) if config.metrics else None
    scenext = Scenext(
        config.api_base_url,
        timeout=config.timeout,
        slots=config.upstream_slots,
        adapter=adapter or (Sandbox() if config.sandbox else None),
        in_use=metrics.occupy if metrics else _nobody_counts,
        took=metrics.took if metrics else _nobody_counts,
    )
    counted = metrics.wait if metrics else _nobody_counts
    waits = Waits(config.max_wait, config.waiting_calls, stopping=lambda: app.stopping, in_use=counted)
    keys = Credentials(config.api_key, config.access_token)
    server = _server(config, tools(scenext, keys, config.default_quality, waits, card.URI, config.sandbox))

    origins = mcp.Origins(config.allowed_origins, own=config.public)
    report, reached = _reporter(metrics), address if config.sandbox else None
    app.register_blueprint(
        mcp.create_blueprint(server, origins, config.max_body, report, config.max_wait, leaving.left, reached)
    )
    app.register_blueprint(health.create_blueprint(config.sandbox, metrics))
    app.register_blueprint(page.create_blueprint(_facts(config), noted))
    if config.sandbox:
        app.register_blueprint(media.create_blueprint(PATHS, leads_to, noted))
    return app


def _reporter(metrics: Metrics | None) -> Callable[[mcp.Record], None]:
    """Make what writes the line of a message, and counts it."""

    def report(record: mcp.Record) -> None:
        level = logging.WARNING if record.reason else logging.INFO
        if metrics is None and not logs.wanted(level):
            return
        fields = record.fields()
        logs.write_request(fields, level)
        if metrics is not None:
            metrics.observe(fields)

    return report


def _server(config: Config, its_tools: list[mcp.Tool]) -> mcp.Server:
    view = mcp.apps.view(card.URI, "job", card.TITLE, card.html(), config.media_origins)
    return mcp.Server(
        info={"name": "scenext_service", "title": title(config.sandbox), "version": VERSION},
        instructions=instructions(config.max_wait, config.sandbox),
        tools=mcp.Registry(its_tools),
        resources=mcp.Resources([view]),
        extensions={mcp.apps.EXTENSION: {}},
        icons={"icons": [page.icon()]},
    )


def _facts(config: Config) -> page.Facts:
    """Return what people are told of this deployment."""
    return page.Facts(config.sandbox, _lent_to(config), config.max_wait, config.media_origins)


def about(config: Config) -> dict[str, Any]:
    """Return what an operator is told of this deployment: `docs/operating.md` says what each field holds."""
    return {
        "version": VERSION,
        "api": "sandbox" if config.sandbox else config.api_base_url,
        "proxy": config.proxy,
        "endpoint": "/mcp",
        "workers": None,  # the server knows
        "threads": None,
        "slots": config.upstream_slots,
        "waiting_calls": config.waiting_calls,
        "timeout": f"{config.timeout:g}",
        "max_wait": config.max_wait,
        "key": _KEYS[_lent_to(config)],
        "metrics": "on" if config.metrics else "off",
    }


_KEYS = {"none": "callers bring theirs", "all": "lent to all", "token": "lent to holders of the token"}


def _lent_to(config: Config) -> str:
    """Return who is lent the operator's key: `none`, `all`, or those who present the `token`."""
    if config.api_key in (None, PLACEHOLDER):
        return "none"
    return "token" if config.access_token else "all"


def _nobody_counts(*what: object) -> None:
    """Do nothing: the operator asked for no metrics."""


def _meant(unknown: str) -> str:
    """Ask for the variable with the nearest name, if one is near; what all names begin with says nothing."""
    names = [name.removeprefix(PREFIX) for name in VARIABLES]
    nearest = difflib.get_close_matches(unknown.removeprefix(PREFIX), names, 1, cutoff=0.5)
    return f"; did you mean {PREFIX}{nearest[0]}?" if nearest else ""


def warnings(config: Config) -> Iterator[str]:
    """Yield a line for each setting that could surprise the operator."""
    for name in config.unknown:
        yield f"unknown variable {name} has no effect{_meant(name)}"
    if config.sandbox:
        yield "SCENEXT_SANDBOX is on: no call reaches Scenext, jobs and videos are made up"
    if config.api_key == PLACEHOLDER:
        yield "SCENEXT_API_KEY is the placeholder of the documentation and counts as none"
    elif config.api_key is None:
        if config.access_token:
            yield "SCENEXT_ACCESS_TOKEN has no effect: there is no SCENEXT_API_KEY to lend"
    elif config.access_token:
        yield "SCENEXT_API_KEY is lent to every caller who presents SCENEXT_ACCESS_TOKEN"
    else:
        yield (
            "SCENEXT_API_KEY is lent to every caller who brings no key: whoever reaches this server spends its points;"
            " set SCENEXT_ACCESS_TOKEN to ask for a token"
        )
