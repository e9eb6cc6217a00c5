"""The card in which a host shows a job in the chat: one HTML file with inline style and script."""

from .. import __version__
from .static_response import TEMPLATES

URI = "ui://scenext/job.html"
TITLE = "Scenext video / 讲解视频"


def html() -> str:
    """Return the card's HTML, which is the same for every host."""
    return TEMPLATES.get_template("card.html").render(version=__version__)
