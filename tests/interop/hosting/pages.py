"""Read the pages of `docs/deploy`. The hosts run the commands and files on them."""

import re
from collections.abc import Callable, Mapping

from tests.support.pages import ROOT, Block, blocks

FOLDER = ROOT / "docs" / "deploy"

# Pages whose blocks another program runs: tests.interop.containers.
ELSEWHERE = {"container.md"}

_NAME = re.compile(r"# (\S+)\n")  # the first line of a block that holds a file


class Pages:
    """The fenced blocks of all pages. Remembers which of them were used."""

    def __init__(self) -> None:
        pages = sorted(FOLDER.glob("*.md"))
        self._texts = {page.name: page.read_text(encoding="utf-8") for page in pages}
        self._blocks = {name: blocks(text) for name, text in self._texts.items()}
        self._used: set[tuple[str, str]] = set()

    def text(self, page: str) -> str:
        """Return the text of a page."""
        return self._texts[page]

    def file(self, page: str, name: str) -> str:
        """Return the block whose first line names this file."""
        return self._one(page, lambda block: _name(block) == name)

    def part(self, page: str, heading: str, language: str) -> str:
        """Return the first block of a language below a heading that holds a part of a file, not a whole file."""
        return self._one(page, lambda block: _is_part(block, heading, language))

    def commands(self, page: str, heading: str) -> list[str]:
        """Return the lines of the shell blocks below a heading."""
        found = [block for block in self._blocks[page] if _is_part(block, heading, "sh")]
        self._used |= {(page, block.text) for block in found}
        return [line for block in found for line in block.text.splitlines()]

    def packages(self) -> list[str]:
        """Return the Debian packages that the pages install."""
        lines = [line for found in self._blocks.values() for block in found for line in block.text.splitlines()]
        words = [word for line in lines if line.startswith("apt-get install ") for word in line.split()[2:]]
        return sorted({word for word in words if not word.startswith("-")})

    def unused(self) -> list[str]:
        """Return the first lines of unused blocks, because no host has tested them."""
        pages = {page: found for page, found in self._blocks.items() if page not in ELSEWHERE}
        every = [(page, block.text) for page, found in pages.items() for block in found]
        return [f"{page}: {text.splitlines()[0]}" for page, text in every if (page, text) not in self._used]

    def _one(self, page: str, wanted: Callable[[Block], bool]) -> str:
        block = next(block for block in self._blocks[page] if wanted(block))
        self._used.add((page, block.text))
        return block.text


def replaced(text: str, lines: Mapping[str, str]) -> str:
    """Return a file with each line that starts with a given word replaced. Raises ValueError unless one line does."""
    for word, line in lines.items():
        text, count = re.subn(rf"(?m)^ *{re.escape(word)} .*\n", line, text)
        if count != 1:
            raise ValueError(f"{count} lines start with {word}")
    return text


def _is_part(block: Block, heading: str, language: str) -> bool:
    return (block.headings[-1], block.language, _name(block)) == (heading, language, None)


def _name(block: Block) -> str | None:
    match = _NAME.match(block.text)
    return match and match[1]
