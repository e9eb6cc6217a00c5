"""The texts that explain a failed call to people, in the `_meta` of its result."""

import ast
from typing import Any

import pytest

from scenext_service.scenext import failures
from scenext_service.tools import failure_people
from scenext_service.tools.failure_people import KEY, TEXTS, explain
from tests.support.messages import BEARER, Mcp
from tests.support.pages import ROOT

from .test_failure_texts import CLASSES, MAY_HAVE_STARTED, either, every, make

QUERY, GEN = "query_video_status", "gen_video"
OWN = (
    failure_people.NO_QUESTION,
    failure_people.BAD_PICTURE,
    failure_people.BAD_NOTIFY_URL,
    failure_people.NO_TASK_ID,
    failure_people.NOT_REPEATED,
)
# Failures that may soon be over, so that the page and the card query again by themselves.
PASSING = {
    failures.NoTimeLeft,
    failures.Busy,
    failures.NameNotResolved,
    failures.ConnectionFailed,
    failures.TlsFailed,
    failures.DeadlinePassed,
    failures.ConnectionLost,
    failures.RateLimited,
    failures.ServerFault,
    failures.Redirected,
    failures.ForeignResponse,
    failures.BadResponse,
}
NO_CONFIRMATION = {
    "en": [
        "No confirmation from Scenext",
        "The video may have been started and charged. Check your Scenext account before you try again.",
    ],
    "zh": ["未收到 Scenext 的确认", "视频可能已经创建并扣除积分，请先在 Scenext 账户中确认，再决定是否重试。"],
}
REJECTED_EN, REJECTED_ZH = "Scenext rejected this request", "Scenext 未接受该请求"


def shown(failure: failures.ScenextError, charged: bool = False) -> dict[str, Any]:
    """Return what people read of a failure."""
    (content,) = explain(failure, charged=charged).values()
    return dict(content)


def test_the_table_holds_exactly_the_concrete_failures() -> None:
    """Ours: each class of `failures` has a text for people, as it has one for the model."""
    assert sorted(TEXTS, key=lambda kind: kind.__name__) == CLASSES


@every
@either
def test_every_failure_has_a_heading_and_a_sentence_in_both_languages(
    kind: type[failures.ScenextError], charged: bool
) -> None:
    """Ours: short enough for the stage of the page and the card, and without instructions to a model."""
    content = shown(make(kind), charged)
    assert list(content) == ["kind", "final", "en", "zh"]
    assert content["kind"] == kind.__name__
    check_texts(content)


@pytest.mark.parametrize("meta", OWN, ids=lambda meta: meta[KEY]["kind"])
def test_the_failures_of_the_tools_themselves_are_explained_too(meta: dict[str, Any]) -> None:
    """Ours: the same fields. Such a call fails again as long as its arguments are unchanged."""
    (content,) = meta.values()
    assert (list(content), content["final"]) == (["kind", "final", "en", "zh"], True)
    check_texts(content)


def check_texts(content: dict[str, Any]) -> None:
    """Check the heading and the sentence in both languages."""
    (heading, sentence), (heading_zh, sentence_zh) = content["en"], content["zh"]
    assert 0 < len(heading) <= 40
    assert 0 < len(sentence) <= 110
    assert 0 < len(heading_zh) <= 20
    assert 0 < len(sentence_zh) <= 50
    assert sentence.endswith(".")
    assert sentence_zh.endswith("。")
    assert not heading.endswith(".")
    assert "the user" not in f"{heading} {sentence}"
    assert "用户" not in f"{heading_zh}{sentence_zh}"


def test_every_error_of_a_tool_has_a_text_for_people() -> None:
    """Ours: the page and the card show no text that is meant for a model."""
    created = [
        (f"{path.name}:{node.lineno}", len(node.args))
        for path in sorted((ROOT / "scenext_service" / "tools").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ToolError"
    ]
    assert len(created) >= 7
    assert [place for place, arguments in created if arguments != 2] == []


@every
def test_only_a_passing_failure_of_a_query_is_not_final(kind: type[failures.ScenextError]) -> None:
    """Ours: a final failure is shown at once. After another one, the page and the card query again."""
    assert shown(make(kind))["final"] == (kind not in PASSING)


@every
def test_a_start_that_may_have_been_charged_is_final(kind: type[failures.ScenextError]) -> None:
    """Ours: no program repeats it. Its user checks the account first."""
    content = shown(make(kind), charged=True)
    uncertain = kind in MAY_HAVE_STARTED
    assert content["final"] == (uncertain or kind not in PASSING)
    assert ({name: content[name] for name in ("en", "zh")} == NO_CONFIRMATION) == (
        uncertain and kind is not failures.Rejected
    )


@pytest.mark.parametrize("kind", [failures.Rejected, failures.UnexpectedStatus])
def test_a_rejection_shows_the_message_of_scenext(kind: type[failures.Responded]) -> None:
    """Ours: only that message states what to change. It is text, never a template."""
    content = shown(kind(422, "{detail} 题目太长"))
    assert content["en"] == [REJECTED_EN, "Scenext’s message: “{detail} 题目太长”."]
    assert content["zh"] == [REJECTED_ZH, "Scenext 的提示：“{detail} 题目太长”。"]
    assert shown(kind(422))["en"] == [REJECTED_EN, "Check your request, then try again."]


def test_a_long_message_of_scenext_is_cut() -> None:
    """Ours: the stage has room for a few lines."""
    assert shown(failures.Rejected(200, "x" * 500))["zh"] == [REJECTED_ZH, f"Scenext 的提示：“{'x' * 199}…”。"]


def test_a_rejected_start_leaves_the_charge_open() -> None:
    """Ours: the meaning of an error with a success status is not documented."""
    content = shown(failures.Rejected(200, "list index out of range"), charged=True)
    assert content["en"] == [
        REJECTED_EN,
        "Scenext’s message: “list index out of range”. Check your Scenext account before you try again.",
    ]
    assert content["zh"] == [
        REJECTED_ZH,
        "Scenext 的提示：“list index out of range”。请先在 Scenext 账户中确认，再决定是否重试。",
    ]


@pytest.mark.parametrize("kind", [failures.Rejected, failures.ServerFault])
def test_a_message_that_nothing_was_charged_is_not_contradicted(kind: type[failures.Responded]) -> None:
    """Ours: Scenext's own statement removes the doubt, as in the text for the model."""
    content = shown(kind(503, "服务繁忙，本次不会扣除积分"), charged=True)
    assert content["en"] == [REJECTED_EN, "Scenext’s message: “服务繁忙，本次不会扣除积分”."]
    assert content["zh"] == [REJECTED_ZH, "Scenext 的提示：“服务繁忙，本次不会扣除积分”。"]


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize(
    ("tool", "arguments", "headers", "kind"),
    [
        pytest.param(QUERY, {"task_id": "sandbox-down"}, BEARER, "ServerFault", id="upstream"),
        pytest.param(QUERY, {"task_id": "1"}, BEARER, "NotFound", id="unknown job"),
        pytest.param(QUERY, {"task_id": " "}, BEARER, "NoTaskId", id="blank task id"),
        pytest.param(GEN, {"question": "Why?"}, {}, "KeyMissing", id="no key"),
        pytest.param(GEN, {}, BEARER, "NoQuestion", id="no question"),
        pytest.param(GEN, {"question_images": ["a.png"]}, BEARER, "BadPicture", id="picture"),
        pytest.param(GEN, {"question": "q", "notify_url": "x"}, BEARER, "BadNotifyUrl", id="notify_url"),
        pytest.param(GEN, {"question": "q", "notify_url": "x" * 2001}, BEARER, "BadNotifyUrl", id="long notify_url"),
    ],
)
def test_both_eras_send_the_text_for_people(
    mcp: Mcp, era: str, tool: str, arguments: dict[str, Any], headers: dict[str, str], kind: str
) -> None:
    """Ours: beside the text for the model, even if the sandbox marks that text as simulated."""
    params = {"name": tool, "arguments": arguments}
    result = getattr(mcp, era)("tools/call", params, headers).get_json()["result"]
    assert result["isError"] is True
    assert result["_meta"][KEY]["kind"] == kind
    assert set(result["_meta"]) - {KEY} == ({"io.modelcontextprotocol/serverInfo"} if era == "modern" else set())


def test_a_success_has_no_text_about_a_failure(mcp: Mcp) -> None:
    """Ours: the presence of the field means a failure."""
    for tool, arguments in ((QUERY, {"task_id": "sandbox-completed"}), (GEN, {"question": "Why?"})):
        assert set(mcp.call(tool, arguments)["_meta"]) == {"io.modelcontextprotocol/serverInfo"}
