"""A bare Debian with systemd as its first process, on which a page is followed word for word, as root.

debootstrap builds it from this machine's release, and systemd-nspawn boots it on a disposable overlay. It has its own
network with only a loopback interface, so the ports 80 and 443 are free. Installation commands use this machine's
network.
"""

import os
import platform
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.interop import debian
from tests.support import checkout
from tests.support.server import wait_until

from .site import Running, Site

HOST_PACKAGES = ("debootstrap", "systemd-container")
FIRST_PACKAGES = "ca-certificates,dbus,git,systemd-sysv"  # cloning the repository needs git
MIRROR = "http://deb.debian.org"
FIRST = "0.0.1"  # the version and the tag of its clone
NAME = "mcp.example.com"  # its name on the pages
BOOT_TIMEOUT = 60.0  # seconds
COMMAND_TIMEOUT = 300.0

# The files that installation commands need to reach package indexes and mirrors as this machine does.
_SETTINGS = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt", "/etc/resolv.conf", "/etc/apt/apt.conf.d")
_INSTALLS = ("apt-get ", ".venv/bin/pip ")

_THROWN_AWAY = {"DPKG_FORCE": "unsafe-io"}  # the disk is disposable, so dpkg need not sync it

_FORWARD = "/lib/systemd/systemd-socket-proxyd --connections-max=4096"


class Machine:
    """A running machine: its root folder, its process on this machine, and its log."""

    def __init__(self, root: Path, running: Running) -> None:
        self.root = root
        self.running = running
        self._init = 0
        self._folder = "/"

    def up(self) -> bool:
        """Return whether it has booted. Its first process is one of systemd-nspawn's children."""
        for child in self.running.children():
            self._init = int(child)
            with suppress(RuntimeError):
                return "running" in self.run("systemctl is-system-running")
        return False

    def follow(self, lines: Sequence[str]) -> None:
        """Run the commands of a page in order; `cd` applies to the commands after it. Raises RuntimeError."""
        for line in lines:
            if line.startswith("cd "):
                self._folder = line.removeprefix("cd ")
            else:
                self.run(line)

    def run(self, line: str) -> str:
        """Run a command as root and return its output. Raises RuntimeError if it fails."""
        done = subprocess.run(
            [*self.enter("" if line.startswith(_INSTALLS) else "--net"), "bash", "-c", f"cd {self._folder} && {line}"],
            env=_environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{line}\n{done.stdout[-3000:]}")
        return done.stdout

    def enter(self, network: str) -> list[str]:
        """Return the prefix that runs a command in the machine, and in its network if `network` is `--net`."""
        spaces = ["--mount", "--uts", "--ipc", "--pid", "--root", "--wd", *network.split()]
        return ["nsenter", f"--target={self._init}", *spaces]

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        Path(f"{self.root}{name}").write_text(text, encoding="utf-8")

    @contextmanager
    def port(self, number: int) -> Iterator[int]:
        """Yield a loopback port of this machine that forwards to one of the booted machine."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            command = f"ulimit -n $(ulimit -Hn); exec env LISTEN_PID=$$ LISTEN_FDS=1 {_FORWARD} 127.0.0.1:{number} 3<&0"
            entering = ["nsenter", f"--target={self._init}", "--net", "bash", "-c", command]
            with subprocess.Popen(entering, stdin=listener.fileno()) as process:
                try:
                    yield listener.getsockname()[1]
                finally:
                    process.terminate()


@contextmanager
def machine(site: Site, name: str) -> Iterator[Machine]:
    """Boot a bare Debian with a clone of the checkout in /srv/scenext_service; `name` also names its log."""
    with _layer(_installed(site), site.folder / name) as root:
        boot = f"systemd-nspawn --quiet --register=no --keep-unit --link-journal=no --private-network --boot -D {root}"
        with site.running(boot, f"{name}-boot") as nspawn:
            booted = Machine(root, nspawn)
            wait_until(booted.up, BOOT_TIMEOUT)
            booted.write("/etc/hosts", f"127.0.0.1 localhost {NAME}\n")
            booted.run("git clone --quiet /srv/origin /srv/scenext_service")
            with site.running(f"{' '.join(booted.enter(''))} journalctl --follow --lines=all", name) as journal:
                booted.running = Running(nspawn.process, journal.log)
                yield booted


def _installed(site: Site) -> Path:
    """Install a bare Debian, once for all machines, with the checkout's code as a repository; return its folder."""
    folder = site.folder / "debian"
    if not folder.exists():
        debian.install(HOST_PACKAGES)
        release = platform.freedesktop_os_release()["VERSION_CODENAME"]
        options = ["--variant=minbase", f"--include={FIRST_PACKAGES}"]
        debian.run(["debootstrap", *options, release, str(folder), f"{MIRROR}/debian"], {**os.environ, **_THROWN_AWAY})
        suites = [("debian", release), ("debian", f"{release}-updates"), ("debian-security", f"{release}-security")]
        sources = "".join(f"deb {MIRROR}/{name} {suite} main\n" for name, suite in suites)
        (folder / "etc" / "apt" / "sources.list").write_text(sources, encoding="ascii")
        for path in filter(Path.exists, map(Path, _SETTINGS)):
            subprocess.run(
                ["cp", "--recursive", "--dereference", "--no-target-directory", path, f"{folder}{path}"], check=True
            )
        debian.run(["chroot", str(folder), "apt-get", "update"], _environ())
        origin = folder / "srv" / "origin"
        checkout.copy(origin)
        checkout.set_version(origin, FIRST)
        commit(origin, f"v{FIRST}")
    return folder


def commit(repository: Path, tag: str) -> None:
    """Commit everything in a folder and tag the commit."""
    git = ["git", "-C", str(repository), "-c", "user.name=test", "-c", "user.email=test@example.com"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", tag], ["tag", tag]):
        subprocess.run([*git, *words], check=True, capture_output=True)


@contextmanager
def _layer(base: Path, folder: Path) -> Iterator[Path]:
    """Yield an overlay of a folder; changes to it do not reach that folder."""
    root, upper, work = (folder / name for name in ("root", "upper", "work"))
    for place in (root, upper, work):
        place.mkdir(parents=True)
    layers = f"lowerdir={base},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, root], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", root], check=True)


def _environ() -> dict[str, str]:
    passed = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or "proxy" in name.lower()}
    words = {"HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **_THROWN_AWAY}
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **words, **passed}
