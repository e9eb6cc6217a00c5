"""The tool `gen_video`, which starts a job. Every job is charged."""

from functools import partial
from typing import Any

from ..mcp import Call, Steps, Tool, ToolError, ToolResult, shown_in
from ..mcp.tasks import Task
from ..scenext.client import QUALITIES, Scenext
from ..scenext.failures import ScenextError
from ..scenext.responses import one_line
from . import failure_people, pictures
from .api_call import ApiCall, Credentials, tool_error
from .failure_texts import NOTHING_CHARGED
from .job_tasks import JobTasks
from .messages import any_of_type, query_arguments
from .pictures import is_http_url
from .repeats import Repeat, RepeatWindow, Started, ago

DESCRIPTION = (
    "Start one Scenext job that makes a teaching video explaining a question; returns its task_id at once, not the"
    " video. 创建一个讲解题目的教学视频任务，立即返回 task_id。\n"
    "Use it for a new video, and query_video_status for its state.\n"
    "EVERY CALL STARTS AND CHARGES A NEW JOB (the user's points), even if repeated. A video takes 10 to 20"
    " minutes; unless the result says that it is followed for you, follow it with query_video_status, {how}.\n"
    "Needs the user's Scenext API key in the HTTP headers; never ask for it in the conversation."
)

ANNOTATIONS = {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": False, "openWorldHint": True}
ALIASES = {"questionImages": "question_images", "answerImages": "answer_images", "notifyUrl": "notify_url"}

OUTPUT_SCHEMA = {
    "type": "object",
    "properties": {
        "task_id": {"type": "string"},
        "status": any_of_type("string"),
        "message": any_of_type("string"),
    },
    "required": ["task_id"],
}

STARTED = (
    "The job has started. Next: call query_video_status with this task_id, {how}, and do what each result says; a video"
    " takes 10 to 20 minutes. Do not call gen_video again for it: every call is charged."
    "\n视频任务已创建。下一步：用该 task_id 调用 query_video_status，参数 {how}，之后按返回的提示操作；"
    "视频一般需要 10 到 20 分钟。请勿为同一题目再次调用 gen_video，每次调用都会扣费。"
)

SHOWN = (
    "The job has started. A card in the chat shows the user its progress and, in 10 to 20 minutes, the video. Do not"
    " follow it: call query_video_status with this task_id only if the user asks about the video. Do not call gen_video"
    " again for it: every call is charged."
    "\n视频任务已创建，对话中的卡片会向用户显示进度，并在 10 到 20 分钟后显示视频。请勿自行跟进，"
    "仅在用户询问时用该 task_id 调用 query_video_status。请勿为同一题目再次调用 gen_video，每次调用都会扣费。"
)

STARTED_BEFORE = (
    "This very video was already started {ago}. Nothing was started or charged now. Next: call query_video_status with"
    " this task_id, {how}, and do what each result says. Only if the user asks for one more video of the same question,"
    " call gen_video again with variant={variant}, which is charged."
    "\n该视频任务已在{ago_chinese}创建，本次没有新建任务，也未扣费。下一步：用该 task_id 调用 query_video_status，"
    "参数 {how}，之后按返回的提示操作。仅在用户要求为同一题目再生成一个视频时，才用 variant={variant}"
    " 再次调用 gen_video（会扣费）。"
)

SHOWN_BEFORE = (
    "This very video was already started {ago}. Nothing was started or charged now. A card in the chat shows the user"
    " its progress. Do not follow it: call query_video_status with this task_id only if the user asks about the video."
    " Only if the user asks for one more video of the same question, call gen_video again with variant={variant}, which"
    " is charged."
    "\n该视频任务已在{ago_chinese}创建，本次没有新建任务，也未扣费。对话中的卡片会向用户显示进度。请勿自行跟进，"
    "仅在用户询问时用该 task_id 调用 query_video_status。仅在用户要求为同一题目再生成一个视频时，才用"
    " variant={variant} 再次调用 gen_video（会扣费）。"
)

UNDELIVERED = "client disconnected, job undelivered"  # log reason; the job continues and is charged

NO_QUESTION = (
    "gen_video needs the question, but `question` and `question_images` are both empty. Nothing was started or charged."
    " Call it again with at least one of them.\n\n"
    "question 和 question_images 均为空。任务未创建，也未扣费。请至少填写其中一个，然后重新调用。"
)

BAD_NOTIFY_URL = (
    "notify_url must be a complete http or https URL; got “{received}”. Nothing was started or charged. Call gen_video"
    " again with such a URL, or without notify_url.\n\n"
    "notify_url 必须是完整的 http 或 https 地址，收到的是“{received}”。任务未创建，也未扣费。请改正或去掉后重新调用。"
)

MAX_NOTIFY_URL = 2_000  # characters
LONG_NOTIFY_URL = (
    f"notify_url is too long: it has {{length}} characters, and at most {MAX_NOTIFY_URL} are allowed. Call gen_video"
    " again with a shorter URL, or without notify_url. Nothing was started or charged.\n\n"
    f"notify_url 过长：收到 {{length}} 个字符，最多 {MAX_NOTIFY_URL} 个。请缩短或去掉后重新调用。任务未创建，也未扣费。"
)


def tool(
    scenext: Scenext,
    credentials: Credentials,
    default_quality: str,
    max_wait: int,
    view: str | None = None,
    repeats: RepeatWindow | None = None,
    tasks: JobTasks | None = None,
) -> Tool:
    """Create the tool. Its jobs are followed with waits of `max_wait` seconds, by the card at `view`, or as `tasks`."""
    how = query_arguments(max_wait)

    def gen_video(arguments: dict[str, Any], call: Call) -> Steps[ToolResult | Task]:
        job = _job(arguments, default_quality)
        try:
            api = ApiCall(call, credentials)
            started = yield from _start(scenext, job, int(arguments.get("variant", 1)), api, call, repeats)
        except ScenextError as failure:
            raise tool_error(failure, call, charged=True) from failure
        task_id = str(started.data["task_id"])
        api.log_task_id(task_id)
        if started.repeat is None:
            call.record.undelivered = UNDELIVERED
        message = _message(started.repeat, how, shown=view is not None and call.shows_views)
        return (tasks and tasks.begin(task_id, call, started.created)) or _result(started.data, task_id, message)

    return Tool(
        name="gen_video",
        title="Generate a teaching video / 生成教学视频",
        description=DESCRIPTION.format(how=how),
        schema=schema(default_quality, variants=repeats is not None),
        call=gen_video,
        output_schema=OUTPUT_SCHEMA,
        annotations=ANNOTATIONS,
        aliases=ALIASES,
        meanings={"h": ("high", "高"), "m": ("medium", "中"), "l": ("low", "低")},
        rejects_unknown_arguments=True,
        error_suffix=NOTHING_CHARGED,
        meta=None if view is None else shown_in(view),
    )


def schema(default_quality: str, *, variants: bool = False) -> dict[str, Any]:
    """Return the input schema, which states the operator's default quality.

    With `variants`, it has the argument that distinguishes one more video from a repeated call.
    """

    def images(text: str) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "string"}, "description": text}

    variant = {
        "type": "integer",
        "minimum": 1,
        "description": "Only for one more video of the same question: the number that a result named. 另一版本的编号。",
    }
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
            "question_images": images("Question images: URLs or Base64. 题目图片。"),
            "answer_images": images("Answer images: URLs or Base64. 参考答案图片。"),
            "quality": {
                "type": "string",
                "enum": list(QUALITIES),
                "description": f"h high, m medium, l low; default {default_quality}. 视频质量。",
            },
            "notify_url": {
                "type": "string",
                "description": "An http(s) URL that Scenext calls when done; only if the user gave one. 回调地址。",
            },
            **({"variant": variant} if variants else {}),
        },
    }


def _start(
    scenext: Scenext, job: dict[str, Any], variant: int, api: ApiCall, call: Call, repeats: RepeatWindow | None
) -> Steps[Started]:
    """Start a job, or return the job of an equal call within the repeat window. Raises ToolError and ScenextError."""
    send = partial(api.run, partial(scenext.gen_video, job))
    if repeats is None:
        return Started(send(call.caller.time.started))
    return (yield from repeats.start(job, variant, api, call, send))


def _result(data: dict[str, Any], task_id: str, message: str) -> ToolResult:
    """Return Scenext's data with its id as a string, which query_video_status requires, whatever its type there."""
    structured = {"task_id": task_id, "status": "success", "message": message, **data} | {"task_id": task_id}
    return ToolResult([{"type": "text", "text": f"task_id: {one_line(task_id, 128)}\n{message}"}], structured)


def _message(repeat: Repeat | None, how: str, *, shown: bool) -> str:
    """Return the next step with a started job. `shown` is true if a card follows it."""
    if repeat is None:
        return SHOWN if shown else STARTED.format(how=how)
    english, chinese = ago(repeat.age)
    text = SHOWN_BEFORE if shown else STARTED_BEFORE
    return text.format(ago=english, ago_chinese=chinese, how=how, variant=repeat.next_variant)


def _job(arguments: dict[str, Any], default_quality: str) -> dict[str, Any]:
    """Return the request body of `gen_video`, with Scenext's field names. Raises ToolError."""
    question = arguments.get("question", "")
    images = pictures.checked("question_images", "question", arguments.get("question_images", []))
    if not question and not images:
        raise ToolError(NO_QUESTION, failure_people.NO_QUESTION)
    job = {
        "question": question,
        "answer": arguments.get("answer", ""),
        "questionImages": images,
        "answerImages": pictures.checked("answer_images", "answer", arguments.get("answer_images", [])),
        "quality": arguments.get("quality", default_quality),
    }
    if "notify_url" in arguments:
        job["notify_url"] = _checked_url(arguments["notify_url"].strip())
    return job


def _checked_url(url: str) -> str:
    if len(url) > MAX_NOTIFY_URL:
        raise ToolError(LONG_NOTIFY_URL.format(length=len(url)), failure_people.BAD_NOTIFY_URL)
    if not is_http_url(url):
        raise ToolError(BAD_NOTIFY_URL.format(received=one_line(url, 80)), failure_people.BAD_NOTIFY_URL)
    return url
