"""The check of a typed key, if Scenext answers in other ways than with a refusal."""

import pytest

from scenext_service.config import Config
from scenext_service.scenext import failures
from scenext_service.scenext.client import Scenext
from scenext_service.tools import create_tools, instructions
from scenext_service.tools.api_call import Credentials
from scenext_service.tools.query_video_status import DESCRIPTION
from scenext_service.tools.signed_in import SIGNED_IN, KeyCheck, with_sign_in
from scenext_service.tools.waiting import JobWaiter
from tests.support.messages import KEY
from tests.support.scripted import ScriptedScenext


def check(scenext: ScriptedScenext, slots: int = 1) -> KeyCheck:
    return KeyCheck(Scenext("https://api.example/api", timeout=5, slots=slots, adapter=scenext), Credentials())


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (200, {"status": "success", "data": {"status": "COMPLETED"}}, None),
        (401, {"status": "error", "message": "no"}, "refused"),
        (401, b"<html>", None),
        (403, {"status": "error", "message": "no"}, None),
        (402, {"status": "error", "message": "no"}, None),
        (404, {"status": "error", "message": "no"}, None),
        (429, {"status": "error", "message": "no"}, None),
        (503, b"", None),
    ],
)
def test_only_scenexts_own_401_refuses_a_key(status: int, body: object, problem: str | None) -> None:
    """Ours: a firewall's page says nothing about the key."""
    scenext = ScriptedScenext()
    scenext.answers(status, body)
    assert check(scenext)(KEY, "the-id") == problem
    assert (scenext.sent("Authorization"), scenext.sent("X-Request-ID")) == ([f"Bearer {KEY}"], ["the-id"])
    assert [request.url for request in scenext.requests] == ["https://api.example/api/get_status/0"]


def test_a_key_counts_as_usable_while_scenext_cannot_be_asked() -> None:
    """Ours: each call checks the key anyway."""
    scenext = ScriptedScenext()
    scenext.fails(OSError("down"))
    assert check(scenext)(KEY, "") is None
    assert check(scenext, slots=0)(KEY, "") is None


@pytest.mark.parametrize("text", [DESCRIPTION, instructions(50)])
def test_each_sentence_about_headers_is_replaced(text: str) -> None:
    """Ours: a changed sentence must not slip through."""
    assert "header" in text
    changed = with_sign_in(text)
    assert ("header" in changed, changed.count(SIGNED_IN)) == (False, 1)


def test_the_tools_are_the_same_but_for_that_sentence() -> None:
    """Ours: same names, schemas and functions."""
    waiter = JobWaiter(50, 1)
    scenext = Scenext(Config().api_base_url, timeout=5, slots=1)
    for one, other in zip(
        create_tools(scenext, Credentials(), "m", waiter),
        create_tools(scenext, Credentials(), "m", waiter, signed_in=True),
        strict=True,
    ):
        expected = {**one.definition(), "description": with_sign_in(one.description)}
        assert other.definition() == expected


def test_the_token_of_a_sign_in_is_not_sent() -> None:
    """Ours: not even as a typed key, in any case."""
    with pytest.raises(failures.SignInToken):
        Credentials().key_for("Bearer SCENEXT-signin-x", None)
