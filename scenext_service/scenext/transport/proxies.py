"""Read the proxy and the trusted certificates from the environment: check them at the start, use them for each call.

requests reads the variables only on the first call, and again for every further one. This module finds invalid values
at the start, and reads the variables once.

Source: requests 2.34, `sessions.Session.merge_environment_settings`, `utils.get_environ_proxies` and `select_proxy`.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import prepend_scheme_if_needed, select_proxy, should_bypass_proxies


class InvalidSetting(Exception):
    """A variable that requests cannot use. The message names it, and never shows the password in a proxy's URL."""


class Proxy(NamedTuple):
    """A proxy, and the variable that sets it."""

    variable: str
    address: str  # `host:port`


def find_proxy(base_url: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for calls of the API, or None if they connect directly. Raises InvalidSetting."""
    scheme = urlsplit(base_url).scheme
    found = _first_set(environ, f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    if found is None:
        return None
    _, bypass = _first_set(environ, "no_proxy", "NO_PROXY") or ("", "")
    if should_bypass_proxies(base_url, bypass):
        return None
    name, value = found
    request = requests.Request("GET", base_url).prepare()
    try:
        pool = HTTPAdapter().get_connection_with_tls_context(request, True, {scheme: value})
    except requests.exceptions.InvalidSchema:
        raise InvalidSetting(f"{name} must not name a SOCKS proxy without PySocks: install `requests[socks]`") from None
    except (requests.exceptions.InvalidProxyURL, urllib3.exceptions.LocationValueError):
        pool = None
    if pool is None or pool.proxy is None or (pool.proxy.path or "/") != "/":
        raise InvalidSetting(f"{name} must be the URL of a proxy, for example http://proxy.example:3128")
    return Proxy(name, pool.proxy.netloc or "")


def check_certificates(base_url: str, environ: Mapping[str, str]) -> None:
    """Check that the CA certificates for verifying the API can be loaded. Raises InvalidSetting."""
    found = _first_set(environ, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    if found is None or urlsplit(base_url).scheme != "https":
        return
    name, value = found
    if Path(value).is_dir():
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(value)
    except OSError as error:
        reason = "no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise InvalidSetting(
            f"{name} must be a file with certificates, or a folder of them; {value!r}: {reason}"
        ) from None


class Route(NamedTuple):
    """Arguments for `HTTPAdapter.send`, and the host and port of the proxy, or None without one."""

    settings: dict[str, Any]
    proxy: str | None


def read_route(base_url: str) -> Route:
    """Read the route for calls of the API. requests would read the variables again for every call."""
    found = requests.Session().merge_environment_settings(base_url, {}, None, None, None)
    settings = {"proxies": found["proxies"], "verify": found["verify"] or True}
    url = select_proxy(base_url, found["proxies"])
    return Route(settings, _host_and_port(url) if url else None)


def _first_set(environ: Mapping[str, str], *names: str) -> tuple[str, str] | None:
    """Return the name and value of the first of these variables that is set."""
    return next(((name, value) for name in names if (value := environ.get(name, "").strip())), None)


def _host_and_port(url: str) -> str:
    """Return only the host and port of a proxy's URL, because the URL may also hold a password."""
    try:
        found = urllib3.util.parse_url(prepend_scheme_if_needed(url, "http")).netloc
    except urllib3.exceptions.LocationParseError:
        found = None
    return found or "unreadable"
