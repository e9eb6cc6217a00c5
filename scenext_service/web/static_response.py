"""The files in `assets`, and responses with fixed content: cacheable, with ETags, and in byte ranges on request.

Source: RFC 9110, sections 8.8.3 (ETag), 13 (conditional requests) and 14 (range requests).
"""

import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from flask import Response, abort, request
from jinja2 import Environment, FileSystemLoader, StrictUndefined

_ASSETS = Path(__file__).parent / "assets"

TEMPLATES = Environment(
    loader=FileSystemLoader(_ASSETS),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    comment_start_string="/*",  # so that comments in CSS and JavaScript are not sent
    comment_end_string="*/",
)

SAFE = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # cached, but revalidated by ETag before each use
}
PICTURE = {"Content-Security-Policy": "default-src 'none'"}


def read(name: str) -> bytes:
    """Return the content of an asset."""
    return (_ASSETS / name).read_bytes()


def read_toml(name: str) -> dict[str, Any]:
    """Return the content of a TOML asset."""
    return tomllib.loads(read(name).decode())


class Representation(NamedTuple):
    """The body and the headers of a response."""

    body: bytes
    headers: dict[str, str]


def prepare(body: bytes, media_type: str, headers: dict[str, str]) -> Representation:
    """Return the representation with an ETag. `headers` extend or replace those in SAFE."""
    etag = sha256(body + repr(sorted(headers.items())).encode()).hexdigest()[:32]
    return Representation(body, {**SAFE, **headers, "Content-Type": media_type, "ETag": f'"{etag}"'})


def respond(representation: Representation, *, accept_ranges: bool = False) -> Response:
    """Return the response to the current request: the whole body, a range (206), or no body if it is unchanged (304).

    Aborts with 412 if the request has another ETag in If-Match, and with 416 if its range is invalid.
    """
    response = Response(representation.body, headers=representation.headers)
    response.make_conditional(request)
    if response.status_code == 412:
        abort(412)
    # Werkzeug 3.1.9 evaluates Range before If-None-Match (RFC 9110, section 13.2.2: after it), hence the second call.
    if accept_ranges and response.status_code == 200:
        response.make_conditional(request, accept_ranges=True, complete_length=len(representation.body))
    return response
