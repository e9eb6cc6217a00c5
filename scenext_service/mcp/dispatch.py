"""From the bytes of one HTTP body to the bytes and the status of its answer. Pure: no Flask, no sockets.

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
from .call import ONE_BODY, Call, Caller, Record, Steps
from .eras import Era, check_version_header
from .jsonrpc import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
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

# The first that owns a request answers it, so the one that owns whatever is left comes last.
ERAS = (modern, legacy)
SUPPORTED_VERSIONS = tuple(version for era in ERAS for version in era.VERSIONS)

MAX_BATCH = 20  # messages in one legacy batch; they run one after the other, and are answered in one body

_TRACEPARENT = re.compile(  # W3C Trace Context: no version ff, nothing more in version 00, no ids of zeros
    r"(?!ff|00.{54})[0-9a-f]{2}(-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(?:-.*)?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and body, None where nothing but an acknowledgement is owed; and what is noted of each message.

    `headers` say what the body is.
    """

    status: int
    body: bytes | None
    records: tuple[Record, ...]
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


class Dispatcher:
    """Answers the messages of one server; made once, shared by all threads."""

    def __init__(self, server: Server) -> None:
        self._eras: list[Era] = [era.era(server, SUPPORTED_VERSIONS) for era in ERAS]

    def handle(self, body: bytes, caller: Caller) -> Steps[Answer]:
        """Answer one HTTP body. Never raises: a bug of ours becomes an internal error, and its trace a log line."""
        record = Record(request_id=caller.request_id)
        try:
            value = loads(body)
            if isinstance(value, list):
                return (yield from self._batch(value, caller))
            return (yield from self._message(parse(value), caller, record))
        except RpcError as failure:
            return _refusal(failure, 400, record)

    def _batch(self, values: list[Any], caller: Caller) -> Steps[Answer]:
        version = legacy.UNDECLARED_VERSION if caller.protocol_version is None else caller.protocol_version
        if version != legacy.BATCH_VERSION:
            raise RpcError(
                INVALID_REQUEST, f"Invalid Request: only protocol version {legacy.BATCH_VERSION} has batches"
            )
        if not 0 < len(values) <= MAX_BATCH:
            raise RpcError(INVALID_REQUEST, f"Invalid Request: a batch has 1 to {MAX_BATCH} messages")
        impatient = replace(caller, patience=0.0, until=caller.received + ONE_BODY)  # the others wait for each of them
        bodies: list[bytes] = []
        records: tuple[Record, ...] = ()
        for value in values:
            answer = yield from self._entry(value, replace(impatient, received=time.monotonic()))
            bodies += [] if answer.body is None else [answer.body]
            records += answer.records
        return Answer(200, b"[" + b",".join(bodies) + b"]", records) if bodies else Answer(202, None, records)

    def _entry(self, value: Any, caller: Caller) -> Steps[Answer]:
        """Answer one message of a batch, and note how long that took."""
        record = Record(request_id=caller.request_id)
        started = time.monotonic()
        try:
            message = parse(value)
            if isinstance(message, Request) and not self._era(message, caller).batched(message.method):
                raise RpcError(INVALID_REQUEST, "Invalid Request: this message cannot be in a batch", id=message.id)
            answer = yield from self._message(message, caller, record)
        except RpcError as failure:
            answer = _refusal(failure, 200, record)
        record.measure(started, len(answer.body or b""))
        return answer

    def _message(self, message: Message, caller: Caller, record: Record) -> Steps[Answer]:
        if isinstance(message, Request):
            return (yield from self._request(message, caller, record))
        # Neither has an effect on a server without sessions.
        record.method = "notification" if isinstance(message, Notification) else "response"
        check_version_header(caller.protocol_version, SUPPORTED_VERSIONS)
        record.outcome = "ok"
        return Answer(202, None, (record,))

    def _request(self, request: Request, caller: Caller, record: Record) -> Steps[Answer]:
        era = self._era(request, caller)
        method = era.methods.get(request.method)
        meta = _meta(request.params)
        trace = _traceparent(meta, caller)
        capabilities = meta.get(modern.CLIENT_CAPABILITIES)
        record.era = era.name
        record.method = "unknown" if method is None else request.method  # a made-up name is kept out of the log
        record.trace_id = trace and trace.split("-")[1]
        try:
            params = era.accept(request, caller)
            if method is None:
                raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method[:100]}")
            record.outcome = "ok"  # unless the method says something else
            value = method(params, Call(caller, record, trace, _progress_token(meta), capabilities))
            if isinstance(value, Generator):
                value = yield from value
            return Answer(200, result(request.id, value), (record,))
        except RpcError as failure:
            failure.id = request.id
            return _refusal(failure, era.statuses.get(failure.code, era.status), record)
        except Exception:
            log.exception("method %s failed", record.method, extra={"fields": {"request_id": caller.request_id}})
            return _refusal(RpcError(INTERNAL_ERROR, "Internal error", id=request.id), era.status, record)

    def _era(self, request: Request, caller: Caller) -> Era:
        return next(era for era in self._eras if era.owns(request, caller))


def _refusal(failure: RpcError, status: int, record: Record) -> Answer:
    record.outcome = failure.code
    return Answer(status, error(failure.id, failure), (record,))


def _meta(params: Any) -> dict[str, Any]:
    meta = params.get("_meta") if isinstance(params, dict) else None
    return meta if isinstance(meta, dict) else {}


def _progress_token(meta: dict[str, Any]) -> str | int | None:
    token = meta.get("progressToken")
    return token if isinstance(token, (str, int)) and not isinstance(token, bool) else None


def _traceparent(meta: dict[str, Any], caller: Caller) -> str | None:
    """Return the trace context from `_meta.traceparent`, else from the header; None where neither has a valid one.

    Of a later version it is what version 00 defines, as version 00: a caller can put anything behind that.
    """
    for value in (meta.get("traceparent"), caller.traceparent):
        if isinstance(value, str) and (match := _TRACEPARENT.fullmatch(value)):
            return f"00{match[1]}"
    return None
