"""The texts that explain a failed call to the model."""

import re
from collections.abc import Iterator

import pytest

from scenext_service.scenext import failures
from scenext_service.tools.failure_texts import TEXTS, advise
from tests.support.cases import case
from tests.support.messages import halves

MAYBE_CHARGED = "A job may have been started and charged."
MAYBE_CHARGED_ZH = "任务可能已经创建并扣费。"
FREE = "Queries are free of charge"
FREE_ZH = "查询不收费"

ID = "4f9a1c7e2b"  # request id

OUTAGES = {
    failures.Busy,
    failures.NameNotResolved,
    failures.ConnectionFailed,
    failures.TlsFailed,
    failures.DeadlinePassed,
    failures.ConnectionLost,
    failures.ServerFault,
    failures.Redirected,
    failures.ForeignResponse,
    failures.BadResponse,
}


def concrete(kind: type[failures.ScenextError]) -> Iterator[type[failures.ScenextError]]:
    """Yield the leaf classes of the failure tree."""
    if not kind.__subclasses__():
        yield kind
    for below in kind.__subclasses__():
        yield from concrete(below)


CLASSES = sorted(concrete(failures.ScenextError), key=lambda kind: kind.__name__)
every = pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.__name__) for kind in CLASSES])
either = pytest.mark.parametrize("charged", [False, True], ids=["get_status", "gen_video"])


def make(kind: type[failures.ScenextError], detail: str = "") -> failures.ScenextError:
    """Make a failure as the client does. A timeout always states its seconds."""
    if issubclass(kind, failures.Responded):
        return kind(418, detail)
    return kind("20" if kind is failures.DeadlinePassed and not detail else detail)


def test_the_table_holds_exactly_the_concrete_failures() -> None:
    """Ours: each class of `failures` has one line of advice."""
    assert sorted(TEXTS, key=lambda kind: kind.__name__) == CLASSES
    assert len(CLASSES) == 22


@every
@either
def test_every_failure_is_explained_in_english_and_chinese(kind: type[failures.ScenextError], charged: bool) -> None:
    """Ours: each text states what happened and what to do next, without unfilled placeholders."""
    english, chinese = halves(advise(make(kind), charged=charged, request_id=ID))
    assert english.removesuffix(f" Request id: {ID}").endswith(".")
    assert chinese.removesuffix(f"请求 ID：{ID}").endswith("。")
    for half in (english, chinese):
        assert not re.search(r"[{}]|None|\s\s|[:：]$", half)


@every
@either
def test_only_texts_of_outages_end_with_the_request_id(kind: type[failures.ScenextError], charged: bool) -> None:
    """Ours: users can quote the id to the operator. A caller's own mistake needs no operator."""
    english, chinese = halves(advise(make(kind), charged=charged, request_id=ID))
    assert (f" Request id: {ID}" == english[-len(ID) - 13 :]) == (kind in OUTAGES)
    assert (f"请求 ID：{ID}" == chinese[-len(ID) - 6 :]) == (kind in OUTAGES)
    assert english.count(ID) == chinese.count(ID) == (1 if kind in OUTAGES else 0)


@every
@either
def test_a_message_from_outside_is_shown_unchanged(kind: type[failures.ScenextError], charged: bool) -> None:
    """Ours: a message from outside is text, never a template."""
    for detail in ("{detail}{status}{0}{", "}", "%s %(x)s", "“"):
        with case(detail):
            shows_no_detail = not any("{detail}" in text for text in TEXTS[kind])
            for half in halves(advise(make(kind, detail), charged=charged, request_id=ID)):
                assert (detail in half) is not shows_no_detail


def test_all_failures_with_an_upstream_message_show_it() -> None:
    """Ours: Scenext's message reaches the model, so that it can correct its call."""
    silent = {kind for kind, texts in TEXTS.items() if not all("{detail}" in text for text in texts)}
    assert silent == {
        failures.KeyMissing,
        failures.KeyPlaceholder,
        failures.KeyUnusable,  # it might contain a key
        failures.SignInToken,
        failures.NoTimeLeft,
        failures.Busy,
        failures.NameNotResolved,
        failures.ConnectionFailed,
        failures.TlsFailed,
        failures.ConnectionLost,
        failures.Redirected,
        failures.ForeignResponse,  # the page is not from Scenext
    }


UNCERTAIN = {
    failures.DeadlinePassed,
    failures.ConnectionLost,
    failures.ServerFault,
    failures.ForeignResponse,
    failures.BadResponse,
}
MAY_HAVE_STARTED = {*UNCERTAIN, failures.Rejected}  # an error with a success status, which is undocumented


@every
@either
def test_only_a_job_in_an_unknown_state_may_have_been_charged(kind: type[failures.ScenextError], charged: bool) -> None:
    """Ours: the model must neither start and pay for a second job by itself, nor report an impossible charge."""
    english, chinese = halves(advise(make(kind), charged=charged, request_id=ID))
    uncertain = kind in MAY_HAVE_STARTED and charged
    free = kind in UNCERTAIN and not charged
    assert (MAYBE_CHARGED in english) == (MAYBE_CHARGED_ZH in chinese) == uncertain
    assert (FREE in english) == (FREE_ZH in chinese) == free
    assert ("Do not call gen_video again by yourself" in english) == uncertain
    assert ("请勿自行再次调用 gen_video" in chinese) == uncertain


@pytest.mark.parametrize("kind", [failures.Rejected, failures.ServerFault])
@pytest.mark.parametrize(
    "message",
    [
        "生成失败，未消耗积分",
        "题目无法识别，不扣费",
        "服务繁忙，本次不会扣除积分",
        "没有扣费",
        "积分已全部退回",
        "Failed, no points were consumed",
        "0 credits used",
        "Nothing was charged.",
        "Your account has not been charged",
        "The points were refunded",
        "This attempt is free of charge",
    ],
)
def test_no_charge_is_suggested_if_scenext_states_there_was_none(kind: type[failures.Responded], message: str) -> None:
    """Ours: no other sentence of the text contradicts Scenext. The model still starts no second job by itself."""
    english, chinese = halves(advise(kind(200, message), charged=True, request_id=ID))
    assert (MAYBE_CHARGED in english, MAYBE_CHARGED_ZH in chinese) == (False, False)
    assert "Tell the user the message, and call gen_video again only if they ask for it." in english
    assert "请把上述信息告知用户，仅在用户要求时再次调用 gen_video。" in chinese


@pytest.mark.parametrize("message", ["积分消耗统计失败", "Points: 10 consumed", "题目未识别", "10 points were used"])
def test_any_other_message_leaves_the_charge_open(message: str) -> None:
    """Ours: only an explicit statement removes the doubt."""
    english, chinese = halves(advise(failures.Rejected(200, message), charged=True, request_id=ID))
    assert (MAYBE_CHARGED in english, MAYBE_CHARGED_ZH in chinese) == (True, True)


@every
def test_texts_of_failed_connections_state_that_nothing_was_sent(kind: type[failures.ScenextError]) -> None:
    """Ours: calls of the branch `NeverOpened` are safe to repeat."""
    english, chinese = halves(advise(make(kind), charged=False, request_id=ID))
    unsent = issubclass(kind, failures.NeverOpened)
    assert ("nothing was sent" in english) == unsent
    assert ("请求未发送" in chinese.replace("本次请求未发送", "")) == unsent


@every
@either
def test_texts_of_unsent_jobs_end_by_stating_that_nothing_was_charged(
    kind: type[failures.ScenextError], charged: bool
) -> None:
    """Ours: users must not have to guess about a charge. Texts of free calls do not mention one."""
    english, chinese = halves(advise(make(kind), charged=charged, request_id=ID))
    unsent = issubclass(kind, (failures.NotSent, failures.NeverOpened))
    english, chinese = english.removesuffix(f" Request id: {ID}"), chinese.removesuffix(f"请求 ID：{ID}")
    assert english.endswith(" Nothing was started or charged.") == (unsent and charged)
    assert chinese.endswith("。任务未创建，也未扣费。") == (unsent and charged)


@pytest.mark.parametrize(
    ("failure", "charged", "expected"),
    [
        pytest.param(
            failures.KeyMissing(), False, ["Authorization: Bearer <key>", "X-API-Key"], id="headers for a key"
        ),
        pytest.param(
            failures.KeyMissing(),
            False,
            ["get one at https://scenext.cn", "在 https://scenext.cn 获取"],
            id="source of a key",
        ),
        pytest.param(
            failures.KeyPlaceholder(), False, ["is a placeholder", "YOUR_API_KEY", "只是占位符"], id="placeholder"
        ),
        pytest.param(failures.InvalidTaskId("../x"), False, ["“../x”", "query_video_status"], id="invalid task id"),
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
        pytest.param(
            failures.ForeignResponse(403, "", 9),
            False,
            ["HTTP 403", "firewall", "SCENEXT_API_BASE_URL", "防火墙", "9 seconds", "9 秒"],
            id="foreign response",
        ),
        pytest.param(failures.UnexpectedStatus(422, "题目太长"), True, ["HTTP 422", "“题目太长”"], id="422"),
        pytest.param(failures.Rejected(200, "m"), True, [": “m”", "：“m”"], id="upstream message"),
        pytest.param(
            failures.OutOfCredit(402, "积分不足"), True, ["“积分不足”", "top it up", "充值"], id="out of credit"
        ),
        pytest.param(failures.NotFound(404), False, ["task_id", "Do not guess ids", "请勿猜测"], id="unknown task id"),
    ],
)
def test_a_text_states_the_details_and_the_remedy(
    failure: failures.ScenextError, charged: bool, expected: list[str]
) -> None:
    """Ours: each text is sufficient to act on."""
    text = advise(failure, charged=charged, request_id=ID)
    assert [part for part in expected if part not in text] == []
