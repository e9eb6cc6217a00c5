"""Sign in with clients of other projects, and with Chromium: `python -m tests.interop.signin.run [WORD ...]`.

Starts a real gunicorn in the sandbox twice, with sign-in below /mcp and at /mcp. Each client signs in there as its
documentation describes, and queries a job; a program in place of the browser types the key. Most then use the token
again, and once with a token that has expired. The conformance suite checks the authorization server. `consent.mjs` uses
the page in Chromium, directly and behind nginx with TLS. With words, runs only the parts whose names contain one of
them. Exits with status 1 if anything differs.

Needs Node 22 or newer and npm. The `interop` extra of setup.cfg installs both.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.interop import conformance, debian, pages
from tests.interop.clients.run import Client, clients, install
from tests.interop.hosting.nginx import configure
from tests.support.server import free_port, running, wait_until
from tests.support.signing_in import SECRET
from tests.support.upstream import CERTIFICATE

from .programs.person import connect, follow

HERE = Path(__file__).parent
TIMEOUT = 120  # seconds for one client
BROWSER_TIMEOUT = 600

# Client, program, mode, and how often it opens the page in each step, None if its program does not count that.
RUNS: list[tuple[str, str, str, list[int | None]]] = [
    ("mcp-2", "mcp_2.py", "auto", [1, 0, 1]),
    ("mcp-2", "mcp_2.py", "legacy", [1, 0, 1]),
    ("mcp-1", "mcp_1.py", "legacy", [1, 0, 1]),
    ("fastmcp", "fastmcp_client.py", "auto", [1, 1]),
    ("typescript-client", "typescript.mjs", "auto", [1, 0, 1]),
    ("typescript-client", "typescript.mjs", "legacy", [1, 0, 1]),
    ("typescript-sdk", "typescript.mjs", "sdk", [1, 0, 1]),
    ("mcp-remote", "mcp-remote.mjs", "legacy", [None, None]),
    ("inspector", "inspector.mjs", "legacy", [None]),
    ("inspector", "inspector.mjs", "modern", [None]),
]

_OPENER = '#!/bin/sh\n(cd "{folder}" && python3 person.py "$1" follow >/dev/null 2>&1) &\n'
_SERVER = """\
    server {{
        listen 127.0.0.1:{secure} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        location / {{ proxy_pass {url}; }}
    }}
"""


@contextmanager
def signing_in(folder: Path, path: str, port: int, public: str | None = None) -> Iterator[str]:
    """Run a service on a port with sign-in at `path`; yield the URL, which begins with `public` if that is set."""
    url = f"{public or f'http://127.0.0.1:{port}'}{path}"
    folder.mkdir()
    with running(folder, {"SCENEXT_OAUTH_URL": url, "SCENEXT_OAUTH_SECRET": SECRET}, port=port):
        yield url


@contextmanager
def nginx(folder: Path, secure: int, url: str) -> Iterator[None]:
    """Run nginx with TLS in front of a service."""
    path = configure(folder, _SERVER.format(secure=secure, url=url, certificate=CERTIFICATE))
    process = subprocess.Popen(["/usr/sbin/nginx", "-c", str(path)], stderr=subprocess.DEVNULL)
    try:
        wait_until((folder / "pid").exists)
        yield
    finally:
        process.terminate()
        process.wait(20)


def sign_in(client: Client, program: str, mode: str, url: str) -> list[int | None]:
    """Run a client; return how often it opened the page in each step."""
    install(client)
    folder = client.environment / "signin"
    shutil.copytree(HERE / "programs", folder, dirs_exist_ok=True)
    opener = folder / "xdg-open"
    opener.write_text(_OPENER.format(folder=folder), encoding="utf-8")
    opener.chmod(0o755)
    if client.npm:
        for file in (*(HERE / "programs").iterdir(), opener):
            if file.is_file():
                shutil.copy(file, client.environment)
        for bundled in client.environment.glob("node_modules/**/open/xdg-open"):
            shutil.copy(opener, bundled)
    start = ["node", program] if client.npm else ["bin/python", str(folder / program)]
    environ = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    run = subprocess.run(
        [*start, url, mode],
        cwd=client.environment,
        env=environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-3000:]
    reports: list[dict[str, Any]] = json.loads(run.stdout.splitlines()[-1])
    assert {report["status"] for report in reports} == {"COMPLETED"}, reports
    return [report.get("opened") for report in reports]


def conform(url: str, issuer: str) -> list[int | None]:
    """Run the conformance suite against the authorization server."""
    folder = Path(conformance.__file__).parent
    subprocess.run(["npm", "ci", "--no-fund", "--no-audit", "--silent"], cwd=folder, check=True)
    port = free_port()
    metadata = json.dumps({"redirect_uris": [f"http://127.0.0.1:{port}/callback"]}).encode()
    client_id = json.load(urlopen(Request(f"{url}/register", metadata)))["client_id"]  # noqa: S310  # on loopback
    suite = "node_modules/@modelcontextprotocol/conformance/dist/index.js"
    options = ["--url", issuer, "--client-id", client_id, "--resource", url, "--port", str(port)]
    process = subprocess.Popen(
        ["node", suite, "authorization", *options], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    timer = threading.Timer(TIMEOUT, process.kill)
    timer.start()
    printed = ""
    for line in process.stdout:
        printed += line
        if page := re.search(r"http://\S+/authorize\?\S+", line):
            threading.Thread(target=lambda target: follow(connect(target)), args=(page[0],)).start()
    timer.cancel()
    assert "Total: 2 passed, 0 failed" in printed, printed
    return []


def browse(folder: Path, *urls: str) -> list[int | None]:
    """Use the page in Chromium, directly and behind nginx with TLS."""
    debian.install((HERE / "debian.txt").read_text(encoding="utf-8").split())
    drivers = Path(pages.__file__).parent
    subprocess.run(["npm", "ci", "--no-fund", "--no-audit", "--silent"], cwd=drivers, check=True)
    shutil.copytree(drivers / "node_modules", folder / "node_modules", symlinks=True)
    shutil.copy(HERE / "consent.mjs", folder)
    port, secure = free_port(), free_port()
    with (
        signing_in(folder / "tls", "/mcp/signin", port, f"https://127.0.0.1:{secure}") as public,
        nginx(folder, secure, f"http://127.0.0.1:{port}"),
    ):
        command = ["node", "consent.mjs", json.dumps([*urls, public])]
        subprocess.run(command, cwd=folder, timeout=BROWSER_TIMEOUT, check=True)
    return []


def main(words: list[str]) -> None:
    """Run all parts, and exit with the result."""
    by_name = {client.name: client for client in clients()}
    failed = False
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's workers run as another user
        below = stack.enter_context(signing_in(folder / "below", "/mcp/signin", free_port()))
        itself = stack.enter_context(signing_in(folder / "itself", "/mcp", free_port()))
        parts: list[tuple[str, Any, list[int | None]]] = [
            (f"{client} {mode} {url}", lambda c=client, p=program, m=mode, u=url: sign_in(by_name[c], p, m, u), opened)
            for client, program, mode, opened in RUNS
            for url in (below, itself)
        ]
        for url, issuer in ((below, below), (itself, itself.removesuffix("/mcp"))):
            parts.append((f"conformance {url}", lambda u=url, i=issuer: conform(u, i), []))
        parts.append(("chromium", lambda: browse(folder, below), []))
        for part, run, expected in parts:
            if words and not any(word in part for word in words):
                continue
            try:
                found = run()
                assert found == expected, f"the page was opened {found} times, not {expected}"
                print(f"ok    {part}", flush=True)
            except Exception as error:
                failed = True
                print(f"FAIL  {part}: {error}", flush=True)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
