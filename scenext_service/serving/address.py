"""The address at which a caller reached this service, as far as a request tells.

Only the sandbox asks for it, to link to itself. That is why anybody's word is taken, forwarded headers among them: all
that they decide is what the links lead to in the very answer of whoever sent them.

Source: PEP 3333, "URL Reconstruction"; RFC 7239; RFC 3986, section 3.2; Werkzeug's manual, "X-Forwarded-For Proxy Fix".
"""

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Any
from urllib.parse import quote

_LABEL = "[a-z0-9_-]{1,63}"
_HOST = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL}){{0,126}}\.?|\[([0-9a-f:.]{{2,45}})\])(?::([0-9]{{1,5}}))?", re.IGNORECASE
)
_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]{1,99}){0,9}/?")


def address(environ: dict[str, Any]) -> str:
    """Return the URL of this service as its caller has it, without the last slash."""
    said = _forwarded(environ.get("HTTP_FORWARDED", ""))
    proto = (_first(environ, "HTTP_X_FORWARDED_PROTO").lower(), said.get("proto", "").lower())
    scheme = next((scheme for scheme in proto if scheme in ("http", "https")), environ["wsgi.url_scheme"])
    hosts = (_first(environ, "HTTP_X_FORWARDED_HOST"), said.get("host", ""), environ.get("HTTP_HOST", ""))
    host = next((host for host in hosts if _is_host(host)), None) or _own(environ, scheme)
    prefix = _first(environ, "HTTP_X_FORWARDED_PREFIX")
    if not prefix or not _PREFIX.fullmatch(prefix):
        prefix = quote(environ.get("SCRIPT_NAME", "").encode("latin-1", "replace"))
    return f"{scheme}://{host}{prefix.rstrip('/')}"


def _first(environ: dict[str, Any], name: str) -> str:
    """Return the first of a header's values: each proxy appends one, and the first was for the caller."""
    value: str = environ.get(name, "")
    return value.partition(",")[0].strip(" \t")


def _forwarded(header: str) -> dict[str, str]:
    """Return the parameters of a Forwarded header's first element, by name."""
    pairs = (pair.partition("=") for pair in header.partition(",")[0].split(";"))
    return {name.strip(" \t").lower(): value.strip(" \t").strip('"') for name, _, value in pairs}


def _is_host(text: str) -> bool:
    """Return whether a text is a host, perhaps with a port, and nothing else."""
    match = _HOST.fullmatch(text)
    try:
        return (
            match is not None and (match[1] is None or IPv6Address(match[1]) is not None) and int(match[2] or 1) < 65536
        )
    except AddressValueError:
        return False


def _own(environ: dict[str, Any], scheme: str) -> str:
    """Return what the server knows itself by."""
    name, port = environ["SERVER_NAME"], environ["SERVER_PORT"]
    known = f"[{name}]" if ":" in name else name
    host = known if port in ("", {"http": "80", "https": "443"}.get(scheme)) else f"{known}:{port}"
    return host if _is_host(host) else "localhost"
