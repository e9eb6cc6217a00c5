"""What holds for every message: hypothesis makes them up, the whole application answers in the sandbox.

The examples are the same in every run; `tests/live/fuzz.py` is for those of the day.
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
from scenext_service.scenext.sandbox import OUTCOMES, Sandbox
from scenext_service.serving import logs
from tests.support.messages import CLIENT_CAPABILITIES, KEY, PROTOCOL_VERSION
from tests.support.names import LEGACY, MODERN, SUPPORTED, TOOLS
from tests.support.scripted import NOW

from .live import fuzz
from .live.fuzz import Answer, Request, jsons, send, texts, values, variable

LEGACY_METHODS = ("initialize", "ping", "tools/list", "tools/call")
MODERN_METHODS = ("server/discover", "tools/list", "tools/call")

# The HTTP statuses of an error, legacy and modern. In a batch every error is legacy and 200.
STATUS = {
    -32700: (400, 400),
    -32600: (400, 400),
    -32601: (200, 404),
    -32602: (200, 400),
    -32020: (None, 400),
    -32022: (400, 400),
}

same = settings(
    derandomize=True, database=None, deadline=None, max_examples=250, suppress_health_check=[HealthCheck.too_slow]
)


class Service(NamedTuple):
    """The application, and the lines that its last request left in the log."""

    app: Callable[..., Iterable[bytes]]
    lines: list[str]

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post a body twice; return the answer where both are the same, with nothing in it that no answer may have."""
        environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/mcp", "CONTENT_TYPE": "application/json"}
        environ["HTTP_X_REQUEST_ID"] = "abc-123"  # which a failure's text says
        environ.update({variable(name): value for name, value in headers.items()})
        request = Request(environ, body)
        first, again = fuzz.one(self.app, request, self.lines), send(self.app, request)
        assert (first.status, first.body) == (again.status, again.body)
        return first


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    app = create_app(Config(sandbox=True), Sandbox(clock=lambda: NOW, sleep=lambda seconds: None))
    with fuzz.listening() as lines:
        yield Service(app, lines)


def written(message: Any) -> bytes:
    """Write JSON as the standard library does, NaN, lone surrogates and large integers included."""
    return json.dumps(message).encode()


def read(body: bytes) -> Any:
    """Return what a body says; the message where it is no JSON, which is never a valid one."""
    try:
        return orjson.loads(body)
    except ValueError:
        return ...


def known_id(message: Any) -> Any:
    """Return the id that an answer to a message must have; None where there is none that could be said back."""
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
    """Tell a notification, which has a method and no id, and a response, which has an id and no method."""
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
    """Tell whether a text has a sentence in English and one in Chinese."""
    return bool(re.search(r"[A-Za-z]{3,} [a-z]", text) and re.search(r"[\u4e00-\u9fff]{3}", text))


def assert_message(answer: Any, message: Any) -> None:
    """Fail where an answer is not one to this message: the same id, and exactly one of result and error."""
    assert set(answer) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", known_id(message))
    assert type(answer["id"]) is type(known_id(message))
    if "error" in answer:
        error = answer["error"]
        assert error["code"] in STATUS
        assert isinstance(error["message"], str)
        assert error["message"]
        assert ("data" in error) == (error["code"] == -32022)
    elif message["method"] == "tools/call":
        assert_tool_result(answer["result"])


def assert_tool_result(result: dict[str, Any]) -> None:
    """Fail for a result that is neither a success said three times nor a failure in two languages."""
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
    """Fail where the status or the stamp of an answer is another era's."""
    if "error" in answer:
        assert status == STATUS[answer["error"]["code"]][modern]
    else:
        assert status == 200
        assert ("resultType" in answer["result"]) == modern
        assert ("_meta" in answer["result"]) == modern


def assert_answered(answer: Answer, body: bytes, version: str | None) -> None:
    """Fail where an answer is not what its body is owed, whatever the body is."""
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
    """Fail where a batch is not answered in order: each message by one answer or, if it is owed none, by none."""
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


# Most ids are good, and most of what is drawn below is nearly right: only then does a message come far.
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
    """Return a header's value as HTTP has it: blanks around it are not part of it."""
    return None if version is None else version.strip(" \t")


@same
@given(envelopes | requests | jsons, versions, credentials)
@example([], None, {})
@example({"jsonrpc": "2.0", "id": 0, "method": "ping"}, "2025-11-25", {})
def test_every_json_value_is_answered_as_its_envelope_says(
    service: Service, message: Any, version: str | None, credential: dict[str, str]
) -> None:
    """Spec: JSON-RPC 2.0, sections 4 to 6; MCP, basic "Messages": the same id, one of result and error."""
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
def test_a_complete_modern_request_gets_its_stamped_result(
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
    assert set(reply["result"]["_meta"]) == {"io.modelcontextprotocol/serverInfo"}


@same
@given(
    ids,
    st.sampled_from((*MODERN_METHODS, "initialize", "ping")) | texts,
    st.fixed_dictionaries(
        {"_meta": metas | bad_metas}, optional={"name": st.sampled_from(TOOLS) | jsons, "arguments": jsons}
    ),
    st.fixed_dictionaries({}, optional=dict.fromkeys(["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"], values)),
)
def test_a_modern_request_that_is_wrong_somewhere_is_refused_as_such(
    service: Service, id: str | int, method: str, params: dict[str, Any], headers: dict[str, str]
) -> None:
    """Spec: 2026-07-28, basic/transports/streamable-http "Server Validation": 400, and 404 for unknown methods."""
    mirrored = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method.encode().decode("latin-1"), **headers}
    body = written({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    answer = service.post(body, mirrored)
    assert_answered(answer, body, stripped(mirrored["MCP-Protocol-Version"]))


@same
@given(requests, st.dictionaries(st.sampled_from(fuzz.HEADERS), values, max_size=5))
def test_no_header_breaks_a_request(service: Service, message: dict[str, Any], headers: dict[str, str]) -> None:
    """Ours: a header that means nothing changes nothing; one that is wrong has a status of its own, and JSON."""
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/mcp", "CONTENT_TYPE": "application/json", **headers}
    body = written(message)
    answer = fuzz.one(service.app, Request(environ, body), service.lines)
    if answer.status in (403, 413, 415):
        reply = orjson.loads(answer.body)
        assert (reply["id"], reply["error"]["code"]) == (None, -32600)
        assert {403: "HTTP_ORIGIN", 413: "CONTENT_LENGTH", 415: "CONTENT_TYPE"}[answer.status] in headers or (
            answer.status == 415 and "HTTP_CONTENT_ENCODING" in headers
        )
    elif not {"CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"} & set(headers):  # which cut the body
        assert_answered(answer, body, stripped(headers.get("HTTP_MCP_PROTOCOL_VERSION")))


@same
@given(st.sampled_from(TOOLS), arguments, credentials)
@example("query_video_status", {"task_id": "sandbox-completed"}, {"X-API-Key": KEY})
@example("query_video_status", {"taskId": "sandbox-1795000000000"}, {"Authorization": KEY})
@example("gen_video", {"question": "1 + 1?", "quality": None}, {"Authorization": f"Bearer {KEY}"})
def test_every_argument_gets_a_result_every_failure_in_two_languages(
    service: Service, tool: str, given: dict[str, Any], credential: dict[str, str]
) -> None:
    """Spec: SEP-1303: wrong arguments are a tool error, for the model to mend. Ours: in English and Chinese."""
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
def test_every_body_is_answered_even_if_it_is_no_json(service: Service, body: bytes, version: str | None) -> None:
    """Spec: JSON-RPC 2.0, section 5.1: -32700, with the id null."""
    assert_answered(service.post(body, with_version({}, version)), body, stripped(version))


@pytest.mark.parametrize("broken", ["crash", "500", "html", "not json", "no id", "key", "log"])
def test_the_fuzzer_notices(broken: str) -> None:
    """Ours: a fuzzer that cannot fail finds nothing."""
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


def test_the_fuzzer_tells_how_it_went_and_how_to_repeat_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: `python -m tests.live.fuzz [seconds] [seed]`."""
    assert fuzz.main(["0.2", "7"]) == 0
    assert re.search(r"^fuzz: [1-9]\d* requests, 0 failures \(seed 7, \d+ s\)$", capsys.readouterr().out, re.MULTILINE)


def test_the_fuzzer_repeats_what_failed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: the seed of the round, not of the run."""
    monkeypatch.setattr(fuzz, "create_app", lambda *_: lambda environ, start_response: 1 / 0)
    for _ in range(2):
        assert fuzz.main(["5", "7"]) == 1
        assert "fuzz: 1 failure, seed 7, after " in capsys.readouterr().out
