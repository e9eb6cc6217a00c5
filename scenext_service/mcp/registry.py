"""The tools: what `tools/list` publishes and what `tools/call` runs.

Source: MCP 2026-07-28, server/tools; SEP-1303 (wrong arguments are a tool error, because the model can mend them).
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import fastjsonschema

from .jsonrpc import INVALID_PARAMS, RpcError

log = logging.getLogger(__name__)


class ToolError(Exception):
    """A failure that the model is told in words, as a result with `isError`."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What a tool may know of the HTTP request it serves. `repr` hides both headers: they carry keys."""

    authorization: str | None = field(default=None, repr=False)  # the Authorization header, as sent
    api_key: str | None = field(default=None, repr=False)  # the X-API-Key header, as sent
    received: float = 0.0  # time.monotonic() when the request had been read
    log: dict[str, Any] = field(default_factory=dict)  # fields that the tool adds to the call's log line


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A success: content blocks as MCP defines them, and the object they say in words."""

    content: list[Any]
    structured: Any = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool. `schema` is published and enforced; `aliases` maps other spellings of arguments to its own."""

    name: str
    title: str
    description: str
    schema: dict[str, Any]
    call: Callable[[dict[str, Any], Caller], ToolResult]
    output_schema: dict[str, Any] | None = None
    annotations: dict[str, Any] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)

    def definition(self) -> dict[str, Any]:
        """Return the tool as `tools/list` shows it."""
        optional = {"outputSchema": self.output_schema, "annotations": self.annotations}
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": self.schema,
            **{key: value for key, value in optional.items() if value is not None},
        }


class Registry:
    """The tools of a server, in the order in which they are listed."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._validate = {tool.name: fastjsonschema.compile(tool.schema) for tool in self._tools.values()}

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def definitions(self) -> list[dict[str, Any]]:
        """Return every tool's definition."""
        return [tool.definition() for tool in self._tools.values()]

    def call(self, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        """Answer `tools/call`: `{"content": [...], "isError": bool}`, with `structuredContent` on success.

        Raises RpcError(INVALID_PARAMS) where the call itself is malformed or names no tool of ours.
        """
        name = params.get("name")
        if not isinstance(name, str):
            raise RpcError(INVALID_PARAMS, 'Invalid params: "name" must be a string, the name of a tool')
        tool = self._tools.get(name)
        if tool is None:
            raise RpcError(INVALID_PARAMS, f"Unknown tool: {name[:100]}. Known tools: {', '.join(self._tools)}")
        arguments = params.get("arguments")
        if arguments is not None and not isinstance(arguments, dict):
            raise RpcError(INVALID_PARAMS, 'Invalid params: "arguments" must be an object')
        try:
            result = tool.call(self._checked(tool, arguments or {}), caller)
        except ToolError as error:
            caller.log["outcome"] = "tool_error"
            return {"content": [{"type": "text", "text": str(error)}], "isError": True}
        except Exception:
            # A bug of ours is no reason to leave the model without a word, nor to tell it what broke.
            log.exception("tool %s failed", tool.name)
            caller.log["outcome"] = "internal_error"
            return {"content": [{"type": "text", "text": INTERNAL_FAILURE}], "isError": True}
        answer = {"content": result.content, "isError": False}
        if result.structured is not None:
            answer["structuredContent"] = result.structured
        return answer

    def _checked(self, tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments under the schema's names, without nulls. Raises ToolError where the schema says no."""
        given = {key: value for key, value in arguments.items() if value is not None}
        aliased = {tool.aliases[key]: given.pop(key) for key in tool.aliases.keys() & given.keys()}
        named = aliased | given  # the tool's own spelling wins
        try:
            self._validate[tool.name](named)
        except fastjsonschema.JsonSchemaValueException as error:
            raise ToolError(_explain(tool, error)) from None
        return named


INTERNAL_FAILURE = (
    "This server failed while it ran the tool; the request was not at fault. Tell the user. Do not call a tool again"
    " that starts something or is charged for: it may have done so already. Any other may be tried once more in a"
    " minute.\n\n服务器在执行工具时出错，与请求内容无关，请告知用户。"
    "会创建任务或扣费的工具请勿再次调用（可能已经生效）；其他工具可在一分钟后再试一次。"
)

_CHINESE_TYPES = {"string": "字符串", "array": "数组", "integer": "整数", "number": "数字", "boolean": "布尔值"}


def _explain(tool: Tool, error: fastjsonschema.JsonSchemaValueException) -> str:
    """Say which argument is wrong, what came and what is wanted, in English and Chinese."""
    # fastjsonschema calls the root "data", and the third entry of `images` "data.images[2]".
    where = (error.name or "").removeprefix("data").lstrip(".")
    came = _shown(error.value)
    if error.rule == "required":
        missing = next(name for name in error.rule_definition if name not in error.value)
        label = f"{where}.{missing}" if where else missing
        return (
            f'Missing argument "{label}" of the tool {tool.name}. Call it again with "{label}".\n\n'
            f"工具 {tool.name} 缺少参数 {label}。请补上 {label} 后重新调用。"
        )
    if error.rule == "type":
        kind = str(error.rule_definition)
        return (
            f'The argument "{where}" of the tool {tool.name} must be of type {kind}; got {came}. Call it again with a'
            f" {kind}.\n\n工具 {tool.name} 的参数 {where} 必须是{_CHINESE_TYPES.get(kind, kind)}，收到的是 {came}。"
            "请改正后重新调用。"
        )
    if error.rule == "enum":
        allowed = ", ".join(map(str, error.rule_definition))
        return (
            f'The argument "{where}" of the tool {tool.name} must be one of: {allowed}; got {came}. Call it again with'
            f" one of these.\n\n工具 {tool.name} 的参数 {where} 只能是 {allowed} 之一，收到的是 {came}。"
            "请改正后重新调用。"
        )
    return (
        f"Wrong arguments for the tool {tool.name}: {error.message[:300]}. Call it again with arguments that fit its"
        f" inputSchema.\n\n工具 {tool.name} 的参数不符合 inputSchema：{error.message[:300]}。请改正后重新调用。"
    )


def _shown(value: object) -> str:
    """Return a value as JSON-like words short enough for a sentence."""
    kinds = {dict: "an object", list: "an array", bool: str(value).lower(), type(None): "null"}
    text = kinds.get(type(value)) or repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
