"""What the programs of this folder take from Debian."""

import os
import subprocess
from collections.abc import Sequence

INSTALL_TIMEOUT = 600  # seconds


def install(packages: Sequence[str]) -> None:
    """Install what is missing of some packages, as root. Raises RuntimeError."""
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *packages]
    shown = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    if missing := [name for name in packages if f"{name} installed" not in shown]:
        # Runlevel 1 keeps what is installed from being started as a service of this machine.
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        apt = ["apt-get", "-o", f"DPkg::Lock::Timeout={INSTALL_TIMEOUT}"]  # another of these programs may install too
        for command in ([*apt, "update"], [*apt, "install", "-y", "--no-install-recommends", *missing]):
            run(command, environ)


def run(command: list[str], environ: dict[str, str]) -> str:
    """Run a command that installs something; return what it printed. Raises RuntimeError with the end of that."""
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
