"""What the model is told of a failed call."""

import re
from collections.abc import Iterator

import pytest

from scenext_service.scenext import failures
from scenext_service.tools.failure_texts import TEXTS, advise
from tests.support.messages import halves

MAYBE_CHARGED = "A job may have been started and charged all the same."
MAYBE_CHARGED_ZH = "任务可能已经创建并扣费。"
FREE = "Asking again is free of charge"
FREE_ZH = "查询不收费"

ID = "4f9a1c7e2b"  # of a request

OUTAGES = {
    failures.Busy,
    failures.NameNotResolved,
    failures.ConnectionFailed,
    failures.TlsFailed,
    failures.DeadlinePassed,
    failures.ConnectionLost,
    failures.ServerFault,
    failures.Redirected,
    failures.BadResponse,
}


def concrete(kind: type[failures.ScenextError]) -> Iterator[type[failures.ScenextError]]:
    """Yield the leaves of the tree of failures."""
    if not kind.__subclasses__():
        yield kind
    for below in kind.__subclasses__():
        yield from concrete(below)


CLASSES = sorted(concrete(failures.ScenextError), key=lambda kind: kind.__name__)
every = pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.__name__) for kind in CLASSES])
either = pytest.mark.parametrize("charged", [False, True], ids=["get_status", "gen_video"])


def make(kind: type[failures.ScenextError], detail: str = "") -> failures.ScenextError:
    """Make a failure as the client does; one of time always has its seconds."""
    if issubclass(kind, failures.Responded):
        return kind(418, detail)
    return kind("20" if kind is failures.DeadlinePassed and not detail else detail)


def test_the_table_holds_every_concrete_failure_and_no_other() -> None:
    """Ours: each class of `failures` has one line of advice."""
    assert sorted(TEXTS, key=lambda kind: kind.__name__) == CLASSES
    assert len(CLASSES) == 20


@every
@either
def test_every_failure_is_explained_in_english_and_in_chinese(kind: type[failures.ScenextError], charged: bool) -> None:
    """Ours: a text says what happened and what to do next, in both languages, with nothing left to fill in."""
    english, chinese = halves(advise(make(kind), charged=charged, request_id=ID))
    assert english.removesuffix(f" Request id: {ID}").endswith(".")
    assert chinese.removesuffix(f"请求 ID：{ID}").endswith("。")
    for half in (english, chinese):
        assert not re.search(r"[{}]|None|\s\s|[:：]$", half)


@every
@either
def test_only_what_no_caller_can_help_ends_with_the_id_of_the_request(
    kind: type[failures.ScenextError], charged: bool
) -> None:
    """Ours: who complains can quote it, and the operator finds the call by it; his own mistake needs no operator."""
    english, chinese = halves(advise(make(kind), charged=charged, request_id=ID))
    assert (f" Request id: {ID}" == english[-len(ID) - 13 :]) == (kind in OUTAGES)
    assert (f"请求 ID：{ID}" == chinese[-len(ID) - 6 :]) == (kind in OUTAGES)
    assert english.count(ID) == chinese.count(ID) == (1 if kind in OUTAGES else 0)


@every
@either
@pytest.mark.parametrize("detail", ["{detail}{status}{0}{", "}", "%s %(x)s", "“"])
def test_whatever_came_is_shown_as_it_came(kind: type[failures.ScenextError], charged: bool, detail: str) -> None:
    """Ours: a message from outside is text, and never a template."""
    shows_no_detail = not any("{detail}" in text for text in TEXTS[kind])
    for half in halves(advise(make(kind, detail), charged=charged, request_id=ID)):
        assert (detail in half) is not shows_no_detail


def test_the_failures_that_show_nothing_are_those_to_which_nothing_comes() -> None:
    """Ours: what Scenext said reaches the model, so that it can mend its call."""
    silent = {kind for kind, texts in TEXTS.items() if not all("{detail}" in text for text in texts)}
    assert silent == {
        failures.KeyMissing,
        failures.KeyPlaceholder,
        failures.KeyUnusable,  # it might hold a key
        failures.NoTimeLeft,
        failures.Busy,
        failures.NameNotResolved,
        failures.ConnectionFailed,
        failures.TlsFailed,
        failures.ConnectionLost,
        failures.Redirected,
    }


UNCERTAIN = {failures.DeadlinePassed, failures.ConnectionLost, failures.ServerFault, failures.BadResponse}


@every
@either
def test_only_a_job_of_unknown_fate_may_have_been_charged(kind: type[failures.ScenextError], charged: bool) -> None:
    """Ours: the model must not start, and pay for, a second job on its own; nor fear a charge that cannot be."""
    english, chinese = halves(advise(make(kind), charged=charged, request_id=ID))
    uncertain = kind in UNCERTAIN
    assert (MAYBE_CHARGED in english) == (MAYBE_CHARGED_ZH in chinese) == (uncertain and charged)
    assert (FREE in english) == (FREE_ZH in chinese) == (uncertain and not charged)
    assert ("Do not call gen_video again by yourself" in english) == (uncertain and charged)
    assert ("请勿自行再次调用 gen_video" in chinese) == (uncertain and charged)


@every
def test_where_nothing_was_sent_the_text_of_a_failed_connection_says_so(kind: type[failures.ScenextError]) -> None:
    """Ours: the branch `NeverOpened` is safe to repeat."""
    english, chinese = halves(advise(make(kind), charged=False, request_id=ID))
    unsent = issubclass(kind, failures.NeverOpened)
    assert ("nothing was sent" in english) == unsent
    assert ("请求未发送" in chinese.replace("本次请求未发送", "")) == unsent


@every
@either
def test_where_a_job_was_not_sent_the_text_ends_in_saying_so(kind: type[failures.ScenextError], charged: bool) -> None:
    """Ours: whoever pays must not have to guess; what is free has nothing to say of a charge."""
    english, chinese = halves(advise(make(kind), charged=charged, request_id=ID))
    unsent = issubclass(kind, (failures.NotSent, failures.NeverOpened))
    english, chinese = english.removesuffix(f" Request id: {ID}"), chinese.removesuffix(f"请求 ID：{ID}")
    assert english.endswith(" Nothing was started or charged.") == (unsent and charged)
    assert chinese.endswith("。任务未创建，也未扣费。") == (unsent and charged)


@pytest.mark.parametrize(
    ("failure", "charged", "expected"),
    [
        pytest.param(
            failures.KeyMissing(), False, ["Authorization: Bearer <key>", "X-API-Key"], id="how to send a key"
        ),
        pytest.param(
            failures.KeyMissing(), False, ["get at https://scenext.cn", "在 https://scenext.cn 获取"], id="where it is"
        ),
        pytest.param(
            failures.KeyPlaceholder(), False, ["is a placeholder", "YOUR_API_KEY", "只是占位符"], id="a placeholder"
        ),
        pytest.param(failures.InvalidTaskId("../x"), False, ["“../x”", "query_video_status"], id="the id that came"),
        pytest.param(
            failures.DeadlinePassed("20"), False, ["20 seconds", "20 秒", "30 seconds", "30 秒"], id="timeout"
        ),
        pytest.param(failures.RateLimited(429, "slow", 7), False, ["“slow”", "7 seconds", "7 秒"], id="Retry-After"),
        pytest.param(failures.RateLimited(429, "", 0), True, ["0 seconds", "0 秒"], id="Retry-After: 0"),
        pytest.param(failures.RateLimited(429), True, ["30 seconds", "30 秒"], id="no Retry-After"),
        pytest.param(failures.ServerFault(503, "", 120), False, ["HTTP 503", "120 seconds", "120 秒"], id="503"),
        pytest.param(
            failures.BadResponse(200, "not JSON"), False, ["HTTP 200", "“not JSON”", "30 seconds"], id="not JSON"
        ),
        pytest.param(failures.Redirected(301), True, ["HTTP 301", "SCENEXT_API_BASE_URL"], id="redirect"),
        pytest.param(failures.UnexpectedStatus(422, "题目太长"), True, ["HTTP 422", "“题目太长”"], id="422"),
        pytest.param(failures.Rejected(200, "m"), True, [": “m”", "：“m”"], id="its message"),
        pytest.param(failures.OutOfCredit(402, "积分不足"), True, ["“积分不足”", "top it up", "充值"], id="points"),
        pytest.param(failures.NotFound(404), False, ["task_id", "Do not guess ids", "请勿猜测"], id="no guessing"),
    ],
)
def test_a_text_carries_what_came_and_what_to_do(
    failure: failures.ScenextError, charged: bool, expected: list[str]
) -> None:
    """Ours: each text is enough to act upon."""
    text = advise(failure, charged=charged, request_id=ID)
    assert [part for part in expected if part not in text] == []
