"""The log names the job of each call and whose key was used, but never an invalid id that a client sent."""

import json
from typing import Any

import pytest
import requests

from scenext_service import create_app
from scenext_service.config import Config
from tests.support.messages import KEY, Mcp
from tests.support.scripted import Reply, ScriptedScenext

SHARED, TOKEN = "operator-key-00000001", "operator-token-000001"
OWN = {"X-API-Key": KEY}
GEN = ("gen_video", {"question": "1+1"})

Logged = tuple[str | None, str | None]


def logged(
    capsys: pytest.CaptureFixture[str],
    call: tuple[str, dict[str, Any]],
    *,
    headers: dict[str, str] | None = None,
    returned: Any = None,
    **config: Any,
) -> Logged:
    """Make one call. Return the fields `task_id` and `key` of its log line.

    Scenext responds with the requested id, or with `returned`.
    """

    def script(request: requests.PreparedRequest) -> Reply:
        task_id = str(request.url).rpartition("/")[2] if returned is None else returned
        return Reply(200, {"status": "success", "data": {"task_id": task_id, "status": "IN_PROGRESS"}})

    app = create_app(Config(log_format="json", **config), ScriptedScenext(script))
    capsys.readouterr()
    Mcp(app.test_client()).call(*call, OWN if headers is None else headers)
    (line,) = "".join(capsys.readouterr()).splitlines()
    fields = json.loads(line)
    assert KEY not in line
    return fields.get("task_id"), fields.get("key")


def query(task_id: str) -> tuple[str, dict[str, Any]]:
    return "query_video_status", {"task_id": task_id}


@pytest.mark.parametrize(
    ("call", "returned", "expected"),
    [
        pytest.param(query("12345"), None, "12345", id="query"),
        pytest.param(query(" 12345 "), None, "12345", id="query with spaces around the id"),
        pytest.param(query("a.b_c~d-E"), None, "a.b_c~d-E", id="query with all kinds of characters"),
        pytest.param(query("no id"), None, None, id="query with an invalid id"),
        pytest.param(query(".."), None, None, id="query with a path"),
        pytest.param(query(f"x-{KEY}"), None, None, id="query with the key in the id"),
        pytest.param(GEN, "12345", "12345", id="new job"),
        pytest.param(GEN, 12345, "12345", id="new job with a numeric id"),
        pytest.param(GEN, "a job\n\u2028", None, id="new job with an invalid id"),
        pytest.param(GEN, f"x-{KEY}", None, id="new job with the key in its id"),
        pytest.param(GEN, "sandbox-1795000000000-V2h5Pw", "sandbox-1795000000000", id="new job of the sandbox"),
        pytest.param(
            query("sandbox-1795000000000-V2h5Pw"), None, "sandbox-1795000000000", id="query for a job of the sandbox"
        ),
        pytest.param(query("sandbox-completed"), None, "sandbox-completed", id="query for a sample job of the sandbox"),
    ],
)
def test_a_valid_job_id_is_logged(
    capsys: pytest.CaptureFixture[str], call: tuple[str, dict[str, Any]], returned: Any, expected: str | None
) -> None:
    """Ours: an operator can find a job, but a client cannot write arbitrary text into the log."""
    assert logged(capsys, call, returned=returned) == (expected, "caller")


@pytest.mark.parametrize(
    ("headers", "config", "key"),
    [
        pytest.param(OWN, {}, "caller", id="caller's key"),
        pytest.param(OWN, {"api_key": SHARED}, "caller", id="caller's key and a shared key"),
        pytest.param({}, {"api_key": SHARED}, "shared", id="shared key"),
        pytest.param(
            {"X-API-Key": TOKEN}, {"api_key": SHARED, "access_token": TOKEN}, "shared", id="shared key with the token"
        ),
        pytest.param({}, {}, None, id="no key"),
    ],
)
def test_the_log_line_states_whose_key_was_used(
    capsys: pytest.CaptureFixture[str], headers: dict[str, str], config: dict[str, Any], key: str | None
) -> None:
    """Ours: an operator sees the usage of the shared key. Without a key, no job is queried or logged."""
    assert logged(capsys, query("12345"), headers=headers, **config) == ("12345" if key else None, key)


@pytest.mark.parametrize(
    ("header", "value"), [("X-API-Key", TOKEN), ("Authorization", f"Bearer {TOKEN}"), ("X-API-Key", "k")]
)
def test_a_presented_secret_is_never_logged_as_a_job_id(
    capsys: pytest.CaptureFixture[str], header: str, value: str
) -> None:
    """Ours: models sometimes pass a key as the id. A token is as secret as a key."""
    call = query(value.split()[-1])
    found = logged(capsys, call, headers={header: value}, api_key=SHARED, access_token=TOKEN)
    assert found == (None, "caller" if value == "k" else "shared")
