"""The tools: what `tools/list` publishes and what `tools/call` runs.

Source: MCP 2026-07-28, server/tools; SEP-1303 (wrong arguments are a tool error, because the model can mend them).
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import fastjsonschema

from .arguments import explain
from .eras import CLIENT_CAPABILITIES
from .jsonrpc import INVALID_PARAMS, MISSING_REQUIRED_CLIENT_CAPABILITY, RpcError
from .mirror import Mirrored, mirrored

log = logging.getLogger(__name__)


class ToolError(Exception):
    """A failure that the model is told in words, as a result with `isError`."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What a tool may know of the HTTP request it serves. `repr` hides both headers: they carry keys."""

    authorization: str | None = field(default=None, repr=False)  # the Authorization header, as sent
    api_key: str | None = field(default=None, repr=False)  # the X-API-Key header, as sent
    received: float = 0.0  # time.monotonic() when the request had been read
    request_id: str = ""  # the request's own, or one that was made for it
    traceparent: str | None = None  # W3C Trace Context, from the metadata or the header
    log: dict[str, Any] = field(default_factory=dict)  # fields that the tool adds to the call's log line


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A success: content blocks as MCP defines them, and the object they say in words."""

    content: list[Any]
    structured: Any = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool. `schema` is published and enforced; `aliases` maps other spellings of arguments to its own.

    `requires` are the client capabilities without which it cannot work, as a ClientCapabilities object.
    """

    name: str
    title: str
    description: str
    schema: dict[str, Any]
    call: Callable[[dict[str, Any], Caller], ToolResult]
    output_schema: dict[str, Any] | None = None
    annotations: dict[str, Any] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    requires: Mapping[str, Any] = field(default_factory=dict)

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
        self._mirrored = {tool.name: mirrored(tool.schema) for tool in self._tools.values()}

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def definitions(self) -> list[dict[str, Any]]:
        """Return every tool's definition."""
        return [tool.definition() for tool in self._tools.values()]

    def mirrored(self, name: str) -> tuple[Mirrored, ...]:
        """Return the arguments of a tool that its caller mirrors into headers; none where there is no such tool."""
        return self._mirrored.get(name, ())

    def call(self, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        """Answer `tools/call`: `{"content": [...], "isError": bool}`, with `structuredContent` on success.

        Raises RpcError where the call itself is malformed, names no tool of ours, or comes from a client that lacks a
        capability that the tool requires.
        """
        tool = self._named(params.get("name"))
        arguments = params.get("arguments")
        if arguments is not None and not isinstance(arguments, dict):
            raise RpcError(INVALID_PARAMS, 'Invalid params: "arguments" must be an object')
        if tool.requires:
            _check_capabilities(tool, params.get("_meta"))
        try:
            result = tool.call(self._checked(tool, arguments or {}), caller)
        except ToolError as error:
            caller.log["outcome"] = "tool_error"
            return {"content": [{"type": "text", "text": str(error)}], "isError": True}
        except Exception:
            # A bug of ours is no reason to leave the model without a word, nor to tell it what broke.
            log.exception("tool %s failed", tool.name, extra={"fields": {"request_id": caller.request_id}})
            caller.log["outcome"] = "internal_error"
            return {"content": [{"type": "text", "text": INTERNAL_FAILURE}], "isError": True}
        answer = {"content": result.content, "isError": False}
        if result.structured is not None:
            answer["structuredContent"] = result.structured
        return answer

    def _named(self, name: Any) -> Tool:
        if not isinstance(name, str):
            raise RpcError(INVALID_PARAMS, 'Invalid params: "name" must be a string, the name of a tool')
        tool = self._tools.get(name)
        if tool is None:
            raise RpcError(INVALID_PARAMS, f"Unknown tool: {name[:100]}. Known tools: {', '.join(self._tools)}")
        return tool

    def _checked(self, tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments under the schema's names, without nulls. Raises ToolError where the schema says no."""
        given = {key: value for key, value in arguments.items() if value is not None}
        aliased = {tool.aliases[key]: given.pop(key) for key in tool.aliases.keys() & given.keys()}
        named = aliased | given  # the tool's own spelling wins
        try:
            self._validate[tool.name](named)
        except fastjsonschema.JsonSchemaValueException as error:
            raise ToolError(explain(tool.name, error)) from None
        return named


def _check_capabilities(tool: Tool, meta: Any) -> None:
    """Raise RpcError where the request does not declare what the tool requires. Legacy requests declare nothing."""
    declared = meta.get(CLIENT_CAPABILITIES) if isinstance(meta, dict) else None
    missing = {name: value for name, value in tool.requires.items() if name not in (declared or {})}
    if missing:
        raise RpcError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            f"Missing required client capability: {', '.join(missing)}",
            data={"requiredCapabilities": missing},
        )


INTERNAL_FAILURE = (
    "This server failed while it ran the tool; the request was not at fault. Tell the user. Do not call a tool again"
    " that starts something or is charged for: it may have done so already. Any other may be tried once more in a"
    " minute.\n\n服务器在执行工具时出错，与请求内容无关，请告知用户。"
    "会创建任务或扣费的工具请勿再次调用（可能已经生效）；其他工具可在一分钟后再试一次。"
)
