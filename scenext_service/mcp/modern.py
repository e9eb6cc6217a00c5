"""Revision 2026-07-28: the metadata required in every request, the methods, and the stamp added to every result.

A method missing from the table does not exist in this era. Nothing changes while the server runs, so there is nothing
to subscribe to.

Source: MCP 2026-07-28, basic/index "_meta", basic/transports/streamable-http "Server Validation" and "Value Encoding",
server/discover, server/tools, server/resources, server/utilities/caching.
"""

import base64
from typing import Any

from . import tasks
from .context import Call, Caller, Steps
from .eras import Era, listing, unsupported_version
from .jsonrpc import HEADER_MISMATCH, INVALID_PARAMS, METHOD_NOT_FOUND, Request, RpcError, params_of, prepared
from .registry import CAPABILITIES, Server
from .resources import APPS_EXTENSION, declares_views

VERSIONS = ("2026-07-28",)

PROTOCOL_VERSION = "io.modelcontextprotocol/protocolVersion"
CLIENT_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
CLIENT_INFO = "io.modelcontextprotocol/clientInfo"
SERVER_INFO = "io.modelcontextprotocol/serverInfo"

TTL_MS = 3_600_000  # milliseconds that a client may cache a list or a text; they change only with a release

_NAMED_METHODS = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}  # must match Mcp-Name
# Clients must send Mcp-Name with the methods of tasks too, but fastmcp-tasks 4.1.4 does not. If present, compare it.
_NAMED_IF_PRESENT = {**_NAMED_METHODS, **dict.fromkeys(("tasks/get", "tasks/update", "tasks/cancel"), "taskId")}

# The extensions that this package supports, and whether a client's settings declare the support that it needs.
_EXTENSIONS = {APPS_EXTENSION: declares_views, tasks.EXTENSION: tasks.declares_tasks}


def era(server: Server, supported: tuple[str, ...]) -> Era:
    """Create the era. Results that never change are built here, once."""
    stamp = {"resultType": "complete", "_meta": {SERVER_INFO: server.info}}
    cacheable = {"ttlMs": TTL_MS, "cacheScope": "public", **stamp}
    discovery = prepared(
        {
            "supportedVersions": supported,
            "capabilities": {**CAPABILITIES, "extensions": server.extensions()},
            "instructions": server.instructions,
            **cacheable,
            "_meta": {SERVER_INFO: {**server.info, **server.icons}},  # the only result that carries the icons
        }
    )

    def tools_call(params: dict[str, Any], call: Call) -> Steps[Any]:
        return _stamped(server.tools.call(params, call), stamp)

    def resources_read(params: dict[str, Any], call: Call) -> Any:
        address = call.caller.address
        # A result that contains the address is valid only for clients that use it, so shared caches must not keep it.
        scope = {"cacheScope": "private"} if address else {}
        return {**server.resources.read(params, INVALID_PARAMS, address), **cacheable, **scope}

    return Era(
        name="modern",
        accept=lambda request, caller: _accept(request, caller, supported),
        methods={
            "server/discover": lambda params, call: discovery,
            "tools/list": listing("tools", {"tools": server.tools.definitions(), **cacheable}),
            "tools/call": tools_call,
            "resources/list": listing("resources", {"resources": server.resources.definitions(), **cacheable}),
            "resources/templates/list": listing("resource templates", {"resourceTemplates": [], **cacheable}),
            "resources/read": resources_read,
            **tasks.methods(server.tasks, stamp),
        },
        extensions=_extensions,
        batched=lambda method: False,
        status=400,
        statuses={METHOD_NOT_FOUND: 404},
    )


def _stamped(steps: Steps[Any], stamp: dict[str, Any]) -> Steps[Any]:
    """Run the steps of a method, and add the stamp to its result.

    The result's own `_meta` is kept, and so is the type of a new task.
    """
    result = yield from steps
    meta = {**result["_meta"], **stamp["_meta"]} if "_meta" in result else stamp["_meta"]
    return {**result, **stamp, "resultType": result.get("resultType", stamp["resultType"]), "_meta": meta}


def _accept(request: Request, caller: Caller, supported: tuple[str, ...]) -> dict[str, Any]:
    """Return the params. Raises RpcError for incomplete metadata, a mismatched header or an unsupported version.

    The version header is compared before the version is checked, so that a client gets the mismatch error first.
    """
    params = params_of(request)
    version = _declared_version(params)
    _require_match("MCP-Protocol-Version", caller.protocol_version, version)
    if version not in VERSIONS:
        raise unsupported_version(version, supported)
    _require_match("Mcp-Method", caller.method, request.method)
    named = _NAMED_METHODS if caller.name is None else _NAMED_IF_PRESENT
    name = params.get(named.get(request.method, ""))
    # A name that is not a string has no header form. The method itself rejects it and states the reason.
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
    """Decode the `=?base64?…?=` form of a header value. Return None if a character or the Base64 is not allowed."""
    if value is None or not value.isascii():
        return None
    if not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    encoded = value[len("=?base64?") : -len("?=")]
    try:
        decoded = base64.b64decode(encoded, validate=True)
        # b64decode tolerates stray bits in the last character, but no encoder produces them.
        return decoded.decode() if base64.b64encode(decoded).decode() == encoded else None
    except ValueError:  # not Base64, not ASCII, or not UTF-8
        return None


def _extensions(meta: dict[str, Any]) -> frozenset[str]:
    """Return the extensions that both this package and the client support, by a request's metadata.

    `_accept` has accepted the metadata. The settings are not kept, because a waiting call would hold them in memory.
    """
    declared = meta[CLIENT_CAPABILITIES].get("extensions")
    if not declared or not isinstance(declared, dict):
        return frozenset()
    return frozenset(name for name, supports in _EXTENSIONS.items() if supports(declared.get(name)))
