"""JSON-RPC 2.0 messages as MCP restricts them: reading, classifying and writing.

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

Id = str | int


class RpcError(Exception):
    """A failure that is answered with a JSON-RPC error; `id` is None where it could not be known."""

    def __init__(self, code: int, message: str, *, data: Any = None, id: Id | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.id = id


@dataclass(frozen=True, slots=True)
class Request:
    """A message that is owed an answer. `params` is as it came: see `params_of`."""

    id: Id
    method: str
    params: Any


@dataclass(frozen=True, slots=True)
class Notification:
    """A message that is owed no answer: a method without an id."""

    method: str
    params: Any


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that the peer posted. This server asks nothing, so it is only acknowledged."""


Message = Request | Notification | Response


def loads(body: bytes) -> Any:
    """Decode one JSON text. Raises RpcError(PARSE_ERROR) for anything that RFC 8259 does not allow."""
    try:
        return orjson.loads(body)
    except ValueError as error:
        raise RpcError(PARSE_ERROR, f"Parse error: the body is not valid JSON ({error})") from None


def parse(value: Any) -> Message:
    """Classify a decoded JSON value. Raises RpcError(INVALID_REQUEST), with the id where there is a usable one."""
    if not isinstance(value, dict):
        raise RpcError(INVALID_REQUEST, "Invalid Request: a JSON-RPC message is a JSON object")
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
    """Return the params as an object, empty where there are none. Raises RpcError(INVALID_PARAMS)."""
    if isinstance(message.params, dict):
        return message.params
    if message.params is None:
        return {}
    raise RpcError(INVALID_PARAMS, 'Invalid params: "params" must be an object')


def result(id: Id, value: Any) -> bytes:
    """Write the response that carries a result."""
    return orjson.dumps({"jsonrpc": "2.0", "id": id, "result": value})


def error(id: Id | None, failure: RpcError) -> bytes:
    """Write the response that carries an error. An unknown id is null: clients drop a message without the field."""
    body = {"code": failure.code, "message": failure.message}
    if failure.data is not None:
        body["data"] = failure.data
    return orjson.dumps({"jsonrpc": "2.0", "id": id, "error": body})
