"""What an MCP server tells of itself, and the tools it has: the input of both eras' method tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .jsonrpc import INVALID_PARAMS, RpcError
from .registry import Caller, Registry

# A method takes its params and the caller and returns the result: an object that orjson can write.
Method = Callable[[dict[str, Any], Caller], Any]
Methods = Mapping[str, Method]

CAPABILITIES: dict[str, Any] = {"tools": {}}  # nothing changes while the server runs, so no listChanged


@dataclass(frozen=True, slots=True)
class Server:
    """An MCP server: `info` is the specification's Implementation object, `instructions` are for the model."""

    info: dict[str, Any]
    instructions: str
    tools: Registry


def refuse_cursor(params: dict[str, Any]) -> None:
    """Raise RpcError(INVALID_PARAMS) for any cursor: the list has one page, so none was ever handed out."""
    if params.get("cursor") is not None:
        raise RpcError(INVALID_PARAMS, "Invalid params: unknown cursor; the list of tools has a single page")
