"""Tasks: a tool call is answered at once with a task, whose state the client polls until it holds the result.

This is the extension `io.modelcontextprotocol/tasks`. The server decides which calls become tasks, but only for clients
that declare the extension on the same request. The tasks of 2025-11-25 (`params.task`, `tasks/result`, `tasks/list`)
are incompatible with it, and not supported.

Source: modelcontextprotocol/ext-tasks e434597, of August 2026 (SEP-2663).
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from .context import Call
from .eras import Method
from .jsonrpc import INVALID_PARAMS, MISSING_REQUIRED_CLIENT_CAPABILITY, RpcError

EXTENSION = "io.modelcontextprotocol/tasks"

WORKING, COMPLETED = "working", "completed"  # the other states are `input_required`, `cancelled` and `failed`


@dataclass(frozen=True, slots=True)
class Task:
    """The state of a task. Times are in milliseconds since 1970, durations in milliseconds.

    `more` holds the members that depend on the status: `result`, `error` or `inputRequests`. A tool may return a task
    only if `declared` is true for its call.
    """

    id: str
    created: int
    updated: int
    message: str
    interval: int  # between two polls
    ttl: int | None = None  # from the creation; then the server may forget the task
    status: str = WORKING
    more: dict[str, Any] = field(default_factory=dict)

    def written(self) -> dict[str, Any]:
        """Return the task as the result of the tool call that created it."""
        return {"resultType": "task", **self.state()}

    def state(self) -> dict[str, Any]:
        """Return the members that a new task and the result of `tasks/get` share."""
        return {
            "taskId": self.id,
            "status": self.status,
            "statusMessage": self.message,
            "createdAt": _timestamp(self.created),
            "lastUpdatedAt": _timestamp(self.updated),
            "ttlMs": self.ttl,
            "pollIntervalMs": self.interval,
        }


class Tasks(Protocol):
    """The tasks of a server. Each method raises RpcError, and checks the caller's authorization on every call."""

    def get(self, task_id: str, call: Call) -> Task:
        """Return the current state of a task."""

    def update(self, task_id: str, responses: dict[str, Any], call: Call) -> None:
        """Accept the client's responses to the task's input requests."""

    def cancel(self, task_id: str, call: Call) -> None:
        """Accept a request to cancel a task, which need not have an effect."""


def declares_tasks(settings: Any) -> bool:
    """Return whether a client's settings of the extension, as received, declare support for tasks."""
    return isinstance(settings, dict)


def declared(call: Call) -> bool:
    """Return whether the client declares on this request that it can follow tasks."""
    return EXTENSION in call.extensions


def undeclared() -> RpcError:
    """Return the error for a request that needs the extension, from a client that does not declare it."""
    return RpcError(
        MISSING_REQUIRED_CLIENT_CAPABILITY,
        f"Missing required client capability: the extension {EXTENSION}",
        data={"requiredCapabilities": {"extensions": {EXTENSION: {}}}},
    )


def methods(tasks: Tasks | None, stamp: dict[str, Any]) -> dict[str, Method]:
    """Return the extension's methods, none without tasks. `stamp` is added to each result."""
    if tasks is None:
        return {}

    def get(params: dict[str, Any], call: Call) -> Any:
        task = tasks.get(_task_id(params, call), call)
        return {**task.state(), **task.more, **stamp}

    def update(params: dict[str, Any], call: Call) -> Any:
        task_id, responses = _task_id(params, call), params.get("inputResponses")
        if not isinstance(responses, dict):
            raise RpcError(INVALID_PARAMS, 'Invalid params: "inputResponses" must be an object')
        tasks.update(task_id, responses, call)
        return stamp

    def cancel(params: dict[str, Any], call: Call) -> Any:
        tasks.cancel(_task_id(params, call), call)
        return stamp

    return {"tasks/get": get, "tasks/update": update, "tasks/cancel": cancel}


def _task_id(params: dict[str, Any], call: Call) -> str:
    if not declared(call):
        raise undeclared()
    task_id = params.get("taskId")
    if not isinstance(task_id, str):
        raise RpcError(INVALID_PARAMS, 'Invalid params: "taskId" must be a string, the id of a task')
    return task_id


def _timestamp(milliseconds: int) -> str:
    """Return a time in ISO 8601, in UTC."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"
