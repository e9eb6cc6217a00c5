"""The handshake revisions, 2024-11-05 to 2025-11-25: their methods, answered without a session.

A method that is not in the table does not exist in this era, and no modern word may appear in its answers.

Source: MCP 2025-11-25, basic/lifecycle, basic/utilities/ping, server/tools.
"""

from typing import Any

import orjson

from .eras import LATEST_LEGACY_VERSION, LEGACY_VERSIONS
from .jsonrpc import INVALID_PARAMS, RpcError
from .registry import Caller
from .server import CAPABILITIES, Methods, Server, refuse_cursor


def methods(server: Server) -> Methods:
    """Make the table of the era's methods. Answers that never change are written once, here."""
    pong = orjson.Fragment(b"{}")
    tool_list = orjson.Fragment(orjson.dumps({"tools": server.tools.definitions()}))

    def initialize(params: dict[str, Any], caller: Caller) -> Any:
        requested = params.get("protocolVersion", LATEST_LEGACY_VERSION)
        if not isinstance(requested, str):
            raise RpcError(INVALID_PARAMS, 'Invalid params: "protocolVersion" must be a string')
        return {
            "protocolVersion": requested if requested in LEGACY_VERSIONS else LATEST_LEGACY_VERSION,
            "capabilities": CAPABILITIES,
            "serverInfo": server.info,
            "instructions": server.instructions,
        }

    def ping(params: dict[str, Any], caller: Caller) -> Any:
        return pong

    def tools_list(params: dict[str, Any], caller: Caller) -> Any:
        refuse_cursor(params)
        return tool_list

    return {
        "initialize": initialize,
        "ping": ping,
        "tools/list": tools_list,
        "tools/call": server.tools.call,
    }
