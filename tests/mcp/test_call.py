"""What a request says of its caller: whether he takes a stream, how long he can be kept, who wants progress."""

import orjson
import pytest

from scenext_service.mcp import Call, Caller, Record

BOTH = "application/json, text/event-stream"


@pytest.mark.parametrize(
    ("accept", "takes"),
    [
        pytest.param(BOTH, True, id="both, as every SDK sends it"),
        pytest.param("text/event-stream", True, id="only streams"),
        pytest.param("Text/Event-Stream;q=0.5 , application/json", True, id="with a weight, in any case"),
        pytest.param("text/event-stream; charset=utf-8; q=0.1", True, id="with a parameter"),
        pytest.param("application/json", False, id="only JSON"),
        pytest.param("*/*", False, id="anything, as curl sends it"),
        pytest.param("text/*", False, id="any text"),
        pytest.param("", False, id="nothing"),
        pytest.param("application/json, text/event-stream;q=0", False, id="refused"),
        pytest.param("text/event-stream;q=0.000", False, id="refused, written longer"),
        pytest.param("text/event-streams, x/text/event-stream", False, id="something like it"),
    ],
)
def test_a_stream_goes_to_those_who_name_it(accept: str, takes: bool) -> None:
    """Spec: RFC 9110, section 12.5.1. Ours: `*/*` says nothing of what a program can read."""
    assert Caller(accept=accept).takes_stream is takes


@pytest.mark.parametrize(
    ("accept", "token", "longest", "patience"),
    [
        pytest.param(BOTH, "t", 900.0, 900.0, id="stream, with progress: what the operator allows"),
        pytest.param(BOTH, 0, 900.0, 900.0, id="the token 0 is one"),
        pytest.param(BOTH, "", 900.0, 900.0, id="an empty token is one"),
        pytest.param(BOTH, None, 900.0, 50.0, id="stream, without"),
        pytest.param("application/json", "t", 900.0, 25.0, id="JSON, whatever the token"),
        pytest.param("application/json", None, 900.0, 25.0, id="JSON"),
        pytest.param(BOTH, "t", 10.0, 10.0, id="the operator allows less"),
        pytest.param(BOTH, None, 10.0, 10.0, id="the same, without progress"),
        pytest.param("", None, 10.0, 10.0, id="the same, JSON"),
        pytest.param(BOTH, "t", 0.0, 0.0, id="the operator allows none"),
    ],
)
def test_how_long_a_caller_can_be_kept(accept: str, token: str | int | None, longest: float, patience: float) -> None:
    """Ours: docs/protocol.md, "Wait for its end": platforms want a byte within 30 s, clients give up after 60."""
    call = Call(Caller(accept=accept, patience=longest), Record(), progress_token=token)
    assert call.patience == patience


@pytest.mark.parametrize(
    ("total", "extra"), [pytest.param(None, {}, id="unknown total"), pytest.param(100, {"total": 100}, id="total")]
)
@pytest.mark.parametrize("token", ["t", "", 0, 7])
def test_progress_is_a_notification_with_the_token_of_the_request(
    token: str | int, total: float | None, extra: dict[str, int]
) -> None:
    """Spec: 2026-07-28, basic/patterns/progress."""
    message = Call(Caller(), Record(), progress_token=token).progress(0.5, "half / 一半", total)
    assert orjson.loads(message) == {
        "jsonrpc": "2.0",
        "method": "notifications/progress",
        "params": {"progressToken": token, "progress": 0.5, "message": "half / 一半", **extra},
    }


def test_there_is_no_progress_for_who_asked_for_none() -> None:
    """Spec: 2026-07-28, basic/patterns/progress: "MUST only reference tokens that were provided"."""
    assert Call(Caller(), Record()).progress(0.5, "half") == b""
