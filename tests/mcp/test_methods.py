"""Methods and failures of both eras in shared tables, so that differences are visible."""

from itertools import product
from typing import Any

import pytest
from werkzeug.test import TestResponse

from scenext_service.scenext.client import Scenext
from scenext_service.tools import create_tools
from scenext_service.tools.api_call import Credentials
from scenext_service.tools.gen_video import NO_QUESTION
from scenext_service.tools.waiting import JobWaiter
from scenext_service.web.card import URI
from tests.support.cases import case
from tests.support.messages import BEARER, META, SERVER, Mcp, failure, outcome
from tests.support.names import TOOLS

ERAS = ("legacy", "modern")
# The HTTP status of a failed request. Legacy clients treat a 404 as a lost session.
STATUS = {"legacy": {-32601: 200, -32602: 200}, "modern": {-32601: 404, -32602: 400}}

# Fields of a modern result that a legacy result does not have.
STAMP: dict[str, dict[str, Any]] = {
    "legacy": {},
    "modern": {"resultType": "complete", "_meta": {"io.modelcontextprotocol/serverInfo": SERVER}},
}
CACHED = {"legacy": {}, "modern": {"ttlMs": 3_600_000, "cacheScope": "public", **STAMP["modern"]}}

either = pytest.mark.parametrize("era", ERAS)


def ask(
    mcp: Mcp, era: str, method: str, params: Any = None, headers: dict[str, str] | None = None, id: Any = 1
) -> TestResponse:
    """Post a request as a client of the era does. Send params that are not an object unchanged."""
    if era == "legacy":
        return mcp.legacy(method, params, headers, id)
    if params is None or isinstance(params, dict):
        return mcp.modern(method, params, headers, id)
    mirrored = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method, **(headers or {})}
    return mcp.post({"jsonrpc": "2.0", "id": id, "method": method, "params": params}, mirrored)


# Each method, its params, and the eras that define it.
METHODS = [
    ("initialize", {"protocolVersion": "2025-11-25"}, "legacy"),
    ("ping", {}, "legacy"),
    ("server/discover", {}, "modern"),
    ("tools/list", {}, "legacy modern"),
    ("tools/call", {"name": TOOLS[0]}, "legacy modern"),
    ("logging/setLevel", {}, ""),
    ("completion/complete", {}, ""),
    ("resources/list", {}, "legacy modern"),
    ("resources/subscribe", {}, ""),
    ("resources/unsubscribe", {}, ""),
    ("resources/templates/list", {}, "legacy modern"),
    ("resources/read", {"uri": URI}, "legacy modern"),
    ("prompts/list", {}, ""),
    ("prompts/get", {"name": "a"}, ""),
    ("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, ""),
    ("tasks/list", {}, ""),
    ("notifications/initialized", {}, ""),  # a request, because it has an id
    ("Tools/List", {}, ""),
    ("", {}, ""),
]


@pytest.mark.parametrize(("method", "params", "eras"), [pytest.param(*row, id=row[0] or "empty") for row in METHODS])
def test_each_era_has_only_its_own_methods(mcp: Mcp, method: str, params: dict[str, Any], eras: str) -> None:
    """Spec: JSON-RPC 2.0, section 5.1; 2026-07-28, streamable-http "Protocol Version Header": 404 and -32601.

    Ours: the legacy era returns 200, because real clients treat a 404 as a lost session.
    """
    for era, id in product(ERAS, ("", "a", 0)):
        with case(era, id):
            named = {"Mcp-Name": params["uri"]} if "uri" in params else None
            status, answer = outcome(ask(mcp, era, method, params, named, id))
            if era in eras.split():
                assert (status, set(answer), answer["id"]) == (200, {"jsonrpc", "id", "result"}, id)
            else:
                assert (status, answer) == (STATUS[era][-32601], failure(-32601, f"Method not found: {method}", id))


CURSOR = "unknown cursor; the list of {} has a single page"
LISTS = {"tools/list": "tools", "resources/list": "resources", "resources/templates/list": "resource templates"}
NAME = '"name" must be a string, the name of a tool'

CURSORS: list[Any] = ["", "a", 0, False, {}]
NAMES: list[Any] = [None, 1, True, {}, [TOOLS[0]]]

# Each method, its params, and the error message.
FAILURES = [
    *[
        pytest.param(method, {"cursor": it}, CURSOR.format(what), id=f"{method}-cursor-{it!r}")
        for method, what in LISTS.items()
        for it in CURSORS
    ],
    *[pytest.param("tools/call", {"name": it}, NAME, id=f"name-{it!r}") for it in NAMES],
    pytest.param("tools/call", {}, NAME, id="no name"),
    pytest.param("tools/list", [], '"params" must be an object', id="params is an array"),
    pytest.param("tools/list", [META], '"params" must be an object', id="params is an array of metadata"),
]


@pytest.mark.parametrize(("method", "params", "message"), FAILURES)
def test_wrong_params_are_invalid_params_in_both_eras(mcp: Mcp, method: str, params: Any, message: str) -> None:
    """Spec: 2025-11-25 and 2026-07-28, pagination "Error Handling", schema "CallToolRequestParams", basic "Requests".

    Ours: status 200 in the legacy era, as for every legacy error.
    """
    for era, id in product(ERAS, (0, "a")):
        with case(era, id):
            answer = failure(-32602, f"Invalid params: {message}", id)
            assert outcome(ask(mcp, era, method, params, id=id)) == (STATUS[era][-32602], answer)


@either
def test_an_unknown_tool_is_invalid_params_in_both_eras(mcp: Mcp, era: str) -> None:
    """Spec: 2025-11-25 and 2026-07-28, server/tools "Error Handling". Ours: the message lists the known tools."""
    answer = failure(-32602, f"Unknown tool: none. Known tools: {', '.join(TOOLS)}")
    assert outcome(ask(mcp, era, "tools/call", {"name": "none"})) == (STATUS[era][-32602], answer)


@either
def test_a_long_method_name_is_truncated_in_the_error(mcp: Mcp, era: str) -> None:
    """Ours: the size of an error does not depend on the client's input."""
    answer = failure(-32601, "Method not found: " + "m" * 100)
    assert outcome(ask(mcp, era, "m" * 5_000)) == (STATUS[era][-32601], answer)


@either
def test_the_list_of_tools_is_byte_identical_every_time(mcp: Mcp, era: str) -> None:
    """Spec: 2026-07-28, server/utilities/caching; server/tools "Capabilities": deterministic order.

    Ours: clients and model caches compare it. No tool uses x-mcp-header of 2026-07-28.
    """
    scenext = Scenext("https://api.example/api", timeout=5, slots=1)
    tools = [
        tool.definition() for tool in create_tools(scenext, Credentials(), "m", JobWaiter(50, 1), URI, sandbox=True)
    ]
    assert [tool["name"] for tool in tools] == [*TOOLS]
    first = ask(mcp, era, "tools/list")
    assert outcome(first) == (200, {"jsonrpc": "2.0", "id": 1, "result": {"tools": tools, **CACHED[era]}})
    ask(mcp, era, "tools/call", {"name": TOOLS[0], "arguments": {"task_id": "sandbox-completed"}}, BEARER)
    assert ask(mcp, era, "tools/list", {"cursor": None}).data == ask(mcp, era, "tools/list").data == first.data
    assert b"x-mcp-header" not in first.data


COMPLETED, DOWN = {"task_id": "sandbox-completed"}, {"task_id": "sandbox-down"}


@pytest.mark.parametrize(
    ("params", "is_error", "words"),
    [
        pytest.param({"name": "query_video_status", "arguments": COMPLETED}, False, "COMPLETED", id="successful call"),
        pytest.param({"name": "query_video_status", "arguments": DOWN}, True, "HTTP 503", id="failed call"),
        pytest.param({"name": "query_video_status", "arguments": {}}, True, "Missing argument", id="missing argument"),
        pytest.param({"name": "gen_video"}, True, NO_QUESTION[:40], id="no arguments"),
    ],
)
def test_the_eras_differ_only_in_the_stamp_of_a_call_result(
    mcp: Mcp, params: dict[str, Any], is_error: bool, words: str
) -> None:
    """Spec: 2026-07-28, basic/index "ResultType" and "_meta", to which a tool may add. A call is not cacheable."""
    headers = {**BEARER, "X-Request-ID": "abc-123"}  # the text of a failure contains it
    legacy = ask(mcp, "legacy", "tools/call", params, headers).get_json()["result"]
    assert (legacy["isError"], words in legacy["content"][0]["text"]) == (is_error, True)
    for era in ERAS:
        result = {**legacy, **STAMP[era]}
        if "_meta" in legacy:
            result["_meta"] = {**legacy["_meta"], **STAMP[era].get("_meta", {})}
        response = ask(mcp, era, "tools/call", params, headers)
        assert outcome(response) == (200, {"jsonrpc": "2.0", "id": 1, "result": result})


@either
def test_the_first_tool_without_arguments_is_not_a_protocol_error(mcp: Mcp, era: str) -> None:
    """Ours: the official conformance suite sends this call. SEP-1303 makes it a result that the model can correct."""
    first = ask(mcp, era, "tools/list").get_json()["result"]["tools"][0]
    status, answer = outcome(ask(mcp, era, "tools/call", {"name": first["name"], "arguments": {}}))
    assert (status, answer["result"]["isError"]) == (200, True)
    assert f'Missing argument "{first["inputSchema"]["required"][0]}"' in answer["result"]["content"][0]["text"]
