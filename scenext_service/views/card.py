"""The card in which a host shows a job in the chat: one HTML that brings its style and its script along."""

from ..version import VERSION
from .files import compact

URI = "ui://scenext/job.html"
TITLE = "Scenext video / 讲解视频"


def html() -> str:
    """Return the card; it is the same for every host."""
    page = compact("card.html").replace("VERSION", VERSION)
    for name in ("card.css", "draw.js", "card.js"):
        page = page.replace(f"/* {name} */", compact(name))
    return page
