"""The card as it is sent: its size, its contents, and the things that it must not contain."""

import re
from html.parser import HTMLParser

import pytest

from scenext_service import __version__
from scenext_service.web import card
from tests.support.pages import ROOT

LARGEST = 24_000  # bytes
VIEWS = ROOT / "scenext_service" / "web" / "assets"
HTML = card.html()


class Elements(HTMLParser):
    """Record every element and the text of paragraphs by language."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._language = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._language = (dict(attrs).get("lang") or "") if tag == "p" else ""

    def handle_data(self, data: str) -> None:
        if self._language:
            self.texts[self._language] = self.texts.get(self._language, "") + data.strip()


@pytest.fixture(scope="module")
def elements() -> Elements:
    parser = Elements()
    parser.feed(HTML)
    return parser


def test_the_card_is_small() -> None:
    """Ours: a host loads it again for every call."""
    assert 8_000 < len(HTML.encode()) <= LARGEST


def test_the_card_is_one_html_document_that_loads_nothing(elements: Elements) -> None:
    """Spec: MCP Apps 2026-01-26, "UI Resource Format": a complete HTML5 document."""
    assert HTML.startswith("<!doctype html>\n<html")
    tags = [tag for tag, _ in elements.found]
    assert [tags.count(tag) for tag in ("html", "head", "body", "style", "script")] == [1] * 5
    loading = {"src", "href", "srcset", "action", "data", "poster", "style"}
    assert [(tag, attributes) for tag, attributes in elements.found if loading & set(attributes)] == []
    assert [name for _, attributes in elements.found for name in attributes if name.startswith("on")] == []


@pytest.mark.parametrize(
    "word",
    [
        *("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "data:"),
        *("localStorage", "sessionStorage", "indexedDB", "cookie", "fetch(", "XMLHttpRequest", "import(", "@import"),
        *("url(", "0vh", "autoplay", "http://", "https://", "//cdn", "</script><", "{color-scheme", "\ncolor-scheme"),
    ],
)
def test_the_card_contains_no_unsafe_construct(word: str) -> None:
    """Ours: external data becomes text or a checked link. The card stores nothing and loads nothing."""
    assert word not in HTML


def test_the_card_contains_every_file_without_comments(elements: Elements) -> None:
    """Ours: comments are for readers of the source and are not sent."""
    assert re.search(r"/\*|\*/|// |\{%|\{\{", HTML) is None
    assert [line for line in HTML.splitlines() if line.startswith(" ")] == []
    for name, known in (
        ("card.css", "[data-colours]"),
        ("draw.css", "stroke-linecap"),
        ("draw.html", '<template id="stage">'),
        ("draw.js", "const drawJob ="),
        ("card.js", "ui/initialize"),
    ):
        assert known in (VIEWS / name).read_text(encoding="utf-8")
        assert HTML.count(known) == 1
    assert dict(elements.found)["html"]["data-version"] == __version__


@pytest.mark.parametrize("name", ["card.css", "draw.css"])
def test_the_style_has_no_string_with_spaces(name: str) -> None:
    """Ours: card.html removes spaces beside punctuation, which is safe outside of strings only."""
    source = re.sub(r"/\*.*?\*/", "", (VIEWS / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    strings = re.findall(r"\"(.*?)\"|'(.*?)'", source)
    assert [text for pair in strings for text in pair if re.search(r"[\s{}:;,]", text)] == []


@pytest.mark.parametrize("name", ["draw.js", "card.js"])
def test_no_string_of_the_script_spans_lines(name: str) -> None:
    """Ours: card.html removes line ends after a semicolon, which is safe outside of strings only."""
    source = re.sub(r"/\*.*?\*/", "", (VIEWS / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert [line for line in source.splitlines() if line.count("`") % 2 or "//" in line] == []


def test_only_full_screen_depends_on_the_height_of_the_window() -> None:
    """Ours: elsewhere the host gives the frame the height of the card, so the two would increase each other."""
    (style,) = re.findall(r"<style>(.*)</style>", HTML, re.DOTALL)
    rules = [rule for rule in style.split("}") if "vh" in rule]
    assert rules
    assert [rule for rule in rules if "[data-mode=fullscreen]" not in rule] == []


def test_the_static_card_has_instructions_in_both_languages(elements: Elements) -> None:
    """Ours: the card is useful as it stands if no script runs."""
    english, chinese = "Ask the assistant for the status of your video.", "可以在对话中询问视频的进展。"
    assert elements.texts == {"en": english, "zh": chinese}


@pytest.mark.parametrize("name", ["draw.js", "card.js"])
def test_every_text_exists_in_both_languages(name: str) -> None:
    """Ours: each user reads one of the two."""
    source = (VIEWS / name).read_text(encoding="utf-8")
    texts = re.search(r"const TEXTS = \{\s*en: \{(.*?)\},\s*zh: \{(.*?)\},\s*\};", source, re.DOTALL)
    assert texts is not None
    english, chinese = (re.findall(r"\b(\w+): (?:\"|\[|n =>|time =>)", part) for part in texts.groups())
    assert english == chinese
    assert english
    assert re.search("[\u4e00-\u9fff]", texts[1]) is None
    assert len(re.findall("[\u4e00-\u9fff]+", texts[2])) >= len(chinese)


def test_the_drawing_code_is_independent_of_the_host() -> None:
    """Ours: the page at `/` draws a job with the same file."""
    source = (VIEWS / "draw.js").read_text(encoding="utf-8")
    code = re.sub(r"/\*.*?\*/\n?", "", source, flags=re.DOTALL).splitlines()
    assert [line for line in code if not line.startswith("  ") and line] == ["const drawJob = (() => {", "})();"]
    assert [line for line in code if "postMessage" in line or "parent" in line or "openai" in line] == []
