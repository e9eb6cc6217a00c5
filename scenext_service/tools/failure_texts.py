"""What the model is told of a failed call: what happened, what came, what to do next; in English, then in Chinese.

Where the caller could not help it, the text ends with the id by which an operator finds the call in the log.

Every class of `failures` that can reach a tool has one line in the table below; a test holds it to that.
"""

from collections.abc import Mapping
from typing import NamedTuple

from ..scenext import failures
from ..scenext.auth import PLACEHOLDER


class Advice(NamedTuple):
    """One text in both languages; `{detail}`, `{status}` and `{seconds}` are filled in."""

    english: str
    chinese: str

    def then(self, more: "Advice") -> "Advice":
        """Return this text with another one behind it."""
        return Advice(f"{self.english} {more.english}", f"{self.chinese}{more.chinese}")


TEXTS: Mapping[type[failures.ScenextError], Advice] = {
    failures.KeyMissing: Advice(
        "No Scenext API key came with the request. Ask the user to put one, which they get at https://scenext.cn, into"
        " the HTTP headers of this MCP server in their client, as `Authorization: Bearer <key>` or `X-API-Key: <key>`."
        " A key is no argument of a tool: do not ask for it in the conversation.",
        "请在请求头中提供有效的 API Key，支持 Authorization: Bearer <key> 或 X-API-Key: <key>。"
        "请让用户在 https://scenext.cn 获取密钥，并在 MCP 客户端的请求头设置中填写，不要在对话中索取密钥。",
    ),
    failures.KeyPlaceholder: Advice(
        "What came as the Scenext API key is a placeholder, not a key: the documentation's"
        f" {PLACEHOLDER}, or a variable that the client did not fill in. Ask the user to put their own key, which they"
        " get at https://scenext.cn, in its place in the HTTP headers of this MCP server in their client; do not ask"
        " for it in the conversation.",
        f"请求头中的 API Key 只是占位符：文档中的 {PLACEHOLDER}，或客户端没有替换的变量。"
        "请让用户在 https://scenext.cn 获取密钥，并在 MCP 客户端的请求头设置中替换它，不要在对话中索取密钥。",
    ),
    failures.KeyUnusable: Advice(
        "What came as the Scenext API key cannot be one: it has a space, a comma, a control character or a character"
        " outside ASCII in it, or two headers were joined. Ask the user to copy the key again, and to send it in one"
        " header only.",
        "请求头中的 API Key 无效：其中含有空格、逗号、控制字符或非 ASCII 字符，或同时发送了两个请求头。"
        "请让用户重新复制密钥，并只放在一个请求头中。",
    ),
    failures.InvalidTaskId: Advice(
        "This is not a task_id{detail}. A task_id has 1 to 128 letters, digits and - _ . ~ and comes from the result of"
        " gen_video. Call query_video_status again with the value that gen_video returned.",
        "任务 ID 无效{detail}。任务 ID 由 1 到 128 个字母、数字或 - _ . ~ 组成，来自 gen_video 的返回结果。"
        "请用 gen_video 返回的值重新调用 query_video_status。",
    ),
    failures.NoTimeLeft: Advice(
        "The calls before this one in its batch left it too little time, so it was not sent. Call again, by itself"
        " rather than in a batch.",
        "同一批量请求中前面的调用用去了时间，本次请求未发送。请单独重试，不要放在批量请求中。",
    ),
    failures.Busy: Advice(
        "This server already waits for Scenext on as many calls as it may; this one was not sent. Call again in 5"
        " seconds.",
        "服务器正忙：等待 Scenext 的请求已达上限，本次请求未发送。请 5 秒后重试。",
    ),
    failures.NameNotResolved: Advice(
        "This server could not find the address of the Scenext API (DNS failure); nothing was sent. Try again in 30"
        " seconds; if it lasts, tell the user that the server has a network problem.",
        "服务器无法解析 Scenext API 的域名（DNS 故障），请求未发送。"
        "请 30 秒后重试；若仍失败，请告知用户服务器网络异常。",
    ),
    failures.ConnectionFailed: Advice(
        "This server could not connect to the Scenext API; nothing was sent. Try again in 30 seconds; if it lasts, tell"
        " the user that Scenext cannot be reached.",
        "服务器无法连接 Scenext API，请求未发送。请 30 秒后重试；若仍失败，请告知用户暂时无法连接 Scenext。",
    ),
    failures.TlsFailed: Advice(
        "This server could not set up a secure connection to the Scenext API (TLS failure, such as an invalid"
        " certificate); nothing was sent. Trying again will not help: tell the user that the operator of this server"
        " has to look at it.",
        "服务器无法与 Scenext API 建立安全连接（TLS 失败，例如证书无效），请求未发送。"
        "重试无用，请告知用户需由服务器运维人员处理。",
    ),
    failures.DeadlinePassed: Advice(
        "Scenext did not answer within {detail} seconds.",
        "Scenext 在 {detail} 秒内没有响应。",
    ),
    failures.ConnectionLost: Advice(
        "The connection to Scenext broke before its answer was complete.",
        "与 Scenext 的连接在收到完整响应之前中断。",
    ),
    failures.KeyRefused: Advice(
        "Scenext refused the API key{detail}. Ask the user to check the key that their MCP client sends in the HTTP"
        " headers: it may be mistyped, expired or of another account. Trying again with the same key will not help.",
        "Scenext 拒绝了该 API Key{detail}。请让用户检查 MCP 客户端请求头中的密钥：可能输入有误、已过期或属于其他账号。"
        "用同一密钥重试无用。",
    ),
    failures.OutOfCredit: Advice(
        "The Scenext account has too few points{detail}. Tell the user to top it up; the call will not succeed before.",
        "Scenext 账户积分不足{detail}。请告知用户充值，在此之前重试无用。",
    ),
    failures.NotFound: Advice(
        "Scenext knows no such job under this API key{detail}. Check that the task_id is exactly the one that gen_video"
        " returned, and that the same account's key is used. Do not guess ids.",
        "Scenext 中没有该任务{detail}。请确认 task_id 与 gen_video 返回的完全一致，并使用同一账号的密钥。请勿猜测 ID。",
    ),
    failures.RateLimited: Advice(
        "Scenext receives too many calls with this key{detail}. Call again in {seconds} seconds.",
        "该密钥的请求过于频繁{detail}。请在 {seconds} 秒后重试。",
    ),
    failures.ServerFault: Advice(
        "Scenext had a failure of its own, HTTP {status}{detail}.",
        "Scenext 服务出错，HTTP {status}{detail}。",
    ),
    failures.Redirected: Advice(
        "Scenext answered with a redirect, HTTP {status}, which is not followed, because the API key would go with it."
        " Trying again will not help: tell the user that the operator of this server should check"
        " SCENEXT_API_BASE_URL.",
        "Scenext 返回了重定向（HTTP {status}）。为避免泄露密钥，服务器不会跟随。"
        "重试无用，请告知用户需由服务器运维人员检查 SCENEXT_API_BASE_URL。",
    ),
    failures.UnexpectedStatus: Advice(
        "Scenext did not accept the call, HTTP {status}{detail}. Check the arguments; if they are right, tell the user"
        " what Scenext said.",
        "Scenext 未接受该请求，HTTP {status}{detail}。请检查参数；若参数无误，请把上述信息告知用户。",
    ),
    failures.Rejected: Advice(
        "Scenext answered with an error{detail}. Mend what it names and call again, or tell the user what it said.",
        "Scenext 返回错误{detail}。请按提示修正后重试，或把上述信息告知用户。",
    ),
    failures.BadResponse: Advice(
        "Scenext's answer, HTTP {status}, could not be used; it is wrong in this way{detail}.",
        "Scenext 的响应（HTTP {status}）无法使用，原因如下{detail}。",
    ),
}

# What to do after a failure in which the request may have arrived, by operation.
_REPEAT = Advice(
    "Asking again is free of charge: call query_video_status again in {seconds} seconds.",
    "查询不收费，请 {seconds} 秒后再次调用 query_video_status。",
)
_MAYBE_CHARGED = Advice(
    "A job may have been started and charged all the same. Do not call gen_video again by yourself: tell the user, who"
    " can look the job up at Scenext, and start another only if they ask for it.",
    "任务可能已经创建并扣费。请勿自行再次调用 gen_video：请告知用户，由用户在 Scenext 中确认后再决定是否重新创建。",
)
_UNCERTAIN = (failures.Incomplete, failures.ServerFault, failures.BadResponse)

NOTHING_CHARGED = Advice("Nothing was started or charged.", "任务未创建，也未扣费。")
_UNSENT = (failures.NotSent, failures.NeverOpened)


def advise(failure: failures.ScenextError, *, charged: bool, request_id: str) -> str:
    """Return the text for a failure. `charged` tells that the operation costs money once it has arrived."""
    advice = TEXTS[type(failure)]
    if isinstance(failure, _UNCERTAIN):
        advice = advice.then(_MAYBE_CHARGED if charged else _REPEAT)
    elif charged and isinstance(failure, _UNSENT):
        advice = advice.then(NOTHING_CHARGED)
    if isinstance(failure, failures.OUTAGES):
        advice = advice.then(Advice("Request id: {id}", "请求 ID：{id}"))
    seconds = 30 if failure.retry_after is None else failure.retry_after
    known = {"status": failure.status, "seconds": seconds, "id": request_id}
    return "\n\n".join(
        (
            advice.english.format(detail=_detail(failure, ": "), **known),
            advice.chinese.format(detail=_detail(failure, "："), **known),
        )
    )


def _detail(failure: failures.ScenextError, colon: str) -> str:
    if isinstance(failure, failures.DeadlinePassed) or not failure.detail:
        return failure.detail
    return f"{colon}“{failure.detail}”"


def what_happened(failure: failures.ScenextError) -> str:
    """Return the first sentence of the text for a failure, in English: what happened, without what to do next."""
    sentence, _, _ = TEXTS[type(failure)].english.partition(". ")
    text = sentence.format(detail=_detail(failure, ": "), status=failure.status)
    return f"{text.removesuffix('.')}."
