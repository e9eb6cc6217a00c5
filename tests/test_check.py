"""`--check`: what it prints, and what it makes of each way in which a call of Scenext can end."""

import os
import re
from typing import Any

import pytest

from scenext_service.check import MADE_UP, ask, check
from scenext_service.config import Config
from scenext_service.scenext.sandbox import REFUSED_KEY
from scenext_service.version import VERSION

from .support.messages import KEY
from .support.scripted import Reply, ScriptedScenext
from .support.upstream import CERTIFICATE, Upstream, closed_port

NOT_FOUND = Reply(404, {"status": "error", "message": "No such task"})
REFUSED = Reply(401, {"status": "error", "data": {"messages": "Unauthorized: Invalid API key"}})
PAGE = b"<html><body>It works!</body></html>"


def asked(reply: Reply, **settings: Any) -> tuple[bool, str]:
    """Ask a Scenext that answers so; return what `ask` does, without the seconds."""
    scenext = ScriptedScenext(lambda request: reply)
    works, said = ask(Config(**settings), scenext)
    (request,) = scenext.requests
    assert (request.method, request.url) == ("GET", "https://api.scenext.cn/api/get_status/0")
    assert request.headers["Authorization"] == f"Bearer {KEY if settings.get('api_key') == KEY else MADE_UP}"
    return works, said.replace("answered in 0.0 s", "answered")


TOOK = "Scenext answered, and took the key of SCENEXT_API_KEY"
NONE = "Scenext answered; no key is lent"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        pytest.param(NOT_FOUND, TOOK, id="no such job"),
        pytest.param(Reply(200, {"status": "error", "message": "No such task"}), TOOK, id="no such job, in words"),
        pytest.param(Reply(200, {"status": "success", "data": {"task_id": "0"}}), TOOK, id="a job, after all"),
        pytest.param(Reply(400, {"status": "error", "message": "Bad task id"}), TOOK, id="no id of a job"),
        pytest.param(Reply(429, {"status": "error", "message": "Too many"}), TOOK, id="too many calls"),
    ],
)
def test_a_key_that_scenext_takes(reply: Reply, said: str) -> None:
    """Ours: Scenext's API reference; whatever it says of the job, it has let the key in."""
    assert asked(reply, api_key=KEY) == (True, said)
    assert asked(reply) == (True, NONE)


@pytest.mark.parametrize("key", [{}, {"api_key": "YOUR_API_KEY"}])
def test_a_key_that_was_made_up_may_be_refused(key: dict[str, str]) -> None:
    """Ours: the way there works, and callers bring their own keys."""
    assert asked(REFUSED, **key) == (True, "Scenext answered, and refused a key that was made up; no key is lent")


def test_a_key_that_is_lent_may_not_be_refused() -> None:
    """Spec: Scenext's API reference: 401, with the text in `data.messages`."""
    works, said = asked(REFUSED, api_key=KEY)
    assert (works, said[:28]) == (False, "Scenext refused the API key:")
    assert "Invalid API key" in said


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        pytest.param(
            Reply(402, {"message": "Insufficient points"}),
            "The Scenext account has too few points: “Insuf",
            id="points",
        ),
        pytest.param(Reply(503, {"message": "down"}), "Scenext had a failure of its own, HTTP 503: “down”.", id="5xx"),
        pytest.param(
            Reply(302, b""), "Scenext answered with a redirect, HTTP 302, which is not followed", id="redirect"
        ),
        pytest.param(Reply(200, PAGE), "Scenext's answer, HTTP 200, could not be used", id="a page"),
        pytest.param(
            Reply(404, PAGE), "HTTP 404 without a message is not Scenext's: is SCENEXT_API_BASE_URL", id="404"
        ),
        pytest.param(
            Reply(403, PAGE), "HTTP 403 without a message is not Scenext's: is SCENEXT_API_BASE_URL", id="403"
        ),
    ],
)
@pytest.mark.parametrize("key", [{}, {"api_key": KEY}])
def test_an_answer_that_is_not_what_a_service_needs(reply: Reply, said: str, key: dict[str, str]) -> None:
    """Ours: the first sentence of what a tool would say; a page is somebody else's."""
    works, found = asked(reply, **key)
    assert (works, found[: len(said)]) == (False, said)


@pytest.fixture(autouse=True)
def network(bare: pytest.MonkeyPatch) -> None:
    """Trust the certificate of the tests' Scenext."""
    bare.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))


def printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, **environ: str
) -> tuple[int, list[str]]:
    """Check with these variables; return the exit status, and the lines without the seconds."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    status = check(os.environ)
    text = capsys.readouterr().out
    assert KEY not in text
    return status, re.sub(r" in \d\.\d s", "", text).splitlines()


def test_what_the_settings_mean_is_said_in_a_few_lines(
    capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch
) -> None:
    """Ours: as the line of the start has it; in the sandbox it says so."""
    status, lines = printed(capsys, bare, SCENEXT_SANDBOX="1", SCENEXT_API_KEY=KEY, SCENEXT_ACCESS_TOKEN="12345")
    names = [line.split()[0] for line in lines]
    assert status == 0
    assert names == [
        *("version", "api", "endpoint", "workers", "threads", "slots", "waiting_calls", "timeout", "max_wait", "key"),
        *("metrics", "warning", "warning", "works"),
    ]
    found = {line.split()[0]: line[15:] for line in lines}
    assert (found["version"], found["api"], found["key"]) == (VERSION, "sandbox", "lent to holders of the token")
    assert found["endpoint"] == "http://127.0.0.1:8000/mcp"
    assert int(found["slots"]) == int(found["threads"]) * 4 // 5
    assert found["works"] == "the sandbox answered, and took the key of SCENEXT_API_KEY"


def test_what_gunicorn_is_told_elsewhere_is_not_looked_at(
    capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch
) -> None:
    """Ours: it may hold anything, a key in `--env` among it."""
    environ = {"SCENEXT_SANDBOX": "1", "GUNICORN_CMD_ARGS": f"--env SCENEXT_API_KEY={KEY}"}
    _, lines = printed(capsys, bare, **environ)
    assert "gunicorn       GUNICORN_CMD_ARGS may say otherwise" in lines


def test_the_sandbox_refuses_the_key_that_it_always_refuses(
    capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch
) -> None:
    """Ours: docs/sandbox.md."""
    status, lines = printed(capsys, bare, SCENEXT_SANDBOX="1", SCENEXT_API_KEY=REFUSED_KEY)
    assert (status, lines[-1]) == (1, "FAILS          Scenext refused the API key: “Invalid API key”.")


def test_a_bad_setting_ends_it(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: as it ends the start."""
    with pytest.raises(SystemExit, match=r"^scenext_service cannot start: SCENEXT_TIMEOUT must "):
        printed(capsys, bare, SCENEXT_TIMEOUT="soon")


def test_the_way_works_over_tls(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: the certificate is checked, and a key that was made up is sent."""
    with Upstream(tls=True) as scenext:
        status, lines = printed(capsys, bare, SCENEXT_API_BASE_URL=f"{scenext.url}/status-401")
        assert [request.headers["authorization"] for request in scenext.requests] == [f"Bearer {MADE_UP}"]
    said = "works          Scenext answered, and refused a key that was made up; no key is lent"
    assert (status, lines[-1]) == (0, said)


def test_the_way_works_through_a_proxy(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: by a tunnel; its password is shown nowhere."""
    with Upstream() as proxy:
        address = f"127.0.0.1:{proxy.port}"
        environ = {"HTTPS_PROXY": f"http://user:{KEY}@{address}", "SCENEXT_API_KEY": KEY}
        status, lines = printed(capsys, bare, SCENEXT_API_BASE_URL="https://tunnel.invalid/status-404", **environ)
        assert [request.method for request in proxy.requests] == ["CONNECT", "GET"]
    assert f"proxy          {address} (HTTPS_PROXY)" in lines
    assert (status, lines[-1]) == (0, "works          Scenext answered, and took the key of SCENEXT_API_KEY")


NOT_CONNECTED = "This server could not connect to the Scenext API; nothing was sent."
REFUSED_THERE = "(ConnectionRefusedError: ECONNREFUSED)"


@pytest.mark.parametrize(
    ("host", "why"), [("refused.invalid", "OSError: the proxy said 407"), ("garbage.invalid", "BadStatusLine")]
)
def test_a_proxy_that_refuses_is_named(
    host: str, why: str, capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch
) -> None:
    """Ours: the proxy is the first place to look."""
    with Upstream() as proxy:
        environ = {"HTTPS_PROXY": proxy.url, "SCENEXT_API_BASE_URL": f"https://{host}/api"}
        status, lines = printed(capsys, bare, **environ)
    said = f"FAILS          {NOT_CONNECTED} ({why}) The proxy 127.0.0.1:{proxy.port} (HTTPS_PROXY) is on the way."
    assert (status, lines[-1]) == (1, said)


def test_a_proxy_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: the same."""
    with closed_port() as port:
        status, lines = printed(capsys, bare, HTTPS_PROXY=f"http://127.0.0.1:{port}")
    said = f"FAILS          {NOT_CONNECTED} {REFUSED_THERE} The proxy 127.0.0.1:{port} (HTTPS_PROXY) is on the way."
    assert (status, lines[-1]) == (1, said)


def test_a_host_that_refuses_connections(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: no proxy is on the way."""
    with closed_port() as port:
        status, lines = printed(capsys, bare, SCENEXT_API_BASE_URL=f"https://127.0.0.1:{port}/api")
    assert (status, lines[-1]) == (1, f"FAILS          {NOT_CONNECTED} {REFUSED_THERE}")


def test_a_name_without_an_address(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Spec: RFC 6761, section 6.4: `invalid` has no address."""
    status, lines = printed(capsys, bare, SCENEXT_API_BASE_URL="https://scenext.invalid/api")
    said = "FAILS          This server could not find the address of the Scenext API (DNS failure); nothing was sent. ("
    assert (status, lines[-1].startswith(said)) == (1, True)


def test_a_certificate_that_nobody_vouches_for(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: a proxy that reads along has one of its own."""
    bare.delenv("REQUESTS_CA_BUNDLE")
    with Upstream(tls=True) as scenext:
        status, lines = printed(capsys, bare, SCENEXT_API_BASE_URL=f"{scenext.url}/echo")
        assert scenext.requests == []
    said = "FAILS          This server could not set up a secure connection to the Scenext API (TLS failure, such as"
    assert (status, lines[-1].startswith(said)) == (1, True)


def test_an_answer_that_does_not_come(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: SCENEXT_TIMEOUT."""
    with Upstream() as scenext:
        environ = {"SCENEXT_API_BASE_URL": f"{scenext.url}/silent", "SCENEXT_TIMEOUT": "0.3"}
        status, lines = printed(capsys, bare, **environ)
    assert (status, lines[-1]) == (1, "FAILS          Scenext did not answer within 0.3 seconds. (TimeoutError)")


def test_a_connection_that_breaks(capsys: pytest.CaptureFixture[str], bare: pytest.MonkeyPatch) -> None:
    """Ours: something on the way cuts it."""
    with Upstream() as scenext:
        status, lines = printed(capsys, bare, SCENEXT_API_BASE_URL=f"{scenext.url}/half-body")
    said = "FAILS          The connection to Scenext broke before its answer was complete. (the body was cut short)"
    assert (status, lines[-1]) == (1, said)
