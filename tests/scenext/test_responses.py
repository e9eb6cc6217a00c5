"""Parsing of Scenext API responses into data or exactly one class of failure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest

from scenext_service.scenext import failures, responses
from tests.support.cases import case

NOT_JSON = "not JSON, or nested too deeply"
UNKNOWN = {"积分": {"used": 10}, "list": [1, 2.5, None, True, "…"], "status": "ARCHIVED", "task_id": 12345}


def failure(status: int, body: Any, headers: Mapping[str, str] | None = None) -> failures.Responded:
    """Parse an unsuccessful response and return its failure. A body that is not bytes is sent as JSON."""
    with pytest.raises(failures.Responded) as caught:
        responses.parse(status, headers or {}, body if isinstance(body, bytes) else orjson.dumps(body))
    assert caught.value.status == status
    return caught.value


def error(message: Any) -> dict[str, Any]:
    return {"status": "error", "message": message}


@pytest.mark.parametrize("status", [200, 201, 202, 299])
@pytest.mark.parametrize("data", [{}, UNKNOWN, {"progress": None, "result": []}], ids=["empty", "unknown", "nothing"])
def test_the_data_of_a_success_is_returned_unchanged(status: int, data: dict[str, Any]) -> None:
    """Spec: Scenext API, "Get status": undocumented fields reach the caller unchanged."""
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
        (413, failures.UnexpectedStatus),
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
        pytest.param(
            b'{"status": "success", "data": {}, "msg": "because"}', "because", id="success in the status field"
        ),
        pytest.param(b'{"data": {"messages": "because"}}', "because", id="documented form of a 401"),
        pytest.param(b'{"detail": "because"}', "because", id="FastAPI's form"),
        pytest.param(b'{"status": "error"}', "", id="no message"),
    ],
)
def test_each_error_status_in_scenexts_form_maps_to_one_class(
    status: int, kind: type[failures.Responded], body: bytes, detail: str
) -> None:
    """Spec: RFC 9110, section 15. Gap: the documentation specifies no status except 401."""
    found = failure(status, body)
    assert (type(found), found.detail, found.reason) == (kind, detail, f"HTTP {status}")


FOREIGN = [
    pytest.param(b"<html><body>nginx</body></html>", id="HTML page"),
    pytest.param(b"", id="empty"),
    pytest.param(b"Forbidden", id="plain text"),
    pytest.param(b"null", id="null"),
    pytest.param(b"[]", id="list"),
    pytest.param(b'["message"]', id="list of strings"),
    pytest.param(b'"message"', id="string"),
    pytest.param(b"{}", id="empty object"),
    pytest.param(b'{"code": 403, "trace": "a3f"}', id="unknown fields"),
    pytest.param(b'{"message": "", "error": true, "data": {"task_id": "1"}}', id="empty message"),
    pytest.param(b'{"message": "Forbidden"', id="truncated JSON"),
]


@pytest.mark.parametrize("body", FOREIGN)
def test_an_error_status_not_in_scenexts_form_is_a_foreign_response(body: bytes) -> None:
    """Ours: a response from a firewall or proxy reveals nothing about the key, the points or the job."""
    for status in (103, 400, 401, 402, 403, 404, 405, 406, 409, 410, 422, 451, 499, 600):
        with case(status):
            found = failure(status, body, {"Retry-After": "7"})
            assert type(found) is failures.ForeignResponse
            assert (found.detail, found.reason, found.retry_after) == ("", f"HTTP {status}, not in Scenext's form", 7)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, failures.Redirected),
        (413, failures.UnexpectedStatus),
        (429, failures.RateLimited),
        (500, failures.ServerFault),
        (503, failures.ServerFault),
    ],
)
@pytest.mark.parametrize("body", [b"<html><body>nginx</body></html>", b""], ids=["page", "empty"])
def test_some_statuses_mean_the_same_from_any_responder(
    status: int, kind: type[failures.Responded], body: bytes
) -> None:
    """Spec: RFC 9110, sections 15.4, 15.5.14 and 15.6; RFC 6585, section 4."""
    found = failure(status, body)
    assert (type(found), found.detail, found.reason) == (kind, "", f"HTTP {status}")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b" \r\n", "empty", id="whitespace"),
        pytest.param(b"OK", NOT_JSON, id="plain text"),
        pytest.param(b'{"status": "success"', NOT_JSON, id="truncated JSON"),
        pytest.param(b'{"status": "success", "data": {"x": NaN}}', NOT_JSON, id="NaN"),
        pytest.param(b"\xff\xfe{}", NOT_JSON, id="not UTF-8"),
        pytest.param(b"[" * 10_000, NOT_JSON, id="nested too deeply"),
        pytest.param(b"null", NOT_JSON, id="null"),
        pytest.param(b"[]", "not a JSON object", id="array"),
        pytest.param(b'"success"', "not a JSON object", id="string"),
        pytest.param(b'{"status": "success"}', 'without a "data" object', id="no data"),
        pytest.param(b'{"status": "success", "data": null}', 'without a "data" object', id="data null"),
        pytest.param(b'{"status": "success", "data": []}', 'without a "data" object', id="data array"),
        pytest.param(b'{"status": "success", "data": "12345"}', 'without a "data" object', id="data string"),
    ],
)
def test_a_success_without_the_documented_object_is_a_bad_response(body: bytes, detail: str) -> None:
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
        pytest.param({"data": {"messages": "m"}}, "m", id="data.messages"),
        pytest.param({"messages": ["m", "n"]}, "m; n", id="list of messages"),
        pytest.param({"data": {"messages": [{"message": "m"}, "n", "m"]}}, "m; n", id="mixed list with duplicates"),
        pytest.param({"errors": {"question": ["m"]}}, "m", id="keyed by argument"),
        pytest.param({"messages": [str(n) for n in range(9)]}, "0; 1; 2; 3; 4", id="more messages than fit"),
        pytest.param(
            {"detail": [{"type": "missing", "loc": ["body", "images", 0], "msg": "Field required", "input": None}]},
            "body.images.0: Field required",
            id="FastAPI",
        ),
        pytest.param(
            {"detail": [{"loc": [], "msg": "m"}, {"loc": "body", "msg": "n"}]}, "m; n", id="FastAPI without a location"
        ),
        pytest.param({"error": {"code": 7, "message": "m"}}, "m", id="message in an object"),
        pytest.param({"data": {"error": {"reason": "m"}}}, "m", id="message nested deeper"),
        pytest.param({"message": " ", "error": None, "detail": [""], "reason": "m"}, "m", id="first non-empty field"),
        pytest.param({"message": "m", "error": "e"}, "m", id="message before error"),
        pytest.param({"error": True, "msg": "m"}, "m", id="boolean error flag"),
        pytest.param({"message": " a\r\n\x00b\u202e c\ud7ff "}, "a b c", id="line breaks and control characters"),
        pytest.param({"message": "字" * 501}, "字" * 499 + "…", id="long message"),
        pytest.param({"message": "{detail} {0} {"}, "{detail} {0} {", id="format braces"),
        pytest.param({"cause": "m"}, "m", id="unknown field"),
        pytest.param({"data": {"info": ["m"]}, "cause": "n"}, "m; n", id="two unknown fields"),
        pytest.param({"detail": [{"msg": "m"}]}, "m", id="list of objects"),
        pytest.param({"message": 7}, '{"message":7}', id="number"),
        pytest.param({}, "", id="no message"),
    ],
)
def test_an_error_message_is_found_under_any_field_name(status: int, body: dict[str, Any], detail: str) -> None:
    """Spec: Scenext API: `data.messages` for a rejected key. Gap: no other error is documented."""
    found = failure(status, {"status": "error", **body})
    assert (type(found), found.detail) == (failures.Rejected if status == 200 else failures.UnexpectedStatus, detail)


@pytest.mark.parametrize(
    ("status", "depth", "kind"),
    [
        pytest.param(200, 200, failures.Rejected, id="shallow enough to encode"),
        pytest.param(200, 600, failures.BadResponse, id="too deep to encode"),
        pytest.param(500, 200, failures.ServerFault, id="5xx, shallow enough to encode"),
        pytest.param(500, 600, failures.ServerFault, id="5xx, too deep to encode"),
    ],
)
def test_a_deeply_nested_error_message_does_not_crash_the_parser(status: int, depth: int, kind: type) -> None:
    """Ours: every failure maps to one class of `failures`, whatever the upstream sends."""
    body = b'{"status": "error", "message": ' + b'{"message": ' * depth + b'"m"' + b"}" * (depth + 1)
    assert type(failure(status, body)) is kind


def test_data_nested_too_deeply_to_encode_is_a_bad_response() -> None:
    """Ours: `data` is passed on as JSON, and orjson decodes deeper nesting than it encodes."""
    body = b'{"status": "success", "data": ' + b'{"x": ' * 300 + b"1" + b"}" * 301
    found = failure(200, body)
    assert (type(found), found.detail) == (failures.BadResponse, NOT_JSON)


def test_data_with_many_shallow_items_is_returned_unchanged() -> None:
    """Spec: Scenext API, "Get status": a job may have any number of frames."""
    data = {"progress": [{"id": f"frame{n}"} for n in range(1000)]}
    assert responses.parse(200, {}, orjson.dumps({"status": "success", "data": data})) == data


@pytest.mark.parametrize(
    "outer", ["error", "successful", "", True, 1, 200, ["success"]], ids=lambda outer: orjson.dumps(outer).decode()
)
def test_a_status_field_other_than_success_is_an_error(outer: Any) -> None:
    """Gap: Scenext API, "Get status": "success" is documented. tests/tools/test_started.py has the tolerated values."""
    found = failure(200, {"status": outer, "data": {"task_id": "1"}, "message": "m"})
    assert (type(found), found.detail) == (failures.Rejected, "m")


@pytest.mark.parametrize("code", [1, 201, -1, True, False, "0", 0.5, []], ids=repr)
def test_a_code_field_other_than_success_is_an_error(code: Any) -> None:
    """Gap: no code is documented; 0 and 200 are plausible for a success."""
    found = failure(200, {"code": code, "data": {"task_id": "1"}, "message": "m"})
    assert (type(found), found.detail) == (failures.Rejected, "m")


def test_a_response_without_a_status_field_is_shown_as_received() -> None:
    """Gap: no such response is documented."""
    found = failure(200, {"code": 0})
    assert (type(found), found.detail) == (failures.Rejected, '{"code":0}')


NO_JOB = [
    "list index out of range",
    "IndexError: list index out of range",
    'invalid input syntax for type uuid: "12345"',
    'ERROR: invalid input syntax for uuid: "12345"',
    "badly formed hexadecimal UUID string",
    "JSON object requested, multiple (or no) rows returned",
    "No such task",
    "Unknown job",
    "Task not found",
    "The task 12345 does not exist",
    "任务不存在",
    "任务ID不存在",
    "未找到该任务",
]


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("body", [lambda text: error(text), lambda text: error({"messages": [text]})])
@pytest.mark.parametrize("text", NO_JOB)
def test_an_error_about_a_missing_job_is_classified_like_a_404(status: int, body: Any, text: str) -> None:
    """Gap: an unknown ID may result in HTTP 404 or in an error of Scenext's database."""
    found = failure(status, body(text))
    assert (type(found), found.detail) == (failures.NotFound, text)


@pytest.mark.parametrize("text", NO_JOB)
def test_a_database_error_when_starting_a_job_is_a_rejection(text: str) -> None:
    """Ours: `gen_video` looks up no job, so a database failure is an error like any other."""
    with pytest.raises(failures.Rejected) as caught:
        responses.parse_start(200, {}, orjson.dumps(error(text)))
    assert caught.value.detail == text


@pytest.mark.parametrize(
    "text", ["This job was removed", "list index", "uuid", "The picture is not found in the task's answer", "任务失败"]
)
def test_an_unrelated_error_is_not_classified_as_a_missing_job(text: str) -> None:
    """Ours: only an error about a missing job means that the ID is wrong."""
    assert type(failure(200, error(text))) is failures.Rejected


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
def test_a_message_about_points_means_insufficient_credit(status: int, message: str) -> None:
    """Gap: the documentation does not specify the response for an account without points."""
    found = failure(status, error(message))
    assert (type(found), found.detail) == (failures.OutOfCredit, message)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("无法解析题目中的积分表达式", id="integral"),
        pytest.param("定积分的上下限缺失", id="definite integral"),
        pytest.param("题目中的浮点数格式错误", id="floating-point number"),
        pytest.param("Too many points in the figure", id="points in a figure"),
        pytest.param("Could not balance the equation", id="balance an equation"),
        pytest.param("This job was removed", id="unrelated message"),
    ],
)
def test_a_message_about_mathematics_is_not_about_credit(message: str) -> None:
    """Ours: questions are about mathematics, and an error in one must not ask the user to top up the account."""
    found = failure(200, error(message))
    assert (type(found), found.detail) == (failures.Rejected, message)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, failures.KeyRefused), (404, failures.NotFound), (429, failures.RateLimited), (500, failures.ServerFault)],
)
def test_a_specific_status_outweighs_a_message_about_points(status: int, kind: type[failures.Responded]) -> None:
    """Ours: the message decides only if the status is ambiguous."""
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
def test_retry_after_is_parsed_as_seconds_or_a_date(value: str, seconds: int | None) -> None:
    """Spec: RFC 9110, section 10.2.3."""
    assert failure(503, b"", {"Retry-After": value}).retry_after == seconds


def test_a_retry_after_date_is_relative_to_now() -> None:
    """Spec: RFC 9110, section 10.2.3."""
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert failure(429, b"", {"Retry-After": then}).retry_after in range(80, 91)


def test_retry_after_is_none_without_the_header() -> None:
    """Spec: RFC 9110, section 10.2.3."""
    assert failure(429, b"").retry_after is None
