"""`--check`: what the settings mean, and whether the way to Scenext works with the key that is set.

It asks for the status of a job that does not exist, which costs nothing. A key is never printed.
"""

import sys
import time
from collections.abc import Mapping

from requests.adapters import BaseAdapter

from . import factory
from .config import Config, from_env
from .environment import or_exit
from .scenext import failures
from .scenext.auth import PLACEHOLDER
from .scenext.client import Scenext
from .scenext.sandbox import Sandbox
from .tools.failure_texts import what_happened

TASK_ID = "0"  # of no job
MADE_UP = "made-up-by-scenext-service"  # what is sent where no key is set

# What Scenext says of a job that does not exist, once it has taken the key.
_TAKEN = (failures.NotFound, failures.Rejected, failures.RateLimited, failures.UnexpectedStatus)


def check(environ: Mapping[str, str]) -> int:
    """Print what the settings mean and what came of the call; return the exit status. Exits where a setting is bad."""
    from .serving import settings  # it exits too

    caps = dict(pair.split("=", 1) for pair in settings.raw_env)
    with or_exit():
        config = from_env({**environ, **caps})
    gunicorn = {
        "endpoint": f"http://{settings.bind}/mcp",
        "workers": settings.workers,
        "threads": settings.threads,
        "gunicorn": "GUNICORN_CMD_ARGS may say otherwise" if environ.get("GUNICORN_CMD_ARGS") else None,
    }
    for name, value in {**factory.about(config), **gunicorn}.items():
        if value:
            sys.stdout.write(f"{name:<14} {value}\n")
    for warning in factory.warnings(config):
        sys.stdout.write(f"warning        {warning}\n")
    works, said = ask(config)
    sys.stdout.write(f"{'works' if works else 'FAILS':<14} {said}\n")
    return 0 if works else 1


def ask(config: Config, adapter: BaseAdapter | None = None) -> tuple[bool, str]:
    """Ask for the job; return whether the way there works, and a sentence on what came of it.

    Each refusal of Scenext's has a message; a page of another server has none.
    """
    lent = None if config.api_key == PLACEHOLDER else config.api_key
    adapter = adapter or (Sandbox() if config.sandbox else None)
    scenext = Scenext(config.api_base_url, timeout=config.timeout, slots=1, adapter=adapter)
    begun = time.monotonic()
    failure = None
    try:
        scenext.get_status(TASK_ID, lent or MADE_UP, begun)
    except failures.ScenextError as error:
        failure = error
    refused = isinstance(failure, failures.KeyRefused)
    if failure and (refused or isinstance(failure, _TAKEN)) and not failure.detail:
        return False, f"HTTP {failure.status} without a message is not Scenext's: is SCENEXT_API_BASE_URL right?"
    if failure and not isinstance(failure, _TAKEN) and not (refused and not lent):
        on_the_way = f" The proxy {config.proxy} is on the way." if config.proxy else ""
        why = f" ({failure.reason})" if isinstance(failure, failures.OUTAGES) else ""
        return False, what_happened(failure) + why + on_the_way
    there = "the sandbox" if config.sandbox else "Scenext"
    said = f"{there} answered in {time.monotonic() - begun:.1f} s"
    if lent:
        return True, f"{said}, and took the key of SCENEXT_API_KEY"
    return True, f"{said}{', and refused a key that was made up' if refused else ''}; no key is lent"
