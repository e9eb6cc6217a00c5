"""Run a container with runc, the runtime of Docker and Kubernetes.

The root file system is read-only, and the container has no capabilities, cannot gain any, and has its own PID
namespace. It shares this machine's network so that a test can reach it, unless it is `alone`. Memory and process limits
are not tested.

Source: OCI runtime specification 1.0.2, config.md.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop.hosting.site import Running

EXEC_TIMEOUT = 30  # seconds
STOP_TIMEOUT = 30  # seconds, as on the page

# The mounts that every container engine provides.
_MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "nodev", "mode=1777"]},  # noqa: S108
]


@dataclass(frozen=True, slots=True)
class Container:
    """A running container and the configuration of its image."""

    name: str
    running: Running
    bundle: Path
    config: Mapping[str, Any]

    def run(self, *command: str, **environ: str) -> int:
        """Run a command in the container as its user; return the exit status, or 124 after 30 seconds."""
        variables = [f"--env={name}={value}" for name, value in environ.items()]
        with suppress(subprocess.TimeoutExpired):
            return subprocess.run(
                [*_runc(self.bundle), "exec", *variables, self.name, *command],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=EXEC_TIMEOUT,
                check=False,
            ).returncode
        return 124

    def healthy(self, **environ: str) -> bool:
        """Run the image's HEALTHCHECK command in the container; return whether it passes."""
        kind, *command = self.config["Healthcheck"]["Test"]
        if kind != "CMD":
            raise RuntimeError(f"a health check that is {kind}")
        return self.run(*command, **environ) == 0

    def status(self) -> dict[str, str]:
        """Return the kernel's status of the first process: /proc/PID/status."""
        lines = Path(f"/proc/{self._pid()}/status").read_text(encoding="ascii").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @contextmanager
    def without_workers(self) -> Iterator[None]:
        """Suspend the children of the first process."""
        pid = self._pid()
        workers = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        try:
            yield
        finally:
            for worker in workers:
                os.kill(worker, signal.SIGCONT)

    def _pid(self) -> int:
        state = subprocess.run([*_runc(self.bundle), "state", self.name], capture_output=True, check=True, text=True)
        return int(json.loads(state.stdout)["pid"])


@contextmanager
def container(
    name: str, bundle: Path, root: Path, config: Mapping[str, Any], environ: Mapping[str, str], *, alone: bool = False
) -> Iterator[Container]:
    """Start a container from an image's files with the restrictions of the page, and stop it at the end."""
    bundle.mkdir()
    settings = _settings(name, root, config, environ, alone)
    (bundle / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    log = bundle / "log"
    with log.open("wb") as output:
        command = [*_runc(bundle), "run", "--bundle", str(bundle), name]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield Container(name, Running(process, log), bundle, config)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT)
        finally:
            subprocess.run([*_runc(bundle), "delete", "--force", name], capture_output=True, check=False)
            process.wait()


def _runc(bundle: Path) -> list[str]:
    return ["runc", "--root", str(bundle / "state")]


def _settings(
    name: str, root: Path, config: Mapping[str, Any], environ: Mapping[str, str], alone: bool
) -> dict[str, Any]:
    user, group = map(int, config["User"].split(":"))
    variables = {**dict(pair.split("=", 1) for pair in config["Env"]), **environ}
    namespaces = ["pid", "mount", "ipc", "uts", *(["network"] if alone else [])]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": user, "gid": group},
            "args": [*(config["Entrypoint"] or []), *config["Cmd"]],
            "env": [f"{variable}={value}" for variable, value in variables.items()],
            "cwd": config["WorkingDir"],
            "capabilities": {},
            "noNewPrivileges": True,
        },
        "root": {"path": str(root), "readonly": True},
        "hostname": name,
        "mounts": _MOUNTS,
        "linux": {"namespaces": [{"type": kind} for kind in namespaces]},
    }
