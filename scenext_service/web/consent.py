"""The page on which a person signs in with their Scenext key, in the design of the page at `/`.

It works without JavaScript. Its form has no `action`: the browser posts it to the address of the page, which holds the
whole request, so no state and no cookie is needed.

Three headers are left out on purpose. `form-action` in the policy would block the redirect after the form,
Cross-Origin-Opener-Policy would cut off the window that opened the page, and `Referrer-Policy: no-referrer` would make
the form's Origin `null`.

Source: CSP 3, "form-action"; Fetch, "append a request `Origin` header"; HTML, "Cross-origin opener policies".
"""

import base64
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import urlencode

from .page import LANGUAGES, language
from .static_response import TEMPLATES, read_toml

Fields = Sequence[tuple[str, str]]


class Page(NamedTuple):
    """A page with its headers."""

    body: str
    headers: dict[str, str]


class ConsentPages:
    """The pages of the sign-in at one server.

    `origin` is that of the server. With `accepts_token`, the server's access token can be typed instead of a key.
    """

    def __init__(self, origin: str, sandbox: bool, *, accepts_token: bool) -> None:
        self._texts = read_toml("consent.toml")
        self._template = TEMPLATES.get_template("consent.html")
        self._always = {
            "server": origin.partition("://")[2],
            "sandbox": sandbox,
            "accepts_token": accepts_token and not sandbox,
        }

    def consent(self, fields: Fields, client: str, host: str, problem: str | None, *, loopback: bool) -> Page:
        """Return the form. `client` is the client's own name, and `problem` the name of the key's problem."""
        return self._page(fields, client=client, host=host, problem=problem, loopback=loopback, rejection=None)

    def rejection(self, fields: Fields, reason: str) -> Page:
        """Return a page without a form. `reason` is `client` or `foreign`."""
        return self._page(fields, problem=None, rejection=reason)

    def _page(self, fields: Fields, **values: Any) -> Page:
        shown = language()
        other = LANGUAGES[1 - LANGUAGES.index(shown)]
        request = [(name, value) for name, value in fields if name != "lang"]
        body = self._template.render(
            t=self._texts[shown],
            others=self._texts[other],
            other_query=urlencode([*request, ("lang", other)], errors="surrogateescape"),
            **self._always,
            **values,
        )
        return Page(body, _headers(body, self._texts[shown]["language"]))


def _headers(body: str, written_in: str) -> dict[str, str]:
    style = body.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Language": written_in,
        "Vary": "Accept-Language",
        "Content-Security-Policy": policy,
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
