"""Find phrases that technical English avoids, in docstrings, comments, pages and the texts of the user interface.

    python3 .ci/language.py [FILE ...]

Prints each match with its rule, and exits with status 1 if there is one. Without files it checks all tracked files. In
Python it reads docstrings and comments, in Markdown the prose (in the changelog only the newest section), in TOML the
values below `en`, in HTML the text between tags. It skips code and quotations.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILES = [
    *("*.py", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", ":!*.zh.md"),
    *("scenext_service/web/assets/*.html", "scenext_service/web/assets/*.toml"),
]
_THINGS = r"(?:values?|logs?|errors?|fields?|headers?|lines?|metrics?|tools?|servers?|clients?|it|which|that)"
# A rule and a pattern. Each has next to no legitimate use in this repository; the exceptions are in `_ALLOWED`.
RULES = (
    ("name the noun", r"(?:^|[.:;,(|] |\b(?:of|that|for|to|and|with|from|by|is|in|on) )what [a-z]+"),
    ("if, when, unless", r"\b(?:also|and|but|except|even|only|or|unless) where\b"),
    ("if, when, unless", r"(?:^|[.;:] )where [^.]*,"),
    ("if, when, unless", r"\bwhere (?:there|none|nothing|no|one|some|they|only|asked|each|all|both|any|possible)\b"),
    ("only people say", r"\b(?:said|told|tells)\b"),
    ("only people say", rf"\b{_THINGS} says?\b"),
    ("only people say", r"\bto tell (?!apart)[a-z]+"),
    ("they, the client", r"\b(?:he|his|him|himself)\b"),
    ("they, the client", r"\bwho(?:m|se)?ever\b"),
    ("they, the client", r"\b(?:somebody|nobody|everybody)\b"),
    ("the field's words", r"\b(?:made[ -]up|in words)\b"),
    ("the field's words", r"\b(?:lends?|lent|lending)\b"),
    ("the field's words", r"(?<!\.)\bfilms?\b"),
    ("the field's words", r"\bblanks\b|\b(?:a|no) blank (?:in|inside|or|and|after|before)\b"),
    ("no riddles", r"\b(?:of ours|another's|of its own accord)\b"),
    ("no archaisms", r"\b(?:anew|unasked|mend(?:s|ed)?|thereof|for ever)\b"),
    ("no archaisms", r"\b(?:all the same|save for|but for|in the place of)\b"),
    ("no archaisms", r"\b(?:is there already|likewise)\b"),
    ("no archaisms", r"\bcomes? of\b"),
    ("no archaisms", r"\bgo(?:es)? on\b"),
)
_ALLOWED = re.compile(r"\bwhat (?:to|should|it does|happens|happened)\b|made-up-by-scenext-service", re.IGNORECASE)
_QUOTED = re.compile(r"``.*?``|`[^`]*`|“[^”]*”|\"[^\"]*\"")
_CODE = re.compile(r"^```.*?^```$|\]\([^)]*\)|<[^>]*>", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r"[|#]|- |\d\. ")
_MARKUP = re.compile(r"\{[{%].*?[%}]\}|<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL)

Texts = Iterator[tuple[int, str]]  # line and text


def of_python(source: str) -> Texts:
    """Yield the docstrings and comments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node)
            if docstring:
                yield node.body[0].lineno, docstring
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")


def of_markdown(source: str) -> Texts:
    """Yield the headings, paragraphs, list items and table rows, in a changelog only those of the newest section."""
    if source.startswith("# Changelog\n"):
        source = "\n## ".join(source.split("\n## ")[:2])
    paragraph: list[str] = []
    for number, line in enumerate([*_blank(_CODE, source), ""], 1):
        if paragraph and (not line.strip() or _ITEM.match(line)):
            yield number - len(paragraph), " ".join(paragraph)
            paragraph = []
        if line.strip():
            paragraph.append(line)


def of_toml(source: str) -> Texts:
    """Yield the English values."""
    for text in _english(tomllib.loads(source)):
        yield source.count("\n", 0, source.find(text)) + 1, text


def of_html(source: str) -> Texts:
    """Yield the lines, without tags, templates, scripts and styles."""
    yield from enumerate(_blank(_MARKUP, source), 1)


def _blank(pattern: re.Pattern[str], source: str) -> list[str]:
    """Remove all matches, and return the lines. Their numbers do not change."""
    return pattern.sub(lambda match: "\n" * match[0].count("\n"), source).splitlines()


def _english(value: Any, below: bool = False) -> Iterator[str]:
    if isinstance(value, str) and below:
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _english(inner, below or name == "en")
    elif isinstance(value, list):
        for inner in value:
            yield from _english(inner, below)


READERS = {".py": of_python, ".md": of_markdown, ".toml": of_toml, ".html": of_html}


def matches(source: str, suffix: str = ".py") -> Iterator[tuple[int, str, str]]:
    """Yield the line, the rule and the phrase of each match."""
    for line, text in READERS[suffix](source):
        plain = _ALLOWED.sub("…", _QUOTED.sub("…", " ".join(text.split())))
        for rule, pattern in RULES:
            for match in re.finditer(pattern, plain, re.IGNORECASE):
                yield line, rule, plain[max(match.start() - 30, 0) : match.end() + 30]


def main() -> None:
    """Check the files, and print what to reword."""
    git = ["git", "ls-files", *FILES]
    names = sys.argv[1:] or subprocess.run(git, check=True, capture_output=True, text=True).stdout.split()
    paths = map(Path, names)
    found = [(path, *match) for path in paths for match in matches(path.read_text(encoding="utf-8"), path.suffix)]
    for path, line, rule, phrase in found:
        print(f"{path}:{line}: {rule}: …{phrase}…")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
