"""The rules of the sign-in: requests for codes, redirects, and the exchange of codes for tokens. No HTTP.

A code and a token are envelopes around the word that the person typed. A code also holds the client's challenge, and
digests of the client's id and of the address that it goes to. The id itself is too long for a part of a URL.

Source: OAuth 2.1, draft 13, sections 3, 4.1 and 5.1; RFC 7636, section 4; RFC 8707, section 2; RFC 9207.
"""

import base64
import binascii
import hmac
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import unquote_plus, urlencode

import orjson

from .clients import METHODS, Client, Clients, OAuthError
from .envelopes import Envelopes, derive
from .used_codes import UsedCodes

SCOPE = "scenext"
TOKEN_PREFIX = "scenext-signin-"  # noqa: S105  # so that /mcp recognizes a token, and never sends it to Scenext

# Seconds.
CODE_LIFETIME = 60
TOKEN_LIFETIME = 30 * 24 * 3600

ROOT = "/mcp"  # the path of an endpoint whose issuer is the origin

# The parameters of a request by name and value, decoded. Bytes that are not UTF-8 are lone surrogates.
Fields = Sequence[tuple[str, str]]

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_ORIGIN = re.compile(r"[a-z]+://[^/?#]*", re.IGNORECASE)


class UnknownClient(Exception):
    """The client is unknown, or may not return to the address. Nothing may be sent to that address."""


class Request(NamedTuple):
    """A request for a code from a known client. `error` is set if it goes back to the client without a page."""

    client: Client
    client_id: str
    redirect_uri: str
    state: str | None
    challenge: str
    error: OAuthError | None


@dataclass(frozen=True, slots=True)
class Address:
    """The address of an endpoint with sign-in, and those that follow from it."""

    url: str

    @property
    def origin(self) -> str:
        """The scheme and host, with the port if there is one."""
        return "/".join(self.url.split("/")[:3])

    @property
    def path(self) -> str:
        """The path, which begins with a slash and ends without one."""
        return self.url.removeprefix(self.origin)

    @property
    def issuer(self) -> str:
        """The identifier of the authorization server."""
        return self.origin if self.path == ROOT else self.url

    @property
    def resource_metadata(self) -> str:
        """The address of the document about the endpoint."""
        return f"{self.origin}/.well-known/oauth-protected-resource{self.path}"

    def is_resource(self, indicator: str) -> bool:
        """Return whether a resource indicator names this endpoint, with the scheme and the host in any case."""
        origin = _ORIGIN.match(indicator)
        end = origin.end() if origin else 0
        return indicator[:end].lower() + indicator[end:] in (self.url, f"{self.url}/")

    def resource_document(self, slash: str = "") -> dict[str, Any]:
        """Return the document about the endpoint. `slash` is "/" if the endpoint was asked for with one."""
        return {
            "resource": self.url + slash,
            "authorization_servers": [self.issuer],
            "scopes_supported": [SCOPE],
            "bearer_methods_supported": ["header"],
            "resource_name": "Scenext",
        }

    def server_document(self) -> dict[str, Any]:
        """Return the document about the authorization server."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "registration_endpoint": f"{self.url}/register",
            "scopes_supported": [SCOPE],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "token_endpoint_auth_methods_supported": list(METHODS),
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }


class SignIn:
    """The authorization server of one endpoint. Thread-safe. `now` returns the seconds since 1970.

    The first of the secrets seals codes and tokens, and every one opens them.
    """

    def __init__(
        self,
        url: str,
        secrets: Sequence[str],
        redirects: frozenset[str] = frozenset(),
        now: Callable[[], float] = time.time,
    ) -> None:
        self.address = Address(url)
        self.clients = Clients(redirects)
        self._codes = Envelopes(secrets, f"code for {url}", CODE_LIFETIME, now)
        self._tokens = Envelopes(secrets, f"token for {url}", TOKEN_LIFETIME, now)
        self._client_keys = [derive(secret, f"client secret for {url}") for secret in secrets]
        self._used = UsedCodes(now)

    def open_token(self, token: str) -> str | None:
        """Return the key or access token that was typed for a token, None if the token is not valid here and now."""
        content = self._tokens.open(token.removeprefix(TOKEN_PREFIX)) if token.startswith(TOKEN_PREFIX) else None
        return None if content is None else content.decode("ascii")

    def register(self, body: bytes | None) -> dict[str, Any]:
        """Return the response to a registration. Raises OAuthError."""
        client = self.clients.register(body)
        client_id = client.id()
        secret = {"client_secret": self._client_secrets(client_id)[0], "client_secret_expires_at": 0}
        return {
            "client_id": client_id,
            "redirect_uris": list(client.redirects),
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "token_endpoint_auth_method": METHODS[client.method],
            **({"client_name": client.name} if client.name else {}),
            **(secret if client.method else {}),
        }

    def read_request(self, fields: Fields) -> Request:
        """Check a request for a code. Raises UnknownClient."""
        client_id, redirect_uri = (_only(fields, name) for name in ("client_id", "redirect_uri"))
        client = None if client_id is None else self.clients.find(client_id)
        if client is None or client_id is None or redirect_uri is None or not client.registered(redirect_uri):
            raise UnknownClient
        error = None
        try:
            self._check_request(fields)
        except OAuthError as failure:
            error = failure
        challenge = _only(fields, "code_challenge") or ""
        return Request(client, client_id, redirect_uri, _only(fields, "state"), challenge, error)

    def _check_request(self, fields: Fields) -> None:
        _check_repeated(fields)
        if _only(fields, "response_type") != "code":
            raise OAuthError("unsupported_response_type", "response_type must be code.")
        if _only(fields, "code_challenge_method") != "S256":
            raise OAuthError("invalid_request", "code_challenge_method must be S256.")
        if not _CHALLENGE.fullmatch(_only(fields, "code_challenge") or ""):
            raise OAuthError("invalid_request", "code_challenge must be a SHA-256 digest of 43 base64url characters.")
        self._check_resource(fields)

    def _check_resource(self, fields: Fields) -> None:
        indicators = [value for name, value in fields if name == "resource" and value]
        if indicators and not any(map(self.address.is_resource, indicators)):
            raise OAuthError("invalid_target", f"The resource of this server is {self.address.url}.")

    def redirect(self, request: Request, answer: Mapping[str, str]) -> str:
        """Return the URL at which the client receives an answer."""
        state = {} if request.state is None else {"state": request.state}
        query = urlencode({**answer, **state, "iss": self.address.issuer}, errors="surrogateescape")
        return f"{request.redirect_uri}{'&' if '?' in request.redirect_uri else '?'}{query}"

    def issue_code(self, request: Request, typed: str) -> str:
        """Return a code for the word that the person typed, which is printable ASCII."""
        digests = (_digest(request.client_id), _digest(request.redirect_uri))
        return self._codes.seal(orjson.dumps([typed, *digests, request.challenge]))

    def exchange(self, form: Fields | None, authorization: str | None) -> dict[str, Any]:
        """Return the response to a token request, given its form and its header Authorization. Raises OAuthError."""
        if form is None:
            raise OAuthError("invalid_request", "The body must be a form of at most 16 KiB.")
        _check_repeated(form)
        if _only(form, "grant_type") != "authorization_code":
            raise OAuthError("unsupported_grant_type", "grant_type must be authorization_code.")
        client_id = self._authenticate(form, authorization)
        code, verifier = _only(form, "code"), _only(form, "code_verifier")
        if not code or not verifier:
            raise OAuthError("invalid_request", "code and code_verifier are required.")
        self._check_resource(form)
        typed = self._open_code(code, client_id, _only(form, "redirect_uri"), verifier)
        token = TOKEN_PREFIX + self._tokens.seal(typed.encode("ascii"))
        return {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFETIME, "scope": SCOPE}

    def _open_code(self, code: str, client_id: str, redirect_uri: str | None, verifier: str) -> str:
        """Return the typed word. Only a successful exchange uses the code up."""
        content = self._codes.open(code)
        if content is None:
            raise OAuthError("invalid_grant", "The code is not valid, or is older than a minute.")
        typed, client, address, challenge = orjson.loads(content)
        if not _same(client, _digest(client_id)):
            raise OAuthError("invalid_grant", "The code was issued to another client.")
        if redirect_uri is not None and not _same(address, _digest(redirect_uri)):
            raise OAuthError("invalid_grant", "redirect_uri is not the one of the request for the code.")
        if not _VERIFIER.fullmatch(verifier) or not _same(challenge, _challenge_of(verifier)):
            raise OAuthError("invalid_grant", "code_verifier does not match the code_challenge.")
        if not self._used.claim(sha256(code.encode()).hexdigest()):
            raise OAuthError("invalid_grant", "The code was used before.")
        return str(typed)

    def _authenticate(self, form: Fields, authorization: str | None) -> str:
        """Return the id of the client. Raises OAuthError if it is unknown, or has a secret and did not present it."""
        client_id, secret = _only(form, "client_id"), _only(form, "client_secret")
        scheme, _, credentials = (authorization or "").strip().partition(" ")
        if scheme.lower() == "basic":
            basic_id, secret = _basic(credentials)
            if client_id is not None and client_id != basic_id:
                raise OAuthError("invalid_client", "client_id is not the one in the header Authorization.", 401)
            client_id = basic_id
        if not client_id:
            raise OAuthError("invalid_request", "client_id is required.")
        client = self.clients.find(client_id)
        if client is None:
            raise OAuthError("invalid_client", "This server does not know the client. Register it again.", 401)
        if client.method and not any(_same(secret or "", valid) for valid in self._client_secrets(client_id)):
            raise OAuthError("invalid_client", "The client's secret is missing or wrong. Register it again.", 401)
        return client_id

    def _client_secrets(self, client_id: str) -> list[str]:
        return [hmac.new(key, client_id.encode(), "sha256").hexdigest() for key in self._client_keys]


def _only(fields: Fields, name: str) -> str | None:
    """Return the value of a field, None if it is missing or repeated."""
    values = [value for field, value in fields if field == name]
    return values[0] if len(values) == 1 else None


def _check_repeated(fields: Fields) -> None:
    names = [name for name, _ in fields if name != "resource"]
    if len(set(names)) < len(names):
        raise OAuthError("invalid_request", "A parameter is repeated.")


def _basic(credentials: str) -> tuple[str, str]:
    """Return the id and the secret of RFC 6749, section 2.3.1. Raises OAuthError."""
    try:
        text = base64.b64decode(credentials.strip(), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    if ":" not in text:
        raise OAuthError("invalid_client", "The header Authorization is malformed.", 401)
    client_id, _, secret = text.partition(":")
    return unquote_plus(client_id), unquote_plus(secret)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
