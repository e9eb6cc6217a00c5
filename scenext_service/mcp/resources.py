"""What a server has to read: what `resources/list` publishes, and what `resources/read` returns.

Source: MCP 2026-07-28, server/resources.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .jsonrpc import INVALID_PARAMS, RpcError


@dataclass(frozen=True, slots=True)
class Resource:
    """A text that clients can read. `meta` makes what goes along with it as `_meta`, from its reader's address."""

    uri: str
    name: str
    title: str
    mime_type: str
    text: str
    meta: Callable[[str], dict[str, Any]] | None = None

    def definition(self) -> dict[str, Any]:
        """Return the resource as `resources/list` shows it."""
        return {"uri": self.uri, "name": self.name, "title": self.title, "mimeType": self.mime_type}

    def contents(self, address: str) -> dict[str, Any]:
        """Return the resource as `resources/read` shows it."""
        contents = {"uri": self.uri, "mimeType": self.mime_type, "text": self.text}
        return contents if self.meta is None else {**contents, "_meta": self.meta(address)}


class Resources:
    """The resources of a server, in the order in which they are listed."""

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._resources = {resource.uri: resource for resource in resources}

    def definitions(self) -> list[dict[str, Any]]:
        """Return every resource's definition."""
        return [resource.definition() for resource in self._resources.values()]

    def read(self, params: dict[str, Any], unknown: int, address: str = "") -> dict[str, Any]:
        """Answer `resources/read`. Raises RpcError, with the code `unknown` where there is no such resource."""
        uri = params.get("uri")
        if not isinstance(uri, str):
            raise RpcError(INVALID_PARAMS, 'Invalid params: "uri" must be a string, the uri of a resource')
        resource = self._resources.get(uri)
        if resource is None:
            raise RpcError(unknown, f"Resource not found: {uri[:100]}", data={"uri": uri})
        return {"contents": [resource.contents(address)]}
