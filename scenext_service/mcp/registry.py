"""What a server has and says about itself; its tools: what `tools/list` publishes and what `tools/call` runs.

Source: MCP 2026-07-28, server/tools; SEP-1303 (wrong arguments are a tool error, because the model can mend them).
"""

import logging
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import fastjsonschema
import orjson

from .arguments import Text, explain, explain_unknown, unknown
from .call import Call, Steps
from .jsonrpc import INVALID_PARAMS, RpcError
from .resources import Resources

log = logging.getLogger(__name__)

# Nothing changes while the server runs, so no listChanged.
CAPABILITIES: dict[str, Any] = {"tools": {}, "resources": {}}


class ToolError(Exception):
    """A failure explained to the model, as a result with `isError`."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A success: content blocks as MCP defines them, and the object they say in words.

    With an object, the first block of the result is that object as JSON, for clients that show only the content.
    """

    content: list[dict[str, Any]]
    structured: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool. `schema` is published and enforced; `aliases` maps other spellings of arguments to its own.

    `meanings` are those of the values of its enumerations. A tool that costs something says in `unspent` that nothing
    was spent, which ends each refusal of its arguments; it refuses the unknown ones too. That its schema does not
    say: hosts drop tools with `additionalProperties`.

    A tool that takes long is a generator function: what it yields is said in `call.Steps`.
    """

    name: str
    title: str
    description: str
    schema: dict[str, Any]
    call: Callable[[dict[str, Any], Call], ToolResult | Steps[ToolResult]]
    output_schema: dict[str, Any] | None = None
    annotations: dict[str, Any] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    meanings: Mapping[Any, Text] = field(default_factory=dict)
    unspent: Text | None = None
    meta: dict[str, Any] | None = None

    def definition(self) -> dict[str, Any]:
        """Return the tool as `tools/list` shows it."""
        optional = {"outputSchema": self.output_schema, "annotations": self.annotations, "_meta": self.meta}
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

    def definitions(self) -> list[dict[str, Any]]:
        """Return every tool's definition."""
        return [tool.definition() for tool in self._tools.values()]

    def call(self, params: dict[str, Any], call: Call) -> Steps[dict[str, Any]]:
        """Answer `tools/call`: `{"content": [...], "isError": bool}`, with `structuredContent` on success.

        Raises RpcError where the call itself is malformed or names no tool of ours.
        """
        call.record.tool = "unknown"
        tool = self._named(params.get("name"))
        call.record.tool = tool.name
        arguments = params.get("arguments")
        if arguments is not None and not isinstance(arguments, dict):
            unspent = "" if tool.unspent is None else f". {tool.unspent[0]}"
            raise RpcError(INVALID_PARAMS, f'Invalid params: "arguments" must be an object{unspent}')
        try:
            result = tool.call(self._checked(tool, arguments or {}), call)
            if isinstance(result, Generator):
                result = yield from result
        except ToolError as error:
            call.record.outcome = "tool_error"
            return {"content": [_text(str(error))], "isError": True}
        except Exception:
            # Tell the model that the tool failed, but not how.
            log.exception("tool %s failed", tool.name, extra={"fields": {"request_id": call.caller.request_id}})
            call.record.outcome = "internal_error"
            return {"content": [_text(INTERNAL_FAILURE.format(id=call.caller.request_id))], "isError": True}
        if result.structured is None:
            return {"content": result.content, "isError": False}
        written = orjson.dumps(result.structured).decode()
        return {"content": [_text(written), *result.content], "isError": False, "structuredContent": result.structured}

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
        if tool.unspent is not None and (names := unknown(named, tool.schema)):
            raise _refusal(tool, explain_unknown(tool.name, names, tool.schema))
        try:
            self._validate[tool.name](named)
        except fastjsonschema.JsonSchemaValueException as error:
            raise _refusal(tool, explain(tool.name, error, tool.meanings)) from None
        return named


@dataclass(frozen=True, slots=True)
class Server:
    """An MCP server: `info` is the specification's Implementation object, `instructions` are for the model.

    `extensions` are what it has beyond the protocol, as its capabilities name them; no legacy era does. `icons`, as
    `{"icons": list}`, belongs to `info`, but is too long for every answer that has it.
    """

    info: dict[str, Any]
    instructions: str
    tools: Registry
    resources: Resources = field(default_factory=Resources)
    extensions: Mapping[str, Any] = field(default_factory=dict)
    icons: Mapping[str, Any] = field(default_factory=dict)


def _refusal(tool: Tool, text: Text) -> ToolError:
    english, chinese = text
    if tool.unspent is not None:
        english, chinese = f"{english} {tool.unspent[0]}", f"{chinese}{tool.unspent[1]}"
    return ToolError(f"{english}\n\n{chinese}")


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


INTERNAL_FAILURE = (
    "This server failed while it ran the tool; the request was not at fault. Tell the user. Do not call a tool again"
    " that starts something or is charged for: it may have done so already. Any other may be tried once more in a"
    " minute. Request id: {id}\n\n服务器在执行工具时出错，与请求内容无关，请告知用户。"
    "会创建任务或扣费的工具请勿再次调用（可能已经生效）；其他工具可在一分钟后再试一次。请求 ID：{id}"
)
