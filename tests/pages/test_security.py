"""SECURITY.md: its links lead to pages and headings, and it names the supported major version."""

from scenext_service import __version__
from tests.support import pages

TEXT = pages.page("SECURITY.md")


def test_its_links_have_targets() -> None:
    """Ours: each property is explained elsewhere."""
    links = [link for link in pages.links(TEXT) if not link.startswith("http")]
    assert len(links) > 5
    for link in links:
        path, _, fragment = link.partition("#")
        anchors = [pages.anchor(words) for _, words in pages.headings(pages.page(path))]
        assert not fragment or fragment in anchors, link


def test_it_supports_the_current_major_version() -> None:
    """Ours: the table is adjusted with a major release."""
    (table,) = pages.tables(TEXT)
    assert table.rows[0][0].startswith(f"{__version__.split('.')[0]}.x")
