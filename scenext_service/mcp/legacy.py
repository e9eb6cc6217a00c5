"""The handshake revisions, 2024-11-05 to 2025-11-25: their methods, without sessions.

A method missing from the table does not exist in this era, and no field of the modern era may appear in a response.
Errors have HTTP status 200, because real clients take a 404 for a lost session and raise on 401 and 403. `initialize`
sends no icons, although 2025-11-25 allows them: a large hosted client gives up after such a response, and older SDKs
reject `sizes: ["any"]`.

Source: MCP 2025-11-25, basic/lifecycle, basic/utilities/ping, server/tools, server/resources; 2025-03-26,
basic/transports (batches).
"""

from typing import Any

from .context import Call, Caller
from .eras import Era, listing, unsupported_version
from .jsonrpc import INVALID_PARAMS, UNSUPPORTED_PROTOCOL_VERSION, Request, RpcError, params_of
from .registry import CAPABILITIES, Server

VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")

UNDECLARED_VERSION = "2025-03-26"  # the version of a request without the header
BATCH_VERSION = "2025-03-26"  # the only revision with batches

RESOURCE_NOT_FOUND = -32002  # later revisions use INVALID_PARAMS


def era(server: Server, supported: tuple[str, ...]) -> Era:
    """Create the era. Results that never change are built here, once."""

    def initialize(params: dict[str, Any], call: Call) -> Any:
        requested = params.get("protocolVersion", VERSIONS[0])
        if not isinstance(requested, str):
            raise RpcError(INVALID_PARAMS, 'Invalid params: "protocolVersion" must be a string')
        version = requested if requested in VERSIONS else VERSIONS[0]
        return {
            "protocolVersion": version,
            "capabilities": CAPABILITIES,
            "serverInfo": server.info,
            "instructions": server.instructions,
        }

    def ping(params: dict[str, Any], call: Call) -> Any:
        return {}

    def resources_read(params: dict[str, Any], call: Call) -> Any:
        return server.resources.read(params, RESOURCE_NOT_FOUND, call.caller.address)

    return Era(
        name="legacy",
        accept=lambda request, caller: _accept(request, caller, supported),
        methods={
            "initialize": initialize,
            "ping": ping,
            "tools/list": listing("tools", {"tools": server.tools.definitions()}),
            "tools/call": server.tools.call,
            "resources/list": listing("resources", {"resources": server.resources.definitions()}),
            "resources/templates/list": listing("resource templates", {"resourceTemplates": []}),
            "resources/read": resources_read,
        },
        extensions=lambda meta: frozenset(),  # clients declare theirs in the handshake, which is not kept
        batched=lambda method: method != "initialize",
        status=200,
        statuses={UNSUPPORTED_PROTOCOL_VERSION: 400},
    )


def _accept(request: Request, caller: Caller, supported: tuple[str, ...]) -> dict[str, Any]:
    """Return the params. Raises RpcError. `initialize` negotiates the version, so its version header is ignored."""
    version = caller.protocol_version
    if version is not None and version not in supported and request.method != "initialize":
        raise unsupported_version(version, supported)
    return params_of(request)
