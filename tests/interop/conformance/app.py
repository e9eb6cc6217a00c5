"""The service with the fixtures of the official conformance suite next to its own tools, for `run.py`.

The fixtures use this package's registry and blueprint, so a failure with a fixture is a failure of those. They do only
what the suite's scenarios describe.

Source: modelcontextprotocol/conformance, the `description` of each server scenario.
"""

import base64
import os
import struct
import time
import zlib
from typing import Any

from flask import Flask

from scenext_service import mcp
from scenext_service.config import from_env
from scenext_service.mcp import Call, Steps, Tool, ToolError, ToolResult
from scenext_service.scenext.client import Scenext
from scenext_service.scenext.sandbox.adapter import Sandbox
from scenext_service.server.application import Service
from scenext_service.tools import create_tools
from scenext_service.tools.api_call import Credentials
from scenext_service.tools.waiting import JobWaiter

NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content}


def _png() -> str:
    """Return a PNG image of one red pixel in Base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0\xff\0\0")
    return base64.b64encode(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    ).decode()


def _wav() -> str:
    """Return a WAV sound without samples in Base64."""
    form = struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", 0)
    return base64.b64encode(b"RIFF" + struct.pack("<I", len(body)) + body).decode()


IMAGE = {"type": "image", "data": _png(), "mimeType": "image/png"}
AUDIO = {"type": "audio", "data": _wav(), "mimeType": "audio/wav"}


def resource(uri: str) -> dict[str, Any]:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": "text/plain", "text": "An embedded resource."}}


def fixture(name: str, *content: dict[str, Any], schema: dict[str, Any] | None = None) -> Tool:
    """Return a tool with this fixed content."""

    def answer(arguments: dict[str, Any], call: Call) -> Steps[ToolResult]:
        yield from ()
        return ToolResult(list(content))

    return Tool(name, name, f"The suite's fixture {name}.", schema or NO_ARGUMENTS, answer)


def report_progress(arguments: dict[str, Any], call: Call) -> Steps[ToolResult]:
    """Report three steps, 50 ms apart."""
    for done in (0, 50, 100):
        yield call.progress(done, f"{done} of 100", 100)
        time.sleep(0.05)
    return ToolResult([text("All steps are done.")])


def fail(arguments: dict[str, Any], call: Call) -> Steps[ToolResult]:
    yield from ()
    raise ToolError("This tool intentionally returns an error for testing")


JSON_SCHEMA_2020_12: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
MIRRORED: dict[str, Any] = {
    "type": "object",
    "properties": {"region": {"type": "string", "description": "Mirrored.", "x-mcp-header": "Region"}},
    "required": ["region"],
}

FIXTURES = [
    fixture("test_simple_text", text("This is a simple text response for testing.")),
    fixture("test_image_content", IMAGE),
    fixture("test_audio_content", AUDIO),
    fixture("test_embedded_resource", resource("test://embedded-resource")),
    fixture("test_multiple_content_types", text("Multiple types:"), IMAGE, resource("test://mixed-content-resource")),
    Tool("test_error_handling", "test_error_handling", "Always fails.", NO_ARGUMENTS, fail),
    fixture("json_schema_2020_12_tool", text("ok"), schema=JSON_SCHEMA_2020_12),
    fixture("test_x_mcp_header", text("ok"), schema=MIRRORED),
    fixture("test_missing_capability", text("ok")),
    Tool("test_tool_with_progress", "Progress", "Reports progress.", NO_ARGUMENTS, report_progress),
    # These two also only stream: nothing here elicits input or sends log messages.
    Tool("test_streaming_elicitation", "Streams", "Streams.", NO_ARGUMENTS, report_progress),
    Tool("test_logging_tool", "Streams", "Streams.", NO_ARGUMENTS, report_progress),
]


def create() -> Flask:
    """Create the application."""
    config = from_env(os.environ)
    scenext = Scenext(config.api_base_url, timeout=config.timeout, slots=64, adapter=Sandbox())
    own = create_tools(scenext, Credentials(), config.default_quality, JobWaiter(config.max_wait, 64))
    server = mcp.Server(
        {"name": "conformance", "version": "1"},
        "Fixtures.",
        [*own, *FIXTURES],
        [mcp.resources.Resource("test://static-text", "text", "Text", "text/plain", "A static text.")],
    )
    app = Service(__name__)
    app.register_blueprint(
        mcp.create_blueprint(
            server,
            mcp.Origins(),
            mcp.BodyReader.with_budget(config.max_body, config.body_budget, anonymous=True),
            lambda record: None,
        )
    )
    return app


app = create()
