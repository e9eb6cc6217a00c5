"""The images on the pages: they exist, are small and have alternative texts."""

from html.parser import HTMLParser
from pathlib import PurePosixPath

import pytest

from tests.interop.pages.pictures import FOLDER, LARGEST
from tests.support import pages
from tests.support.pages import ROOT

PAIRS = list(pages.TRANSLATIONS.items())


class Pictures(HTMLParser):
    """The images of a page: `shown` maps each path from the repository root to the alternative text."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.shown: dict[str, str] = {}
        self._folder = PurePosixPath(name).parent
        self.feed(pages.page(name))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            found = dict(attrs)
            self.shown[str(self._folder / (found["src"] or ""))] = found.get("alt") or ""


@pytest.mark.parametrize("name", [name for pair in PAIRS for name in pair])
def test_a_picture_exists_and_has_an_alternative_text(name: str) -> None:
    """Ours: readers who cannot see an image read its alternative text."""
    shown = Pictures(name).shown
    assert [path for path in shown if not (ROOT / path).is_file()] == []
    assert [alt for alt in shown.values() if len(alt) < len("一张图片的说明文字")] == []


@pytest.mark.parametrize(("name", "translation"), PAIRS)
def test_a_translation_has_translated_pictures(name: str, translation: str) -> None:
    """Ours: the images of the page and the card exist in both languages."""
    english, chinese = Pictures(name).shown, Pictures(translation).shown
    assert [path.replace(".png", ".zh.png") for path in english] == list(chinese)
    assert not set(english.values()) & set(chinese.values())


def test_every_picture_is_shown_and_small() -> None:
    """Ours: at most 150 kB each; an image that no page shows would never be updated."""
    files = {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in FOLDER.iterdir()}
    assert {name.split("/")[-1] for name in files} >= {"page.png", "card.png", "page.zh.png", "card.zh.png"}
    assert {path for pair in PAIRS for name in pair for path in Pictures(name).shown} == set(files)
    assert {name: size for name, size in files.items() if size > LARGEST} == {}


def test_the_readme_shows_the_result() -> None:
    """Ours: an image shows the result faster than a text."""
    assert list(Pictures("README.md").shown) == ["docs/pictures/card.png"]
