"""The Scenext client against a misbehaving upstream on loopback."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from requests.utils import get_netrc_auth

from scenext_service import __version__
from scenext_service.scenext import client as scenext_client
from scenext_service.scenext import failures
from scenext_service.scenext.client import Scenext
from scenext_service.scenext.sandbox.adapter import Sandbox
from tests.support.messages import KEY
from tests.support.upstream import CERTIFICATE, GOOD, JOB, SHIFTS, Request, Upstream, answer, closed_port, padded

pytestmark = pytest.mark.usefixtures("no_network_settings")

QUESTION = {"question": "求 1+1", "questionImages": ["https://example.com/1.png"], "quality": "m"}

Call = Callable[[Scenext], dict[str, Any]]
Seen = tuple[type, int | None, str]  # a failure's class, HTTP status and detail


def get_status(scenext: Scenext, task_id: str = "12345", key: str = KEY) -> dict[str, Any]:
    return scenext.get_status(task_id, key, time.monotonic())


def gen_video(scenext: Scenext) -> dict[str, Any]:
    return scenext.gen_video(QUESTION, KEY, time.monotonic())


either = pytest.mark.parametrize("call", [pytest.param(c, id=c.__name__) for c in (get_status, gen_video)])

each_with_its_attempts = pytest.mark.parametrize(
    ("call", "attempts"), [pytest.param(get_status, 2, id="get_status"), pytest.param(gen_video, 1, id="gen_video")]
)


def client(url: str, timeout: float = 5, slots: int = 4) -> Scenext:
    return Scenext(url, timeout=timeout, slots=slots)


def failure(call: Call, scenext: Scenext) -> failures.ScenextError:
    """Make a call that must fail and return its failure, no part of which contains the key."""
    with pytest.raises(failures.ScenextError) as caught:
        call(scenext)
    assert KEY not in f"{caught.value!r} {caught.value} {vars(caught.value)} {caught.value.__cause__!r}"
    return caught.value


def seen(error: failures.ScenextError) -> Seen:
    return type(error), getattr(error, "status", None), error.detail


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


def test_a_status_query_is_a_single_get_with_the_key(upstream: Upstream) -> None:
    """Spec: Scenext API, "Get status"."""
    assert get_status(client(f"{upstream.url}/api")) == JOB
    headers = {
        "host": f"127.0.0.1:{upstream.port}",
        "accept": "application/json",
        "accept-encoding": "gzip, deflate",
        "authorization": f"Bearer {KEY}",
        "user-agent": f"scenext-service/{__version__}",
    }
    assert upstream.requests == [Request(1, "GET", "/api/get_status/12345", headers, b"")]


def test_a_job_is_a_single_post_with_its_json_and_the_key(upstream: Upstream) -> None:
    """Spec: Scenext API, "Generate video"."""
    assert gen_video(client(f"{upstream.url}/api")) == JOB
    body = orjson.dumps(QUESTION)
    headers = {
        "host": f"127.0.0.1:{upstream.port}",
        "accept": "application/json",
        "accept-encoding": "gzip, deflate",
        "authorization": f"Bearer {KEY}",
        "connection": "close",
        "content-length": str(len(body)),
        "content-type": "application/json",
        "user-agent": f"scenext-service/{__version__}",
    }
    assert upstream.requests == [Request(1, "POST", "/api/gen_video", headers, body)]


@either
@pytest.mark.parametrize(
    "behaviour", ["api", "created", "chunked", "gzip", "deflate", "after-continue", "largest", "until-close"]
)
def test_the_data_of_a_successful_response_is_returned_unchanged(
    upstream: Upstream, behaviour: str, call: Call
) -> None:
    """Spec: Scenext API, "Get status"; RFC 9112, section 6."""
    assert call(client(f"{upstream.url}/{behaviour}")) == JOB
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("data", [{}, {"task_id": None}, {"task_id": ""}, {"task_id": True}, {"task_id": ["1"]}])
def test_a_job_without_a_task_id_is_a_bad_response(upstream: Upstream, data: dict[str, Any]) -> None:
    """Spec: Scenext API, "Generate video"."""
    upstream.answers["no-id"] = answer(200, orjson.dumps({"status": "success", "data": data}))
    scenext = client(f"{upstream.url}/no-id")
    assert seen(failure(gen_video, scenext)) == (failures.BadResponse, 200, 'without a "task_id"')
    assert get_status(scenext) == data


def test_a_task_id_may_be_a_number(upstream: Upstream) -> None:
    """Gap: the documentation shows a string but does not guarantee one."""
    upstream.answers["number"] = answer(200, b'{"status": "success", "data": {"task_id": 12345}}')
    assert gen_video(client(f"{upstream.url}/number")) == {"task_id": 12345}


@pytest.mark.parametrize(
    ("task_id", "shown"),
    [
        pytest.param("", "blank", id="empty"),
        pytest.param(" \t ", "blank", id="whitespace"),
        pytest.param(".", ".", id="dot"),
        pytest.param("..", "..", id="two dots"),
        pytest.param("../gen_video", "../gen_video", id="slash"),
        pytest.param("1\\2", "1\\2", id="backslash"),
        pytest.param("1?2", "1?2", id="query"),
        pytest.param("1#2", "1#2", id="fragment"),
        pytest.param("%2e%2e", "%2e%2e", id="percent"),
        pytest.param("1@2:3;4", "1@2:3;4", id="other delimiters"),
        pytest.param("1 HTTP/1.1\r\nX: y", "1 HTTP/1.1 X: y", id="line break"),
        pytest.param("1\n", "1", id="trailing line break"),
        pytest.param("1\x00\x7f\u202e2", "1 2", id="control characters"),
        pytest.param("\ud800", "blank", id="lone surrogate"),
        pytest.param("１２３４５", "１２３４５", id="full-width digits"),
        pytest.param("1" * 129, "1" * 79 + "…", id="129 characters"),
    ],
)
def test_an_invalid_task_id_never_reaches_the_upstream(upstream: Upstream, task_id: str, shown: str) -> None:
    """Ours: a task ID is checked against an allow-list before a URL is built."""
    scenext = client(f"{upstream.url}/api")
    error = failure(lambda scenext: get_status(scenext, task_id), scenext)
    assert seen(error) == (failures.InvalidTaskId, None, shown)
    assert upstream.connections == 0


@pytest.mark.parametrize("task_id", ["1", "a-B_c.~9", "...", "1" * 128])
def test_a_valid_task_id_is_the_last_path_segment_unchanged(upstream: Upstream, task_id: str) -> None:
    """Ours: RFC 3986, section 2.3, unreserved characters."""
    assert get_status(client(f"{upstream.url}/after-103"), task_id)["task_id"] == task_id
    assert [request.target for request in upstream.requests] == [f"/after-103/get_status/{task_id}"]


NOT_JSON = "not JSON, or nested too deeply"
LOST = (failures.ConnectionLost, None, "")
TOO_LARGE = (failures.BadResponse, 200, "larger than 4194304 bytes")


@either
@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("status-400", (failures.UnexpectedStatus, 400, "because")),
        ("status-401", (failures.KeyRefused, 401, "because")),
        ("status-402", (failures.OutOfCredit, 402, "because")),
        ("status-403", (failures.KeyRefused, 403, "because")),
        ("status-404", (failures.NotFound, 404, "because")),
        ("status-422", (failures.UnexpectedStatus, 422, "because")),
        ("limited", (failures.RateLimited, 429, "Slow down")),
        ("status-500", (failures.ServerFault, 500, "because")),
        ("status-503", (failures.ServerFault, 503, "because")),
        ("rejected", (failures.Rejected, 200, "This job was removed")),
        ("empty", (failures.BadResponse, 200, "empty")),
        ("no-content", (failures.BadResponse, 204, "empty")),
        ("html", (failures.BadResponse, 200, NOT_JSON)),
        ("not-utf-8", (failures.BadResponse, 200, NOT_JSON)),
        ("array", (failures.BadResponse, 200, "not a JSON object")),
        ("no-data", (failures.BadResponse, 200, 'without a "data" object')),
        ("data-array", (failures.BadResponse, 200, 'without a "data" object')),
    ],
)
def test_an_error_response_has_its_class_and_releases_its_slot(
    upstream: Upstream, behaviour: str, expected: Seen, call: Call
) -> None:
    """Ours: the branch `Responded` of `failures`; a request that reached Scenext is never sent again."""
    scenext = client(f"{upstream.url}/{behaviour}", slots=1)
    assert [seen(failure(call, scenext)) for _ in range(2)] == [expected] * 2
    kept = call is get_status and behaviour != "no-content"
    assert [request.connection for request in upstream.requests] == ([1, 1] if kept else [1, 2])


@either
@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("closed", LOST),
        ("reset", LOST),
        ("half-body", LOST),
        ("half-chunked", LOST),
        ("half-chunk", LOST),
        ("bad-chunk", LOST),
        ("bad-status", LOST),
        ("not-http", LOST),
        ("two-lengths", LOST),
        ("too-many-headers", LOST),
        ("too-long-header", LOST),
        ("endless-headers", LOST),
        ("endless-line", LOST),
        ("endless-body", TOO_LARGE),
        ("too-large", TOO_LARGE),
        ("bomb", TOO_LARGE),
        ("parts", (failures.BadResponse, 200, "of more than 100000 parts")),
        ("broken-gzip", (failures.BadResponse, 200, "its compression is broken")),
    ],
)
def test_an_unusable_response_has_its_class_and_leaks_nothing(
    upstream: Upstream, behaviour: str, expected: Seen, call: Call
) -> None:
    """Ours: the tree of `failures`; a request that reached Scenext is never sent again."""
    scenext = client(f"{upstream.url}/{behaviour}", slots=1)
    assert [seen(failure(call, scenext)) for _ in range(2)] == [expected] * 2
    assert len(upstream.requests) == 2
    kept = 1 if upstream.connections == 1 else 0  # the connection was either reused or closed
    assert upstream.open_connections(kept) == kept


def test_truncated_headers_are_an_empty_response(upstream: Upstream) -> None:
    """Gap: http.client treats the end of a connection as the end of the headers."""
    error = failure(gen_video, client(f"{upstream.url}/half-head"))
    assert seen(error) == (failures.BadResponse, 200, "empty")


def test_retry_after_is_passed_on(upstream: Upstream) -> None:
    """Spec: RFC 9110, section 10.2.3."""
    error = failure(get_status, client(f"{upstream.url}/limited"))
    assert getattr(error, "retry_after", None) == 7


@either
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(upstream: Upstream, status: int, call: Call) -> None:
    """Ours: following a redirect would forward the key."""
    upstream.answers["moved"] = answer(status, b"", f"Location: {upstream.url}/api/elsewhere")
    assert seen(failure(call, client(f"{upstream.url}/moved"))) == (failures.Redirected, status, "")
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("behaviour", ["echo", "echo-401"])
def test_a_key_echoed_by_the_upstream_is_redacted(upstream: Upstream, behaviour: str) -> None:
    """Ours: the key may be the server's. No response reveals it to the callers that use it."""
    assert failure(get_status, client(f"{upstream.url}/{behaviour}")).detail == "no such key: Bearer ***"


@pytest.mark.parametrize(
    ("key", "written"),
    [
        pytest.param("sentinel/4f9a1c7e2b/0d", rb"sentinel\/4f9a1c7e2b\/0d", id="escaped slash"),
        pytest.param("sentinel/4f9a1c7e2b/0d", rb"sentinel\\\/4f9a1c7e2b\\\/0d", id="doubly escaped slash"),
        pytest.param('sentinel"4f9a1c7e2b"0d', rb"sentinel\"4f9a1c7e2b\"0d", id="quotation mark"),
        pytest.param("sentinel+4f9a1c7e2b=0d", rb"sentinel\u002b4f9a1c7e2b\u003d0d", id="escaped character"),
    ],
)
def test_a_key_echoed_in_json_escapes_is_redacted(upstream: Upstream, key: str, written: bytes) -> None:
    """Ours: no response contains the key, however it was encoded. Spec: RFC 8259, section 7."""
    upstream.answers["echoed"] = answer(401, b'{"status": "error", "message": "no such key: %b"}' % written)
    error = failure(lambda scenext: get_status(scenext, key=key), client(f"{upstream.url}/echoed"))
    assert seen(error) == (failures.KeyRefused, 401, "no such key: ***")


@pytest.mark.parametrize("form", ["upper", "lower", "all", "twice"])
def test_a_key_echoed_in_percent_encoding_is_redacted(upstream: Upstream, form: str) -> None:
    """Ours: for example in a URL. The rest of the response stays unchanged. Spec: RFC 3986, section 2.1."""
    key = "sentinel/4f9a+1c7e=2b.0d"
    written = "".join(f"%{ord(char):02X}" if form == "all" or not char.isalnum() else char for char in key)
    written = written.lower() if form == "lower" else written.replace("%", "%25") if form == "twice" else written
    data = {"note": "50% of a%2Fb", "login": f"https://x.example/?key={written}&sig=c%2Fd"}
    upstream.answers["echoed"] = answer(200, orjson.dumps({"status": "success", "data": data}))
    expected = {"note": "50% of a%2Fb", "login": "https://x.example/?key=***&sig=c%2Fd"}
    assert get_status(client(f"{upstream.url}/echoed"), key=key) == expected


def test_a_word_too_short_to_be_a_key_is_not_redacted(upstream: Upstream) -> None:
    """Ours: a short word may occur in a response by chance, and `data` is returned unchanged."""
    assert get_status(client(f"{upstream.url}/api"), key="status") == JOB


@either
def test_a_cookie_is_not_sent_with_the_next_call(upstream: Upstream, call: Call) -> None:
    """Ours: all callers share the client, and none may receive the session of another one."""
    scenext = client(f"{upstream.url}/cookie")
    call(scenext)
    call(scenext)
    assert ["cookie" in request.headers for request in upstream.requests] == [False, False]


def test_status_queries_reuse_one_connection(upstream: Upstream) -> None:
    """Ours: a new connection for every call would cost a TLS handshake each time."""
    scenext = client(f"{upstream.url}/chunked")
    assert [get_status(scenext), get_status(scenext)] == [JOB, JOB]
    assert [request.connection for request in upstream.requests] == [1, 1]
    assert upstream.open_connections(1) == 1


def test_each_job_uses_a_connection_of_its_own(upstream: Upstream) -> None:
    """Ours: a job costs money and must not be repeated, and a handshake is negligible beside 15 minutes."""
    scenext = client(f"{upstream.url}/api")
    for call in (get_status, gen_video, gen_video, get_status):
        assert call(scenext) == JOB
    assert [request.connection for request in upstream.requests] == [1, 2, 3, 1]
    assert upstream.open_connections(1) == 1


def test_a_connection_is_never_reused_with_another_key(upstream: Upstream) -> None:
    """Ours: bytes left over on a connection cannot reach another caller."""
    scenext = client(f"{upstream.url}/api")
    for key in ("one-key-of-a-caller", "another-key-of-one", "one-key-of-a-caller", "another-key-of-one"):
        assert get_status(scenext, key=key) == JOB
    assert [request.connection for request in upstream.requests] == [1, 2, 1, 2]


def test_the_longest_idle_connection_is_evicted_first(upstream: Upstream) -> None:
    """Ours: the number of idle connections is limited to the number of slots, however many keys are in use."""
    scenext = client(f"{upstream.url}/api", slots=2)
    for key in ("key-a", "key-b", "key-a", "key-c", "key-a", "key-b"):
        assert get_status(scenext, key=key) == JOB
    assert [request.connection for request in upstream.requests] == [1, 2, 1, 3, 1, 4]
    assert upstream.open_connections(2) == 2


@pytest.mark.parametrize("data", [b'{"task_id": "54321"}', b'{"task_id": 54321}'], ids=["text", "number"])
def test_a_response_about_another_job_is_a_lost_connection(upstream: Upstream, data: bytes) -> None:
    """Ours: it belongs to another request, and so may everything that follows on the connection."""
    upstream.answers["other"] = answer(200, b'{"status": "success", "data": %b}' % data)
    scenext = client(f"{upstream.url}/other")
    assert seen(failure(get_status, scenext)) == LOST
    assert upstream.open_connections(0) == 0
    assert get_status(scenext, "54321")["task_id"] in ("54321", 54321)
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    ("tls", "size"),
    [
        pytest.param(False, 1000, id="in http.client's buffer"),
        pytest.param(True, 8192, id="in the TLS buffer"),  # http.client reads 8192 bytes of a larger TLS record
    ],
)
def test_bytes_after_a_response_close_its_connection(monkeypatch: pytest.MonkeyPatch, tls: bool, size: int) -> None:
    """Spec: RFC 9112, section 9.2. Otherwise, they would be dropped, or read as the next response."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    head = len(answer(200, padded(size))) - size
    with Upstream(tls=tls) as upstream:
        upstream.answers["twice"] = answer(200, padded(size - head)) * 2
        scenext = client(f"{upstream.url}/twice")
        assert [get_status(scenext), get_status(scenext)] == [JOB, JOB]
        assert [request.connection for request in upstream.requests] == [1, 2]


CALLERS, CALLS = 8, 6


def own_and_others(scenext: Scenext, caller: int) -> list[str]:
    """Query a caller's own jobs. Return for each `own`, the class of a failure, or another caller's response."""
    key = f"sentinel-key-of-caller-{caller:03}"
    results = []
    for number in range(CALLS):
        job = f"job-{caller}-{number}"
        try:
            data = get_status(scenext, job, key)
        except failures.ScenextError as error:
            results.append(type(error).__name__)
        else:
            mine = (data["task_id"], data["of"]) == (job, key[-8:])
            results.append("own" if mine else f"{data['of']} {data['task_id']}")
    return results


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("behaviour", SHIFTS)
def test_no_caller_receives_the_response_of_another(monkeypatch: pytest.MonkeyPatch, behaviour: str, tls: bool) -> None:
    """Spec: RFC 9110, section 15.2; RFC 9112, sections 6.3 and 9.2. Ours: nor the response to another own request."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with Upstream(tls=tls) as upstream, ThreadPoolExecutor(CALLERS) as threads:
        scenext = client(f"{upstream.url}/{behaviour}", slots=CALLERS)
        results = [
            one for all in threads.map(lambda caller: own_and_others(scenext, caller), range(CALLERS)) for one in all
        ]
    # A final response before the real one is a failure. A second response may be noticed only at the next request.
    expected = {"after-101": {"ConnectionLost"}, "two-framings": {"Rejected"}}.get(behaviour, {"own"})
    if behaviour.startswith("body-of-"):
        expected = {"BadResponse", "Redirected"}
    assert set(results) <= expected | ({"ConnectionLost"} if behaviour.startswith("twice") else set())
    assert len(results) == CALLERS * CALLS
    assert len(upstream.requests) <= CALLERS * CALLS  # a reset may discard a request before it is read


@either
def test_an_idle_connection_closed_by_the_upstream_is_replaced(upstream: Upstream, call: Call) -> None:
    """Ours: an upstream's keep-alive timeout is not a failure."""
    scenext = client(f"{upstream.url}/not-kept")
    assert call(scenext) == JOB
    assert upstream.open_connections(0) == 0
    assert call(scenext) == JOB
    assert [request.connection for request in upstream.requests] == [1, 2]


def test_a_call_without_a_free_slot_is_rejected_at_once(upstream: Upstream) -> None:
    """Ours: a slow upstream cannot starve other requests, and slots are released afterwards."""
    scenext = client(f"{upstream.url}/hold", slots=2)
    with ThreadPoolExecutor(2) as threads:
        held = [threads.submit(get_status, scenext) for _ in range(2)]
        for _ in held:
            assert upstream.arrived.acquire(timeout=5)
        before = time.monotonic()
        assert [seen(failure(call, scenext))[0] for call in (get_status, gen_video)] == [failures.Busy] * 2
        assert time.monotonic() - before < 0.5
        upstream.let_go.set()
        assert [call.result(5) for call in held] == [JOB, JOB]
    assert get_status(scenext) == JOB
    assert len(upstream.requests) == 3


@either
def test_nothing_is_sent_once_the_deadline_has_passed(upstream: Upstream, call: Call) -> None:
    """Ours: the timeout starts when the MCP request arrives."""
    scenext = client(f"{upstream.url}/api")
    late = time.monotonic() - 5
    with pytest.raises(failures.NoTimeLeft):
        scenext.get_status("12345", KEY, late) if call is get_status else scenext.gen_video(QUESTION, KEY, late)
    assert upstream.connections == 0
    assert call(scenext) == JOB


def test_a_job_is_sent_only_with_its_full_timeout_remaining(upstream: Upstream) -> None:
    """Ours: an interrupted job would be charged and its ID lost. A free call may be interrupted."""
    scenext = client(f"{upstream.url}/api", timeout=5)
    with pytest.raises(failures.NoTimeLeft):
        scenext.gen_video(QUESTION, KEY, time.monotonic(), timeout=4.9)
    assert upstream.connections == 0
    assert scenext.gen_video(QUESTION, KEY, time.monotonic(), timeout=5) == JOB
    assert scenext.get_status("12345", KEY, time.monotonic(), timeout=4.9) == JOB


class Lookups:
    """A simulated resolver that counts the attempts to connect. Every name resolves to loopback."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int]] = []
        self.next: list[int | OSError] = []  # results of the next lookups: another port, or an error

    def __call__(self, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        self.made.append((host, port))
        found = self.next.pop(0) if self.next else port
        if isinstance(found, OSError):
            raise found
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", found))]


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Lookups:
    made = Lookups()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    return made


@each_with_its_attempts
def test_a_refused_connection_is_retried_for_status_but_not_for_jobs(
    lookups: Lookups, call: Call, attempts: int
) -> None:
    """Ours: a connection that never opened sent nothing. A job costs money, and is sent at most once."""
    with closed_port() as port:
        assert seen(failure(call, client(f"http://127.0.0.1:{port}/api"))) == (failures.ConnectionFailed, None, "")
        assert lookups.made == [("127.0.0.1", port)] * attempts


def test_a_status_query_is_not_retried_without_time_to_connect(
    lookups: Lookups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: the retry would run out of time and hide why the first attempt failed."""
    monkeypatch.setattr(scenext_client, "RETRY_TIME", 5.1)  # seconds; a call has 5
    with closed_port() as port:
        assert seen(failure(get_status, client(f"http://127.0.0.1:{port}/api"))) == (
            failures.ConnectionFailed,
            None,
            "",
        )
        assert lookups.made == [("127.0.0.1", port)]


@each_with_its_attempts
def test_a_failed_lookup_is_retried_for_status_but_not_for_jobs(lookups: Lookups, call: Call, attempts: int) -> None:
    """Ours: a temporary failure of a name server is worth one retry."""
    lookups.next = [socket.gaierror(socket.EAI_NONAME, "no such name") for _ in range(2)]
    assert seen(failure(call, client("http://scenext.invalid/api"))) == (failures.NameNotResolved, None, "")
    assert lookups.made == [("scenext.invalid", 80)] * attempts


def test_a_status_query_succeeds_if_the_second_connection_opens(upstream: Upstream, lookups: Lookups) -> None:
    """Ours: a connection that never opened is retried once."""
    with closed_port() as port:
        lookups.next.append(port)
        assert get_status(client(f"{upstream.url}/api")) == JOB
    assert (len(lookups.made), len(upstream.requests)) == (2, 1)


def test_a_netrc_entry_does_not_replace_the_key(upstream: Upstream, tmp_path: Path) -> None:
    """Ours: requests overwrites a plain Authorization header with a netrc entry."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login thief password x\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert get_netrc_auth(f"{upstream.url}/api") == ("thief", "x")
    assert get_status(client(f"{upstream.url}/api")) == JOB
    assert [request.headers["authorization"] for request in upstream.requests] == [f"Bearer {KEY}"]


@either
def test_calls_use_the_proxy_from_the_environment(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    """Ours: some platforms allow outbound connections through a proxy only."""
    monkeypatch.setenv("HTTP_PROXY", upstream.url)
    monkeypatch.setenv("http_proxy", upstream.url)
    assert call(client("http://scenext.invalid/api")) == JOB
    assert [request.target.rpartition("/api/")[0] for request in upstream.requests] == ["http://scenext.invalid"]


def test_the_proxy_is_read_once_at_the_first_call(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: the adapter is created after gunicorn's fork, and its settings are read once."""
    scenext = client("http://scenext.invalid/api")
    monkeypatch.setenv("http_proxy", upstream.url)
    assert get_status(scenext) == JOB
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert get_status(scenext) == JOB
    assert len(upstream.requests) == 2


def test_a_host_in_no_proxy_is_reached_directly(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: the usual meaning of NO_PROXY."""
    with closed_port() as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        assert type(failure(gen_video, client(f"{upstream.url}/api"))) is failures.ConnectionFailed
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert gen_video(client(f"{upstream.url}/api")) == JOB
    assert [request.target for request in upstream.requests] == ["/api/gen_video"]


def test_a_proxy_tunnels_tls_and_never_sees_the_key(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spec: RFC 9110, section 9.3.6."""
    monkeypatch.setenv("https_proxy", upstream.url.replace("//", "//user:secret@"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    assert gen_video(client("https://tunnel.invalid/api")) == JOB
    connect, post = upstream.requests
    assert (connect.method, connect.target) == ("CONNECT", "tunnel.invalid:443")
    assert KEY not in str(connect)
    assert (post.target, post.headers["authorization"]) == ("/api/gen_video", f"Bearer {KEY}")
    assert "proxy-authorization" not in post.headers


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("refused.invalid", failures.ConnectionFailed, id="CONNECT rejected by the proxy"),
        pytest.param("garbage.invalid", failures.ConnectionFailed, id="proxy without HTTP"),
        pytest.param("other.invalid", failures.TlsFailed, id="certificate of another host"),
        pytest.param("closed.invalid", failures.TlsFailed, id="connection closed during the handshake"),
        pytest.param("reset.invalid", failures.TlsFailed, id="connection reset during the handshake"),
    ],
)
@each_with_its_attempts
def test_a_failed_tunnel_counts_as_never_opened(
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    expected: type,
    call: Call,
    attempts: int,
) -> None:
    """Ours: nothing was sent, so nothing can have been charged."""
    monkeypatch.setenv("https_proxy", upstream.url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    assert seen(failure(call, client(f"https://{host}/api"))) == (expected, None, "")
    assert [request.method for request in upstream.requests] == ["CONNECT"] * attempts
    assert upstream.open_connections(0) == 0


@pytest.mark.parametrize("proxy", ["http://", "socks5://127.0.0.1:1", "ftp://127.0.0.1:1", "http://127.0.0.1:99999"])
def test_an_unusable_proxy_counts_as_a_connection_never_opened(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """Ours: nothing was sent, so nothing can have been charged."""
    monkeypatch.setenv("http_proxy", proxy)
    assert isinstance(failure(gen_video, client(f"{upstream.url}/api")), failures.NeverOpened)
    assert upstream.connections == 0


@either
def test_certificates_are_verified_against_the_configured_bundle(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    """Ours: REQUESTS_CA_BUNDLE works as with requests; an untrusted certificate is rejected."""
    with Upstream(tls=True) as upstream:
        assert seen(failure(call, client(f"{upstream.url}/api"))) == (failures.TlsFailed, None, "")
        assert (upstream.requests, upstream.open_connections(0)) == ([], 0)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
        scenext = client(f"{upstream.url}/api")
        assert [call(scenext), call(scenext)] == [JOB, JOB]
        assert len({request.connection for request in upstream.requests}) == (1 if call is get_status else 2)


@either
@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "garbage"])
def test_an_unreadable_certificate_bundle_is_a_tls_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, call: Call
) -> None:
    """Ours: every failure is one class of `failures`. Nothing was sent, so nothing can have been charged."""
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with Upstream(tls=True) as upstream:
        assert seen(failure(call, client(f"{upstream.url}/api"))) == (failures.TlsFailed, None, "")
        assert upstream.requests == []


def test_https_to_a_plain_http_port_is_a_tls_failure(upstream: Upstream) -> None:
    """Ours: https instead of http in the base URL is the operator's mistake, and the advice covers it."""
    url = f"https://127.0.0.1:{upstream.port}/api"
    assert seen(failure(gen_video, client(url))) == (failures.TlsFailed, None, "")
    assert (upstream.requests, upstream.connections) == ([], 1)


@pytest.mark.parametrize("behaviour", ["closed", "half-body"])
def test_a_tls_connection_closed_after_the_request_is_lost(monkeypatch: pytest.MonkeyPatch, behaviour: str) -> None:
    """Ours: the request may have arrived, so this is not a failure to connect."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with Upstream(tls=True) as upstream:
        assert type(failure(get_status, client(f"{upstream.url}/{behaviour}"))) is failures.ConnectionLost
        assert len(upstream.requests) == 1


def test_a_given_transport_adapter_replaces_the_network() -> None:
    """Ours: the sandbox is a transport adapter."""
    scenext = Scenext(
        "https://api.example/api", timeout=5, slots=1, adapter=Sandbox(clock=lambda: 0, sleep=lambda seconds: None)
    )
    assert get_status(scenext, "sandbox-in-progress")["status"] == "IN_PROGRESS"
    assert seen(failure(lambda scenext: get_status(scenext, "12345"), scenext))[0] is failures.NotFound


def test_the_sample_response_of_these_tests_is_the_documented_one() -> None:
    """Spec: Scenext API, "Get status"."""
    assert orjson.loads(GOOD) == {"status": "success", "data": JOB}
