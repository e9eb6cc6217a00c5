"""The handshake revisions, 2024-11-05 to 2025-11-25: their methods, answered without a session.

A method that is not in the table does not exist in this era, and no modern word may appear in its answers. Errors are
HTTP 200, because real clients take a 404 for a lost session and raise on 401 and 403.

Source: MCP 2025-11-25, basic/lifecycle, basic/utilities/ping, server/tools, server/resources; 2025-03-26,
basic/transports (batches).
"""

from typing import Any

from .call import Call, Caller
from .eras import Era, check_version_header, listing
from .jsonrpc import INVALID_PARAMS, UNSUPPORTED_PROTOCOL_VERSION, Request, RpcError, params_of
from .registry import CAPABILITIES, Server

VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")

UNDECLARED_VERSION = "2025-03-26"  # what a request without the header speaks
BATCH_VERSION = "2025-03-26"  # the only revision that has batches

_WITH_ICONS = ("2025-11-25",)  # the revisions in which a server may have some

RESOURCE_NOT_FOUND = -32002  # later revisions have INVALID_PARAMS in its place


def era(server: Server, supported: tuple[str, ...]) -> Era:
    """Make the era. Answers that never change are made once, here."""

    def initialize(params: dict[str, Any], call: Call) -> Any:
        requested = params.get("protocolVersion", VERSIONS[0])
        if not isinstance(requested, str):
            raise RpcError(INVALID_PARAMS, 'Invalid params: "protocolVersion" must be a string')
        version = requested if requested in VERSIONS else VERSIONS[0]
        return {
            "protocolVersion": version,
            "capabilities": CAPABILITIES,
            "serverInfo": {**server.info, **server.icons} if version in _WITH_ICONS else server.info,
            "instructions": server.instructions,
        }

    def ping(params: dict[str, Any], call: Call) -> Any:
        return {}

    def resources_read(params: dict[str, Any], call: Call) -> Any:
        return server.resources.read(params, RESOURCE_NOT_FOUND, call.caller.address)

    return Era(
        name="legacy",
        owns=lambda request, caller: True,  # what no other era owns
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
        batched=lambda method: method != "initialize",
        status=200,
        statuses={UNSUPPORTED_PROTOCOL_VERSION: 400},
    )


def _accept(request: Request, caller: Caller, supported: tuple[str, ...]) -> dict[str, Any]:
    """Return the params. Raises RpcError; `initialize` negotiates the version, whatever its header says."""
    if request.method != "initialize":
        check_version_header(caller.protocol_version, supported)
    return params_of(request)
