"""What the sandbox's answers say besides: that they are made up, so that nobody takes its videos for real ones."""

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from ..mcp import Call, Steps, Tool, ToolError, ToolResult
from ..scenext.failures import NotSent, ScenextError

TITLE = "Scenext (sandbox: videos are made up)"  # of the server
_ENGLISH = "Sandbox: this is made up, and nothing is charged."
NOTE = f"{_ENGLISH} / 沙盒：内容均为虚构，不扣费。"

# What of a tool's object is a sentence of ours, for the model, and what follows it.
_SENTENCES = {"message": f"\n{NOTE}", "next": f" {_ENGLISH}"}


def said(tool: Tool) -> Tool:
    """Return a tool whose results, and whose failures at Scenext, say that they are made up."""

    def call(arguments: dict[str, Any], call: Call) -> Steps[ToolResult]:
        try:
            result = tool.call(arguments, call)
            if isinstance(result, Generator):
                result = yield from result
        except ToolError as failure:
            if isinstance(failure.__cause__, NotSent) or not isinstance(failure.__cause__, ScenextError):
                raise
            raise ToolError(f"{failure}\n{NOTE}") from failure
        content = [{**block, "text": f"{block['text']}\n{NOTE}"} for block in result.content]
        structured = result.structured or {}
        # As a message Scenext may send anything.
        ours = {name: words for name, words in _SENTENCES.items() if isinstance(structured.get(name), str)}
        return ToolResult(content, structured | {name: structured[name] + words for name, words in ours.items()})

    return replace(tool, call=call)
