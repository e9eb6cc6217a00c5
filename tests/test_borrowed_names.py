"""The internals of gunicorn, Flask, urllib3, requests and http.client that this package depends on.

These libraries do not promise to keep them, so `setup.cfg` limits the versions. Before you raise a limit, run this
module: it reports names that the new release lacks and functions whose parameters changed. It also fails if `server/`
or `scenext/` uses an internal name that is in neither table.
"""

import ast
import http.client
import importlib
import inspect
import os
import re
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from flask import Flask
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http import wsgi
from gunicorn.workers.gthread import TConn, ThreadWorker
from urllib3.connectionpool import HTTPConnectionPool

from tests.support.cases import case
from tests.support.upstream import Upstream

from .test_house import PACKAGE, imports, tree

ROOMS = ("scenext", "server")
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for room in ROOMS for path in (PACKAGE / room).rglob("*.py"))
LIBRARIES = ("flask", "gunicorn", "http.client", "requests", "urllib3")

# Attributes of modules and classes. A function maps to its parameters, with `=` after the optional ones; everything
# else maps to None. Most of them are methods that our classes override, or that call our code.
NAMES: dict[str, str | None] = {
    "flask.app:Flask.__init__": None,
    "flask.app:Flask.create_url_adapter": "self, request",
    "flask.app:Flask.do_teardown_appcontext": "self, exc=",
    "flask.app:Flask.do_teardown_request": "self, exc=",
    "flask.app:Flask.preprocess_request": "self",
    "flask.app:Flask.process_response": "self, response",
    "flask.app:Flask.request_context": "self, environ",
    "flask.app:Flask.session_interface": None,
    "flask.ctx:RequestContext.__init__": "self, app, environ, request=, session=",
    "flask.ctx:RequestContext.match_request": "self",
    "flask.globals:_cv_request": None,
    "gunicorn.config:Setting.get": "self",
    "gunicorn.glogging:Logger": None,
    "gunicorn.glogging:Logger.setup": "self, cfg",
    "gunicorn.http.body:Body.read": "self, size=",
    "gunicorn.http.errors:ConfigurationProblem": None,
    "gunicorn.http.errors:ExpectationFailed": None,
    "gunicorn.http.errors:ForbiddenProxyRequest": None,
    "gunicorn.http.errors:LimitRequestHeaders": None,
    "gunicorn.http.errors:LimitRequestLine": None,
    "gunicorn.http.errors:ParseException": None,
    "gunicorn.http.message:Request.should_close": "self",
    "gunicorn.http.unreader:SocketUnreader.__init__": "self, sock, max_chunk=",
    "gunicorn.http.unreader:SocketUnreader.chunk": "self, size_hint=",
    "gunicorn.http.wsgi:Response": None,
    "gunicorn.http.wsgi:Response.default_headers": "self",
    "gunicorn.http.wsgi:Response.force_close": "self",
    "gunicorn.http.wsgi:Response.should_close": "self",
    "gunicorn.http.wsgi:Response.start_response": "self, status, headers, exc_info=",
    "gunicorn.http.wsgi:Response.write": "self, arg",
    "gunicorn.util:http_date": "timestamp=",
    "gunicorn.util:write_nonblock": "sock, data, chunked=",
    "gunicorn.workers.base:Worker.handle_error": "self, req, client, addr, exc",
    "gunicorn.workers.base:Worker.load_wsgi": "self",
    "gunicorn.workers.gthread:PollableMethodQueue.defer": "self, callback, *args",
    "gunicorn.workers.gthread:STOP_KEEPALIVE_LINGER": None,
    "gunicorn.workers.gthread:TConn.__init__": "self, cfg, sock, client, server",
    "gunicorn.workers.gthread:TConn.close": "self, graceful=",
    "gunicorn.workers.gthread:TConn.init": "self",
    "gunicorn.workers.gthread:ThreadWorker._keepalive_after": "self, conn, keepalive",
    "gunicorn.workers.gthread:ThreadWorker.accept": "self, listener",
    "gunicorn.workers.gthread:ThreadWorker.enqueue_req": "self, conn",
    "gunicorn.workers.gthread:ThreadWorker.finish_request": "self, conn, fs",
    "gunicorn.workers.gthread:ThreadWorker.get_thread_pool": "self",
    "gunicorn.workers.gthread:ThreadWorker.handle": "self, conn",
    "gunicorn.workers.gthread:ThreadWorker.handle_h2c_upgrade": "self, conn, req, settings",
    "gunicorn.workers.gthread:ThreadWorker.handle_request": "self, req, conn",
    "gunicorn.workers.gthread:ThreadWorker.init_process": "self",
    "gunicorn.workers.gthread:ThreadWorker.murder_pending": "self",
    "gunicorn.workers.gthread:ThreadWorker.on_pending_socket_readable": "self, conn, client",
    "gunicorn.workers.gthread:ThreadWorker.set_accept_enabled": "self, enabled",
    "gunicorn.workers.gthread:ThreadWorker.wait_for_and_dispatch_events": "self, timeout",
    # These are the same in CPython 3.11 to 3.13. Two differences matter. From 3.13, read1() and readline() end a
    # response at its Content-Length, as read() does. From 3.12, `_tunnel`, which calls `_read_status`, uses HTTP/1.1
    # and keeps the proxy's headers.
    "http.client:HTTPConnection._output": "self, s",
    "http.client:HTTPConnection.endheaders": "self, message_body=, encode_chunked=",
    "http.client:HTTPConnection.getresponse": "self",
    "http.client:HTTPConnection.response_class": "sock, debuglevel=, method=, url=",
    "http.client:HTTPConnection.send": "self, data",
    "http.client:HTTPResponse.__init__": "self, sock, debuglevel=, method=, url=",
    "http.client:HTTPResponse._close_conn": "self",
    "http.client:HTTPResponse._read_next_chunk_size": "self",
    "http.client:HTTPResponse._read_status": "self",
    "http.client:HTTPResponse.begin": "self",
    "http.client:LineTooLong": None,
    "requests.adapters:BaseAdapter.__init__": "self",
    "requests.adapters:BaseAdapter.close": "self",
    "requests.adapters:BaseAdapter.send": "self, request, stream=, timeout=, verify=, cert=, proxies=",
    "requests.adapters:HTTPAdapter.__init__": "self, pool_connections=, pool_maxsize=, max_retries=, pool_block=",
    "requests.adapters:HTTPAdapter.build_response": "self, req, resp",
    "requests.adapters:HTTPAdapter.cert_verify": "self, conn, url, verify, cert",
    "requests.adapters:HTTPAdapter.close": "self",
    "requests.adapters:HTTPAdapter.get_connection_with_tls_context": "self, request, verify, proxies=, cert=",
    "requests.adapters:HTTPAdapter.init_poolmanager": "self, connections, maxsize, block=, **pool_kwargs",
    "requests.adapters:HTTPAdapter.proxy_manager_for": "self, proxy, **proxy_kwargs",
    "requests.adapters:HTTPAdapter.request_url": "self, request, proxies",
    "requests.adapters:HTTPAdapter.send": "self, request, stream=, timeout=, verify=, cert=, proxies=",
    "requests.models:Response.__init__": "self",
    "requests.models:Response.close": "self",
    "urllib3.connection:HTTPConnection._new_conn": "self",
    "urllib3.connection:HTTPConnection.getresponse": "self",
    "urllib3.connection:HTTPConnection.is_connected": None,
    "urllib3.connection:HTTPConnection.putrequest": "self, method, url, skip_host=, skip_accept_encoding=",
    "urllib3.connection:HTTPConnection.request": (
        "self, method, url, body=, headers=, chunked=, preload_content=, decode_content=, enforce_content_length="
    ),
    "urllib3.connection:HTTPSConnection.connect": "self",
    "urllib3.connectionpool:HTTPConnectionPool.ConnectionCls": None,
    "urllib3.connectionpool:HTTPConnectionPool.QueueCls": "maxsize=",
    "urllib3.connectionpool:HTTPSConnectionPool.ConnectionCls": None,
    "urllib3.exceptions:NameResolutionError.__init__": "self, host, conn, reason",
    "urllib3.exceptions:NewConnectionError.__init__": "self, conn, message",
    "urllib3.exceptions:ReadTimeoutError.__init__": "self, pool, url, message",
    "urllib3.response:HTTPResponse.close": "self",
    "urllib3.response:HTTPResponse.closed": None,
    "urllib3.response:HTTPResponse.read": "self, amt=, decode_content=, cache_content=",
    "urllib3.util.connection:allowed_gai_family": "",
    "urllib3.util.timeout:Timeout.__init__": "self, total=, connect=, read=",
    "urllib3.util.timeout:Timeout.clone": "self",
    "urllib3.util.timeout:Timeout.connect_timeout": None,
    "urllib3.util.timeout:Timeout.read_timeout": None,
    "urllib3.util.timeout:Timeout.start_connect": "self",
}

# Attributes that only instances have, not their classes.
ATTRIBUTES = {
    "flask.app:Flask": "after_request_funcs before_request_funcs teardown_appcontext_funcs teardown_request_funcs"
    " url_value_preprocessors",
    "flask.ctx:RequestContext": "_after_request_functions",
    "gunicorn.config:Config": "settings",
    "gunicorn.http.body:Body": "failed reader",
    "gunicorn.http.body:ChunkedReader": "parser",
    "gunicorn.http.body:LengthReader": "length",
    "gunicorn.http.message:Request": "body unreader",
    "gunicorn.http.parser:RequestParser": "mesg unreader",
    "gunicorn.http.unreader:SocketUnreader": "buf sock",
    "gunicorn.http.wsgi:Response": "chunked headers_sent must_close req sock status upgrade version",
    "gunicorn.workers.gthread:TConn": "cfg client data_ready initialized is_http2 parser sock timeout",
    "gunicorn.workers.gthread:ThreadWorker": "alive cfg method_queue nr_conns pending_conns poller tpool wsgi",
    "http.client:HTTPResponse": "chunk_left chunked fp headers length msg reason status version will_close",
    "requests.adapters:HTTPAdapter": "poolmanager",
    "requests.models:Response": "_content _content_consumed encoding history raw reason request url",
    "urllib3.connection:HTTPConnection": "_dns_host _method port sock socket_options timeout",
    "urllib3.connectionpool:HTTPConnectionPool": "pool",
    "urllib3.poolmanager:PoolManager": "pool_classes_by_scheme",
    "urllib3.response:HTTPResponse": "_connection _pool",
}
INSTANCE_NAMES = [f"{owner}.{name}" for owner, names in ATTRIBUTES.items() for name in names.split()]
BORROWED = sorted([*NAMES, *INSTANCE_NAMES])


def resolve(name: str) -> Any:
    """Return the object that a name of the table refers to. Fail the test if there is none."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part, None)
        if found is None:
            pytest.fail(f"{name} is gone")
    return found


def parameters(function: Any) -> str:
    """Return the parameters of a function in the notation of the table."""
    marks: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    found = inspect.signature(function).parameters.values()
    ends = ["" if each.default is each.empty else "=" for each in found]
    return ", ".join(f"{marks.get(each.kind, '')}{each.name}{end}" for each, end in zip(found, ends, strict=True))


def test_a_borrowed_name_exists_with_unchanged_parameters() -> None:
    """Ours: a new release that lacks a name fails here, before it fails in production."""
    for name in NAMES:
        with case(name):
            found, expected = resolve(name), NAMES[name]
            if expected is not None:
                assert parameters(found) == expected, name


def qualified(kind: type) -> str:
    """Return the name of a class in the notation of the tables."""
    return f"{kind.__module__}:{kind.__qualname__}"


@contextmanager
def requested(worker: Any, raw: bytes) -> Iterator[tuple[Any, Any]]:
    """Yield a gunicorn connection that has received a request, and the request."""
    ours, theirs = socket.socketpair()
    with ours, closing(TConn(worker.cfg, theirs, ("127.0.0.1", 1), ("127.0.0.1", 2))) as conn:
        ours.sendall(raw)
        conn.init()
        yield conn, next(conn.parser)


@contextmanager
def serving() -> Iterator[list[Any]]:
    """Yield the objects that gunicorn creates to serve requests. None of their classes is ours."""
    settings = Config()
    worker = ThreadWorker(0, os.getpid(), [], SimpleNamespace(wsgi=lambda: "app"), 30, settings, Logger(settings))
    worker.load_wsgi()
    head = b"POST / HTTP/1.1\r\nHost: x\r\n"
    with (
        closing(worker.tmp),
        requested(worker, head + b"Content-Length: 2\r\n\r\n{}") as (conn, request),
        requested(worker, head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n") as (_, chunked),
    ):
        response, _ = wsgi.create(request, conn.sock, conn.client, conn.server, settings)
        readers = [request.body.reader, chunked.body.reader]
        yield [settings, worker, conn, conn.parser, conn.parser.unreader, request, request.body, *readers, response]


@contextmanager
def calling() -> Iterator[list[Any]]:
    """Yield the objects that requests, urllib3 and http.client create for a call. None of their classes is ours."""
    with Upstream() as upstream, closing(HTTPConnectionPool("127.0.0.1", upstream.port, timeout=10)) as pool:
        plain = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=10)
        with closing(plain), closing(requests.adapters.HTTPAdapter()) as adapter:
            plain.request("GET", "/api")
            with plain.getresponse() as answer, pool.urlopen("GET", "/api", preload_content=False) as response:
                yield [answer, adapter, requests.Response(), response.connection, pool, adapter.poolmanager, response]


@pytest.fixture(scope="module")
def objects() -> Iterator[dict[str, Any]]:
    """Create an instance of each class in ATTRIBUTES, keyed by the name of the class."""
    app = Flask("app")
    with serving() as served, calling() as called, app.test_request_context() as context:
        yield {qualified(type(each)): each for each in [*served, *called, app, context]}


def test_a_borrowed_instance_attribute_exists(objects: dict[str, Any]) -> None:
    """Ours: the libraries create these objects themselves, so our code cannot hide a missing attribute."""
    for name in INSTANCE_NAMES:
        with case(name):
            owner, _, attribute = name.rpartition(".")
            assert owner in objects, f"{owner} is gone"
            assert attribute in vars(objects[owner]), f"{name} is gone"


def test_start_response_belongs_to_the_response(objects: dict[str, Any]) -> None:
    """Ours: `Worker` uses it to find the response, so that it can send `Connection: close` in time."""
    response = objects["gunicorn.http.wsgi:Response"]
    assert response.start_response.__self__ is response


@cache
def own_classes() -> list[type]:
    """Return the classes that `scenext/` and `server/` define."""
    names = [f"scenext_service.{name.removesuffix('.py').replace('/', '.')}" for name in MODULES]
    found = [(module, importlib.import_module(module.removesuffix(".__init__"))) for module in names]
    return [kind for name, module in found for kind in vars(module).values() if is_defined_in(kind, name)]


def is_defined_in(kind: Any, module: str) -> bool:
    return isinstance(kind, type) and kind.__module__ == module


def is_from_library(kind: type) -> bool:
    return any(f"{kind.__module__}.".startswith(f"{library}.") for library in LIBRARIES)


def overridden(kind: type) -> Iterator[tuple[type, str]]:
    """Yield the library class and the attribute name for each override in one of our classes or its bases."""
    order = kind.__mro__
    for place, own in enumerate(order):
        names = [name for name in vars(own) if name == "__init__" or not name.startswith(("__", "_abc_"))]
        for name in names if own in own_classes() else []:
            original = next((base for base in order[place:] if is_from_library(base) and name in vars(base)), None)
            if original is not None:
                yield original, name


def unlisted(kind: type) -> list[str]:
    """Return the overrides of a class that the table lacks. An override may be listed under any class of the MRO."""
    return [
        f"{qualified(original)}.{name}"
        for original, name in overridden(kind)
        if not any(f"{qualified(base)}.{name}" in NAMES for base in kind.__mro__)
    ]


def test_every_override_is_listed() -> None:
    """Ours: this also finds one of our names that a new release starts to use."""
    for kind in own_classes():
        with case(kind):
            assert unlisted(kind) == []


@pytest.mark.parametrize(
    "kind", [kind for kind in own_classes() if any(overridden(kind))], ids=lambda kind: kind.__name__
)
def test_an_override_accepts_the_original_arguments(kind: type) -> None:
    """Ours: gunicorn has no types, so mypy cannot check this. `__init__` may differ: only our code calls it."""
    for original, name in overridden(kind):
        theirs = vars(original)[name]
        if inspect.isfunction(theirs) and name != "__init__":
            names = [
                each.name
                for each in inspect.signature(theirs).parameters.values()
                if each.kind is each.POSITIONAL_OR_KEYWORD
            ]
            inspect.signature(getattr(kind, name)).bind(**dict.fromkeys(names))


def private(source: ast.Module) -> set[str]:
    """Return the private names that a module reads from objects of other modules.

    A name belongs to the module if one of its classes defines it or sets it on `self`, and if the module reads it from
    `self` or `super()`.
    """
    attributes = [node for node in ast.walk(source) if isinstance(node, ast.Attribute)]
    classes = [node for node in ast.walk(source) if isinstance(node, ast.ClassDef)]
    own = {node.attr for node in attributes if isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"}
    own |= {name for node in classes for statement in node.body for name in defined(statement)}
    return {
        node.attr
        for node in attributes
        if re.match(r"_(?!_)", node.attr) and not (node.attr in own and ast.unparse(node.value) in ("self", "super()"))
    }


def defined(statement: ast.stmt) -> list[str]:
    """Return the names that a statement in a class body assigns or defines."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


def test_every_borrowed_private_name_is_listed() -> None:
    """Ours: each such dependency is declared in a table."""
    for module in MODULES:
        with case(module):
            assert private(tree(module)) - {name.rpartition(".")[2] for name in BORROWED} == set()


def test_every_import_from_gunicorn_is_listed() -> None:
    """Ours: the only stable interface of gunicorn is its settings."""
    for module in MODULES:
        with case(module):
            borrowed = [f"{name.replace(':', '.')}." for name in BORROWED]
            taken = [name for name in imports(tree(module), module) if name.startswith("gunicorn.")]
            assert [name for name in taken if not any(each.startswith(f"{name}.") for each in borrowed)] == []


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param("raw._pool", {"_pool"}, id="attribute of another object"),
        pytest.param("self.raw._pool = None", {"_pool"}, id="assignment to another object"),
        pytest.param("self._unknown", {"_unknown"}, id="inherited attribute"),
        pytest.param("super()._unknown()", {"_unknown"}, id="inherited method"),
        pytest.param("self._declared", {"_declared"}, id="declared without a value"),
        pytest.param("self._made = self._made", set(), id="set on self"),
        pytest.param("self._method()", set(), id="own method"),
        pytest.param("self._first, self._second", set(), id="class attributes"),
        pytest.param("raw._method()", {"_method"}, id="same name on another object"),
        pytest.param("raw.__self__", set(), id="dunder name"),
    ],
)
def test_the_check_finds_borrowed_private_names(body: str, found: set[str]) -> None:
    """Ours: a check that cannot fail proves nothing."""
    source = (
        f"class A(B):\n    _declared: int\n    _first = 1\n    _second: int = 2\n    def _method(self):\n        {body}"
    )
    assert private(ast.parse(source)) == found


def test_the_check_finds_overrides() -> None:
    """Ours: a check that cannot fail proves nothing."""
    found = {f"{original.__name__}.{name}" for kind in own_classes() for original, name in overridden(kind)}
    assert found >= {"ThreadWorker._keepalive_after", "HTTPResponse._close_conn", "HTTPConnection.send", "TConn.init"}
    assert len(MODULES) > 15


def test_every_listed_name_is_used() -> None:
    """Ours: unused entries make the tables less useful over time."""
    source = "\n".join((PACKAGE / module).read_text(encoding="utf-8") for module in MODULES)
    words = set(re.findall(r"\w+", source))
    assert [name for name in BORROWED if re.split(r"[.:]", name)[-1] not in words] == []
