"""No caller's data outlives the call: no reference cycle holds the key or the request until the next collection."""

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
from tests.support.scripted import SkippedWaits
from tests.support.upstream import CERTIFICATE, Upstream, closed_port

pytestmark = pytest.mark.usefixtures("no_network_settings")

STREAM = "application/json, text/event-stream"
IMAGE = "iVBORw0KGgosentinelimage" + "A" * 1_000_000  # base64 of the first bytes of a PNG

QUERY = {"name": "query_video_status", "arguments": {"task_id": "12345"}}
WAIT = {"name": "query_video_status", "arguments": {"task_id": "12345", "wait_seconds": 2, "frames": "none"}}
GEN = {"name": "gen_video", "arguments": {"question_images": [IMAGE]}}


@pytest.fixture(scope="module", autouse=True)
def frozen() -> None:
    """Exempt the objects of earlier tests from garbage collection, which they would make slow."""
    gc.collect()
    gc.freeze()


@contextmanager
def uncollected() -> Iterator[list[Any]]:
    """Disable garbage collection in the block. Afterwards the list holds the objects that only a collection frees."""
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
    """Return whether an object is, or directly holds, the data of one call."""
    if isinstance(thing, (FrameType, TracebackType, BaseException, requests.PreparedRequest)):
        return True
    held = list(thing.values()) if isinstance(thing, dict) else thing if isinstance(thing, (list, tuple)) else []
    return any(secret in one for one in held if isinstance(one, str) for secret in (KEY, IMAGE[:24]))


def post(app: Flask, waits: SkippedWaits, call: Any, accept: str = "application/json", events: int = 100) -> Any:
    """Call a tool as a WSGI server does, because Flask's test client keeps the request. Return whether the call failed.

    Reads at most `events` events of a stream. Returns None if none of them is the response.
    """
    waits.skipped = 0.0
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
        answer = answer.removesuffix(b"\n\n").rpartition(b"\n\n")[2].removeprefix(b"event: message\ndata: ")
    return orjson.loads(answer)["result"]["isError"] if answer != b":" else None


def assert_forgotten(
    url: str, call: Any, failing: bool | None = True, accept: str = "application/json", events: int = 100
) -> None:
    """Make one call through the whole service, and check that it leaves no data behind."""
    waits = SkippedWaits()
    app = create_app(Config(api_base_url=url, timeout=0.3), clock=waits.clock)
    post(app, waits, call, accept, events)  # the first call creates objects that stay
    with uncollected() as found:
        failed = post(app, waits, call, accept, events)
    assert failed is failing
    assert [type(thing) for thing in found if of_a_caller(thing)] == []


@pytest.mark.parametrize(
    ("tls", "call"), [pytest.param(False, QUERY, id="plain-query"), pytest.param(True, GEN, id="tls-gen")]
)
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
    """Ours: exceptions of urllib3 form cycles with their frames, which hold the key and the whole request."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with Upstream(tls=tls) as upstream:
        assert_forgotten(f"{upstream.url}/{behaviour}", call)


@pytest.mark.parametrize("call", [pytest.param(QUERY, id="query"), pytest.param(GEN, id="gen")])
def test_a_call_that_was_never_sent_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, call: Any) -> None:
    """Ours: DNS failure, refused connection, untrusted certificate, rejected tunnel."""
    assert_forgotten("http://no-such-host.invalid/api", call)
    with closed_port() as port:
        assert_forgotten(f"http://127.0.0.1:{port}/api", call)
    with Upstream(tls=True) as upstream:
        assert_forgotten(f"{upstream.url}/api", call)
    with Upstream() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        assert_forgotten("https://refused.invalid/api", call)


@pytest.mark.parametrize("call", [pytest.param(QUERY, id="query"), pytest.param(GEN, id="gen")])
def test_a_successful_call_leaves_nothing_behind(call: Any) -> None:
    """Ours: nor does its response, which holds the links to the caller's video."""
    with Upstream() as upstream:
        assert_forgotten(f"{upstream.url}/api", call, failing=False)


@pytest.mark.parametrize("accept", ["application/json", STREAM], ids=["body", "stream"])
@pytest.mark.parametrize(
    ("behaviour", "failing"), [("api", False), ("good-then-closed", False), ("good-then-401", True)]
)
def test_a_call_that_waited_leaves_nothing_behind(behaviour: str, failing: bool, accept: str) -> None:
    """Ours: whether its later polls succeed or fail."""
    with Upstream() as upstream:
        assert_forgotten(f"{upstream.url}/{behaviour}", WAIT, failing, accept)


def test_a_disconnected_client_leaves_nothing_behind() -> None:
    """Ours: the stream is closed after its first event."""
    with Upstream() as upstream:
        assert_forgotten(f"{upstream.url}/api", WAIT, None, STREAM, events=1)


def test_the_check_finds_a_reference_cycle() -> None:
    """Ours: a check that cannot fail proves nothing."""
    with uncollected() as found:
        cycle: list[Any] = [KEY]
        cycle.append(cycle)
        del cycle
    assert [type(thing) for thing in found if of_a_caller(thing)] == [list]
