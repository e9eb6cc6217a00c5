"""Tool calls as hosts alter them, from public reports: on a real gunicorn, with a simulated Scenext on loopback.

Each case names a public report (repository#number) or the notation of a client. The tests compare the whole request
that Scenext gets. If a call is rejected, no request reaches it.
"""

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import requests

from tests.support.messages import KEY, halves
from tests.support.pictures import PNG, picture
from tests.support.server import Server, running
from tests.support.upstream import Request, Upstream, answer

QUERY, GEN = "query_video_status", "gen_video"
SHARED_KEY = "sentinel-shared-key-5d1f0a"
URL = "https://pictures.example/1.png"
DONE = {"task_id": "12345", "status": "COMPLETED", "progress": [], "result": {"video_url": "https://v.example/1.mp4"}}
NOTHING = "Nothing was started or charged."


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """Run a Scenext that starts every job and reports every job as completed."""
    with Upstream() as scenext:
        scenext.answers["api"] = answer(200, orjson.dumps({"status": "success", "data": DONE}))
        yield scenext


@pytest.fixture(scope="module")
def server(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server without a key, so that callers send their own."""
    with running(tmp_path_factory.mktemp("own"), {"WEB_CONCURRENCY": "1", **upstream.environ("api")}) as started:
        yield started


@pytest.fixture(scope="module")
def sharing(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server with a shared key."""
    environ = {"WEB_CONCURRENCY": "1", "SCENEXT_API_KEY": SHARED_KEY, **upstream.environ("api")}
    with running(tmp_path_factory.mktemp("sharing"), environ) as started:
        yield started


def post(server: Server, params: Any, headers: dict[str, str] | None = None) -> Any:
    """Call a tool as a client of a legacy revision does; return the JSON-RPC response."""
    body: Any = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    keys = {"Authorization": f"Bearer {KEY}"} if headers is None else headers
    response = requests.post(f"{server.url}/mcp", json=body, headers=keys, timeout=30)
    assert response.status_code == 200
    return response.json()


def reached(upstream: Upstream) -> list[Request]:
    """Return the requests that have reached Scenext since the last call of this function."""
    found = list(upstream.requests)
    upstream.requests.clear()
    return found


def text(response: Any) -> str:
    """Return the English half of a tool error."""
    assert response["result"]["isError"] is True
    return halves(response["result"]["content"][0]["text"])[0]


EMPTY = {"question": "", "answer": "", "questionImages": [], "answerImages": [], "quality": "m"}


@pytest.mark.parametrize(
    ("arguments", "job"),
    [
        pytest.param(
            {
                "question": "q",
                "answer": "",
                "question_images": [],
                "answer_images": [],
                "quality": "",
                "notify_url": "",
            },
            {"question": "q"},
            id="opencode: empty optional arguments (anomalyco/opencode#33341, czlonkowski/n8n-mcp#774)",
        ),
        pytest.param(
            dict.fromkeys(["answer", "question_images", "answer_images", "quality", "notify_url"]) | {"question": "q"},
            {"question": "q"},
            id="OpenAI strict mode: null (moltis-org/moltis#283, langflow-ai/langflow#8059)",
        ),
        pytest.param(
            {"question": "q", "question_images": [""], "answer_images": [" "], "quality": " "},
            {"question": "q"},
            id="forms: an empty field in a list",
        ),
        pytest.param(
            {"question": "", "question_images": f'["{URL}"]'},
            {"questionImages": [URL]},
            id="Claude Code: a list as JSON text (anthropics/claude-code#22394, #59227)",
        ),
        pytest.param(
            {"question": "q", "answer_images": f'[\n  "{URL}",\n  "{PNG}"\n]'},
            {"question": "q", "answerImages": [URL, PNG]},
            id="NetClaw, mcp-remote: indented JSON text (netclaw-dev/netclaw#1093, punkpeye/mcp-remote#319)",
        ),
        pytest.param(
            {"question": "q", "question_images": "[]", "answer_images": '[""]'},
            {"question": "q"},
            id="an empty list as JSON text",
        ),
        pytest.param(
            {"questionImages": json.dumps([f"data:image/png;base64,{picture(1_000_000)}"])},
            {"questionImages": [f"data:image/png;base64,{picture(1_000_000)}"]},
            id="a large picture in JSON text, under the camelCase name",
        ),
        pytest.param(
            {"question": "q", "question_images": "", "questionImages": [URL]},
            {"question": "q", "questionImages": [URL]},
            id="both spellings, one of them empty",
        ),
        pytest.param(
            {"question": '{"a": [1, 2]}', "answer": "[3]"},
            {"question": '{"a": [1, 2]}', "answer": "[3]"},
            id="texts that are JSON (modelcontextprotocol/python-sdk#1112)",
        ),
        pytest.param(
            {"question": "12", "answer": "null"},
            {"question": "12", "answer": "null"},
            id="texts that look like other types",
        ),
        pytest.param(
            {"question": "q", "toolCallId": "call_1", "sessionId": "1", "chatInput": "q", "action": "sendMessage"},
            {"question": "q"},
            id="n8n: its own arguments (n8n-io/n8n#21500)",
        ),
        pytest.param({"question": "q", "_sessionID": "1"}, {"question": "q"}, id="SiYuan (siyuan-note/siyuan#17927)"),
        pytest.param(
            {"question": "q", "_auth_auth_type": "admin"},
            {"question": "q"},
            id="mcpproxy (smart-mcp-proxy/mcpproxy-go#322)",
        ),
        pytest.param(
            {"question": "q", "task_progress": "- [x] Read the question\n- [ ] Make the video"},
            {"question": "q"},
            id="Cline (cline/cline#9684)",
        ),
        pytest.param({"question": "q", "wait_for_previous": True}, {"question": "q"}, id="Gemini CLI"),
        pytest.param(
            {"question_images": [f" {URL}\n"], "quality": "l"},
            {"questionImages": [f" {URL}\n"], "quality": "l"},
            id="a link with whitespace",
        ),
    ],
)
def test_a_job_starts_despite_changes_by_the_host(
    server: Server, upstream: Upstream, arguments: dict[str, Any], job: dict[str, Any]
) -> None:
    """Ours: the host changed the call, and the model cannot correct it."""
    response = post(server, {"name": GEN, "arguments": arguments})
    assert response["result"]["structuredContent"]["task_id"] == "12345"
    (request,) = reached(upstream)
    assert (request.method, request.target) == ("POST", "/api/gen_video")
    assert json.loads(request.body) == {**EMPTY, **job}


@pytest.mark.parametrize(
    ("arguments", "brief"),
    [
        pytest.param({"task_id": 12345}, False, id="LM Studio: digits as a number (lmstudio-bug-tracker#1626)"),
        pytest.param({"taskId": 12345}, False, id="mcporter, under the camelCase name (openclaw/mcporter#63)"),
        pytest.param({"task_id": "", "taskId": "12345"}, False, id="both spellings, one of them empty"),
        pytest.param({"task_id": "12345", "wait_seconds": "", "frames": ""}, False, id="opencode: empty strings"),
        pytest.param({"task_id": "12345", "wait_seconds": None, "frames": None}, False, id="NVIDIA NeMo: null (#1269)"),
        pytest.param({"task_id": "12345", "wait_seconds": [], "frames": []}, False, id="empty values of another type"),
        pytest.param({"task_id": "12345", "wait_seconds": "50"}, True, id="Claude Code, Qwen (qwen-code#4966)"),
        pytest.param({"task_id": "12345", "wait_seconds": "50.0"}, True, id="Java: an integer through a double"),
        pytest.param({"task_id": "12345", "wait_seconds": 50.0}, True, id="Warp: a float (warpdotdev/warp#8865)"),
        pytest.param({"task_id": "12345", "waitSeconds": " 50 ", "frames": "all"}, True, id="a number with whitespace"),
        pytest.param({"task_id": "12345", "wait_seconds": 0, "frames": "none"}, True, id="forms: the number 0"),
        pytest.param(
            {"task_id": " 12345\n", "toolCallId": "1", "unknown": {"a": 1}}, False, id="n8n: unknown arguments"
        ),
    ],
)
def test_a_status_is_queried_despite_changes_by_the_host(
    server: Server, upstream: Upstream, arguments: dict[str, Any], brief: bool
) -> None:
    """Ours: the host changed the call, and the model cannot correct it."""
    job = post(server, {"name": QUERY, "arguments": arguments})["result"]["structuredContent"]
    assert (job["task_id"], job["status"], "next" in job) == ("12345", "COMPLETED", brief)
    (request,) = reached(upstream)
    assert (request.method, request.target, request.body) == ("GET", "/api/get_status/12345", b"")


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        *[
            pytest.param(GEN, {"question": "q", "question_images": [image]}, f"got “{image}”", id=id)
            for image, id in [
                ("/mnt/data/0.png", "ChatGPT: a path of its sandbox"),
                ("sandbox:/mnt/data/0.png", "ChatGPT: a link of its sandbox"),
                ("file-8dXk2mVQ1rTzPq7L", "ChatGPT: the id of a file"),
                ("C:\\Users\\me\\1.png", "Roo Code: a local path (RooCodeInc/Roo-Code#9805)"),
                ("image.png", "LibreChat: a file name (danny-avila/LibreChat#10739)"),
                ("aW1hZ2UgMQ==", "LibreChat: invented Base64 (danny-avila/LibreChat#9529)"),
                ("null", "Claude Code: null as a word (anthropics/claude-code#95239)"),
                ("data:image/png;base64,iVBORw0KGgo...", "shortened Base64"),
                ("https://...", "a shortened link"),
            ]
        ],
        pytest.param(GEN, {"question_images": "null"}, "must be of type array", id="null as a word for a list"),
        pytest.param(
            GEN, {"question_images": URL}, "with an array", id="a string for a list (github/copilot-cli#4301)"
        ),
        pytest.param(
            GEN,
            {"question_images": [{"item": URL}]},
            "must be of type string",
            id="Hermes: an object for a string (hermes-agent#99270)",
        ),
        pytest.param(GEN, {"question_images": f"['{URL}']"}, "with an array", id="a list in Python's notation"),
        pytest.param(GEN, {}, "needs the question", id="Claude Code: no arguments (anthropics/claude-code#58281)"),
        pytest.param(GEN, {"question": " ", "answer": "a"}, "needs the question", id="a question of spaces"),
        pytest.param(
            GEN, {"question": "q", "quality": "OMIT"}, "must be one of", id="goose: OMIT (aaif-goose/goose#10410)"
        ),
        pytest.param(GEN, {"question": "q", "quality": "null"}, "must be one of", id="null as a word for a choice"),
        pytest.param(GEN, {"question": "q", "style": ""}, "has no argument 'style'", id="an unknown argument, empty"),
        pytest.param(
            GEN, {"question": "q", "notify_url": "null"}, "complete http or https URL", id="null as a word for a URL"
        ),
        pytest.param(QUERY, {}, "Missing argument", id="Claude Code: no arguments for a query"),
        pytest.param(QUERY, {"task_id": ""}, "The task_id is empty", id="an empty id"),
        pytest.param(QUERY, {"task_id": True}, "must be of type string; got true", id="a boolean"),
        pytest.param(QUERY, {"task_id": 12345.5}, "must be of type string; got 12345.5", id="a fraction"),
        pytest.param(
            QUERY, {"task_id": 2**70}, "must be of type string; got 1.18059", id="a number beyond double precision"
        ),
        pytest.param(
            QUERY, {"task_id": "12345", "wait_seconds": "soon"}, "must be of type integer", id="a word for a number"
        ),
    ],
)
def test_invalid_arguments_are_rejected_without_an_upstream_request(
    server: Server, upstream: Upstream, tool: str, arguments: dict[str, Any], words: str
) -> None:
    """Spec: SEP-1303: they are a tool error. Ours: nothing is charged."""
    english = text(post(server, {"name": tool, "arguments": arguments}))
    assert words in english
    assert english.count(NOTHING) == (1 if tool == GEN else 0)
    assert reached(upstream) == []


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"name": GEN, "arguments": '{"question": "q"}'}, id="MiMo Code: JSON text (MiMo-Code#1658)"),
        pytest.param({"name": GEN, "arguments": [{"question": "q"}]}, id="a list"),
        pytest.param({"name": GEN, "arguments": ""}, id="an empty string"),
    ],
)
def test_arguments_that_are_not_an_object_are_rejected(server: Server, upstream: Upstream, params: Any) -> None:
    """Spec: 2026-07-28, server/tools "Error Handling": a protocol error. Ours: it states that nothing was charged."""
    error = post(server, params)["error"]
    assert (error["code"], error["message"]) == (-32602, f'Invalid params: "arguments" must be an object. {NOTHING}')
    assert reached(upstream) == []


@pytest.mark.parametrize("params", [{"name": GEN}, {"name": GEN, "arguments": None}], ids=["Cline (#10553)", "null"])
def test_missing_arguments_count_as_an_empty_object(server: Server, upstream: Upstream, params: Any) -> None:
    """Spec: 2026-07-28, server/tools "Calling Tools": arguments are optional."""
    assert "needs the question" in text(post(server, params))
    assert reached(upstream) == []


PLACEHOLDERS = [
    pytest.param("${SCENEXT_KEY}", id="Claude Code, mastra (anthropics/claude-code#51581, mastra-ai/mastra#18177)"),
    pytest.param("$SCENEXT_KEY", id="Amazon Q (aws/amazon-q-developer-cli#3646)"),
    pytest.param("{env:SCENEXT_KEY}", id="opencode (anomalyco/opencode#23664)"),
    pytest.param("$env:SCENEXT_KEY", id="PowerShell"),
    pytest.param("%SCENEXT_KEY%", id="cmd"),
    pytest.param("{{SCENEXT_KEY}}", id="LibreChat"),
    pytest.param("${input:scenext-key}", id="VS Code"),
    pytest.param("<your-key>", id="angle brackets"),
    pytest.param("YOUR_API_KEY", id="README"),
    pytest.param("undefined", id="JavaScript"),
    pytest.param("null", id="JSON"),
    pytest.param("None", id="Python"),
    pytest.param("", id="unset variable (upstash/context7#2752)"),
]


@pytest.mark.parametrize("value", PLACEHOLDERS)
def test_a_placeholder_is_not_sent_and_a_shared_key_replaces_it(
    server: Server, sharing: Server, upstream: Upstream, value: str
) -> None:
    """Ours: the client did not fill in the key, so Scenext would reject it."""
    assert_placeholder(server, sharing, upstream, {"Authorization": f"Bearer {value}"}, value)


@pytest.mark.parametrize("value", ["YOUR_API_KEY", ""])
@pytest.mark.parametrize("header", ["Authorization: {}", "X-API-Key: {}", "X-API-Key: Bearer {}"])
def test_a_placeholder_is_found_in_every_header(
    server: Server, sharing: Server, upstream: Upstream, header: str, value: str
) -> None:
    """Ours: every form of a key may be a placeholder. test_credentials combines each form with each placeholder."""
    name, _, form = header.partition(": ")
    assert_placeholder(server, sharing, upstream, {name: form.format(value)}, value)


def assert_placeholder(
    server: Server, sharing: Server, upstream: Upstream, headers: dict[str, str], value: str
) -> None:
    """Check that a server without a key rejects a call with these headers, and that a shared key replaces theirs."""
    call = {"name": GEN, "arguments": {"question": "q"}}
    words = "is a placeholder" if value else "No Scenext API key"
    refusal = text(post(server, call, headers))
    assert (words in refusal, NOTHING in refusal) == (True, True)
    assert reached(upstream) == []
    assert post(sharing, call, headers)["result"]["isError"] is False
    (request,) = reached(upstream)
    assert request.headers["authorization"] == f"Bearer {SHARED_KEY}"


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        pytest.param({"Authorization": f"Bearer Bearer {KEY}"}, KEY, id="FastGPT (labring/FastGPT#6375)"),
        pytest.param({"Authorization": f"bearer  Bearer {KEY} "}, KEY, id="Bearer twice, in two spellings"),
        pytest.param({"X-API-Key": f"Bearer Bearer {KEY}"}, KEY, id="Bearer twice in X-API-Key"),
        pytest.param({"Authorization": f"Bearer {KEY}$1%20"}, f"{KEY}$1%20", id="a key with $ and %"),
        pytest.param({"Authorization": "Bearer $KEY", "X-API-Key": KEY}, KEY, id="a placeholder, then a key"),
        pytest.param({"Authorization": f"Bearer {KEY}", "X-API-Key": "undefined"}, KEY, id="a key, then a placeholder"),
    ],
)
def test_a_key_is_found_in_the_headers_of_real_clients(
    sharing: Server, upstream: Upstream, headers: dict[str, str], key: str
) -> None:
    """Ours: the caller's own key takes precedence over a shared key."""
    assert post(sharing, {"name": GEN, "arguments": {"question": "q"}}, headers)["result"]["isError"] is False
    (request,) = reached(upstream)
    assert request.headers["authorization"] == f"Bearer {key}"
