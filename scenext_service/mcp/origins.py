"""Which web pages may call.

Source: MCP 2026-07-28, basic/transports/streamable-http "Security & Endpoint"; Fetch Metadata, "Sec-Fetch-Site".
"""

import re
from dataclasses import dataclass

_HTTPS = re.compile(r"https://[^\s/?#@\\,]+", re.IGNORECASE)
_LOOPBACK = re.compile(r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Origins:
    """Which web pages may call. `allowed` holds whole origins, as `https://app.example.com`; `*` allows every one.

    `own` also accepts the server's own origin, as the Host header names it. It is for servers that the public reaches
    under their own name: on a loopback server it would let DNS rebinding through, where both names are the attacker's.

    A browser that says `same-origin` of a page that came over HTTPS is believed everywhere, also behind a proxy that
    does not pass the Host on. No page can write either header, and a name that was rebound to this server has no
    certificate there. Over plain HTTP it would have gone through, and a browser calls that the same origin too.
    """

    allowed: frozenset[str] = frozenset()
    own: bool = False

    def accept(self, origin: str, host: str, site: str | None = None) -> bool:
        """Return whether a page of this origin may call the server that it reached as `host`.

        `site` is what the browser says of the two: the header Sec-Fetch-Site.
        """
        if origin in self.allowed or "*" in self.allowed or _LOOPBACK.fullmatch(origin):
            return True
        if site == "same-origin" and _HTTPS.fullmatch(origin):
            return True
        name = host.lower()
        return self.own and name != "" and "@" not in name and origin.lower() in (f"http://{name}", f"https://{name}")
