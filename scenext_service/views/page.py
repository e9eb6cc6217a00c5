"""The page at `/`, for people: what runs here, how to connect a client, and a client to try it with; and the icon.

Both are made once, at the start, the page in each language. It is one answer: its script and its style are in it, and
its policy names them by their hashes, so nothing is put into either. Its own address it gets from the browser.

Source: CSP 3, "script-src"; RFC 9110, section 12.5.4 (Accept-Language).
"""

import base64
import html
import json
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple

from flask import Blueprint, Response, request
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ..version import VERSION
from .answers import PICTURE, Made, make_answer, send
from .files import compact, table

LANGUAGES = ("en", "zh")  # the first where a browser asks for neither
PLACEHOLDER = "https://YOUR-APP.example.com/mcp"  # where the page puts its own address

_SCRIPTS, _STYLES = ("draw.js", "page.js"), ("page.css",)


class Facts(NamedTuple):
    """What the page says of this deployment. `lent` is to whom it lends a key: `all`, `token` or `none`."""

    sandbox: bool
    lent: str
    wait: int  # seconds that a call may wait
    media: frozenset[str]  # origins of frames and films


def create_blueprint(facts: Facts, noted: Callable[[Response], Response]) -> Blueprint:
    """Make the blueprint; `noted` gets each of its answers, and returns it."""
    blueprint = Blueprint("page", __name__)
    pages = make(facts)
    drawn = make_answer(compact("icon.svg").encode(), "image/svg+xml", PICTURE)

    @blueprint.get("/", provide_automatic_options=False)
    def start() -> Response:
        return noted(send(pages[_language()]))

    @blueprint.get("/icon.svg", provide_automatic_options=False)
    def its_icon() -> Response:
        return noted(send(drawn))

    return blueprint


def icon() -> dict[str, Any]:
    """Return the icon as MCP describes one, with its picture in it: a server does not know its own address."""
    coded = base64.b64encode(compact("icon.svg").encode()).decode()
    return {"src": f"data:image/svg+xml;base64,{coded}", "mimeType": "image/svg+xml", "sizes": ["any"]}


@cache  # to compile the template is most of what an application's start costs, and tests start hundreds
def make(facts: Facts) -> dict[str, Made]:
    """Make the page in each language."""
    style, script = ("\n".join(map(compact, names)) for names in (_STYLES, _SCRIPTS))
    texts, clients = table("texts.toml"), table("clients.toml")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(compact("page.html"))
    made = {}
    for language, other in zip(LANGUAGES, reversed(LANGUAGES), strict=True):
        body = template.render(
            t=texts[language],
            others=texts[other],
            lang=language,
            version=VERSION,
            placeholder=PLACEHOLDER,
            plain=_plain,
            style=Markup(style),  # noqa: S704  # our own file
            script=Markup(script),  # noqa: S704  # our own file
            curl=_curl(facts.sandbox),
            clients=clients["client"],
            buttons=clients["button"],
            **facts._asdict(),
        )
        headers = {
            "Content-Language": texts[language]["language"],
            "Content-Security-Policy": _policy(script, style, facts.media),
            "Vary": "Accept-Language",
        }
        made[language] = make_answer(body.encode(), "text/html; charset=utf-8", headers)
    return made


def _plain(text: str) -> Markup:
    """Return a text as it stands between two tags, where a quotation mark needs no escape."""
    return Markup(html.escape(text, quote=False))  # noqa: S704  # escaped here


def _policy(script: str, style: str, media: frozenset[str]) -> str:
    sources = " ".join(["'self'", *sorted(media)])
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            f"img-src {sources}",
            f"media-src {sources}",
            "connect-src 'self'",
            "require-trusted-types-for 'script'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}"


def _curl(sandbox: bool) -> str:
    """Return the command that asks what the page's own client asks at first."""
    arguments = {"task_id": "sandbox-completed" if sandbox else "YOUR_TASK_ID"}
    params = {"name": "query_video_status", "arguments": arguments}
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return (
        f"curl -s {PLACEHOLDER} \\\n  -H 'Content-Type: application/json' \\\n"
        f"  -H 'Authorization: Bearer YOUR_API_KEY' \\\n  -d '{json.dumps(message)}'\n"
    )


def _language() -> str:
    """Return the language that the link asks for, or else the browser."""
    query = request.environ.get("QUERY_STRING", "").split("&")  # Werkzeug fails where it is no UTF-8
    asked = [language for language in LANGUAGES if f"lang={language}" in query]
    wanted = (tag.partition("-")[0].lower() for tag, quality in request.accept_languages if quality > 0)
    return next((language for language in [*asked, *wanted] if language in LANGUAGES), LANGUAGES[0])
