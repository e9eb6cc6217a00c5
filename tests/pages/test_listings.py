"""`server.json` for the MCP registry, `glama.json` for Glama, and the licence."""

import json
from typing import Any
from urllib.parse import urlsplit

import fastjsonschema
import pytest
from flask.testing import FlaskClient

from tests.support import pages
from tests.support.messages import KEY, Mcp

SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"

# The rules of that schema for the fields of our file. They are stricter, so that a misspelled field is an error.
INPUT = {
    "description": {"type": "string"},
    "isRequired": {"type": "boolean"},
    "isSecret": {"type": "boolean"},
    "value": {"type": "string"},
}
RULES = {
    "type": "object",
    "additionalProperties": False,
    "required": ["$schema", "name", "description", "version", "remotes"],
    "properties": {
        "$schema": {"const": SCHEMA},
        "name": {
            "type": "string",
            "minLength": 3,
            "maxLength": 200,
            "pattern": r"^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$",
        },
        "title": {"type": "string", "minLength": 1, "maxLength": 100},
        "description": {"type": "string", "minLength": 1, "maxLength": 100},
        "websiteUrl": {"type": "string", "pattern": r"^https://[^\s]+$"},
        "repository": {
            "type": "object",
            "additionalProperties": False,
            "required": ["url", "source"],
            "properties": {
                "url": {"type": "string", "pattern": r"^https://[^\s]+$"},
                "source": {"const": "github"},
            },
        },
        "icons": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["src"],
                "properties": {
                    "src": {"type": "string", "maxLength": 255, "pattern": r"^https://[^\s]+$"},
                    "mimeType": {"enum": ["image/png", "image/jpeg", "image/jpg", "image/svg+xml", "image/webp"]},
                    "sizes": {"type": "array", "items": {"type": "string", "pattern": r"^(\d+x\d+|any)$"}},
                },
            },
        },
        "version": {"type": "string", "maxLength": 255, "pattern": r"^\d+\.\d+\.\d+$"},
        "remotes": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["type", "url", "headers"],
                "properties": {
                    "type": {"const": "streamable-http"},
                    "url": {"type": "string", "pattern": r"^https://[^\s]+$"},
                    "headers": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["name"],
                            "properties": {
                                **INPUT,
                                "name": {"type": "string"},
                                "variables": {
                                    "type": "object",
                                    "additionalProperties": {
                                        "type": "object",
                                        "additionalProperties": False,
                                        "properties": INPUT,
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}
valid = fastjsonschema.compile(RULES)


def server() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pages.page("server.json"))
    return found


def test_server_json_follows_the_registry_schema() -> None:
    """Spec: MCP registry, server.json, schema 2025-12-11."""
    valid(server())


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"name": "scenext_service"}, id="no namespace"),
        pytest.param({"description": "x" * 101}, id="too long description"),
        pytest.param({"version": "^1.0.0"}, id="version range"),
        pytest.param({"websiteUrl": "YOUR-APP.example.com"}, id="website without scheme"),
        pytest.param({"repository": {"url": "https://github.com/a/b"}}, id="repository without source"),
        pytest.param({"icons": [{"src": "/icon.svg"}]}, id="relative icon"),
        pytest.param({"remote": []}, id="misspelled field"),
        pytest.param(
            {"remotes": [{"type": "http", "url": "https://example.com/mcp", "headers": []}]}, id="unknown transport"
        ),
    ],
)
def test_the_rules_reject_invalid_fields(wrong: dict[str, Any]) -> None:
    """Ours: a rule that cannot fail proves nothing."""
    with pytest.raises(fastjsonschema.JsonSchemaValueException):
        valid({**server(), **wrong})


def test_server_json_names_the_endpoint() -> None:
    """Ours: only the path is fixed; the owner replaces the host."""
    (remote,) = server()["remotes"]
    assert urlsplit(remote["url"]).path == "/mcp"


def test_server_json_links_to_the_page_and_the_icon(client: FlaskClient) -> None:
    """Ours: on the same host as the endpoint."""
    website, (icon,) = server()["websiteUrl"], server()["icons"]
    assert f"{website}mcp" == server()["remotes"][0]["url"]
    assert client.get(urlsplit(website).path).content_type == "text/html; charset=utf-8"
    assert client.get(urlsplit(icon["src"]).path).content_type == icon["mimeType"]
    assert icon["src"].startswith(website)


def test_server_json_asks_for_the_key_as_a_secret(mcp: Mcp) -> None:
    """Ours: clients hide a secret while the user types it; the service accepts the resulting header."""
    (header,) = server()["remotes"][0]["headers"]
    (name, variable), *others = header["variables"].items()
    assert others == []
    assert [header["isSecret"], header["isRequired"], variable["isSecret"], variable["isRequired"]] == [True] * 4
    sent = {header["name"]: header["value"].replace(f"{{{name}}}", KEY)}
    assert sent == {"Authorization": f"Bearer {KEY}"}
    assert mcp.call("query_video_status", {"task_id": "sandbox-completed"}, sent)["isError"] is False


def test_glama_json_names_maintainers() -> None:
    """Spec: Glama, schema of glama.json: a list of GitHub names."""
    found = json.loads(pages.page("glama.json"))
    assert set(found) == {"$schema", "maintainers"}
    assert found["$schema"] == "https://glama.ai/mcp/schemas/server.json"
    assert found["maintainers"]
    assert all(isinstance(name, str) and name for name in found["maintainers"])


def test_the_licence_is_the_same_everywhere() -> None:
    """Ours: the licence file, the package's metadata and both READMEs agree."""
    assert pages.page("LICENSE").startswith("MIT License\n")
    assert "\nlicense = MIT\n" in pages.page("setup.cfg")
    assert all("[MIT](LICENSE)" in pages.page(name) for name in ("README.md", "README.zh.md"))
