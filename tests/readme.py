"""The commands and examples of the README, read from it. `python tests/readme.py Run` prints a section's first command.

The continuous integration runs what this prints, and the tests compare the examples with the golden exchanges.
"""

import json
import re
import shlex
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

README = Path(__file__).parent.parent / "README.md"


class Block(NamedTuple):
    """A fenced block: its language, its text and the headings above it, outermost first."""

    language: str
    text: str
    headings: tuple[str, ...]


class Example(NamedTuple):
    """A curl command, the request that it sends, and the answer that the README gives for it."""

    command: str
    path: str
    headers: dict[str, str]
    body: Any
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


def command(section: str) -> str:
    """Return the first shell command below a heading."""
    text = README.read_text(encoding="utf-8")
    return next(block.text for block in blocks(text) if section in block.headings and block.language == "sh")


def examples() -> list[Example]:
    """Return every curl command that is followed by its answer."""
    found = blocks(README.read_text(encoding="utf-8"))
    return [
        _example(first.text, second.text)
        for first, second in pairwise(found)
        if first.text.startswith("curl ") and second.language == "json" and first.headings == second.headings
    ]


def _example(text: str, answer: str) -> Example:
    words = shlex.split(text)
    headers = dict(words[n + 1].split(": ", 1) for n, word in enumerate(words) if word == "-H")
    url = next(word for word in words if word.startswith("http"))
    body = json.loads(words[words.index("-d") + 1])
    return Example(text, url.removeprefix("http://127.0.0.1:8000"), headers, body, json.loads(answer))


if __name__ == "__main__":
    sys.stdout.write(command(sys.argv[1]))
