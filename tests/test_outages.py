"""Outages in the log: a failure that no caller can fix is a warning with its reason, but without data of the response.

The tests read the log of the whole service, which calls a misbehaving Scenext on loopback.
"""

import errno
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import requests

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.mcp.context import TimeBudget
from scenext_service.scenext import failures
from scenext_service.scenext.client import MAX_RESPONSE
from scenext_service.scenext.transport.errors import MAX_REASON, describe_cause
from tests.support.messages import KEY, PING, Mcp, halves
from tests.support.scripted import ScriptedScenext, SkippedWaits
from tests.support.upstream import CERTIFICATE, Upstream, answer, closed_port

pytestmark = pytest.mark.usefixtures("no_network_settings")

QUERY = ("query_video_status", {"task_id": "12345"})
GEN = ("gen_video", {"question": "1+1"})

both = pytest.mark.parametrize("call", [pytest.param(QUERY, id="query"), pytest.param(GEN, id="gen")])


class Told(NamedTuple):
    """The outcome of one call: its log line, and the text for the model."""

    line: str
    text: str

    @property
    def level(self) -> str:
        return self.line.split(" ")[1].removeprefix("level=")

    def field(self, name: str) -> str | None:
        """Return the value of a field, or None if the line has no such field."""
        found = re.search(rf' {name}=(?:"((?:[^"\\]|\\.)*)"|(\S+))', self.line)
        return found and (found[1] or found[2])


Ask = Callable[..., Told]

_SILENT = re.compile("silent|/length$")  # behaviours that end in a timeout


def requests_logged(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the log lines of requests: first the warnings, from stderr, then the others, from stdout."""
    written = capsys.readouterr()
    streams = [
        [line for line in stream.splitlines() if " msg=request " in line] for stream in (written.err, written.out)
    ]
    levels = [{line.split(" ")[1] for line in lines} for lines in streams]
    assert (levels[0] <= {"level=warning"}, levels[1] <= {"level=info"}) == (True, True)
    return [*streams[0], *streams[1]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Return a function that makes one tool call with Scenext at `url`, and returns the outcome."""

    def ask(url: str, call: tuple[str, dict[str, Any]] = QUERY, key: str = KEY, **config: Any) -> Told:
        timeout = 0.3 if _SILENT.search(url) else 10.0
        mcp = Mcp(create_app(Config(api_base_url=url, timeout=timeout, **config)).test_client())
        capsys.readouterr()
        result = mcp.call(*call, {"Authorization": f"Bearer {key}", "X-Request-ID": "abc-123"})
        assert result["isError"] is True
        (line,) = requests_logged(capsys)
        return Told(line, result["content"][0]["text"])

    return ask


@both
@pytest.mark.parametrize(
    ("behaviour", "failure", "reason", "status"),
    [
        ("closed", "ConnectionLost", "RemoteDisconnected", None),
        ("reset", "ConnectionLost", "ConnectionResetError: ECONNRESET", None),
        ("half-body", "ConnectionLost", "the body was cut short", None),
        ("half-chunk", "ConnectionLost", "IncompleteRead", None),
        ("not-http", "ConnectionLost", "BadStatusLine", None),
        ("endless-line", "ConnectionLost", "LineTooLong", None),
        ("silent", "DeadlinePassed", "TimeoutError", None),
        ("silent-body", "DeadlinePassed", "TimeoutError", None),
        ("status-500", "ServerFault", "HTTP 500", "500"),
        ("status-503", "ServerFault", "HTTP 503", "503"),
        ("status-302", "Redirected", "HTTP 302", "302"),
        ("empty", "BadResponse", "empty", "200"),
        ("html", "BadResponse", "not JSON, or nested too deeply", "200"),
        ("no-data", "BadResponse", r"without a \"data\" object", "200"),
        ("broken-gzip", "BadResponse", "its compression is broken", "200"),
        ("too-large", "BadResponse", f"larger than {MAX_RESPONSE} bytes", "200"),
    ],
)
def test_a_failure_of_scenext_is_a_warning_with_its_reason(
    ask: Ask, behaviour: str, failure: str, reason: str, status: str | None, call: Any
) -> None:
    """Ours: the reason is the exception's class and errno, the status, or the defect of the response."""
    with Upstream() as upstream:
        logged = ask(f"{upstream.url}/{behaviour}", call, log_level="WARNING")
    assert (logged.level, logged.field("outcome")) == ("warning", "tool_error")
    assert [logged.field(name) for name in ("failure", "reason", "upstream_status")] == [failure, reason, status]
    assert (logged.field("proxy"), logged.field("request_id")) == (None, "abc-123")


@both
@pytest.mark.parametrize("status", [401, 402, 403, 404, 405])
@pytest.mark.parametrize(
    "body", [b"<html><title>403 Forbidden</title>Your key was blocked</html>", b"", b"{}"], ids=["page", "empty", "{}"]
)
def test_a_foreign_response_is_a_warning_and_does_not_blame_the_key(
    ask: Ask, status: int, body: bytes, call: Any
) -> None:
    """Ours: only an error in Scenext's format is about the key, the points or the job. A firewall's page is not."""
    with Upstream() as upstream:
        upstream.answers["said"] = answer(status, body)
        logged = ask(f"{upstream.url}/said", call)
        assert len(upstream.requests) == 1
    assert (logged.level, logged.field("failure")) == ("warning", "ForeignResponse")
    assert logged.field("reason") == f"HTTP {status}, not in Scenext's form"
    assert logged.field("upstream_status") == str(status)
    english, chinese = halves(logged.text)
    assert english.startswith(f"The response, HTTP {status}, has no error message from Scenext, so it may be from a ")
    assert chinese.startswith(f"响应（HTTP {status}）中没有 Scenext 的错误信息，")
    assert ("may have been started and charged" in english) == (call == GEN)
    assert (english[-20:], chinese[-14:]) == (" Request id: abc-123", "。请求 ID：abc-123")
    assert not re.search("refused the API key|too few points|no such job|blocked", logged.text)


def test_a_response_about_another_job_is_a_warning(ask: Ask) -> None:
    """Ours: the responses of two callers may have been swapped on the way."""
    with Upstream() as upstream:
        upstream.answers["other"] = answer(200, b'{"status": "success", "data": {"task_id": "54321"}}')
        logged = ask(f"{upstream.url}/other")
    assert [logged.level, logged.field("failure")] == ["warning", "ConnectionLost"]
    assert logged.field("reason") == "a response about another job"


@both
def test_a_failed_connection_is_a_warning_with_its_reason(ask: Ask, monkeypatch: pytest.MonkeyPatch, call: Any) -> None:
    """Ours: the reason is the socket's or the certificate's error. Source: OpenSSL, X509_verify_cert_error_string."""
    with closed_port() as port:
        refused = ask(f"http://127.0.0.1:{port}/api", call)
    with Upstream(tls=True) as upstream:
        unknown = ask(f"{upstream.url}/api", call)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file.pem")
        no_bundle = ask(f"{upstream.url}/api", call)
    with Upstream() as proxy, monkeypatch.context() as environment:
        environment.setenv("https_proxy", proxy.url)
        environment.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
        mismatched = ask("https://elsewhere.invalid/api", call)
    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    unnamed = ask("http://scenext.invalid/api", call)
    logged = [refused, unknown, mismatched, no_bundle, unnamed]
    assert [one.level for one in logged] == ["warning"] * 5
    assert [one.field("failure") for one in logged] == [
        "ConnectionFailed",
        "TlsFailed",
        "TlsFailed",
        "TlsFailed",
        "NameNotResolved",
    ]
    assert refused.field("reason") == "ConnectionRefusedError: ECONNREFUSED"
    assert re.fullmatch("SSLCertVerificationError: self.signed certificate", unknown.field("reason") or "")
    assert re.fullmatch(
        "SSLCertVerificationError: .*not valid for 'elsewhere.invalid'.*", mismatched.field("reason") or ""
    )
    assert "/no/such/file.pem" in (no_bundle.field("reason") or "")
    assert unnamed.field("reason") == "gaierror: EAI_AGAIN"


def no_name(*args: Any, **kwargs: Any) -> Any:
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@both
@pytest.mark.parametrize(
    ("host", "reason"),
    [
        pytest.param("refused", "OSError: HTTP 407 from the proxy", id="status"),
        pytest.param("garbage", "BadStatusLine", id="not-http"),
        pytest.param("silent", "TimeoutError", id="silent"),
    ],
)
def test_a_proxy_that_refuses_is_named_without_its_password(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, host: str, reason: str, call: Any
) -> None:
    """Ours: the operator sees which proxy failed. Its password is never logged."""
    with Upstream() as proxy:
        monkeypatch.setenv("https_proxy", f"http://user:sentinel-password@127.0.0.1:{proxy.port}")
        logged = ask(f"https://{host}.invalid/api", call)
    assert (logged.level, logged.field("failure"), logged.field("reason")) == ("warning", "ConnectionFailed", reason)
    assert logged.field("proxy") == f"127.0.0.1:{proxy.port}"
    assert "sentinel" not in logged.line + logged.text


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        pytest.param("http://user:sentinel@proxy.invalid:3128", "proxy.invalid:3128", id="url"),
        pytest.param("user:sentinel@proxy.invalid:3128", "unreadable", id="no-scheme"),
        pytest.param("proxy.invalid:3128", "proxy.invalid:3128", id="host-and-port"),
        pytest.param("http://user:sent@inel@proxy.invalid", "proxy.invalid", id="at-sign"),
        pytest.param("http://user:sentinel@[::1]:1", "[::1]:1", id="ipv6"),
        pytest.param("http://user:sentinel", "unreadable", id="no-host"),
        pytest.param("http://user:sentinel@proxy.invalid:port", "unreadable", id="no-port"),
    ],
)
def test_no_form_of_a_proxy_url_reveals_its_password(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, proxy: str, shown: str
) -> None:
    """Ours: the password of a malformed URL is never logged either."""
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    logged = ask("https://scenext.invalid/api")
    assert (logged.level, logged.field("proxy")) == ("warning", shown)
    assert not re.search("sent@?inel", logged.line + logged.text)


def test_a_call_without_a_free_slot_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: only the operator can fix it."""
    inside: list[str] = []

    def script(request: requests.PreparedRequest) -> Any:
        inside.append(mcp.call(*QUERY)["content"][0]["text"])
        raise requests.ConnectionError

    mcp = Mcp(create_app(Config(upstream_slots=1), ScriptedScenext(script)).test_client())
    mcp.call(*QUERY)
    assert "limit of concurrent Scenext calls" in inside[0]
    busy = Told(requests_logged(capsys)[0], inside[0])
    assert (busy.level, busy.field("failure"), busy.field("reason")) == ("warning", "Busy", "every slot is taken")


@pytest.mark.parametrize(
    ("behaviour", "key", "failure"),
    [
        pytest.param("status-400", KEY, "UnexpectedStatus", id="400"),
        pytest.param("status-401", KEY, "KeyRefused", id="401"),
        pytest.param("status-402", KEY, "OutOfCredit", id="402"),
        pytest.param("status-403", KEY, "KeyRefused", id="403"),
        pytest.param("status-404", KEY, "NotFound", id="404"),
        pytest.param("limited", KEY, "RateLimited", id="429"),
        pytest.param("rejected", KEY, "Rejected", id="rejected"),
        pytest.param("api", "YOUR_API_KEY", "KeyPlaceholder", id="placeholder"),
        pytest.param("api", f"{KEY},{KEY}", "KeyUnusable", id="two-keys"),
    ],
)
def test_a_mistake_of_the_caller_is_no_warning(ask: Ask, behaviour: str, key: str, failure: str) -> None:
    """Ours: a mistyped key must not alert an operator. A 429 limits one key, and its owner gets the error."""
    with Upstream() as upstream:
        logged = ask(f"{upstream.url}/{behaviour}", key=key)
    assert (logged.level, logged.field("failure"), logged.field("reason")) == ("info", failure, None)
    assert "Request id" not in logged.text


def test_an_invalid_task_id_is_no_warning(ask: Ask) -> None:
    """Ours: the caller can fix it."""
    logged = ask("http://127.0.0.1:1/api", ("query_video_status", {"task_id": ".."}))
    assert (logged.level, logged.field("failure"), logged.field("reason")) == ("info", "InvalidTaskId", None)


def test_a_batch_that_times_out_warns_only_of_the_failed_call(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: only the first call met the outage. The second was never sent, because no time was left."""
    calls = [{"name": name, "arguments": arguments} for name, arguments in (QUERY, ("gen_video", {"question": "Why?"}))]
    with Upstream() as upstream:
        config = Config(api_base_url=f"{upstream.url}/half-body", timeout=TimeBudget.MAX_UNSTREAMED)
        batch = [{**PING, "method": "tools/call", "params": call} for call in calls]
        Mcp(create_app(config).test_client()).post(batch, {"X-API-Key": KEY})
    logged = [Told(line, "") for line in requests_logged(capsys)]
    assert [(one.level, one.field("failure")) for one in logged] == [
        ("warning", "ConnectionLost"),
        ("info", "NoTimeLeft"),
    ]


def test_a_failure_during_a_successful_wait_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: the caller gets a result, and the operator still sees the outage."""
    call = {"name": "query_video_status", "arguments": {"task_id": "12345", "wait_seconds": 3}}
    with Upstream() as upstream:
        config = Config(api_base_url=f"{upstream.url}/good-then-closed")
        mcp = Mcp(create_app(config, clock=SkippedWaits().clock).test_client())
        message = {**PING, "method": "tools/call", "params": call}
        headers = {"X-API-Key": KEY}
        answered = mcp.client.post("/mcp", json=message, headers=headers, environ_overrides={"wsgi.multithread": True})
    (line,) = requests_logged(capsys)
    logged = Told(line, answered.get_data(as_text=True))
    assert answered.get_json()["result"]["isError"] is False
    assert (logged.level, logged.field("outcome"), logged.field("failure")) == ("warning", "ok", "ConnectionLost")
    assert logged.field("reason") == "RemoteDisconnected"


HOSTILE = f"{KEY}\x1b[31m\u202e level=info\r"


@pytest.fixture
def echoes() -> Iterator[Upstream]:
    """Run a Scenext that sends the key and terminal escape sequences in every part of a response."""
    with Upstream() as upstream:
        line = HOSTILE.encode()
        upstream.answers["first-line"] = line + b"\r\n\r\n"
        upstream.answers["reason-phrase"] = b"HTTP/1.1 503 %b\r\nContent-Length: 0\r\n\r\n" % line[:-1]
        upstream.answers["body"] = answer(503, line * 1000)
        upstream.answers["location"] = answer(302, b"", f"Location: https://{KEY}.example/?{KEY}")
        upstream.answers["length"] = f"HTTP/1.1 200 OK\r\nContent-Length: {KEY}, 1\r\n\r\n".encode()
        upstream.answers["chunk"] = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{KEY}\r\n".encode()
        upstream.answers["encoding"] = answer(200, line, "Content-Encoding: gzip")
        upstream.answers["header"] = b"HTTP/1.1 200 OK\r\n" + b"%b: %b\r\n" % (line[:9], line[:-1]) * 200
        yield upstream


@pytest.mark.parametrize(
    "where", ["first-line", "reason-phrase", "body", "location", "length", "chunk", "encoding", "header"]
)
def test_a_reason_is_short_and_holds_no_text_from_scenext(ask: Ask, echoes: Upstream, where: str) -> None:
    """Ours: the log never holds a key or a body. A reason is on one line, without control characters."""
    logged = ask(f"{echoes.url}/{where}")
    assert logged.level == "warning"
    assert KEY not in logged.line
    assert "sentinel" not in logged.line
    assert logged.line.isprintable()
    assert 0 < len(logged.field("reason") or "") <= 60


def test_the_length_of_a_reason_is_limited() -> None:
    """Ours: even if the name of an exception's class is long."""
    endless = type("E" * 1000, (Exception,), {})
    assert len(describe_cause(endless())) == MAX_REASON


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(OSError(errno.EMFILE, "Too many open files"), "OSError: EMFILE", id="errno"),
        pytest.param(OSError(99999, "x"), "OSError", id="no-such-errno"),
        pytest.param(socket.gaierror(99999, "x"), "gaierror", id="no-such-resolver-error"),
        pytest.param(requests.ConnectionError("x", OSError("x")), "OSError", id="text-only"),
    ],
)
def test_the_reason_of_an_exception_without_an_error_name_is_its_class(error: Exception, expected: str) -> None:
    """Ours: the exception's text is left out, because it may have come from the network."""
    assert describe_cause(error) == expected


def test_the_outages_are_the_failures_that_no_caller_can_fix() -> None:
    """Ours: docs/operating.md, "Logs"."""
    assert {kind.__name__ for kind in failures.OUTAGES} == {
        "Busy",
        "NeverOpened",
        "Incomplete",
        "ServerFault",
        "Redirected",
        "ForeignResponse",
        "BadResponse",
    }
