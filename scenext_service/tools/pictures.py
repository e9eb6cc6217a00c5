"""Check picture and URL arguments, and reject invalid ones before a job is started and charged.

Models without a picture pass other values: a local path, a file name, an attachment's id, the word `null`. Only the
beginning of a picture is decoded. The Base64 variant that Scenext prefers is unknown, so a picture is sent unchanged.

Source: Scenext's API reference, "Generate video" (URLs or Base64); RFC 2397 (data URLs); RFC 4648, sections 4 and 5;
RFC 3986, section 3; RFC 1035, section 2.3.4 (the length of a host name).
"""

import base64
import re
import string

from ..mcp import ToolError
from ..scenext.responses import one_line
from .failure_people import BAD_PICTURE

_HEADER = 1000  # characters of a data URL up to its data
_BEGINNING = 8192  # characters that are decoded; in an SVG, a comment may come before the root element
_SLICE = 65536  # characters that are checked at a time, to avoid a copy of an image of 8 MB

_SPACE = string.whitespace.encode()
_ALPHABET = f"{string.ascii_letters}{string.digits}+/-_".encode()  # Base64 and base64url

# A data URL without `;base64`, such as `data:image/svg+xml,%3Csvg…`, is neither a link nor Base64.
_DATA_URL = re.compile(r"data:image/[^\s;,]+(?:;[^;,]*)*;\s*base64\s*,", re.IGNORECASE)

_SIGNATURE = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF.{4}WEBP|BM"
    rb"|.{4}ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1)"  # HEIC
    rb"|(?:\xef\xbb\xbf)?\s*+(?:<svg|<(?:\?xml|!--|!DOCTYPE\s+svg).*<svg)",
    re.DOTALL,
)

NOT_A_PICTURE = (
    'The argument "{where}" of the tool gen_video is not an image that Scenext can read; got “{received}”. Pass an http'
    " or https URL, or the image in Base64 (PNG, JPEG, GIF, WebP, BMP, HEIC or SVG), but only one that really exists:"
    " Scenext cannot open local files or attachments of the conversation. Otherwise omit {name} and describe the image"
    " in the {alternative}. Nothing was started or charged.\n\n"
    "工具 gen_video 的参数 {where} 不是 Scenext 能读取的图片，收到的是“{received}”。"
    "请提供确实存在的图片：http 或 https 地址，或图片的 Base64（PNG、JPEG、GIF、WebP、BMP、HEIC 或 SVG）。"
    "Scenext 无法打开本地文件或对话中的附件。如果没有这样的图片，请去掉 {name}，并在 {alternative} 中用文字描述图片。"
    "任务未创建，也未扣费。"
)


def checked(name: str, alternative: str, values: list[str]) -> list[str]:
    """Return the pictures of an argument, unchanged and without blank entries.

    `alternative` is the argument in which the model can describe a picture. Raises ToolError for the first invalid one.
    """
    given = [(index, value) for index, value in enumerate(values) if value and not value.isspace()]
    for index, value in given:
        if not is_picture(value):
            where, received = f"{name}[{index}]", one_line(value, 80)
            text = NOT_A_PICTURE.format(where=where, received=received, name=name, alternative=alternative)
            raise ToolError(text, BAD_PICTURE)
    return [value for _, value in given]


def is_picture(text: str) -> bool:
    """Return whether a text is a link, a data URL of an image, or the Base64 of a picture in a known format."""
    text = text.strip()
    if header := _DATA_URL.match(text, 0, _HEADER):
        return _is_base64(text, header.end())
    return is_http_url(text) or (_is_base64(text, 0) and _SIGNATURE.match(_beginning(text)) is not None)


def _is_base64(text: str, start: int) -> bool:
    """Return whether text is Base64 from `start` on, in either alphabet. White space and padding are optional."""
    end = len(text) - text[-2:].count("=")  # any other "=" is not in the alphabet
    symbols = 0
    for at in range(start, end, _SLICE):
        piece = text[at : min(at + _SLICE, end)].encode("ascii", "replace").translate(None, _SPACE)
        if piece.translate(None, _ALPHABET):
            return False
        symbols += len(piece)
    return symbols > 0 and symbols % 4 != 1  # a single symbol has 6 bits, which is less than a byte


def _beginning(text: str) -> bytes:
    """Return the first bytes of Base64 text."""
    symbols = "".join(text[:_BEGINNING].split()).rstrip("=")
    return base64.urlsafe_b64decode(symbols[: len(symbols) // 4 * 4].replace("+", "-").replace("/", "_"))


# A scheme and an authority. The host needs a letter or a digit, because models shorten URLs to `https://...`. Lengths
# are bounded, so that 8 MB of one character are checked fast. `urllib.parse.urlsplit` is unsuitable, because it caches
# recent URLs, which may contain signatures and whole images.
_ORIGIN = re.compile(
    r"https?://"
    r"(?:[^\s/?#@]{0,1000}+@)?"  # user and password
    r"(?:\[[0-9a-f:.]{2,45}\]|(?=[^\s/?#:@\[\]<>{}\\]{0,254}[^\W_])[^\s/?#:@\[\]<>{}\\]{1,255}+)"  # host
    r"(?::[0-9]{0,5})?"  # port
    r"(?=[/?#]|\Z)",
    re.IGNORECASE,
)


def is_http_url(text: str) -> bool:
    """Return whether text is an http or https URL with a host, without white space or control characters."""
    return _ORIGIN.match(text) is not None and text.isprintable() and " " not in text
