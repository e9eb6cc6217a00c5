"""`python -m scenext_service`, and the command `scenext-service`: gunicorn with this service's settings."""

import argparse
import os
import sys
from collections.abc import Sequence

from .config import from_env
from .environment import or_exit
from .version import VERSION


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the commands. Ends the program, or becomes gunicorn: its process id, its signals, its exit status."""
    options, others = _parser().parse_known_args(arguments)
    if options.check:
        from .check import check

        sys.exit(check(os.environ))
    with or_exit():
        from_env(os.environ)
    from .serving import settings  # exits too, where gunicorn itself would fail with a trace

    command = [sys.executable, "-m", "gunicorn", "--config", f"python:{settings.__name__}", *others]
    os.execv(sys.executable, command)  # noqa: S606 - there is no shell


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scenext-service",
        description="Serve Scenext's teaching videos as MCP tools. Settings are environment variables: see the README.",
        epilog="Other options are gunicorn's, as --bind 127.0.0.1:9000.",
        allow_abbrev=False,
    )
    parser.add_argument("--check", action="store_true", help="say what the settings mean, and try the way to Scenext")
    parser.add_argument("--version", action="version", version=f"scenext_service {VERSION}")
    return parser


if __name__ == "__main__":
    main()
