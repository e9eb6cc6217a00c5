"""The files of this folder, as they are sent."""

import tomllib
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def compact(name: str) -> str:
    """Return a file without its indentation and the lines that are nothing but a comment."""
    lines = (line.strip() for line in (_HERE / name).read_text(encoding="utf-8").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def content(name: str) -> bytes:
    """Return a file as it is."""
    return (_HERE / name).read_bytes()


def table(name: str) -> dict[str, Any]:
    """Return what a TOML file says."""
    return tomllib.loads((_HERE / name).read_text(encoding="utf-8"))
