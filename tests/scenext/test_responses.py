"""What an answer of the Scenext API means."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest

from scenext_service.scenext import failures, responses

NOT_JSON = "not JSON, or nested too deeply"
UNKNOWN = {"积分": {"used": 10}, "list": [1, 2.5, None, True, "…"], "status": "ARCHIVED", "task_id": 12345}


def failure(status: int, body: Any, headers: Mapping[str, str] | None = None) -> failures.Responded:
    """Read an answer that is no success; a body that is not bytes is sent as JSON."""
    with pytest.raises(failures.Responded) as caught:
        responses.parse(status, headers or {}, body if isinstance(body, bytes) else orjson.dumps(body))
    assert caught.value.status == status
    return caught.value


def error(message: Any) -> dict[str, Any]:
    return {"status": "error", "message": message}


@pytest.mark.parametrize("status", [200, 201, 202, 299])
@pytest.mark.parametrize("data", [{}, UNKNOWN, {"progress": None, "result": []}], ids=["empty", "unknown", "nothing"])
def test_the_data_of_a_success_comes_back_unchanged(status: int, data: dict[str, Any]) -> None:
    """Spec: Scenext API, "Get status": fields that nobody documented reach the caller unchanged."""
    answer = {"status": "success", "data": data, "message": "积分不足", "code": 1}
    assert responses.parse(status, {"Retry-After": "5"}, orjson.dumps(answer)) == data


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (300, failures.Redirected),
        (301, failures.Redirected),
        (304, failures.Redirected),
        (308, failures.Redirected),
        (400, failures.UnexpectedStatus),
        (401, failures.KeyRefused),
        (402, failures.OutOfCredit),
        (403, failures.KeyRefused),
        (404, failures.NotFound),
        (405, failures.UnexpectedStatus),
        (409, failures.UnexpectedStatus),
        (410, failures.UnexpectedStatus),
        (422, failures.UnexpectedStatus),
        (429, failures.RateLimited),
        (499, failures.UnexpectedStatus),
        (500, failures.ServerFault),
        (502, failures.ServerFault),
        (503, failures.ServerFault),
        (504, failures.ServerFault),
        (599, failures.ServerFault),
        (103, failures.UnexpectedStatus),
        (600, failures.UnexpectedStatus),
    ],
)
@pytest.mark.parametrize(
    ("body", "detail"),
    [
        pytest.param(b'{"status": "error", "message": "because"}', "because", id="json"),
        pytest.param(b'{"status": "success", "data": {}, "msg": "because"}', "because", id="success in words"),
        pytest.param(b"<html><body>nginx</body></html>", "", id="html"),
        pytest.param(b"", "", id="empty"),
    ],
)
def test_each_status_is_one_class_whatever_the_body(
    status: int, kind: type[failures.Responded], body: bytes, detail: str
) -> None:
    """Spec: RFC 9110, section 15. Gap: the documentation names no statuses."""
    found = failure(status, body)
    assert (type(found), found.detail) == (kind, detail)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b" \r\n", "empty", id="blank"),
        pytest.param(b"OK", NOT_JSON, id="text"),
        pytest.param(b'{"status": "success"', NOT_JSON, id="cut short"),
        pytest.param(b'{"status": "success", "data": {"x": NaN}}', NOT_JSON, id="NaN"),
        pytest.param(b"\xff\xfe{}", NOT_JSON, id="not UTF-8"),
        pytest.param(b"[" * 10_000, NOT_JSON, id="deep"),
        pytest.param(b"null", NOT_JSON, id="null"),
        pytest.param(b"[]", "not a JSON object", id="array"),
        pytest.param(b'"success"', "not a JSON object", id="string"),
        pytest.param(b'{"status": "success"}', 'without a "data" object', id="no data"),
        pytest.param(b'{"status": "success", "data": null}', 'without a "data" object', id="data null"),
        pytest.param(b'{"status": "success", "data": []}', 'without a "data" object', id="data array"),
        pytest.param(b'{"status": "success", "data": "12345"}', 'without a "data" object', id="data string"),
    ],
)
def test_a_success_that_is_not_the_documented_object_is_a_bad_answer(body: bytes, detail: str) -> None:
    """Spec: Scenext API, "Get status"."""
    found = failure(200, body)
    assert (type(found), found.detail) == (failures.BadResponse, detail)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    ("body", "detail"),
    [
        pytest.param({"message": "m"}, "m", id="message"),
        pytest.param({"msg": "m"}, "m", id="msg"),
        pytest.param({"error": "m"}, "m", id="error"),
        pytest.param({"error_message": "m"}, "m", id="error_message"),
        pytest.param({"detail": "m"}, "m", id="detail"),
        pytest.param({"details": "m"}, "m", id="details"),
        pytest.param({"reason": "m"}, "m", id="reason"),
        pytest.param({"data": "m"}, "m", id="data"),
        pytest.param({"error": {"code": 7, "message": "m"}}, "m", id="in an object"),
        pytest.param({"data": {"error": {"reason": "m"}}}, "m", id="deeper"),
        pytest.param(
            {"message": "", "error": None, "detail": ["x"], "reason": "m"}, "m", id="first that says something"
        ),
        pytest.param({"message": "m", "error": "e"}, "m", id="message before error"),
        pytest.param({"error": True, "msg": "m"}, "m", id="a flag is no message"),
        pytest.param({"message": " a\r\n\x00b\u202e c\ud7ff "}, "a b c", id="on one line"),
        pytest.param({"message": "字" * 501}, "字" * 499 + "…", id="cut"),
        pytest.param({"message": "{detail} {0} {"}, "{detail} {0} {", id="braces"),
        pytest.param({"cause": "m"}, '{"status":"error","cause":"m"}', id="unknown name"),
        pytest.param({"detail": [{"msg": "m"}]}, '{"status":"error","detail":[{"msg":"m"}]}', id="in a list"),
        pytest.param({"message": 7}, '{"status":"error","message":7}', id="number"),
    ],
)
def test_the_message_of_an_error_is_found_under_any_name(status: int, body: dict[str, Any], detail: str) -> None:
    """Gap: the documentation does not name the field of an error's message, so what came is shown."""
    found = failure(status, {"status": "error", **body})
    assert (type(found), found.detail) == (failures.Rejected if status == 200 else failures.UnexpectedStatus, detail)


@pytest.mark.parametrize(
    ("status", "depth", "kind"),
    [
        pytest.param(200, 200, failures.Rejected, id="can be written again"),
        pytest.param(200, 600, failures.BadResponse, id="cannot be written again"),
        pytest.param(500, 200, failures.ServerFault, id="5xx that can be written again"),
        pytest.param(500, 600, failures.ServerFault, id="5xx that cannot be written again"),
    ],
)
def test_an_error_that_nests_its_message_deeply_is_no_crash(status: int, depth: int, kind: type) -> None:
    """Ours: every failure is one class of `failures`, whatever an upstream writes."""
    body = b'{"status": "error", "message": ' + b'{"message": ' * depth + b'"m"' + b"}" * (depth + 1)
    assert type(failure(status, body)) is kind


def test_data_that_nests_too_deeply_to_be_written_again_is_a_bad_answer() -> None:
    """Ours: `data` goes on as JSON, and orjson reads deeper than it writes."""
    body = b'{"status": "success", "data": ' + b'{"x": ' * 300 + b"1" + b"}" * 301
    found = failure(200, body)
    assert (type(found), found.detail) == (failures.BadResponse, NOT_JSON)


def test_data_of_many_parts_that_are_not_deep_comes_back_unchanged() -> None:
    """Spec: Scenext API, "Get status": a job may have any number of frames."""
    data = {"progress": [{"id": f"frame{n}"} for n in range(1000)]}
    assert responses.parse(200, {}, orjson.dumps({"status": "success", "data": data})) == data


@pytest.mark.parametrize(
    "outer", ["error", "SUCCESS", "ok", "", None, True, 1, ["success"]], ids=lambda outer: orjson.dumps(outer).decode()
)
def test_only_the_word_success_is_a_success(outer: Any) -> None:
    """Spec: Scenext API, "Get status"."""
    found = failure(200, {"status": outer, "data": {"task_id": "1"}, "message": "m"})
    assert (type(found), found.detail) == (failures.Rejected, "m")


def test_an_answer_without_a_status_is_shown_as_it_is() -> None:
    """Gap: the documentation knows no such answer."""
    found = failure(200, {"code": 0})
    assert (type(found), found.detail) == (failures.Rejected, '{"code":0}')


@pytest.mark.parametrize("status", [200, 400, 403])
@pytest.mark.parametrize(
    "message",
    [
        "积分不足",
        "您的积分余额不足，请充值",
        "点数不足",
        "账户余额不足",
        "Insufficient points",
        "insufficient account balance",
        "Not enough credits left",
        "You are out of credits",
        "No more points.",
        "Your balance is too low",
        "Credit exhausted",
        "points: insufficient",
    ],
)
def test_a_message_about_points_means_too_few_points(status: int, message: str) -> None:
    """Gap: the documentation does not say how an account without points is refused."""
    found = failure(status, error(message))
    assert (type(found), found.detail) == (failures.OutOfCredit, message)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("无法解析题目中的积分表达式", id="integral"),
        pytest.param("定积分的上下限缺失", id="definite integral"),
        pytest.param("题目中的浮点数格式错误", id="floating-point number"),
        pytest.param("Too many points in the figure", id="points of a figure"),
        pytest.param("Could not balance the equation", id="balance an equation"),
        pytest.param("This job was removed", id="something else"),
    ],
)
def test_a_message_about_mathematics_is_not_about_an_account(message: str) -> None:
    """Ours: questions are about mathematics, and nobody is sent to top up an account for one."""
    found = failure(200, error(message))
    assert (type(found), found.detail) == (failures.Rejected, message)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, failures.KeyRefused), (404, failures.NotFound), (429, failures.RateLimited), (500, failures.ServerFault)],
)
def test_a_status_that_is_clear_outweighs_a_message_about_points(status: int, kind: type[failures.Responded]) -> None:
    """Ours: a message decides only where the status leaves it open."""
    assert type(failure(status, error("积分不足"))) is kind


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        ("999999999", 999_999_999),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", 0),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("９", None),
        ("²", None),
        ("9" * 5000, None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 +999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: int | None) -> None:
    """Spec: RFC 9110, section 10.2.3."""
    assert failure(503, b"", {"Retry-After": value}).retry_after == seconds


def test_a_date_in_retry_after_counts_from_now() -> None:
    """Spec: RFC 9110, section 10.2.3."""
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert failure(429, b"", {"Retry-After": then}).retry_after in range(80, 91)


def test_without_retry_after_there_is_no_time_to_wait() -> None:
    """Spec: RFC 9110, section 10.2.3."""
    assert failure(429, b"").retry_after is None
