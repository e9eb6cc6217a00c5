"""The definition of an era of the protocol: its rules for requests, its methods and HTTP statuses.

*Modern* revisions carry their metadata in every request, *legacy* ones start with an `initialize` handshake. Versions
are looked up in tables and never compared as strings.

Source: MCP 2026-07-28, basic/versioning "Terminology" and "Backward Compatibility", basic/transports/streamable-http
"Request Metadata"; 2025-11-25, basic/transports "Protocol Version Header".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .context import Call, Caller
from .jsonrpc import INVALID_PARAMS, UNSUPPORTED_PROTOCOL_VERSION, Request, RpcError, prepared

# A method takes the request's params and returns the result: an object that orjson can serialize, or steps that end in
# one. It raises RpcError.
Method = Callable[[dict[str, Any], Call], Any]


@dataclass(frozen=True, slots=True)
class Era:
    """An era as implemented by one server. Its module defines `VERSIONS`, latest first, and the factory `era`."""

    name: str  # in the log
    accept: Callable[[Request, Caller], dict[str, Any]]  # returns the params; raises RpcError if a rule is broken
    methods: Mapping[str, Method]
    extensions: Callable[[dict[str, Any]], frozenset[str]]  # takes an accepted request's `_meta`; see context.Call
    batched: Callable[[str], bool]  # whether requests with this method may be in a batch
    status: int  # HTTP status of an error
    statuses: Mapping[int, int]  # HTTP status by error code, for codes with another status


def listing(what: str, page: dict[str, Any]) -> Method:
    """Create a method that returns a list with a single page. It rejects any cursor, because none is ever issued."""
    result = prepared(page)

    def listed(params: dict[str, Any], call: Call) -> Any:
        if params.get("cursor") is not None:
            raise RpcError(INVALID_PARAMS, f"Invalid params: unknown cursor; the list of {what} has a single page")
        return result

    return listed


def unsupported_version(requested: str, supported: tuple[str, ...]) -> RpcError:
    """Return the error that lists the versions this server supports."""
    return RpcError(
        UNSUPPORTED_PROTOCOL_VERSION,
        "Unsupported protocol version",
        data={"supported": supported, "requested": requested},
    )
