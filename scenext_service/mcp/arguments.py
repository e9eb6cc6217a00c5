"""What the model is told of arguments that do not fit a tool, in English and Chinese.

Source: SEP-1303.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import fastjsonschema

Text = tuple[str, str]  # the same in English and in Chinese

_CHINESE_TYPES = {"string": "字符串", "array": "数组", "integer": "整数", "number": "数字", "boolean": "布尔值"}

# Clients add these to what a model wrote, and it cannot take them away again: n8n all four, until January 2026.
_ADDED = frozenset({"toolCallId", "sessionId", "chatInput", "action"})

_SHOWN = 5  # unknown arguments that are named


def unknown(arguments: Iterable[str], schema: Mapping[str, Any]) -> list[str]:
    """Return the arguments that a schema does not have, less those that clients add of their own."""
    added = (name for name in arguments if name not in schema.get("properties", {}))
    return [name for name in added if not name.startswith("_") and name not in _ADDED]


def explain_unknown(tool: str, names: list[str], schema: Mapping[str, Any]) -> Text:
    """Say which arguments are unknown, and which the tool has."""
    shown = ", ".join(map(_shown, names[:_SHOWN])) + (", …" if len(names) > _SHOWN else "")
    known = ", ".join(schema["properties"])
    return (
        f"The tool {tool} does not know the argument {shown}; it knows: {known}. Call it again with these only.",
        f"工具 {tool} 没有参数 {shown}；可用的参数：{known}。请只用这些参数重新调用。",
    )


def explain(tool: str, error: fastjsonschema.JsonSchemaValueException, meanings: Mapping[Any, Text]) -> Text:
    """Say which argument is wrong, what came and what is wanted; `meanings` are those of values of an enumeration."""
    # fastjsonschema calls the root "data", and the third entry of `images` "data.images[2]".
    where = (error.name or "").removeprefix("data").lstrip(".")
    came = _shown(error.value)
    if error.rule == "required":
        missing = next(name for name in error.rule_definition if name not in error.value)
        label = f"{where}.{missing}" if where else missing
        english = f'Missing argument "{label}" of the tool {tool}. Call it again with "{label}".'
        chinese = f"工具 {tool} 缺少参数 {label}。请补上 {label} 后重新调用。"
    elif error.rule == "type":
        kind = str(error.rule_definition)
        wanted = f"{'an' if kind[0] in 'aio' else 'a'} {kind}"
        english = (
            f'The argument "{where}" of the tool {tool} must be of type {kind}; got {came}. Call it again with'
            f" {wanted}."
        )
        chinese_kind = _CHINESE_TYPES.get(kind, kind)
        chinese = f"工具 {tool} 的参数 {where} 必须是{chinese_kind}，收到的是 {came}。请改正后重新调用。"
    elif error.rule == "enum":
        allowed, allowed_chinese = (_listed(error.rule_definition, meanings, language) for language in (0, 1))
        english = (
            f'The argument "{where}" of the tool {tool} must be one of: {allowed}; got {came}. Call it again with one'
            " of these."
        )
        chinese = f"工具 {tool} 的参数 {where} 只能是 {allowed_chinese} 之一，收到的是 {came}。请改正后重新调用。"
    else:
        said = error.message[:300]
        english = f"Wrong arguments for the tool {tool}: {said}. Call it again with arguments that fit its inputSchema."
        chinese = f"工具 {tool} 的参数不符合 inputSchema：{said}。请改正后重新调用。"
    return english, chinese


def _listed(values: Iterable[Any], meanings: Mapping[Any, Text], language: int) -> str:
    """Return the values of an enumeration, each with its meaning where there is one."""
    return ", ".join(f"{value} ({meanings[value][language]})" if value in meanings else str(value) for value in values)


def _shown(value: object) -> str:
    """Return a value as JSON-like words short enough for a sentence."""
    kinds = {dict: "an object", list: "an array", bool: str(value).lower(), type(None): "null"}
    text = kinds.get(type(value)) or repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
