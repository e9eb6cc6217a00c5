"""Limit the threads, connections and memory of a worker, and divide its threads among calls.

Source: getrlimit(2); the kernel's documentation, "Process Number Controller"; mod_wsgi's documentation, "Application
Issues"; waitress's manual, "client_disconnected"; uWSGI's manual, "The uwsgi Python module"; mallopt(3),
`M_MMAP_THRESHOLD`.
"""

import ctypes
import math
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

# A waiting call occupies a thread and almost nothing else, and threads that were never needed cost nothing. Half of the
# threads may wait for jobs. A connection stays with the worker that accepted it, so one of two workers may have to hold
# 425 of 500 waiting clients.
MAX_THREADS = 1000
MAX_CONNECTIONS = 4000
MIN_THREADS = 5  # threads, even if the limits allow fewer

RESERVED_THREADS = 16  # threads and processes outside the workers: the master, the shell, a router's agent
_PIDS_MAX = Path("/sys/fs/cgroup/pids.max")

M_MMAP_THRESHOLD = -3  # glibc's number of the parameter
MMAP_THRESHOLD = 256 * 1024  # bytes


class Capacity(NamedTuple):
    """The threads and connections of one worker."""

    threads: int
    connections: int


def worker_capacity(workers: int, thread_limit: int | None, descriptor_limit: int | None) -> Capacity:
    """Return the capacity of each worker. None means no limit.

    `thread_limit` applies to the threads and processes of all workers together, `descriptor_limit` to each worker.
    The limits on calls derive from the number of threads, so threads that the platform does not allow must not count.

    Descriptors cannot run out. A thread may need three: its client's connection, one to Scenext, and an idle one that
    is kept for another key. The rest is for connections that are idle or have not sent a byte yet. An eighth, at most
    64, is reserved for everything else.
    """
    threads, connections = MAX_THREADS, MAX_CONNECTIONS
    if thread_limit is not None:
        threads = max(MIN_THREADS, min(threads, (thread_limit - RESERVED_THREADS) // workers))
    if descriptor_limit is not None:
        threads = max(MIN_THREADS, min(threads, descriptor_limit // 4))
        connections = min(connections, descriptor_limit - 2 * threads - min(64, descriptor_limit // 8))
    return Capacity(threads, connections)


class Shares(NamedTuple):
    """Limits on the concurrent calls of one process, each of which holds a thread."""

    slots: int  # calls to Scenext
    waiting_calls: int


def threads_for_calls(threads: int) -> int:
    """Return how many of a process's threads calls may hold. The rest serve all other requests, above all `/healthz`.

    A tenth stays free, but at least 8, or half if there are fewer than 16. A call to Scenext may hold its thread for
    SCENEXT_TIMEOUT.
    """
    reserved = max(math.ceil(threads / 10), min(8, (threads + 1) // 2))
    return max(threads - reserved, 1)


def divide(threads: int, slots: int | None = None, waiting_calls: int | None = None) -> Shares:
    """Divide threads among calls: as configured if there are enough, otherwise in the same proportion.

    A waiting call holds its thread for the whole wait, a call to Scenext for its duration. So their sum is bounded.
    """
    total = threads_for_calls(threads)
    if slots is None and waiting_calls is None:
        return Shares(total - total * 5 // 9, total * 5 // 9)
    if slots is None:
        waiting = min(waiting_calls or 0, total - 1)
        return Shares(total - waiting, waiting)
    if waiting_calls is None:
        slots = min(slots, total)
        return Shares(slots, min(total * 5 // 9, total - slots))
    if slots + waiting_calls <= total:
        return Shares(slots, waiting_calls)
    reduced = max(slots * total // (slots + waiting_calls), 1)
    return Shares(reduced, total - reduced)


def server_threads(environ: Mapping[str, Any]) -> int | None:
    """Return how many threads a process of the current server has, None if the server does not expose the number.

    gunicorn is not covered here, because its hooks pass the number. `environ` is empty at startup, otherwise that of a
    request.
    """
    if "mod_wsgi" in sys.modules:
        return getattr(sys.modules["mod_wsgi"], "threads_per_process", None)
    if "uwsgi" in sys.modules:
        return getattr(sys.modules["uwsgi"], "cores", None)
    channel = getattr(environ.get("waitress.client_disconnected"), "__self__", None)
    server = getattr(channel, "server", None)
    return getattr(getattr(server, "adj", None), "threads", None)


def thread_limit() -> int | None:
    """Return the limit on all threads and processes together, None if there is none.

    Heroku's small dynos allow 256 (`ulimit -u`). Containers have the limit of their cgroup.
    """
    limits = [limit for limit in resource.getrlimit(resource.RLIMIT_NPROC)[:1] if limit != resource.RLIM_INFINITY]
    with suppress(OSError, ValueError):  # the file is missing or contains `max`
        limits.append(int(_PIDS_MAX.read_text(encoding="ascii")))
    return min(limits, default=None)


def raise_descriptor_limit() -> int | None:
    """Raise the soft limit on descriptors to the hard limit, and return the limit in force, None if there is none.

    The soft limit is 1024 on most systems, for programs that use select(). The hard limit is the operator's decision. A
    worker without a free descriptor cannot accept connections.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):  # macOS has no hard limit, but rejects "unlimited" as the soft one
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return None if soft == resource.RLIM_INFINITY else soft


def return_large_blocks() -> None:
    """Make glibc return large blocks to the kernel when they are freed. No-op with any other C library.

    Applies to this process and its children.

    glibc has up to eight arenas for each core, and the memory of a large request stays in the arena of its thread. With
    a fixed mmap threshold, glibc takes large blocks from the kernel and returns them when they are freed. By default
    the threshold grows to the size of the largest freed block, up to 32 MiB. `tests/live/test_memory.py` measures the
    effect with sequential requests of 7.9 MB.
    """
    with suppress(OSError, AttributeError):  # musl has no mallopt; Windows and some embedded hosts have no such library
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
