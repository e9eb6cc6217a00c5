"""Nothing of a caller outlives his call: no reference cycle keeps his key or his request until the next collection."""

import gc
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from types import FrameType, TracebackType
from typing import Any

import orjson
import pytest
import requests
from flask import Flask

from scenext_service import create_app
from scenext_service.config import Config
from tests.support.messages import KEY
from tests.support.upstream import CERTIFICATE, Upstream, closed_port

pytestmark = pytest.mark.usefixtures("no_network_settings")

STREAM = "application/json, text/event-stream"
IMAGE = "sentinel-image-" + "A" * 1_000_000

QUERY = {"name": "query_video_status", "arguments": {"task_id": "12345"}}
WAIT = {"name": "query_video_status", "arguments": {"task_id": "12345", "wait_seconds": 2, "frames": "none"}}
GEN = {"name": "gen_video", "arguments": {"question_images": [IMAGE]}}


@contextmanager
def uncollected() -> Iterator[list[Any]]:
    """Collect nothing meanwhile; afterwards the list holds what only a collection frees."""
    found: list[Any] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def of_a_caller(thing: Any) -> bool:
    """Tell whether an object is, or directly holds, what belongs to one call."""
    if isinstance(thing, (FrameType, TracebackType, BaseException, requests.PreparedRequest)):
        return True
    held = list(thing.values()) if isinstance(thing, dict) else thing if isinstance(thing, (list, tuple)) else []
    return any(secret in one for one in held if isinstance(one, str) for secret in (KEY, IMAGE[:20]))


def post(app: Flask, call: Any, accept: str = "application/json", events: int = 100) -> Any:
    """Call a tool as a WSGI server does: Flask's test client keeps what it sent. Return whether that failed.

    Of a stream no more than so many events are taken; None is returned where none of them was the answer.
    """
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/mcp",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": f"Bearer {KEY}",
        "HTTP_ACCEPT": accept,
        "wsgi.multithread": True,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
    }
    answered: Any = app(environ, lambda status, headers: None)  # type: ignore[arg-type]
    answer = b"".join(islice(answered, events))
    if hasattr(answered, "close"):
        answered.close()
    if accept == STREAM:
        answer = answer.removesuffix(b"\n\n").rpartition(b"\n\n")[2].removeprefix(b"data: ")
    return orjson.loads(answer)["result"]["isError"] if answer != b":" else None


def assert_forgotten(
    url: str, call: Any, failing: bool | None = True, accept: str = "application/json", events: int = 100
) -> None:
    """Make one call through the whole service, and look for what is left of it."""
    app = create_app(Config(api_base_url=url, timeout=0.3))
    post(app, call, accept, events)  # what is made once is there afterwards
    with uncollected() as found:
        failed = post(app, call, accept, events)
    assert failed is failing
    assert [type(thing) for thing in found if of_a_caller(thing)] == []


@pytest.mark.parametrize("call", [pytest.param(QUERY, id="query"), pytest.param(GEN, id="gen")])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "behaviour",
    [
        "closed",
        "reset",
        "silent",
        "silent-body",
        "half-body",
        "half-chunk",
        "bad-status",
        "not-http",
        "after-101",
        "endless-headers",
        "broken-gzip",
        "too-large",
        "two-lengths",
        "status-401",
        "status-503",
        "html",
        "limited",
    ],
)
def test_a_failed_call_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, behaviour: str, tls: bool, call: Any
) -> None:
    """Ours: exceptions of urllib3 hold the frames that hold them, and with them the key and the whole request."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with Upstream(tls=tls) as upstream:
        assert_forgotten(f"{upstream.url}/{behaviour}", call)


@pytest.mark.parametrize("call", [pytest.param(QUERY, id="query"), pytest.param(GEN, id="gen")])
def test_a_call_that_was_never_sent_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, call: Any) -> None:
    """Ours: no name, no connection, no certificate, no tunnel."""
    assert_forgotten("http://no-such-host.invalid/api", call)
    with closed_port() as port:
        assert_forgotten(f"http://127.0.0.1:{port}/api", call)
    with Upstream(tls=True) as upstream:
        assert_forgotten(f"{upstream.url}/api", call)
    with Upstream() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        assert_forgotten("https://refused.invalid/api", call)


@pytest.mark.parametrize("call", [pytest.param(QUERY, id="query"), pytest.param(GEN, id="gen")])
def test_a_good_call_leaves_nothing_behind(call: Any) -> None:
    """Ours: nor the answer, which holds the links to a caller's video."""
    with Upstream() as upstream:
        assert_forgotten(f"{upstream.url}/api", call, failing=False)


@pytest.mark.parametrize("accept", ["application/json", STREAM], ids=["body", "stream"])
@pytest.mark.parametrize(
    ("behaviour", "failing"), [("api", False), ("good-then-closed", False), ("good-then-401", True)]
)
def test_a_call_that_waited_leaves_nothing_behind(behaviour: str, failing: bool, accept: str) -> None:
    """Ours: whatever became of its later questions."""
    with Upstream() as upstream:
        assert_forgotten(f"{upstream.url}/{behaviour}", WAIT, failing, accept)


def test_a_caller_who_left_leaves_nothing_behind() -> None:
    """Ours: his stream is closed in the middle, and never finished."""
    with Upstream() as upstream:
        assert_forgotten(f"{upstream.url}/api", WAIT, None, STREAM, events=1)


def test_what_is_left_behind_is_noticed() -> None:
    """Ours: a check that cannot fail holds nothing."""
    with uncollected() as found:
        cycle: list[Any] = [KEY]
        cycle.append(cycle)
        del cycle
    assert [type(thing) for thing in found if of_a_caller(thing)] == [list]
