"""The configuration: read once from the environment, and never changed.

The README's table lists the variables; a test compares it with this module.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from urllib.parse import urlsplit

from .scenext.auth import MIN_SECRET, PLACEHOLDER, is_key
from .scenext.client import QUALITIES

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS = ("logfmt", "json")

# Seconds. Below gunicorn's graceful_timeout, so that a restart lets every call end, and below the 30 s to the first
# byte that platforms allow.
MAX_TIMEOUT = 24.0

MAX_WAIT = 900  # seconds; no client is known that waits longer for one call

# An origin as a Content-Security-Policy takes it, `https://*.example.com` among them. Its syntax has no IPv6 address.
_SOURCE = re.compile(r"https?://(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*(?::[0-9]{1,5})?", re.IGNORECASE)

_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class ConfigError(Exception):
    """A variable that this service cannot start with; the message names it and says what is wanted."""


@dataclass(frozen=True, slots=True)
class Config:
    """What an operator can decide. `repr` hides the secrets."""

    api_base_url: str = "https://api.scenext.cn/api"
    api_key: str | None = field(default=None, repr=False)  # the operator's, for callers who bring none
    access_token: str | None = field(default=None, repr=False)  # what a caller must present to use it
    default_quality: str = "m"
    log_level: str = "INFO"
    log_format: str = "logfmt"
    allowed_origins: frozenset[str] = frozenset()  # whole origins, or "*"
    media_origins: frozenset[str] = frozenset({"https://*.scenext.cn"})  # of frames and films
    timeout: float = 20.0  # seconds, for one call of the API from connect to the last byte
    upstream_slots: int = 120  # calls of the API at the same time, in one process
    max_wait: int = 50  # seconds that a call may wait for a job to end; 0 is not at all
    waiting_calls: int = 60  # calls that do so at the same time, in one process
    sandbox: bool = False
    metrics: bool = False
    public: bool = False  # reached by others than this machine: a platform set PORT
    max_body: int = 8 * 1024 * 1024  # bytes of a request; images travel in `gen_video` as Base64


def from_env(environ: Mapping[str, str]) -> Config:
    """Read the configuration from environment variables; blank means unset. Raises ConfigError."""
    env = {name: value.strip() for name, value in environ.items() if value.strip()}
    default = Config()
    return Config(
        api_base_url=_base_url(env, default.api_base_url),
        api_key=_lent_key(env),
        access_token=_secret(env, "SCENEXT_ACCESS_TOKEN"),
        default_quality=_choice(env, "SCENEXT_DEFAULT_QUALITY", QUALITIES, default.default_quality),
        log_level=_choice(env, "SCENEXT_LOG_LEVEL", LOG_LEVELS, default.log_level),
        log_format=_choice(env, "SCENEXT_LOG_FORMAT", LOG_FORMATS, default.log_format),
        allowed_origins=_origins(env),
        media_origins=_media_origins(env, default.media_origins),
        timeout=_seconds(env, "SCENEXT_TIMEOUT", default.timeout, MAX_TIMEOUT),
        upstream_slots=_whole(env, "SCENEXT_UPSTREAM_SLOTS", default.upstream_slots, 1, 10_000),
        max_wait=_whole(env, "SCENEXT_MAX_WAIT", default.max_wait, 0, MAX_WAIT),
        waiting_calls=_whole(env, "SCENEXT_WAITING_CALLS", default.waiting_calls, 1, 10_000),
        sandbox=_switch(env, "SCENEXT_SANDBOX"),
        metrics=_metrics(env),
        public="PORT" in env,
    )


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...], default: str) -> str:
    given = env.get(name, default)
    for choice in choices:
        if given.lower() == choice.lower():
            return choice
    raise ConfigError(f"{name} must be one of {', '.join(choices)}; it is {given!r}")


def _seconds(env: Mapping[str, str], name: str, default: float, most: float) -> float:
    given = env.get(name)
    if given is None:
        return default
    try:
        number = float(given)
    except ValueError:
        number = -1
    if 0 < number <= most:  # NaN fails this comparison
        return number
    raise ConfigError(f"{name} must be a number of seconds above 0 and at most {most:g}; it is {given!r}")


def _whole(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    given = env.get(name)
    if given is None:
        return default
    try:
        number = int(given)
    except ValueError:
        number = -1
    if least <= number <= most:
        return number
    raise ConfigError(f"{name} must be a whole number from {least} to {most}; it is {given!r}")


def _switch(env: Mapping[str, str], name: str) -> bool:
    given = env.get(name, "0")
    try:
        return _SWITCH[given.lower()]
    except KeyError:
        raise ConfigError(f"{name} must be 1 or 0; it is {given!r}") from None


def _metrics(env: Mapping[str, str]) -> bool:
    wanted = _switch(env, "SCENEXT_METRICS")
    if wanted and find_spec("prometheus_client") is None:
        raise ConfigError("SCENEXT_METRICS needs prometheus-client: install the `metrics` extra")
    return wanted


def _secret(env: Mapping[str, str], name: str) -> str | None:
    given = env.get(name)
    if given is None or is_key(given):
        return given
    raise ConfigError(f"{name} must be a single word of printable ASCII without commas")  # never print a secret


def _lent_key(env: Mapping[str, str]) -> str | None:
    given = _secret(env, "SCENEXT_API_KEY")
    if given is None or given == PLACEHOLDER or len(given) >= MIN_SECRET:
        return given
    # A shorter one cannot be redacted: it may occur in a response by chance.
    raise ConfigError(f"SCENEXT_API_KEY must have at least {MIN_SECRET} characters")


def _base_url(env: Mapping[str, str], default: str) -> str:
    given = env.get("SCENEXT_API_BASE_URL", default)
    try:
        parts = urlsplit(given)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and given.isascii()
    except ValueError:
        valid = False
    if not valid or "@" in parts.netloc or any(char.isspace() or char in "?#" for char in given):
        raise ConfigError("SCENEXT_API_BASE_URL must be an http or https URL without user, query and fragment")
    return given.rstrip("/")


def _origins(env: Mapping[str, str]) -> frozenset[str]:
    origins = env.get("SCENEXT_ALLOWED_ORIGINS", "").replace(",", " ").split()
    for origin in origins:
        try:
            parts = urlsplit(origin)
            whole = origin == "*" or (parts.netloc and origin == f"{parts.scheme}://{parts.netloc}")
        except ValueError:
            whole = False
        if not whole:
            raise ConfigError(
                "SCENEXT_ALLOWED_ORIGINS must list whole origins, as https://app.example.com, or be *;"
                f" {origin!r} is none"
            )
    return frozenset(origins)


def _media_origins(env: Mapping[str, str], default: frozenset[str]) -> frozenset[str]:
    origins = env.get("SCENEXT_MEDIA_ORIGINS", "").replace(",", " ").split()
    for origin in origins:
        if not _SOURCE.fullmatch(origin):
            raise ConfigError(
                "SCENEXT_MEDIA_ORIGINS must list whole origins, as https://oss.example.com or https://*.example.com;"
                f" {origin!r} is none"
            )
    return frozenset(origins) or default
