"""Peer A: a WSGI application that reads the body and returns a constant, the lowest cost possible under gunicorn."""

from collections.abc import Callable, Iterable
from typing import Any

ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"query_video_status","inputSchema":{"type":"object"}}]}}'
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(ANSWER)))]


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer any request."""
    environ["wsgi.input"].read()
    start_response("200 OK", HEADERS)
    return [ANSWER]
