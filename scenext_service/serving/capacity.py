"""How many threads and connections a worker may have: as many as serve, or as the platform allows.

Source: getrlimit(2); the kernel's documentation, "Process Number Controller".
"""

import resource
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# Waiting takes a thread and almost nothing else, and threads that were never needed cost nothing. Half of them may wait
# for the end of a job, and one of two workers may have to keep 425 of 500 such callers: a connection stays with the
# worker that accepted it.
THREADS = 1000
CONNECTIONS = 4000
LEAST = 5  # threads

OTHERS = 16  # threads and processes that are not a worker's: the master, the shell, a router's agent
_PIDS = Path("/sys/fs/cgroup/pids.max")


class Capacity(NamedTuple):
    """What one worker has."""

    threads: int
    connections: int


def capacity(workers: int, allowed: int | None, descriptors: int | None) -> Capacity:
    """Return what each of the workers has; None is no limit.

    Slots are counted from the threads, so those that the platform does not allow must not be counted on. Descriptors
    cannot run out: a thread may need its connection, one to Scenext, and one that is kept for another key; what is left
    is for connections on which nothing is said yet, or which are kept. An eighth, or 64, is for everything else.
    """
    threads, connections = THREADS, CONNECTIONS
    if allowed is not None:
        threads = max(LEAST, min(threads, (allowed - OTHERS) // workers))
    if descriptors is not None:
        threads = max(LEAST, min(threads, descriptors // 4))
        connections = min(connections, descriptors - 2 * threads - min(64, descriptors // 8))
    return Capacity(threads, connections)


def allowed_threads() -> int | None:
    """Return how many threads and processes there may be in all, None where nothing limits them.

    Heroku's small dynos allow 256 (`ulimit -u`), containers what their cgroup says.
    """
    allowed = [limit for limit in resource.getrlimit(resource.RLIMIT_NPROC)[:1] if limit != resource.RLIM_INFINITY]
    with suppress(OSError, ValueError):  # there is no such file, or it says `max`
        allowed.append(int(_PIDS.read_text(encoding="ascii")))
    return min(allowed, default=None)


def descriptors() -> int | None:
    """Raise the limit of descriptors as far as it goes, and return it; None where there is none.

    The soft limit is 1024 on most systems, for programs that use select(); the hard one is what the operator decided. A
    worker that has no descriptor left answers nobody new.
    """
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != most:
        with suppress(OSError, ValueError):  # macOS has no hard limit, and refuses to take that for the soft one
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            limit = most
    return None if limit == resource.RLIM_INFINITY else limit
