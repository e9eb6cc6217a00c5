"""`--check`: print the effective settings, and test the connection to Scenext with the configured key.

The test queries the status of a job that does not exist, which costs nothing. Keys are never printed.
"""

import sys
import time
from collections.abc import Mapping

from requests.adapters import BaseAdapter

from .config import VARIABLES, Config, from_env, startup_fields, thread_warnings, warnings
from .environment import exit_on_config_error, is_set
from .scenext import failures
from .scenext.client import Scenext
from .scenext.keys import is_placeholder
from .scenext.sandbox.adapter import Sandbox
from .tools.failure_texts import what_happened

TASK_ID = "0"  # matches no job
SAMPLE_KEY = "sample-key-of-scenext-service-check"  # sent if no key is set

# Scenext's responses about a job that does not exist, if it accepts the key.
_KEY_ACCEPTED = (failures.NotFound, failures.Rejected, failures.RateLimited, failures.UnexpectedStatus)


def check(environ: Mapping[str, str]) -> int:
    """Print the settings and the result of the connection test. Return the exit status: 0 if it succeeded, otherwise 1.

    Exits if a setting is invalid.
    """
    from .server.gunicorn import settings  # exits too if a setting is invalid

    with exit_on_config_error():
        config = from_env(environ)
    gunicorn: dict[str, object] = {
        "variables": " ".join(name for name in VARIABLES if is_set(environ, name)),
        "endpoint": " ".join(f"http://{address}/mcp" for address in settings.bind),
        "workers": settings.workers,
        "threads": settings.threads,
    }
    if environ.get("GUNICORN_CMD_ARGS"):
        gunicorn["gunicorn"] = "GUNICORN_CMD_ARGS is set and may override these values"
    for name, value in {**startup_fields(config, settings.threads), **gunicorn}.items():
        if value:
            _print_line(name, value)
    for warning in (*warnings(config), *thread_warnings(config, settings.threads)):
        _print_line("warning", warning)
    succeeded, message = try_connection(config)
    _print_line("ok" if succeeded else "FAILED", message)
    return 0 if succeeded else 1


def _print_line(label: str, value: object) -> None:
    sys.stdout.write(f"{label:<14} {value}\n")


def try_connection(config: Config, adapter: BaseAdapter | None = None) -> tuple[bool, str]:
    """Query the job. Return whether the connection works, and a message about the result.

    Responses from Scenext contain a message. A response without one comes from another server.
    """
    shared_key = None if is_placeholder(config.api_key or "") else config.api_key
    adapter = adapter or (Sandbox() if config.sandbox else None)
    scenext = Scenext(config.api_base_url, timeout=config.timeout, slots=1, adapter=adapter)
    started = time.monotonic()
    failure = None
    try:
        scenext.get_status(TASK_ID, shared_key or SAMPLE_KEY, started)
    except failures.ScenextError as error:
        failure = error
    key_rejected = isinstance(failure, failures.KeyRefused)
    if isinstance(failure, (failures.RateLimited, failures.UnexpectedStatus)) and not failure.detail:
        return False, f"HTTP {failure.status} without a message is not from Scenext. Check SCENEXT_API_BASE_URL."
    if failure and not isinstance(failure, _KEY_ACCEPTED) and not (key_rejected and not shared_key):
        return False, _failure_message(failure, config)
    responded = f"{'The sandbox' if config.sandbox else 'Scenext'} responded in {time.monotonic() - started:.1f} s"
    if shared_key:
        return True, f"{responded} and accepted SCENEXT_API_KEY."
    return True, f"{responded}{' and rejected the sample key, as expected' if key_rejected else ''}. No key is shared."


def _failure_message(failure: failures.ScenextError, config: Config) -> str:
    """Return what happened, the cause, and the proxy that the request went through."""
    message = what_happened(failure)
    if isinstance(failure, failures.ForeignResponse):
        message += " Check SCENEXT_API_BASE_URL."
    elif isinstance(failure, failures.OUTAGES):
        message += f" ({failure.reason})"
    return f"{message} The request went through the proxy {config.proxy}." if config.proxy else message
