"""The card as it is sent: how large it is, what it brings along, and what it must not have in it."""

import re
from html.parser import HTMLParser

import pytest

from scenext_service.version import VERSION
from scenext_service.views import card
from tests.support.pages import ROOT

LARGEST = 16 * 1024  # bytes
VIEWS = ROOT / "scenext_service" / "views"
HTML = card.html()


class Elements(HTMLParser):
    """Notes every element and what text is in it."""

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
    """Ours: a host loads it anew for every call."""
    assert 8_000 < len(HTML.encode()) <= LARGEST


def test_the_card_is_one_html_that_loads_nothing(elements: Elements) -> None:
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
        *("url(", "100vh", "autoplay", "http://", "https://", "//cdn", "</script><", "{color-scheme", "\ncolor-scheme"),
    ],
)
def test_the_card_has_nothing_that_a_host_or_a_user_must_fear(word: str) -> None:
    """Ours: what comes from outside is text or a checked link; nothing is stored, or loaded from anywhere."""
    assert word not in HTML


def test_every_file_is_in_the_card_without_its_comments(elements: Elements) -> None:
    """Ours: what is for those who read the source does not travel."""
    assert re.search(r"/\* [\w.]+ \*/", HTML) is None
    assert [line for line in HTML.splitlines() if line.startswith(("//", " "))] == []
    for name, known in (("card.css", ".job-frames {"), ("draw.js", "function drawJob("), ("card.js", "ui/initialize")):
        assert known in (VIEWS / name).read_text(encoding="utf-8")
        assert HTML.count(known) == 1
    assert dict(elements.found)["html"]["data-version"] == VERSION


def test_without_an_answer_the_card_says_what_to_do(elements: Elements) -> None:
    """Ours: where no script runs and no host answers, it makes sense as it stands, in both languages."""
    assert elements.texts == {"en": "Ask in the chat how your video stands.", "zh": "请在对话中询问视频的进展。"}


@pytest.mark.parametrize("name", ["draw.js", "card.js"])
def test_every_text_is_there_in_both_languages(name: str) -> None:
    """Ours: whoever follows a job reads one of the two."""
    source = (VIEWS / name).read_text(encoding="utf-8")
    texts = re.search(r"const TEXTS = \{\s*en: \{(.*?)\},\s*zh: \{(.*?)\},\s*\};", source, re.DOTALL)
    assert texts is not None
    english, chinese = (re.findall(r"\b(\w+): (?:\"|n =>)", part) for part in texts.groups())
    assert english == chinese
    assert english
    assert re.search("[\u4e00-\u9fff]", texts[1]) is None
    assert len(re.findall("[\u4e00-\u9fff]+", texts[2])) >= len(chinese)


def test_the_drawing_code_knows_no_host() -> None:
    """Ours: the page at `/` draws a job with the same file."""
    source = (VIEWS / "draw.js").read_text(encoding="utf-8")
    code = [line for line in source.splitlines() if not line.lstrip().startswith("//")]
    assert code[0].startswith("function drawJob(root, job, options = {}) {")
    assert [line for line in code if "postMessage" in line or "parent" in line or "openai" in line] == []
    assert [line for line in code if line.startswith(("const ", "let ", "var ", "import ", "export "))] == []
