"""The Scenext client, against an upstream on loopback that misbehaves."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from requests.utils import get_netrc_auth

from scenext_service.scenext import failures
from scenext_service.scenext.client import Scenext
from scenext_service.scenext.sandbox import Sandbox
from scenext_service.version import VERSION
from tests.support.messages import KEY
from tests.support.upstream import CERTIFICATE, GOOD, JOB, SHIFTS, Request, Upstream, answer, closed_port

pytestmark = pytest.mark.usefixtures("no_network_settings")

QUESTION = {"question": "求 1+1", "questionImages": ["https://example.com/1.png"], "quality": "m"}

Call = Callable[[Scenext], dict[str, Any]]
Seen = tuple[type, int | None, str]  # a failure's class, HTTP status and detail


def get_status(scenext: Scenext, task_id: str = "12345", key: str = KEY) -> dict[str, Any]:
    return scenext.get_status(task_id, key, time.monotonic())


def gen_video(scenext: Scenext) -> dict[str, Any]:
    return scenext.gen_video(QUESTION, KEY, time.monotonic())


either = pytest.mark.parametrize("call", [pytest.param(c, id=c.__name__) for c in (get_status, gen_video)])

each_with_its_tries = pytest.mark.parametrize(
    ("call", "tries"), [pytest.param(get_status, 2, id="get_status"), pytest.param(gen_video, 1, id="gen_video")]
)


def client(url: str, timeout: float = 5, slots: int = 4) -> Scenext:
    return Scenext(url, timeout=timeout, slots=slots)


def failure(call: Call, scenext: Scenext) -> failures.ScenextError:
    """Make a call that fails, and return how. The key is in no part of it."""
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


def test_a_status_query_is_one_get_with_the_key_and_nothing_else(upstream: Upstream) -> None:
    """Spec: Scenext API, "Get status"."""
    assert get_status(client(f"{upstream.url}/api")) == JOB
    headers = {
        "host": f"127.0.0.1:{upstream.port}",
        "accept": "application/json",
        "accept-encoding": "gzip, deflate",
        "authorization": f"Bearer {KEY}",
        "user-agent": f"scenext-service/{VERSION}",
    }
    assert upstream.requests == [Request(1, "GET", "/api/get_status/12345", headers, b"")]


def test_a_job_is_one_post_of_its_json_with_the_key(upstream: Upstream) -> None:
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
        "user-agent": f"scenext-service/{VERSION}",
    }
    assert upstream.requests == [Request(1, "POST", "/api/gen_video", headers, body)]


@either
@pytest.mark.parametrize(
    "behaviour", ["api", "created", "chunked", "gzip", "deflate", "after-continue", "largest", "until-close"]
)
def test_the_data_of_a_good_answer_comes_back_unchanged(upstream: Upstream, behaviour: str, call: Call) -> None:
    """Spec: Scenext API, "Get status"; RFC 9112, section 6."""
    assert call(client(f"{upstream.url}/{behaviour}")) == JOB
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("data", [{}, {"task_id": None}, {"task_id": ""}, {"task_id": True}, {"task_id": ["1"]}])
def test_a_job_without_a_task_id_is_a_bad_answer(upstream: Upstream, data: dict[str, Any]) -> None:
    """Spec: Scenext API, "Generate video"."""
    upstream.answers["no-id"] = answer(200, orjson.dumps({"status": "success", "data": data}))
    scenext = client(f"{upstream.url}/no-id")
    assert seen(failure(gen_video, scenext)) == (failures.BadResponse, 200, 'without a "task_id"')
    assert get_status(scenext) == data


def test_a_task_id_may_come_as_a_number(upstream: Upstream) -> None:
    """Gap: the documentation shows a string, and promises none."""
    upstream.answers["number"] = answer(200, b'{"status": "success", "data": {"task_id": 12345}}')
    assert gen_video(client(f"{upstream.url}/number")) == {"task_id": 12345}


@pytest.mark.parametrize(
    ("task_id", "shown"),
    [
        pytest.param("", "blank", id="empty"),
        pytest.param(" \t ", "blank", id="blanks"),
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
def test_what_cannot_be_a_task_id_never_reaches_the_upstream(upstream: Upstream, task_id: str, shown: str) -> None:
    """Ours: a task id is checked against an allow-list before a URL is built."""
    scenext = client(f"{upstream.url}/api")
    error = failure(lambda scenext: get_status(scenext, task_id), scenext)
    assert seen(error) == (failures.InvalidTaskId, None, shown)
    assert upstream.connections == 0


@pytest.mark.parametrize("task_id", ["1", "a-B_c.~9", "...", "1" * 128])
def test_a_possible_task_id_ends_the_path_as_it_is(upstream: Upstream, task_id: str) -> None:
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
def test_an_answer_that_is_no_success_has_its_class_and_frees_everything(
    upstream: Upstream, behaviour: str, expected: Seen, call: Call
) -> None:
    """Ours: the branch `Answered` of `failures`; what reached Scenext is never sent again."""
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
def test_an_answer_that_cannot_be_used_has_its_class_and_leaks_nothing(
    upstream: Upstream, behaviour: str, expected: Seen, call: Call
) -> None:
    """Ours: the tree of `failures`; what reached Scenext is never sent again."""
    scenext = client(f"{upstream.url}/{behaviour}", slots=1)
    assert [seen(failure(call, scenext)) for _ in range(2)] == [expected] * 2
    assert len(upstream.requests) == 2
    kept = 1 if upstream.connections == 1 else 0  # it was used again, or it had to go
    assert upstream.open_connections(kept) == kept


def test_headers_that_break_off_are_an_empty_answer(upstream: Upstream) -> None:
    """Gap: http.client takes the end of a connection for the end of the headers."""
    error = failure(gen_video, client(f"{upstream.url}/half-head"))
    assert seen(error) == (failures.BadResponse, 200, "empty")


def test_retry_after_is_passed_on(upstream: Upstream) -> None:
    """Spec: RFC 9110, section 10.2.3."""
    error = failure(get_status, client(f"{upstream.url}/limited"))
    assert getattr(error, "retry_after", None) == 7


@either
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_stays_here(upstream: Upstream, status: int, call: Call) -> None:
    """Ours: a redirect would take the key with it."""
    upstream.answers["moved"] = answer(status, b"", f"Location: {upstream.url}/api/elsewhere")
    assert seen(failure(call, client(f"{upstream.url}/moved"))) == (failures.Redirected, status, "")
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("behaviour", ["echo", "echo-401"])
def test_a_key_that_the_upstream_echoes_is_not_shown(upstream: Upstream, behaviour: str) -> None:
    """Ours: the key may be lent; no answer shows it to the one it was lent to."""
    assert failure(get_status, client(f"{upstream.url}/{behaviour}")).detail == "no such key: Bearer ***"


@pytest.mark.parametrize(
    ("key", "written"),
    [
        pytest.param("sentinel/4f9a1c7e2b/0d", rb"sentinel\/4f9a1c7e2b\/0d", id="escaped slash"),
        pytest.param('sentinel"4f9a1c7e2b"0d', rb"sentinel\"4f9a1c7e2b\"0d", id="quotation mark"),
        pytest.param("sentinel+4f9a1c7e2b=0d", rb"sentinel\u002b4f9a1c7e2b\u003d0d", id="escaped character"),
    ],
)
def test_a_key_that_the_upstream_echoes_in_json_escapes_is_not_shown(
    upstream: Upstream, key: str, written: bytes
) -> None:
    """Ours: the key is in no answer, however it was written. Spec: RFC 8259, section 7."""
    upstream.answers["said"] = answer(401, b'{"status": "error", "message": "no such key: %b"}' % written)
    error = failure(lambda scenext: get_status(scenext, key=key), client(f"{upstream.url}/said"))
    assert seen(error) == (failures.KeyRefused, 401, "no such key: ***")


@pytest.mark.parametrize("form", ["upper", "lower", "all"])
def test_a_key_that_the_upstream_echoes_in_percent_encoding_is_not_shown(upstream: Upstream, form: str) -> None:
    """Ours: as in an address that it names; the rest of the answer stays as it came. Spec: RFC 3986, section 2.1."""
    key = "sentinel/4f9a+1c7e=2b.0d"
    written = "".join(f"%{ord(char):02X}" if form == "all" or not char.isalnum() else char for char in key)
    written = written.lower() if form == "lower" else written
    said = {"note": "50% of a%2Fb", "login": f"https://x.example/?key={written}&sig=c%2Fd"}
    upstream.answers["said"] = answer(200, orjson.dumps({"status": "success", "data": said}))
    expected = {"note": "50% of a%2Fb", "login": "https://x.example/?key=***&sig=c%2Fd"}
    assert get_status(client(f"{upstream.url}/said"), key=key) == expected


def test_a_word_that_is_too_short_to_be_a_key_is_left_in_answers(upstream: Upstream) -> None:
    """Ours: a short word may stand in an answer by chance, and `data` comes back unchanged."""
    assert get_status(client(f"{upstream.url}/api"), key="status") == JOB


@either
def test_a_cookie_of_one_answer_is_not_sent_with_the_next_call(upstream: Upstream, call: Call) -> None:
    """Ours: all callers share the client, and none may get another's session."""
    scenext = client(f"{upstream.url}/cookie")
    call(scenext)
    call(scenext)
    assert ["cookie" in request.headers for request in upstream.requests] == [False, False]


def test_calls_share_one_kept_connection(upstream: Upstream) -> None:
    """Ours: a new connection for every call costs a TLS handshake."""
    scenext = client(f"{upstream.url}/chunked")
    assert [get_status(scenext), get_status(scenext)] == [JOB, JOB]
    assert [request.connection for request in upstream.requests] == [1, 1]
    assert upstream.open_connections(1) == 1


def test_a_job_starts_on_a_connection_of_its_own_that_ends_with_it(upstream: Upstream) -> None:
    """Ours: it costs money and may not be repeated, and a handshake is nothing beside 15 minutes."""
    scenext = client(f"{upstream.url}/api")
    for call in (get_status, gen_video, gen_video, get_status):
        assert call(scenext) == JOB
    assert [request.connection for request in upstream.requests] == [1, 2, 3, 1]
    assert upstream.open_connections(1) == 1


def test_a_connection_that_carried_one_key_never_carries_another(upstream: Upstream) -> None:
    """Ours: whatever is left on it cannot reach another caller."""
    scenext = client(f"{upstream.url}/api")
    for key in ("one-key-of-a-caller", "another-key-of-one", "one-key-of-a-caller", "another-key-of-one"):
        assert get_status(scenext, key=key) == JOB
    assert [request.connection for request in upstream.requests] == [1, 2, 1, 2]


def test_the_connection_that_is_idle_for_longest_is_given_up_first(upstream: Upstream) -> None:
    """Ours: there are as many idle ones as there may be calls, whatever number of keys comes along."""
    scenext = client(f"{upstream.url}/api", slots=2)
    for key in ("key-a", "key-b", "key-a", "key-c", "key-a", "key-b"):
        assert get_status(scenext, key=key) == JOB
    assert [request.connection for request in upstream.requests] == [1, 2, 1, 3, 1, 4]
    assert upstream.open_connections(2) == 2


@pytest.mark.parametrize("data", [b'{"task_id": "54321"}', b'{"task_id": 54321}'], ids=["text", "number"])
def test_an_answer_about_another_job_is_a_lost_connection(upstream: Upstream, data: bytes) -> None:
    """Ours: it is another request's, and so may be whatever comes after it."""
    upstream.answers["other"] = answer(200, b'{"status": "success", "data": %b}' % data)
    scenext = client(f"{upstream.url}/other")
    assert seen(failure(get_status, scenext)) == LOST
    assert upstream.open_connections(0) == 0
    assert get_status(scenext, "54321")["task_id"] in ("54321", 54321)
    assert len(upstream.requests) == 2


CALLERS, CALLS = 8, 12


def own_and_others(scenext: Scenext, caller: int) -> list[str]:
    """Ask for one's own jobs; return what came of each: `own`, the class of a failure, or the answer of another."""
    key = f"sentinel-key-of-caller-{caller:03}"
    came = []
    for number in range(CALLS):
        job = f"job-{caller}-{number}"
        try:
            data = get_status(scenext, job, key)
        except failures.ScenextError as error:
            came.append(type(error).__name__)
        else:
            mine = (data["task_id"], data["of"]) == (job, key[-8:])
            came.append("own" if mine else f"{data['of']} {data['task_id']}")
    return came


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("behaviour", SHIFTS)
def test_nobody_gets_the_answer_of_another(monkeypatch: pytest.MonkeyPatch, behaviour: str, tls: bool) -> None:
    """Spec: RFC 9110, section 15.2; RFC 9112, sections 6.3 and 9.2. Ours: nor one's own answer to another question."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with Upstream(tls=tls) as upstream, ThreadPoolExecutor(CALLERS) as threads:
        scenext = client(f"{upstream.url}/{behaviour}", slots=CALLERS)
        came = [
            one for all in threads.map(lambda caller: own_and_others(scenext, caller), range(CALLERS)) for one in all
        ]
    # What is final before the answer is a failure; a second answer may be noticed when the next is asked for.
    expected = {"after-101": {"ConnectionLost"}, "two-framings": {"Rejected"}}.get(behaviour, {"own"})
    if behaviour.startswith("body-of-"):
        expected = {"BadResponse", "Redirected"}
    assert set(came) <= expected | ({"ConnectionLost"} if behaviour.startswith("twice") else set())
    assert len(came) == CALLERS * CALLS
    assert len(upstream.requests) <= CALLERS * CALLS  # a reset may take a request away before it is read


@either
def test_a_kept_connection_that_the_upstream_closed_is_replaced(upstream: Upstream, call: Call) -> None:
    """Ours: an upstream's keep-alive timeout is no failure."""
    scenext = client(f"{upstream.url}/not-kept")
    assert call(scenext) == JOB
    assert upstream.open_connections(0) == 0
    assert call(scenext) == JOB
    assert [request.connection for request in upstream.requests] == [1, 2]


def test_a_call_without_a_free_slot_is_refused_at_once_and_slots_come_back(upstream: Upstream) -> None:
    """Ours: a slow upstream cannot starve the rest."""
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
    """Ours: the timeout counts from when the MCP request came in."""
    scenext = client(f"{upstream.url}/api")
    late = time.monotonic() - 5
    with pytest.raises(failures.NoTimeLeft):
        scenext.get_status("12345", KEY, late) if call is get_status else scenext.gen_video(QUESTION, KEY, late)
    assert upstream.connections == 0
    assert call(scenext) == JOB


def test_a_job_is_not_sent_with_less_than_all_of_its_time(upstream: Upstream) -> None:
    """Ours: cut short, it would be charged, and its id lost. What is free may be cut short."""
    scenext = client(f"{upstream.url}/api", timeout=5)
    with pytest.raises(failures.NoTimeLeft):
        scenext.gen_video(QUESTION, KEY, time.monotonic(), timeout=4.9)
    assert upstream.connections == 0
    assert scenext.gen_video(QUESTION, KEY, time.monotonic(), timeout=5) == JOB
    assert scenext.get_status("12345", KEY, time.monotonic(), timeout=4.9) == JOB


class Lookups:
    """Stands in for the resolver, and so counts the attempts to connect. All names are loopback's."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int]] = []
        self.next: list[int | OSError] = []  # what the next ones find: another port, or an error

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


@each_with_its_tries
def test_a_refused_connection_is_tried_twice_for_a_status_once_for_a_job(
    lookups: Lookups, call: Call, tries: int
) -> None:
    """Ours: a connection that never opened sent nothing; a job costs money, and is sent once at most."""
    with closed_port() as port:
        assert seen(failure(call, client(f"http://127.0.0.1:{port}/api"))) == (failures.ConnectionFailed, None, "")
        assert lookups.made == [("127.0.0.1", port)] * tries


@each_with_its_tries
def test_a_name_without_address_is_tried_twice_for_a_status_once_for_a_job(
    lookups: Lookups, call: Call, tries: int
) -> None:
    """Ours: a name server's hiccup is worth a second question."""
    lookups.next = [socket.gaierror(socket.EAI_NONAME, "no such name") for _ in range(2)]
    assert seen(failure(call, client("http://scenext.invalid/api"))) == (failures.NameNotResolved, None, "")
    assert lookups.made == [("scenext.invalid", 80)] * tries


def test_a_status_query_succeeds_if_the_second_connection_opens(upstream: Upstream, lookups: Lookups) -> None:
    """Ours: one retry, of a connection that never opened."""
    with closed_port() as port:
        lookups.next.append(port)
        assert get_status(client(f"{upstream.url}/api")) == JOB
    assert (len(lookups.made), len(upstream.requests)) == (2, 1)


def test_a_netrc_entry_does_not_take_the_place_of_the_key(upstream: Upstream, tmp_path: Path) -> None:
    """Ours: requests' netrc overwrites a plain Authorization header."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login thief password x\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert get_netrc_auth(f"{upstream.url}/api") == ("thief", "x")
    assert get_status(client(f"{upstream.url}/api")) == JOB
    assert [request.headers["authorization"] for request in upstream.requests] == [f"Bearer {KEY}"]


@either
def test_a_proxy_of_the_environment_carries_the_calls(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    """Ours: some platforms reach the outside through a proxy only."""
    monkeypatch.setenv("HTTP_PROXY", upstream.url)
    monkeypatch.setenv("http_proxy", upstream.url)
    assert call(client("http://scenext.invalid/api")) == JOB
    assert [request.target.rpartition("/api/")[0] for request in upstream.requests] == ["http://scenext.invalid"]


def test_the_proxy_is_read_with_the_first_call_and_never_again(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: the session is made after gunicorn's fork, and its settings are read once."""
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
        pytest.param("refused.invalid", failures.ConnectionFailed, id="the proxy refuses"),
        pytest.param("garbage.invalid", failures.ConnectionFailed, id="the proxy speaks no HTTP"),
        pytest.param("other.invalid", failures.TlsFailed, id="the certificate is another host's"),
        pytest.param("closed.invalid", failures.TlsFailed, id="the host hangs up in the handshake"),
        pytest.param("reset.invalid", failures.TlsFailed, id="the host resets in the handshake"),
    ],
)
@each_with_its_tries
def test_a_tunnel_that_fails_was_never_open(
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    expected: type,
    call: Call,
    tries: int,
) -> None:
    """Ours: nothing was sent, so nothing can have been charged."""
    monkeypatch.setenv("https_proxy", upstream.url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    assert seen(failure(call, client(f"https://{host}/api"))) == (expected, None, "")
    assert [request.method for request in upstream.requests] == ["CONNECT"] * tries
    assert upstream.open_connections(0) == 0


@pytest.mark.parametrize("proxy", ["http://", "socks5://127.0.0.1:1", "ftp://127.0.0.1:1", "http://127.0.0.1:99999"])
def test_an_unusable_proxy_setting_is_a_connection_that_never_opened(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """Ours: nothing was sent, so nothing can have been charged."""
    monkeypatch.setenv("http_proxy", proxy)
    assert isinstance(failure(gen_video, client(f"{upstream.url}/api")), failures.NeverOpened)
    assert upstream.connections == 0


@either
def test_a_certificate_is_verified_against_the_bundle_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    """Ours: REQUESTS_CA_BUNDLE works as with requests; a certificate nobody vouches for is refused."""
    with Upstream(tls=True) as upstream:
        assert seen(failure(call, client(f"{upstream.url}/api"))) == (failures.TlsFailed, None, "")
        assert (upstream.requests, upstream.open_connections(0)) == ([], 0)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
        scenext = client(f"{upstream.url}/api")
        assert [call(scenext), call(scenext)] == [JOB, JOB]
        assert len({request.connection for request in upstream.requests}) == (1 if call is get_status else 2)


@either
@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "garbage"])
def test_a_certificate_bundle_that_cannot_be_read_fails_tls(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, call: Call
) -> None:
    """Ours: every failure is one class of `failures`; nothing was sent, so nothing can have been charged."""
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with Upstream(tls=True) as upstream:
        assert seen(failure(call, client(f"{upstream.url}/api"))) == (failures.TlsFailed, None, "")
        assert upstream.requests == []


def test_tls_spoken_to_a_plain_port_fails_tls(upstream: Upstream) -> None:
    """Ours: https for http in the base URL is the operator's mistake, and the advice says so."""
    url = f"https://127.0.0.1:{upstream.port}/api"
    assert seen(failure(gen_video, client(url))) == (failures.TlsFailed, None, "")
    assert (upstream.requests, upstream.connections) == ([], 1)


@pytest.mark.parametrize("behaviour", ["closed", "half-body"])
def test_a_tls_connection_that_ends_after_the_request_is_lost(monkeypatch: pytest.MonkeyPatch, behaviour: str) -> None:
    """Ours: the request may have arrived, so this is no failure to connect."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with Upstream(tls=True) as upstream:
        assert type(failure(get_status, client(f"{upstream.url}/{behaviour}"))) is failures.ConnectionLost
        assert len(upstream.requests) == 1


def test_a_transport_that_is_given_takes_the_place_of_the_network() -> None:
    """Ours: the sandbox is a transport adapter."""
    scenext = Scenext(
        "https://api.example/api", timeout=5, slots=1, adapter=Sandbox(clock=lambda: 0, sleep=lambda seconds: None)
    )
    assert get_status(scenext, "sandbox-in-progress")["status"] == "IN_PROGRESS"
    assert seen(failure(lambda scenext: get_status(scenext, "12345"), scenext))[0] is failures.NotFound


def test_the_good_answer_of_these_tests_is_the_documented_one() -> None:
    """Spec: Scenext API, "Get status"."""
    assert orjson.loads(GOOD) == {"status": "success", "data": JOB}
