"""What an era of the protocol is: which requests are its own, what they must keep to, its methods, its statuses.

*Modern* revisions carry their metadata in every request, *legacy* ones open with an `initialize` handshake.
Versions are looked up in tables and never compared as strings.

Source: MCP 2026-07-28, basic/versioning "Terminology" and "Backward Compatibility", basic/transports/streamable-http
"Request Metadata"; 2025-11-25, basic/transports "Protocol Version Header".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .call import Call, Caller
from .jsonrpc import INVALID_PARAMS, UNSUPPORTED_PROTOCOL_VERSION, Request, RpcError

# A method takes its params and returns the result: an object that orjson can write, or steps that end in one. It raises
# RpcError.
Method = Callable[[dict[str, Any], Call], Any]


@dataclass(frozen=True, slots=True)
class Era:
    """An era, as one server speaks it. Its module has `VERSIONS`, the latest first, and `era`, which makes this."""

    name: str  # in the log
    owns: Callable[[Request, Caller], bool]
    accept: Callable[[Request, Caller], dict[str, Any]]  # returns the params; raises RpcError where a rule is broken
    methods: Mapping[str, Method]
    batched: Callable[[str], bool]  # whether a request of this method may be in a batch
    status: int  # HTTP status of an error
    statuses: Mapping[int, int]  # HTTP status of an error by its code, where it is another


def listing(what: str, page: dict[str, Any]) -> Method:
    """Make the method that answers with a list of one page. It refuses any cursor, because none was ever handed out."""

    def listed(params: dict[str, Any], call: Call) -> Any:
        if params.get("cursor") is not None:
            raise RpcError(INVALID_PARAMS, f"Invalid params: unknown cursor; the list of {what} has a single page")
        return page

    return listed


def check_version_header(version: str | None, supported: tuple[str, ...]) -> None:
    """Raise RpcError for a version that no era has; a request need not name one."""
    if version is not None and version not in supported:
        raise unsupported_version(version, supported)


def unsupported_version(requested: str, supported: tuple[str, ...]) -> RpcError:
    """Make the error that lists the versions this server speaks."""
    return RpcError(
        UNSUPPORTED_PROTOCOL_VERSION,
        "Unsupported protocol version",
        data={"supported": supported, "requested": requested},
    )
