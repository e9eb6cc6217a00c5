"""Describe a failed call to people: a heading and one sentence, in English and in Chinese.

The page and the card show this text. It is in the `_meta` of the result, which hosts do not pass to the model, so it
costs no tokens. `failure_texts` has the texts for the model.

Every class of `failures` that can reach a tool has one entry in the table below, which a test verifies.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..scenext import failures
from ..scenext.responses import one_line
from .failure_texts import may_be_charged

KEY = "scenext/failure"  # in the `_meta` of a result
_MAX_MESSAGE = 200  # characters of Scenext's message


class Text(NamedTuple):
    """A heading and a sentence."""

    heading: str
    sentence: str


class Notice(NamedTuple):
    """A failure as people read it. It is final unless the same call, repeated without changes, may soon succeed.

    A call that may have been charged is final too, because only its user can decide to repeat it.
    """

    english: Text
    chinese: Text
    final: bool = True

    def meta(self, kind: str) -> dict[str, Any]:
        """Return the `_meta` of a failed call. `kind` is the name of the failure."""
        texts = {"en": list(self.english), "zh": list(self.chinese)}
        return {KEY: {"kind": kind, "final": self.final, **texts}}


_SERVER_BUSY = Notice(
    Text("This server is busy", "Nothing was sent to Scenext. Try again in a minute."),
    Text("服务器繁忙", "本次请求未发送给 Scenext，请一分钟后重试。"),
    final=False,
)
_UNREACHABLE = Notice(
    Text("Scenext can’t be reached", "Try again in a few minutes."),
    Text("无法连接 Scenext", "请几分钟后重试。"),
    final=False,
)
_NO_RESPONSE = Notice(
    Text("Scenext does not answer", "Try again in a few minutes."),
    Text("Scenext 没有响应", "请几分钟后重试。"),
    final=False,
)
_REJECTED = Notice(
    Text("Scenext rejected this request", "Check your request, then try again."),
    Text("Scenext 未接受该请求", "请检查提交的内容后重试。"),
)

TEXTS: Mapping[type[failures.ScenextError], Notice] = {
    failures.KeyMissing: Notice(
        Text("An API key is needed", "Add your Scenext API key, then try again."),
        Text("需要 API Key", "请填写你的 Scenext API Key，然后重试。"),
    ),
    failures.KeyPlaceholder: Notice(
        Text("The API key is still a placeholder", "Replace it with your own Scenext API key."),
        Text("API Key 还是占位符", "请替换为你自己的 Scenext API Key。"),
    ),
    failures.KeyUnusable: Notice(
        Text("This API key is not valid", "Copy it again. It has a space or another character that no key has."),
        Text("API Key 无效", "其中含有空格或其他不允许的字符，请重新复制。"),
    ),
    failures.SignInToken: Notice(
        Text("This is not an API key", "It is the token of a sign-in. Use your Scenext API key."),
        Text("这不是 API Key", "这是登录令牌，请改用你的 Scenext API Key。"),
    ),
    failures.InvalidTaskId: Notice(
        Text("This is not a task ID", "Copy the ID again, exactly as it was shown."),
        Text("任务 ID 无效", "请按显示的内容重新复制。"),
    ),
    failures.NoTimeLeft: _SERVER_BUSY,
    failures.Busy: _SERVER_BUSY,
    failures.NameNotResolved: _UNREACHABLE,
    failures.ConnectionFailed: _UNREACHABLE,
    failures.TlsFailed: _UNREACHABLE,
    failures.DeadlinePassed: _NO_RESPONSE,
    failures.ConnectionLost: _NO_RESPONSE,
    failures.KeyRefused: Notice(
        Text("Scenext refused this API key", "It may be mistyped or expired. Check it, then try again."),
        Text("Scenext 拒绝了该 API Key", "可能输入有误或已过期，请检查后重试。"),
    ),
    failures.OutOfCredit: Notice(
        Text("Not enough points", "Top up your Scenext account, then try again."),
        Text("积分不足", "请为 Scenext 账户充值，然后重试。"),
    ),
    failures.NotFound: Notice(
        Text("Video not found", "Your Scenext account has no video with this task ID."),
        Text("找不到该视频", "你的 Scenext 账户中没有这个任务 ID。"),
    ),
    failures.RateLimited: Notice(
        Text("Scenext is busy", "Try again in a minute."),
        Text("Scenext 繁忙", "请一分钟后重试。"),
        final=False,
    ),
    failures.ServerFault: _NO_RESPONSE,
    failures.Redirected: _UNREACHABLE,
    failures.UnexpectedStatus: _REJECTED,
    failures.ForeignResponse: _NO_RESPONSE,
    failures.Rejected: _REJECTED,
    failures.BadResponse: _NO_RESPONSE,
}

# A start without a clear response, and the rejected repeat of one.
_UNCONFIRMED = Notice(
    Text(
        "No confirmation from Scenext",
        "The video may have been started and charged. Check your Scenext account before you try again.",
    ),
    Text("未收到 Scenext 的确认", "视频可能已经创建并扣除积分，请先在 Scenext 账户中确认，再决定是否重试。"),
)
_NOT_REPEATED = Notice(
    Text(
        "Not sent a second time",
        "The same request got no answer and may have been charged. Check your Scenext account before you try again.",
    ),
    Text(
        "本次请求未重复发送",
        "此前的相同请求没有得到响应，可能已经扣除积分，请先在 Scenext 账户中确认，再决定是否重试。",
    ),
)

# Failures of the tools themselves. Nothing was sent to Scenext.
NO_QUESTION = Notice(
    Text("The question is missing", "Enter a question, or add a picture of it."),
    Text("缺少题目", "请填写题目，或提供题目图片。"),
).meta("NoQuestion")
BAD_PICTURE = Notice(
    Text("A picture can’t be used", "Use a link to a picture, or describe the picture in the question."),
    Text("有图片无法使用", "请提供图片链接，或在题目中用文字描述图片。"),
).meta("BadPicture")
BAD_NOTIFY_URL = Notice(
    Text("The notification URL is not valid", "Use a complete http or https URL, or leave it out."),
    Text("回调地址无效", "请填写完整的 http 或 https 地址，或不填。"),
).meta("BadNotifyUrl")
NO_TASK_ID = TEXTS[failures.InvalidTaskId].meta("NoTaskId")
NOT_SENT = _SERVER_BUSY.meta("NotSent")
NOT_REPEATED = _NOT_REPEATED.meta("NotRepeated")


def explain(failure: failures.ScenextError, *, charged: bool) -> dict[str, Any]:
    """Return the `_meta` of a failed call. `charged` is true if the operation costs money once it has reached Scenext.

    If Scenext rejected the request, its message is shown.
    """
    notice = TEXTS[type(failure)]
    unclear = charged and may_be_charged(failure)
    if charged and notice is _NO_RESPONSE:
        notice = _UNCONFIRMED if unclear else _REJECTED
    if notice is _REJECTED and failure.detail:
        notice = _with_message(notice, one_line(failure.detail, _MAX_MESSAGE), unclear)
    return notice.meta(type(failure).__name__)


def _with_message(notice: Notice, message: str, unclear: bool) -> Notice:
    """Return a notice whose sentence is Scenext's message. If the charge is unclear, a second sentence states it."""
    english, chinese = f"Scenext’s message: “{message}”.", f"Scenext 的提示：“{message}”。"
    if unclear:
        english += " Check your Scenext account before you try again."
        chinese += "请先在 Scenext 账户中确认，再决定是否重试。"
    return Notice(notice.english._replace(sentence=english), notice.chinese._replace(sentence=chinese))
