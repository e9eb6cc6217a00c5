"""Interpret a response of the Scenext API: return its `data` object, or raise a class of `failures`.

Source: Scenext's API reference. It names neither the field that holds an error message nor the statuses of errors, so
every plausible form of both is accepted. So are other words for success than the documented one. The one documented
error, a refused key, has its text in `data.messages`. Other field names are plausible, and so are a list of texts and
FastAPI's `detail`, a list of `{"msg": …, "loc": […]}`.
"""

import re
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

import orjson

from . import failures

MAX_NESTING = 254  # levels that orjson 3.13 can write; it reads 1,024
WRAPPING = 2  # more levels around `data` in an MCP response (batch, message, result) than the one in Scenext's response

# The class of a status that is not listed decides (3xx, 5xx). Any other status is unexpected.
FAILURE_BY_STATUS: Mapping[int, type[failures.Responded]] = {
    401: failures.KeyRefused,
    402: failures.OutOfCredit,
    403: failures.KeyRefused,
    404: failures.NotFound,
    429: failures.RateLimited,
}
FAILURE_BY_CLASS: Mapping[int, type[failures.Responded]] = {3: failures.Redirected, 5: failures.ServerFault}

# Statuses that mean the same from any server, like those of FAILURE_BY_CLASS. Any other status needs an error in
# Scenext's form, because a firewall or proxy that sends 401, 402, 403 or 404 knows neither the key nor the job.
_ANYONES = (413, 429)

_SUCCESS = ("success", "ok")  # case-insensitive; only "success" is documented
_SUCCESS_CODES = (0, 200)

_ASSETS = r"(?:points?|credits?|balance|funds)"
_CREDIT = re.compile(
    # 积分 also means integral, and 浮点数 ends in 点数, so these words alone are not enough.
    rf"(?:积分|点数|余额).{{0,8}}(?:不足|不够|过低|用完|用尽|耗尽)|(?:不足|不够|没有足够).{{0,8}}(?:积分|点数|余额)"
    rf"|(?:insufficient|not enough|no more|out of)\b.{{0,20}}\b{_ASSETS}\b"
    rf"|\b{_ASSETS}\b.{{0,20}}\b(?:insufficient|not enough|exhausted|too low)",
    re.IGNORECASE,
)
# Database errors and messages which mean that the job does not exist.
_NO_JOB = re.compile(
    r"list index out of range|invalid input syntax for (?:type )?uuid|badly formed hexadecimal uuid"
    r"|\b(?:no|0)\)? rows\b|\b(?:no such|unknown) (?:task|job)\b|\b(?:task|job)\b.{0,20}\b(?:not found|not exist)"
    r"|任务.{0,4}不存在|(?:没有|未找到|找不到).{0,4}任务",
    re.IGNORECASE,
)


def parse(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the `data` object of a status response, unchanged. Raises Responded."""
    response = _decode(body)
    try:
        return _data(status, headers, body, response if _is_writable(body, response) else None)
    except (failures.Rejected, failures.UnexpectedStatus) as failure:
        if _NO_JOB.search(failure.detail):
            raise failures.NotFound(status, failure.detail) from None
        raise


def parse_start(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the `data` object of a started job, with its `task_id`. Raises Responded.

    A 2xx response with a `task_id` is a started job, whatever its outer `status`, because the job is charged and only
    the id leads to the video. If the rest of `data` is nested too deeply to be passed on, only the id is returned.
    """
    response = _decode(body)
    writable = _is_writable(body, response)
    data = response.get("data") if isinstance(response, dict) else None
    if 200 <= status < 300 and isinstance(data, dict) and task_id(data) is not None:
        return data if writable else {"task_id": data["task_id"]}
    _data(status, headers, body, response if writable else None)
    raise failures.BadResponse(status, 'without a "task_id"')


def task_id(data: dict[str, Any]) -> str | None:
    """Return the job's id in `data`, which may be a number there, as a string; None if there is no usable id."""
    found = data.get("task_id")
    if isinstance(found, bool) or not isinstance(found, (str, int)):
        return None
    return str(found) if str(found).strip() else None


def _decode(body: bytes) -> Any:
    """Return the JSON value in a body, or None if the body is not JSON."""
    try:
        return orjson.loads(body)
    except ValueError:
        return None


def _is_writable(body: bytes, response: Any) -> bool:
    """Return whether a decoded body is flat enough to be encoded again as part of an MCP response."""
    if body.count(b"{") + body.count(b"[") <= MAX_NESTING - WRAPPING:
        return True
    for _ in range(WRAPPING):
        response = [response]
    try:
        orjson.dumps(response)
    except orjson.JSONEncodeError:
        return False
    return True


def _data(status: int, headers: Mapping[str, str], body: bytes, response: Any) -> dict[str, Any]:
    """Return the `data` object of a decoded response; `response` is None if it is unusable. Raises Responded."""
    if not 200 <= status < 300:
        raise _failure(status, headers, response)
    if not body.strip():
        raise failures.BadResponse(status, "empty")
    if response is None:
        raise failures.BadResponse(status, "not JSON, or nested too deeply")
    if not isinstance(response, dict):
        raise failures.BadResponse(status, "not a JSON object")
    if not _is_success(response):
        message = error_text(response)
        raise (failures.OutOfCredit if _CREDIT.search(message) else failures.Rejected)(status, message)
    data = response.get("data")
    if not isinstance(data, dict):
        raise failures.BadResponse(status, 'without a "data" object')
    return data


def _is_success(response: dict[str, Any]) -> bool:
    """Return whether a response is a success, judged by its `status`, else its `code`, else the presence of `data`."""
    status = response.get("status")
    if status is not None:
        return isinstance(status, str) and status.lower() in _SUCCESS
    code = response.get("code")
    if code is not None and (isinstance(code, bool) or code not in _SUCCESS_CODES):
        return False
    return isinstance(response.get("data"), dict) and not response.get("error")


def _failure(status: int, headers: Mapping[str, str], response: Any) -> failures.Responded:
    kind = FAILURE_BY_STATUS.get(status) or FAILURE_BY_CLASS.get(status // 100, failures.UnexpectedStatus)
    message = error_text(response) if isinstance(response, dict) else ""
    if not (is_error(response) or status in _ANYONES or status // 100 in FAILURE_BY_CLASS):
        kind, message = failures.ForeignResponse, ""
    if status in (400, 403) and _CREDIT.search(message):
        kind = failures.OutOfCredit
    return kind(status, message, _retry_after(headers.get("Retry-After", "")))


def _retry_after(value: str) -> int | None:
    """Return the seconds of a Retry-After header, which is a number or a date; None if it is neither."""
    if value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    try:
        return max(0, round(parsedate_to_datetime(value).timestamp() - time.time()))
    except (ValueError, OverflowError):
        return None


MAX_TEXT = 500  # characters
MAX_TEXTS = 5  # texts of one error

_FIELDS = ("message", "messages", "msg", "error", "errors", "error_message", "detail", "details", "reason", "data")


def error_text(response: dict[str, Any]) -> str:
    """Return the text of an error, whatever its field's name; without one, the fields except `status` as JSON."""
    rest = {name: value for name, value in response.items() if name != "status"}
    texts = dict.fromkeys(islice(_named(rest), MAX_TEXTS)) or dict.fromkeys(islice(_all(rest), MAX_TEXTS))
    if not texts and rest:
        texts = {orjson.dumps(rest).decode(): None}
    return one_line("; ".join(texts), MAX_TEXT)


def is_error(response: Any) -> bool:
    """Return whether a body is an error in Scenext's form: an object with the status `error`, or with an error text."""
    if not isinstance(response, dict):
        return False
    return response.get("status") == "error" or next(_named(response), None) is not None


def _named(value: Any) -> Iterator[str]:
    """Yield the texts of an error: those of the first of `_FIELDS` that has any."""
    if isinstance(value, dict):
        for field in _FIELDS:
            texts = [_located(text, value.get("loc")) for text in islice(_named(value.get(field)), MAX_TEXTS)]
            if texts:
                yield from texts
                return
    elif isinstance(value, list):
        for item in value:
            yield from _named(item)
    elif isinstance(value, str) and (text := one_line(value, MAX_TEXT)):
        yield text


def _all(value: Any) -> Iterator[str]:
    """Yield every text in a response, whatever its field's name."""
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _all(item)
    else:
        yield from _named(value)


def _located(text: str, place: Any) -> str:
    """Return a text prefixed with the argument that it refers to: `body.question: Field required`."""
    return f"{'.'.join(map(str, place))}: {text}" if isinstance(place, list) and place else text


def printable(text: str) -> str:
    """Return the text with a space for each control, format or unassigned character."""
    # Most text is clean, so check it as a whole before iterating over its characters.
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def one_line(text: str, limit: int) -> str:
    """Return the text on one line without control and format characters, cut to `limit` characters."""
    clean = " ".join(printable(text[: 4 * limit]).split())
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"
