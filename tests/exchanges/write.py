"""Update the golden exchanges with the current responses of the service, and print the changes as a diff.

    python -m tests.exchanges.write [--check]

`why` and `request` are kept. A new exchange needs only these two. Read the diff before you commit it. With `--check`,
nothing is written, and the exit status is 1 if any file is stale.
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
from tests.support.scripted import ScriptedScenext, SkippedWaits


def write(path: Path, client: FlaskClient, keep: bool = False) -> str:
    """Update the response in a file, unless `keep` is set. Return the diff, which is empty if nothing changed."""
    before, exchange = path.read_text(encoding="utf-8"), load(path)
    response = ordered(answer(client, exchange), exchange.get("response"))
    after = json.dumps({**exchange, "response": response}, indent=2, ensure_ascii=False) + "\n"
    if not keep:
        path.write_text(after, encoding="utf-8")
    lines = (before.splitlines(keepends=True), after.splitlines(keepends=True))
    return "".join(difflib.unified_diff(*lines, f"a/{path.name}", f"b/{path.name}"))


def ordered(new: Any, old: Any) -> Any:
    """Return a value with the keys of its objects in their previous order, so that the diff shows no reordering."""
    if isinstance(new, dict) and isinstance(old, dict):
        return {
            key: ordered(new[key], old.get(key))
            for key in [*(k for k in old if k in new), *(k for k in new if k not in old)]
        }
    if isinstance(new, list) and isinstance(old, list):
        return [ordered(value, old[n] if n < len(old) else None) for n, value in enumerate(new)]
    return new


def main(paths: Sequence[Path] = FILES) -> int:
    """Update or check all exchanges. Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.exchanges.write")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where anything would be changed")
    check = parser.parse_args().check
    config = Config(sandbox=True, log_level="ERROR")
    client = create_app(config, ScriptedScenext(), SkippedWaits().clock).test_client()
    difference = "".join(write(path, client, keep=check) for path in paths)
    sys.stdout.write(difference)
    return int(check and bool(difference))


if __name__ == "__main__":
    sys.exit(main())
