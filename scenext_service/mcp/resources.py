"""The resources of a server: published by `resources/list`, returned by `resources/read`.

This includes views, the HTML resources of the MCP Apps extension. A host opens a frame for each call of a tool that
names a view, and passes the call's result to it.

Source: MCP 2026-07-28, server/resources; MCP Apps 2026-01-26; OpenAI's Apps SDK for `openai/widgetCSP`, which ChatGPT
reads instead of `ui.csp`.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from .jsonrpc import INVALID_PARAMS, RpcError

APPS_EXTENSION = "io.modelcontextprotocol/ui"
VIEW_MIME_TYPE = "text/html;profile=mcp-app"


@dataclass(frozen=True, slots=True)
class Resource:
    """A text that clients can read. `meta` returns its `_meta`, given the address at which the client read it."""

    uri: str
    name: str
    title: str
    mime_type: str
    text: str
    meta: Callable[[str], dict[str, Any]] | None = None

    def definition(self) -> dict[str, Any]:
        """Return the resource as published by `resources/list`."""
        return {"uri": self.uri, "name": self.name, "title": self.title, "mimeType": self.mime_type}

    def contents(self, address: str) -> dict[str, Any]:
        """Return the contents of the resource for `resources/read`."""
        contents = {"uri": self.uri, "mimeType": self.mime_type, "text": self.text}
        return contents if self.meta is None else {**contents, "_meta": self.meta(address)}


class Resources:
    """The resources of a server, in listing order."""

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._resources = {resource.uri: resource for resource in resources}

    def definitions(self) -> list[dict[str, Any]]:
        """Return the definitions of all resources."""
        return [resource.definition() for resource in self._resources.values()]

    def extensions(self) -> dict[str, Any]:
        """Return the protocol extensions to declare: MCP Apps if there is a view."""
        views = any(resource.mime_type == VIEW_MIME_TYPE for resource in self._resources.values())
        return {APPS_EXTENSION: {}} if views else {}

    def read(self, params: dict[str, Any], unknown: int, address: str = "") -> dict[str, Any]:
        """Handle `resources/read`. Raises RpcError, with the code `unknown` if there is no such resource."""
        uri = params.get("uri")
        if not isinstance(uri, str):
            raise RpcError(INVALID_PARAMS, 'Invalid params: "uri" must be a string, the uri of a resource')
        resource = self._resources.get(uri)
        if resource is None:
            raise RpcError(unknown, f"Resource not found: {uri[:100]}", data={"uri": uri})
        return {"contents": [resource.contents(address)]}


def declares_views(settings: Any) -> bool:
    """Return whether a client's settings of the MCP Apps extension, as received, declare support for views."""
    types = settings.get("mimeTypes") if isinstance(settings, dict) else None
    return isinstance(types, list) and VIEW_MIME_TYPE in types


def html_view(uri: str, name: str, title: str, html: str, origins: Collection[str]) -> Resource:
    """Create a view that may load images and videos from these origins, and nothing else from the network.

    If the service's own address is known, its origin is allowed too.
    """

    def meta(address: str) -> dict[str, Any]:
        loads = sorted({*origins, *_origin(address)})
        return {
            "ui": {"csp": {"resourceDomains": loads}, "prefersBorder": True},
            "openai/widgetCSP": {"resource_domains": loads, "connect_domains": []},
        }

    return Resource(uri, name, title, VIEW_MIME_TYPE, html, meta)


def _origin(address: str) -> list[str]:
    """Return the origin of an address as a list.

    The list is empty without an address, or for an IPv6 host, for which a Content-Security-Policy has no syntax.
    """
    return ["/".join(address.split("/")[:3])] if address and "[" not in address else []


def shown_in(uri: str) -> dict[str, Any]:
    """Return the `_meta` of a tool whose calls are shown in this view."""
    # The flat key `ui/resourceUri` is left out: the hosts that read only that one have been replaced.
    return {"ui": {"resourceUri": uri}}
