"""`--check`: its output, and how it judges each possible outcome of a Scenext call."""

import os
import re
from typing import Any

import pytest

from scenext_service import __version__
from scenext_service.check import SAMPLE_KEY, check, try_connection
from scenext_service.config import Config
from scenext_service.scenext.sandbox.adapter import REFUSED_KEY
from scenext_service.server.capacity import divide

from .support.messages import KEY
from .support.scripted import Reply, ScriptedScenext
from .support.upstream import CERTIFICATE, Upstream, closed_port

NOT_FOUND = Reply(404, {"status": "error", "message": "No such task"})
REFUSED = Reply(401, {"status": "error", "data": {"messages": "Unauthorized: Invalid API key"}})
PAGE = b"<html><body>It works!</body></html>"


def result_for(reply: Reply, **settings: Any) -> tuple[bool, str]:
    """Test the connection to a Scenext that sends `reply`. Return its result, without the seconds."""
    scenext = ScriptedScenext(lambda request: reply)
    succeeded, message = try_connection(Config(**settings), scenext)
    (request,) = scenext.requests
    assert (request.method, request.url) == ("GET", "https://api.scenext.cn/api/get_status/0")
    assert request.headers["Authorization"] == f"Bearer {KEY if settings.get('api_key') == KEY else SAMPLE_KEY}"
    return succeeded, re.sub(r" in \d+\.\d s", "", message, count=1)


ACCEPTED = "Scenext responded and accepted SCENEXT_API_KEY."
REJECTED_SAMPLE = "Scenext responded and rejected the sample key, as expected. No key is shared."
NO_KEY = "Scenext responded. No key is shared."


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        pytest.param(NOT_FOUND, ACCEPTED, id="no such job"),
        pytest.param(
            Reply(200, {"status": "error", "message": "No such task"}), ACCEPTED, id="no such job, with HTTP 200"
        ),
        pytest.param(Reply(200, {"status": "success", "data": {"task_id": "0"}}), ACCEPTED, id="existing job"),
        pytest.param(Reply(400, {"status": "error", "message": "Bad task id"}), ACCEPTED, id="invalid job id"),
        pytest.param(Reply(422, {"detail": [{"loc": ["task_id"], "msg": "no UUID"}]}), ACCEPTED, id="FastAPI error"),
        pytest.param(
            Reply(200, {"status": "error", "message": "list index out of range"}), ACCEPTED, id="list index error"
        ),
        pytest.param(Reply(429, {"status": "error", "message": "Too many"}), ACCEPTED, id="too many calls"),
    ],
)
def test_an_accepted_key_passes_the_check(reply: Reply, message: str) -> None:
    """Ours: Scenext's API reference. Any response about the job means that the key was accepted."""
    assert result_for(reply, api_key=KEY) == (True, message)
    assert result_for(reply) == (True, NO_KEY)


@pytest.mark.parametrize("key", [{}, {"api_key": "YOUR_API_KEY"}, {"api_key": "$SCENEXT_KEY"}])
def test_a_rejected_placeholder_key_is_no_failure(key: dict[str, str]) -> None:
    """Ours: the connection works, and callers send their own keys."""
    assert result_for(REFUSED, **key) == (True, REJECTED_SAMPLE)


def test_a_rejected_server_key_is_a_failure() -> None:
    """Spec: Scenext's API reference: 401, with the text in `data.messages`."""
    succeeded, message = result_for(REFUSED, api_key=KEY)
    assert succeeded is False
    assert message == "Scenext refused the API key: “Unauthorized: Invalid API key”."


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        pytest.param(
            Reply(402, {"message": "Insufficient points"}),
            "The Scenext account has too few points: “Insuf",
            id="points",
        ),
        pytest.param(Reply(503, {"message": "down"}), "Scenext had a server error, HTTP 503: “down”.", id="5xx"),
        pytest.param(
            Reply(302, b""),
            "Scenext answered with a redirect, HTTP 302, which this server does not follow",
            id="redirect",
        ),
        pytest.param(Reply(200, PAGE), "Scenext's response, HTTP 200, could not be used", id="HTML page"),
        *[
            pytest.param(
                Reply(status, body),
                f"The response, HTTP {status}, has no error message from Scenext, so it may be from a firewall, a proxy"
                " or another server. Check SCENEXT_API_BASE_URL.",
                id=f"{status}-{len(body)}",
            )
            for status in (401, 402, 403, 404, 405)
            for body in (PAGE, b"", b"{}")
        ],
        pytest.param(Reply(429, PAGE), "HTTP 429 without a message is not from Scenext.", id="429"),
        pytest.param(Reply(413, b""), "HTTP 413 without a message is not from Scenext.", id="413"),
    ],
)
@pytest.mark.parametrize("key", [{}, {"api_key": KEY}])
def test_an_unusable_response_is_a_failure(reply: Reply, message: str, key: dict[str, str]) -> None:
    """Ours: the first sentence of the tool error. An HTML page is not from Scenext."""
    succeeded, found = result_for(reply, **key)
    assert (succeeded, found[: len(message)]) == (False, message)


@pytest.fixture(autouse=True)
def trusted_certificate(bare: pytest.MonkeyPatch) -> None:
    """Trust the certificate of the simulated Scenext."""
    bare.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))


def printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, **environ: str
) -> tuple[int, list[str]]:
    """Run the check with these variables. Return the exit status and the lines, without the seconds."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    status = check(os.environ)
    text = capsys.readouterr().out
    assert KEY not in text
    return status, re.sub(r" in \d\.\d s", "", text).splitlines()


def test_the_effective_settings_are_printed(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: the same values as in the log line of the start. The sandbox is named."""
    status, lines = printed(capsys, bare, SCENEXT_SANDBOX="1", SCENEXT_API_KEY=KEY, SCENEXT_ACCESS_TOKEN="0" * 16)
    names = [line.split()[0] for line in lines]
    assert status == 0
    assert names == [
        *("version", "api", "endpoint", "workers", "threads", "slots", "waiting_calls", "timeout", "max_wait", "key"),
        *("tasks", "metrics", "variables", "warning", "warning", "ok"),
    ]
    found = {line.split()[0]: line[15:] for line in lines}
    assert (found["version"], found["api"], found["key"]) == (__version__, "sandbox", "shared with token holders")
    assert found["variables"] == "SCENEXT_API_KEY SCENEXT_ACCESS_TOKEN SCENEXT_SANDBOX"
    assert found["endpoint"] == "http://127.0.0.1:8000/mcp"
    assert (int(found["slots"]), int(found["waiting_calls"])) == divide(int(found["threads"]))
    assert found["ok"] == "The sandbox responded and accepted SCENEXT_API_KEY."


def test_gunicorn_cmd_args_are_mentioned_but_not_read(
    capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch
) -> None:
    """Ours: it may hold anything, such as a key in `--env`."""
    environ = {"SCENEXT_SANDBOX": "1", "GUNICORN_CMD_ARGS": f"--env SCENEXT_API_KEY={KEY}"}
    _, lines = printed(capsys, bare, **environ)
    assert "gunicorn       GUNICORN_CMD_ARGS is set and may override these values" in lines


def test_the_refused_key_of_the_sandbox_fails_the_check(
    capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch
) -> None:
    """Ours: docs/sandbox.md."""
    status, lines = printed(capsys, bare, SCENEXT_SANDBOX="1", SCENEXT_API_KEY=REFUSED_KEY)
    assert (status, lines[-1]) == (1, "FAILED         Scenext refused the API key: “Unauthorized: Invalid API key”.")


def test_a_bad_setting_ends_the_check(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: the message is the same as at the start of the server."""
    with pytest.raises(SystemExit, match=r"^scenext_service cannot start: SCENEXT_TIMEOUT: "):
        printed(capsys, bare, SCENEXT_TIMEOUT="soon")


def test_the_check_works_over_tls(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: the certificate is verified, and a placeholder key is sent."""
    with Upstream(tls=True) as scenext:
        status, lines = printed(capsys, bare, SCENEXT_API_BASE_URL=f"{scenext.url}/status-401")
        assert [request.headers["authorization"] for request in scenext.requests] == [f"Bearer {SAMPLE_KEY}"]
    expected = f"ok             {REJECTED_SAMPLE}"
    assert (status, lines[-1]) == (0, expected)


def test_the_check_works_through_a_proxy(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: through a CONNECT tunnel. The proxy's password is never printed."""
    with Upstream() as proxy:
        address = f"127.0.0.1:{proxy.port}"
        environ = {"HTTPS_PROXY": f"http://user:{KEY}@{address}", "SCENEXT_API_KEY": KEY}
        status, lines = printed(capsys, bare, SCENEXT_API_BASE_URL="https://tunnel.invalid/status-404", **environ)
        assert [request.method for request in proxy.requests] == ["CONNECT", "GET"]
    assert f"proxy          {address} (HTTPS_PROXY)" in lines
    assert (status, lines[-1]) == (0, "ok             Scenext responded and accepted SCENEXT_API_KEY.")


NOT_CONNECTED = "This server could not connect to the Scenext API; nothing was sent."
THROUGH_PROXY = "The request went through the proxy 127.0.0.1:{} (HTTPS_PROXY)."
CONNECTION_REFUSED = "(ConnectionRefusedError: ECONNREFUSED)"


@pytest.mark.parametrize(
    ("host", "why"), [("refused.invalid", "OSError: HTTP 407 from the proxy"), ("garbage.invalid", "BadStatusLine")]
)
def test_a_proxy_that_refuses_is_named(
    host: str, why: str, capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch
) -> None:
    """Ours: the proxy is the first place to look."""
    with Upstream() as proxy:
        environ = {"HTTPS_PROXY": proxy.url, "SCENEXT_API_BASE_URL": f"https://{host}/api"}
        status, lines = printed(capsys, bare, **environ)
    expected = f"FAILED         {NOT_CONNECTED} ({why}) {THROUGH_PROXY.format(proxy.port)}"
    assert (status, lines[-1]) == (1, expected)


def test_an_unreachable_proxy_is_named(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: the proxy is the first place to look, even if it does not answer."""
    with closed_port() as port:
        status, lines = printed(capsys, bare, HTTPS_PROXY=f"http://127.0.0.1:{port}")
    expected = f"FAILED         {NOT_CONNECTED} {CONNECTION_REFUSED} {THROUGH_PROXY.format(port)}"
    assert (status, lines[-1]) == (1, expected)


def test_a_refused_connection_fails_the_check(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: without a proxy, none is named."""
    with closed_port() as port:
        status, lines = printed(capsys, bare, SCENEXT_API_BASE_URL=f"https://127.0.0.1:{port}/api")
    assert (status, lines[-1]) == (1, f"FAILED         {NOT_CONNECTED} {CONNECTION_REFUSED}")


def test_an_unresolvable_host_name_fails_the_check(
    capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch
) -> None:
    """Spec: RFC 6761, section 6.4: `invalid` has no address."""
    status, lines = printed(capsys, bare, SCENEXT_API_BASE_URL="https://scenext.invalid/api")
    expected = (
        "FAILED         This server could not resolve the host name of the Scenext API (DNS failure); nothing was"
    )
    assert (status, lines[-1].startswith(expected)) == (1, True)


def test_an_untrusted_certificate_fails_the_check(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: a proxy that inspects TLS presents a certificate of its own."""
    bare.delenv("REQUESTS_CA_BUNDLE")
    with Upstream(tls=True) as scenext:
        status, lines = printed(capsys, bare, SCENEXT_API_BASE_URL=f"{scenext.url}/echo")
        assert scenext.requests == []
    expected = (
        "FAILED         This server could not establish a secure connection to the Scenext API (TLS failure, such as"
    )
    assert (status, lines[-1].startswith(expected)) == (1, True)


def test_a_timeout_fails_the_check(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: SCENEXT_TIMEOUT limits the wait."""
    with Upstream() as scenext:
        environ = {"SCENEXT_API_BASE_URL": f"{scenext.url}/silent", "SCENEXT_TIMEOUT": "0.3"}
        status, lines = printed(capsys, bare, **environ)
    assert (status, lines[-1]) == (1, "FAILED         Scenext did not answer within 0.3 seconds. (TimeoutError)")


def test_a_cut_connection_fails_the_check(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: something between this server and Scenext cuts the connection."""
    with Upstream() as scenext:
        status, lines = printed(capsys, bare, SCENEXT_API_BASE_URL=f"{scenext.url}/half-body")
    expected = (
        "FAILED         The connection to Scenext broke before the response was complete. (the body was cut short)"
    )
    assert (status, lines[-1]) == (1, expected)
