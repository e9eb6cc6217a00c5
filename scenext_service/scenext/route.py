"""The way to Scenext as the environment describes it: a proxy, and the certificates that are trusted.

Source: requests 2.34, `sessions.Session.merge_environment_settings`.
"""

from typing import Any, NamedTuple

import requests
import urllib3
from requests.utils import prepend_scheme_if_needed, select_proxy


class Route(NamedTuple):
    """What `HTTPAdapter.send` needs to know, and the host and port of the proxy, where there is one."""

    settings: dict[str, Any]
    proxy: str | None


def route(base_url: str) -> Route:
    """Read the variables. requests would do so again for every call."""
    found = requests.Session().merge_environment_settings(base_url, {}, None, None, None)
    settings = {"proxies": found["proxies"], "verify": found["verify"] or True}
    proxy = select_proxy(base_url, found["proxies"])
    return Route(settings, _address(proxy) if proxy else None)


def _address(proxy: str) -> str:
    """Return the host and port in the URL of a proxy, which may hold a password too."""
    try:
        found = urllib3.util.parse_url(prepend_scheme_if_needed(proxy, "http")).netloc
    except urllib3.exceptions.LocationParseError:
        found = None
    return found or "unreadable"
