"""Protocol versions, the headers that mirror a request, and which era a request belongs to.

*Modern* revisions carry their metadata in every request, *legacy* ones open with an `initialize` handshake.
Versions are looked up in these tables and never compared as strings.

Source: MCP 2026-07-28, basic/versioning "Terminology" and "Backward Compatibility", basic/transports/streamable-http
"Request Metadata"; 2025-11-25, basic/transports "Protocol Version Header".
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

from .jsonrpc import UNSUPPORTED_PROTOCOL_VERSION, RpcError

MODERN_VERSIONS = ("2026-07-28",)
LEGACY_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
SUPPORTED_VERSIONS = MODERN_VERSIONS + LEGACY_VERSIONS

LATEST_LEGACY_VERSION = LEGACY_VERSIONS[0]
UNDECLARED_VERSION = "2025-03-26"  # what a request without the header speaks
BATCH_VERSION = "2025-03-26"  # the only revision that has batches

PROTOCOL_VERSION = "io.modelcontextprotocol/protocolVersion"
CLIENT_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
CLIENT_INFO = "io.modelcontextprotocol/clientInfo"
SERVER_INFO = "io.modelcontextprotocol/serverInfo"


class Era(StrEnum):
    """How a request conveys its version, and so which table its method is looked up in."""

    LEGACY = "legacy"
    MODERN = "modern"


class Headers(NamedTuple):
    """The HTTP headers that MCP gives a meaning; None where the request has none."""

    protocol_version: str | None = None  # MCP-Protocol-Version
    method: str | None = None  # Mcp-Method
    name: str | None = None  # Mcp-Name
    traceparent: str | None = None  # W3C Trace Context
    parameter: Callable[[str], str | None] = lambda name: None  # the header Mcp-Param-{name}


def classify(method: str, params: Any, headers: Headers) -> Era:
    """Tell the era of a message from its body first, its version header second.

    Never by Mcp-Method or Mcp-Name: mcp-remote sends both with a legacy `initialize`. And `initialize` without
    modern metadata selects the legacy era whatever its header says: it is what negotiates the version.
    """
    if isinstance(params, dict):
        meta = params.get("_meta")
        if isinstance(meta, dict) and PROTOCOL_VERSION in meta:
            return Era.MODERN
    if headers.protocol_version in MODERN_VERSIONS and method != "initialize":
        return Era.MODERN
    return Era.LEGACY


def unsupported_version(requested: str) -> RpcError:
    """Make the error that lists the versions this server speaks."""
    return RpcError(
        UNSUPPORTED_PROTOCOL_VERSION,
        "Unsupported protocol version",
        data={"supported": SUPPORTED_VERSIONS, "requested": requested},
    )
