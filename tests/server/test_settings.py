"""gunicorn's settings in a new process, as determined by the platform's variables, and the addresses to listen on."""

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scenext_service.server.gunicorn.settings import bound_addresses
from tests.support.pages import ROOT

FREE = ("PORT", "WEB_CONCURRENCY", "SCENEXT_")
PROGRAM = """
import json, sys
from scenext_service.server.gunicorn import settings
print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}))
print(*sorted({"ssl", "requests", "flask", "gunicorn.config"} & set(sys.modules)))
"""


def loaded(environ: dict[str, str], *names: str) -> "subprocess.CompletedProcess[str]":
    """Import the settings in a new process with these variables, and print the named settings."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(FREE)}
    command = [sys.executable, "-c", PROGRAM, *names]
    return subprocess.run(command, cwd=ROOT, env={**env, **environ}, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, {"bind": ["127.0.0.1:8000"], "workers": 2}, id="local machine"),
        pytest.param({"PORT": "5000"}, {"bind": bound_addresses(5000), "workers": 2}, id="platform with a port"),
        pytest.param(
            {"PORT": "5000", "WEB_CONCURRENCY": "4"}, {"bind": bound_addresses(5000), "workers": 4}, id="Heroku"
        ),
        pytest.param({"WEB_CONCURRENCY": ""}, {"bind": ["127.0.0.1:8000"], "workers": 2}, id="empty variable"),
    ],
)
def test_the_platform_determines_port_and_workers(environ: dict[str, str], expected: dict[str, Any]) -> None:
    """Ours: README, "Configure"."""
    assert json.loads(loaded(environ, *expected).stdout.splitlines()[0]) == expected


def test_requests_are_parsed_by_gunicorns_python_parser() -> None:
    """Ours: gunicorn's C parser, which it uses if installed, accepts malformed requests."""
    assert json.loads(loaded({}, "http_parser").stdout.splitlines()[0]) == {"http_parser": "python"}


def test_request_headers_are_limited() -> None:
    """Ours: real requests have about 40 fields. 200 incomplete headers of gunicorn's default size take 280 MB."""
    limits = ("limit_request_fields", "limit_request_field_size")
    assert json.loads(loaded({}, *limits).stdout.splitlines()[0]) == dict(zip(limits, (64, 8190), strict=True))


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_gunicorn_lines_have_the_configured_format(form: str) -> None:
    """Ours: SCENEXT_LOG_FORMAT."""
    kind = {"logfmt": "LogfmtLogger", "json": "JsonLogger"}[form]
    found = json.loads(loaded({"SCENEXT_LOG_FORMAT": form}, "logger_class").stdout.splitlines()[0])
    assert found["logger_class"] == f"scenext_service.server.gunicorn.hooks.{kind}"


def test_the_settings_import_nothing_that_is_too_early() -> None:
    """Ours: gevent patches ssl later, before its first user. gunicorn.config fails if WEB_CONCURRENCY is invalid."""
    assert loaded({}).stdout == "{}\n\n"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("PORT", "65536", "a whole number from 1 to 65535"),
        ("WEB_CONCURRENCY", "0", "a whole number from 1 to 1000"),
        *[
            pytest.param("PORT", bad, "a whole number from 1 to 65535", marks=pytest.mark.live)
            for bad in ("abc", "0", "-1", "80.0", "tcp://x:1")
        ],
        *[
            pytest.param("WEB_CONCURRENCY", bad, "a whole number from 1 to 1000", marks=pytest.mark.live)
            for bad in ("abc", "-1", "1.5", "1001")
        ],
        ("SCENEXT_LOG_FORMAT", "xml", "one of logfmt, json"),
    ],
)
def test_an_invalid_setting_is_reported_by_name_in_one_line(name: str, value: str, wanted: str) -> None:
    """Ours: README, "Configure"; gunicorn would print a traceback, or nothing helpful."""
    ended = loaded({name: value})
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"scenext_service cannot start: {name}: {value!r} is not valid. Use {wanted}.\n"


NETWORK = ("unshare", "--map-root-user", "--net")  # a separate network namespace with its own settings
SERVE = """
import fcntl, http.client, re, socket, struct, sys
from pathlib import Path

from tests.support.server import running

with socket.socket() as sock:  # brings the loopback interface up
    fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", b"lo", 1))
Path("/proc/sys/net/ipv6/bindv6only").write_text(sys.argv[2], encoding="ascii")
with running(Path(sys.argv[1]), {"PORT": "5000", "GUNICORN_CMD_ARGS": "", "WEB_CONCURRENCY": "1"}, port=5000) as server:
    for host in ("127.0.0.1", "::1"):
        connection = http.client.HTTPConnection(host, 5000, timeout=30)
        connection.request("GET", "/health")
        print(connection.getresponse().status)
    server.stop()
    print(*re.findall(' endpoint="?(.*?)"? workers=', server.output()))
"""


def possible() -> bool:
    """Return whether this system lets a process create a network namespace."""
    try:
        return subprocess.run([*NETWORK, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not possible(), reason="this system does not allow network namespaces")
@pytest.mark.parametrize(
    ("bindv6only", "endpoint"),
    [
        pytest.param("0", "http://[::]:5000/mcp", id="one socket for both families", marks=pytest.mark.live),
        pytest.param("1", "http://[::]:5000/mcp http://0.0.0.0:5000/mcp", id="one socket per family"),
    ],
)
def test_a_platforms_port_accepts_both_address_families(tmp_path: Path, bindv6only: str, endpoint: str) -> None:
    """Spec: the kernel's documentation, "IP Sysctl", `bindv6only`. A real gunicorn in a network namespace."""
    command = [*NETWORK, sys.executable, "-c", SERVE, str(tmp_path), bindv6only]
    env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=90, check=False)
    assert (ended.stdout, ended.stderr) == (f"200\n200\n{endpoint}\n", "")


class OneFamily(socket.socket):
    """A socket of a system on which `[::]` does not accept IPv4."""

    def getsockopt(self, *args: Any) -> Any:
        return 1 if args == (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) else super().getsockopt(*args)

    def bind(self, address: Any) -> None:
        """Do nothing, because the system that runs the tests may have no IPv6."""


def no_ipv6(*args: Any) -> Any:
    raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")


@pytest.mark.parametrize(
    ("system", "port", "addresses"),
    [
        pytest.param(OneFamily, 5000, ["[::]:5000", "0.0.0.0:5000"], id="net.ipv6.bindv6only=1"),
        pytest.param(no_ipv6, 5000, ["0.0.0.0:5000"], id="ipv6.disable=1"),
        pytest.param(no_ipv6, 0, ["127.0.0.1:8000"], id="no PORT"),
    ],
)
def test_bound_addresses_depend_on_the_system(
    monkeypatch: pytest.MonkeyPatch, system: Any, port: int, addresses: list[str]
) -> None:
    """Ours: `[::]` alone may accept only IPv6, or be unavailable. On other systems, a second socket would fail."""
    monkeypatch.setattr(socket, "socket", system)
    assert bound_addresses(port) == addresses
