"""The pictures that the pages show: they are there, small, and described for those who cannot see them."""

from html.parser import HTMLParser
from pathlib import PurePosixPath

import pytest

from tests.interop.pages.pictures import FOLDER, LARGEST
from tests.support import pages
from tests.support.pages import ROOT

PAIRS = list(pages.TRANSLATIONS.items())


class Pictures(HTMLParser):
    """Those of a page: the path of each from the repository's root, and what stands for it."""

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
def test_a_picture_is_there_and_has_words_in_its_place(name: str) -> None:
    """Ours: who cannot see a picture reads what is in it."""
    shown = Pictures(name).shown
    assert [path for path in shown if not (ROOT / path).is_file()] == []
    assert [alt for alt in shown.values() if len(alt) < len("一张图片的说明文字")] == []


@pytest.mark.parametrize(("name", "translation"), PAIRS)
def test_a_translation_shows_the_same_pictures_in_its_language(name: str, translation: str) -> None:
    """Ours: the page and the card are in both languages."""
    ours, theirs = Pictures(name).shown, Pictures(translation).shown
    assert [path.replace(".png", ".zh.png") for path in ours] == list(theirs)
    assert not set(ours.values()) & set(theirs.values())


def test_every_picture_is_shown_and_small() -> None:
    """Ours: 150 kB each; what no page shows nobody takes anew."""
    files = {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in FOLDER.iterdir()}
    assert {name.split("/")[-1] for name in files} >= {"page.png", "card.png", "page.zh.png", "card.zh.png"}
    assert {path for pair in PAIRS for name in pair for path in Pictures(name).shown} == set(files)
    assert {name: size for name, size in files.items() if size > LARGEST} == {}


@pytest.mark.parametrize("name", ["README.md", "docs/connect.md"])
def test_the_readme_shows_what_people_get(name: str) -> None:
    """Ours: people rather look than read."""
    assert any(path.endswith("/page.png") for path in Pictures(name).shown)
    assert any(path.endswith("/card.png") for path in Pictures("README.md").shown)
