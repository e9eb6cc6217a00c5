"""Properties that hold for every message: hypothesis generates them, and the whole application responds in the sandbox.

Every run uses the same examples. `tests/live/fuzz.py` generates new ones.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.mcp.tasks import EXTENSION
from scenext_service.scenext.sandbox.adapter import OUTCOMES, Sandbox
from scenext_service.server import logs
from scenext_service.tools.job_ids import make_task_id
from scenext_service.tools.waiting import Clock
from tests.support.messages import CLIENT_CAPABILITIES, KEY, META, PROTOCOL_VERSION
from tests.support.names import LEGACY, MODERN, SUPPORTED, TOOLS
from tests.support.scripted import NOW

from .live import fuzz
from .live.fuzz import Answer, Request, jsons, send, texts, values, variable

LEGACY_METHODS = ("initialize", "ping", "tools/list", "tools/call")
MODERN_METHODS = ("server/discover", "tools/list", "tools/call")
TASK_METHODS = ("tasks/get", "tasks/update", "tasks/cancel")

# The HTTP status of each error code, legacy and modern. In a batch, every error is legacy and the status is 200.
STATUS = {
    -32700: (400, 400),
    -32600: (400, 400),
    -32601: (200, 404),
    -32602: (200, 400),
    -32020: (None, 400),
    -32021: (None, 400),
    -32022: (400, 400),
}

same = settings(
    derandomize=True, database=None, deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)


class Service(NamedTuple):
    """The application, and the log lines of its last request."""

    app: Callable[..., Iterable[bytes]]
    lines: list[str]

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post a body twice. Return the response, after checking that both are equal and that it is well-formed."""
        environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/mcp", "CONTENT_TYPE": "application/json"}
        environ["HTTP_X_REQUEST_ID"] = "abc-123"  # some error texts contain it
        environ.update({variable(name): value for name, value in headers.items()})
        request = Request(environ, body)
        first, second = fuzz.one(self.app, request, self.lines), send(self.app, request)
        assert (first.status, first.body) == (second.status, second.body)
        return first


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    sandbox, clock = Sandbox(clock=lambda: NOW, sleep=lambda seconds: None), Clock(unix=lambda: NOW)
    app = create_app(Config(sandbox=True), sandbox, clock)
    with fuzz.listening() as lines:
        yield Service(app, lines)


def written(message: Any) -> bytes:
    """Encode JSON like the standard library, including NaN, lone surrogates and large integers."""
    return json.dumps(message).encode()


def read(body: bytes) -> Any:
    """Return the JSON value of a body, or `...` if the body is not JSON. `...` is never a valid message."""
    try:
        return orjson.loads(body)
    except ValueError:
        return ...


def known_id(message: Any) -> Any:
    """Return the id that the response to a message must have. Return None if the message has no valid id."""
    id = message.get("id") if isinstance(message, dict) else None
    return id if isinstance(id, (str, int)) and not isinstance(id, bool) else None


def is_request(message: Any) -> bool:
    return (
        isinstance(message, dict)
        and message.get("jsonrpc") == "2.0"
        and isinstance(message.get("method"), str)
        and known_id(message) is not None
    )


def is_owed_none(message: Any) -> bool:
    """Return whether a message is a notification (a method, no id) or a response (an id, no method)."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return False
    if "method" in message:
        return isinstance(message["method"], str) and "id" not in message
    return known_id(message) is not None and ("result" in message) != ("error" in message)


def is_modern(message: dict[str, Any], version: str | None) -> bool:
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    if isinstance(meta, dict) and PROTOCOL_VERSION in meta:
        return True
    return version in MODERN and message["method"] != "initialize"


def bilingual(text: str) -> bool:
    """Return whether a text has both an English and a Chinese sentence."""
    return bool(re.search(r"[A-Za-z]{3,} [a-z]", text) and re.search(r"[\u4e00-\u9fff]{3}", text))


def assert_message(answer: Any, message: Any) -> None:
    """Assert that `answer` responds to this message: the same id, and exactly one of result and error."""
    assert set(answer) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", known_id(message))
    assert type(answer["id"]) is type(known_id(message))
    if "error" in answer:
        error = answer["error"]
        assert error["code"] in STATUS
        assert isinstance(error["message"], str)
        assert error["message"]
        assert ("data" in error) == (error["code"] in (-32021, -32022))
    elif message["method"] == "tools/call":
        assert_tool_result(answer["result"])


def assert_tool_result(result: dict[str, Any]) -> None:
    """Assert that a result is a success in its three forms or an error in both languages."""
    texts = [block["text"] for block in result["content"]]
    assert [set(block) for block in result["content"]] == [{"type", "text"}] * len(texts)
    if result["isError"]:
        assert "structuredContent" not in result
        assert len(texts) == 1
        assert bilingual(texts[0])
    else:
        assert json.loads(texts[0]) == result["structuredContent"]
        assert len(texts) == 2
        assert bilingual(texts[1])


def assert_era(answer: dict[str, Any], *, modern: bool, status: int) -> None:
    """Assert that the status and the result's metadata belong to the right era."""
    if "error" in answer:
        assert status == STATUS[answer["error"]["code"]][modern]
    else:
        assert status == 200
        assert ("resultType" in answer["result"]) == modern
        assert ("_meta" in answer["result"]) == modern


def assert_answered(answer: Answer, body: bytes, version: str | None) -> None:
    """Assert that the response is the right one for its body, which may be anything."""
    message = read(body)
    if isinstance(message, list) and version in (None, "2025-03-26") and 0 < len(message) <= 20:
        assert_batch(answer, message)
    elif is_request(message):
        reply = orjson.loads(answer.body)
        assert_message(reply, message)
        assert_era(reply, modern=is_modern(message, version), status=answer.status)
    elif answer.status == 202:
        assert answer.body == b""
        assert is_owed_none(message)
    else:
        reply = orjson.loads(answer.body)
        assert answer.status == 400
        assert reply["error"]["code"] in (-32700, -32600, -32022)
        assert (reply["error"]["code"] == -32700) == (message is ...)
        assert_message(reply, message if reply["error"]["code"] == -32600 else None)


def assert_batch(answer: Answer, messages: list[Any]) -> None:
    """Assert that a batch is answered in order, with one response for each message that requires one."""
    if answer.status == 202:
        assert answer.body == b""
        assert all(map(is_owed_none, messages))
        return
    assert answer.status == 200
    replies = iter(orjson.loads(answer.body))
    for message in messages:
        if is_owed_none(message):
            continue
        reply = next(replies)
        assert_message(reply, message)
        if "result" in reply:
            assert "resultType" not in reply["result"]
    assert next(replies, None) is None


# Most ids are valid and most of the values below are almost valid, because other messages are rejected early.
ids = st.integers(-(2**63), 2**64 - 1) | texts | st.just(0) | st.just("")
task_ids = st.sampled_from([*OUTCOMES, "sandbox-1795000000000", "..", "x/../y", " 1 ", "一"])
arguments = st.fixed_dictionaries(
    {},
    optional={
        "task_id": task_ids | texts | jsons,
        "taskId": task_ids | jsons,
        "question": texts | jsons,
        "question_images": st.lists(texts, max_size=3) | jsons,
        "answer": texts | jsons,
        "answerImages": st.lists(texts, max_size=3) | jsons,
        "quality": st.sampled_from(["h", "m", "l", "x", None]) | jsons,
        "notify_url": st.sampled_from(["https://a.example/b", "javascript:x", "//", "https://[", ""]) | jsons,
    },
) | st.dictionaries(texts, jsons, max_size=3)
calls = st.fixed_dictionaries({"name": st.sampled_from(TOOLS), "arguments": arguments})
params = (
    calls
    | st.fixed_dictionaries({"name": st.sampled_from(TOOLS) | jsons}, optional={"arguments": jsons, "_meta": jsons})
    | st.fixed_dictionaries({}, optional={"cursor": jsons, "protocolVersion": st.sampled_from(SUPPORTED) | jsons})
    | jsons
)
envelopes = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0") | st.sampled_from(["2.0", "1.0", 2.0, None])},
    optional={
        "id": ids | jsons,
        "method": st.sampled_from((*LEGACY_METHODS, *MODERN_METHODS, "notifications/initialized")) | texts | jsons,
        "params": params,
        "result": jsons,
        "error": jsons,
        "extra": jsons,
    },
)
requests = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "id": ids, "method": st.sampled_from(LEGACY_METHODS) | texts},
    optional={"params": params},
)
versions = st.none() | st.sampled_from((*MODERN, *LEGACY)) | values
credentials = st.sampled_from(
    [{}, {"Authorization": f"Bearer {KEY}"}, {"Authorization": KEY}, {"X-API-Key": KEY}, {"X-API-Key": f"{KEY},{KEY}"}]
) | values.filter(lambda value: KEY not in value).map(lambda value: {"Authorization": value})


def with_version(headers: dict[str, str], version: str | None) -> dict[str, str]:
    return headers if version is None else {**headers, "MCP-Protocol-Version": version}


def stripped(version: str | None) -> str | None:
    """Return a header's value without surrounding spaces and tabs, which HTTP does not count as part of it."""
    return None if version is None else version.strip(" \t")


@same
@given(envelopes | requests | jsons, versions, credentials)
@example([], None, {})
@example({"jsonrpc": "2.0", "id": 0, "method": "ping"}, "2025-11-25", {})
def test_every_json_value_is_answered_according_to_its_envelope(
    service: Service, message: Any, version: str | None, credential: dict[str, str]
) -> None:
    """Spec: JSON-RPC 2.0, sections 4 to 6; MCP, basic "Messages": the same id, either a result or an error."""
    body = written(message)
    answer = service.post(body, with_version(credential, version))
    assert_answered(answer, body, stripped(version))


@same
@given(st.lists(requests | envelopes | jsons, min_size=1, max_size=22), st.none() | st.just("2025-03-26"))
@example([{"jsonrpc": "2.0", "id": n, "method": "ping"} for n in range(21)], None)
def test_every_batch_is_answered_in_order(service: Service, messages: list[Any], version: str | None) -> None:
    """Spec: JSON-RPC 2.0, section 6; 2025-03-26, basic "Batching"."""
    body = written(messages)
    answer = service.post(body, with_version({"Authorization": f"Bearer {KEY}"}, version))
    assert_answered(answer, body, version)


metas = st.fixed_dictionaries(
    {PROTOCOL_VERSION: st.just("2026-07-28"), CLIENT_CAPABILITIES: st.just({})},
    optional={"io.modelcontextprotocol/clientInfo": st.dictionaries(texts, jsons, max_size=2), "traceparent": jsons},
)
bad_metas = (
    st.fixed_dictionaries(
        {}, optional={PROTOCOL_VERSION: st.sampled_from(SUPPORTED) | jsons, CLIENT_CAPABILITIES: st.just({}) | jsons}
    )
    | jsons
)


@same
@given(ids, st.sampled_from(MODERN_METHODS), calls, metas, credentials)
def test_a_complete_modern_request_gets_a_modern_result(
    service: Service,
    id: str | int,
    method: str,
    call: dict[str, Any],
    meta: dict[str, Any],
    credential: dict[str, str],
) -> None:
    """Spec: 2026-07-28, basic/index "_meta", server/tools: any id, any arguments, any further metadata."""
    body = written({"jsonrpc": "2.0", "id": id, "method": method, "params": {**call, "_meta": meta}})
    assume(read(body) is not ...)
    mirrored = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method, "Mcp-Name": call["name"]}
    answer = service.post(body, {**mirrored, **credential})
    reply = orjson.loads(answer.body)
    assert answer.status == 200
    assert_message(reply, {"id": id, "method": method})
    assert reply["result"]["resultType"] == "complete"
    named = {"io.modelcontextprotocol/serverInfo"}
    may = {"scenext/failure"} if reply["result"].get("isError") else set()  # for people
    assert named <= set(reply["result"]["_meta"]) <= named | may


@same
@given(
    ids,
    st.sampled_from((*MODERN_METHODS, *TASK_METHODS, "initialize", "ping")) | texts,
    st.fixed_dictionaries(
        {"_meta": metas | bad_metas}, optional={"name": st.sampled_from(TOOLS) | jsons, "arguments": jsons}
    ),
    st.fixed_dictionaries({}, optional=dict.fromkeys(["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"], values)),
)
def test_an_invalid_modern_request_gets_the_right_error(
    service: Service, id: str | int, method: str, params: dict[str, Any], headers: dict[str, str]
) -> None:
    """Spec: 2026-07-28, basic/transports/streamable-http "Server Validation": 400, and 404 for unknown methods."""
    mirrored = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method.encode().decode("latin-1"), **headers}
    body = written({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    answer = service.post(body, mirrored)
    assert_answered(answer, body, stripped(mirrored["MCP-Protocol-Version"]))


@same
@given(
    ids,
    st.sampled_from(TASK_METHODS),
    st.fixed_dictionaries(
        {},
        optional={
            "taskId": st.builds(make_task_id, task_ids, st.integers(0, 2**44 - 1)) | task_ids | jsons,
            "inputResponses": st.just({}) | jsons,
        },
    ),
    st.just({}) | jsons,
    credentials,
)
def test_any_request_about_a_task_is_answered(
    service: Service, id: str | int, method: str, given: dict[str, Any], declared: Any, credential: dict[str, str]
) -> None:
    """Spec: ext-tasks, "tasks/get": a result, or a JSON-RPC error with status 400."""
    meta = {**META, CLIENT_CAPABILITIES: {"extensions": {EXTENSION: declared}}}
    body = written({"jsonrpc": "2.0", "id": id, "method": method, "params": {**given, "_meta": meta}})
    assume(read(body) is not ...)
    mirrored = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
    answer = service.post(body, {**mirrored, **credential})
    reply = orjson.loads(answer.body)
    assert_message(reply, {"id": id, "method": method})
    assert answer.status == (200 if "result" in reply else 400)
    assert "result" not in reply or isinstance(declared, dict)


@same
@given(requests, st.dictionaries(st.sampled_from(fuzz.HEADERS), values, max_size=5))
def test_no_header_breaks_a_request(service: Service, message: dict[str, Any], headers: dict[str, str]) -> None:
    """Ours: an unknown header has no effect. An invalid one gets its own status and a JSON body."""
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/mcp", "CONTENT_TYPE": "application/json", **headers}
    body = written(message)
    answer = fuzz.one(service.app, Request(environ, body), service.lines)
    if answer.status in (403, 413, 415):
        reply = orjson.loads(answer.body)
        assert (reply["id"], reply["error"]["code"]) == (None, -32600)
        assert {403: "HTTP_ORIGIN", 413: "CONTENT_LENGTH", 415: "CONTENT_TYPE"}[answer.status] in headers or (
            answer.status == 415 and "HTTP_CONTENT_ENCODING" in headers
        )
    elif not {"CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"} & set(headers):  # these headers truncate the body
        assert_answered(answer, body, stripped(headers.get("HTTP_MCP_PROTOCOL_VERSION")))


@same
@given(st.sampled_from(TOOLS), arguments, credentials)
@example("query_video_status", {"task_id": "sandbox-completed"}, {"X-API-Key": KEY})
@example("query_video_status", {"taskId": "sandbox-1795000000000"}, {"Authorization": KEY})
@example("gen_video", {"question": "1 + 1?", "quality": None}, {"Authorization": f"Bearer {KEY}"})
def test_all_arguments_get_a_result_and_errors_are_bilingual(
    service: Service, tool: str, given: dict[str, Any], credential: dict[str, str]
) -> None:
    """Spec: SEP-1303: wrong arguments are a tool error, which the model can correct. Ours: in English and Chinese."""
    body = written({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": given}})
    assume(read(body) is not ...)
    answer = service.post(body, credential)
    assert answer.status == 200
    assert_tool_result(orjson.loads(answer.body)["result"])


@same
@given(st.binary(max_size=60) | st.text(max_size=30).map(str.encode), versions)
@example(b"\xef\xbb\xbf{}", None)
@example(b'{"jsonrpc":"2.0","id":1e999,"method":"ping"}', None)
@example(b"[" * 10_000, None)
@example(b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"ping"}', None)
def test_every_body_is_answered_even_if_it_is_not_json(service: Service, body: bytes, version: str | None) -> None:
    """Spec: JSON-RPC 2.0, section 5.1: -32700, with the id null."""
    assert_answered(service.post(body, with_version({}, version)), body, stripped(version))


@pytest.mark.parametrize("broken", ["crash", "500", "html", "not json", "no id", "key", "log"])
def test_the_fuzzer_finds_each_kind_of_failure(broken: str) -> None:
    """Ours: a fuzzer that cannot fail proves nothing."""
    bodies = {"html": b"<html>", "not json": b"{", "no id": b'{"jsonrpc":"2.0","result":{}}', "key": KEY.encode()}

    def app(environ: dict[str, Any], start_response: Callable[..., None]) -> Iterable[bytes]:
        if broken == "crash":
            raise RuntimeError("broken")
        if broken == "log":
            logging.getLogger(logs.ROOT).error("broken")
        start_response("500 No" if broken == "500" else "200 OK", [("Content-Type", "application/json")])
        return [bodies.get(broken, b'{"error":"x"}')]

    with pytest.raises(fuzz.Failed, match="seed 7, after"):
        fuzz.run(app, 5, 7)


def test_the_fuzzer_prints_a_summary_with_its_seed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: `python -m tests.live.fuzz [seconds] [seed]`."""
    monkeypatch.setattr(fuzz, "ROUND", 20)
    assert fuzz.main(["0.2", "7"]) == 0
    assert re.search(r"^fuzz: [1-9]\d* requests, 0 failures \(seed 7, \d+ s\)$", capsys.readouterr().out, re.MULTILINE)


def test_the_fuzzer_repeats_a_failure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: the seed belongs to the round, not to the run."""
    monkeypatch.setattr(fuzz, "create_app", lambda *_: lambda environ, start_response: 1 / 0)
    for _ in range(2):
        assert fuzz.main(["5", "7"]) == 1
        assert "fuzz: 1 failure, seed 7, after " in capsys.readouterr().out
