"""Sample images as callers send them: the first bytes of each format, and Base64 of any length."""

import base64

FORMATS = {
    "PNG": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "JPEG": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    "GIF87a": b"GIF87a\x01\x00\x01\x00",
    "GIF89a": b"GIF89a\x01\x00\x01\x00",
    "WebP": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "BMP": b"BM\x3a\x00\x00\x00\x00\x00\x00\x00\x36\x00",
    "HEIC": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00",
    "HEIF": b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "SVG with a prolog": b'\xef\xbb\xbf\n<?xml version="1.0"?>\n<!-- by hand -->\n<svg viewBox="0 0 1 1"/>',
    "SVG with a doctype": b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd">\n<svg viewBox="0 0 1 1"/>',
}


def coded(data: bytes) -> str:
    """Return bytes as Base64, as RFC 4648 defines it."""
    return base64.b64encode(data).decode()


PNG = coded(FORMATS["PNG"])


def picture(characters: int, fill: str = "A") -> str:
    """Return Base64 of the given length that starts with the PNG signature; `characters` is a multiple of 4."""
    signature = "iVBORw0KGgo"
    return signature + fill * (characters - len(signature))
