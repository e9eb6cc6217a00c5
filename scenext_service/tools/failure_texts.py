"""Error texts for the model, in English, then in Chinese: the failure, its detail, and the next step.

The detail is the rejected value or Scenext's message. If the caller could not have avoided the failure, the text ends
with the request id, which identifies the call in the operator's log.

Every class of `failures` that can reach a tool has one entry in the table below, which a test verifies.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from ..scenext import failures
from ..scenext.keys import PLACEHOLDER


class Advice(NamedTuple):
    """A text in both languages. `{detail}`, `{status}` and `{seconds}` are placeholders."""

    english: str
    chinese: str

    def then(self, more: "Advice") -> "Advice":
        """Return this text followed by another one."""
        return Advice(f"{self.english} {more.english}", f"{self.chinese}{more.chinese}")


TEXTS: Mapping[type[failures.ScenextError], Advice] = {
    failures.KeyMissing: Advice(
        "No Scenext API key was sent with the request. Ask the user to get one at https://scenext.cn and to put it into"
        " the HTTP headers of this MCP server in their client, as `Authorization: Bearer <key>` or `X-API-Key: <key>`."
        " The key is not a tool argument: do not ask for it in the conversation.",
        "请求中没有 Scenext API 密钥。请让用户在 https://scenext.cn 获取密钥，并填入 MCP 客户端的请求头设置："
        "Authorization: Bearer <key> 或 X-API-Key: <key>。密钥不是工具参数，请勿在对话中索取。",
    ),
    failures.KeyPlaceholder: Advice(
        f"The Scenext API key in the request is a placeholder, not a key: the documentation's {PLACEHOLDER}, a variable"
        " that the client did not replace, or a missing value such as undefined or null. Ask the user to get a key at"
        " https://scenext.cn and to put it in its place in the HTTP headers of this MCP server in their client; do not"
        " ask for it in the conversation.",
        f"请求头中的 API 密钥只是占位符：文档中的 {PLACEHOLDER}、客户端没有替换的变量，或 undefined、null 之类的空值。"
        "请让用户在 https://scenext.cn 获取密钥，并在 MCP 客户端的请求头设置中替换它。请勿在对话中索取密钥。",
    ),
    failures.KeyUnusable: Advice(
        "The Scenext API key in the request is malformed: it contains a space, a comma, a control character or a"
        " non-ASCII character, or the header was sent twice. Ask the user to copy the key again and to send it in one"
        " header only.",
        "请求头中的 API 密钥格式有误：其中含有空格、逗号、控制字符或非 ASCII 字符，或同一请求头发送了两次。"
        "请让用户重新复制密钥，并只放在一个请求头中。",
    ),
    failures.SignInToken: Advice(
        "The request has the token of a sign-in, which only the server's address with sign-in accepts; it was not sent"
        " to Scenext. Ask the user to change the URL of this server in their client to that address, or to put their"
        " Scenext API key into the HTTP headers.",
        "请求头中是登录令牌，仅适用于本服务的登录地址，没有发送给 Scenext。"
        "请让用户在客户端中把服务器地址改为登录地址，或在请求头中填写 Scenext API 密钥。",
    ),
    failures.InvalidTaskId: Advice(
        "The task_id is invalid{detail}. A task_id consists of 1 to 128 letters, digits and - _ . ~ characters. Call"
        " query_video_status again with the value that gen_video returned.",
        "任务 ID 无效{detail}。任务 ID 由 1 到 128 个字母、数字或 - _ . ~ 组成。"
        "请用 gen_video 返回的值重新调用 query_video_status。",
    ),
    failures.NoTimeLeft: Advice(
        "The earlier calls in the batch left too little time, so this call was not sent. Send it again by itself, not"
        " in a batch.",
        "同一批量请求中前面的调用耗时过长，本次请求未发送。请单独重试，不要放在批量请求中。",
    ),
    failures.Busy: Advice(
        "This server has reached its limit of concurrent Scenext calls. This call was not sent. Call again in 5"
        " seconds.",
        "服务器正忙：对 Scenext 的并发请求已达上限，本次请求未发送。请 5 秒后重试。",
    ),
    failures.NameNotResolved: Advice(
        "This server could not resolve the host name of the Scenext API (DNS failure); nothing was sent. Try again in"
        " 30 seconds; if it fails again, tell the user that the server has a network problem.",
        "服务器无法解析 Scenext API 的域名（DNS 故障），请求未发送。"
        "请 30 秒后重试；若仍失败，请告知用户服务器网络异常。",
    ),
    failures.ConnectionFailed: Advice(
        "This server could not connect to the Scenext API; nothing was sent. Try again in 30 seconds; if it fails"
        " again, tell the user that Scenext cannot be reached.",
        "服务器无法连接 Scenext API，请求未发送。请 30 秒后重试；若仍失败，请告知用户暂时无法连接 Scenext。",
    ),
    failures.TlsFailed: Advice(
        "This server could not establish a secure connection to the Scenext API (TLS failure, such as an invalid"
        " certificate); nothing was sent. Retrying will not help: tell the user that the operator of this server has"
        " to fix it.",
        "服务器无法与 Scenext API 建立安全连接（TLS 失败，例如证书无效），请求未发送。"
        "重试无用，请告知用户需由服务器运维人员处理。",
    ),
    failures.DeadlinePassed: Advice(
        "Scenext did not answer within {detail} seconds.",
        "Scenext 在 {detail} 秒内没有响应。",
    ),
    failures.ConnectionLost: Advice(
        "The connection to Scenext broke before the response was complete.",
        "与 Scenext 的连接在收到完整响应之前中断。",
    ),
    failures.KeyRefused: Advice(
        "Scenext refused the API key{detail}. Ask the user to check the key that their MCP client sends in the HTTP"
        " headers: it may be mistyped, expired or from another account. Retrying with the same key will not help.",
        "Scenext 拒绝了该 API 密钥{detail}。请让用户检查 MCP 客户端请求头中的密钥：可能输入有误、已过期或属于其他账户。"
        "用同一密钥重试无用。",
    ),
    failures.OutOfCredit: Advice(
        "The Scenext account has too few points{detail}. Tell the user to top it up; the call will fail until then.",
        "Scenext 账户积分不足{detail}。请告知用户充值，在此之前重试无用。",
    ),
    failures.NotFound: Advice(
        "Scenext has no such job for this API key{detail}. Check that the task_id is exactly the one that gen_video"
        " returned, and that the key is from the account that started the job. Do not guess ids.",
        "Scenext 在该密钥下找不到此任务{detail}。请确认 task_id 与 gen_video 返回的完全一致，并使用同一账户的密钥。"
        "请勿猜测 ID。",
    ),
    failures.RateLimited: Advice(
        "Scenext receives too many calls with this key{detail}. Call again in {seconds} seconds.",
        "该密钥的请求过于频繁{detail}。请在 {seconds} 秒后重试。",
    ),
    failures.ServerFault: Advice(
        "Scenext had a server error, HTTP {status}{detail}.",
        "Scenext 服务出错，HTTP {status}{detail}。",
    ),
    failures.Redirected: Advice(
        "Scenext answered with a redirect, HTTP {status}, which this server does not follow, to protect the API key."
        " Retrying will not help: tell the user that the operator of this server should check SCENEXT_API_BASE_URL.",
        "Scenext 返回了重定向（HTTP {status}）。为避免泄露密钥，服务器不会跟随。"
        "重试无用，请告知用户需由服务器运维人员检查 SCENEXT_API_BASE_URL。",
    ),
    failures.UnexpectedStatus: Advice(
        "Scenext did not accept the call, HTTP {status}{detail}. Check the arguments; if they are correct, tell the"
        " user how Scenext replied.",
        "Scenext 未接受该请求，HTTP {status}{detail}。请检查参数；若参数无误，请把上述信息告知用户。",
    ),
    failures.ForeignResponse: Advice(
        "The response, HTTP {status}, has no error message from Scenext, so it may be from a firewall, a proxy or"
        " another server. It reveals nothing about the API key, the points, the job or a charge. If it happens again,"
        " tell the user that the operator of this server should check its network and SCENEXT_API_BASE_URL.",
        "响应（HTTP {status}）中没有 Scenext 的错误信息，可能来自防火墙、代理或其他服务器，"
        "无法据此判断密钥、积分、任务或扣费情况。若再次出现，请告知用户需由服务器运维人员检查网络和"
        " SCENEXT_API_BASE_URL。",
    ),
    failures.Rejected: Advice(
        "Scenext answered with an error{detail}.",
        "Scenext 返回错误{detail}。",
    ),
    failures.BadResponse: Advice(
        "Scenext's response, HTTP {status}, could not be used{detail}.",
        "Scenext 的响应（HTTP {status}）无法使用{detail}。",
    ),
}

# Clients that sign in have no header for a key.
_SIGN_IN_AGAIN = Advice(
    " Ask the user to disconnect this server in their client and to connect it again, which opens the page for the key."
    " Do not ask for the key in the conversation.",
    "请让用户在客户端中断开此服务器并重新连接，然后在打开的页面中填写密钥。请勿在对话中索取密钥。",
)
_SIGNED_IN_TEXTS: Mapping[type[failures.ScenextError], Advice] = {
    failures.KeyMissing: Advice(
        "The access token of this sign-in can no longer be used: this server does not share a key at the moment."
        + _SIGN_IN_AGAIN.english,
        "此次登录使用的访问令牌目前无效：服务器暂未共享密钥。" + _SIGN_IN_AGAIN.chinese,
    ),
    failures.KeyRefused: Advice(
        "Scenext refused the API key of this sign-in{detail}." + _SIGN_IN_AGAIN.english,
        "Scenext 拒绝了此次登录使用的 API 密钥{detail}。" + _SIGN_IN_AGAIN.chinese,
    ),
}

# The next step after a failure in which the request may have taken effect: if it is free, and if it may be charged.
_REPEAT = Advice(
    "Queries are free of charge: call query_video_status again in {seconds} seconds.",
    "查询不收费，请 {seconds} 秒后再次调用 query_video_status。",
)
_MAYBE_CHARGED = Advice(
    "A job may have been started and charged. Do not call gen_video again by yourself: tell the user, who can look the"
    " job up at Scenext, and start another only if they ask for it.",
    "任务可能已经创建并扣费。请勿自行再次调用 gen_video：请告知用户，由用户在 Scenext 中确认后再决定是否重新创建。",
)
# The next step if Scenext's own message states that nothing was consumed. No text here may contradict that message.
_NOT_CHARGED = Advice(
    "Tell the user the message, and call gen_video again only if they ask for it.",
    "请把上述信息告知用户，仅在用户要求时再次调用 gen_video。",
)
_CONSUMED_NOTHING = re.compile(
    r"(?:未|没有?|不会?|无需)(?:被|实际)?(?:消耗|扣|收费|计费)|积分.{0,6}(?:退还|退回|返还)"
    r"|\b(?:no|0|zero) (?:points?|credits?)\b.{0,20}\b(?:consumed|charged|deducted|used|spent)\b"
    r"|\b(?:nothing|not)\b.{0,20}\b(?:consumed|charged|deducted|billed)\b|\bfree of charge\b|\brefunded\b",
    re.IGNORECASE,
)
_CORRECT = Advice(
    "Correct the problem that it names and call again, or tell the user the message.",
    "请按提示修正后重试，或把上述信息告知用户。",
)
# Failures in which the request may have taken effect. Rejected is one, because its HTTP status is a success, and the
# meaning of Scenext's errors is not documented.
_UNCERTAIN = (
    failures.Incomplete,
    failures.ServerFault,
    failures.ForeignResponse,
    failures.BadResponse,
    failures.Rejected,
)

NOTHING_CHARGED = Advice("Nothing was started or charged.", "任务未创建，也未扣费。")
_UNSENT = (failures.NotSent, failures.NeverOpened)


def advise(failure: failures.ScenextError, *, charged: bool, request_id: str, signed_in: bool = False) -> str:
    """Return the text for a failure. `charged` is true if the operation costs money once it has reached Scenext.

    `signed_in` is true if the client has signed in, and so sends no key of its own.
    """
    advice = TEXTS[type(failure)]
    if signed_in:
        advice = _SIGNED_IN_TEXTS.get(type(failure), advice)
    if charged and isinstance(failure, _UNCERTAIN):
        advice = advice.then(_MAYBE_CHARGED if may_be_charged(failure) else _NOT_CHARGED)
    elif isinstance(failure, failures.Rejected):
        advice = advice.then(_CORRECT)
    elif isinstance(failure, _UNCERTAIN):
        advice = advice.then(_REPEAT)
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


def may_be_charged(failure: failures.ScenextError) -> bool:
    """Return whether a failed request to start a job may have been charged."""
    return isinstance(failure, _UNCERTAIN) and not _CONSUMED_NOTHING.search(failure.detail)


def _detail(failure: failures.ScenextError, colon: str) -> str:
    if isinstance(failure, failures.DeadlinePassed) or not failure.detail:
        return failure.detail
    return f"{colon}“{failure.detail}”"


def what_happened(failure: failures.ScenextError) -> str:
    """Return the first sentence of a failure's English text, which names the failure and no next step."""
    sentence, _, _ = TEXTS[type(failure)].english.partition(". ")
    text = sentence.format(detail=_detail(failure, ": "), status=failure.status)
    return f"{text.removesuffix('.')}."
