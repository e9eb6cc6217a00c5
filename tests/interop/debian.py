"""Install Debian packages for the programs of this folder."""

import os
import subprocess
from collections.abc import Sequence

INSTALL_TIMEOUT = 600  # seconds


def install(packages: Sequence[str]) -> None:
    """Install those of the packages that are missing, as root. Raises RuntimeError."""
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *packages]
    shown = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    if missing := [name for name in packages if f"{name} installed" not in shown]:
        # With RUNLEVEL=1, the packages' scripts do not start their services on this machine.
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        apt = ["apt-get", "-o", f"DPkg::Lock::Timeout={INSTALL_TIMEOUT}"]  # other programs may install too
        for command in ([*apt, "update"], [*apt, "install", "-y", "--no-install-recommends", *missing]):
            run(command, environ)


def run(command: list[str], environ: dict[str, str]) -> str:
    """Run an installation command and return its output. Raises RuntimeError with the end of the output."""
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
