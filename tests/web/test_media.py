"""The sample video with its pictures, and the files behind the sandbox's links, which only the sandbox serves."""

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

ASSETS = ROOT / "scenext_service" / "web" / "assets"
VIDEO = (ASSETS / "sample.mp4").read_bytes()
SAMPLES = ("/sample.mp4", "/sample.svg", "/sample-frame.svg")
FRAME_PATH, VIDEO_PATH = "/sandbox/sandbox-completed/frame2.svg", "/sandbox/sandbox-completed/video.mp4"
SIZE = len(VIDEO)
SVG = "{http://www.w3.org/2000/svg}"


def named(question: str) -> str:
    """Return the ID of a new job with this question."""
    return f"sandbox-1795000000000-{base64.urlsafe_b64encode(question.encode()).decode().rstrip('=')}"


def drawn(response: TestResponse) -> ET.Element:
    """Return the parsed image, which must be well-formed."""
    assert (response.status_code, response.content_type) == (200, "image/svg+xml")
    return ET.fromstring(response.data)  # noqa: S314  # our own


def texts(picture: ET.Element) -> list[str]:
    return [element.text or "" for element in picture.iter(f"{SVG}text")]


STEPS = [
    ("The question", "题目"),
    ("What we know", "已知条件"),
    ("The idea", "思路"),
    ("Step by step", "逐步推导"),
    ("Check", "验算"),
    ("The answer", "答案"),
]


@pytest.mark.parametrize("question", ["太阳为什么会发光？", "Is 1 < 2 & 3 > 2?", "\"'<script>", "]]>", "{{ 7*7 }}"])
@pytest.mark.parametrize("number", range(1, 7))
def test_a_frame_shows_the_question_and_a_step_of_a_lesson(client: FlaskClient, question: str, number: int) -> None:
    """Ours: the start of the question, a step in both languages, and a note that the frame is simulated."""
    response = client.get(f"/sandbox/{named(question)}/frame{number}.svg")
    picture = drawn(response)
    assert texts(picture) == [question, *STEPS[number - 1], "sandbox sample · 沙盒示例"]
    assert [title.text for title in picture.iter(f"{SVG}title")] == [f"{number}: {question}"]
    is_a_plain_picture(picture)
    assert len(response.data) < 2000


def is_a_plain_picture(picture: ET.Element) -> None:
    """Check the size of a frame, and that it contains no script, style or external reference."""
    assert (picture.get("width"), picture.get("height")) == ("960", "540")
    shapes = {"svg", "title", "defs", "linearGradient", "stop", "pattern", "rect", "circle", "path", "g", "text"}
    assert {element.tag.removeprefix(SVG) for element in picture.iter()} <= shapes
    attributes = [pair for element in picture.iter() for pair in element.attrib.items()]
    assert [name for name, _ in attributes if name.startswith("on") or "href" in name or name == "style"] == []
    assert [value for _, value in attributes if "url(" in value and not value.startswith("url(#")] == []


@pytest.mark.parametrize(
    ("question", "size"),
    [("Why?", "54"), ("How does a bicycle stay…", "54"), ("已知函数的图像经过点求它的解析式和最大值与最小", "37")],
)
def test_a_long_question_is_drawn_smaller(client: FlaskClient, question: str, size: str) -> None:
    """Ours: a Chinese character is as wide as high, so 24 of them would not fit."""
    picture = drawn(client.get(f"/sandbox/{named(question)}/frame1.svg"))
    assert [text.get("font-size") for text in picture.iter(f"{SVG}text") if text.text == question] == [size]


@pytest.mark.parametrize(
    "question",
    [
        "Why is the sky blue?",
        "Explain why the sky is…",
        "What makes the sky blue",
        "Why do we see a blue sky",
        "天空为什么是蓝色的？",
        "为什么蓝色是天空的颜色",
    ],
)
def test_the_frames_of_the_sample_question_are_scenes_of_the_video(client: FlaskClient, question: str) -> None:
    """Ours: the question that the README and the page suggest has a real explanation, as models rephrase it."""
    for number in range(1, 7):
        response = client.get(f"/sandbox/{named(question)}/frame{number}.svg")
        picture = drawn(response)
        assert response.data == (ASSETS / f"sample{number}.svg").read_bytes()
        assert texts(picture)[-1] == "Sample · 示例"
        is_a_plain_picture(picture)


def test_another_question_about_the_sky_has_frames_of_its_own(client: FlaskClient) -> None:
    """Ours: only the question that the video answers has its scenes."""
    for question in ("Why is the sky dark?", "What is blue light?", "Why do skydivers fall?", "天空有多高？"):
        assert texts(drawn(client.get(f"/sandbox/{named(question)}/frame1.svg")))[1] == "The question"


def test_a_frame_of_an_image_question_has_no_words(client: FlaskClient) -> None:
    """Ours: the ID of such a job contains no words."""
    assert texts(drawn(client.get("/sandbox/sandbox-1795000000000/frame1.svg")))[0] == ""


def test_frames_differ_from_each_other_and_are_reproducible(client: FlaskClient) -> None:
    """Ours: the colours depend on the words and the number, and are the same in every process."""
    paths = [f"/sandbox/{named(question)}/frame{n}.svg" for question in ("Why?", "How?") for n in range(1, 7)]
    first = [client.get(path).data for path in paths]
    second = [create_app(Config(sandbox=True)).test_client().get(path).data for path in paths]
    assert first == second
    assert len({re.sub(rb"<t(itle|ext).*", b"", data) for data in first}) == 12


@pytest.mark.parametrize("config", [Config(), Config(sandbox=True)], ids=["real", "sandbox"])
def test_the_sample_is_served_in_every_deployment(config: Config) -> None:
    """Ours: the page at / shows it. The poster and the frame are scenes of the video."""
    client = create_app(config).test_client()
    files = zip(SAMPLES, ("sample.mp4", "sample1.svg", "sample2.svg"), strict=True)
    for path, name in files:
        response = client.get(path, base_url="https://example.com/prefix")
        assert (response.status_code, response.data) == (200, (ASSETS / name).read_bytes())
        assert client.get(f"{path}/").status_code == 404
        assert client.get(path, headers={"If-None-Match": response.headers["ETag"]}).status_code == 304
        assert client.post(path).headers["Allow"] == "GET, HEAD"
        assert response.content_type == ("video/mp4" if path == "/sample.mp4" else "image/svg+xml")
    part = client.get("/sample.mp4", headers={"Range": "bytes=0-1"})
    assert (part.status_code, part.data) == (206, VIDEO[:2])


@pytest.mark.parametrize("path", [FRAME_PATH, VIDEO_PATH, *SAMPLES])
def test_media_can_be_embedded_anywhere_and_run_no_scripts(client: FlaskClient, path: str) -> None:
    """Spec: Fetch, "Cross-Origin-Resource-Policy header": a card's origin is opaque. Ours: cached for an hour."""
    headers = client.get(path).headers
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "max-age=3600"
    assert headers.get("Content-Security-Policy") == ("default-src 'none'" if path.endswith(".svg") else None)
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("path", [FRAME_PATH, VIDEO_PATH])
@pytest.mark.parametrize("query", ["", "?Expires=4102444800&Signature=sandbox", "?%ff=\x80"])
def test_the_signature_of_a_link_is_ignored(client: FlaskClient, path: str, query: str) -> None:
    """Ours: there is nothing to protect."""
    assert client.get(f"{path}{query}").data == client.get(path).data


@pytest.mark.parametrize("path", [FRAME_PATH, VIDEO_PATH])
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-1"}], ids=["whole", "range"])
def test_head_returns_the_headers_of_get_without_a_body(
    client: FlaskClient, path: str, headers: dict[str, str]
) -> None:
    """Spec: RFC 9110, section 9.3.2. Gap: section 14.2 limits Range to GET, but Werkzeug responds to HEAD with 206."""
    got, head = client.get(path, headers=headers), client.head(path, headers=headers)
    assert (head.status_code, head.data, head.content_length) == (got.status_code, b"", len(got.data))
    assert head.headers["ETag"] == got.headers["ETag"]


@pytest.mark.parametrize("path", [FRAME_PATH, VIDEO_PATH])
def test_cached_media_are_not_sent_again(client: FlaskClient, path: str) -> None:
    """Spec: RFC 9110, sections 8.8.3, 13.1.2, 13.2.2 and 15.4.5: also for a range request."""
    tag = client.get(path).headers["ETag"]
    for more in ({}, {"Range": "bytes=0-1"}):
        second = client.get(path, headers={"If-None-Match": tag, **more})
        assert (second.status_code, second.data, second.headers["ETag"]) == (304, b"", tag)
        changed = client.get(path, headers={"If-None-Match": '"other"', **more})
        assert changed.status_code == (206 if more and path == VIDEO_PATH else 200)


@pytest.mark.parametrize("path", [FRAME_PATH, VIDEO_PATH])
def test_another_version_of_media_is_refused_with_json(client: FlaskClient, path: str) -> None:
    """Spec: RFC 9110, sections 13.1.1 and 15.5.13."""
    tag = client.get(path).headers["ETag"]
    assert client.get(path, headers={"If-Match": tag}).status_code == 200
    response = client.get(path, headers={"If-Match": '"other"'})
    assert (response.status_code, response.get_json()) == (412, {"error": "precondition_failed"})


def test_the_video_is_the_committed_file(client: FlaskClient) -> None:
    """Ours: the same for every job. The header announces range requests to browsers (RFC 9110, section 14.3)."""
    for task_id in ("sandbox-completed", "sandbox-slow", named("Why?")):
        response = client.get(f"/sandbox/{task_id}/video.mp4")
        assert (response.status_code, response.content_type, response.data) == (200, "video/mp4", VIDEO)
        assert response.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-1", 0, 1),  # Safari's first request
        ("bytes=0-", 0, SIZE - 1),  # Chromium's first request
        (f"bytes=0-{SIZE - 1}", 0, SIZE - 1),
        ("bytes=7-7", 7, 7),
        (f"bytes=10-{SIZE * 9}", 10, SIZE - 1),
        ("bytes=-5", SIZE - 5, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
    ],
)
def test_a_range_request_returns_only_that_range(client: FlaskClient, wanted: str, first: int, last: int) -> None:
    """Spec: RFC 9110, sections 14.1.2, 14.4 and 15.3.7."""
    tag = client.get(VIDEO_PATH).headers["ETag"]
    for more in ({}, {"If-Range": tag}):
        response = client.get(VIDEO_PATH, headers={"Range": wanted, **more})
        assert (response.status_code, response.content_type) == (206, "video/mp4")
        assert response.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
        assert response.data == VIDEO[first : last + 1]
        assert response.content_length == last + 1 - first
        assert (response.headers["ETag"], response.headers["Accept-Ranges"]) == (tag, "bytes")


def rejected(client: FlaskClient, wanted: str) -> None:
    """Check that a range is rejected with the actual length."""
    response = client.get(VIDEO_PATH, headers={"Range": wanted})
    assert (response.status_code, response.get_json()) == (416, {"error": "requested_range_not_satisfiable"})
    assert response.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=999999999-"])
def test_a_range_beyond_the_end_of_the_video_is_416(client: FlaskClient, wanted: str) -> None:
    """Spec: RFC 9110, sections 14.4 and 15.5.17: with the actual length."""
    rejected(client, wanted)


@pytest.mark.parametrize("wanted", ["bytes=x", "bytes=5-2", "bytes", "", "bytes=\xff-", "bytes=0-1,3-4"])
def test_malformed_and_multiple_ranges_are_416(client: FlaskClient, wanted: str) -> None:
    """Spec: RFC 9110, section 14.2: a server may reject an invalid range. Ours: several ranges too."""
    rejected(client, wanted)


@pytest.mark.parametrize("wanted", ["items=0-1", f"bytes=-{SIZE * 9}"])
def test_other_units_and_long_suffixes_are_416(client: FlaskClient, wanted: str) -> None:
    """Gap: RFC 9110, sections 14.1.2 and 14.2: both should return the whole video, but Werkzeug rejects them."""
    rejected(client, wanted)


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-1", "If-Range": '"other"'},
        {"Range": "bytes=0-1", "If-Range": "Tue, 24 Nov 2026 00:00:00 GMT"},
    ],
)
def test_a_range_of_another_version_returns_the_whole_video(client: FlaskClient, headers: dict[str, str]) -> None:
    """Spec: RFC 9110, section 13.1.5."""
    response = client.get(VIDEO_PATH, headers=headers)
    assert (response.status_code, response.data) == (200, VIDEO)


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
        "/sandbox/../video.mp4",
        "/sandbox/12345/video.mp4",
        "/sandbox//video.mp4",
        "/sandbox",
    ],
)
def test_unknown_media_are_not_found(client: FlaskClient, path: str) -> None:
    """Ours: a 404 in JSON, as everywhere, and never an internal error."""
    response = client.get(path)
    assert (response.status_code, response.get_json()) == (404, NOT_FOUND)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", [FRAME_PATH, VIDEO_PATH])
def test_other_methods_are_not_allowed(client: FlaskClient, method: str, path: str) -> None:
    """Spec: RFC 9110, section 15.5.6: the response lists the allowed methods."""
    response = client.open(path, method=method)
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")
    assert response.get_json() == {"error": "method_not_allowed"}


@pytest.mark.parametrize("path", [FRAME_PATH, VIDEO_PATH])
def test_media_are_not_served_outside_the_sandbox(path: str) -> None:
    """Ours: simulated media are never served beside real ones."""
    response = create_app(Config()).test_client().get(path)
    assert (response.status_code, response.get_json()) == (404, NOT_FOUND)


def test_media_requests_are_logged_without_the_question(client: FlaskClient, log_lines: list[str]) -> None:
    """Ours: docs/operating.md, "Logs": the path without client-supplied text."""
    client.get(FRAME_PATH, headers={"X-Request-ID": "frame"})
    client.get(VIDEO_PATH, headers={"Range": "bytes=0-1"})
    client.get(f"/sandbox/{named('secret')}/frame9.svg")
    path = 'path="/sandbox/<task_id>/<name>"'
    assert f" level=info msg=request http_method=GET {path} status=200 " in log_lines[0]
    assert log_lines[0].endswith(" request_id=frame")
    assert f" level=info msg=request http_method=GET {path} status=206 bytes=2 " in log_lines[1]
    assert f" level=info msg=request http_method=GET {path} status=404 " in log_lines[2]
    assert named("secret") not in "".join(log_lines)


def test_the_links_of_a_result_work(mcp: Mcp) -> None:
    """Ours: from a question to a frame that shows its words, through the application alone."""
    task_id = mcp.call("gen_video", {"question": "Why is the sky blue?"})["structuredContent"]["task_id"]
    assert texts(drawn(mcp.client.get(f"/sandbox/{task_id}/frame1.svg")))[0] == "Why is the sky blue?"
    job = mcp.call("query_video_status", {"task_id": "sandbox-list"})["structuredContent"]
    for number, frame in enumerate(job["progress"]):
        assert texts(drawn(mcp.client.get(frame["image"])))[1] == STEPS[number][0]
    job = mcp.call("query_video_status", {"task_id": "sandbox-completed"})["structuredContent"]
    assert mcp.client.get(job["result"]["video_url"]).data == VIDEO


def boxes(data: bytes) -> list[tuple[str, bytes]]:
    """Return the type and the content of each box in a part of an MP4 file (ISO 14496-12, section 4.2)."""
    found, at = [], 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        assert 8 <= size <= len(data) - at
        found.append((kind.decode("ascii"), data[at + 8 : at + size]))
        at += size
    return found


def inside(data: bytes, *path: str) -> Any:
    """Return the content of the box at a path."""
    for kind in path:
        data = dict(boxes(data))[kind]
    return data


def test_the_video_is_small_and_plays_while_it_downloads() -> None:
    """Ours: at most 320 kB, 23 seconds, H.264 only, and its index before its data."""
    assert SIZE <= 320_000
    kinds = [kind for kind, _ in boxes(VIDEO)]
    assert kinds[0] == "ftyp"
    assert kinds.index("moov") < kinds.index("mdat")
    assert [kind for kind, _ in boxes(inside(VIDEO, "moov"))].count("trak") == 1
    timescale, duration = struct.unpack_from(">II", inside(VIDEO, "moov", "mvhd"), 12)
    assert duration / timescale == 23
    samples = inside(VIDEO, "moov", "trak", "mdia", "minf", "stbl", "stsd")[8:]
    ((kind, entry),) = boxes(samples)
    assert (kind, struct.unpack_from(">HH", entry, 24)) == ("avc1", (854, 480))
    assert dict(boxes(entry[78:]))["avcC"][1] in (66, 77)  # the profiles Baseline and Main of ISO 14496-10


def test_the_package_includes_all_of_its_files() -> None:
    """Ours: every file except modules matches a pattern of the package data in setup.cfg."""
    setup = configparser.ConfigParser()
    setup.read_string((ROOT / "setup.cfg").read_text(encoding="utf-8"))
    taken = setup["options.package_data"]["scenext_service"].split()
    package = ROOT / "scenext_service"
    files = [path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()]
    others = [name for name in files if not name.endswith((".py", ".pyc"))]
    assert "web/assets/sample.mp4" in others
    assert [name for name in others if not any(fnmatch(name, pattern) for pattern in taken)] == []
