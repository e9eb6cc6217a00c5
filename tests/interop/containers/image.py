"""Build the image as `docker build` does, with Debian's buildah, on a base made of Debian packages.

The base has the name of the official Python image and stands in for it, with the same Debian release, the same Python
version, pip and the command `python`. The build uses this machine's pip configuration, such as an index or certificate.

Source: buildah-build(1), mmdebstrap(1), pip's manual, "Configuration".
"""

import ast
import configparser
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.interop import debian
from tests.support.pages import ROOT

PACKAGES = "python3,python3-pip,ca-certificates"

_BASE = re.compile(r"^FROM (python:(3\.\d+)-slim-(\w+))", re.MULTILINE)
_CONFIGURED = re.compile(r"^(:env:|\w+)\.([\w-]+)=(.+)$", re.MULTILINE)


def base() -> tuple[str, str, str]:
    """Return the base image in the Dockerfile, its Python version and its Debian release. Raises ValueError for two."""
    (found,) = set(_BASE.findall((ROOT / "Dockerfile").read_text(encoding="utf-8")))
    return found[0], found[1], found[2]


class Images:
    """The images of this run, all stored in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._buildah = ["buildah", "--root", str(folder / "images"), "--runroot", str(folder / "run")]

    def make_base(self) -> None:
        """Build the base image that the Dockerfile names. Raises RuntimeError."""
        name, python, release = base()
        with self._container("scratch") as (container, root):
            options = ["--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io", f"--include={PACKAGES}"]
            run(["mmdebstrap", *options, release, str(root)])
            (root / "usr/bin/python").symlink_to(f"python{python}")
            (root / f"usr/lib/python{python}/EXTERNALLY-MANAGED").unlink()
            self._run("commit", "--quiet", "--format", "docker", container, name)

    def build(self, command: str) -> None:
        """Run a documented `docker build` command with buildah. Raises RuntimeError."""
        docker, build, *words, context = shlex.split(command)
        if [docker, build, context] != ["docker", "build", "."]:
            raise RuntimeError(f"no docker build: {command}")
        volumes = [f"--volume={place}:ro" for place in self._pip_places()]
        # Only Docker's image format has health checks.
        self._run("build", "--pull-never", "--format", "docker", *volumes, *words, str(ROOT))

    def config(self, name: str) -> dict[str, Any]:
        """Return the configuration of an image: `Cmd`, `Env`, `Healthcheck`, `User`, `WorkingDir` and more."""
        found: dict[str, Any] = json.loads(self._run("inspect", "--type", "image", name))["Docker"]["config"]
        return found

    @contextmanager
    def files(self, name: str) -> Iterator[Path]:
        """Yield the folder with the files of an image."""
        with self._container(name) as (_, root):
            yield root

    @contextmanager
    def _container(self, name: str) -> Iterator[tuple[str, Path]]:
        container = self._run("from", "--pull-never", name).strip()
        try:
            yield container, Path(self._run("mount", container).strip())
        finally:
            self._run("rm", container)

    def _run(self, *arguments: str) -> str:
        return run([*self._buildah, "--storage-driver", "vfs", *arguments], BUILDAH_ISOLATION="chroot")

    def _pip_places(self) -> list[str]:
        """Write this machine's pip configuration; return the volumes that a build needs, as `source:target`."""
        there = configparser.ConfigParser(interpolation=None)
        places = []
        for section, name, written in _CONFIGURED.findall(run([sys.executable, "-m", "pip", "config", "list"])):
            value = ast.literal_eval(written)
            section = section.replace(":env:", "global")
            if not there.has_section(section):
                there.add_section(section)
            there.set(section, name, value)
            for word in value.split():
                if word.startswith("file://"):
                    places.append(Path(word.removeprefix("file://")).parent)  # index pages link to files next to it
                elif word.startswith("/"):
                    places.append(Path(word))
        with (self._folder / "pip.conf").open("w", encoding="utf-8") as file:
            there.write(file)
        found = sorted({str(place) for place in places if place.exists()})
        return [f"{self._folder}/pip.conf:/etc/pip.conf", *(f"{place}:{place}" for place in found)]


def size(root: Path) -> int:
    """Return the total size in bytes of the files below a folder."""
    return sum(path.lstat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def programs(root: Path) -> set[str]:
    """Return the names of the programs of an image, in whichever `bin` folders they are."""
    return {path.name for path in root.rglob("*bin/*")}


def run(command: list[str], **environ: str) -> str:
    """Run a command and return its output. Raises RuntimeError with the end of the output."""
    return debian.run(command, {**os.environ, **environ})
