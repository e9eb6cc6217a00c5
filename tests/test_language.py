"""The check of the lint step that finds phrases that technical English avoids."""

import re
import runpy

import pytest

from .support.pages import ROOT

CHECK = runpy.run_path(str(ROOT / ".ci" / "language.py"))

# A phrase for each pattern, in the order of the rules.
PHRASES = [
    "A list of what came.",
    "The name is kept, also where it is wrong.",
    "Return it. Where a name is set, use that.",
    "None where there is none.",
    "The model is told the result.",
    "The header says nothing.",
    "A function to tell them.",
    "A client that closed his connection.",
    "For whoever asks.",
    "A result for nobody.",
    "A picture that is made up.",
    "A key that is lent.",
    "The link to the film.",
    "Texts with blanks between.",
    "An exception of ours.",
    "Made anew each time.",
    "It is charged all the same.",
    "The connection is there already.",
    "An error that comes of a timeout.",
    "The video goes on.",
]
# A file of each kind that contains a phrase.
FORMS = {
    "docstring": (".py", '"""{}"""\n'),
    "comment": (".py", "X = 1  # {}\n"),
    "paragraph": (".md", "# Title\n\n{}\n"),
    "list item": (".md", "- An item.\n- {}\n"),
    "table row": (".md", "| a | b |\n|---|---|\n| c | {} |\n"),
    "newest section": (".md", "# Changelog\n\n## 2.0.0\n\n- {}\n\n## 1.0.0\n"),
    "English value": (".toml", "[en.script]\nx = '{}'\n"),
    "English note": (".toml", "[[client]]\nen = '{}'\n"),
    "HTML": (".html", "<p>{}</p>\n"),
}
NOT_READ = {
    "string": (".py", 'X = "{}"\n'),
    "code block": (".md", "```text\n{}\n```\n"),
    "older section": (".md", "# Changelog\n\n## 2.0.0\n\n## 1.0.0\n\n- {}\n"),
    "other value": (".toml", "[zh]\nx = '{}'\n"),
    "script": (".html", "<script>// {}</script>\n"),
    "attribute": (".html", "<p title='{}'>\n"),
}


@pytest.mark.parametrize(("number", "phrase"), list(enumerate(PHRASES)))
def test_each_pattern_finds_its_phrase(number: int, phrase: str) -> None:
    """Ours: a pattern that finds nothing is no check. The phrase is found by this pattern only."""
    assert len(PHRASES) == len(CHECK["RULES"])
    found = [n for n, (_, pattern) in enumerate(CHECK["RULES"]) if re.search(pattern, phrase, re.IGNORECASE)]
    assert found == [number]
    assert [rule for _, rule, _ in CHECK["matches"](f'"""{phrase}"""\n')] == [CHECK["RULES"][number][0]]


@pytest.mark.parametrize("form", FORMS)
def test_a_phrase_is_found_in_each_form(form: str) -> None:
    """Ours: with the line of the paragraph, row or value."""
    suffix, source = FORMS[form]
    line = source[: source.index("{}")].count("\n") + 1
    assert [found[:2] for found in CHECK["matches"](source.format(PHRASES[0]), suffix)] == [(line, "name the noun")]


@pytest.mark.parametrize("form", NOT_READ)
def test_a_phrase_elsewhere_is_not_reported(form: str) -> None:
    """Ours: code, strings, older releases and Chinese texts have no rules here."""
    suffix, source = NOT_READ[form]
    assert list(CHECK["matches"](source.format(PHRASES[0]), suffix)) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Return the folder where gunicorn starts.", id="where as a place"),
        pytest.param("The log has `what came` and “he said”.", id="quotations"),
        pytest.param("Describe what to do next, and what happened.", id="indirect questions"),
        pytest.param("| tool | what it does |", id="heading of a table"),
        pytest.param("The page says how to connect.", id="documents say"),
        pytest.param("A blank value counts as unset.", id="blank as an adjective"),
        pytest.param("Run tests.interop.pages.film.", id="part of a name"),
    ],
)
def test_legitimate_uses_are_not_reported(text: str) -> None:
    """Ours: a check with false alarms would be switched off."""
    assert list(CHECK["matches"](f"{text}\n", ".md")) == []


def test_the_files_include_pages_and_texts_but_no_translation() -> None:
    """Ours: translations are Chinese."""
    files = CHECK["FILES"]
    assert {"*.py", "README.md", "docs/*.md", ":!*.zh.md", "scenext_service/web/assets/*.toml"} <= set(files)
