"""Peer B: bare WSGI and `requests` as in its manual, with one Session for all threads. Validates nothing."""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

import requests
from requests.adapters import HTTPAdapter

API = os.environ["SCENEXT_API_BASE_URL"]
THREADS = 256  # as in gunicorn's configuration; a smaller pool would discard connections

session = requests.Session()
session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=THREADS))


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer any request as if it were a call of query_video_status."""
    call = json.loads(environ["wsgi.input"].read())
    url = f"{API}/get_status/{call['params']['arguments']['task_id']}"
    response = session.get(url, headers={"Authorization": environ["HTTP_AUTHORIZATION"]}, timeout=20)
    data = response.json()["data"]
    result = {"content": [{"type": "text", "text": json.dumps(data)}], "structuredContent": data, "isError": False}
    body = json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": result}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
