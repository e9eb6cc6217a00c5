"""Pictures as arguments of gen_video: which are sent unchanged, and which are rejected before a job is charged."""

import base64
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask

from scenext_service import create_app
from scenext_service.config import Config
from tests.support.cases import case
from tests.support.messages import KEY, Mcp, halves
from tests.support.pictures import FORMATS, PNG, coded, picture
from tests.support.scripted import ScriptedScenext

URL = "https://pictures.example/1.png"
PIXELS = bytes(range(256)) * 40  # their Base64 contains every symbol


@pytest.fixture
def upstream() -> ScriptedScenext:
    """Make a Scenext that starts every job."""
    scenext = ScriptedScenext()
    scenext.succeeds({"task_id": "1"})
    return scenext


@pytest.fixture
def app(config: Config, upstream: ScriptedScenext) -> Flask:
    """Make the application over `upstream`."""
    return create_app(config, upstream)


def sent(upstream: ScriptedScenext) -> Any:
    (request,) = upstream.requests
    assert isinstance(request.body, bytes)
    return json.loads(request.body)


LINKS = [
    URL,
    "http://pictures.example",
    "HTTPS://PICTURES.EXAMPLE/1.PNG",
    "https://pictures.example:8443/a/1.png?Expires=1&Signature=a%2Fb#c",
    "https://user:password@pictures.example/1.png",
    "https://[2001:db8::1]:80/1.png",
    "https://192.0.2.1/1.png",
    "https://图片.example/题目1.png",
    "https://xn--fiq228c.example?1",
    f"  {URL}\n",
]


@pytest.mark.parametrize("value", LINKS)
def test_a_link_is_sent_unchanged(mcp: Mcp, upstream: ScriptedScenext, value: str) -> None:
    """Spec: RFC 3986, section 3; Scenext's API reference, "Generate video": URLs."""
    assert mcp.call("gen_video", {"question_images": [value]})["isError"] is False
    assert sent(upstream)["questionImages"] == [value]


def wrapped(data: bytes, end: str) -> str:
    """Return Base64 in lines of 76 characters, as in MIME."""
    return base64.encodebytes(data).decode().replace("\n", end)


LONG = FORMATS["PNG"] + PIXELS
ENCODED = {
    **{name: coded(data) for name, data in FORMATS.items()},
    "without padding": coded(FORMATS["GIF89a"]).rstrip("="),
    "long": coded(LONG),
    "lines": wrapped(LONG, "\n"),
    "lines of Windows": wrapped(LONG, "\r\n"),
    "spaces before, in and after": f" \t{coded(LONG[:30])} {coded(LONG[30:])}\n\n",
    "base64url": base64.urlsafe_b64encode(LONG).decode(),
    "base64url without padding": base64.urlsafe_b64encode(LONG + b"1").decode().rstrip("="),
    "a comment longer than a line": coded(b"<!-- " + b"=" * 4000 + b" -->\n<svg/>"),
    "longer than a slice, padded": coded(FORMATS["JPEG"] + bytes(100_000)),
    "data URL": f"data:image/png;base64,{PNG}",
    "data URL in capitals": f"DATA:IMAGE/PNG;BASE64,{PNG}",
    "data URL with a parameter": f"data:image/svg+xml;charset=utf-8;base64,{coded(FORMATS['SVG'])}",
    "data URL with two parameters": f"data:image/jpeg;name=1.jpg;x=y;base64,{coded(FORMATS['JPEG'])}",
    "data URL with lines": f"data:image/png;base64,\n{wrapped(LONG, chr(10))}",
    "data URL of another format": f"data:image/avif;base64,{coded(bytes(30))}",
    "data URL without padding": f"data:image/png;base64,{PNG.rstrip('=')}",
}


@pytest.mark.parametrize("value", ENCODED.values(), ids=ENCODED)
def test_an_encoded_picture_is_sent_unchanged(mcp: Mcp, upstream: ScriptedScenext, value: str) -> None:
    """Spec: RFC 4648, sections 4 and 5; RFC 2397. Ours: Scenext may prefer either, so nothing is rewritten."""
    arguments = {"question": "q", "question_images": [value], "answer_images": [URL, value]}
    assert mcp.call("gen_video", arguments)["isError"] is False
    job = sent(upstream)
    assert (job["questionImages"], job["answerImages"]) == ([value], [URL, value])


REFUSED = {
    "local path": "/mnt/data/0.png",
    "path of Windows": r"C:\Users\me\1.png",
    "path in the home": "~/1.png",
    "relative path": "./images/1.png",
    "file name": "image.png",
    "file URL": "file:///tmp/1.png",
    "file URL with a host": "file://localhost/tmp/1.png",
    "sandbox URL of ChatGPT": "sandbox:/mnt/data/0.png",
    "attachment": "attachment://1.png",
    "blob URL": "blob:https://chat.example/6f0c",
    "content URL of Android": "content://media/external/images/1",
    "object of a bucket": "s3://bucket/1.png",
    "ftp URL": "ftp://pictures.example/1.png",
    "id of a file": "file-8dXk2mVQ1rTzPq7L",
    "null": "null",
    "None": "None",
    "undefined": "undefined",
    "description": "a triangle with sides of 3, 4 and 5",
    "description in Chinese": "直角三角形的图片",
    "Markdown": f"![1]({URL})",
    "HTML": f'<img src="{URL}">',
    "in brackets": f"<{URL}>",
    "in quotes": f'"{URL}"',
    "two links": f"{URL} {URL}",
    "two links in lines": f"{URL}\n{URL}",
    "without a scheme": "pictures.example/1.png",
    "without a scheme, two slashes": "//pictures.example/1.png",
    "without a host": "https:///1.png",
    "scheme alone": "https://",
    "one slash": "https:/pictures.example/1.png",
    "shortened link": "https://...",
    "shortened link with a path": "https://…/1.png",
    "template": "https://<host>/1.png",
    "template with braces": "https://{host}/1.png",
    "broken address": "http://[::1/1.png",
    "no port": "https://pictures.example:port/1.png",
    "space": "https://pictures.example/my picture.png",
    "control character": "https://pictures.example/1.png\x00",
    "format character": "https://pictures.example/\u202e1.png",
    "word that is Base64": "image123",
    "text in Base64": coded(b"What is the area of this triangle?"),
    "page in Base64": coded(b"<!DOCTYPE html><html><svg></svg></html>"),
    "XML without a picture, in Base64": coded(b'<?xml version="1.0"?><rss/>'),
    "PDF in Base64": coded(b"%PDF-1.7"),
    "video in Base64": coded(b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00"),
    "RIFF that is sound": coded(b"RIFF\x24\x00\x00\x00WAVEfmt "),
    "signature cut short": "iVBORw==",
    "cut with dots": f"{PNG[:20]}...",
    "cut in the middle": f"{PNG[:20]}...{PNG[20:]}",
    "one symbol too many": f"{picture(400)}A",
    "padding in the middle": f"{PNG}={PNG}",
    "percent-encoded": PNG.replace("A", "%41"),
    "escaped line breaks": wrapped(LONG, r"\n"),
    "another character far inside": f"{picture(200_000)}!{picture(200_000)}",
    "a Chinese character far inside": f"{picture(200_000)}图{picture(200_000)}",
    "SVG as text": FORMATS["SVG"].decode(),
    "data URL without Base64": "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E",
    "data URL in UTF-8": "data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg'/>",
    "data URL of a text": f"data:text/plain;base64,{PNG}",
    "data URL without a type": f"data:;base64,{PNG}",
    "data URL of no format": f"data:image/;base64,{PNG}",
    "data URL without data": "data:image/png;base64,",
    "data URL with padding alone": "data:image/png;base64,==",
    "data URL with white space alone": "data:image/png;base64, \n",
    "data URL cut with dots": "data:image/png;base64,iVBORw0KGgo...",
    "data URL with a description": "data:image/png;base64,<base64 of the picture>",
    "data URL of one symbol": "data:image/png;base64,A",
    "data URL without a comma": "data:image/png;base64" + ";" * 2_000_000,
    "data URL without its scheme": f"image/png;base64,{PNG}",
    "white space in a long link": "https://" + "a" * 2_000_000 + " b",
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_an_unreadable_picture_starts_no_job(mcp: Mcp, upstream: ScriptedScenext, value: str) -> None:
    """Ours: a job is charged even if its pictures are unreadable. Models without one pass a path, name or word."""
    for name, instead in (("question_images", "question"), ("answer_images", "answer")):
        with case(name, instead):
            result = mcp.call("gen_video", {"question": "q", name: [URL, "", value, "null"]})
            assert result["isError"] is True
            english, chinese = halves(result["content"][0]["text"])
            printable = " ".join("".join(char if char.isprintable() else " " for char in value[:1000]).split())
            shown = printable if len(printable) <= 80 else f"{printable[:79]}…"
            assert english == (
                f'The argument "{name}[2]" of the tool gen_video is not an image that Scenext can read; got “{shown}”.'
                " Pass an http or https URL, or the image in Base64 (PNG, JPEG, GIF, WebP, BMP, HEIC or SVG), but only"
                " one that really exists: Scenext cannot open local files or attachments of the conversation."
                f" Otherwise omit {name} and describe the image in the {instead}. Nothing was started or charged."
            )
            assert f"参数 {name}[2] 不是 Scenext 能读取的图片，收到的是“{shown}”" in chinese
            assert chinese.endswith("任务未创建，也未扣费。")
            assert upstream.requests == []


@pytest.mark.parametrize("value", ["null", "[null]", '["null"]'])
def test_the_word_null_starts_no_job_in_any_form(mcp: Mcp, upstream: ScriptedScenext, value: str) -> None:
    """Ours: anthropics/claude-code#95239: the client sends the word if the model omits the argument."""
    for images in (value, [value]):
        result = mcp.call("gen_video", {"question_images": images})
        assert result["isError"] is True
        assert halves(result["content"][0]["text"])[0].endswith("Nothing was started or charged.")
    assert upstream.requests == []


def test_no_link_is_kept_in_the_cache_of_urlsplit(mcp: Mcp, upstream: ScriptedScenext) -> None:
    """Ours: a link may be signed. `urlsplit` caches the last 128 strings that it parsed, even 8 MB of Base64."""
    cache: Any = urlsplit  # its type stub does not declare the cache
    misses = []
    for number in range(3):
        link = f"{URL}?Signature={number}"
        assert mcp.call("gen_video", {"question_images": [link, PNG], "notify_url": link})["isError"] is False
        misses.append(cache.cache_info().misses)
    assert misses == misses[:1] * 3


def test_a_key_passed_as_a_picture_is_not_sent(mcp: Mcp, upstream: ScriptedScenext) -> None:
    """Ours: a model may pass any value as a picture."""
    assert mcp.call("gen_video", {"question_images": [KEY]})["isError"] is True
    assert upstream.requests == []
