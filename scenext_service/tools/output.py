"""What an output schema says of a value that is Scenext's: the type that its API reference gives, and any other.

Scenext's values are passed on as they come, and clients refuse a result that breaks its schema: all of
docs/works-with.md do. A property without a type, on the other hand, is a warning in the MCP Inspector.
"""

from typing import Any


def loose(kind: str, description: str | None = None) -> dict[str, Any]:
    """Return the schema of a value that is of this type, or is not."""
    schema: dict[str, Any] = {"anyOf": [{"type": kind}, {"not": {"type": kind}}]}
    return schema if description is None else {**schema, "description": description}
