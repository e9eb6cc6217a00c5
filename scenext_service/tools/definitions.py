"""What a model reads before it calls a tool, and what a tool itself tells it: descriptions, schemas, texts.

Schemas are plain: hosts refuse or drop tools with root-level `anyOf`, `pattern`, `additionalProperties`, `$schema`.
"""

from typing import Any

from ..config import QUALITIES

INSTRUCTIONS = (
    "Scenext makes teaching videos that explain a question. Start a job with gen_video, once; then ask"
    " query_video_status every 30 seconds until COMPLETED or FAILED, which takes 10 to 20 minutes, and show the user"
    " the video as a Markdown link. Calls need the user's Scenext API key in the HTTP headers of the MCP connection."
    " / Scenext 生成讲解题目的教学视频：先用 gen_video 创建一次任务，再每 30 秒用 query_video_status 查询。"
)

STARTED = (
    "The job has started. Next: call query_video_status with this task_id now, then every 30 seconds until COMPLETED or"
    " FAILED; a video takes 10 to 20 minutes. Do not call gen_video again for it: every call is charged."
    "\n视频生成任务创建成功。下一步：用该 task_id 调用 query_video_status，之后每 30 秒查询一次，"
    "直到 COMPLETED 或 FAILED，一般需要 10 到 20 分钟。请勿为同一题目再次调用 gen_video，每次调用都会扣费。"
)

QUERY_DESCRIPTION = (
    "Tell how a Scenext teaching-video job stands: its state (IN_PROGRESS, COMPLETED, FAILED), the frames so far, and,"
    " once COMPLETED, the link to the video. 查询教学视频任务的状态、画面和成片链接。\n"
    "Use it after gen_video, or whenever the user asks about a task_id they have. Not for starting a video: that is"
    " gen_video.\n"
    "A video takes 10 to 20 minutes: ask once straight away, then every 30 seconds, and stop at COMPLETED or FAILED."
    " Asking is free and changes nothing. Show the video as [text](url) and frames as ![text](url); the links expire.\n"
    "Needs the user's Scenext API key in the HTTP headers of the MCP connection (Authorization: Bearer or X-API-Key);"
    " never ask for it in the conversation."
)

GEN_DESCRIPTION = (
    "Start one Scenext job that makes a teaching video explaining a question; returns the job's task_id at once, not"
    " the video. 创建一个讲解题目的教学视频任务，立即返回 task_id。\n"
    "Use it when the user wants a new video about a question. Not for asking how a video stands, and not again for the"
    " same question: use query_video_status with the task_id instead.\n"
    "EVERY CALL STARTS AND CHARGES A NEW JOB (points of the user's account), also when it is repeated. A video takes 10"
    " to 20 minutes; poll query_video_status every 30 seconds.\n"
    "At least one of question and question_images is needed. A reference answer keeps the explanation accurate.\n"
    "Needs the user's Scenext API key in the HTTP headers of the MCP connection (Authorization: Bearer or X-API-Key);"
    " never ask for it in the conversation."
)

QUERY_SCHEMA = {
    "type": "object",
    "properties": {
        "task_id": {
            "type": "string",
            "description": "The job's id, exactly as gen_video returned it. 任务 ID，由 gen_video 返回。",
        }
    },
    "required": ["task_id"],
}
# Loose on purpose: upstream's object is passed on unchanged, and clients refuse a result that breaks its schema.
QUERY_OUTPUT = {
    "type": "object",
    "properties": {
        "task_id": {"description": "The job's id."},
        "status": {"description": "IN_PROGRESS, COMPLETED or FAILED."},
        "progress": {"description": "The frames so far: a list of {id, image}; images are signed links that expire."},
        "result": {"description": "Once COMPLETED or FAILED: video_url or error, as an object or a list of them."},
    },
}
GEN_OUTPUT = {
    "type": "object",
    "properties": {
        "task_id": {"type": "string", "description": "The new job's id, for query_video_status."},
        "status": {"description": "success: the job has started."},
        "message": {"description": "What to do next."},
    },
    "required": ["task_id"],
}


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


def gen_schema(default_quality: str) -> dict[str, Any]:
    """Return the input schema of gen_video, which names the quality that an operator chose."""

    def images(text: str) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "string"}, "description": text}

    return {
        "type": "object",
        "properties": {
            "question": {
                "type": "string",
                "description": "The question to explain, as text. Needed unless question_images is given. 题目文字。",
            },
            "answer": {
                "type": "string",
                "description": "A reference answer, as text; keeps the explanation accurate. 参考答案（可选）。",
            },
            "question_images": images("The question as images: URLs or Base64. 题目图片，URL 或 Base64。"),
            "answer_images": images("The reference answer as images: URLs or Base64. 参考答案图片（可选）。"),
            "quality": {
                "type": "string",
                "enum": list(QUALITIES),
                "description": "Video quality: h high, m medium, l low; if left out,"
                f" {default_quality}. 视频质量：h 高、m 中、l 低。",
            },
            "notify_url": {
                "type": "string",
                "description": "A complete http(s) URL that Scenext calls when the job ends. Leave it out unless the"
                " user gave one. 回调地址（可选）。",
            },
        },
    }
