"""What the environment says about the way to Scenext: a proxy, and the certificates that are trusted.

requests reads the same variables, with the first call; here it is found out at the start whether it could use them.

Source: requests 2.34, `sessions.Session.merge_environment_settings`, `utils.get_environ_proxies` and `select_proxy`.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import should_bypass_proxies


class Unusable(Exception):
    """A variable that requests cannot use; the message names it, and never shows the password in a proxy's URL."""


class Proxy(NamedTuple):
    """A proxy, and the variable that names it."""

    variable: str
    address: str  # `host:port`


def proxy(base_url: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy through which calls go; None where they go straight to the API. Raises Unusable."""
    scheme = urlsplit(base_url).scheme
    found = _first(environ, f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    if found is None:
        return None
    _, bypass = _first(environ, "no_proxy", "NO_PROXY") or ("", "")
    if should_bypass_proxies(base_url, bypass):
        return None
    name, value = found
    request = requests.Request("GET", base_url).prepare()
    try:
        pool = HTTPAdapter().get_connection_with_tls_context(request, True, {scheme: value})
    except requests.exceptions.InvalidSchema:
        raise Unusable(f"{name} must not name a SOCKS proxy without PySocks: install `requests[socks]`") from None
    except (requests.exceptions.InvalidProxyURL, urllib3.exceptions.LocationValueError):
        pool = None
    if pool is None or pool.proxy is None or (pool.proxy.path or "/") != "/":
        raise Unusable(f"{name} must be the URL of a proxy, as http://proxy.example:3128")
    return Proxy(name, pool.proxy.netloc or "")


def check_certificates(base_url: str, environ: Mapping[str, str]) -> None:
    """Look at the certificates that the API's is checked against. Raises Unusable."""
    found = _first(environ, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    if found is None or urlsplit(base_url).scheme != "https":
        return
    name, value = found
    if Path(value).is_dir():
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(value)
    except OSError as error:
        reason = "no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise Unusable(f"{name} must be a file with certificates, or a folder of them; {value!r}: {reason}") from None


def _first(environ: Mapping[str, str], *names: str) -> tuple[str, str] | None:
    """Return the first of these variables that is set, and its value."""
    return next(((name, value) for name in names if (value := environ.get(name, "").strip())), None)
