"""From the bytes of one HTTP body to the bytes and the status of its answer. Pure: no Flask, no sockets.

Source: MCP 2026-07-28, basic/transports/streamable-http "Sending Messages"; 2025-03-26, basic/transports (batches).
"""

import logging
import re
from dataclasses import dataclass, replace
from typing import Any

from . import legacy, modern
from .eras import BATCH_VERSION, SUPPORTED_VERSIONS, UNDECLARED_VERSION, Era, Headers, classify, unsupported_version
from .jsonrpc import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    UNSUPPORTED_PROTOCOL_VERSION,
    Message,
    Notification,
    Request,
    Response,
    RpcError,
    error,
    loads,
    params_of,
    parse,
    result,
)
from .registry import Caller
from .server import Methods, Server

log = logging.getLogger(__name__)

MAX_BATCH = 20  # messages in one legacy batch; they run one after the other, within one deadline

# The HTTP status of a JSON-RPC error to a request. Legacy errors are 200 because real clients take a 404 for a lost
# session and raise on 401 and 403. Whatever is not named here: 200 legacy, 400 modern.
_STATUS = {
    (Era.LEGACY, UNSUPPORTED_PROTOCOL_VERSION): 400,
    (Era.MODERN, METHOD_NOT_FOUND): 404,
}
_DEFAULT_STATUS = {Era.LEGACY: 200, Era.MODERN: 400}

_TRACEPARENT = re.compile(  # W3C Trace Context: no version ff, nothing more in version 00, no ids of zeros
    r"(?!ff|00.{54})[0-9a-f]{2}(-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(?:-.*)?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and body; no body where nothing but an acknowledgement is owed."""

    status: int
    body: bytes | None


ACCEPTED = Answer(202, None)


class Dispatcher:
    """Answers the messages of one server; made once, shared by all threads."""

    def __init__(self, server: Server) -> None:
        self._tools = server.tools
        self._methods: dict[Era, Methods] = {
            Era.LEGACY: legacy.methods(server),
            Era.MODERN: modern.methods(server),
        }

    def handle(self, body: bytes, headers: Headers, caller: Caller) -> Answer:
        """Answer one HTTP body. Never raises: a bug of ours becomes an internal error, and its trace a log line."""
        try:
            value = loads(body)
            if isinstance(value, list):
                return self._batch(value, headers, caller)
            return self._one(parse(value), headers, caller)
        except RpcError as failure:
            caller.log["outcome"] = failure.code
            return Answer(400, error(failure.id, failure))

    def _batch(self, values: list[Any], headers: Headers, caller: Caller) -> Answer:
        version = UNDECLARED_VERSION if headers.protocol_version is None else headers.protocol_version
        if version != BATCH_VERSION:
            raise RpcError(INVALID_REQUEST, f"Invalid Request: only protocol version {BATCH_VERSION} has batches")
        if not 0 < len(values) <= MAX_BATCH:
            raise RpcError(INVALID_REQUEST, f"Invalid Request: a batch has 1 to {MAX_BATCH} messages")
        answers = [body for value in values if (body := self._entry(value, headers, caller)) is not None]
        caller.log.update(era=Era.LEGACY, method="batch", tool=None, outcome="ok")
        return Answer(200, b"[" + b",".join(answers) + b"]") if answers else ACCEPTED

    def _entry(self, value: Any, headers: Headers, caller: Caller) -> bytes | None:
        """Answer one message of a batch. Neither `initialize` nor a modern request may stand in one."""
        try:
            message = parse(value)
            if isinstance(message, Request) and (
                message.method == "initialize" or classify(message.method, message.params, headers) is Era.MODERN
            ):
                raise RpcError(INVALID_REQUEST, "Invalid Request: this message cannot be in a batch", id=message.id)
        except RpcError as failure:
            return error(failure.id, failure)
        return self._one(message, headers, caller).body

    def _one(self, message: Message, headers: Headers, caller: Caller) -> Answer:
        if isinstance(message, Response):
            return self._acknowledge("response", headers, caller)
        if isinstance(message, Notification):
            return self._acknowledge("notification", headers, caller)
        era = classify(message.method, message.params, headers)
        table = self._methods[era]
        caller.log.update(era=era, method=message.method if message.method in table else "unknown")
        try:
            if era is Era.LEGACY and message.method != "initialize":
                _check_version_header(headers)
            params = params_of(message)
            traceparent = _traceparent(params.get("_meta"), headers)
            caller.log["trace_id"] = traceparent and traceparent.split("-")[1]
            if traceparent is not None:
                caller = replace(caller, traceparent=traceparent)
            if era is Era.MODERN:
                modern.check(message.method, params, headers, self._tools)
            method = table.get(message.method)
            if method is None:
                raise RpcError(METHOD_NOT_FOUND, f"Method not found: {message.method[:100]}")
            caller.log["tool"] = _known(params.get("name"), self._tools) if message.method == "tools/call" else None
            answer = Answer(200, result(message.id, method(params, caller)))
            caller.log.setdefault("outcome", "ok")
            return answer
        except RpcError as failure:
            caller.log["outcome"] = failure.code
            status = _STATUS.get((era, failure.code), _DEFAULT_STATUS[era])
            return Answer(status, error(message.id, failure))
        except Exception:
            fields = {"request_id": caller.request_id}
            log.exception("method %s failed", caller.log["method"], extra={"fields": fields})
            caller.log["outcome"] = INTERNAL_ERROR
            return Answer(_DEFAULT_STATUS[era], error(message.id, RpcError(INTERNAL_ERROR, "Internal error")))

    def _acknowledge(self, kind: str, headers: Headers, caller: Caller) -> Answer:
        """Accept a message that is owed no answer, and do nothing: none has an effect on a server without sessions."""
        caller.log.update(method=kind, outcome="ok")
        _check_version_header(headers)
        return ACCEPTED


def _check_version_header(headers: Headers) -> None:
    if headers.protocol_version is not None and headers.protocol_version not in SUPPORTED_VERSIONS:
        raise unsupported_version(headers.protocol_version)


def _traceparent(meta: Any, headers: Headers) -> str | None:
    """Return the trace context from `_meta.traceparent`, else from the header; None where neither has a valid one.

    Of a later version it is what version 00 defines, as version 00: a caller can put anything behind that.
    """
    given = meta.get("traceparent") if isinstance(meta, dict) else None
    for value in (given, headers.traceparent):
        if isinstance(value, str) and (match := _TRACEPARENT.fullmatch(value)):
            return f"00{match[1]}"
    return None


def _known(name: object, names: Any) -> Any:
    """Return the name where it is one of ours: what a client made up does not get into a log line."""
    return name if isinstance(name, str) and name in names else "unknown"
