"""The extension MCP Apps: a resource of HTML that a host shows in the chat beside a tool's calls, its view.

The host opens a frame for each call of a tool that names a view, and hands the call's result to it.

Source: MCP Apps 2026-01-26; for what ChatGPT reads in its place, `openai/widgetCSP` of its Apps SDK.
"""

from collections.abc import Collection
from typing import Any

from .call import Call
from .resources import Resource

EXTENSION = "io.modelcontextprotocol/ui"
MIME_TYPE = "text/html;profile=mcp-app"


def view(uri: str, name: str, title: str, html: str, origins: Collection[str]) -> Resource:
    """Make a view that may load pictures and films from these origins, and nothing else from anywhere.

    Where the service's own address is told, it is one of them.
    """

    def meta(address: str) -> dict[str, Any]:
        loads = sorted({*origins, *_origin(address)})
        return {
            "ui": {"csp": {"resourceDomains": loads}, "prefersBorder": True},
            "openai/widgetCSP": {"resource_domains": loads, "connect_domains": []},
        }

    return Resource(uri, name, title, MIME_TYPE, html, meta)


def _origin(address: str) -> list[str]:
    """Return the origin of an address; none where there is none, or one of IPv6, which no policy can name."""
    return ["/".join(address.split("/")[:3])] if address and "[" not in address else []


def shown_by(uri: str) -> dict[str, Any]:
    """Return the `_meta` of a tool of which the calls are shown by a view."""
    # No flat `ui/resourceUri` beside it: the hosts that read that one alone have been replaced.
    return {"ui": {"resourceUri": uri}}


def shows_views(call: Call) -> bool:
    """Return whether a client says that it shows views. One of a legacy era, whose handshake is not kept, cannot."""
    declared = call.extensions.get(EXTENSION)
    types = declared.get("mimeTypes") if isinstance(declared, dict) else None
    return isinstance(types, list) and MIME_TYPE in types
