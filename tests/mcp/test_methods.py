"""Methods and failures in both eras: one table, with a column for each era, so that what differs is seen."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from scenext_service.scenext.client import Scenext
from scenext_service.tools import tools as tools_of
from scenext_service.tools.credentials import Credentials
from scenext_service.tools.gen_video import NO_QUESTION
from scenext_service.tools.waiting import Waits
from scenext_service.views.card import URI
from tests.support.messages import BEARER, META, SERVER, Mcp, failure, outcome
from tests.support.names import TOOLS

ERAS = ("legacy", "modern")
# The HTTP status of a failed request. Legacy clients read a 404 as a lost session.
STATUS = {"legacy": {-32601: 200, -32602: 200}, "modern": {-32601: 404, -32602: 400}}

# What a modern result has beside the legacy one.
STAMP = {
    "legacy": {},
    "modern": {"resultType": "complete", "_meta": {"io.modelcontextprotocol/serverInfo": SERVER}},
}
CACHED = {"legacy": {}, "modern": {"ttlMs": 3_600_000, "cacheScope": "public", **STAMP["modern"]}}

either = pytest.mark.parametrize("era", ERAS)


def ask(
    mcp: Mcp, era: str, method: str, params: Any = None, headers: dict[str, str] | None = None, id: Any = 1
) -> TestResponse:
    """Post a request as a client of the era does; params that are no object go as they are."""
    if era == "legacy":
        return mcp.legacy(method, params, headers, id)
    if params is None or isinstance(params, dict):
        return mcp.modern(method, params, headers, id)
    mirrored = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method, **(headers or {})}
    return mcp.post({"jsonrpc": "2.0", "id": id, "method": method, "params": params}, mirrored)


# Each method, its params, and which of the eras has it.
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
    ("notifications/initialized", {}, ""),  # with an id, so a request
    ("Tools/List", {}, ""),
    ("", {}, ""),
]


@either
@pytest.mark.parametrize("id", ["", "a", 0])
@pytest.mark.parametrize(("method", "params", "eras"), [pytest.param(*row, id=row[0] or "empty") for row in METHODS])
def test_an_era_has_its_own_methods_and_no_other(
    mcp: Mcp, era: str, method: str, params: dict[str, Any], eras: str, id: Any
) -> None:
    """Spec: JSON-RPC 2.0, section 5.1; 2026-07-28, streamable-http "Protocol Version Header": 404 and -32601.

    Ours: a legacy era answers 200, because real clients read a 404 as a lost session.
    """
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

# Each method, its params, and what is wrong with them.
FAILURES = [
    *[
        pytest.param(method, {"cursor": it}, CURSOR.format(what), id=f"{method}-cursor-{it!r}")
        for method, what in LISTS.items()
        for it in CURSORS
    ],
    *[pytest.param("tools/call", {"name": it}, NAME, id=f"name-{it!r}") for it in NAMES],
    pytest.param("tools/call", {}, NAME, id="no-name"),
    pytest.param("tools/list", [], '"params" must be an object', id="params-an-array"),
    pytest.param("tools/list", [META], '"params" must be an object', id="params-an-array-of-metadata"),
]


@either
@pytest.mark.parametrize("id", [0, "a"])
@pytest.mark.parametrize(("method", "params", "message"), FAILURES)
def test_wrong_params_are_invalid_params_in_both_eras(
    mcp: Mcp, era: str, method: str, params: Any, message: str, id: Any
) -> None:
    """Spec: 2025-11-25 and 2026-07-28, pagination "Error Handling", schema "CallToolRequestParams", basic "Requests".

    Ours: 200 for a legacy one, as for every legacy error.
    """
    answer = failure(-32602, f"Invalid params: {message}", id)
    assert outcome(ask(mcp, era, method, params, id=id)) == (STATUS[era][-32602], answer)


@either
def test_an_unknown_tool_is_invalid_params_in_both_eras(mcp: Mcp, era: str) -> None:
    """Spec: 2025-11-25 and 2026-07-28, server/tools "Error Handling"; what there is, a model is told."""
    answer = failure(-32602, f"Unknown tool: none. Known tools: {', '.join(TOOLS)}")
    assert outcome(ask(mcp, era, "tools/call", {"name": "none"})) == (STATUS[era][-32602], answer)


@either
def test_a_long_method_name_is_cut_in_the_answer(mcp: Mcp, era: str) -> None:
    """Ours: an answer does not grow with what a client made up."""
    answer = failure(-32601, "Method not found: " + "m" * 100)
    assert outcome(ask(mcp, era, "m" * 5_000)) == (STATUS[era][-32601], answer)


@either
def test_the_list_of_tools_is_the_same_bytes_every_time(mcp: Mcp, era: str) -> None:
    """Spec: 2026-07-28, server/utilities/caching; server/tools "Capabilities": deterministic order.

    Ours: clients and model caches compare it. x-mcp-header of 2026-07-28 is not used by any tool.
    """
    scenext = Scenext("https://api.example/api", timeout=5, slots=1)
    tools = [tool.definition() for tool in tools_of(scenext, Credentials(), "m", Waits(50, 1), URI)]
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
        pytest.param({"name": "query_video_status", "arguments": COMPLETED}, False, "COMPLETED", id="success"),
        pytest.param({"name": "query_video_status", "arguments": DOWN}, True, "HTTP 503", id="failed call"),
        pytest.param(
            {"name": "query_video_status", "arguments": {}}, True, "Missing argument", id="a missing argument"
        ),
        pytest.param({"name": "gen_video"}, True, NO_QUESTION[:40], id="no arguments at all"),
    ],
)
def test_a_call_has_one_result_in_both_eras_but_for_the_stamp(
    mcp: Mcp, params: dict[str, Any], is_error: bool, words: str
) -> None:
    """Spec: 2026-07-28, basic/index "ResultType" and "_meta". No ttlMs: a call is not cacheable."""
    headers = {**BEARER, "X-Request-ID": "abc-123"}  # which a failure's text says
    legacy = ask(mcp, "legacy", "tools/call", params, headers).get_json()["result"]
    assert (legacy["isError"], words in legacy["content"][0]["text"]) == (is_error, True)
    for era in ERAS:
        result = {**legacy, **STAMP[era]}
        response = ask(mcp, era, "tools/call", params, headers)
        assert outcome(response) == (200, {"jsonrpc": "2.0", "id": 1, "result": result})


@either
def test_the_first_tool_called_with_nothing_is_no_protocol_error(mcp: Mcp, era: str) -> None:
    """Ours: the official conformance suite calls it so; SEP-1303 makes it a result that the model can mend."""
    first = ask(mcp, era, "tools/list").get_json()["result"]["tools"][0]
    status, answer = outcome(ask(mcp, era, "tools/call", {"name": first["name"], "arguments": {}}))
    assert (status, answer["result"]["isError"]) == (200, True)
    assert f'Missing argument "{first["inputSchema"]["required"][0]}"' in answer["result"]["content"][0]["text"]
