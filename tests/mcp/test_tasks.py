"""The Tasks extension, with sample tools and a store of two tasks. The tasks of videos are in tests/tools."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from scenext_service.mcp import Call, Origins, Server, Steps, Tool, ToolResult, create_blueprint
from scenext_service.mcp.jsonrpc import INVALID_PARAMS, RpcError
from scenext_service.mcp.tasks import COMPLETED, EXTENSION, Task, declared, undeclared
from scenext_service.server.application import Service
from tests.support.messages import CLIENT_CAPABILITIES, META, Mcp, bodies, failure, outcome

INFO = {"name": "example", "version": "1.0.0"}
STAMP = {"resultType": "complete", "_meta": {"io.modelcontextprotocol/serverInfo": INFO}}
CREATED = 1_795_000_000_007
TASK = Task("t-1", CREATED, CREATED, "Working.", 2_000)
STATE = {
    "taskId": "t-1",
    "status": "working",
    "statusMessage": "Working.",
    "createdAt": "2026-11-18T11:06:40.007Z",
    "lastUpdatedAt": "2026-11-18T11:06:40.007Z",
    "ttlMs": None,
    "pollIntervalMs": 2_000,
}
RESULT = {"content": [], "isError": False, "resultType": "complete"}

METHODS: dict[str, dict[str, Any]] = {
    "tasks/get": {"taskId": "t-1"},
    "tasks/update": {"taskId": "t-1", "inputResponses": {}},
    "tasks/cancel": {"taskId": "t-1"},
}
each_method = pytest.mark.parametrize("method", METHODS)


def slow(arguments: dict[str, Any], call: Call) -> Steps[ToolResult | Task]:
    """Return a task if the client can follow it."""
    yield from ()
    return TASK if declared(call) else ToolResult([{"type": "text", "text": "no task"}])


def demand(arguments: dict[str, Any], call: Call) -> Steps[ToolResult | Task]:
    """Work only as a task."""
    yield from ()
    if not declared(call):
        raise undeclared()
    return TASK


class Store:
    """Two tasks, and the accepted updates and cancellations."""

    def __init__(self) -> None:
        self.tasks = {
            "t-1": TASK,
            "t-2": Task("t-2", CREATED, CREATED + 1_000, "Done.", 2_000, 60_000, COMPLETED, {"result": RESULT}),
        }
        self.accepted: list[Any] = []

    def get(self, task_id: str, call: Call) -> Task:
        if task_id not in self.tasks:
            raise RpcError(INVALID_PARAMS, "Unknown task")
        return self.tasks[task_id]

    def update(self, task_id: str, responses: dict[str, Any], call: Call) -> None:
        self.accepted.append((task_id, responses))

    def cancel(self, task_id: str, call: Call) -> None:
        self.accepted.append(task_id)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def mcp(store: Store) -> Mcp:
    """Serve the sample tools with tasks."""
    tools = [Tool("slow", "Slow", "Slow.", {"type": "object"}, slow), Tool("only", "Only", "Only.", {}, demand)]
    app = Service("example")
    server = Server(INFO, "", tools, tasks=store)
    app.register_blueprint(create_blueprint(server, Origins(), bodies(10_000), lambda record: None))
    return Mcp(app.test_client())


def declaring(settings: Any = None) -> dict[str, Any]:
    """Return metadata that declares the extension, by default with empty settings."""
    return {**META, CLIENT_CAPABILITIES: {"extensions": {EXTENSION: {} if settings is None else settings}}}


def ask(mcp: Mcp, method: str, params: dict[str, Any], headers: dict[str, str] | None = None) -> TestResponse:
    """Post a request that declares the extension, with Mcp-Name unless `headers` are given."""
    headers = {"Mcp-Name": str(params.get("taskId"))} if headers is None else headers
    return mcp.modern(method, {"_meta": declaring(), **params}, headers)


def missing_capability() -> dict[str, Any]:
    answer = failure(-32021, f"Missing required client capability: the extension {EXTENSION}")
    answer["error"]["data"] = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
    return answer


def test_discovery_declares_the_extension_without_settings(mcp: Mcp) -> None:
    """Spec: ext-tasks, "Capabilities". npm ext-tasks 0.2.2 accepts only `{}`, and there is no `tasks` capability."""
    found = mcp.modern("server/discover").get_json()["result"]["capabilities"]
    assert found == {"tools": {}, "resources": {}, "extensions": {EXTENSION: {}}}


def test_a_call_of_a_declaring_client_returns_a_flat_task(mcp: Mcp) -> None:
    """Spec: ext-tasks, "CreateTaskResult": all members are at the top, and `result` is not among them."""
    response = mcp.modern("tools/call", {"name": "slow", "arguments": {}, "_meta": declaring()})
    result = {"resultType": "task", **STATE, "_meta": STAMP["_meta"]}
    assert outcome(response) == (200, {"jsonrpc": "2.0", "id": 1, "result": result})


def test_a_task_is_sent_as_json_whatever_the_client_accepts(mcp: Mcp) -> None:
    """Ours: a handle is there at once, so there is nothing to stream."""
    params = {"name": "slow", "arguments": {}, "_meta": {**declaring(), "progressToken": 1}}
    response = mcp.modern("tools/call", params, {"Accept": "text/event-stream"})
    assert response.content_type == "application/json"
    assert response.get_json()["result"]["resultType"] == "task"


@pytest.mark.parametrize(
    "capabilities",
    [
        {},
        {"extensions": None},
        {"extensions": []},
        {"extensions": {"io.modelcontextprotocol/ui": {}}},
        {"extensions": {"io.modelcontextprotocol/Tasks": {}}},
        {"extensions": {EXTENSION: None}},
        {"extensions": {EXTENSION: True}},
        {"extensions": {EXTENSION: "yes"}},
        {"extensions": {EXTENSION: []}},
        {"tasks": {}},
    ],
    ids=str,
)
def test_a_client_that_does_not_declare_the_extension_gets_no_task(mcp: Mcp, capabilities: Any) -> None:
    """Spec: ext-tasks: a task MUST NOT be returned to a client that did not declare the extension on this request."""
    meta = {**META, CLIENT_CAPABILITIES: capabilities}
    response = mcp.modern("tools/call", {"name": "slow", "arguments": {}, "_meta": meta})
    assert response.get_json()["result"] == {
        "content": [{"type": "text", "text": "no task"}],
        "isError": False,
        **STAMP,
    }
    for method, params in METHODS.items():
        response = mcp.modern(method, {**params, "_meta": meta}, {"Mcp-Name": "t-1"})
        assert outcome(response) == (400, missing_capability())


def test_the_members_of_other_results_keep_their_order(mcp: Mcp) -> None:
    """Ours: the stamp follows the result, as before there were tasks: response bodies are compared byte for byte."""
    result = mcp.modern("tools/call", {"name": "slow", "arguments": {}}).get_json()["result"]
    assert list(result) == ["content", "isError", "resultType", "_meta"]
    assert list(ask(mcp, "tasks/get", {"taskId": "t-1"}).get_json()["result"]) == [*STATE, "resultType", "_meta"]


@pytest.mark.parametrize("declared_with", [{}, {"a": 1}], ids=["empty", "with settings"])
def test_any_object_declares_the_extension(mcp: Mcp, declared_with: dict[str, Any]) -> None:
    """Spec: 2026-07-28, schema "ClientCapabilities": the settings of an extension are an object."""
    params = {"name": "slow", "arguments": {}, "_meta": declaring(declared_with)}
    assert mcp.modern("tools/call", params).get_json()["result"]["taskId"] == "t-1"


@pytest.mark.parametrize("task", [None, {}, {"ttl": 60_000}], ids=str)
def test_a_task_is_not_created_for_the_parameter_of_2025_11_25(mcp: Mcp, task: Any) -> None:
    """Spec: ext-tasks: `params.task` of 2025-11-25 MUST be ignored."""
    given = {} if task is None else {"task": task}
    response = mcp.modern("tools/call", {"name": "slow", "arguments": {}, **given})
    assert response.get_json()["result"]["content"] == [{"type": "text", "text": "no task"}]


def test_metadata_of_a_legacy_request_declares_nothing(mcp: Mcp) -> None:
    """Spec: ext-tasks: the extension exists only in 2026-07-28. So it has neither tasks nor methods in this era."""
    meta: dict[str, Any] = {"_meta": {CLIENT_CAPABILITIES: {"extensions": {EXTENSION: {}}}}}
    result = mcp.legacy("tools/call", {"name": "slow", "arguments": {}, **meta}).get_json()["result"]
    assert result == {"content": [{"type": "text", "text": "no task"}], "isError": False}
    for method, params in METHODS.items():
        response = mcp.legacy(method, {**params, **meta})
        assert outcome(response) == (200, failure(-32601, f"Method not found: {method}"))


def test_a_tool_may_require_the_extension(mcp: Mcp) -> None:
    """Spec: ext-tasks: -32021 with `requiredCapabilities`. An RpcError of a tool is not an internal error."""
    assert outcome(mcp.modern("tools/call", {"name": "only", "arguments": {}})) == (400, missing_capability())
    response = mcp.modern("tools/call", {"name": "only", "arguments": {}, "_meta": declaring()})
    assert response.get_json()["result"]["taskId"] == "t-1"


def test_a_working_task_is_returned_without_a_result(mcp: Mcp) -> None:
    """Spec: ext-tasks, "tasks/get"."""
    assert outcome(ask(mcp, "tasks/get", {"taskId": "t-1"})) == (
        200,
        {"jsonrpc": "2.0", "id": 1, "result": {**STATE, **STAMP}},
    )


def test_a_completed_task_holds_the_result_of_the_call(mcp: Mcp) -> None:
    """Spec: ext-tasks, "tasks/get": `result` is inlined."""
    state = {
        **STATE,
        "taskId": "t-2",
        "status": "completed",
        "statusMessage": "Done.",
        "lastUpdatedAt": "2026-11-18T11:06:41.007Z",
        "ttlMs": 60_000,
        "result": RESULT,
    }
    answer = {"jsonrpc": "2.0", "id": 1, "result": {**state, **STAMP}}
    assert outcome(ask(mcp, "tasks/get", {"taskId": "t-2"})) == (200, answer)


def test_updates_and_cancellations_are_acknowledged(mcp: Mcp, store: Store) -> None:
    """Spec: ext-tasks, "tasks/update" and "tasks/cancel": an empty result."""
    acknowledged = (200, {"jsonrpc": "2.0", "id": 1, "result": STAMP})
    assert outcome(ask(mcp, "tasks/update", {"taskId": "t-1", "inputResponses": {"a": {}}})) == acknowledged
    assert outcome(ask(mcp, "tasks/cancel", {"taskId": "t-2"})) == acknowledged
    assert store.accepted == [("t-1", {"a": {}}), "t-2"]


@each_method
@pytest.mark.parametrize("task_id", [None, 1, True, [], {}], ids=repr)
def test_the_id_of_a_task_must_be_a_string(mcp: Mcp, method: str, task_id: Any) -> None:
    """Spec: ext-tasks, schema "GetTaskRequest"."""
    response = ask(mcp, method, {**METHODS[method], "taskId": task_id}, {})
    message = 'Invalid params: "taskId" must be a string, the id of a task'
    assert outcome(response) == (400, failure(-32602, message))


@pytest.mark.parametrize("responses", [None, [], "a", 1], ids=repr)
def test_the_responses_of_an_update_must_be_an_object(mcp: Mcp, store: Store, responses: Any) -> None:
    """Spec: ext-tasks, schema "UpdateTaskRequest"."""
    response = ask(mcp, "tasks/update", {"taskId": "t-1", "inputResponses": responses})
    message = 'Invalid params: "inputResponses" must be an object'
    assert (outcome(response), store.accepted) == ((400, failure(-32602, message)), [])


@each_method
@pytest.mark.parametrize("name", ["t-1", "=?base64?dC0x?="], ids=["plain", "encoded"])
def test_the_name_header_is_the_id_of_the_task(mcp: Mcp, method: str, name: str) -> None:
    """Spec: ext-tasks, "Transport": Mcp-Name is `params.taskId`."""
    assert ask(mcp, method, METHODS[method], {"Mcp-Name": name}).status_code == 200


@each_method
def test_a_missing_name_header_is_tolerated(mcp: Mcp, method: str) -> None:
    """Ours: fastmcp-tasks 4.1.4 sends none, and would not get past its first poll."""
    assert ask(mcp, method, METHODS[method], {}).status_code == 200


@each_method
@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("t-2", "Mcp-Name header value 't-2' does not match body value 't-1'", id="another task"),
        pytest.param("", "Mcp-Name header value '' does not match body value 't-1'", id="empty"),
        pytest.param("=?base64?!?=", "the header Mcp-Name is missing or malformed", id="malformed"),
    ],
)
def test_a_wrong_name_header_is_a_mismatch(mcp: Mcp, method: str, name: str, message: str) -> None:
    """Spec: ext-tasks, "Transport"; 2026-07-28, streamable-http "Server Validation"."""
    response = ask(mcp, method, METHODS[method], {"Mcp-Name": name})
    assert outcome(response) == (400, failure(-32020, f"Header mismatch: {message}"))


@each_method
def test_headers_are_checked_before_the_declaration(mcp: Mcp, method: str) -> None:
    """Ours: metadata and headers are checked before a method, whichever it is."""
    response = mcp.modern(method, METHODS[method], {"Mcp-Name": "t-2"})
    assert response.get_json()["error"]["code"] == -32020


def test_an_error_of_the_store_is_sent(mcp: Mcp) -> None:
    """Spec: ext-tasks, "tasks/get": -32602 for an unknown task."""
    assert outcome(ask(mcp, "tasks/get", {"taskId": "t-3"})) == (400, failure(-32602, "Unknown task"))


@pytest.mark.parametrize("method", ["tasks/result", "tasks/list"])
def test_the_methods_of_2025_11_25_do_not_exist(mcp: Mcp, method: str) -> None:
    """Spec: ext-tasks: the experimental tasks of 2025-11-25 are another feature."""
    assert outcome(ask(mcp, method, {"taskId": "t-1"})) == (404, failure(-32601, f"Method not found: {method}"))
