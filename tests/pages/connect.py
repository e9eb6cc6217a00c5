"""Write `docs/connect.md` and its translation from the lists of clients and the templates in `docs/connect/`.

    python -m tests.pages.connect

The lists are `scenext_service/web/assets/clients.toml`, which the page at `/` shows too, and
`docs/connect/clients.toml`. A template has the text of a page, with `block(id, language, number)` for a code block of
a client and `form(id)` for the table of its fields, with `sign_in=True` at a server with sign-in.
"""

import re
import tomllib
from functools import partial
from typing import Any

from jinja2 import Environment, StrictUndefined

from tests.support.pages import ROOT, page

LISTS = ("scenext_service/web/assets/clients.toml", "docs/connect/clients.toml")
HEADERS = {"connect.md": "| field | value |", "connect.zh.md": "| 字段 | 值 |"}
SIGN_IN = "https://YOUR-APP.example.com/mcp/signin"
DEPLOYED, LOCAL = "https://YOUR-APP.example.com/mcp", "http://127.0.0.1:8000/mcp"

# Offered by a form; other values are typed.
_CHOICES = {"No authentication", "OAuth", "HTTP Streamable", "Bearer Auth", "API key", "Header"}
_LABEL = re.compile(r"(新建..中的 )?([^,（]+)")  # the label in the form comes first, except after these Chinese words


def clients() -> dict[str, dict[str, Any]]:
    """Return all clients by id."""
    return {client["id"]: client for name in LISTS for client in tomllib.loads(page(name))["client"]}


def render(name: str) -> str:
    """Return the current text of a page."""
    by_id = clients()
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701  # Markdown, not HTML
    return environment.from_string(page(f"docs/connect/{name}.jinja")).render(
        block=partial(_block, by_id), form=partial(_form, by_id, name), deployed=DEPLOYED, local=LOCAL
    )


def _block(by_id: dict[str, dict[str, Any]], client: str, language: str, number: int = 0) -> str:
    return f"```{language}\n{by_id[client]['blocks'][number]}```"


def _form(by_id: dict[str, dict[str, Any]], name: str, client: str, *, sign_in: bool = False) -> str:
    rows = [HEADERS[name], "|---|---|"]
    form = by_id[client]["sign_in"] if sign_in else by_id[client]
    for english, chinese, value in form["fields"]:
        value = value.replace("SIGN_IN_URL", SIGN_IN)
        label = _LABEL.sub(r"\1**\2**", chinese if ".zh." in name else english, count=1)
        rows.append(f"| {label} | {value if value in _CHOICES else f'`{value}`'} |")
    return "\n".join(rows)


def main() -> None:
    """Write both pages."""
    for name in HEADERS:
        (ROOT / "docs" / name).write_text(render(name), encoding="utf-8")


if __name__ == "__main__":
    main()
