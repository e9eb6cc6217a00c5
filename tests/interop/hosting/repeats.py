"""Equal calls of `gen_video` under a host: they start one job, whichever processes they reach."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.interop.fleet.callers import Call, start
from tests.support.scenext import Scenext, scenext

from .conversation import ERAS, Talk
from .hosts import Address
from .site import Site

CALLS = 6  # at once
SECONDS = 2.0  # that Scenext takes to start a job
SANDBOX = "SCENEXT_SANDBOX=1"  # as the pages set it
QUESTION = "Are equal calls charged once?"


@contextmanager
def slow_scenext(site: Site) -> Iterator[tuple[Scenext, dict[str, str]]]:
    """Run a simulated Scenext; yield it with the variables of a service that uses it.

    They include a temporary directory of its own, which every user may write to.
    """
    folder = Path(tempfile.mkdtemp(prefix="tmp-", dir=site.folder))
    folder.chmod(0o1777)
    with scenext(SECONDS) as upstream:
        yield upstream, {"SCENEXT_API_BASE_URL": upstream.url("host"), "TMPDIR": str(folder)}


def without_sandbox(command: str) -> str:
    """Return a command of a page without the variable that turns the sandbox on. Raises ValueError."""
    if not command.startswith(f"{SANDBOX} "):
        raise ValueError(f"{command} does not turn the sandbox on")
    return command.removeprefix(f"{SANDBOX} ")


def charged_once(upstream: Scenext, *addresses: Address) -> str:
    """Check that equal calls at once, and then one more, start a single job. Raises AssertionError."""

    def one(number: int) -> Call:
        address = addresses[number % len(addresses)]
        talk = Talk(ERAS[number % len(ERAS)], address.port, address.prefixes[0], address.secure)
        call = start(talk, QUESTION)
        talk.connection.close()
        return call

    with ThreadPoolExecutor(CALLS) as pool:
        calls = [*pool.map(one, range(CALLS))]
    calls.append(one(CALLS))
    assert not [call for call in calls if call.problem], calls
    jobs = {call.task_id for call in calls}
    assert (len(jobs), upstream.charges()) == (1, 1), f"{jobs}, {upstream.charges()} charges for {len(calls)} calls"
    return f"equal calls{' to two services' if len(addresses) > 1 else ''} are charged once"
