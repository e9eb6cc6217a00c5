"""The configuration: read once from the environment, then immutable.

To add a setting, add a field to `Config` with `setting`. The variable's name, its parsing, the warning about unknown
variables and `--check` follow from that declaration. A test compares docs/configuration.md with it.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.util import find_spec
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from . import __version__
from .environment import ConfigError, InvalidValue, boolean, integer, is_set, one_of, read, seconds
from .scenext.client import QUALITIES
from .scenext.keys import MIN_SECRET, is_key, is_placeholder
from .scenext.transport import proxies
from .server.capacity import Shares, divide, threads_for_calls

__all__ = ["Config", "ConfigError", "from_env"]

T = TypeVar("T")

PREFIX = "SCENEXT_"  # of the variables

# Seconds. Below gunicorn's graceful_timeout, so that every call ends before a restart, and below the 30 s to the first
# byte that platforms allow.
MAX_TIMEOUT = 24.0

MAX_WAIT = 900  # seconds; no known client waits longer for one call

# Minutes.
DEFAULT_REPEAT_WINDOW, MAX_REPEAT_WINDOW = 30, 24 * 60

DEFAULT_MEDIA_ORIGINS = frozenset({"https://*.scenext.cn"})

# An origin in the syntax of Content-Security-Policy, which allows `https://*.example.com` but no IPv6 addresses.
_MEDIA_ORIGIN = re.compile(r"https?://(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*(?::[0-9]{1,5})?", re.IGNORECASE)

# An https URL with such an origin, without `*` and user, in characters that need no escape in HTML.
_VIDEO_URL = re.compile(r"https://[a-z0-9_-]+(?:\.[a-z0-9_-]+)*(?::[0-9]{1,5})?/[!#-%&(-;=?-~]{1,1900}", re.IGNORECASE)

# Placeholder tokens from examples: YOUR_TOKEN, change-me, and the like.
_PLACEHOLDER_TOKEN = re.compile(r"(?:your[-_]|change[-_]?(?:me|this)|replace[-_]?(?:me|this)|placeholder).*", re.I)

# Variables that Kubernetes sets for a Service with a name like `scenext` or `scenext-…`. SCENEXT_PORT is then
# `tcp://10.0.0.11:80`. Source: the Kubernetes manual, "Accessing the Service", "Environment Variables".
_KUBERNETES = re.compile(r"\w+_SERVICE_(HOST|PORT(_\w+)?)=.*|\w+_PORT(_\d+_[A-Z]+)?=[a-z]+://.*|\w+_PORT_\d+_[A-Z]+_.*")


def _base_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and text.isascii()
    except ValueError:
        valid = False
    if not valid or "@" in parts.netloc or any(char.isspace() or char in "?#" for char in text):
        raise InvalidValue(
            "the value is not a valid base URL. Use an http or https URL without user, query and fragment, for example"
            " https://api.scenext.cn/api."
        )
    return text.rstrip("/")


def _api_key(text: str) -> str:
    return text if is_placeholder(text) else _secret(text)


def _access_token(text: str) -> str:
    if is_placeholder(text) or _PLACEHOLDER_TOKEN.fullmatch(text):
        raise InvalidValue(f"the value is a placeholder. Use a random token of at least {MIN_SECRET} characters.")
    return _secret(text)


def _secret(text: str) -> str:
    """Return a key or a token. The error never quotes it."""
    if not is_key(text):
        raise InvalidValue(
            "the value contains a space, a comma or a character outside printable ASCII. Use a single word."
        )
    if len(text) < MIN_SECRET:
        # A shorter key may occur in a response by chance, so it cannot be redacted. A shorter token can be guessed.
        raise InvalidValue(f"the value has fewer than {MIN_SECRET} characters. Use a longer one.")
    return text


def _origins(text: str) -> frozenset[str]:
    origins = text.replace(",", " ").split()
    for origin in origins:
        try:
            parts = urlsplit(origin)
            valid = origin == "*" or (parts.netloc and origin == f"{parts.scheme}://{parts.netloc}")
        except ValueError:
            valid = False
        if not valid:
            raise InvalidValue(
                f"{origin!r} is not an origin. Use scheme and host, for example https://app.example.com."
            )
    return frozenset(origins)


def _media_origins(text: str) -> frozenset[str]:
    origins = text.replace(",", " ").split()
    for origin in origins:
        if not _MEDIA_ORIGIN.fullmatch(origin):
            raise InvalidValue(
                f"{origin!r} is not an origin. Use scheme and host, for example https://oss.example.com or"
                " https://*.example.com."
            )
    return frozenset(origins) or DEFAULT_MEDIA_ORIGINS


def _video_url(text: str) -> str:
    if not _VIDEO_URL.fullmatch(text):
        raise InvalidValue(
            f"{text!r} is not the address of a video. Use an https URL, for example https://oss.example.com/sample.mp4."
        )
    return text


def _metrics(text: str) -> bool:
    enabled = boolean(text)
    if enabled and find_spec("prometheus_client") is None:
        raise InvalidValue("prometheus-client is not installed. Install the `metrics` extra.")
    return enabled


# The address of an endpoint with sign-in: scheme, host and port, and a path below /mcp. It is compared as text, so it
# has no other spelling: no capitals in the host, no default port, no slash at the end.
_OAUTH_URL = re.compile(
    r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?/mcp((?:/[A-Za-z0-9._~-]+){0,4})"
)
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_ADDRESSES_BELOW = ("register", "authorize", "token")  # of the sign-in, one segment below its own address

MIN_OAUTH_SECRET = 32  # characters


def _oauth_url(text: str) -> str:
    match = _OAUTH_URL.fullmatch(text)
    scheme, host, port, below = match.groups() if match else ("", "", None, "")
    segments = below.split("/")
    if (
        not (scheme == "https" or host in _LOOPBACK_HOSTS)
        or port == _DEFAULT_PORTS[scheme]
        or int(port or 0) > 65535
        or not {".", ".."}.isdisjoint(segments)
        or segments[-1] in _ADDRESSES_BELOW
    ):
        raise InvalidValue(
            f"{text!r} is not the address of an endpoint with sign-in. Use https, the public host in lower case without"
            " a default port, and /mcp or a path below it, for example https://scenext.example.com/mcp/signin."
        )
    if find_spec("cryptography") is None:
        raise InvalidValue("cryptography is not installed. Install the `oauth` extra.")
    return text


def _oauth_secrets(text: str) -> tuple[str, ...]:
    """Return the secrets. The error never quotes one."""
    secrets = tuple(text.replace(",", " ").split())
    for secret in secrets:
        if len(secret) < MIN_OAUTH_SECRET or not is_key(secret) or _PLACEHOLDER_TOKEN.fullmatch(secret):
            raise InvalidValue(
                f"a secret has fewer than {MIN_OAUTH_SECRET} characters, is a placeholder, or is not printable ASCII."
                " Use the output of `openssl rand -hex 32`."
            )
    return secrets


def _oauth_redirects(text: str) -> frozenset[str]:
    addresses = text.replace(",", " ").split()
    for address in addresses:
        try:
            parts = urlsplit(address)
            valid = parts.scheme == "https" and parts.hostname and parts.port != 0 and is_key(address)
        except ValueError:
            valid = False
        if not valid or "@" in parts.netloc or "#" in address or not address.startswith("https://"):
            raise InvalidValue(
                f"{address!r} is not an address to return to. Use a whole https URL without user and fragment, for"
                " example https://app.example.com/oauth/callback."
            )
    return frozenset(addresses)


def setting(default: T, parse: Callable[[str], T], *, secret: bool = False) -> T:
    """Declare a field of `Config`. Its variable is SCENEXT_ and the field's name in upper case.

    `parse` converts the variable's text and raises InvalidValue. `repr` omits a secret.
    """
    return field(default=default, repr=not secret, metadata={"parse": parse})


@dataclass(frozen=True, slots=True)
class Config:
    """The operator's settings. `repr` hides the secrets."""

    api_base_url: str = setting("https://api.scenext.cn/api", _base_url)
    api_key: str | None = setting(None, _api_key, secret=True)  # the operator's key, for callers without one
    access_token: str | None = setting(None, _access_token, secret=True)  # required to use the operator's key
    default_quality: str = setting("m", one_of(*QUALITIES))
    log_level: str = setting("INFO", one_of("DEBUG", "INFO", "WARNING", "ERROR"))
    log_format: str = setting("logfmt", one_of("logfmt", "json"))
    allowed_origins: frozenset[str] = setting(frozenset(), _origins)  # full origins, or "*"
    media_origins: frozenset[str] = setting(DEFAULT_MEDIA_ORIGINS, _media_origins)  # of frames and videos
    sample_video: str | None = setting(None, _video_url)  # for the page at /; None: the one of this package
    timeout: float = setting(20.0, seconds(MAX_TIMEOUT))  # seconds for one API call, from connect to the last byte
    upstream_slots: int | None = setting(None, integer(1, 10_000))  # concurrent API calls; None: depends on the threads
    max_wait: int = setting(50, integer(0, MAX_WAIT))  # seconds that a call may wait for a job; 0 disables waiting
    waiting_calls: int | None = setting(None, integer(1, 10_000))  # concurrent; None: depends on the threads
    tasks: bool = setting(True, boolean)  # whether clients that support tasks follow jobs as tasks
    repeat_window: int | None = setting(None, integer(0, MAX_REPEAT_WINDOW))  # minutes; None: see `repeat_minutes`
    sandbox: bool = setting(False, boolean)
    metrics: bool = setting(False, _metrics)
    oauth_url: str | None = setting(None, _oauth_url)  # the address of the endpoint with sign-in; None: there is none
    oauth_secret: tuple[str, ...] = setting((), _oauth_secrets, secret=True)  # the first seals, each opens
    oauth_redirects: frozenset[str] = setting(frozenset(), _oauth_redirects)  # whole addresses, besides the known ones

    # These fields have no variable of their own.
    public: bool = False  # reachable from other machines, because a platform set PORT
    proxy: str | None = None  # used for API calls: `host:port (VARIABLE)`
    unknown: tuple[str, ...] = ()  # variables with this service's prefix that it does not know
    max_body: int = 8 * 1024 * 1024  # bytes of a request body; `gen_video` carries images as Base64
    body_budget: int = 48 * 1024 * 1024  # bytes of all large request bodies that a process holds at once

    @property
    def key_shared_with(self) -> Literal["all", "token", "none"]:
        """The callers that may use the operator's key: `all`, those that send the access `token`, or `none`."""
        if self.api_key is None or is_placeholder(self.api_key):
            return "none"
        return "token" if self.access_token else "all"

    @property
    def sign_in_only(self) -> bool:
        """Whether /mcp itself is the endpoint with sign-in, so that no client can send its key in a header."""
        return self.oauth_url is not None and self.oauth_url.endswith("/mcp") and self.oauth_url.count("/") == 3

    @property
    def repeat_minutes(self) -> int:
        """Minutes in which an equal call of gen_video returns the first call's job; 0 if every call starts a job."""
        if self.repeat_window is not None:
            return self.repeat_window
        return 0 if self.sandbox else DEFAULT_REPEAT_WINDOW


VARIABLES = {PREFIX + declared.name.upper(): declared for declared in fields(Config) if declared.metadata}


def from_env(environ: Mapping[str, str]) -> Config:
    """Read the configuration from environment variables. A blank variable counts as unset. Raises ConfigError."""
    values: dict[str, Any] = {
        declared.name: read(environ, name, declared.metadata["parse"], declared.default)
        for name, declared in VARIABLES.items()
    }
    config = Config(**values, public=is_set(environ, "PORT"), unknown=_unknown_variables(environ))
    if "SCENEXT_ACCESS_TOKEN" in environ and config.key_shared_with == "all":
        raise ConfigError(
            "SCENEXT_ACCESS_TOKEN: the value is blank while SCENEXT_API_KEY is set. Set a token, or remove"
            " SCENEXT_ACCESS_TOKEN to share the key with all callers."
        )
    _require_oauth_settings(config)
    return config if config.sandbox else replace(config, proxy=_proxy(config.api_base_url, environ))


def _require_oauth_settings(config: Config) -> None:
    """Raise ConfigError if one variable of the sign-in is set without the others that it needs."""
    if config.oauth_url and not config.oauth_secret:
        raise ConfigError(
            "SCENEXT_OAUTH_SECRET: the variable is not set, but SCENEXT_OAUTH_URL is. Set it to the output of"
            " `openssl rand -hex 32`."
        )
    if (config.oauth_secret or config.oauth_redirects) and not config.oauth_url:
        other = "SCENEXT_OAUTH_SECRET" if config.oauth_secret else "SCENEXT_OAUTH_REDIRECTS"
        raise ConfigError(
            f"SCENEXT_OAUTH_URL: the variable is not set, but {other} is. Set it to the public address of the endpoint"
            f" with sign-in, or remove {other}."
        )


def _proxy(base_url: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy for API calls. Raises ConfigError if the proxy or the trusted certificates are unusable."""
    try:
        proxies.check_certificates(base_url, environ)
        found = proxies.find_proxy(base_url, environ)
    except proxies.InvalidSetting as error:
        raise ConfigError(str(error)) from None
    return None if found is None else f"{found.address} ({found.variable})"


def _unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    others = [name for name in environ if name.startswith(PREFIX) and name not in VARIABLES and is_set(environ, name)]
    return tuple(sorted(name for name in others if not _KUBERNETES.fullmatch(f"{name}={environ[name]}")))


# Limits for a server that does not reveal its number of threads.
_UNKNOWN_THREADS = Shares(slots=120, waiting_calls=60)


def thread_shares(config: Config, threads: int | None) -> Shares:
    """Return the limits on calls in a process with this number of threads, None if the number is unknown."""
    if threads is None:
        slots, waiting_calls = _UNKNOWN_THREADS
        return Shares(config.upstream_slots or slots, config.waiting_calls or waiting_calls)
    return divide(threads, config.upstream_slots, config.waiting_calls)


_KEY_SHARING = {"none": "not shared", "all": "shared with all", "token": "shared with token holders"}


def startup_fields(config: Config, threads: int | None = None) -> dict[str, Any]:
    """Return the fields of the startup log line, also printed by `--check`. `docs/operating.md` documents each.

    `threads` is the number of threads of a process, None if the server does not reveal it.
    """
    shares = thread_shares(config, threads)
    return {
        "version": __version__,
        "api": "sandbox" if config.sandbox else config.api_base_url,
        "proxy": config.proxy,
        "endpoint": "/mcp",
        "sign_in": config.oauth_url,
        "workers": None,  # set by gunicorn's hooks
        "threads": threads,
        "slots": shares.slots,
        "waiting_calls": shares.waiting_calls,
        "timeout": int(config.timeout) if config.timeout.is_integer() else config.timeout,
        "max_wait": config.max_wait,
        "repeat_window": config.repeat_minutes,
        "key": _KEY_SHARING[config.key_shared_with],
        "tasks": "on" if config.tasks else "off",
        "metrics": "on" if config.metrics else "off",
    }


def _suggestion(unknown: str) -> str:
    """Return a question that names the most similar variable, or "". The common prefix is not compared."""
    names = [name.removeprefix(PREFIX) for name in VARIABLES]
    matches = difflib.get_close_matches(unknown.removeprefix(PREFIX), names, 1, cutoff=0.5)
    return f" Did you mean {PREFIX}{matches[0]}?" if matches else ""


def warnings(config: Config) -> Iterator[str]:
    """Yield a warning for each setting that is risky or has no effect."""
    for name in config.unknown:
        yield f"{name} is an unknown variable and has no effect.{_suggestion(name)}"
    if config.sandbox:
        yield "SCENEXT_SANDBOX is on. Jobs and videos are simulated, and no call reaches Scenext."
    if config.api_key is None:
        if config.access_token:
            yield "SCENEXT_ACCESS_TOKEN has no effect because SCENEXT_API_KEY is not set. Set both, or neither."
    elif is_placeholder(config.api_key):
        yield "SCENEXT_API_KEY is a placeholder and counts as unset. Set a key, or remove the variable."
    elif config.access_token:
        yield "SCENEXT_API_KEY is shared with all callers that send SCENEXT_ACCESS_TOKEN."
    else:
        yield (
            "SCENEXT_API_KEY is shared with all callers that send no key. Anyone who reaches this server can spend its"
            " points. Set SCENEXT_ACCESS_TOKEN to require a token."
        )
        if config.public:
            yield (
                "PORT is set while SCENEXT_API_KEY is shared with all callers. Anyone on the network can spend its"
                " points. Over plain HTTP, the page at / cannot call unless SCENEXT_ALLOWED_ORIGINS lists its origin."
            )


def thread_warnings(config: Config, threads: int) -> Iterator[str]:
    """Yield a warning if the settings require more threads than calls may hold."""
    shares, total = thread_shares(config, threads), threads_for_calls(threads)
    limits = {"SCENEXT_UPSTREAM_SLOTS": config.upstream_slots, "SCENEXT_WAITING_CALLS": config.waiting_calls}
    given = [f"{name}={limit}" for name, limit in limits.items() if limit is not None]
    if shares.slots < (config.upstream_slots or 0) or shares.waiting_calls < (config.waiting_calls or 0):
        yield (
            f"{' and '.join(given)} would exceed the {total} of {threads} threads that calls may hold. The limits are"
            f" reduced to {shares.slots} slots and {shares.waiting_calls} waiting calls."
        )
