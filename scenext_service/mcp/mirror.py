"""Arguments that a client mirrors into HTTP headers, for tools whose schema asks for it with `x-mcp-header`.

The tools of this service do not; whoever registers one that does gets the checks that the specification demands.

Source: MCP 2026-07-28, basic/transports/streamable-http "Custom Headers from Tool Parameters" and "Value Encoding".
"""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .jsonrpc import HEADER_MISMATCH, RpcError

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2
_TYPES = ("string", "integer", "boolean")


class Mirrored(NamedTuple):
    """An argument, as the path of property names that lead to it, and the header `Mcp-Param-{name}` that mirrors it."""

    path: tuple[str, ...]
    name: str


def mirrored(schema: Mapping[str, Any]) -> tuple[Mirrored, ...]:
    """Return what a tool's input schema wants mirrored. Raises ValueError for an annotation that clients refuse."""
    found = tuple(_walk(schema, ()))
    names = [one.name.lower() for one in found]
    if len(set(names)) != len(names):
        raise ValueError(f"x-mcp-header names that differ in nothing but case: {names}")
    return found


def _walk(schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Mirrored]:
    for key, value in schema.get("properties", {}).items():
        if "x-mcp-header" in value:
            name = value["x-mcp-header"]
            if not isinstance(name, str) or not _TOKEN.fullmatch(name) or value.get("type") not in _TYPES:
                raise ValueError(f"x-mcp-header {name!r} of {key!r} is no header name, or its type has no header form")
            yield Mirrored((*path, key), name)
        yield from _walk(value, (*path, key))


def check(one: Mirrored, arguments: Any, header: str | None) -> None:
    """Raise RpcError(HEADER_MISMATCH) where a header does not say what its argument says."""
    value = arguments
    for key in one.path:
        value = value.get(key) if isinstance(value, dict) else None
    if not _same(decode(header), header is None, value):
        raise RpcError(HEADER_MISMATCH, f"Header mismatch: Mcp-Param-{one.name} does not match {'.'.join(one.path)}")


def _same(said: str | None, absent: bool, value: Any) -> bool:
    if value is None or absent:
        return value is None and absent
    if said is None:
        return False
    if isinstance(value, bool):
        return said == str(value).lower()
    if isinstance(value, int):
        try:
            return float(said) == value  # 42 and 42.0 are the same
        except ValueError:
            return False
    return bool(said == value)


def decode(value: str | None) -> str | None:
    """Undo the `=?base64?…?=` form of a header value; None where a character or the Base64 inside is not allowed."""
    if value is None or not value.isascii():
        return None
    if not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    encoded = value[len("=?base64?") : -len("?=")]
    try:
        decoded = base64.b64decode(encoded, validate=True)
        # b64decode tolerates stray bits in the last character, an encoder never sends them.
        return decoded.decode() if base64.b64encode(decoded).decode() == encoded else None
    except ValueError:  # not Base64, not ASCII, or not UTF-8
        return None
