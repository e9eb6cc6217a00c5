"""The tool `gen_video`: start a job, which is charged."""

from functools import partial
from typing import Any
from urllib.parse import urlsplit

from ..mcp import Call, Tool, ToolError, ToolResult, apps
from ..scenext.client import QUALITIES, Scenext
from ..scenext.failures import ScenextError
from ..scenext.text import one_line
from . import next_step
from .asking import Asking, explained
from .credentials import Credentials
from .failure_texts import NOTHING_CHARGED
from .output import loose

DESCRIPTION = (
    "Start one Scenext job that makes a teaching video explaining a question; returns its task_id at once, not the"
    " video. 创建一个讲解题目的教学视频任务，立即返回 task_id。\n"
    "Use it for a new video; query_video_status tells how one stands.\n"
    "EVERY CALL STARTS AND CHARGES A NEW JOB (the user's points), also when repeated. A video takes 10 to 20"
    " minutes; follow it with query_video_status, {how}.\n"
    "Needs the user's Scenext API key in the HTTP headers; never ask for it in the conversation."
)

OUTPUT_SCHEMA = {
    "type": "object",
    "properties": {
        "task_id": {"type": "string"},
        "status": loose("string"),
        "message": loose("string"),
    },
    "required": ["task_id"],
}

STARTED = (
    "The job has started. Next: call query_video_status with this task_id, {how}, and do what each result says; a video"
    " takes 10 to 20 minutes. Do not call gen_video again for it: every call is charged."
    "\n视频生成任务创建成功。下一步：用该 task_id 调用 query_video_status，参数 {how}，之后按返回的提示操作，"
    "一般需要 10 到 20 分钟。请勿为同一题目再次调用 gen_video，每次调用都会扣费。"
)

SHOWN = (
    "The job has started, and a card in the chat shows the user how it gets on and, in 10 to 20 minutes, the video. So"
    " do not follow it: call query_video_status with this task_id only when the user asks about the video. Do not call"
    " gen_video again for it: every call is charged."
    "\n视频生成任务创建成功，对话中的卡片会向用户显示进度，并在 10 到 20 分钟后显示视频。请勿自行跟进，"
    "仅在用户询问时用该 task_id 调用 query_video_status。请勿为同一题目再次调用 gen_video，每次调用都会扣费。"
)

NO_QUESTION = (
    "gen_video needs the question: neither `question` nor `question_images` has anything in it. Nothing was started or"
    " charged. Call it again with at least one of them.\n\n"
    "question 和 question_images 中至少输入一个。任务未创建，也未扣费。请补充后重新调用。"
)

BAD_NOTIFY_URL = (
    "notify_url must be a complete http or https URL; got “{came}”. Nothing was started or charged. Call gen_video"
    " again with such a URL, or without notify_url.\n\n"
    "notify_url 必须是完整的 http 或 https 地址，收到的是“{came}”。任务未创建，也未扣费。请改正或去掉后重新调用。"
)


def tool(
    scenext: Scenext, credentials: Credentials, default_quality: str, longest: int, view: str | None = None
) -> Tool:
    """Make the tool, whose jobs are followed with waits of `longest` seconds, or by the card with the uri `view`."""
    how = next_step.arguments(longest)
    followed = STARTED.format(how=how)

    def gen_video(arguments: dict[str, Any], call: Call) -> ToolResult:
        job = _job(arguments, default_quality)
        try:
            data = Asking(call, credentials).ask(partial(scenext.gen_video, job), call.caller.received)
        except ScenextError as failure:
            raise explained(failure, call, charged=True) from failure
        # The id goes back as the string that query_video_status takes, whatever type it came as.
        task_id = str(data["task_id"])
        message = SHOWN if view is not None and apps.shows_views(call) else followed
        started = {"task_id": task_id, "status": "success", "message": message, **data} | {"task_id": task_id}
        return ToolResult([{"type": "text", "text": f"task_id: {one_line(task_id, 128)}\n{message}"}], started)

    return Tool(
        name="gen_video",
        title="Generate a teaching video / 生成教学视频",
        description=DESCRIPTION.format(how=how),
        schema=schema(default_quality),
        call=gen_video,
        output_schema=OUTPUT_SCHEMA,
        annotations={"readOnlyHint": False, "destructiveHint": False, "idempotentHint": False, "openWorldHint": True},
        aliases={"questionImages": "question_images", "answerImages": "answer_images", "notifyUrl": "notify_url"},
        meanings={"h": ("high", "高"), "m": ("medium", "中"), "l": ("low", "低")},
        unspent=NOTHING_CHARGED,
        meta=None if view is None else apps.shown_by(view),
    )


def schema(default_quality: str) -> dict[str, Any]:
    """Return the input schema, which names the quality that an operator chose."""

    def images(text: str) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "string"}, "description": text}

    return {
        "type": "object",
        "properties": {
            "question": {
                "type": "string",
                "description": "The question; needed unless question_images is given. 题目文字。",
            },
            "answer": {
                "type": "string",
                "description": "A reference answer; keeps the explanation accurate. 参考答案。",
            },
            "question_images": images("The question as URLs or Base64. 题目图片。"),
            "answer_images": images("The answer as URLs or Base64. 参考答案图片。"),
            "quality": {
                "type": "string",
                "enum": list(QUALITIES),
                "description": f"h high, m medium, l low; if left out, {default_quality}. 视频质量。",
            },
            "notify_url": {
                "type": "string",
                "description": "An http(s) URL that Scenext calls at the end; only if the user gave one. 回调地址。",
            },
        },
    }


def _job(arguments: dict[str, Any], default_quality: str) -> dict[str, Any]:
    """Return the request body of `gen_video` in Scenext's names. Raises ToolError."""
    question = arguments.get("question", "")
    images = [image for image in arguments.get("question_images", []) if image.strip()]
    if not question.strip() and not images:
        raise ToolError(NO_QUESTION)
    job = {
        "question": question,
        "answer": arguments.get("answer", ""),
        "questionImages": images,
        "answerImages": [image for image in arguments.get("answer_images", []) if image.strip()],
        "quality": arguments.get("quality", default_quality),
    }
    notify_url = arguments.get("notify_url", "").strip()
    if notify_url:
        job["notify_url"] = _checked_url(notify_url)
    return job


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        complete = parts.scheme in ("http", "https") and parts.hostname and url.isprintable() and " " not in url
    except ValueError:
        complete = False
    if not complete:
        raise ToolError(BAD_NOTIFY_URL.format(came=one_line(url, 80)))
    return url
