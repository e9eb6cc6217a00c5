"""Revision 2026-07-28: the metadata that every request must carry, its methods, and the stamp on every result.

A method that is not in the table does not exist in this era. Nothing here changes while the server runs, so there is
nothing to subscribe to.

Source: MCP 2026-07-28, basic/index "_meta", basic/transports/streamable-http "Server Validation" and "Value Encoding",
server/discover, server/tools, server/resources, server/utilities/caching.
"""

import base64
from typing import Any

from .call import Call, Caller, Steps
from .eras import Era, listing, unsupported_version
from .jsonrpc import HEADER_MISMATCH, INVALID_PARAMS, METHOD_NOT_FOUND, Request, RpcError, params_of
from .registry import CAPABILITIES, Server

VERSIONS = ("2026-07-28",)

PROTOCOL_VERSION = "io.modelcontextprotocol/protocolVersion"
CLIENT_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
CLIENT_INFO = "io.modelcontextprotocol/clientInfo"
SERVER_INFO = "io.modelcontextprotocol/serverInfo"

TTL_MS = 3_600_000  # milliseconds that a client may keep a list or a text; it changes only with a new release

_NAMED_METHODS = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}  # whose Mcp-Name must agree


def era(server: Server, supported: tuple[str, ...]) -> Era:
    """Make the era. Answers that never change are made once, here."""
    stamp = {"resultType": "complete", "_meta": {SERVER_INFO: server.info}}
    cacheable = {"ttlMs": TTL_MS, "cacheScope": "public", **stamp}
    discovery = {
        "supportedVersions": supported,
        "capabilities": {**CAPABILITIES, "extensions": server.extensions},
        "instructions": server.instructions,
        **cacheable,
        "_meta": {SERVER_INFO: {**server.info, **server.icons}},  # the one answer that introduces the server
    }

    def discover(params: dict[str, Any], call: Call) -> Any:
        return discovery

    def tools_call(params: dict[str, Any], call: Call) -> Steps[Any]:
        return {**(yield from server.tools.call(params, call)), **stamp}

    def resources_read(params: dict[str, Any], call: Call) -> Any:
        address = call.caller.address
        # What tells an address is for those who came by it.
        scope = {"cacheScope": "private"} if address else {}
        return {**server.resources.read(params, INVALID_PARAMS, address), **cacheable, **scope}

    return Era(
        name="modern",
        owns=owns,
        accept=lambda request, caller: _accept(request, caller, supported),
        methods={
            "server/discover": discover,
            "tools/list": listing("tools", {"tools": server.tools.definitions(), **cacheable}),
            "tools/call": tools_call,
            "resources/list": listing("resources", {"resources": server.resources.definitions(), **cacheable}),
            "resources/templates/list": listing("resource templates", {"resourceTemplates": [], **cacheable}),
            "resources/read": resources_read,
        },
        batched=lambda method: False,
        status=400,
        statuses={METHOD_NOT_FOUND: 404},
    )


def owns(request: Request, caller: Caller) -> bool:
    """Return whether a request is modern: by its body first, by its version header second.

    Never by Mcp-Method or Mcp-Name: mcp-remote sends both with a legacy `initialize`. And `initialize` without
    modern metadata selects the legacy era whatever its header says: it is what negotiates the version.
    """
    meta = request.params.get("_meta") if isinstance(request.params, dict) else None
    if isinstance(meta, dict) and PROTOCOL_VERSION in meta:
        return True
    return caller.protocol_version in VERSIONS and request.method != "initialize"


def _accept(request: Request, caller: Caller, supported: tuple[str, ...]) -> dict[str, Any]:
    """Return the params. Raises RpcError for incomplete metadata, a header that disagrees, a version that is not ours.

    The version's header comes before the version: a client that disagrees with itself is told so first.
    """
    params = params_of(request)
    version = _declared_version(params)
    _require_match("MCP-Protocol-Version", caller.protocol_version, version)
    if version not in VERSIONS:
        raise unsupported_version(version, supported)
    _require_match("Mcp-Method", caller.method, request.method)
    name = params.get(_NAMED_METHODS.get(request.method, ""))
    # A name that is not a string has no header form: the method itself refuses it, and says why.
    if isinstance(name, str):
        _require_match("Mcp-Name", decode(caller.name), name)
    return params


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


def _require_match(header: str, value: str | None, expected: str) -> None:
    if value is None:
        raise RpcError(HEADER_MISMATCH, f"Header mismatch: the header {header} is missing or malformed")
    if value != expected:
        raise RpcError(
            HEADER_MISMATCH,
            f"Header mismatch: {header} header value '{value[:100]}' does not match body value '{expected[:100]}'",
        )


def decode(value: str | None) -> str | None:
    """Undo the `=?base64?…?=` form of a header value; None where a character or the Base64 inside is not allowed."""
    if value is None or not value.isascii():
        return None
    if not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    encoded = value[len("=?base64?") : -len("?=")]
    try:
        decoded = base64.b64decode(encoded, validate=True)
        # b64decode tolerates stray bits in the last character, an encoder never sends them.
        return decoded.decode() if base64.b64encode(decoded).decode() == encoded else None
    except ValueError:  # not Base64, not ASCII, or not UTF-8
        return None
