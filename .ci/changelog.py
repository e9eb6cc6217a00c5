"""Print the section of a version from CHANGELOG.md, as the notes of its release.

    python3 .ci/changelog.py VERSION

Exits with status 1 if the section is missing, empty or unreleased.
"""

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).parent.parent / "CHANGELOG.md"


def notes(changelog: str, version: str) -> str:
    """Return the text below a version's heading, which also has the day of the release. Raise ValueError without it."""
    number = rf"\[?{re.escape(version)}\]?"
    pattern = rf"^## {number} [^\n]*\d{{4}}-\d\d-\d\d\)?$(.*?)(?=^## |^\[|\Z)"
    found = re.search(pattern, changelog, re.MULTILINE | re.DOTALL)
    if not found or not found[1].strip():
        raise ValueError(f"CHANGELOG.md has no released section {version}")
    return f"{found[1].strip()}\n"


if __name__ == "__main__":
    try:
        sys.stdout.write(notes(CHANGELOG.read_text(encoding="utf-8"), sys.argv[1]))
    except ValueError as error:
        sys.exit(str(error))
