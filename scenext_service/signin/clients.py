"""Clients that register themselves, and the addresses that a sign-in may return to.

Nothing is stored: the id of a client holds its registration. Anyone can therefore write such an id by hand. So an id
is no secret and proves nothing, and every address in it is checked at each use.

Source: RFC 7591, sections 2 and 3.2; RFC 8252, section 7.3 (loopback redirects); the documentation of claude.ai and
ChatGPT for the addresses that they return to.
"""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

METHODS = ("none", "client_secret_post", "client_secret_basic")  # of client authentication, in the order of their codes

MAX_NAME = 60  # characters
MAX_REDIRECTS = 10
MAX_ID = 1200  # characters; gunicorn accepts 4,094 in a request line, and the id is one part of it

_PREFIX = "scenext."
_ID = re.compile(rf"{re.escape(_PREFIX)}([A-Za-z0-9_-]+)")

# Whole addresses, because another page of these hosts may redirect further, and would pass the code on.
_HOSTED = re.compile(
    r"https://claude\.(?:ai|com)/api/mcp/auth_callback"
    r"|https://chatgpt\.com/connector_platform_oauth_redirect"
    r"|https://chatgpt\.com/connector/oauth/[A-Za-z0-9_-]{1,64}"
)
_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?(/[A-Za-z0-9._~/-]{0,119}|)")


class OAuthError(Exception):
    """A rejected request: the error's code, its description for developers, and the HTTP status."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.status = status


class Client(NamedTuple):
    """A registered client. `name` is the client's own choice, "" if it has none."""

    method: int  # index in METHODS
    name: str
    redirects: tuple[str, ...]

    def id(self) -> str:
        """Return the id that holds this registration."""
        content = orjson.dumps([self.method, self.name, *self.redirects])
        return _PREFIX + base64.urlsafe_b64encode(content).decode().rstrip("=")

    def registered(self, uri: str) -> bool:
        """Return whether the client may ask to return to this address. On loopback, the port may differ."""
        portless = _without_port(uri)
        return any(uri == one or (portless is not None and portless == _without_port(one)) for one in self.redirects)


@dataclass(frozen=True, slots=True)
class Clients:
    """Registration of clients. `redirects` are the addresses that the operator allows in addition to the known ones."""

    redirects: frozenset[str] = frozenset()

    def allows(self, uri: str) -> bool:
        """Return whether a sign-in may return to this address."""
        return uri in self.redirects or any(form.fullmatch(uri) for form in (_HOSTED, _LOOPBACK))

    def register(self, body: bytes | None) -> Client:
        """Return the client that a registration request describes. Raises OAuthError."""
        try:
            request = orjson.loads(body or b"")
        except ValueError:
            request = None
        if not isinstance(request, dict):
            raise OAuthError("invalid_client_metadata", "The body must be a JSON object of at most 16 KiB.")
        uris = request.get("redirect_uris")
        given = uris if isinstance(uris, list) and len(uris) <= MAX_REDIRECTS else []
        kept = tuple(dict.fromkeys(uri for uri in given if isinstance(uri, str) and self.allows(uri)))
        if not kept:
            raise OAuthError(
                "invalid_redirect_uri",
                f"redirect_uris must be a list of 1 to {MAX_REDIRECTS} addresses, at least one of which this server"
                " allows: those of claude.ai and ChatGPT, http on loopback, and those that its operator lists in"
                " SCENEXT_OAUTH_REDIRECTS.",
            )
        method = request.get("token_endpoint_auth_method")
        client = Client(METHODS.index(method) if method in METHODS else 0, one_line(request.get("client_name")), kept)
        if len(client.id()) > MAX_ID:
            raise OAuthError("invalid_client_metadata", "The addresses in redirect_uris are too long together.")
        return client

    def find(self, client_id: str) -> Client | None:
        """Return the client with this id, None if the id is not one that `register` could have issued."""
        match = _ID.fullmatch(client_id)
        if match is None or len(client_id) > MAX_ID or len(match[1]) % 4 == 1:
            return None
        try:
            content = orjson.loads(base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4)))
        except ValueError:
            return None
        if not isinstance(content, list) or not 3 <= len(content) <= 2 + MAX_REDIRECTS:
            return None
        method, name, *redirects = content
        # `type`, because True and 0.0 would also be found in a range.
        if type(method) is not int or method not in range(len(METHODS)) or name != one_line(name):
            return None
        if not _distinct(redirects) or not all(self.allows(uri) for uri in redirects):
            return None
        client = Client(method, name, tuple(redirects))
        return client if client.id() == client_id else None


def _distinct(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values) and len(set(values)) == len(values)


def one_line(name: Any) -> str:
    """Return a client's name on one line without characters that could disguise it, "" if it is not text."""
    if not isinstance(name, str):
        return ""
    printable: Iterable[str] = (char if char.isprintable() else " " for char in name)
    return " ".join("".join(printable).split())[:MAX_NAME].strip()


def is_loopback(uri: str) -> bool:
    """Return whether an allowed address belongs to a program on the user's own computer."""
    return _LOOPBACK.fullmatch(uri) is not None


def host(uri: str) -> str:
    """Return the host of an allowed address, with its port if it has one."""
    return urlsplit(uri).netloc


def _without_port(uri: str) -> tuple[str, str] | None:
    match = _LOOPBACK.fullmatch(uri)
    return None if match is None else (match[1], match[2])
