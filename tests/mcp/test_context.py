"""Per-request context of a caller: whether it accepts a stream, how long it can wait, and progress."""

import orjson
import pytest

from scenext_service.mcp import Call, LogRecord
from scenext_service.mcp.context import Caller, TimeBudget, takes_stream

BOTH = "application/json, text/event-stream"


@pytest.mark.parametrize(
    ("accept", "takes"),
    [
        pytest.param(BOTH, True, id="both, as sent by every SDK"),
        pytest.param("text/event-stream", True, id="streams only"),
        pytest.param("Text/Event-Stream;q=0.5 , application/json", True, id="weight, mixed case"),
        pytest.param("text/event-stream; charset=utf-8; q=0.1", True, id="parameter"),
        pytest.param("application/json", False, id="JSON only"),
        pytest.param("*/*", False, id="wildcard, as sent by curl"),
        pytest.param("text/*", False, id="text wildcard"),
        pytest.param("", False, id="empty"),
        pytest.param("application/json, text/event-stream;q=0", False, id="weight 0"),
        pytest.param("text/event-stream;q=0.000", False, id="weight 0.000"),
        pytest.param("text/event-streams, x/text/event-stream", False, id="similar media types"),
    ],
)
def test_only_clients_that_accept_event_streams_get_a_stream(accept: str, takes: bool) -> None:
    """Spec: RFC 9110, section 12.5.1. Ours: `*/*` does not show that a program can read event streams."""
    assert takes_stream(accept) is takes


@pytest.mark.parametrize(
    ("accept", "token", "allowed", "max_wait"),
    [
        pytest.param(BOTH, "t", 900.0, 900.0, id="stream with progress, operator's limit"),
        pytest.param(BOTH, 0, 900.0, 900.0, id="token 0"),
        pytest.param(BOTH, "", 900.0, 900.0, id="empty token"),
        pytest.param(BOTH, None, 900.0, 50.0, id="stream without progress"),
        pytest.param("application/json", "t", 900.0, 25.0, id="JSON with a token"),
        pytest.param("application/json", None, 900.0, 25.0, id="JSON"),
        pytest.param(BOTH, "t", 10.0, 10.0, id="lower limit, stream with progress"),
        pytest.param(BOTH, None, 10.0, 10.0, id="lower limit, stream without progress"),
        pytest.param("", None, 10.0, 10.0, id="lower limit, JSON"),
        pytest.param(BOTH, "t", 0.0, 0.0, id="limit of zero"),
    ],
)
def test_the_wait_limit_depends_on_stream_progress_and_operator(
    accept: str, token: str | int | None, allowed: float, max_wait: float
) -> None:
    """Ours: docs/protocol.md, "Wait for its end": platforms expect a byte within 30 s, clients time out after 60 s."""
    call = Call(Caller(accept=accept, time=TimeBudget(max_wait=allowed)), LogRecord(), progress_token=token)
    assert call.max_wait == max_wait


@pytest.mark.parametrize(
    ("total", "extra"),
    [pytest.param(None, {}, id="unknown total"), pytest.param(100, {"total": 100}, id="known total")],
)
@pytest.mark.parametrize("token", ["t", "", 0, 7])
def test_progress_is_a_notification_with_the_token_of_the_request(
    token: str | int, total: float | None, extra: dict[str, int]
) -> None:
    """Spec: 2026-07-28, basic/patterns/progress."""
    message = Call(Caller(), LogRecord(), progress_token=token).progress(0.5, "half / 一半", total)
    assert orjson.loads(message) == {
        "jsonrpc": "2.0",
        "method": "notifications/progress",
        "params": {"progressToken": token, "progress": 0.5, "message": "half / 一半", **extra},
    }


def test_no_progress_is_sent_without_a_progress_token() -> None:
    """Spec: 2026-07-28, basic/patterns/progress: "MUST only reference tokens that were provided"."""
    assert Call(Caller(), LogRecord()).progress(0.5, "half") == b""
