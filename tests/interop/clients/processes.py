"""A client's program, run to its end where its packages are."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

RUN_TIMEOUT = 150  # seconds for one program


class Ended(NamedTuple):
    """How a program ended, and what it printed."""

    status: int
    output: str
    errors: str


def execute(command: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None) -> Ended:
    """Run a program in a folder, in an environment of its own. Raises subprocess.TimeoutExpired."""
    with (
        tempfile.TemporaryDirectory() as home,
        subprocess.Popen(
            command,
            cwd=folder,
            # No proxies, no settings of the user's.
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
            # It leads a process group of its own, and may have left some of it behind.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return Ended(process.returncode, output, errors)
