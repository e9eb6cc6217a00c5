"""Both tools through the whole application, over a recording Scenext: the sandbox, or a script of the test."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import fastjsonschema
import orjson
import pytest
import requests
from flask import Flask

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.mcp.context import TimeBudget
from scenext_service.scenext.sandbox.adapter import OUTCOMES
from scenext_service.scenext.sandbox.jobs import DURATION
from tests.support.messages import BEARER, KEY, Mcp, halves
from tests.support.names import TOOLS
from tests.support.pictures import PNG
from tests.support.scripted import NOW, Reply, ScriptedScenext
from tests.support.upstream import closed_port

CJK = re.compile("[\u4e00-\u9fff]")
PLAIN_KEYWORDS = {"type", "properties", "required", "description", "enum", "items"}
FOLLOW = 'wait_seconds=50, frames="none"'  # arguments with which a model follows a job
QUERY, GEN = "query_video_status", "gen_video"
MAY_BE_CHARGED = ("may have been started and charged", "Do not call gen_video again by yourself")


@pytest.fixture
def upstream() -> ScriptedScenext:
    """Make the Scenext of `app`."""
    return ScriptedScenext()


@pytest.fixture
def app(config: Config, upstream: ScriptedScenext) -> Flask:
    """Make the application over `upstream`."""
    return create_app(config, upstream)


@pytest.fixture
def tools(mcp: Mcp) -> dict[str, dict[str, Any]]:
    """Return the published definitions by name."""
    return {tool["name"]: tool for tool in mcp.modern("tools/list").get_json()["result"]["tools"]}


def assert_succeeds(result: dict[str, Any], data: dict[str, Any]) -> str:
    """Check that a result contains `data` as an object and as JSON. Return its text for reading."""
    assert set(result) == {"content", "structuredContent", "isError", "resultType", "_meta"}
    assert result["isError"] is False
    assert result["structuredContent"] == data
    written, reading = result["content"]
    assert (set(written), set(reading)) == ({"type", "text"}, {"type", "text"})
    assert (written["type"], reading["type"]) == ("text", "text")
    assert json.loads(written["text"]) == data
    assert CJK.search(reading["text"])
    text: str = reading["text"]
    return text


def assert_fails(result: dict[str, Any], *words: str) -> str:
    """Check that a result is a tool error in two languages that contains these words. Return its text."""
    assert set(result) == {"content", "isError", "resultType", "_meta"}
    assert result["isError"] is True
    (content,) = result["content"]
    assert set(content) == {"type", "text"}
    text: str = content["text"]
    english, chinese = halves(text)
    assert CJK.search(chinese)
    assert not CJK.search(english)
    assert [word for word in words if word not in text] == []
    return text


# Definitions


def schemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a schema and every schema in it."""
    yield schema
    for inner in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
        yield from schemas(inner)


def test_both_eras_list_the_same_tools_in_the_same_order(mcp: Mcp) -> None:
    """Spec: 2026-07-28, server/tools "Listing Tools": the same order every time."""
    modern = mcp.modern("tools/list").get_json()["result"]["tools"]
    assert [tool["name"] for tool in modern] == [*TOOLS]
    assert mcp.legacy("tools/list").get_json()["result"]["tools"] == modern


@pytest.mark.parametrize(("tool", "count"), [("query_video_status", 4), ("gen_video", 9)])
def test_input_schemas_use_plain_keywords_only(tools: dict[str, dict[str, Any]], tool: str, count: int) -> None:
    """Ours: hosts drop tools with root-level `anyOf`, `pattern` and similar keywords."""
    found = list(schemas(tools[tool]["inputSchema"]))
    assert len(found) == count
    assert [set(schema) - PLAIN_KEYWORDS for schema in found] == [set()] * count
    assert [schema for schema in found if "type" not in schema] == []


@pytest.mark.parametrize(
    ("tool", "names", "required"),
    [
        ("query_video_status", {"task_id", "wait_seconds", "frames"}, ["task_id"]),
        ("gen_video", {"question", "answer", "question_images", "answer_images", "quality", "notify_url"}, None),
    ],
)
def test_every_parameter_is_described_and_none_is_an_api_key(
    tools: dict[str, dict[str, Any]], tool: str, names: set[str], required: list[str] | None
) -> None:
    """Ours: Scenext's API reference, "Create a job". A model knows only the description of an argument."""
    schema = tools[tool]["inputSchema"]
    assert set(schema["properties"]) == names
    assert schema.get("required") == required
    assert [name for name, it in schema["properties"].items() if len(it.get("description", "")) < 20] == []


def test_quality_is_an_enum_that_names_the_configured_default() -> None:
    """Ours: Scenext's API reference, "Create a job", and SCENEXT_DEFAULT_QUALITY."""
    mcp = Mcp(create_app(Config(sandbox=True, default_quality="h")).test_client())
    (gen_video,) = (tool for tool in mcp.legacy("tools/list").get_json()["result"]["tools"] if tool["name"] == GEN)
    quality = gen_video["inputSchema"]["properties"]["quality"]
    assert (quality["type"], quality["enum"]) == ("string", ["h", "m", "l"])
    assert "default h." in quality["description"]


@pytest.mark.parametrize(
    ("tool", "phrase"),
    [
        pytest.param("query_video_status", "takes one minute", id="query, duration"),
        pytest.param("query_video_status", FOLLOW, id="query, wait"),
        pytest.param("query_video_status", "COMPLETED or FAILED", id="query, final states"),
        pytest.param("query_video_status", "gen_video", id="query, other tool"),
        pytest.param("query_video_status", "HTTP headers", id="query, key"),
        pytest.param("query_video_status", "Queries are free", id="query, free of charge"),
        pytest.param("query_video_status", "[text](url)", id="query, link"),
        pytest.param("query_video_status", "![text](url)", id="query, image"),
        pytest.param("gen_video", "takes one minute", id="gen, duration"),
        pytest.param("gen_video", FOLLOW, id="gen, wait"),
        pytest.param("gen_video", "CHARGES A NEW JOB", id="gen, charge"),
        pytest.param("gen_video", "query_video_status", id="gen, other tool"),
        pytest.param("gen_video", "HTTP headers", id="gen, key"),
    ],
)
def test_descriptions_contain_what_a_model_must_know(tools: dict[str, dict[str, Any]], tool: str, phrase: str) -> None:
    """Ours: Scenext's API reference, and the texts of scenext-mcp as the reference behaviour."""
    description = tools[tool]["description"]
    assert phrase in description
    assert CJK.search(description)


@pytest.mark.parametrize(("tool", "free"), [("query_video_status", True), ("gen_video", False)])
def test_annotations_match_the_effects_of_a_tool(tools: dict[str, dict[str, Any]], tool: str, free: bool) -> None:
    """Spec: 2026-07-28, schema "ToolAnnotations". A query changes nothing; a job is charged each time."""
    assert tools[tool]["annotations"] == {
        "readOnlyHint": free,
        "destructiveHint": False,
        "idempotentHint": free,
        "openWorldHint": True,
    }


# Results


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({}, id="empty"),
        pytest.param({"status": "COMPLETED"}, id="no task_id"),
        pytest.param({"task_id": 12345, "status": "IN_PROGRESS", "progress": []}, id="integer task_id"),
        pytest.param({"task_id": None, "status": None, "progress": None, "result": None}, id="nulls"),
        pytest.param(
            {"status": ["COMPLETED"], "progress": {"a": 1}, "result": [{"video_url": "u"}, 1]}, id="unexpected types"
        ),
        pytest.param(
            {"result": [], "nobody documented": {"x": [1.5, True, "é 题目 \U0001f600", {}]}}, id="unknown fields"
        ),
        pytest.param({"points": 2**63, "cost": -0.1}, id="numbers"),
    ],
)
def test_query_returns_upstream_data_unchanged(
    mcp: Mcp, upstream: ScriptedScenext, tools: dict[str, dict[str, Any]], data: dict[str, Any]
) -> None:
    """Ours: this includes unknown fields. The output schema accepts all of them."""
    upstream.succeeds(data)
    result = mcp.call("query_video_status", {"task_id": "12345"})
    assert_succeeds(result, data)
    fastjsonschema.compile(tools["query_video_status"]["outputSchema"])(result["structuredContent"])


@pytest.mark.parametrize(
    ("received", "task_id"),
    [
        pytest.param("12345", "12345", id="string"),
        pytest.param(12345, "12345", id="integer"),
        pytest.param(0, "0", id="zero"),
    ],
)
def test_gen_video_returns_a_string_task_id_and_all_other_fields(
    mcp: Mcp, upstream: ScriptedScenext, tools: dict[str, dict[str, Any]], received: Any, task_id: str
) -> None:
    """Ours: scenext-mcp's `{"status", "task_id", "message"}`, and upstream's other fields unchanged."""
    upstream.succeeds({"task_id": received, "queue": {"place": 3}})
    result = mcp.call("gen_video", {"question": "1 + 1 = ?"})
    message = result["structuredContent"]["message"]
    data = {"status": "success", "message": message, "task_id": task_id, "queue": {"place": 3}}
    assert assert_succeeds(result, data) == f"task_id: {task_id}\n{message}"
    assert [words for words in ("query_video_status", FOLLOW, "charged") if words not in message] == []
    fastjsonschema.compile(tools["gen_video"]["outputSchema"])(result["structuredContent"])


VALUES = [None, True, 0, 10, 1.5, "", "COMPLETED", [], ["COMPLETED"], [{"id": 1}], {}, {"video_url": 5}]


@pytest.mark.parametrize(
    ("tool", "arguments", "names"),
    [
        (QUERY, {"task_id": "1"}, {"task_id": "string", "status": "string", "points": "integer"}),
        (QUERY, {"task_id": "1"}, {"progress": "array", "result": "object"}),
        (GEN, {"question": "q"}, {"status": "string", "message": "string"}),
    ],
)
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_output_fields_have_a_documented_type_but_accept_any(
    mcp: Mcp,
    upstream: ScriptedScenext,
    tools: dict[str, dict[str, Any]],
    tool: str,
    arguments: dict[str, Any],
    names: dict[str, str],
    value: Any,
) -> None:
    """Ours: Scenext's API reference. Scenext may send any type. Clients reject results that violate the schema."""
    schema = tools[tool]["outputSchema"]
    for name, kind in names.items():
        assert {"type": kind} in schema["properties"][name]["anyOf"]
        upstream.succeeds({"task_id": "1", name: value} if name != "task_id" else {})
        result = mcp.call(tool, arguments)
        assert result["isError"] is False
        fastjsonschema.compile(schema)({**result["structuredContent"], name: value})


def test_every_field_of_a_result_has_a_type(tools: dict[str, dict[str, Any]]) -> None:
    """Ours: the MCP Inspector warns about fields without a type, and about lists of types."""
    named = [
        (tool, name, field)
        for tool in (QUERY, GEN)
        for name, field in tools[tool]["outputSchema"]["properties"].items()
    ]
    assert len(named) == 10
    assert [it for it in named if not isinstance(it[2].get("type", it[2].get("anyOf", [{}])[0].get("type")), str)] == []


def test_a_legacy_result_has_no_modern_fields(mcp: Mcp) -> None:
    """Spec: 2025-11-25, server/tools "Tool Result"."""
    params = {"name": "query_video_status", "arguments": {"task_id": "sandbox-completed"}}
    legacy = mcp.legacy("tools/call", params, BEARER).get_json()["result"]
    modern = mcp.call("query_video_status", {"task_id": "sandbox-completed"})
    assert legacy == {name: modern[name] for name in ("content", "structuredContent", "isError")}


def test_a_video_is_followed_from_gen_video_to_completed(mcp: Mcp, upstream: ScriptedScenext) -> None:
    """Ours: the conversation of the README, with the sandbox's clock moved forward."""
    task_id = mcp.call("gen_video", {"question": "1 + 1 = ?"})["structuredContent"]["task_id"]
    seen = []
    for seconds in (0, DURATION / 2, DURATION):
        upstream.now = NOW + seconds
        result = mcp.call("query_video_status", {"task_id": task_id})
        job = result["structuredContent"]
        text = assert_succeeds(result, job)
        assert job["task_id"] == task_id
        assert [f"![{frame['id']}]({frame['image']})" in text for frame in job["progress"][-1:]] in ([], [True])
        seen.append((job["status"], "call query_video_status with the same" in text, "[Watch the video" in text))
    assert seen == [("IN_PROGRESS", True, False), ("IN_PROGRESS", True, False), ("COMPLETED", False, True)]
    assert f"]({job['result']['video_url']})" in text


# Requests to Scenext


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        pytest.param({"question": " 1 + 1 = ? "}, {"question": " 1 + 1 = ? "}, id="question"),
        pytest.param({"question": "q", "answer": "a"}, {"question": "q", "answer": "a"}, id="answer"),
        pytest.param({"question_images": ["https://i/1", " "]}, {"questionImages": ["https://i/1"]}, id="images"),
        pytest.param({"questionImages": [PNG]}, {"questionImages": [PNG]}, id="alias of question_images"),
        pytest.param(
            {"question": "q", "answer_images": [PNG, ""]},
            {"question": "q", "answerImages": [PNG]},
            id="answer images",
        ),
        pytest.param(
            {"question": "q", "answerImages": [PNG]},
            {"question": "q", "answerImages": [PNG]},
            id="alias of answer_images",
        ),
        pytest.param({"question": "q", "quality": "l"}, {"question": "q", "quality": "l"}, id="quality"),
        pytest.param(
            {"question": "q", "notify_url": " https://a.example/hook?x=1 "},
            {"question": "q", "notify_url": "https://a.example/hook?x=1"},
            id="notify_url",
        ),
        pytest.param(
            {"question": "q", "notifyUrl": "http://a.example:8080/"},
            {"question": "q", "notify_url": "http://a.example:8080/"},
            id="alias of notify_url",
        ),
        pytest.param({"question": "q", "notify_url": " "}, {"question": "q"}, id="blank notify_url"),
        pytest.param(
            {
                "question": "q",
                "answer": "",
                "quality": "",
                "notify_url": "  ",
                "question_images": [],
                "answer_images": [""],
            },
            {"question": "q"},
            id="blank values",
        ),
        pytest.param(
            {"question": '["a"]', "answer": "50"}, {"question": '["a"]', "answer": "50"}, id="texts that are JSON"
        ),
        pytest.param(
            {"question_images": '["https://i.example/1"]', "answer_images": "[]"},
            {"questionImages": ["https://i.example/1"]},
            id="images as JSON text",
        ),
        pytest.param(
            {"question": "q", "answer": None, "quality": None, "notify_url": None, "answer_images": None, "x": None},
            {"question": "q"},
            id="nulls",
        ),
        pytest.param(
            {"question": "q", "toolCallId": "call_1", "sessionId": "1", "chatInput": "q", "action": "sendMessage"},
            {"question": "q"},
            id="arguments added by n8n",
        ),
        pytest.param({"question": "q", "_meta": {}}, {"question": "q"}, id="metadata among the arguments"),
    ],
)
@pytest.mark.parametrize("config", [Config(sandbox=True, default_quality="h")], ids=["default-h"])
def test_gen_video_sends_the_field_names_of_scenext(
    mcp: Mcp, upstream: ScriptedScenext, arguments: dict[str, Any], sent: dict[str, Any]
) -> None:
    """Ours: Scenext's API reference, "Create a job"; aliases for the camelCase spellings."""
    assert mcp.call("gen_video", arguments)["isError"] is False
    (request,) = upstream.requests
    assert (request.method, request.url) == ("POST", "https://api.scenext.cn/api/gen_video")
    assert (request.headers["Authorization"], request.headers["Content-Type"]) == (f"Bearer {KEY}", "application/json")
    left_out = {"question": "", "answer": "", "questionImages": [], "answerImages": [], "quality": "h"}
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == {**left_out, **sent}


@pytest.mark.parametrize(
    "arguments",
    [
        {"task_id": " 12345\n"},
        {"taskId": "12345"},
        {"task_id": "12345", "taskId": None},
        {"task_id": "", "taskId": "12345"},
        {"task_id": 12345},
        {"taskId": 12345},
        {"task_id": "12345", "wait_seconds": "", "frames": ""},
        {"task_id": "12345", "wait_seconds": [], "frames": " "},
        {"task_id": "12345", "wait_seconds": "0", "frames": None},
    ],
)
def test_query_accepts_the_task_id_under_either_name(
    mcp: Mcp, upstream: ScriptedScenext, arguments: dict[str, Any]
) -> None:
    """Ours: Scenext's API reference, "Query a job"."""
    upstream.succeeds({"task_id": "12345"})
    assert mcp.call("query_video_status", arguments)["isError"] is False
    (request,) = upstream.requests
    assert (request.method, request.url) == ("GET", "https://api.scenext.cn/api/get_status/12345")
    assert (request.headers["Authorization"], request.body) == (f"Bearer {KEY}", None)


# Failures before a request is sent

NOTHING_STARTED = "Nothing was started or charged."
RETURNED = "with the value that gen_video returned"
MEANINGS = ("h (high), m (medium), l (low)", "h (高), m (中), l (低)")
KNOWN = ("its arguments are: question, answer, question_images, answer_images, quality, notify_url.",)


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        pytest.param(QUERY, {}, ('"task_id"', "Missing"), id="missing task_id"),
        pytest.param(QUERY, {"task_id": None}, ('"task_id"', "Missing"), id="null task_id"),
        pytest.param(QUERY, {"task_id": ""}, ("task_id is empty", RETURNED, "任务 ID 为空"), id="empty task_id"),
        pytest.param(QUERY, {"task_id": " \t\n"}, ("task_id is empty", RETURNED), id="blank task_id"),
        pytest.param(QUERY, {"task_id": "a b"}, ("task_id is invalid", RETURNED), id="task_id of two words"),
        pytest.param(QUERY, {"task_id": True}, ('"task_id"', "string", "true"), id="boolean task_id"),
        pytest.param(QUERY, {"task_id": 1.5}, ('"task_id"', "string", "1.5"), id="fractional task_id"),
        pytest.param(QUERY, {"task_id": 10**25}, ('"task_id"', "string", "1e+25"), id="task_id beyond 64 bits"),
        pytest.param(QUERY, {"task_id": ["a"]}, ('"task_id"', "string", "an array"), id="array task_id"),
        pytest.param(QUERY, {"taskId": {}}, ('"task_id"', "string", "an object"), id="object under the alias"),
        *[
            pytest.param(
                QUERY, {"task_id": bad}, ("task_id is invalid", "letters, digits"), id=f"task-id-{ascii(bad)[1:9]}"
            )
            for bad in (".", "..", "../x", "a/b", "a?b", "a#b", "a%2e", "a\nb", "a\x00b", "a b", "é", "１２", "a" * 129)
        ],
        pytest.param(GEN, {}, ("`question`", "`question_images`", NOTHING_STARTED), id="no question"),
        pytest.param(GEN, {"question": " \n"}, ("`question_images`", NOTHING_STARTED), id="blank question"),
        pytest.param(GEN, {"question": "", "question_images": ["", " "]}, (NOTHING_STARTED,), id="blank images"),
        pytest.param(GEN, {"answer": "2", "answer_images": [PNG]}, (NOTHING_STARTED,), id="answer only"),
        pytest.param(GEN, {"question": 5}, ('"question"', "string", "5"), id="integer question"),
        pytest.param(GEN, {"question": "q", "Quality": ""}, ("'Quality'", *KNOWN), id="unknown name, blank value"),
        pytest.param(GEN, {"question_images": "a"}, ('"question_images"', "with an array"), id="string images"),
        pytest.param(GEN, {"question_images": ["a", 1]}, ('"question_images[1]"', "string"), id="integer image"),
        pytest.param(GEN, {"question": "q", "answer_images": [None]}, ('"answer_images[0]"',), id="null image"),
        pytest.param(GEN, {"question": "q", "quality": "4k"}, ('"quality"', *MEANINGS, "4k"), id="unknown quality"),
        pytest.param(GEN, {"question": "q", "quality": True}, ('"quality"', "true"), id="boolean quality"),
        pytest.param(GEN, {"question": "q", "Quality": "h"}, ("'Quality'", *KNOWN), id="capitalized quality"),
        pytest.param(GEN, {"question": "q", "images": ["a"]}, ("'images'", *KNOWN), id="images under another name"),
        pytest.param(GEN, {"api_key": KEY, "question": "q"}, ("'api_key'", *KNOWN), id="key as an argument"),
        *[
            pytest.param(
                GEN,
                {"question": "q", "notify_url": bad},
                ("http or https URL", NOTHING_STARTED),
                id=f"notify-url-{bad}",
            )
            for bad in (
                "/hook",
                "a.example/hook",
                "ftp://a.example",
                "https://",
                "http://[",
                "http://a b",
                "javascript:1",
                "https://...",
            )
        ],
    ],
)
def test_wrong_arguments_are_explained_in_two_languages_and_send_nothing(
    mcp: Mcp, upstream: ScriptedScenext, tool: str, arguments: dict[str, Any], words: tuple[str, ...]
) -> None:
    """Spec: SEP-1303: a tool error, because the model can correct it. Ours: nothing reaches Scenext."""
    text = assert_fails(mcp.call(tool, arguments), *words)
    english, chinese = halves(text)
    if tool == GEN:  # stated exactly once
        assert (english.count(NOTHING_STARTED), chinese.count("任务未创建，也未扣费。")) == (1, 1)
    assert KEY not in text
    assert upstream.requests == []


LONGEST = "https://a.example/" + "x" * 1982  # 2,000 characters


def test_the_longest_notify_url_is_sent(mcp: Mcp, upstream: ScriptedScenext) -> None:
    """Ours: the length that every browser accepts, and more than any callback needs."""
    assert mcp.call(GEN, {"question": "q", "notify_url": f" {LONGEST} "})["isError"] is False
    (request,) = upstream.requests
    assert isinstance(request.body, bytes)
    assert json.loads(request.body)["notify_url"] == LONGEST


@pytest.mark.parametrize(
    ("url", "length"),
    [
        pytest.param(LONGEST + "x", 2001, id="one character over the limit"),
        pytest.param("http://[" + "x" * 7_000_000, 7_000_008, id="very long and malformed"),
    ],
)
@pytest.mark.parametrize("name", ["notify_url", "notifyUrl"])
def test_a_longer_notify_url_is_rejected_unsent(
    mcp: Mcp, upstream: ScriptedScenext, name: str, url: str, length: int
) -> None:
    """Ours: it is rejected before it is parsed."""
    english, chinese = halves(mcp.call(GEN, {"question": "q", name: url})["content"][0]["text"])
    assert english == (
        f"notify_url is too long: it has {length} characters, and at most 2000 are allowed. Call gen_video again with a"
        f" shorter URL, or without notify_url. {NOTHING_STARTED}"
    )
    assert chinese.endswith("任务未创建，也未扣费。")
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        pytest.param(
            {},
            ("No Scenext API key", "Authorization: Bearer <key>", "X-API-Key", "请求中没有 Scenext API 密钥"),
            id="no key",
        ),
        pytest.param({"Authorization": "Basic dTpw"}, ("No Scenext API key",), id="another scheme"),
        pytest.param({"X-API-Key": "YOUR_API_KEY"}, ("is a placeholder", "占位符"), id="placeholder"),
        pytest.param({"Authorization": "Bearer ${KEY}"}, ("is a placeholder",), id="unset variable"),
        pytest.param({"X-API-Key": "%KEY%"}, ("is a placeholder",), id="cmd variable"),
        pytest.param({"Authorization": "Bearer undefined"}, ("is a placeholder", "undefined"), id="undefined"),
        pytest.param({"X-API-Key": "one,two"}, ("comma", "one header only"), id="joined keys"),
    ],
)
@pytest.mark.parametrize(("tool", "arguments"), [(QUERY, {"task_id": "12345"}), (GEN, {"question": "q"})])
def test_without_a_usable_key_nothing_is_sent(
    mcp: Mcp,
    upstream: ScriptedScenext,
    tool: str,
    arguments: dict[str, Any],
    headers: dict[str, str],
    words: tuple[str, ...],
) -> None:
    """Ours: a missing or rejected key is a tool result, never HTTP 401."""
    text = assert_fails(mcp.call(tool, arguments, headers), *words)
    assert text.count(NOTHING_STARTED) == (1 if tool == GEN else 0)
    assert upstream.requests == []


def test_a_job_without_a_free_slot_states_that_nothing_was_charged(upstream: ScriptedScenext) -> None:
    """Ours: failures.Busy, while another job occupies the only slot."""
    mcp = Mcp(create_app(Config(upstream_slots=1), upstream).test_client())
    inner: list[dict[str, Any]] = []

    def script(request: requests.PreparedRequest) -> Reply:
        inner.append(mcp.call(GEN, {"question": "q"}))
        return Reply(200, {"status": "success", "data": {"task_id": "1"}})

    upstream.script = script
    assert mcp.call(GEN, {"question": "another"})["isError"] is False
    assert_fails(inner[0], "limit of concurrent Scenext calls", NOTHING_STARTED)
    assert len(upstream.requests) == 1


@pytest.mark.usefixtures("no_network_settings")
def test_a_failed_connection_states_that_nothing_was_charged() -> None:
    """Ours: failures.NeverOpened, over the network."""
    with closed_port() as port:
        mcp = Mcp(create_app(Config(api_base_url=f"http://127.0.0.1:{port}")).test_client())
        assert_fails(mcp.call(GEN, {"question": "q"}), "could not connect", NOTHING_STARTED)


def test_non_object_arguments_start_no_job(mcp: Mcp, upstream: ScriptedScenext) -> None:
    """Spec: 2026-07-28, server/tools "Error Handling": a protocol error. Ours: it states that nothing was charged."""
    error = mcp.legacy("tools/call", {"name": GEN, "arguments": ["q"]}, BEARER).get_json()["error"]
    assert NOTHING_STARTED in error["message"]
    assert upstream.requests == []


@pytest.mark.parametrize("config", [Config(max_body=200)])
def test_a_too_large_body_starts_no_job(mcp: Mcp, upstream: ScriptedScenext) -> None:
    """Spec: RFC 9110, section 15.5.14. Ours: the error states the remedy in terms of the tool."""
    params = {"name": GEN, "arguments": {"question_images": ["A" * 200]}}
    response = mcp.legacy("tools/call", params, BEARER)
    assert response.status_code == 413
    message = response.get_json()["error"]["message"]
    assert "Nothing was started or charged" in message
    assert "Send images as URLs" in message
    assert upstream.requests == []


# Time limits in a batch


def job(number: int) -> dict[str, Any]:
    return tool_call(number, GEN, {"question": f"question {number}"})


def tool_call(number: int, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


def slow(seconds: float) -> Callable[[requests.PreparedRequest], Reply]:
    """Return the script of a Scenext that takes this many seconds for each response."""

    def script(request: requests.PreparedRequest) -> Reply:
        threading.Event().wait(seconds)
        return Reply(200, {"status": "success", "data": {"task_id": "1"}})

    return script


@pytest.mark.parametrize("config", [Config(timeout=0.5)])
def test_each_call_of_a_batch_has_its_own_timeout(mcp: Mcp, upstream: ScriptedScenext) -> None:
    """Ours: SCENEXT_TIMEOUT counts from the start of a call. Earlier calls do not reduce it."""
    upstream.script = slow(0.3)
    answers = mcp.post([job(1), tool_call(2, QUERY, {"task_id": "1"}), job(3)], BEARER).get_json()
    assert [answer["result"]["isError"] for answer in answers] == [False] * 3


@pytest.mark.parametrize("config", [Config(timeout=TimeBudget.MAX_UNSTREAMED - 0.5)])
def test_a_job_is_not_sent_if_its_batch_has_too_little_time(mcp: Mcp, upstream: ScriptedScenext) -> None:
    """Ours: it would be charged, and its id lost with a response that no client awaits. A query is free."""
    upstream.script = slow(0.6)
    answers = mcp.post([job(1), tool_call(2, QUERY, {"task_id": "1"}), job(3)], BEARER).get_json()
    assert [answer["result"]["isError"] for answer in answers] == [False, False, True]
    (content,) = answers[2]["result"]["content"]
    assert "too little time, so this call was not sent" in content["text"]
    assert "by itself, not in a batch" in content["text"]
    assert NOTHING_STARTED in content["text"]
    assert [request.method for request in upstream.requests] == ["POST", "GET"]


# Upstream failures

AGAIN = "call query_video_status again in 30 seconds"
SAID = {
    "sandbox-not-found": ("no such job", "No such task", "exactly the one", "Do not guess"),
    "sandbox-no-row": ("no such job", ": “list index out of range”.", "exactly the one", "Do not guess"),
    "sandbox-no-uuid": ("no such job", ": “invalid input syntax for type uuid: ", "exactly the one", "Do not guess"),
    "sandbox-rejected": ("answered with an error", "This job was removed", "tell the user"),
    "sandbox-messages": ("answered with an error: “This job was removed”.", "tell the user"),
    "sandbox-detail": ("HTTP 422: “path.task_id: Input should be a valid UUID”.", "Check the arguments"),
    "sandbox-firewall": ("HTTP 403, has no error message", "a firewall", "free of charge", AGAIN, "Request id: "),
    "sandbox-busy": ("too many calls", "Too many requests", "Call again in 30 seconds"),
    "sandbox-down": ("server error", "HTTP 503", "Service unavailable", "free of charge", AGAIN),
    "sandbox-broken": ("could not be used", "HTTP 200", "not JSON", "free of charge", AGAIN),
    "sandbox-silent": ("did not answer within 20 seconds", "free of charge", AGAIN),
    "sandbox-unreachable": ("could not connect", "nothing was sent", "Try again in 30 seconds"),
}


def link(task_id: str, name: str) -> str:
    """Return a sandbox link to a frame or video of a job, without the end of its signature."""
    return f"http://localhost/sandbox/{task_id}/{name}?Expires=4102444800&Signature=sandbox"


def video(task_id: str) -> str:
    return f"Video / 视频: [Watch the video / 观看视频]({link(task_id, 'video.mp4')})"


def frames(task_id: str, number: int) -> list[str]:
    return [f"Frames / 画面: {number}", f"Newest / 最新: ![frame{number}]({link(task_id, f'frame{number}.svg')})"]


COMPLETED, POINTS = "Status / 状态: COMPLETED (已完成)", "Points / 积分: 10"
FAILED = "Status / 状态: FAILED (失败)"
SHOW = "Next: show the user the video as a Markdown link."
WHOLE = (
    *("sandbox-completed", "sandbox-slow", "sandbox-list", "sandbox-typed"),
    *("sandbox-consumption", "sandbox-consumption-object", "sandbox-consumption-list"),
)
# The lines shown for each job, and the start of the line after them.
STATES = {
    **{one: ([COMPLETED, video(one), *frames(one, 3), POINTS], SHOW) for one in WHOLE},
    "sandbox-in-progress": (
        ["Status / 状态: IN_PROGRESS (生成中)", *frames("sandbox-in-progress", 1)],
        "Next: call query_video_status with the same task_id",
    ),
    "sandbox-failed": (
        [
            *(FAILED, *frames("sandbox-failed", 1), "Points / 积分: 0"),
            "Reason / 原因: The question in the image could not be read",
        ],
        "Next: tell the user the reason. A new job costs points",
    ),
    "sandbox-typed-failed": (
        [
            *(FAILED, "Frames / 画面: 0", "Reason / 原因: The image is blurred / 图片模糊"),
            "Reason / 原因: No points were consumed / 未消耗积分",
        ],
        "Next: tell the user the reason. A new job costs points",
    ),
    "sandbox-no-result": (
        [COMPLETED, *frames("sandbox-no-result", 1), POINTS],
        "Next: the job has completed, but has no video link.",
    ),
    "sandbox-repeated": (
        [
            *(COMPLETED, video("sandbox-repeated"), "Frames / 画面: 3"),
            *(f"Newest / 最新: ![frame6]({link('sandbox-repeated', 'frame3.svg')}-again)", POINTS),
        ],
        SHOW,
    ),
}

SIMULATED = "Sandbox: this is simulated, and nothing is charged. / 沙盒：结果均为模拟，不扣费。"


@pytest.mark.parametrize("task_id", sorted(OUTCOMES))
def test_every_outcome_of_the_sandbox_reaches_the_model(mcp: Mcp, task_id: str) -> None:
    """Ours: sandbox.OUTCOMES: each documented id shows its documented outcome and the next step."""
    result = mcp.call(QUERY, {"task_id": task_id})
    if task_id in SAID:
        assert_fails(result, *SAID[task_id])
        return
    shown, then = STATES[task_id]
    lines = assert_succeeds(result, result["structuredContent"]).splitlines()
    assert lines[:-3] == shown
    assert lines[-3].startswith(then)
    assert lines[-2].startswith("下一步：")
    assert lines[-1] == SIMULATED


@pytest.mark.parametrize(
    ("key", "words"),
    [
        pytest.param(
            "sandbox-refused-key",
            ("refused the API key: “Unauthorized: Invalid API key”.", "same key will not help"),
            id="401",
        ),
        pytest.param(
            "sandbox-blocked-key", ("HTTP 403, has no error message", "a firewall", *MAY_BE_CHARGED), id="403"
        ),
        pytest.param("sandbox-no-credit-key", ("too few points", "Insufficient points", "top it up"), id="402"),
    ],
)
def test_special_sandbox_keys_fail_as_documented(mcp: Mcp, key: str, words: tuple[str, ...]) -> None:
    """Ours: sandbox.py, "Any key is accepted except …"."""
    assert_fails(mcp.call(GEN, {"question": "q"}, {"X-API-Key": key}), *words)


NESTED = b'{"x":' * 300 + b"1" + b"}" * 300  # deeper than orjson serializes, but not too deep for it to parse


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        pytest.param(503, b"{}", ("HTTP 503", *MAY_BE_CHARGED), id="server fault"),
        pytest.param(200, b"<html>", ("not JSON", *MAY_BE_CHARGED), id="HTML"),
        pytest.param(200, b'{"status":"success"}', ('without a "data" object', *MAY_BE_CHARGED), id="no data"),
        pytest.param(200, b'{"status":"success","data":{}}', ('"task_id"', *MAY_BE_CHARGED), id="no task_id"),
        pytest.param(
            200, b'{"status":"success","data":{"task_id":true}}', ('"task_id"', *MAY_BE_CHARGED), id="boolean task_id"
        ),
        pytest.param(200, b'{"status":"success","data":{"x":' + NESTED + b"}}", MAY_BE_CHARGED, id="nested data"),
    ],
)
def test_a_job_that_may_have_been_charged_must_not_be_repeated(
    mcp: Mcp, upstream: ScriptedScenext, status: int, body: bytes, words: tuple[str, ...]
) -> None:
    """Ours: `gen_video` costs money and is never sent twice, so the text advises against another call."""
    upstream.answers(status, body)
    text = assert_fails(mcp.call(GEN, {"question": "q"}), *words)
    assert "once more" not in text
    assert len(upstream.requests) == 1


def test_an_internal_error_after_a_start_does_not_advise_another_job(mcp: Mcp, upstream: ScriptedScenext) -> None:
    """Ours: `gen_video` costs money. An internal error after the request was sent is no reason to send it again."""
    upstream.fails(RuntimeError("sentinel"))
    text = assert_fails(mcp.call(GEN, {"question": "q"}), "This server failed", "charged")
    assert "sentinel" not in text


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"status":"success","data":{"status":"COMPLETED","x":' + NESTED + b"}}", id="data"),
        pytest.param(b'{"status":"error","x":' + NESTED + b"}", id="error"),
        pytest.param(b'{"status":"error",' + b'"message":{' * 1000 + b"}" * 1001, id="message"),
    ],
)
def test_a_too_deeply_nested_response_is_reported_as_an_upstream_error(
    mcp: Mcp, upstream: ScriptedScenext, body: bytes
) -> None:
    """Ours: failures.BadResponse or Rejected, because an upstream response is never a failure of this server."""
    assert isinstance(orjson.loads(body), dict)  # orjson parses it
    upstream.answers(200, body)
    text = assert_fails(mcp.call(QUERY, {"task_id": "12345"}), "Scenext")
    assert "This server failed" not in text
