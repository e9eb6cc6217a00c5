"""What the sandbox's links lead to: its frames and its film, and that both are served in the sandbox only."""

import base64
import configparser
import re
import struct
import xml.etree.ElementTree as ET
from fnmatch import fnmatch
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from scenext_service import create_app
from scenext_service.config import Config
from tests.support.messages import NOT_FOUND, Mcp
from tests.support.pages import ROOT

FILM = (ROOT / "scenext_service" / "views" / "film.mp4").read_bytes()
FRAME, VIDEO = "/sandbox/sandbox-completed/frame2.svg", "/sandbox/sandbox-completed/video.mp4"
SIZE = len(FILM)
SVG = "{http://www.w3.org/2000/svg}"


def named(question: str) -> str:
    """Return the id of a new job."""
    return f"sandbox-1795000000000-{base64.urlsafe_b64encode(question.encode()).decode().rstrip('=')}"


def drawn(response: TestResponse) -> ET.Element:
    """Return a picture, which must be well-formed."""
    assert (response.status_code, response.content_type) == (200, "image/svg+xml")
    return ET.fromstring(response.data)  # noqa: S314  # our own


def texts(picture: ET.Element) -> list[str]:
    return [element.text or "" for element in picture.iter(f"{SVG}text")]


@pytest.mark.parametrize("question", ["天空为什么是蓝色的？", "Is 1 < 2 & 3 > 2?", "\"'<script>", "]]>", "{{ 7*7 }}"])
@pytest.mark.parametrize("number", [1, 6])
def test_a_frame_shows_the_words_and_its_number(client: FlaskClient, question: str, number: int) -> None:
    """Ours: the question's first words, which of its frames it is, and that it is made up."""
    response = client.get(f"/sandbox/{named(question)}/frame{number}.svg")
    picture = drawn(response)
    assert texts(picture) == [question, str(number), "sandbox: made up / 沙盒示例"]
    assert (picture.get("width"), picture.get("height")) == ("640", "360")
    # Nothing in it runs, has a style, or comes from elsewhere.
    assert {element.tag.removeprefix(SVG) for element in picture.iter()} == {
        "svg",
        "title",
        "rect",
        "circle",
        "g",
        "text",
    }
    attributes = [name for element in picture.iter() for name in element.attrib]
    assert [name for name in attributes if name.startswith("on") or "href" in name or name == "style"] == []
    assert len(response.data) < 1500


def test_a_question_in_an_image_has_no_words(client: FlaskClient) -> None:
    """Ours: its id has none."""
    assert texts(drawn(client.get("/sandbox/sandbox-1795000000000/frame1.svg")))[0] == ""


def test_each_frame_looks_different_and_the_same_each_time(client: FlaskClient) -> None:
    """Ours: colours of the words and the number, in every process alike."""
    paths = [f"/sandbox/{named(question)}/frame{n}.svg" for question in ("Why?", "How?") for n in range(1, 7)]
    first = [client.get(path).data for path in paths]
    again = [create_app(Config(sandbox=True)).test_client().get(path).data for path in paths]
    assert first == again
    assert len({re.sub(rb"<t(itle|ext).*", b"", data) for data in first}) == 12


@pytest.mark.parametrize("path", [FRAME, VIDEO])
def test_what_is_served_may_be_shown_anywhere_and_runs_nothing(client: FlaskClient, path: str) -> None:
    """Spec: Fetch, "Cross-Origin-Resource-Policy header": a card's origin is opaque. Ours: kept for an hour."""
    headers = client.get(path).headers
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "max-age=3600"
    assert headers.get("Content-Security-Policy") == ("default-src 'none'" if path == FRAME else None)
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("path", [FRAME, VIDEO])
@pytest.mark.parametrize("query", ["", "?Expires=4102444800&Signature=sandbox", "?%ff=\x80"])
def test_the_signature_is_not_looked_at(client: FlaskClient, path: str, query: str) -> None:
    """Ours: there is nothing to protect."""
    assert client.get(f"{path}{query}").data == client.get(path).data


@pytest.mark.parametrize("path", [FRAME, VIDEO])
def test_head_has_the_headers_and_no_body(client: FlaskClient, path: str) -> None:
    """Spec: RFC 9110, sections 9.3.2 and 14.2: a Range is for GET."""
    got, head = client.get(path), client.head(path, headers={"Range": "bytes=0-1"})
    assert (head.status_code, head.data, head.content_length) == (200, b"", got.content_length)
    assert head.headers["ETag"] == got.headers["ETag"]


@pytest.mark.parametrize("path", [FRAME, VIDEO])
def test_what_is_there_is_not_sent_again(client: FlaskClient, path: str) -> None:
    """Spec: RFC 9110, sections 8.8.3, 13.1.2, 13.2.2 and 15.4.5: also where only a part is wanted."""
    tag = client.get(path).headers["ETag"]
    for more in ({}, {"Range": "bytes=0-1"}):
        again = client.get(path, headers={"If-None-Match": tag, **more})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
        assert client.get(path, headers={"If-None-Match": '"other"', **more}).status_code == 200


def test_the_film_is_the_one_that_is_committed(client: FlaskClient) -> None:
    """Ours: the same for every job; a browser is told that it may ask for parts (RFC 9110, section 14.3)."""
    for task_id in ("sandbox-completed", "sandbox-slow", named("Why?")):
        response = client.get(f"/sandbox/{task_id}/video.mp4")
        assert (response.status_code, response.content_type, response.data) == (200, "video/mp4", FILM)
        assert response.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-1", 0, 1),  # how Safari begins
        ("bytes=0-", 0, SIZE - 1),  # how Chromium does
        (f"bytes=0-{SIZE - 1}", 0, SIZE - 1),
        ("bytes=7-7", 7, 7),
        (f"bytes=10-{SIZE * 9}", 10, SIZE - 1),
        ("bytes=-5", SIZE - 5, SIZE - 1),
        (f"bytes=-{SIZE * 9}", 0, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
    ],
)
def test_a_part_of_the_film_is_sent_alone(client: FlaskClient, wanted: str, first: int, last: int) -> None:
    """Spec: RFC 9110, sections 14.1.2, 14.4 and 15.3.7."""
    tag = client.get(VIDEO).headers["ETag"]
    for more in ({}, {"If-Range": tag}):
        response = client.get(VIDEO, headers={"Range": wanted, **more})
        assert (response.status_code, response.content_type) == (206, "video/mp4")
        assert response.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
        assert response.data == FILM[first : last + 1]
        assert response.content_length == last + 1 - first
        assert (response.headers["ETag"], response.headers["Accept-Ranges"]) == (tag, "bytes")


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=999999999-"])
def test_a_part_that_the_film_has_not_is_416(client: FlaskClient, wanted: str) -> None:
    """Spec: RFC 9110, sections 14.4 and 15.5.17: with the length that there is."""
    response = client.get(VIDEO, headers={"Range": wanted})
    assert (response.status_code, response.get_json()) == (416, {"error": "range_not_satisfiable"})
    assert response.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-1,3-4"},
        {"Range": "items=0-1"},
        {"Range": "bytes=x"},
        {"Range": "bytes=5-2"},
        {"Range": "bytes"},
        {"Range": ""},
        {"Range": "bytes=\xff-"},
        {"Range": "bytes=0-1", "If-Range": '"other"'},
        {"Range": "bytes=0-1", "If-Range": "Tue, 24 Nov 2026 00:00:00 GMT"},
    ],
)
def test_any_other_range_is_the_whole_film(client: FlaskClient, headers: dict[str, str]) -> None:
    """Spec: RFC 9110, sections 13.1.5 and 14.2: what cannot be read, or is of another film, is left aside."""
    response = client.get(VIDEO, headers=headers)
    assert (response.status_code, response.data) == (200, FILM)


@pytest.mark.parametrize(
    "path",
    [
        "/sandbox/sandbox-completed/frame4.svg",
        "/sandbox/sandbox-completed/frame0.svg",
        "/sandbox/sandbox-completed/frame2.svg/",
        "/sandbox/sandbox-completed/",
        "/sandbox/sandbox-failed/video.mp4",
        "/sandbox/sandbox-down/frame1.svg",
        "/sandbox/sandbox-1795000000000-QR/frame1.svg",
        "/sandbox/sandbox-1795000000000-%ff/video.mp4",
        "/sandbox/%ff%fe%00/%00",
        "/sandbox/../film.mp4",
        "/sandbox/12345/video.mp4",
        "/sandbox//video.mp4",
        "/sandbox",
    ],
)
def test_what_is_not_there_is_not_found(client: FlaskClient, path: str) -> None:
    """Ours: a 404 in JSON, as everywhere; never a failure of ours."""
    response = client.get(path)
    assert (response.status_code, response.get_json()) == (404, NOT_FOUND)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", [FRAME, VIDEO])
def test_other_methods_are_not_allowed(client: FlaskClient, method: str, path: str) -> None:
    """Spec: RFC 9110, section 15.5.6: with those that are."""
    response = client.open(path, method=method)
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")
    assert response.get_json() == {"error": "method_not_allowed"}


@pytest.mark.parametrize("path", [FRAME, VIDEO])
def test_outside_of_the_sandbox_there_is_neither(path: str) -> None:
    """Ours: nothing that is made up is ever served beside the real thing."""
    response = create_app(Config()).test_client().get(path)
    assert (response.status_code, response.get_json()) == (404, NOT_FOUND)


def test_each_has_its_line_and_no_word_of_a_question_is_in_it(client: FlaskClient, log_lines: list[str]) -> None:
    """Ours: docs/operating.md, "Logs": the path without what a client made up."""
    client.get(FRAME, headers={"X-Request-ID": "frame"})
    client.get(VIDEO, headers={"Range": "bytes=0-1"})
    client.get(f"/sandbox/{named('secret')}/frame9.svg")
    path = 'path="/sandbox/<task_id>/<name>"'
    assert f" info request http_method=GET {path} status=200 " in log_lines[0]
    assert log_lines[0].endswith(" request_id=frame")
    assert f" info request http_method=GET {path} status=206 bytes=2 " in log_lines[1]
    assert f" info request http_method=GET {path} status=404 " in log_lines[2]
    assert named("secret") not in "".join(log_lines)


def test_the_links_of_an_answer_lead_there(mcp: Mcp) -> None:
    """Ours: from a question to a frame that shows its words, through the application alone."""
    task_id = mcp.call("gen_video", {"question": "Why is the sky blue?"})["structuredContent"]["task_id"]
    assert texts(drawn(mcp.client.get(f"/sandbox/{task_id}/frame1.svg")))[0] == "Why is the sky blue?"
    job = mcp.call("query_video_status", {"task_id": "sandbox-completed"})["structuredContent"]
    for frame in job["progress"]:
        assert texts(drawn(mcp.client.get(frame["image"])))[1] == frame["id"].removeprefix("frame")
    assert mcp.client.get(job["result"]["video_url"]).data == FILM


def boxes(data: bytes) -> list[tuple[str, bytes]]:
    """Return the boxes of a part of an MP4 file: each one's type, and what is in it (ISO 14496-12, section 4.2)."""
    found, at = [], 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        assert 8 <= size <= len(data) - at
        found.append((kind.decode("ascii"), data[at + 8 : at + size]))
        at += size
    return found


def inside(data: bytes, *path: str) -> Any:
    """Return what is in the box at a path."""
    for kind in path:
        data = dict(boxes(data))[kind]
    return data


def test_the_film_plays_while_it_comes_and_is_small() -> None:
    """Ours: at most 60 kB, 5 to 10 seconds, H.264 alone, and its index before its data."""
    assert SIZE <= 60_000
    kinds = [kind for kind, _ in boxes(FILM)]
    assert kinds[0] == "ftyp"
    assert kinds.index("moov") < kinds.index("mdat")
    assert [kind for kind, _ in boxes(inside(FILM, "moov"))].count("trak") == 1
    timescale, duration = struct.unpack_from(">II", inside(FILM, "moov", "mvhd"), 12)
    assert 5 <= duration / timescale <= 10
    samples = inside(FILM, "moov", "trak", "mdia", "minf", "stbl", "stsd")[8:]
    ((kind, entry),) = boxes(samples)
    assert (kind, struct.unpack_from(">HH", entry, 24)) == ("avc1", (640, 360))
    assert dict(boxes(entry[78:]))["avcC"][1] in (66, 77)  # the profiles Baseline and Main of ISO 14496-10


def test_what_the_package_needs_is_in_the_package() -> None:
    """Ours: each file of it but modules is of a kind that setup.cfg takes along."""
    setup = configparser.ConfigParser()
    setup.read_string((ROOT / "setup.cfg").read_text(encoding="utf-8"))
    taken = setup["options.package_data"]["scenext_service"].split()
    package = ROOT / "scenext_service"
    files = [path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()]
    others = [name for name in files if not name.endswith((".py", ".pyc"))]
    assert "views/film.mp4" in others
    assert [name for name in others if not any(fnmatch(name, pattern) for pattern in taken)] == []
