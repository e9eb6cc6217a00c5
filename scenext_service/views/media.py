"""What the links of the sandbox lead to: its frames, each drawn when it is asked for, and its film, one for all jobs.

A card in the chat, whose origin is nobody's, may show both.

Source: Fetch, "Cross-Origin-Resource-Policy header".
"""

from collections.abc import Callable
from zlib import crc32

from flask import Blueprint, Response, abort
from jinja2 import Environment, StrictUndefined

from .answers import PICTURE, make_answer, send, send_part
from .files import compact, content

# Says of a job and a name the first words of the question, and the number of the frame, 0 for the film; None for what
# is not there.
Find = Callable[[str, str], tuple[str, int] | None]

_SHOWN = {"Cache-Control": "max-age=3600", "Cross-Origin-Resource-Policy": "cross-origin"}


def create_blueprint(paths: str, find: Find, noted: Callable[[Response], Response]) -> Blueprint:
    """Make the blueprint; `paths` has a task_id and a name in it. `noted` gets each of its answers, and returns it."""
    blueprint = Blueprint("media", __name__)
    film = make_answer(content("film.mp4"), "video/mp4", _SHOWN)
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(compact("frame.svg"))

    @blueprint.get(paths, provide_automatic_options=False)
    def media(task_id: str, name: str) -> Response:
        found = find(task_id, name)
        if found is None:
            abort(404)
        words, number = found
        if not number:
            return noted(send_part(film))
        drawn = template.render(words=words, number=number, hue=(crc32(words.encode()) + 20 * number) % 360)
        return noted(send(make_answer(drawn.encode(), "image/svg+xml", {**PICTURE, **_SHOWN})))

    return blueprint
