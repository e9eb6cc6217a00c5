"""The page at `/` for people, and the icons.

The page shows a sample video, includes a client to try the service, and explains how to connect other clients. The page
in each language and the icons are built once, at startup. Style and script are inline, and the page's
Content-Security-Policy allows them by their hashes, so no value is ever inserted into either. The page gets its own
address from the browser.

Source: CSP 3, "script-src"; RFC 9110, section 12.5.4 (Accept-Language).
"""

import base64
import html
import json
import re
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple

from flask import Blueprint, Response, request
from markupsafe import Markup

from .. import __version__
from .static_response import PICTURE, TEMPLATES, Representation, prepare, read, read_toml, respond

LANGUAGES = ("en", "zh")  # the first is the default if a browser accepts neither
PLACEHOLDER = "https://YOUR-APP.example.com/mcp"  # the page replaces it with its own address
SOURCE = "https://github.com/YOUR-GITHUB-NAME/scenext_service"

# The sandbox rejects placeholders of a key, as the real service does. Its page shows a key that it accepts, so that a
# copied snippet works unchanged.
SANDBOX_KEY = "sandbox-key"
_KEY_PLACEHOLDER = re.compile(r"YOUR_API_KEY|\$\{SCENEXT_KEY\}")


class Deployment(NamedTuple):
    """The properties of a deployment that the page shows.

    `key_shared_with` states which clients use the server's key: `all`, those with the access `token`, or `none`.
    `sign_in` is the URL of the endpoint with sign-in, and `sign_in_only` whether there is no other endpoint.
    """

    sandbox: bool
    key_shared_with: str
    wait: int  # maximum seconds that a call may wait
    media: frozenset[str]  # origins of frames and videos
    sample_video: str | None  # the operator's, an https URL; None: /sample.mp4
    variants: bool  # whether gen_video has the argument `variant`
    sign_in: str | None = None
    sign_in_only: bool = False


def create_blueprint(deployment: Deployment) -> Blueprint:
    """Create the blueprint."""
    blueprint = Blueprint("page", __name__)
    pages = _representations(deployment)
    svg = prepare(_icon().encode(), "image/svg+xml", PICTURE)
    favicon = prepare(read("favicon.ico"), "image/vnd.microsoft.icon", PICTURE)

    @blueprint.get("/", provide_automatic_options=False)
    def start() -> Response:
        return respond(pages[language()])

    @blueprint.get("/icon.svg", provide_automatic_options=False)
    def icon_svg() -> Response:
        return respond(svg)

    @blueprint.get("/favicon.ico", provide_automatic_options=False)
    def favicon_ico() -> Response:
        return respond(favicon)

    return blueprint


def _icon() -> str:
    return TEMPLATES.get_template("icon.svg").render()


def icon() -> dict[str, Any]:
    """Return the icon in MCP's format, with the image as a data URL, because a server does not know its own address."""
    coded = base64.b64encode(_icon().encode()).decode()
    return {"src": f"data:image/svg+xml;base64,{coded}", "mimeType": "image/svg+xml", "sizes": ["any"]}


@cache  # compiling the template takes most of an application's startup time, and tests start hundreds
def _representations(deployment: Deployment) -> dict[str, Representation]:
    """Return the prepared page in each language, keyed by language."""
    texts, clients = read_toml("texts.toml"), _clients(deployment)
    template = TEMPLATES.get_template("page.html")
    representations = {}
    for language, other in zip(LANGUAGES, reversed(LANGUAGES), strict=True):
        body = template.render(
            t=texts[language],
            others=texts[other],
            lang=language,
            version=__version__,
            placeholder=PLACEHOLDER,
            plain=_plain,
            curl=_curl(deployment.sandbox),
            clients=sorted(clients, key=lambda client: not client.get(f"{language}_first")),
            source=SOURCE,
            **deployment._asdict(),
        )
        if deployment.sandbox:
            body = _KEY_PLACEHOLDER.sub(SANDBOX_KEY, body)
        headers = {
            "Content-Language": texts[language]["language"],
            "Content-Security-Policy": _policy(body, deployment),
            "Vary": "Accept-Language",
        }
        representations[language] = prepare(body.encode(), "text/html; charset=utf-8", headers)
    return representations


def _clients(deployment: Deployment) -> list[dict[str, Any]]:
    """Return the clients to list: all, or those with an entry for sign-in if there is no other endpoint."""
    clients: list[dict[str, Any]] = read_toml("clients.toml")["client"]
    if deployment.sign_in is None:
        return clients
    listed = [client for client in clients if "sign_in" in client or not deployment.sign_in_only]
    return [_filled({**client, **client.get("sign_in", {})}, deployment.sign_in) for client in listed]


def _filled(client: dict[str, Any], sign_in: str) -> dict[str, Any]:
    """Return a client with the address of the sign-in in its button and its fields."""
    for name in ("config", "fields"):
        if name in client:
            client[name] = json.loads(json.dumps(client[name]).replace("SIGN_IN_URL", sign_in))
    return client


def _plain(text: str) -> Markup:
    """Return a text escaped for use between two tags, where quotation marks need no escape."""
    return Markup(html.escape(text, quote=False))  # noqa: S704  # escaped here


def _policy(body: str, deployment: Deployment) -> str:
    sources = " ".join(["'self'", *sorted(deployment.media)])
    sample = "/".join(deployment.sample_video.split("/")[:3]) if deployment.sample_video else ""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash(body, 'script')}",
            f"style-src {_hash(body, 'style')}",
            f"img-src {sources}",
            f"media-src {sources} {sample}".rstrip(),
            "connect-src 'self'",
            "require-trusted-types-for 'script'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _hash(body: str, tag: str) -> str:
    """Return the hash of the content of the page's only element with this tag."""
    text = body.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


def _curl(sandbox: bool) -> str:
    """Return a curl command with the first request of the page's own client."""
    arguments = {"task_id": "sandbox-completed" if sandbox else "YOUR_TASK_ID"}
    params = {"name": "query_video_status", "arguments": arguments}
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return (
        f"curl -s {PLACEHOLDER} \\\n  -H 'Content-Type: application/json' \\\n"
        f"  -H 'Authorization: Bearer YOUR_API_KEY' \\\n  -d '{json.dumps(message)}'\n"
    )


def language() -> str:
    """Return the language from `lang` in the query, else from Accept-Language, else the default."""
    query = request.environ.get("QUERY_STRING", "").split("&")  # Werkzeug fails if it is not UTF-8
    queried = [language for language in LANGUAGES if f"lang={language}" in query]
    wanted = (tag.partition("-")[0].lower() for tag, quality in request.accept_languages if quality > 0)
    return next((language for language in [*queried, *wanted] if language in LANGUAGES), LANGUAGES[0])
