"""The gate before an endpoint whose clients sign in: it admits a request with a valid token, and challenges others.

Only `Authorization: Bearer` counts. The key for which the token was issued takes the place of the token, as if the
client had sent it, so nothing behind the gate depends on sign-in.

Source: MCP 2026-07-28 and 2025-11-25, basic/authorization; RFC 6750, section 3; RFC 9728, section 5.1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from .context import LogRecord
from .dispatch import JSON_CONTENT, HttpResponse
from .http_request import RequestRejected

UNAUTHORIZED = (
    "This address is for clients that sign in. Sign in as the header WWW-Authenticate describes. A client that sends a"
    " Scenext API key in a header uses the path /mcp instead."
)
NOT_SIGNED_IN = (
    "The sign-in is not valid or has expired. Sign in again. A Scenext API key is no sign-in: a client that sends one"
    " in a header uses the path /mcp instead."
)
KEY_REFUSED = "Scenext refused the API key of this sign-in. Sign in again with a valid key."


class SignInRequired(RequestRejected):
    """A request without a valid token."""

    def __init__(self, body: bytes, challenge: str) -> None:
        super().__init__(401, "Unauthorized")
        self.body = body
        self.headers = (("WWW-Authenticate", challenge),)


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate before the endpoint at `path`."""

    path: str
    metadata: str  # URL of the document that describes the endpoint and its sign-in
    open_token: Callable[[str], str | None]  # returns the key for which a token was issued, None if it is not valid
    is_key_refused: Callable[[LogRecord], bool]  # takes the record of a call

    def admit(self, environ: dict[str, Any], path: str) -> None:
        """Replace the request's credentials with the key of its token. Raises SignInRequired."""
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise SignInRequired(*self._challenge("unauthorized", UNAUTHORIZED, path))
        key = self.open_token(token)
        if key is None:
            raise SignInRequired(*self._challenge("invalid_token", NOT_SIGNED_IN, path))
        environ["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        environ.pop("HTTP_X_API_KEY", None)

    def replaced(self, response: HttpResponse, path: str) -> HttpResponse:
        """Return a challenge in place of a call's response if its key was refused, otherwise the response.

        A batch keeps its response, because its other messages may have succeeded.
        """
        body = response.body or b""
        if body.startswith(b"[") or not any(map(self.is_key_refused, response.records)):
            return response
        body, challenge = self._challenge("invalid_token", KEY_REFUSED, path)
        return HttpResponse(401, body, response.records, (JSON_CONTENT, ("WWW-Authenticate", challenge)))

    def _challenge(self, error: str, description: str, path: str) -> tuple[bytes, str]:
        """Return the body and the header of a 401. A client that sent no token gets no error in the header."""
        slash = "/" if path.endswith("/") else ""
        about = f'resource_metadata="{self.metadata}{slash}", scope="scenext"'
        if error == "invalid_token":
            about = f'error="{error}", error_description="{description}", {about}'
        return orjson.dumps({"error": error, "error_description": description}), f"Bearer {about}"
