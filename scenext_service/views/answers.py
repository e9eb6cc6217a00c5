"""Answers that are made whole: kept by who asked, asked for again by their ETag, and sent in parts where one is wanted.

Source: RFC 9110, sections 8.8.3 (ETag), 13.1.5 (If-Range), 14 (range requests), 15.4.5 (304) and 15.5.17 (416).
"""

from hashlib import sha256
from typing import NamedTuple

from flask import Response, current_app, jsonify, request

SAFE = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # kept, and asked for again by its ETag
}
PICTURE = {"Content-Security-Policy": "default-src 'none'"}


class Made(NamedTuple):
    """An answer. `etag` is without its quotation marks."""

    body: bytes
    headers: dict[str, str]
    etag: str


def make_answer(body: bytes, media_type: str, headers: dict[str, str]) -> Made:
    """Make an answer; `headers` are those that it has beside, or in place of, the ones that all have."""
    etag = sha256(body + repr(sorted(headers.items())).encode()).hexdigest()[:32]
    return Made(body, {**SAFE, **headers, "Content-Type": media_type, "ETag": f'"{etag}"'}, etag)


def send(made: Made) -> Response:
    """Answer the current request, with 304 where the answer is there already."""
    headers = dict(made.headers)
    if request.if_none_match.contains_weak(made.etag):
        del headers["Content-Type"]
        return current_app.response_class([b""], 304, headers)
    return current_app.response_class([made.body], 200, {**headers, "Content-Length": str(len(made.body))})


def send_part(made: Made) -> Response:
    """Answer the current request as `send` does, or with the part that it wants; several parts come as the whole."""
    wanted = request.range
    whole = request.method != "GET" or bool(request.if_none_match)
    changed = request.headers.get("If-Range", made.headers["ETag"]) != made.headers["ETag"]
    if whole or changed or wanted is None or wanted.units != "bytes" or len(wanted.ranges) > 1:
        response = send(made)
    else:
        size = len(made.body)
        first, end = wanted.ranges[0]
        first, end = (max(size + first, 0) if first < 0 else first), min(end or size, size)
        if first >= end:
            response = jsonify(error="range_not_satisfiable")
            response.status_code = 416
            response.headers["Content-Range"] = f"bytes */{size}"
            return response
        length = {"Content-Range": f"bytes {first}-{end - 1}/{size}", "Content-Length": str(end - first)}
        response = current_app.response_class([made.body[first:end]], 206, {**made.headers, **length})
    response.headers["Accept-Ranges"] = "bytes"
    return response
