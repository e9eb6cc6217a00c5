"""The commands `python -m scenext_service` and `scenext-service`: run gunicorn with this service's settings."""

import argparse
import os
import sys
from collections.abc import Sequence

from . import __version__
from .config import from_env
from .environment import exit_on_config_error


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit after `--check`, or replace the process with gunicorn, which keeps its ID and receives its signals."""
    options, gunicorn_options = _parser().parse_known_args(arguments)
    if options.check:
        from .check import check

        sys.exit(check(os.environ))
    with exit_on_config_error():
        from_env(os.environ)
    from .server.gunicorn import settings  # also exits with one line, without gunicorn's traceback

    command = [sys.executable, "-m", "gunicorn", "--config", f"python:{settings.__name__}", *gunicorn_options]
    os.execv(sys.executable, command)  # noqa: S606 - no shell is needed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scenext-service",
        description="Serve Scenext teaching videos as MCP tools. Settings are environment variables; see the README.",
        epilog="All other options are passed on to gunicorn, for example --bind 127.0.0.1:9000.",
        allow_abbrev=False,
    )
    check_help = "print the effective settings and test the connection to Scenext"
    parser.add_argument("--check", action="store_true", help=check_help)
    parser.add_argument("--version", action="version", version=f"scenext_service {__version__}")
    return parser


if __name__ == "__main__":
    main()
