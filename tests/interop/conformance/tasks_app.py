"""The fixtures of the suite's scenarios for the Tasks extension, with tasks in the memory of one process.

The methods, the declaration, the headers and the errors are those of this package's `mcp.tasks`. Only the tasks
themselves differ: those of videos have no memory, need no input and cannot be cancelled.

Source: modelcontextprotocol/conformance, the `description` of each scenario `tasks-…`.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import Flask

from scenext_service import mcp
from scenext_service.mcp import Call, Steps, Tool, ToolResult
from scenext_service.mcp.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, RpcError
from scenext_service.mcp.tasks import COMPLETED, WORKING, Task, declared, undeclared
from scenext_service.server.application import Service

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "seconds": {"type": "number"}},
}
TTL, INTERVAL = 60_000, 200  # milliseconds


def text(content: str, failed: bool = False) -> dict[str, Any]:
    """Return the result of a tool call, as a task holds it."""
    result = ToolResult([{"type": "text", "text": content}], failed=failed)
    return {**result.written(), "resultType": "complete"}


def elicitation(question: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"confirm": {"type": "boolean"}}}
    return {"method": "elicitation/create", "params": {"message": question, "requestedSchema": schema}}


@dataclass
class Work:
    """The work of a task: it ends `seconds` after its start, once all `requests` are answered."""

    seconds: float
    end: dict[str, Any]  # `result` or `error`
    requests: dict[str, Any] = field(default_factory=dict)
    cancelled: bool = False
    started: float = field(default_factory=time.time)

    def state(self) -> tuple[str, dict[str, Any]]:
        """Return the status, and the members that depend on it."""
        if self.cancelled:
            return "cancelled", {}
        if self.requests:
            return "input_required", {"inputRequests": self.requests}
        if time.time() < self.started + self.seconds:
            return WORKING, {}
        return ("failed" if "error" in self.end else COMPLETED), self.end


class Store:
    """The tasks of this process."""

    def __init__(self) -> None:
        self._works: dict[str, Work] = {}
        self._ids = itertools.count(1)

    def begin(self, work: Work) -> Task:
        """Start a task."""
        task_id = f"task-{next(self._ids)}"
        self._works[task_id] = work
        return self._task(task_id, WORKING, {})

    def get(self, task_id: str, call: Call) -> Task:
        return self._task(task_id, *self._work(task_id).state())

    def update(self, task_id: str, responses: dict[str, Any], call: Call) -> None:
        work = self._work(task_id)
        work.requests = {name: request for name, request in work.requests.items() if name not in responses}

    def cancel(self, task_id: str, call: Call) -> None:
        work = self._work(task_id)
        work.cancelled = work.cancelled or work.state()[0] in (WORKING, "input_required")

    def _work(self, task_id: str) -> Work:
        if task_id not in self._works:
            raise RpcError(INVALID_PARAMS, "Unknown task")
        return self._works[task_id]

    def _task(self, task_id: str, status: str, more: dict[str, Any]) -> Task:
        created = int(self._work(task_id).started * 1000)
        return Task(task_id, created, int(time.time() * 1000), f"The task is {status}.", INTERVAL, TTL, status, more)


STORE = Store()


def greet(arguments: dict[str, Any], call: Call) -> Steps[ToolResult | Task]:
    """Never a task."""
    yield from ()
    return ToolResult([{"type": "text", "text": f"Hello, {arguments.get('name', 'world')}!"}])


def slow_compute(arguments: dict[str, Any], call: Call) -> Steps[ToolResult | Task]:
    """A task if the client can follow it, otherwise a call that takes its time."""
    yield from ()
    seconds = arguments.get("seconds", 0)
    if declared(call):
        return STORE.begin(Work(seconds, {"result": text("Computed.")}))
    time.sleep(min(seconds, 5))
    return ToolResult([{"type": "text", "text": "Computed."}])


def only_task(make: Callable[[], Work]) -> Callable[[dict[str, Any], Call], Steps[ToolResult | Task]]:
    """Return the function of a tool that works only as a task."""

    def run(arguments: dict[str, Any], call: Call) -> Steps[ToolResult | Task]:
        yield from ()
        if not declared(call):
            raise undeclared()
        return STORE.begin(make())

    return run


ERROR = {"code": INTERNAL_ERROR, "message": "This task fails, for testing"}
FIXTURES = [
    ("greet", greet),
    ("slow_compute", slow_compute),
    ("failing_job", only_task(lambda: Work(1, {"result": text("This tool fails, for testing.", failed=True)}))),
    ("protocol_error_job", only_task(lambda: Work(0.5, {"error": ERROR}))),
    ("confirm_delete", only_task(lambda: Work(0, {"result": text("Deleted.")}, {"confirm": elicitation("Delete?")}))),
    (
        "multi_input",
        only_task(
            lambda: Work(
                0, {"result": text("Done.")}, {"first": elicitation("First?"), "second": elicitation("Second?")}
            )
        ),
    ),
]


def create() -> Flask:
    """Create the application."""
    tools = [Tool(name, name, f"The suite's fixture {name}.", SCHEMA, run) for name, run in FIXTURES]
    server = mcp.Server({"name": "conformance-tasks", "version": "1"}, "Fixtures.", tools, tasks=STORE)
    bodies = mcp.BodyReader.with_budget(1_000_000, 1_000_000, anonymous=True)
    app = Service(__name__)
    app.register_blueprint(mcp.create_blueprint(server, mcp.Origins(), bodies, lambda record: None))
    return app


app = create()
