"""What a response of the Scenext API means: its `data` object, or one class of `failures`.

Source: Scenext's API reference. It names neither the field that holds an error message nor the statuses of errors, so
every reading of both is tolerated.
"""

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from . import failures
from .text import one_line

MAX_NESTING = 250  # levels that orjson can write; it reads 1,024
MAX_MESSAGE = 500  # characters of a message that are shown

# A status not listed goes by its class (3xx, 5xx); any other is unexpected.
FAILURE_BY_STATUS: Mapping[int, type[failures.Responded]] = {
    401: failures.KeyRefused,
    402: failures.OutOfCredit,
    403: failures.KeyRefused,
    404: failures.NotFound,
    429: failures.RateLimited,
}
FAILURE_BY_CLASS: Mapping[int, type[failures.Responded]] = {3: failures.Redirected, 5: failures.ServerFault}

_ASSETS = r"(?:points?|credits?|balance|funds)"
_CREDIT = re.compile(
    # 积分 also means integral, and 浮点数 ends in 点数: the words alone prove nothing.
    rf"(?:积分|点数|余额).{{0,8}}(?:不足|不够|过低|用完|用尽|耗尽)|(?:不足|不够|没有足够).{{0,8}}(?:积分|点数|余额)"
    rf"|(?:insufficient|not enough|no more|out of)\b.{{0,20}}\b{_ASSETS}\b"
    rf"|\b{_ASSETS}\b.{{0,20}}\b(?:insufficient|not enough|exhausted|too low)",
    re.IGNORECASE,
)
_MESSAGE_FIELDS = ("message", "msg", "error", "error_message", "detail", "details", "reason", "data")


def parse(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the `data` object of a success, unchanged. Raises Responded."""
    response = _decode(body)
    if not 200 <= status < 300:
        raise _failure(status, headers, _message_or_body(response) if response and isinstance(response, dict) else "")
    if not body.strip():
        raise failures.BadResponse(status, "empty")
    if response is None:
        raise failures.BadResponse(status, "not JSON, or nested too deeply")
    if not isinstance(response, dict):
        raise failures.BadResponse(status, "not a JSON object")
    if response.get("status") != "success":
        message = _message_or_body(response)
        raise (failures.OutOfCredit if _CREDIT.search(message) else failures.Rejected)(status, message)
    found = response.get("data")
    if not isinstance(found, dict):
        raise failures.BadResponse(status, 'without a "data" object')
    return found


def task_id(data: dict[str, Any]) -> str | None:
    """Return the job that `data` is about, whose id may come as a number; None where there is no usable one."""
    found = data.get("task_id")
    return None if isinstance(found, bool) or not isinstance(found, (str, int)) or found == "" else str(found)


def _decode(body: bytes) -> Any:
    try:
        response = orjson.loads(body)
        if body.count(b"{") + body.count(b"[") > MAX_NESTING:
            orjson.dumps(response)
        return response
    except (ValueError, orjson.JSONEncodeError):
        return None


def _failure(status: int, headers: Mapping[str, str], message: str) -> failures.Responded:
    kind = FAILURE_BY_STATUS.get(status) or FAILURE_BY_CLASS.get(status // 100, failures.UnexpectedStatus)
    if status in (400, 403) and _CREDIT.search(message):
        kind = failures.OutOfCredit
    return kind(status, message, _retry_after(headers.get("Retry-After", "")))


def _message_or_body(response: dict[str, Any]) -> str:
    """Return the message of a response, or else the response itself."""
    return _message(response) or one_line(orjson.dumps(response).decode(), MAX_MESSAGE)


def _message(value: Any) -> str:
    """Return the first message in a response, under whatever name; empty where there is none."""
    if isinstance(value, str):
        return one_line(value, MAX_MESSAGE)
    if not isinstance(value, dict):
        return ""
    return next((text for name in _MESSAGE_FIELDS if (text := _message(value.get(name)))), "")


def _retry_after(value: str) -> int | None:
    """Return the seconds of a Retry-After header, which is a number or a date; None where it is neither."""
    if value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    try:
        return max(0, round(parsedate_to_datetime(value).timestamp() - time.time()))
    except (ValueError, OverflowError):
        return None
