"""The Model Context Protocol over plain HTTP POST.

A request moves one way, from top to bottom, and its answer back:

    transport    HTTP: path, method, Origin, media type, size, CORS. The only module that knows Flask.
    origins      which web pages may call
    dispatch     bytes to messages, batches and notifications, error code to HTTP status
    jsonrpc      the JSON-RPC envelope and its errors
    eras         protocol versions; which era a request belongs to
    legacy       the methods of the handshake revisions
    modern       the metadata checks and the methods of 2026-07-28
    mirror       arguments that a client repeats in headers
    registry     the tools: definitions, argument checks, calls
    arguments    what the model is told of arguments that do not fit

Nothing here knows Scenext. A new protocol revision of a known era is one entry in `eras`.
"""

from .origins import Origins
from .registry import Caller, Registry, Tool, ToolError, ToolResult
from .server import Server
from .transport import create_blueprint

__all__ = ["Caller", "Origins", "Registry", "Server", "Tool", "ToolError", "ToolResult", "create_blueprint"]
