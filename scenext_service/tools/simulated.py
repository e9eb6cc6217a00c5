"""Mark the sandbox's results as simulated, so that its videos are not mistaken for real ones.

A job takes one minute in the sandbox, so the tools' texts state that instead of a real job's duration.
"""

from dataclasses import replace
from typing import Any

from ..mcp import Call, Steps, Tool, ToolError, ToolResult
from ..mcp.tasks import Task
from ..scenext.failures import NotSent, ScenextError

TITLE = "Scenext (sandbox: simulated videos)"  # of the server
_ENGLISH = "Sandbox: this is simulated, and nothing is charged."
NOTE = f"{_ENGLISH} / 沙盒：结果均为模拟，不扣费。"

# Fields of a tool's result that hold this server's text for the model, and the note that is appended to each.
_NOTES = {"message": f"\n{NOTE}", "next": f" {_ENGLISH}"}


# A real job's duration, and the time after which a user may ask for it again, with those of the sandbox.
_DURATIONS = (
    ("10 to 20 minutes", "one minute"),
    ("10 到 20 分钟", "1 分钟"),
    ("again in 10 minutes", "again in one minute"),
)


def with_sandbox_times(text: str) -> str:
    """Return a text of the tools with the durations of the sandbox."""
    for real, simulated in _DURATIONS:
        text = text.replace(real, simulated)
    return text


def as_simulated(tool: Tool) -> Tool:
    """Return a tool whose results, and whose failures at Scenext, are marked as simulated."""

    def call(arguments: dict[str, Any], call: Call) -> Steps[ToolResult | Task]:
        try:
            result = yield from tool.call(arguments, call)
        except ToolError as failure:
            if isinstance(failure.__cause__, NotSent) or not isinstance(failure.__cause__, ScenextError):
                raise
            raise ToolError(f"{failure}\n{NOTE}", failure.meta) from failure
        return result if isinstance(result, Task) else simulated(result)

    return replace(tool, description=with_sandbox_times(tool.description), call=call)


def simulated(result: ToolResult) -> ToolResult:
    """Return a result that is marked as simulated."""
    content = [{**block, "text": f"{with_sandbox_times(block['text'])}\n{NOTE}"} for block in result.content]
    structured = result.structured or {}
    # Scenext may send any type of value as `message`.
    texts = {name: text for name in _NOTES if isinstance(text := structured.get(name), str)}
    noted = {name: with_sandbox_times(text) + _NOTES[name] for name, text in texts.items()}
    return replace(result, content=content, structured=structured | noted)
