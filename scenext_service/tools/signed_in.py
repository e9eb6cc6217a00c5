"""The tools at an address with sign-in: their texts, and the check of a key that a person types there.

The client has no header for a key, so no text may speak of one.
"""

import time
from dataclasses import replace

from ..mcp import LogRecord, Tool
from ..scenext.client import Scenext
from ..scenext.failures import KeyMissing, KeyRefused, NotSent, ScenextError, SignInToken
from ..scenext.keys import is_key, is_placeholder
from .api_call import Credentials

SIGNED_IN = "The user has signed in with a Scenext API key; never ask for it in the conversation."

# The sentences about headers in the tools' descriptions and in the instructions.
_ABOUT_HEADERS = (
    "Needs the user's Scenext API key in the HTTP headers; never ask for it in the conversation.",
    "Calls need the user's Scenext API key in the HTTP headers of the MCP connection.",
)

TASK_ID = "0"  # matches no job, so the query costs nothing
MAX_KEY = 512  # characters; a longer one would not fit into the headers of a request

_PROBLEMS = {KeyMissing: "missing", SignInToken: "token"}


def with_sign_in(text: str) -> str:
    """Return a text of the tools for clients that have signed in."""
    for sentence in _ABOUT_HEADERS:
        text = text.replace(sentence, SIGNED_IN)
    return text


def as_signed_in(tool: Tool) -> Tool:
    """Return a tool whose description is for clients that have signed in."""
    return replace(tool, description=with_sign_in(tool.description))


def is_key_refused(record: LogRecord) -> bool:
    """Return whether Scenext refused the key of a call with 401. With 403, it may have refused only this call."""
    return record.failure == KeyRefused.__name__ and record.upstream_status == 401


def signed_in_credentials(shared_key: str | None, access_token: str | None) -> Credentials:
    """Return the credentials of an address with sign-in, at which a shared key always needs the access token."""
    return Credentials(shared_key if access_token else None, access_token)


class KeyCheck:
    """Check a typed key before a sign-in is issued for it."""

    def __init__(self, scenext: Scenext, credentials: Credentials) -> None:
        self._scenext = scenext
        self._credentials = credentials

    def __call__(self, typed: str, request_id: str) -> str | None:
        """Return the name of the key's problem, None if it can be used.

        The problem is `missing`, `placeholder`, `unusable`, `token` or, if Scenext answers with 401, `refused`. If
        Scenext does not answer, the key counts as usable, because each later call checks it anyway.
        """
        # Before anything that may share a key. A text with spaces would be read as credentials with a scheme.
        if is_placeholder(typed):
            return "placeholder"
        if len(typed) > MAX_KEY or not is_key(typed):
            return "unusable"
        try:
            key = self._credentials.key_for(f"Bearer {typed}", None)
            self._scenext.get_status(TASK_ID, key, time.monotonic(), {"X-Request-ID": request_id})
        except NotSent as failure:
            return _PROBLEMS.get(type(failure))
        except ScenextError as failure:
            return "refused" if isinstance(failure, KeyRefused) and failure.status == 401 else None
        return None
