"""An invalid setting under third-party hosts: the log names it in one line, without a traceback."""

import time
from pathlib import Path

from .conversation import Talk, Unexpected
from .hosts import Address
from .site import START_TIMEOUT, Running, Site

NAME, VALUE = "SCENEXT_TIMEOUT", "soon"
SAID = f"scenext_service cannot start: {NAME}: '{VALUE}' is not valid."
PROCESSES = 2  # of each host
REQUESTS = 5
FOUND = "a bad setting is named in one line"


def wait_until_refused(port: int, prefix: str, running: Running) -> None:
    """Return once the host answers with a server error. Raises RuntimeError."""
    end = time.monotonic() + START_TIMEOUT
    while time.monotonic() < end:
        try:
            if Talk("modern", port, prefix).send("GET", "/healthz").status >= 500:
                return
        except Unexpected:
            time.sleep(0.1)
    raise RuntimeError(f"nothing was refused:\n{running.log.read_text(encoding='utf-8', errors='replace')[-3000:]}")


def by_apache(site: Site, address: Address, each: int) -> str:
    """Check that requests get a server error, and that each process logs the setting at most `each` times."""
    statuses = {Talk("modern", address.port).send("GET", "/healthz").status for _ in range(REQUESTS)}
    assert min(statuses) >= 500, statuses
    return in_the_log(site.logs / f"apache-{address.port}" / "error.log", each)


def in_the_log(log: Path, each: int = 1) -> str:
    """Check that the log names the setting without a traceback. Raises AssertionError."""
    text = log.read_text(encoding="utf-8", errors="replace")
    assert 1 <= text.count(SAID) <= PROCESSES * each, text[-3000:]
    assert "Traceback" not in text, text[-3000:]
    return FOUND
