"""What the model is told of arguments that do not fit a tool's schema, in English and Chinese.

Source: SEP-1303.
"""

import fastjsonschema

_CHINESE_TYPES = {"string": "字符串", "array": "数组", "integer": "整数", "number": "数字", "boolean": "布尔值"}


def explain(tool: str, error: fastjsonschema.JsonSchemaValueException) -> str:
    """Say which argument is wrong, what came and what is wanted, in English and Chinese."""
    # fastjsonschema calls the root "data", and the third entry of `images` "data.images[2]".
    where = (error.name or "").removeprefix("data").lstrip(".")
    came = _shown(error.value)
    if error.rule == "required":
        missing = next(name for name in error.rule_definition if name not in error.value)
        label = f"{where}.{missing}" if where else missing
        return (
            f'Missing argument "{label}" of the tool {tool}. Call it again with "{label}".\n\n'
            f"工具 {tool} 缺少参数 {label}。请补上 {label} 后重新调用。"
        )
    if error.rule == "type":
        kind = str(error.rule_definition)
        return (
            f'The argument "{where}" of the tool {tool} must be of type {kind}; got {came}. Call it again with a'
            f" {kind}.\n\n工具 {tool} 的参数 {where} 必须是{_CHINESE_TYPES.get(kind, kind)}，收到的是 {came}。"
            "请改正后重新调用。"
        )
    if error.rule == "enum":
        allowed = ", ".join(map(str, error.rule_definition))
        return (
            f'The argument "{where}" of the tool {tool} must be one of: {allowed}; got {came}. Call it again with'
            f" one of these.\n\n工具 {tool} 的参数 {where} 只能是 {allowed} 之一，收到的是 {came}。"
            "请改正后重新调用。"
        )
    return (
        f"Wrong arguments for the tool {tool}: {error.message[:300]}. Call it again with arguments that fit its"
        f" inputSchema.\n\n工具 {tool} 的参数不符合 inputSchema：{error.message[:300]}。请改正后重新调用。"
    )


def _shown(value: object) -> str:
    """Return a value as JSON-like words short enough for a sentence."""
    kinds = {dict: "an object", list: "an array", bool: str(value).lower(), type(None): "null"}
    text = kinds.get(type(value)) or repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
