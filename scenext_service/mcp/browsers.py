"""What a person sees who opens the endpoint in a browser: that it is for clients, and where people start.

Only a browser gets it, which asks for HTML and for neither of the media types that an MCP client asks for.
"""

from typing import Any

HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),  # others get another answer at the same address
)

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>MCP</title>
<main>
<h1>MCP</h1>
<p>This address is for MCP clients, which send POST. <a href="START">People start here</a>.</p>
<p lang="zh-CN">此地址供 MCP 客户端使用（POST）。<a href="START">使用说明</a></p>
</main>
</html>
"""


def is_browser(environ: dict[str, Any]) -> bool:
    """Tell whether a request is one of a browser that opens an address."""
    accept = environ.get("HTTP_ACCEPT", "").lower()
    clients = ("text/event-stream", "application/json")
    return (
        environ["REQUEST_METHOD"] in ("GET", "HEAD")
        and "text/html" in accept
        and not any(media_type in accept for media_type in clients)
    )


def page(path: str) -> bytes:
    """Return the page, whose link is relative, and so right under every prefix that a proxy takes away."""
    return _PAGE.replace("START", "../" if path.endswith("/") else "./").encode()
