"""Departures of this service from the plain libraries, each with the library code that replaces it when it is off.

`python tricks.py ROUNDS`, started by prices.py in the service's own environment, prints the cost of a request without
and with each of them as JSON. All requests go through the WSGI application, and a tool call reaches an upstream in
another process. The operation SEND lists the tools, and gunicorn's response sends them on a socket. Every answer is
compared with the first one, so a trick that changes an answer ends the run.
"""

import gc
import http.client
import json
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import orjson
import requests
from flask import Flask
from flask.ctx import RequestContext
from gunicorn.config import Config
from gunicorn.http import wsgi
from requests.adapters import HTTPAdapter
from scenext_service import create_app
from scenext_service.mcp import dispatch, jsonrpc
from scenext_service.mcp.http import PlainResponse
from scenext_service.scenext import client
from scenext_service.scenext.client import Scenext
from scenext_service.scenext.transport.adapter import DeadlineAdapter, _owner
from scenext_service.scenext.transport.connection import Connection, _Response
from scenext_service.server.application import LeanFlask, RememberingContext
from scenext_service.server.gunicorn import worker
from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection, _ResponseOptions
from werkzeug.test import create_environ
from werkzeug.wrappers import Response

import servers
from servers import CALL, LIST, MODERN

# Requests. After every exchange of an attribute, the interpreter drops specialized code and needs some requests to
# specialize it again. Batches are short so that the two sides of a comparison run under the same machine load.
WARM_UP, BATCH = 30, 60

SEND = "tools/list, sent"

# urllib3's `request` passes these to its `getresponse`.
_OPTIONS = _ResponseOptions("GET", "/", preload_content=False, decode_content=False, enforce_content_length=True)

Answer = tuple[str, list[tuple[str, str]], bytes]  # status, headers, body


def _prepared(self: Any, operation: Any, task_id: str, body: Any, key: str, headers: Any) -> requests.PreparedRequest:
    fixed = client._HEADERS if body is None else client._JSON_HEADERS
    sent = {**fixed, "Authorization": f"Bearer {key}", **headers}
    url = f"{self._base_url}{operation.path}{task_id}"
    return requests.Request(operation.method, url, headers=sent, data=body).prepare()


def _looked_up(self: Any, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
    pool: Any = HTTPAdapter.get_connection_with_tls_context(self, request, verify, proxies, cert)
    return pool.view_for(_owner(request))  # keys stay apart


class _EmailResponse(_Response):
    begin = http.client.HTTPResponse.begin


def _email_response(self: Any, *args: Any, **kwargs: Any) -> _Response:
    return _EmailResponse(self.timeout, *args, **kwargs)


def _email_headers(self: Any) -> HTTPResponse:
    self._response_options = _OPTIONS
    return HTTPConnection.getresponse(self)


_read = HTTPResponse.read


def _always_decoded(self: HTTPResponse, amt: int | None = None, decode_content: bool | None = None) -> bytes:
    return _read(self, amt, True)


@cache
def _page(prepared: orjson.Fragment) -> Any:
    return orjson.loads(orjson.dumps(prepared))


def _serialized(id: Any, value: Any) -> bytes:
    return jsonrpc.result(id, _page(value))


def _with_session(self: LeanFlask, environ: dict[str, Any]) -> RequestContext:
    return RememberingContext(self, environ)


@dataclass(frozen=True)
class Trick:
    """A departure. `plain` replaces attributes of `owner`; `where` is set if another docstring describes it."""

    name: str
    operation: str
    owner: Any  # a class or a module
    plain: Mapping[str, Any]
    where: str = ""

    def own(self) -> dict[str, Any]:
        """Return the current attributes. Patching has a cost of its own, so both sides are patched."""
        return {name: vars(self.owner)[name] for name in self.plain}

    def place(self) -> str:
        """Return the module and the qualified name of the code whose docstring refers to this trick."""
        return self.where or f"{self.owner.__module__}:{self.owner.__qualname__}.{next(iter(self.plain))}"


TRICKS = (
    Trick("request by hand", CALL, Scenext, {"_request": _prepared}),
    Trick(
        "pool looked up once",
        CALL,
        DeadlineAdapter,
        {"get_connection_with_tls_context": _looked_up, "cert_verify": HTTPAdapter.cert_verify},
    ),
    Trick("request target", CALL, DeadlineAdapter, {"request_url": HTTPAdapter.request_url}),
    Trick("headers sent", CALL, Connection, {"request": HTTPConnection.request}),
    Trick("headers received", CALL, Connection, {"getresponse": _email_headers, "response_class": _email_response}),
    Trick(
        "decoding only what is encoded",
        CALL,
        HTTPResponse,
        {"read": _always_decoded},
        where=f"{Scenext.__module__}:{Scenext.__qualname__}.{Scenext._read.__name__}",
    ),
    Trick("path without host", LIST, LeanFlask, {"create_url_adapter": Flask.create_url_adapter}),
    Trick("path in a dictionary", LIST, RememberingContext, {"match_request": RequestContext.match_request}),
    Trick(
        "empty hooks",
        LIST,
        LeanFlask,
        {
            "request_context": _with_session,
            "preprocess_request": Flask.preprocess_request,
            "process_response": Flask.process_response,
            "do_teardown_request": Flask.do_teardown_request,
            "do_teardown_appcontext": Flask.do_teardown_appcontext,
        },
        where=f"{LeanFlask.__module__}:{LeanFlask.__qualname__}",
    ),
    Trick(
        "prepared pages",
        LIST,
        dispatch,
        {"result": _serialized},
        where=f"{jsonrpc.__name__}:{jsonrpc.prepared.__qualname__}",
    ),
    Trick("response as it stands", LIST, PlainResponse, {"__call__": Response.__call__}),
    Trick(
        "one write per response",
        SEND,
        worker.Response,
        {"write": wsgi.Response.write, "default_headers": wsgi.Response.default_headers},
    ),
)


def main() -> None:
    """Measure all tricks round by round, so that other load on the machine affects all of them."""
    app = create_app()
    ask = {LIST: _asking(app, LIST), CALL: _asking(app, CALL), SEND: _sending(app)}
    right = {operation: ask[operation]() for operation in ask}
    for operation, (status, _, body) in right.items():
        servers.check(LIST if operation == SEND else operation, int(status.split()[0]), body.decode())
    gc.collect()
    gc.freeze()  # as gunicorn.conf.py does
    prices: dict[str, list[tuple[float, float]]] = {trick.name: [] for trick in TRICKS}
    for number in range(int(sys.argv[1])):
        for trick in TRICKS:
            cost = {}
            for on in (False, True) if number % 2 else (True, False):
                with patch.multiple(trick.owner, **(trick.own() if on else trick.plain)):
                    cost[on] = _price(ask[trick.operation], right[trick.operation])
            prices[trick.name].append((cost[False], cost[True]))
    print(json.dumps([(trick.name, trick.place(), prices[trick.name]) for trick in TRICKS]))


def _environ(operation: str) -> Callable[[], dict[str, Any]]:
    """Return a function that returns the environment of a request as a server creates it."""
    headers, body = servers.message(MODERN, operation)
    same = create_environ("/mcp", method="POST", headers={**headers, "X-Request-ID": "prices"}, data=body)
    return lambda: {**same, "wsgi.input": BytesIO(body.encode())}


def _asking(app: Any, operation: str) -> Callable[[], Answer]:
    """Return a function that sends the application one request as a server does."""
    environ = _environ(operation)

    def ask() -> Answer:
        started: list[Any] = []
        answer = app(environ(), lambda *head: started.extend(head))
        return started[0], started[1], b"".join(answer)

    return ask


def _sending(app: Any) -> Callable[[], Answer]:
    """Return a function that also sends the response to a client, as gunicorn does."""
    environ, settings = _environ(LIST), Config()
    request = SimpleNamespace(method="POST", version=(1, 1), should_close=bool)
    client, server = socket.socketpair()

    def ask() -> Answer:
        response = worker.Response(request, server, settings)
        for part in app(environ(), response.start_response):
            response.write(part)
        response.close()
        head, _, body = client.recv(1 << 20).partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        return status.removeprefix("HTTP/1.1 "), [("", line) for line in lines if not line.startswith("Date:")], body

    return ask


def _price(ask: Callable[[], Answer], right: Answer) -> float:
    """Return the CPU time of one request in microseconds. Raises ValueError if an answer changes."""
    for _ in range(WARM_UP):
        ask()
    begun = time.thread_time()
    answers = [ask() for _ in range(BATCH)]
    cost = time.thread_time() - begun
    if wrong := [answer for answer in answers if answer != right]:
        raise ValueError(f"another answer: {wrong[0]}, not {right}")
    return cost / BATCH * 1e6


if __name__ == "__main__":
    main()
