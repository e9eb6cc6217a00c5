"""Turn the body of an HTTP request into the status and body of its response. Pure: no Flask, no sockets.

Source: MCP 2026-07-28, basic/transports/streamable-http "Sending Messages", basic/patterns/progress; 2025-03-26,
basic/transports (batches).
"""

import logging
import re
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

from . import legacy, modern
from .context import Call, Caller, LogRecord, Steps
from .eras import Era, unsupported_version
from .jsonrpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Id,
    Message,
    Notification,
    Request,
    RpcError,
    error,
    loads,
    parse,
    result,
)
from .registry import Server

log = logging.getLogger(__name__)

SUPPORTED_VERSIONS = (*modern.VERSIONS, *legacy.VERSIONS)

MAX_PROGRESS_TOKEN = 256  # characters; every notification of a waiting call repeats the token
MAX_BATCH = 20  # messages in one legacy batch; they run one after another and share one response body

JSON_CONTENT = ("Content-Type", "application/json")

_TRACEPARENT = re.compile(  # W3C Trace Context: no version ff, no further fields in version 00, no all-zero ids
    r"(?!ff|00.{54})[0-9a-f]{2}(-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(?:-.*)?", re.DOTALL
)


@dataclass(slots=True)  # not frozen, like context.TimeBudget
class HttpResponse:
    """The status and body of an HTTP response, and the log record of each message in the request.

    `body` is None if the request is only acknowledged. `headers` describe the body.
    """

    status: int
    body: bytes | None
    records: tuple[LogRecord, ...]
    headers: tuple[tuple[str, str], ...] = (JSON_CONTENT,)


class Dispatcher:
    """Handle the messages for one server. Created once and shared by all threads."""

    def __init__(self, server: Server) -> None:
        self._modern = modern.era(server, SUPPORTED_VERSIONS)
        self._legacy = legacy.era(server, SUPPORTED_VERSIONS)

    def handle(self, body: bytes, caller: Caller) -> HttpResponse | Steps[HttpResponse]:
        """Process one HTTP body. Return the response, or the steps of a call that end in the response.

        The steps hold only the request's id and the tool's arguments. The body and the message are released when this
        method returns, so a waiting call occupies no more memory than it needs.

        Never raises: a bug becomes an internal error, and its traceback is logged.
        """
        record = LogRecord(request_id=caller.request_id)
        try:
            value = loads(body)
            if isinstance(value, list):
                return self._batch(value, caller)
            return self._message(parse(value), caller, record)
        except RpcError as failure:
            return _error_response(failure, 400, record)

    def _batch(self, values: list[Any], caller: Caller) -> Steps[HttpResponse]:
        version = legacy.UNDECLARED_VERSION if caller.protocol_version is None else caller.protocol_version
        if version != legacy.BATCH_VERSION:
            raise RpcError(
                INVALID_REQUEST, f"Invalid Request: only protocol version {legacy.BATCH_VERSION} supports batches"
            )
        if not 0 < len(values) <= MAX_BATCH:
            raise RpcError(INVALID_REQUEST, f"Invalid Request: a batch must have 1 to {MAX_BATCH} messages")
        return self._entries(values, replace(caller, time=caller.time.for_batch()))

    def _entries(self, values: list[Any], caller: Caller) -> Steps[HttpResponse]:
        """Process the messages of a batch one after another."""
        bodies: list[bytes] = []
        records: tuple[LogRecord, ...] = ()
        for value in values:
            budget = replace(caller.time, started=time.monotonic())
            response = yield from self._entry(value, replace(caller, time=budget))
            bodies += [] if response.body is None else [response.body]
            records += response.records
        return (
            HttpResponse(200, b"[" + b",".join(bodies) + b"]", records) if bodies else HttpResponse(202, None, records)
        )

    def _entry(self, value: Any, caller: Caller) -> Steps[HttpResponse]:
        """Process one message of a batch, and record its duration."""
        record = LogRecord(request_id=caller.request_id)
        try:
            message = parse(value)
            if isinstance(message, Request) and not self._era(message, caller).batched(message.method):
                raise RpcError(INVALID_REQUEST, "Invalid Request: this method is not allowed in a batch", id=message.id)
            response = self._message(message, caller, record)
            if isinstance(response, Generator):
                response = yield from response
        except RpcError as failure:
            response = _error_response(failure, 200, record)
        record.ms = round((time.monotonic() - caller.time.started) * 1000, 1)
        record.bytes = len(response.body or b"")
        return response

    def _message(self, message: Message, caller: Caller, record: LogRecord) -> HttpResponse | Steps[HttpResponse]:
        if isinstance(message, Request):
            return self._request(message, caller, record)
        # Notifications and responses have no effect on a server without sessions.
        record.method = "notification" if isinstance(message, Notification) else "response"
        version = caller.protocol_version
        if version is not None and version not in SUPPORTED_VERSIONS:
            raise unsupported_version(version, SUPPORTED_VERSIONS)
        record.outcome = "ok"
        return HttpResponse(202, None, (record,))

    def _request(self, request: Request, caller: Caller, record: LogRecord) -> HttpResponse | Steps[HttpResponse]:
        era = self._era(request, caller)
        method = era.methods.get(request.method)
        meta = _meta(request.params)
        trace = _traceparent(meta, caller)
        record.era = era.name
        record.method = "unknown" if method is None else request.method  # unknown names are kept out of the log
        record.trace_id = trace and trace.split("-")[1]
        try:
            params = era.accept(request, caller)
            if method is None:
                raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method[:100]}")
            record.outcome = "ok"  # unless the method sets another outcome
            value = method(params, Call(caller, record, trace, _progress_token(meta), era.extensions(meta)))
            if isinstance(value, Generator):
                return _result(value, request.id, era, record)
            return HttpResponse(200, result(request.id, value), (record,))
        except Exception as error:
            return _failure_response(error, request.id, era, record)

    def _era(self, request: Request, caller: Caller) -> Era:
        return self._modern if is_modern(request, caller) else self._legacy


def is_modern(request: Request, caller: Caller) -> bool:
    """Return whether a request is modern, by its body first and by its version header second.

    Mcp-Method and Mcp-Name do not count, because mcp-remote sends both with a legacy `initialize`. `initialize` without
    modern metadata is legacy whatever its version header, because it negotiates the version.
    """
    meta = request.params.get("_meta") if isinstance(request.params, dict) else None
    if isinstance(meta, dict) and modern.PROTOCOL_VERSION in meta:
        return True
    return caller.protocol_version in modern.VERSIONS and request.method != "initialize"


def _result(steps: Steps[Any], id: Id, era: Era, record: LogRecord) -> Steps[HttpResponse]:
    """Run the steps of a method, and end in the response that holds its result."""
    try:
        value = yield from steps
        return HttpResponse(200, result(id, value), (record,))
    except Exception as error:
        return _failure_response(error, id, era, record)


def _failure_response(error: Exception, id: Id, era: Era, record: LogRecord) -> HttpResponse:
    """Return the response to a failed request: its JSON-RPC error, or an internal error if the failure is a bug."""
    if not isinstance(error, RpcError):
        fields = {"method": record.method, "request_id": record.request_id}
        log.error("method failed", exc_info=error, extra={"fields": fields})
        error = RpcError(INTERNAL_ERROR, "Internal error")
    error.id = id
    return _error_response(error, era.statuses.get(error.code, era.status), record)


def _error_response(failure: RpcError, status: int, record: LogRecord) -> HttpResponse:
    record.outcome = str(failure.code)
    return HttpResponse(status, error(failure.id, failure), (record,))


def _meta(params: Any) -> dict[str, Any]:
    meta = params.get("_meta") if isinstance(params, dict) else None
    return meta if isinstance(meta, dict) else {}


def _progress_token(meta: dict[str, Any]) -> str | int | None:
    """Return the progress token, None if there is no valid one. Raises RpcError if it is too long."""
    token = meta.get("progressToken")
    if isinstance(token, str) and len(token) > MAX_PROGRESS_TOKEN:
        raise RpcError(
            INVALID_PARAMS, f'Invalid params: "progressToken" must have at most {MAX_PROGRESS_TOKEN} characters'
        )
    return token if isinstance(token, (str, int)) and not isinstance(token, bool) else None


def _traceparent(meta: dict[str, Any], caller: Caller) -> str | None:
    """Return the trace context from `_meta.traceparent`, else from the header; None if neither is valid.

    A later version is reduced to the fields of version 00 and returned as version 00, because a client can append any
    text to these fields.
    """
    for value in (meta.get("traceparent"), caller.traceparent):
        if isinstance(value, str) and (match := _TRACEPARENT.fullmatch(value)):
            return f"00{match[1]}"
    return None
