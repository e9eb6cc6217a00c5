"""Write the golden exchanges anew, from what the service answers now, and print what that changes.

    python -m tests.exchanges.write [--check]

Why an exchange exists and what it sends stay; a new one needs nothing else. Read the difference before you commit it.
With `--check` nothing is written, and the status is 1 where anything would be changed.
"""

import argparse
import difflib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from scenext_service import create_app
from scenext_service.config import Config
from tests.exchanges import FILES, answer, load
from tests.support.scripted import ScriptedScenext


def write(path: Path, client: FlaskClient, keep: bool = False) -> str:
    """Replace the answer in a file, unless to `keep` it; return the difference, nothing where there is none."""
    before, exchange = path.read_text(encoding="utf-8"), load(path)
    response = ordered(answer(client, exchange), exchange.get("response"))
    after = json.dumps({**exchange, "response": response}, indent=2, ensure_ascii=False) + "\n"
    if not keep:
        path.write_text(after, encoding="utf-8")
    lines = (before.splitlines(keepends=True), after.splitlines(keepends=True))
    return "".join(difflib.unified_diff(*lines, f"a/{path.name}", f"b/{path.name}"))


def ordered(new: Any, old: Any) -> Any:
    """Return a value with the keys of its objects in the order that they had, so that no difference is one of order."""
    if isinstance(new, dict) and isinstance(old, dict):
        return {
            key: ordered(new[key], old.get(key))
            for key in [*(k for k in old if k in new), *(k for k in new if k not in old)]
        }
    if isinstance(new, list) and isinstance(old, list):
        return [ordered(value, old[n] if n < len(old) else None) for n, value in enumerate(new)]
    return new


def main(paths: Sequence[Path] = FILES) -> int:
    """Write all of them, or check them; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.exchanges.write")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where anything would be changed")
    check = parser.parse_args().check
    client = create_app(Config(sandbox=True, log_level="ERROR"), ScriptedScenext()).test_client()
    difference = "".join(write(path, client, keep=check) for path in paths)
    sys.stdout.write(difference)
    return int(check and bool(difference))


if __name__ == "__main__":
    sys.exit(main())
