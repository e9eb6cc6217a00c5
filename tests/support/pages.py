"""Read the documentation pages: commands, examples, tables, headings and links.

`python tests/support/pages.py Test` prints the command of the README's section "Test". Continuous integration runs this
command, and that of "Try it". The tests compare the pages with the code, and each page with its translation.
"""

import json
import re
import shlex
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
ENGLISH_ONLY = ("CONTRIBUTING.md", "CHANGELOG.md", "docs/maintaining.md")
_ENGLISH = [
    "README.md",
    *sorted(
        name
        for path in (ROOT / "docs").glob("*.md")
        if path.suffixes == [".md"] and (name := f"docs/{path.name}") not in ENGLISH_ONLY
    ),
]
TRANSLATIONS = {name: f"{name.removesuffix('.md')}.zh.md" for name in _ENGLISH}

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: its language, its text and the headings above it, outermost first."""

    language: str
    text: str
    headings: tuple[str, ...]


class Table(NamedTuple):
    """A table: its raw cells by row, without the header row, and the headings above it, outermost first."""

    rows: list[list[str]]
    headings: tuple[str, ...]

    def column(self, number: int) -> list[str]:
        """Return the cells of a column without backticks."""
        return [row[number].strip("`") for row in self.rows]


class Example(NamedTuple):
    """A curl command on a page, the request that it sends, and the response that the page shows.

    `program` is the argument of `python3 -c` if the command pipes the response into it. Then `answer` is its output.
    """

    page: str
    command: str
    path: str
    headers: dict[str, str]
    body: Any
    program: str | None
    answer: Any


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a Markdown text, in order."""
    found: list[Block] = []
    headings: list[str] = []
    for match in re.finditer(r"^(#+) ([^\n]+)$|^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if match[1]:
            headings = [*headings[: len(match[1]) - 1], match[2]]
        else:
            found.append(Block(match[3], match[4], tuple(headings)))
    return found


def page(name: str) -> str:
    """Return the text of a page of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def headings(text: str) -> list[tuple[int, str]]:
    """Return the level and the text of each heading, in order."""
    return [(len(match[1]), match[2]) for match in re.finditer(r"^(#+) (.+)$", _FENCE.sub("", text), re.MULTILINE)]


def tables(text: str) -> list[Table]:
    """Return the tables of a Markdown text, in order."""
    found: list[Table] = []
    above: list[str] = []
    for match in re.finditer(r"^(#+) (.+)$|^\|.+\n\|[-|]+\n((?:\|.+\n?)+)", _FENCE.sub("", text), re.MULTILINE):
        if match[1]:
            above = [*above[: len(match[1]) - 1], match[2]]
        else:
            rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in match[3].splitlines()]
            found.append(Table(rows, tuple(above)))
    return found


def links(text: str) -> list[str]:
    """Return the targets of the links and images of a Markdown text, in order."""
    return re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", text))


def anchor(heading: str) -> str:
    """Return the URL fragment that GitHub generates for a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def command(section: str) -> str:
    """Return the shell command below a heading that installs the packages in a clone, and uses them."""
    text = README.read_text(encoding="utf-8")
    found = [block.text for block in blocks(text) if section in block.headings and "python3 -m venv" in block.text]
    if not found:
        raise ValueError(f"README.md has no command that installs the packages below the heading {section}")
    return found[0]


def examples() -> list[Example]:
    """Return every curl command of the English pages that is followed by its response or output."""
    return [
        _example(name, first.text, second.text)
        for name in TRANSLATIONS
        for first, second in pairwise(blocks(page(name)))
        if first.text.startswith("curl ") and second.language in ("json", "text") and first.headings == second.headings
    ]


def _example(name: str, text: str, answer: str) -> Example:
    words = shlex.split(text)
    headers = dict(words[n + 1].split(": ", 1) for n, word in enumerate(words) if word == "-H")
    url = next(word for word in words if word.startswith("http"))
    body = json.loads(words[words.index("-d") + 1])
    program = words[-1] if words[-4:-1] == ["|", "python3", "-c"] else None
    shown = answer if program else json.loads(answer)
    return Example(name, text, url.removeprefix("http://127.0.0.1:8000"), headers, body, program, shown)


if __name__ == "__main__":
    sys.stdout.write(command(sys.argv[1]))
