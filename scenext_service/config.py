"""The configuration: read once from the environment, and never changed.

The README's table lists the variables; a test compares it with this module.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from urllib.parse import urlsplit

from .environment import ConfigError, Environment
from .scenext import network
from .scenext.auth import MIN_SECRET, PLACEHOLDER, is_key
from .scenext.client import QUALITIES

__all__ = ["Config", "ConfigError", "from_env"]

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS = ("logfmt", "json")

# Seconds. Below gunicorn's graceful_timeout, so that a restart lets every call end, and below the 30 s to the first
# byte that platforms allow.
MAX_TIMEOUT = 24.0

MAX_WAIT = 900  # seconds; no client is known that waits longer for one call

# An origin as a Content-Security-Policy takes it, `https://*.example.com` among them. Its syntax has no IPv6 address.
_SOURCE = re.compile(r"https?://(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*(?::[0-9]{1,5})?", re.IGNORECASE)

PREFIX = "SCENEXT_"
VARIABLES = (
    "SCENEXT_API_BASE_URL",
    "SCENEXT_API_KEY",
    "SCENEXT_ACCESS_TOKEN",
    "SCENEXT_DEFAULT_QUALITY",
    "SCENEXT_LOG_LEVEL",
    "SCENEXT_LOG_FORMAT",
    "SCENEXT_ALLOWED_ORIGINS",
    "SCENEXT_MEDIA_ORIGINS",
    "SCENEXT_TIMEOUT",
    "SCENEXT_UPSTREAM_SLOTS",
    "SCENEXT_MAX_WAIT",
    "SCENEXT_WAITING_CALLS",
    "SCENEXT_SANDBOX",
    "SCENEXT_METRICS",
)

# What Kubernetes sets for a Service that is called `scenext`, or begins so: SCENEXT_PORT is then `tcp://10.0.0.11:80`.
# Source: its manual, "Accessing the Service", "Environment Variables".
_KUBERNETES = re.compile(r"\w+_SERVICE_(HOST|PORT(_\w+)?)=.*|\w+_PORT(_\d+_[A-Z]+)?=[a-z]+://.*|\w+_PORT_\d+_[A-Z]+_.*")


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
    proxy: str | None = None  # that calls of the API go through: `host:port (VARIABLE)`
    unknown: tuple[str, ...] = ()  # variables that begin as ours do, and mean nothing
    max_body: int = 8 * 1024 * 1024  # bytes of a request; images travel in `gen_video` as Base64


def from_env(environ: Mapping[str, str]) -> Config:
    """Read the configuration from environment variables; blank means unset. Raises ConfigError."""
    env = Environment(environ)
    default = Config()
    base_url = _base_url(env, default.api_base_url)
    sandbox = env.switch("SCENEXT_SANDBOX")
    return Config(
        api_base_url=base_url,
        api_key=_lent_key(env),
        access_token=_secret(env, "SCENEXT_ACCESS_TOKEN"),
        default_quality=env.choice("SCENEXT_DEFAULT_QUALITY", QUALITIES, default.default_quality),
        log_level=env.choice("SCENEXT_LOG_LEVEL", LOG_LEVELS, default.log_level),
        log_format=env.choice("SCENEXT_LOG_FORMAT", LOG_FORMATS, default.log_format),
        allowed_origins=_origins(env),
        media_origins=_media_origins(env, default.media_origins),
        timeout=env.seconds("SCENEXT_TIMEOUT", default.timeout, MAX_TIMEOUT),
        upstream_slots=env.whole("SCENEXT_UPSTREAM_SLOTS", default.upstream_slots, 1, 10_000),
        max_wait=env.whole("SCENEXT_MAX_WAIT", default.max_wait, 0, MAX_WAIT),
        waiting_calls=env.whole("SCENEXT_WAITING_CALLS", default.waiting_calls, 1, 10_000),
        sandbox=sandbox,
        metrics=_metrics(env),
        public="PORT" in env,
        proxy=None if sandbox else _way_out(base_url, environ),
        unknown=_unknown(environ),
    )


def _way_out(base_url: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy in use, once it is sure that it and the trusted certificates can be used."""
    try:
        network.check_certificates(base_url, environ)
        found = network.proxy(base_url, environ)
    except network.Unusable as error:
        raise ConfigError(str(error)) from None
    return None if found is None else f"{found.address} ({found.variable})"


def _unknown(environ: Mapping[str, str]) -> tuple[str, ...]:
    given = {name: value for name, value in environ.items() if name.startswith(PREFIX) and value.strip()}
    others = [name for name, value in given.items() if not _KUBERNETES.fullmatch(f"{name}={value}")]
    return tuple(sorted(set(others) - set(VARIABLES)))


def _metrics(env: Environment) -> bool:
    wanted = env.switch("SCENEXT_METRICS")
    if wanted and find_spec("prometheus_client") is None:
        raise ConfigError("SCENEXT_METRICS needs prometheus-client: install the `metrics` extra")
    return wanted


def _secret(env: Environment, name: str) -> str | None:
    given = env.text(name)
    if given is None or is_key(given):
        return given
    raise ConfigError(f"{name} must be a single word of printable ASCII without commas")  # never print a secret


def _lent_key(env: Environment) -> str | None:
    given = _secret(env, "SCENEXT_API_KEY")
    if given is None or given == PLACEHOLDER or len(given) >= MIN_SECRET:
        return given
    # A shorter one cannot be redacted: it may occur in a response by chance.
    raise ConfigError(f"SCENEXT_API_KEY must have at least {MIN_SECRET} characters")


def _base_url(env: Environment, default: str) -> str:
    given = env.text("SCENEXT_API_BASE_URL") or default
    try:
        parts = urlsplit(given)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and given.isascii()
    except ValueError:
        valid = False
    if not valid or "@" in parts.netloc or any(char.isspace() or char in "?#" for char in given):
        raise ConfigError("SCENEXT_API_BASE_URL must be an http or https URL without user, query and fragment")
    return given.rstrip("/")


def _origins(env: Environment) -> frozenset[str]:
    origins = (env.text("SCENEXT_ALLOWED_ORIGINS") or "").replace(",", " ").split()
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


def _media_origins(env: Environment, default: frozenset[str]) -> frozenset[str]:
    origins = (env.text("SCENEXT_MEDIA_ORIGINS") or "").replace(",", " ").split()
    for origin in origins:
        if not _SOURCE.fullmatch(origin):
            raise ConfigError(
                "SCENEXT_MEDIA_ORIGINS must list whole origins, as https://oss.example.com or https://*.example.com;"
                f" {origin!r} is none"
            )
    return frozenset(origins) or default
