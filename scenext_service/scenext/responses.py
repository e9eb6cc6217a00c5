"""What an answer of the Scenext API means: its `data` object, or one class of `failures`.

Source: Scenext's API reference. It names neither the field that holds an error message nor the statuses of errors, so
every reading of both is tolerated.
"""

import contextlib
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

from . import failures
from .text import one_line

WRITABLE = 250  # levels of nesting that orjson writes; it reads 1,024
MAX_MESSAGE = 500  # characters of a message that are shown

# What a status means; one that is not named here goes by its hundreds, else it is unexpected.
STATUS: Mapping[int, type[failures.Answered]] = {
    401: failures.KeyRefused,
    402: failures.OutOfCredit,
    403: failures.KeyRefused,
    404: failures.NotFound,
    429: failures.RateLimited,
}
STATUS_HUNDREDS: Mapping[int, type[failures.Answered]] = {3: failures.Redirected, 5: failures.ServerFault}

_ASSETS = r"(?:points?|credits?|balance|funds)"
_CREDIT = re.compile(
    # 积分 is an integral as well, and 点数 the end of 浮点数, so the word alone says nothing.
    rf"(?:积分|点数|余额).{{0,8}}(?:不足|不够|过低|用完|用尽|耗尽)|(?:不足|不够|没有足够).{{0,8}}(?:积分|点数|余额)"
    rf"|(?:insufficient|not enough|no more|out of)\b.{{0,20}}\b{_ASSETS}\b"
    rf"|\b{_ASSETS}\b.{{0,20}}\b(?:insufficient|not enough|exhausted|too low)",
    re.IGNORECASE,
)
_MESSAGE_FIELDS = ("message", "msg", "error", "error_message", "detail", "details", "reason", "data")


def data(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the `data` object of a success, unchanged. Raises Answered."""
    answer = _decode(body)
    if not 200 <= status < 300:
        raise _failure(status, headers, _said(answer) if answer and isinstance(answer, dict) else "")
    if not body.strip():
        raise failures.BadAnswer(status, "empty")
    if answer is None:
        raise failures.BadAnswer(status, "not JSON, or nested too deeply")
    if not isinstance(answer, dict):
        raise failures.BadAnswer(status, "not a JSON object")
    if answer.get("status") != "success":
        message = _said(answer)
        raise (failures.OutOfCredit if _CREDIT.search(message) else failures.Rejected)(status, message)
    found = answer.get("data")
    if not isinstance(found, dict):
        raise failures.BadAnswer(status, 'without a "data" object')
    return found


def task_id(data: dict[str, Any]) -> str | None:
    """Return the job that `data` is about, whose id may come as a number; None where there is no usable one."""
    found = data.get("task_id")
    return None if isinstance(found, bool) or not isinstance(found, (str, int)) or found == "" else str(found)


def without(key: str, content: bytes) -> bytes:
    """Return an answer with `***` for the key, also where JSON escapes or percent-encoding were used to write it."""
    if b"\\" in content:
        with contextlib.suppress(ValueError, orjson.JSONEncodeError):
            content = orjson.dumps(orjson.loads(content))
    secret = key.encode()
    content = content.replace(secret, b"***").replace(orjson.dumps(key)[1:-1], b"***")
    if b"%" in content and secret in unquote_to_bytes(content):
        content = re.sub(b"".join(map(_percent_encoded, secret)), b"***", content)
        re.purge()  # it keeps patterns, and this one is the key
    return content


def _percent_encoded(byte: int) -> bytes:
    return b"(?:%b|(?i:%%%02x))" % (re.escape(bytes([byte])), byte)


def _decode(body: bytes) -> Any:
    try:
        answer = orjson.loads(body)
        if body.count(b"{") + body.count(b"[") > WRITABLE:
            orjson.dumps(answer)
        return answer
    except (ValueError, orjson.JSONEncodeError):
        return None


def _failure(status: int, headers: Mapping[str, str], message: str) -> failures.Answered:
    kind = STATUS.get(status) or STATUS_HUNDREDS.get(status // 100, failures.UnexpectedStatus)
    if status in (400, 403) and _CREDIT.search(message):
        kind = failures.OutOfCredit
    return kind(status, message, _retry_after(headers.get("Retry-After", "")))


def _said(answer: dict[str, Any]) -> str:
    """Return the message of an answer, or else the answer itself."""
    return _message(answer) or one_line(orjson.dumps(answer).decode(), MAX_MESSAGE)


def _message(value: Any) -> str:
    """Return the first message in an answer, under whatever name; empty where there is none."""
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
