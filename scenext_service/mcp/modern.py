"""Revision 2026-07-28: the metadata that every request must carry, its methods, and the stamp on every result.

A method that is not in the table does not exist in this era. Nothing here changes while the server runs, so there is
nothing to subscribe to.

Source: MCP 2026-07-28, basic/index "_meta", basic/transports/streamable-http "Server Validation", server/discover,
server/tools, server/utilities/caching.
"""

from typing import Any

import orjson

from . import mirror
from .eras import (
    CLIENT_CAPABILITIES,
    CLIENT_INFO,
    MODERN_VERSIONS,
    PROTOCOL_VERSION,
    SERVER_INFO,
    SUPPORTED_VERSIONS,
    Headers,
    unsupported_version,
)
from .jsonrpc import HEADER_MISMATCH, INVALID_PARAMS, RpcError
from .registry import Caller, Registry
from .server import CAPABILITIES, Methods, Server, refuse_cursor

TTL_MS = 3_600_000  # milliseconds that a client may keep the list; it changes only with a new release

_NAMED_METHODS = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}  # whose Mcp-Name must agree


def check(method: str, params: dict[str, Any], headers: Headers, tools: Registry) -> None:
    """Raise RpcError where the metadata is incomplete, a header disagrees with the body, or the version is not ours.

    The version's header comes before the version: a client that disagrees with itself is told so first.
    """
    version = _declared_version(params)
    _agree("MCP-Protocol-Version", headers.protocol_version, version)
    if version not in MODERN_VERSIONS:
        raise unsupported_version(version)
    _agree("Mcp-Method", headers.method, method)
    name = params.get(_NAMED_METHODS.get(method, ""))
    # A name that is no string has no header form: the method itself refuses it, and says why.
    if isinstance(name, str):
        _agree("Mcp-Name", mirror.decode(headers.name), name)
        for one in tools.mirrored(name) if method == "tools/call" else ():
            mirror.check(one, params.get("arguments"), headers.parameter(one.name))


def methods(server: Server) -> Methods:
    """Make the table of the era's methods. Everything that stays the same between requests is written once, here."""
    meta = {SERVER_INFO: server.info}
    stamp = {"resultType": "complete", "_meta": orjson.Fragment(orjson.dumps(meta))}
    cacheable = {"ttlMs": TTL_MS, "cacheScope": "public", **stamp}
    tool_list = orjson.Fragment(orjson.dumps({"tools": server.tools.definitions(), **cacheable}))
    discovery = {
        "supportedVersions": SUPPORTED_VERSIONS,
        "capabilities": CAPABILITIES,
        "instructions": server.instructions,
    }
    discovered = orjson.Fragment(orjson.dumps({**discovery, **cacheable}))

    def discover(params: dict[str, Any], caller: Caller) -> Any:
        return discovered

    def tools_list(params: dict[str, Any], caller: Caller) -> Any:
        refuse_cursor(params)
        return tool_list

    def tools_call(params: dict[str, Any], caller: Caller) -> Any:
        return {**server.tools.call(params, caller), **stamp}

    return {"server/discover": discover, "tools/list": tools_list, "tools/call": tools_call}


def _declared_version(params: dict[str, Any]) -> str:
    meta = params.get("_meta")
    if not isinstance(meta, dict):
        raise RpcError(INVALID_PARAMS, 'Invalid params: "_meta" with the per-request metadata is missing')
    version = meta.get(PROTOCOL_VERSION)
    if not isinstance(version, str):
        raise RpcError(INVALID_PARAMS, f'Invalid params: _meta["{PROTOCOL_VERSION}"] must be a string')
    if not isinstance(meta.get(CLIENT_CAPABILITIES), dict):
        raise RpcError(INVALID_PARAMS, f'Invalid params: _meta["{CLIENT_CAPABILITIES}"] must be an object')
    if not isinstance(meta.get(CLIENT_INFO, {}), dict):
        raise RpcError(INVALID_PARAMS, f'Invalid params: _meta["{CLIENT_INFO}"] must be an object')
    return version


def _agree(header: str, value: str | None, expected: str) -> None:
    if value is None:
        raise RpcError(HEADER_MISMATCH, f"Header mismatch: the header {header} is missing or malformed")
    if value != expected:
        raise RpcError(
            HEADER_MISMATCH,
            f"Header mismatch: {header} header value '{value[:100]}' does not match body value '{expected[:100]}'",
        )
