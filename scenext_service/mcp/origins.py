"""Which web pages may call.

Source: MCP 2026-07-28, basic/transports/streamable-http "Security & Endpoint".
"""

import re
from dataclasses import dataclass

_LOOPBACK = re.compile(r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Origins:
    """Which web pages may call. `allowed` holds whole origins, as `https://app.example.com`; `*` allows every one.

    `own` also accepts the server's own origin, as the Host header names it. It is for servers that the public reaches
    under their own name: on a loopback server it would let DNS rebinding through, where both names are the attacker's.
    """

    allowed: frozenset[str] = frozenset()
    own: bool = False

    def accept(self, origin: str, host: str) -> bool:
        """Return whether a page of this origin may call the server that it reached as `host`."""
        if origin in self.allowed or "*" in self.allowed or _LOOPBACK.fullmatch(origin):
            return True
        name = host.lower()
        return self.own and name != "" and "@" not in name and origin.lower() in (f"http://{name}", f"https://{name}")
