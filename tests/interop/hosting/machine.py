"""A bare Debian with systemd as its first process, on which a page is followed word for word, as root.

debootstrap makes it of this machine's release; systemd-nspawn boots it over a layer that is thrown away. It has a
network of its own, with nothing but a loopback, and so the ports 80 and 443. What installs something goes out by the
network of this machine.
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
FIRST_PACKAGES = "ca-certificates,dbus,git,systemd-sysv"  # whoever has a clone has git
MIRROR = "http://deb.debian.org"
FIRST = "0.0.1"  # the version that its clone says it is, and its tag
NAME = "mcp.example.com"  # that the pages give it
BOOT_TIMEOUT = 60.0  # seconds
COMMAND_TIMEOUT = 300.0

# How this machine reaches what is installed.
_SETTINGS = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt", "/etc/resolv.conf", "/etc/apt/apt.conf.d")
_INSTALLS = ("apt-get ", ".venv/bin/pip ")

_THROWN_AWAY = {"DPKG_FORCE": "unsafe-io"}  # what dpkg writes need not outlive a failure of power

_FORWARD = "/lib/systemd/systemd-socket-proxyd --connections-max=4096"


class Machine:
    """A machine that runs, the processes of this one that keep it, and its log."""

    def __init__(self, root: Path, running: Running) -> None:
        self.root = root
        self.running = running
        self._init = 0
        self._folder = "/"

    def up(self) -> bool:
        """Tell whether it has booted. Its first process is a child of systemd-nspawn's, after some others."""
        for child in self.running.children():
            self._init = int(child)
            with suppress(RuntimeError):
                return "running" in self.run("systemctl is-system-running")
        return False

    def follow(self, lines: Sequence[str]) -> None:
        """Run the commands of a page, one after the other, in the folders that they go to. Raises RuntimeError."""
        for line in lines:
            if line.startswith("cd "):
                self._folder = line.removeprefix("cd ")
            else:
                self.run(line)

    def run(self, line: str) -> str:
        """Run a command as root; return what it printed. Raises RuntimeError where it fails."""
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
        """Return the words before a command that has it run there, in the network there where that is `--net`."""
        spaces = ["--mount", "--uts", "--ipc", "--pid", "--root", "--wd", *network.split()]
        return ["nsenter", f"--target={self._init}", *spaces]

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        Path(f"{self.root}{name}").write_text(text, encoding="utf-8")

    @contextmanager
    def port(self, number: int) -> Iterator[int]:
        """Yield a port of this machine's loopback that leads to one of its loopback."""
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
    """Boot a bare Debian with a clone of the checkout in /srv/scenext_service; `name` is that of its log, too."""
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
    """Commit all that is in a folder, with a tag."""
    git = ["git", "-C", str(repository), "-c", "user.name=test", "-c", "user.email=test@example.com"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", tag], ["tag", tag]):
        subprocess.run([*git, *words], check=True, capture_output=True)


@contextmanager
def _layer(base: Path, folder: Path) -> Iterator[Path]:
    """Yield a folder that shows what another has, and keeps changes to itself."""
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
