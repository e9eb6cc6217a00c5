"""Run this checkout under every host that the pages of `docs/deploy` describe, and talk to it in both eras.

    python -m tests.interop.hosting.run [WORD ...]

Installs the Debian packages that the pages install (as root, if any is missing), and copies the checkout to a folder
that every user can read. Runs the pages' own commands and configuration there, on free loopback ports, and has the
conversation of `conversation.py` with each host in turn. A documented quirk has to occur exactly as the page states,
and a block of a page that no host uses is a failure. Prints the table, which has to be in `docs/deploy/README.md`.
Exits with status 1 if anything differs. With words, runs only the hosts whose names contain one of them.

The hosts of `systemd.py` boot their own Debian (`machine.py`) and follow a page there from its first command.

Needs Debian, git, npm, root with the right to mount and to create namespaces, and port 5000 for the hosts without
variables.
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.interop import debian

from . import apache, procfile, servers, systemd, uwsgi
from .conversation import KEY, OK, Unexpected, converse
from .hosts import Host
from .pages import FOLDER, Pages
from .site import HERE, Site

HOSTS: tuple[Host, ...] = (*procfile.HOSTS, *systemd.HOSTS, *servers.HOSTS, *apache.HOSTS, *uwsgi.HOSTS)

FOREMAN = "foreman@3.0.1"  # npm's


def install(pages: Pages, site: Site) -> None:
    """Install the prerequisites of the pages: Debian packages and npm's foreman."""
    wanted = [*pages.packages(), *(HERE / "debian.txt").read_text(encoding="utf-8").split()]
    debian.install(wanted)
    npm = ["npm", "install", "--no-fund", "--no-audit", "--silent", "--prefix", str(site.folder / "npm"), FOREMAN]
    debian.run(npm, dict(os.environ))


def attempt(host: Host, site: Site) -> tuple[str, list[str]]:
    """Start a host, talk to it and stop it; return the table's last cell and the problems."""
    try:
        with host.start(site) as address:
            problems = [
                f"at {prefix or '/'}, {step}: {outcome!r} in place of {expected!r}"
                for prefix in address.prefixes
                for step, outcome in converse(address.port, prefix, address.secure).items()
                if outcome != (expected := host.quirks.get(step.partition(" ")[2], OK))
            ]
            found = host.check(site, address) if host.check else None
    except (AssertionError, OSError, RuntimeError, Unexpected) as error:
        return "fails", [str(error)]
    problems += [f"the key is in {path.name}" for path in _files(site.logs) if KEY.encode() in path.read_bytes()]
    problems += [f"left running: {name}" for name in site.left_running()]
    met = "; ".join([*(f"{step}: {words}" for step, words in host.quirks.items()), *([found] if found else [])])
    return "fails" if problems else f"works; {met}" if met else "works", problems


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def main(words: list[str]) -> None:
    """Install, run and print the results."""
    hosts = [host for host in HOSTS if not words or any(word in host.name for word in words)]
    pages = Pages()
    results: list[str] = []
    failed = 0
    with tempfile.TemporaryDirectory(prefix="scenext-hosting-", ignore_cleanup_errors=True) as folder:
        site = Site(Path(folder), pages)
        install(pages, site)
        for host in hosts:
            started = time.monotonic()
            result, problems = attempt(host, site)
            results.append(result)
            failed += bool(problems)
            print(f"{time.monotonic() - started:6.1f} s  {host.name}: {result}", flush=True)
            for problem in problems:
                print(f"          {problem}", flush=True)
    text = table(hosts, results)
    wrong = [] if words else [f"no host uses this block: {block}" for block in pages.unused()]
    if not words and text not in (FOLDER / "README.md").read_text(encoding="utf-8"):
        wrong.append("docs/deploy/README.md shows another table")
    print("", text, *wrong, sep="\n")
    print(f"hosting: {len(hosts) - failed} passed, {failed + len(wrong)} failed")
    if failed or wrong:
        sys.exit(1)


def table(hosts: Sequence[Host], results: Sequence[str]) -> str:
    """Return the table, with one row for each host."""
    rows = ["| host | page | result |", "|---|---|---|"]
    for host, result in zip(hosts, results, strict=True):
        rows.append(f"| {host.name} | [{host.page.removesuffix('.md')}]({host.page}) | {result} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
