"""An outage is seen: what no caller can help is a warning with its reason, in a line that holds nothing of a response.

From the log of the whole service, against a Scenext that misbehaves on loopback.
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
from scenext_service.mcp.call import ONE_BODY
from scenext_service.scenext import failures
from scenext_service.scenext.client import MAX_RESPONSE
from scenext_service.scenext.reasons import MAX_REASON, reason
from tests.support.messages import KEY, PING, Mcp
from tests.support.scripted import ScriptedScenext
from tests.support.upstream import CERTIFICATE, Upstream, answer, closed_port

pytestmark = pytest.mark.usefixtures("no_network_settings")

QUERY = ("query_video_status", {"task_id": "12345"})
GEN = ("gen_video", {"question": "1+1"})

both = pytest.mark.parametrize("call", [pytest.param(QUERY, id="query"), pytest.param(GEN, id="gen")])


class Told(NamedTuple):
    """What came of one call: its line in the log, and the text for the model."""

    line: str
    text: str

    @property
    def level(self) -> str:
        return self.line.split(" ")[1]

    def field(self, name: str) -> str | None:
        """Return the value of a field; None where the line has no such field."""
        found = re.search(rf' {name}=(?:"((?:[^"\\]|\\.)*)"|(\S+))', self.line)
        return found and (found[1] or found[2])


Ask = Callable[..., Told]

_SILENT = re.compile("silent|/length$")  # what is waited for in vain


def requests_logged(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines of requests on stdout, as an operator has them."""
    return [line for line in capsys.readouterr().out.splitlines() if " request " in line]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Return what makes one call of a tool, at Scenext's URL, and tells what came of it."""

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
def test_a_scenext_that_fails_is_a_warning_with_its_reason(
    ask: Ask, behaviour: str, failure: str, reason: str, status: str | None, call: Any
) -> None:
    """Ours: the class of the cause and its errno, the status, or what was wrong with the response."""
    with Upstream() as upstream:
        told = ask(f"{upstream.url}/{behaviour}", call, log_level="WARNING")
    assert (told.level, told.field("outcome")) == ("warning", "tool_error")
    assert [told.field(name) for name in ("failure", "reason", "upstream_status")] == [failure, reason, status]
    assert (told.field("proxy"), told.field("request_id")) == (None, "abc-123")


def test_a_response_about_another_job_is_a_warning(ask: Ask) -> None:
    """Ours: two callers' responses may have been mixed up on the way."""
    with Upstream() as upstream:
        upstream.answers["other"] = answer(200, b'{"status": "success", "data": {"task_id": "54321"}}')
        told = ask(f"{upstream.url}/other")
    assert [told.level, told.field("failure")] == ["warning", "ConnectionLost"]
    assert told.field("reason") == "a response about another job"


@both
def test_a_way_that_does_not_open_is_a_warning_with_its_reason(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, call: Any
) -> None:
    """Ours: what refused it, or what is wrong with the certificate. Source: OpenSSL, X509_verify_cert_error_string."""
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
    told = [refused, unknown, mismatched, no_bundle, unnamed]
    assert [one.level for one in told] == ["warning"] * 5
    assert [one.field("failure") for one in told] == [
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
        pytest.param("refused", "OSError: the proxy said 407", id="status"),
        pytest.param("garbage", "BadStatusLine", id="not-http"),
        pytest.param("silent", "TimeoutError", id="silent"),
    ],
)
def test_a_proxy_that_refuses_is_named_without_its_password(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, host: str, reason: str, call: Any
) -> None:
    """Ours: the operator sees which proxy it was; a password is never logged."""
    with Upstream() as proxy:
        monkeypatch.setenv("https_proxy", f"http://user:sentinel-password@127.0.0.1:{proxy.port}")
        told = ask(f"https://{host}.invalid/api", call)
    assert (told.level, told.field("failure"), told.field("reason")) == ("warning", "ConnectionFailed", reason)
    assert told.field("proxy") == f"127.0.0.1:{proxy.port}"
    assert "sentinel" not in told.line + told.text


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
def test_no_form_of_a_proxys_url_shows_its_password(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, proxy: str, shown: str
) -> None:
    """Ours: a password is never logged, whatever is wrong with the URL around it."""
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    told = ask("https://scenext.invalid/api")
    assert (told.level, told.field("proxy")) == ("warning", shown)
    assert not re.search("sent@?inel", told.line + told.text)


def test_slots_that_are_all_taken_are_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: no caller can help it; the operator can."""
    inside: list[str] = []

    def script(request: requests.PreparedRequest) -> Any:
        inside.append(mcp.call(*QUERY)["content"][0]["text"])
        raise requests.ConnectionError

    mcp = Mcp(create_app(Config(upstream_slots=1), ScriptedScenext(script)).test_client())
    mcp.call(*QUERY)
    assert "as many calls as it may" in inside[0]
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
def test_a_callers_own_mistake_is_no_warning(ask: Ask, behaviour: str, key: str, failure: str) -> None:
    """Ours: nobody is woken for a mistyped key; 429 is the pace of one key, whose owner is told."""
    with Upstream() as upstream:
        told = ask(f"{upstream.url}/{behaviour}", key=key)
    assert (told.level, told.field("failure"), told.field("reason")) == ("info", failure, None)
    assert "Request id" not in told.text


def test_a_task_id_that_is_none_is_no_warning(ask: Ask) -> None:
    """Ours: the caller mends it."""
    told = ask("http://127.0.0.1:1/api", ("query_video_status", {"task_id": ".."}))
    assert (told.level, told.field("failure"), told.field("reason")) == ("info", "InvalidTaskId", None)


def test_a_batch_that_runs_out_of_time_warns_of_the_call_that_failed_only(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: what no time was left for was not the outage; the call before it was."""
    calls = [{"name": name, "arguments": arguments} for name, arguments in (QUERY, ("gen_video", {"question": "Why?"}))]
    with Upstream() as upstream:
        config = Config(api_base_url=f"{upstream.url}/half-body", timeout=ONE_BODY)  # all that a batch has
        batch = [{**PING, "method": "tools/call", "params": call} for call in calls]
        Mcp(create_app(config).test_client()).post(batch, {"X-API-Key": KEY})
    told = [Told(line, "") for line in requests_logged(capsys)]
    assert [(one.level, one.field("failure")) for one in told] == [
        ("warning", "ConnectionLost"),
        ("info", "NoTimeLeft"),
    ]


def test_a_failure_that_a_wait_gets_over_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: the caller has his answer, and the operator an outage."""
    call = {"name": "query_video_status", "arguments": {"task_id": "12345", "wait_seconds": 3}}
    with Upstream() as upstream:
        mcp = Mcp(create_app(Config(api_base_url=f"{upstream.url}/good-then-closed")).test_client())
        message = {**PING, "method": "tools/call", "params": call}
        headers = {"X-API-Key": KEY}
        answered = mcp.client.post("/mcp", json=message, headers=headers, environ_overrides={"wsgi.multithread": True})
    (line,) = requests_logged(capsys)
    told = Told(line, answered.get_data(as_text=True))
    assert answered.get_json()["result"]["isError"] is False
    assert (told.level, told.field("outcome"), told.field("failure")) == ("warning", "ok", "ConnectionLost")
    assert told.field("reason") == "RemoteDisconnected"


HOSTILE = f"{KEY}\x1b[31m\u202e level=info\r"


@pytest.fixture
def echoes() -> Iterator[Upstream]:
    """Run a Scenext that says the key, and what a terminal would obey, wherever it can."""
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
def test_a_reason_is_short_and_holds_nothing_that_scenext_sent(ask: Ask, echoes: Upstream, where: str) -> None:
    """Ours: never a key and never a body in the log; one line, that a terminal obeys nothing of."""
    told = ask(f"{echoes.url}/{where}")
    assert told.level == "warning"
    assert KEY not in told.line
    assert "sentinel" not in told.line
    assert told.line.isprintable()
    assert 0 < len(told.field("reason") or "") <= 60


def test_a_reason_has_a_bound() -> None:
    """Ours: whatever an exception's class is called."""
    endless = type("E" * 1000, (Exception,), {})
    assert len(reason(endless())) == MAX_REASON


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(OSError(errno.EMFILE, "Too many open files"), "OSError: EMFILE", id="errno"),
        pytest.param(OSError(99999, "x"), "OSError", id="no-such-errno"),
        pytest.param(socket.gaierror(99999, "x"), "gaierror", id="no-such-resolver-error"),
        pytest.param(requests.ConnectionError("x", OSError("x")), "OSError", id="text-only"),
    ],
)
def test_a_cause_without_a_number_is_its_class(error: Exception, expected: str) -> None:
    """Ours: text is not taken along, because it may have come over the network."""
    assert reason(error) == expected


def test_the_outages_are_those_that_no_caller_can_help() -> None:
    """Ours: docs/operating.md, "Logs"."""
    assert {kind.__name__ for kind in failures.OUTAGES} == {
        "Busy",
        "NeverOpened",
        "Incomplete",
        "ServerFault",
        "Redirected",
        "BadResponse",
    }
