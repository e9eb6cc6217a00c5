"""JSON-RPC 2.0 messages as restricted by MCP: parsing, classification and serialization.

Source: JSON-RPC 2.0; MCP 2026-07-28, basic/index, "Messages" and "Error Codes".
"""

from dataclasses import dataclass
from typing import Any

import orjson

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020  # since 2026-07-28
MISSING_REQUIRED_CLIENT_CAPABILITY = -32021  # since 2026-07-28
UNSUPPORTED_PROTOCOL_VERSION = -32022  # since 2026-07-28

# Limits on the parts of a body, counted before it is decoded: 8 MiB of `[[],[],…]` are 3 million objects. They take
# 300 MB, and 1.6 s during which no other thread runs. An image is a single string of any size.
MAX_CONTAINERS = 20_000  # objects and arrays
MAX_VALUES = 100_000  # members of objects and arrays, minus one for each container

Id = str | int


class RpcError(Exception):
    """A failure that is sent as a JSON-RPC error. `id` is None if the id of the request is unknown."""

    def __init__(self, code: int, message: str, *, data: Any = None, id: Id | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.id = id


@dataclass(slots=True)  # not frozen, like context.TimeBudget
class Request:
    """A message that requires a response. `params` is not validated yet: see `params_of`."""

    id: Id
    method: str
    params: Any


@dataclass(frozen=True, slots=True)
class Notification:
    """A message that requires no response: a method without an id."""

    method: str
    params: Any


@dataclass(frozen=True, slots=True)
class Response:
    """A response posted by the peer. This server sends no requests, so it only acknowledges the response."""


Message = Request | Notification | Response


def loads(body: bytes) -> Any:
    """Decode a JSON text. Raises RpcError(PARSE_ERROR) for anything that RFC 8259 does not allow.

    Raises RpcError(INVALID_REQUEST) for a text with too many parts.
    """
    if len(body) > MAX_CONTAINERS:  # a shorter body cannot exceed the limits
        _check_parts(body)
    try:
        return orjson.loads(body)
    except ValueError as error:
        raise RpcError(PARSE_ERROR, f"Parse error: the body is not valid JSON ({error})") from None


def _check_parts(body: bytes) -> None:
    containers, values = _parts(body)
    if containers > MAX_CONTAINERS or values > MAX_VALUES:
        containers, values = _parts(_without_strings(body))
    if containers > MAX_CONTAINERS:
        raise _too_many(f"{containers} objects and arrays", MAX_CONTAINERS)
    if values > MAX_VALUES:
        raise _too_many(f"more than {values} values", MAX_VALUES)


def _parts(body: bytes) -> tuple[int, int]:
    return body.count(b"{") + body.count(b"["), body.count(b",")


def _without_strings(body: bytes) -> bytes:
    """Return the parts of a JSON text outside its strings, or all of it if it has too many strings to split."""
    body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if body.count(b'"') > 4 * (MAX_CONTAINERS + MAX_VALUES):  # a name and a value each, two quotes per string
        return body
    return b"".join(body.split(b'"')[::2])


def _too_many(found: str, limit: int) -> RpcError:
    return RpcError(INVALID_REQUEST, f"Invalid Request: the body has {found}; at most {limit} are allowed")


def parse(value: Any) -> Message:
    """Classify a decoded JSON value. Raises RpcError(INVALID_REQUEST), with the id if the message has a usable one."""
    if not isinstance(value, dict):
        raise RpcError(INVALID_REQUEST, "Invalid Request: a JSON-RPC message must be a JSON object")
    id = value.get("id")
    usable = isinstance(id, (str, int)) and not isinstance(id, bool)
    known = id if usable else None
    if value.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'Invalid Request: "jsonrpc" must be "2.0"', id=known)
    if "method" not in value:
        if usable and ("result" in value) != ("error" in value):
            return Response()
        raise RpcError(INVALID_REQUEST, 'Invalid Request: "method" is missing', id=known)
    method = value["method"]
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, 'Invalid Request: "method" must be a string', id=known)
    if "id" not in value:
        return Notification(method, value.get("params"))
    if known is None:
        raise RpcError(INVALID_REQUEST, 'Invalid Request: "id" must be a string or an integer')
    return Request(known, method, value.get("params"))


def params_of(message: Request) -> dict[str, Any]:
    """Return the params as an object, empty if absent. Raises RpcError(INVALID_PARAMS) for any other type."""
    if isinstance(message.params, dict):
        return message.params
    if message.params is None:
        return {}
    raise RpcError(INVALID_PARAMS, 'Invalid params: "params" must be an object')


def result(id: Id, value: Any) -> bytes:
    """Serialize a response with a result."""
    return orjson.dumps({"jsonrpc": "2.0", "id": id, "result": value})


def prepared(value: Any) -> orjson.Fragment:
    """Serialize a result that never changes. Responses only copy it (benchmarks/prices.py, "prepared pages")."""
    return orjson.Fragment(orjson.dumps(value))


def notification(method: str, params: dict[str, Any]) -> bytes:
    """Serialize a notification."""
    return orjson.dumps({"jsonrpc": "2.0", "method": method, "params": params})


def error(id: Id | None, failure: RpcError) -> bytes:
    """Serialize a response with an error. An unknown id is null, because clients drop messages without the field."""
    body = {"code": failure.code, "message": failure.message}
    if failure.data is not None:
        body["data"] = failure.data
    return orjson.dumps({"jsonrpc": "2.0", "id": id, "error": body})
