"""The Model Context Protocol over plain HTTP POST.

A request moves one way, from top to bottom, and its answer back:

    transport    HTTP: from a request to its answer, and its headers. The only module that knows Flask.
    refusals     what is refused before a message is read
    origins      which web pages may call
    browsers     what a person sees who opens the endpoint
    streaming    an answer that takes long: as a stream of events, or in one piece
    dispatch     bytes to messages, batches and notifications; which era a request belongs to
    jsonrpc      the JSON-RPC envelope and its errors
    eras         what an era is
    legacy       the era of the handshake revisions
    modern       the era of 2026-07-28
    registry     what the server has and says about itself; the tools: definitions, argument checks, calls
    resources    what there is to read
    apps         the resources that hosts show in the chat
    arguments    what the model is told of arguments that do not fit
    call         what goes along with a message: its caller, its record for the log, progress

Nothing here knows Scenext. A new protocol revision of a known era is one entry in that era's `VERSIONS`; a new era is a
module like `modern`, and one entry in `dispatch.ERAS`.
"""

from . import apps
from .call import Call, Caller, Record, Steps
from .origins import Origins
from .registry import Registry, Server, Tool, ToolError, ToolResult
from .resources import Resource, Resources
from .transport import create_blueprint

__all__ = [
    "Call",
    "Caller",
    "Origins",
    "Record",
    "Registry",
    "Resource",
    "Resources",
    "Server",
    "Steps",
    "Tool",
    "ToolError",
    "ToolResult",
    "apps",
    "create_blueprint",
]
