"""The Model Context Protocol (MCP) over plain HTTP POST.

A request passes through these modules from top to bottom, and its response travels back up:

    http          the endpoint, as a Flask blueprint; the only module that imports Flask
    gate          admission of clients that sign in, and the challenge to others
    http_request  rejection of requests by their origin and headers, and reading of bodies within limits
    streaming     long-running responses, as a stream of events or in one piece
    dispatch      from bytes to messages, batches and notifications; selection of a request's era
    jsonrpc       JSON-RPC messages and errors
    eras          the definition of an era, which is a family of protocol revisions
    legacy        the era of the handshake revisions
    modern        the era of revision 2026-07-28
    registry      the server's description and its tools: definitions, argument validation, calls
    tasks         tool calls that a client follows by polling (extension)
    resources     the server's resources, and those that hosts show in the chat (MCP Apps)
    context       per-message context: the client, the time limits, the log record, progress notifications

Nothing here depends on the Scenext API. To add a protocol revision to an existing era, add an entry to that era's
`VERSIONS`.
"""

from .context import Call, LogRecord, Steps
from .http import create_blueprint
from .http_request import BodyReader, Origins
from .registry import Server, Tool, ToolError, ToolResult
from .resources import html_view, shown_in

__all__ = [
    "BodyReader",
    "Call",
    "LogRecord",
    "Origins",
    "Server",
    "Steps",
    "Tool",
    "ToolError",
    "ToolResult",
    "create_blueprint",
    "html_view",
    "shown_in",
]
