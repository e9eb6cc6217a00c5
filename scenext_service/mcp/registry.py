"""The description of a server, and its tools: published by `tools/list`, run by `tools/call`.

Hosts change arguments on their way from the model, so the arguments are normalized before they are validated. Invalid
ones are a tool error (SEP-1303), because the model can correct them.

Source: MCP 2026-07-28, server/tools; SEP-1303; bug reports of hosts, among them anthropics/claude-code#22394 and #59227
(lists as JSON text), github/github-mcp-server#2044 (integers as strings), lmstudio-ai/lmstudio-bug-tracker#1626
(strings of digits as numbers) and coder/xum#2887 (blank optional arguments).
"""

import logging
import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import fastjsonschema
import orjson

from .context import Call, Steps
from .jsonrpc import INVALID_PARAMS, RpcError, loads
from .resources import Resource, Resources
from .tasks import EXTENSION as TASKS_EXTENSION
from .tasks import Task, Tasks

log = logging.getLogger(__name__)

Text = tuple[str, str]  # the same text in English and in Chinese

# Nothing changes while the server runs, so listChanged is not declared.
CAPABILITIES: dict[str, Any] = {"tools": {}, "resources": {}}


class ToolError(Exception):
    """A failure to explain to the model, sent as a result with `isError`. `meta` becomes the result's `_meta`."""

    def __init__(self, text: str, meta: dict[str, Any] | None = None) -> None:
        super().__init__(text)
        self.meta = meta


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A result: MCP content blocks and, if `structured` is set, the same facts as an object.

    The object is also sent as JSON in a first content block, for clients that show only the content. A result that
    reports a failure as data sets `failed`.
    """

    content: list[dict[str, Any]]
    structured: dict[str, Any] | None = None
    failed: bool = False

    def written(self) -> dict[str, Any]:
        """Return the result as sent to the client."""
        if self.structured is None:
            return {"content": self.content, "isError": self.failed}
        content = [_text(orjson.dumps(self.structured).decode()), *self.content]
        return {"content": content, "isError": self.failed, "structuredContent": self.structured}


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool. `schema` is published and enforced; `aliases` maps alternative argument names to those of the schema.

    `numeric` names string arguments that may arrive as integers, because some hosts convert every string of digits.

    `meanings` explains the values of its enumerations. `error_suffix` ends each error text about its arguments. A tool
    that costs something sets `rejects_unknown_arguments`. Its schema does not declare this, because hosts drop tools
    with `additionalProperties`.

    `call` is a generator function: `context.Steps` describes the values that it yields. The message is released before
    the tool starts, so a running tool holds only its own arguments. It may end in a task instead of a result.
    """

    name: str
    title: str
    description: str
    schema: dict[str, Any]
    call: Callable[[dict[str, Any], Call], Steps[ToolResult | Task]]
    output_schema: dict[str, Any] | None = None
    annotations: dict[str, Any] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    numeric: frozenset[str] = frozenset()
    meanings: Mapping[Any, Text] = field(default_factory=dict)
    rejects_unknown_arguments: bool = False
    error_suffix: Text = ("", "")
    meta: dict[str, Any] | None = None

    def definition(self) -> dict[str, Any]:
        """Return the tool as published by `tools/list`."""
        optional = {"outputSchema": self.output_schema, "annotations": self.annotations, "_meta": self.meta}
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": self.schema,
            **{key: value for key, value in optional.items() if value is not None},
        }


class Registry:
    """The tools of a server, in listing order."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._validate = {tool.name: fastjsonschema.compile(tool.schema) for tool in self._tools.values()}

    def definitions(self) -> list[dict[str, Any]]:
        """Return the definitions of all tools."""
        return [tool.definition() for tool in self._tools.values()]

    def call(self, params: dict[str, Any], call: Call) -> Steps[dict[str, Any]]:
        """Handle `tools/call`. The steps end in `{"content": [...], "isError": bool}`.

        A successful result with an object also has `structuredContent`. A task has other members. Raises RpcError if
        the call itself is malformed or names an unknown tool, and those of the tool.
        """
        call.record.tool = "unknown"
        tool = self._named(params.get("name"))
        call.record.tool = tool.name
        arguments = params.get("arguments")
        if arguments is not None and not isinstance(arguments, dict):
            suffix = f". {tool.error_suffix[0]}" if tool.error_suffix[0] else ""
            raise RpcError(INVALID_PARAMS, f'Invalid params: "arguments" must be an object{suffix}')
        return self._run(tool, arguments or {}, call)

    def _run(self, tool: Tool, arguments: dict[str, Any], call: Call) -> Steps[dict[str, Any]]:
        """Validate the arguments and run the tool. The arguments as received are released before the tool starts."""
        try:
            arguments = self._checked(tool, arguments)
            result = yield from tool.call(arguments, call)
        except ToolError as error:
            call.record.outcome = "tool_error"
            failed = {"content": [_text(str(error))], "isError": True}
            return failed if error.meta is None else {**failed, "_meta": error.meta}
        except RpcError:
            raise
        except Exception:
            # The model gets no details of the failure.
            fields = {"tool": tool.name, "request_id": call.caller.request_id}
            log.exception("tool failed", extra={"fields": fields})
            call.record.outcome = "internal_error"
            return {"content": [_text(INTERNAL_FAILURE.format(id=call.caller.request_id))], "isError": True}
        return result.written()

    def _named(self, name: Any) -> Tool:
        if not isinstance(name, str):
            raise RpcError(INVALID_PARAMS, 'Invalid params: "name" must be a string, the name of a tool')
        tool = self._tools.get(name)
        if tool is None:
            raise RpcError(INVALID_PARAMS, f"Unknown tool: {name[:100]}. Known tools: {', '.join(self._tools)}")
        return tool

    def _checked(self, tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the normalized arguments of the schema. Raises ToolError if they are invalid."""
        named = normalized(arguments, tool.schema, tool.aliases, tool.numeric)
        if tool.rejects_unknown_arguments and (names := unknown_arguments(named, tool.schema)):
            raise _argument_error(tool, explain_unknown(tool.name, names, tool.schema))
        try:
            self._validate[tool.name](named)
        except fastjsonschema.JsonSchemaValueException as error:
            raise _argument_error(tool, explain_violation(tool.name, error, tool.meanings)) from None
        return {name: named[name] for name in tool.schema.get("properties", {}) if name in named}


class Server:
    """An MCP server: `info` is the specification's Implementation object, `instructions` are for the model.

    `icons`, as `{"icons": list}`, belongs to `info`, but only `server/discover` sends it: it is long, and some clients
    reject it. A server whose tools return tasks has `tasks`.
    """

    def __init__(
        self,
        info: dict[str, Any],
        instructions: str,
        tools: Iterable[Tool],
        resources: Iterable[Resource] = (),
        icons: Mapping[str, Any] = MappingProxyType({}),
        tasks: Tasks | None = None,
    ) -> None:
        self.info = info
        self.instructions = instructions
        self.tools = Registry(tools)
        self.resources = Resources(resources)
        self.icons = icons
        self.tasks = tasks

    def extensions(self) -> dict[str, Any]:
        """Return the protocol extensions to declare, without settings: some clients of tasks accept only `{}`."""
        return {**self.resources.extensions(), **({} if self.tasks is None else {TASKS_EXTENSION: {}})}


def _argument_error(tool: Tool, text: Text) -> ToolError:
    english, chinese = text
    english_suffix, chinese_suffix = tool.error_suffix
    return ToolError(f"{english} {english_suffix}".rstrip() + f"\n\n{chinese}{chinese_suffix}")


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


INTERNAL_FAILURE = (
    "This server failed while running the tool; the request did not cause it. Tell the user. If the tool starts or"
    " costs something, do not call it again: something may already have been started or charged. Any other tool can be"
    " called once more in a minute. Request id: {id}\n\n服务器在执行工具时出错，与请求内容无关，请告知用户。"
    "会创建任务或扣费的工具请勿再次调用（可能已经生效）；其他工具可在一分钟后再试一次。请求 ID：{id}"
)


_CHINESE_TYPES = {"string": "字符串", "array": "数组", "integer": "整数", "number": "数字", "boolean": "布尔值"}

# Arguments that clients add to those of the model, which cannot remove them: n8n adds the first four (until January
# 2026), Cline `task_progress` (cline/cline#9684), and Gemini CLI `wait_for_previous`.
_ADDED_BY_CLIENTS = frozenset({"toolCallId", "sessionId", "chatInput", "action", "task_progress", "wait_for_previous"})

_MAX_LISTED = 5  # unknown arguments that an error text lists

_DECIMAL = re.compile(r"\s*+([+-]?[0-9]{1,15})(?:\.0+)?\s*+")  # "50.0" too: in JSON Schema, 50.0 is an integer
_JSON_LIST = re.compile(r"\s*+\[")


def normalized(
    arguments: Mapping[str, Any], schema: Mapping[str, Any], aliases: Mapping[str, str], numeric: Container[str]
) -> dict[str, Any]:
    """Return the arguments under the schema's names, with the changes that hosts make undone.

    Null counts as absent, and so does a blank value of an optional argument. If the schema requires a list of strings
    or an integer, a string that holds one is converted. An integer becomes a string for the arguments in `numeric`. Any
    other value is left unchanged for validation.
    """
    properties, required = schema.get("properties", {}), schema.get("required", ())
    named: dict[str, Any] = {}
    keys: Iterable[str] = arguments
    if not aliases.keys().isdisjoint(arguments):
        keys = sorted(arguments, key=lambda key: key not in aliases)  # the tool's own name comes last and wins
    for key in keys:
        name = aliases.get(key, key)
        value = _typed(arguments[key], properties.get(name, {}), name in numeric)
        optional = name in properties and name not in required
        if value is None or (_is_blank(value) and (optional or name in named)):
            continue
        named[name] = value
    return named


def _typed(value: Any, schema: Mapping[str, Any], numeric: bool) -> Any:
    """Return a value in the type that its schema requires, if a host changed only the type."""
    kind = schema.get("type")
    if numeric and type(value) is int and value >= 0:  # bool is a subclass; beyond 64 bits orjson returns a float
        return str(value)
    if not isinstance(value, str):
        return value
    if kind == "integer" and (match := _DECIMAL.fullmatch(value)):
        return int(match[1])
    if kind == "array" and schema.get("items") == {"type": "string"} and _JSON_LIST.match(value):
        try:
            return loads(value.encode())  # with the same limits as a request body
        except RpcError:
            return value
    return value


def _is_blank(value: Any) -> bool:
    """Return whether a value is an empty or whitespace-only string, or a list without any other items."""
    if isinstance(value, str):
        return not value or value.isspace()
    return isinstance(value, list) and all(isinstance(text, str) and (not text or text.isspace()) for text in value)


def unknown_arguments(arguments: Iterable[str], schema: Mapping[str, Any]) -> list[str]:
    """Return the arguments that the schema does not define, except those that clients add.

    A name with a leading underscore counts as added by a client.
    """
    added = (name for name in arguments if name not in schema.get("properties", {}))
    return [name for name in added if not name.startswith("_") and name not in _ADDED_BY_CLIENTS]


def explain_unknown(tool: str, names: list[str], schema: Mapping[str, Any]) -> Text:
    """Return the error text that lists the unknown arguments and those that the tool accepts."""
    shown = ", ".join(map(_abbreviated, names[:_MAX_LISTED])) + (", …" if len(names) > _MAX_LISTED else "")
    known = ", ".join(schema["properties"])
    return (
        f"The tool {tool} has no argument {shown}; its arguments are: {known}. Call it again with these only.",
        f"工具 {tool} 没有参数 {shown}；可用的参数：{known}。请只用这些参数重新调用。",
    )


def explain_violation(tool: str, error: fastjsonschema.JsonSchemaValueException, meanings: Mapping[Any, Text]) -> Text:
    """Return the error text for a schema violation: the argument, the received value and the expected one.

    `meanings` explains the values of enumerations.
    """
    # fastjsonschema names the root "data", and the third item of `images` "data.images[2]".
    where = (error.name or "").removeprefix("data").lstrip(".")
    received = _abbreviated(error.value)
    if error.rule == "required":
        missing = next(name for name in error.rule_definition if name not in error.value)
        label = f"{where}.{missing}" if where else missing
        english = f'Missing argument "{label}" of the tool {tool}. Call it again with "{label}".'
        chinese = f"工具 {tool} 缺少参数 {label}。请补上 {label} 后重新调用。"
    elif error.rule == "type":
        kind = str(error.rule_definition)
        wanted = f"{'an' if kind[0] in 'aio' else 'a'} {kind}"
        english = (
            f'The argument "{where}" of the tool {tool} must be of type {kind}; got {received}. Call it again with'
            f" {wanted}."
        )
        chinese_kind = _CHINESE_TYPES.get(kind, kind)
        chinese = f"工具 {tool} 的参数 {where} 必须是{chinese_kind}，收到的是 {received}。请改正后重新调用。"
    elif error.rule == "enum":
        allowed, allowed_chinese = (_enumerated(error.rule_definition, meanings, language) for language in (0, 1))
        english = (
            f'The argument "{where}" of the tool {tool} must be one of: {allowed}; got {received}. Call it again with'
            " one of these."
        )
        chinese = f"工具 {tool} 的参数 {where} 只能是 {allowed_chinese} 之一，收到的是 {received}。请改正后重新调用。"
    elif error.rule == "minimum":
        english, chinese = _explain_minimum(tool, where, received, error.rule_definition)
    else:
        problem = error.message[:300]
        english = (
            f"Wrong arguments for the tool {tool}: {problem}. Call it again with arguments that fit its inputSchema."
        )
        chinese = f"工具 {tool} 的参数不符合 inputSchema：{problem}。请改正后重新调用。"
    return english, chinese


def _explain_minimum(tool: str, where: str, received: str, least: int) -> Text:
    english = (
        f'The argument "{where}" of the tool {tool} must be at least {least}; got {received}. Call it again with a'
        " larger number."
    )
    return english, f"工具 {tool} 的参数 {where} 不能小于 {least}，收到的是 {received}。请改正后重新调用。"


def _enumerated(values: Iterable[Any], meanings: Mapping[Any, Text], language: int) -> str:
    """Return the values of an enumeration as text, each with its meaning if it has one."""
    return ", ".join(f"{value} ({meanings[value][language]})" if value in meanings else str(value) for value in values)


def _abbreviated(value: object) -> str:
    """Return a value as JSON-like text of at most 80 characters."""
    kinds = {dict: "an object", list: "an array", bool: str(value).lower(), type(None): "null"}
    text = kinds.get(type(value)) or repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
