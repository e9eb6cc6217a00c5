"""Serve the sample video with its poster and a frame, and the media that the sandbox links to.

The sandbox has one video for all jobs, which is the sample. Its scenes are the frames of a job with the same question.
The frames of other jobs are rendered on request. All may be embedded cross-origin, because the card in the chat has an
opaque origin.

The links need the URL at which the client reached this service, which `address` reconstructs. Forwarded headers are
accepted from any client, because they only affect the links in the response to the request that carries them.
Werkzeug's ProxyFix does not fit: it would also replace the Host by which the endpoint recognizes its own pages, does
not read Forwarded, and accepts malformed values.

Source: Fetch, "Cross-Origin-Resource-Policy header"; PEP 3333, "URL Reconstruction"; RFC 7239; RFC 3986, section 3.2;
Werkzeug's manual, "X-Forwarded-For Proxy Fix".
"""

import re
from collections.abc import Callable
from functools import cache
from ipaddress import AddressValueError, IPv6Address
from typing import Any
from unicodedata import east_asian_width
from urllib.parse import quote
from zlib import crc32

from flask import Blueprint, Response, abort

from .static_response import PICTURE, TEMPLATES, Representation, prepare, read, respond

# Receives a task_id and a file name. Returns the first words of the question and the number of the frame (0 for the
# video), or None if there is no such file.
FindMedia = Callable[[str, str], tuple[str, int] | None]

_CACHED = {"Cache-Control": "max-age=3600", "Cross-Origin-Resource-Policy": "cross-origin"}

# The first words of a question that the sample video answers. Models rephrase it, and the sandbox cuts it with `…`.
_WHY_IS_THE_SKY_BLUE = re.compile(r"\bsky\b.*(?:\bblue|…)|\bblue\b.*\bsky\b|天空.*蓝|蓝.*天空", re.IGNORECASE)


def create_sample_blueprint() -> Blueprint:
    """Create the blueprint of the sample video, its poster and one frame, for the page at `/`."""
    blueprint = Blueprint("sample", __name__)

    @blueprint.get("/sample.mp4", provide_automatic_options=False)
    def video() -> Response:
        return respond(_video(), accept_ranges=True)

    @blueprint.get("/sample.svg", provide_automatic_options=False)
    def poster() -> Response:
        return respond(_scene(1))

    @blueprint.get("/sample-frame.svg", provide_automatic_options=False)
    def frame() -> Response:
        return respond(_scene(2))

    return blueprint


def create_sandbox_blueprint(paths: str, find: FindMedia) -> Blueprint:
    """Create the blueprint of the sandbox's media. `paths` is a route with `task_id` and `name`."""
    blueprint = Blueprint("sandbox", __name__)
    template = TEMPLATES.get_template("frame.svg")

    @blueprint.get(paths, provide_automatic_options=False)
    def media(task_id: str, name: str) -> Response:
        found = find(task_id, name)
        if found is None:
            abort(404)
        words, number = found
        if not number:
            return respond(_video(), accept_ranges=True)
        if _WHY_IS_THE_SKY_BLUE.search(words):
            return respond(_scene(number))
        hue = (crc32(words.encode()) + 20 * number) % 360
        svg = template.render(words=words, number=number, hue=hue, size=_font_size(words))
        return respond(_picture(svg.encode()))

    return blueprint


@cache  # as in `page`: tests start hundreds of applications
def _video() -> Representation:
    return prepare(read("sample.mp4"), "video/mp4", _CACHED)


@cache
def _scene(number: int) -> Representation:
    """Return a frame of the sample video; the first one is its poster."""
    return _picture(read(f"sample{number}.svg"))


def _picture(svg: bytes) -> Representation:
    return prepare(svg, "image/svg+xml", {**PICTURE, **_CACHED})


def _font_size(words: str) -> int:
    """Return the largest font size, of 54 at most, with which the words fit into a frame."""
    ems = sum(1.0 if east_asian_width(char) in "WF" else 0.6 for char in words)  # estimated
    return min(54, int(860 / max(ems, 1)))


_LABEL = "[a-z0-9_-]{1,63}"
_HOST = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL}){{0,126}}\.?|\[([0-9a-f:.]{{2,45}})\])(?::([0-9]{{1,5}}))?", re.IGNORECASE
)
_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]{1,99}){0,9}/?")


def address(environ: dict[str, Any]) -> str:
    """Return the URL of this service as the client sees it, without a trailing slash."""
    forwarded = _forwarded(environ.get("HTTP_FORWARDED", ""))
    proto = (_first(environ, "HTTP_X_FORWARDED_PROTO").lower(), forwarded.get("proto", "").lower())
    scheme = next((scheme for scheme in proto if scheme in ("http", "https")), environ["wsgi.url_scheme"])
    hosts = (_first(environ, "HTTP_X_FORWARDED_HOST"), forwarded.get("host", ""), environ.get("HTTP_HOST", ""))
    host = next((host for host in hosts if _is_host(host)), None) or _own(environ, scheme)
    prefix = _first(environ, "HTTP_X_FORWARDED_PREFIX")
    if not prefix or not _PREFIX.fullmatch(prefix):
        prefix = quote(environ.get("SCRIPT_NAME", "").encode("latin-1", "replace"))
    return f"{scheme}://{host}{prefix.rstrip('/')}"


def _first(environ: dict[str, Any], name: str) -> str:
    """Return the first value of a header. Each proxy appends one, so the first is from the proxy next to the client."""
    value: str = environ.get(name, "")
    return value.partition(",")[0].strip(" \t")


def _forwarded(header: str) -> dict[str, str]:
    """Return the parameters of a Forwarded header's first element, keyed by lower-case name."""
    pairs = (pair.partition("=") for pair in header.partition(",")[0].split(";"))
    return {name.strip(" \t").lower(): value.strip(" \t").strip('"') for name, _, value in pairs}


def _is_host(text: str) -> bool:
    """Return whether the text is exactly a host, with or without a port."""
    match = _HOST.fullmatch(text)
    try:
        return (
            match is not None and (match[1] is None or IPv6Address(match[1]) is not None) and int(match[2] or 1) < 65536
        )
    except AddressValueError:
        return False


def _own(environ: dict[str, Any], scheme: str) -> str:
    """Return the host and port from SERVER_NAME and SERVER_PORT, or `localhost` if they do not form a valid host."""
    name, port = environ["SERVER_NAME"], environ["SERVER_PORT"]
    bracketed = f"[{name}]" if ":" in name else name
    host = bracketed if port in ("", {"http": "80", "https": "443"}.get(scheme)) else f"{bracketed}:{port}"
    return host if _is_host(host) else "localhost"
