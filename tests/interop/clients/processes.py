"""Run a client's program to completion in the folder of its packages."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

RUN_TIMEOUT = 240  # seconds for one program


class Ended(NamedTuple):
    """A finished program: its exit status and output."""

    status: int
    output: str
    errors: str


def execute(command: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None) -> Ended:
    """Run a program in a folder with a clean environment. Raises subprocess.TimeoutExpired."""
    with (
        tempfile.TemporaryDirectory() as home,
        subprocess.Popen(
            command,
            cwd=folder,
            # No proxies and no user settings.
            env={"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8", **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        ) as process,
    ):
        try:
            output, errors = process.communicate(timeout=RUN_TIMEOUT)
        finally:
            # The program leads its own process group and may leave children behind.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return Ended(process.returncode, output, errors)
