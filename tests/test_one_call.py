"""The way of one successful `tools/call` through the package: the modules and rooms that it enters."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from scenext_service import create_app
from scenext_service.config import Config
from tests.support.messages import BEARER, META, PING, Mcp
from tests.support.upstream import JOB, Upstream

from .test_house import MODULES, PACKAGE

MAX_MODULES = 16
MAX_CROSSINGS = 16  # calls and returns that change the room, callbacks included
MAX_PACKAGE_MODULES = 45  # without tools/, which each tool adds to, without signin/, and without `__init__`s
MAX_PUBLIC_NAMES = 12

LEGACY_CALL: dict[str, Any] = {
    **PING,
    "method": "tools/call",
    "params": {"name": "query_video_status", "arguments": {"task_id": "12345"}},
}
MODERN_CALL = {**LEGACY_CALL, "params": {**LEGACY_CALL["params"], "_meta": META}}
MODERN_HEADERS = {
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
    "Mcp-Name": "query_video_status",
}


class Way:
    """The modules that were entered, and each call or return from one room to another."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.crossings: list[str] = []
        self._stack: list[str] = []

    def follow(self, frame: FrameType, event: str, argument: Any) -> None:
        """Record an event, as `sys.setprofile` reports it."""
        path = Path(frame.f_code.co_filename)
        if not path.is_relative_to(PACKAGE):
            return
        module = path.relative_to(PACKAGE).as_posix()
        if event == "call":
            self.modules.add(module)
            self._cross(module, f"calls {frame.f_code.co_qualname}")
            self._stack.append(module)
        elif event == "return":
            self._stack.pop()
            self._cross(module, "returns")

    def _cross(self, module: str, verb: str) -> None:
        if self._stack and self._stack[-1].split("/")[0] != module.split("/")[0]:
            self.crossings.append(f"{self._stack[-1]} {verb} {module}")


@contextmanager
def followed() -> Iterator[Way]:
    """Follow the calls of this thread."""
    way = Way()
    sys.setprofile(way.follow)
    try:
        yield way
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize(
    ("message", "headers"),
    [pytest.param(LEGACY_CALL, {}, id="legacy"), pytest.param(MODERN_CALL, MODERN_HEADERS, id="modern")],
)
def test_one_call_takes_a_short_way(message: dict[str, Any], headers: dict[str, str]) -> None:
    """Ours: a reader who follows a call opens few modules, and meets no callback through a third room."""
    with Upstream() as upstream:
        mcp = Mcp(create_app(Config(api_base_url=f"{upstream.url}/api")).test_client())
        mcp.post(message, {**BEARER, **headers})  # opens the connection
        with followed() as way:
            response = mcp.post(message, {**BEARER, **headers})
    assert response.get_json()["result"]["structuredContent"] == JOB
    assert len(way.crossings) <= MAX_CROSSINGS, "\n".join(way.crossings)
    assert len(way.modules) <= MAX_MODULES, sorted(way.modules)


def test_the_package_has_few_modules() -> None:
    """Ours: a module is one subject, not a fragment of one."""
    apart = ("tools/", "signin/")
    modules = [module for module in MODULES if not module.startswith(apart) and not module.endswith("__init__.py")]
    assert len(modules) <= MAX_PACKAGE_MODULES, len(modules)


@pytest.mark.parametrize("room", ["mcp", "tools"])
def test_a_room_offers_few_names(room: str) -> None:
    """Ours: `__all__` lists the names for the other rooms."""
    names = __import__(f"scenext_service.{room}", fromlist=["__all__"]).__all__
    assert len(names) <= MAX_PUBLIC_NAMES, names
