"""Build the image of the `Dockerfile` and run it as `docs/deploy/container.md` describes, on a machine without Docker.

    python -m tests.interop.containers.run

Needs Debian and root. Installs buildah, mmdebstrap and runc if they are missing, makes a base image of Debian packages
under the name of the official Python image, builds the image and checks its contents. Then starts it three times:
without settings, as a listing site does to see its tools, and with the page's variables for the conversation of the
hosting test. Exits with status 1 if anything differs from the page.
"""

import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.interop import debian
from tests.interop.hosting import waits
from tests.interop.hosting.conversation import KEY, OK, Talk, Unexpected, converse
from tests.interop.hosting.hosts import Address
from tests.interop.hosting.pages import Pages
from tests.interop.hosting.site import wait_until_healthy
from tests.support.names import TOOLS
from tests.support.server import free_port, wait_until

from .image import Images, base, programs, size
from .runtime import Container, container

HERE = Path(__file__).parent
PAGE = "container.md"
MB = 1_000_000
COMPILER = re.compile(r"(.+-)?(gcc|g\+\+|cc|c\+\+|clang|tcc|ld|as|make|cargo|rustc|go)(-[\d.]+)?")

Start = Callable[..., Any]


def contents(images: Images, name: str, pages: Pages, root: Path) -> str:
    """Check the contents of the image and return a summary. Raises AssertionError if they differ from the page."""
    found = {path.name for path in (root / "srv/scenext_service").iterdir()}
    assert found == {"gunicorn.conf.py", "wsgi.py"}, f"in the image: {found}"
    assert "gunicorn" in programs(root), "no gunicorn"
    compilers = sorted(filter(COMPILER.fullmatch, programs(root)))
    assert not compilers, f"compilers: {compilers}"
    with images.files(base()[0]) as below:
        base_size, added = size(below) / MB, (size(root) - size(below)) / MB
    claim = re.search(r"adds (\d+) MB to its base, `(.+?)`\.", " ".join(pages.text(PAGE).split()))
    assert claim, "the page says nothing of the size"
    assert (round(added), base()[0]) == (int(claim[1]), claim[2]), f"the page says {claim[0]}: {added:.1f} MB"
    return f"no compiler; {added:.1f} MB on a base of {base_size:.0f} MB, which is Debian's Python with pip here"


def as_it_is(start: Start) -> str:
    """Check the image without settings, behind a proxy and without a network: process 1, its user, the health check."""
    with start("alone", {"HTTP_PROXY": "http://127.0.0.1:9"}, alone=True) as it:
        wait_until(it.healthy)
        status = it.status()
        assert status["NSpid"].split()[-1] == "1", f"process {status['NSpid']}"
        assert (status["Uid"].split()[0], status["CapEff"]) == ("10001", "0" * 16), f"user {status['Uid']}"
        assert status["Name"] == "gunicorn", f"the first process is {status['Name']}, to which SIGTERM goes"
        assert it.run("test", "-w", "/srv/scenext_service") == 1, "it can write beside its code"
        assert not it.healthy(PORT="9"), "healthy where nobody listens"
        with it.without_workers():
            assert not it.healthy(), "healthy while no worker answers"
        wait_until(it.healthy)
        assert stops(it) == 0, "a status other than 0"
    return "process 1 is gunicorn, user 10001; HEALTHCHECK passes, and fails where nobody answers"


def as_a_listing_site(start: Start) -> str:
    """Check that the tools are listed without a key and that `PORT` is honoured."""
    port = free_port()
    with start("listed", {"PORT": str(port)}) as it:
        wait_until_healthy(port, "", it.running)
        for era in ("legacy", "modern"):
            tools = Talk(era, port).ask("tools/list", {}).json["result"]["tools"]
            assert [tool["name"] for tool in tools] == [*TOOLS], f"{era}: {tools}"
    return "lists its tools without a key"


def as_the_page_says(start: Start, command: str) -> str:
    """Have the conversation, then stop the container while calls wait. Raises AssertionError."""
    port = free_port()
    variables = dict(re.findall(r"--env (\w+)=(\S+)", command))
    with start("served", {**variables, "PORT": str(port), "SCENEXT_METRICS": "1"}) as it:
        wait_until_healthy(port, "", it.running)
        wrong = {step: outcome for step, outcome in converse(port).items() if outcome != OK}
        assert not wrong, wrong
        assert b"scenext_requests_total{" in Talk("modern", port).send("GET", "/metrics").body, "no metrics"
        found = waits.stop(Address(port, it.running))
        assert KEY.encode() not in it.running.log.read_bytes(), "the key is in the log"
    return f"carries the conversation; {found}"


def stops(it: Container) -> int:
    """Send SIGTERM and return the exit status."""
    it.running.process.send_signal(signal.SIGTERM)
    return it.running.process.wait(waits.GONE)


def main() -> None:
    """Install, build, run and print the results."""
    if os.getuid():
        sys.exit("needs root")
    debian.install((HERE / "debian.txt").read_text(encoding="utf-8").split())
    pages = Pages()
    build, run = pages.commands(PAGE, "A container")
    with tempfile.TemporaryDirectory(prefix="scenext-image-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the container's user needs to traverse it
        images = Images(folder)
        timed("base", images.make_base)
        timed("build", images.build, build)
        image = run.split()[-1]
        config = images.config(image)
        with images.files(image) as root:

            def start(name: str, environ: Mapping[str, str], *, alone: bool = False) -> Any:
                return container(name, folder / name, root, config, environ, alone=alone)

            timed("contents", contents, images, image, pages, root)
            timed("as it is", as_it_is, start)
            timed("as a listing site does", as_a_listing_site, start)
            timed("as the page says", as_the_page_says, start, run)


def timed(name: str, step: Callable[..., str | None], *arguments: Any) -> None:
    """Run a step and print its duration and result. If the step fails, exit with its error."""
    started = time.monotonic()
    try:
        found = step(*arguments)
    except (AssertionError, RuntimeError, Unexpected) as error:
        sys.exit(f"containers: {name}: {error}")
    print(f"{time.monotonic() - started:6.1f} s  {name}{f': {found}' if found else ''}", flush=True)


if __name__ == "__main__":
    main()
