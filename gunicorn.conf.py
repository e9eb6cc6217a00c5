"""gunicorn's settings, each with its reason. `gunicorn wsgi:app` finds this file by itself.

Source: gunicorn's manual, "Settings". Overridden by GUNICORN_CMD_ARGS and by the command line.
"""

import gc
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

# A platform that sets PORT routes to it from outside, on Railway over IPv6 only. Without PORT this is somebody's own
# machine, where nobody else has business with the server.
_port = os.environ.get("PORT")
_everywhere = "[::]" if Path("/proc/net/if_inet6").exists() else "0.0.0.0"
bind = f"{_everywhere}:{_port}" if _port else "127.0.0.1:8000"

# Heroku sets WEB_CONCURRENCY by the size of the dyno; elsewhere two, for a second core and for `kill -9`.
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)

# Waiting takes a thread and almost nothing else, and threads that were never needed cost nothing. Half of them may wait
# for the end of a job, and one of two workers may have to keep 425 of 500 such callers: a connection stays with the
# worker that accepted it.
# The class is gunicorn's gthread, except for how it takes and shares connections, hands them to threads, limits their
# time, refuses malformed requests, and closes.
worker_class = "scenext_service.serving.worker.Worker"
threads = 1000

# Slots are counted from the threads, so those that the platform does not allow must not be counted on. Heroku's small
# dynos allow 256 threads and processes in all (`ulimit -u`), containers what their cgroup says; 16 are for the rest.
_allowed = [limit for limit in resource.getrlimit(resource.RLIMIT_NPROC)[:1] if limit != resource.RLIM_INFINITY]
with suppress(OSError, ValueError):  # there is no such file, or it says `max`
    _allowed.append(int(Path("/sys/fs/cgroup/pids.max").read_text(encoding="ascii")))
if _allowed:
    threads = max(5, min(threads, (min(_allowed) - 16) // workers))

# Each connection takes a descriptor, and a worker that has none left answers nobody new. The soft limit is 1024 on most
# systems, for programs that use select(); the hard one is what the operator decided.
_descriptors, _most = resource.getrlimit(resource.RLIMIT_NOFILE)
if _descriptors != _most:
    with suppress(OSError, ValueError):  # macOS has no hard limit, and refuses to take that for the soft one
        resource.setrlimit(resource.RLIMIT_NOFILE, (_most, _most))
        _descriptors = _most

# They cannot run out: a thread may need its connection, one to Scenext, and one that is kept for another key; what is
# left is for connections on which nothing is said yet, or which are kept. An eighth, or 64, is for everything else.
worker_connections = 4000
if _descriptors != resource.RLIM_INFINITY:
    threads = max(5, min(threads, _descriptors // 4))
    worker_connections = min(worker_connections, _descriptors - 2 * threads - min(64, _descriptors // 8))

# Calls of Scenext and calls that wait are capped below the threads, so that there is always a thread for everything
# else, slow uploads included: a request of which the first byte is there has a thread until the last is, 60 s at most.
_caps = {"SCENEXT_UPSTREAM_SLOTS": threads * 4 // 5, "SCENEXT_WAITING_CALLS": threads // 2}
raw_env = [f"{name}={most}" for name, most in _caps.items() if not os.environ.get(name, "").strip()]

# Loads the application once, before the fork: quicker starts, shared memory, and a bad configuration ends the start.
preload_app = True

# Seconds. Heroku's router keeps its connections for 90 s; the side that closes first must be the router, because no
# router repeats a POST that met a closed connection.
keepalive = 95

# Seconds. Platforms kill 30 s after SIGTERM; a call of Scenext lasts at most SCENEXT_TIMEOUT (20) and ends before that.
# Calls that wait are ended: `post_worker_init`.
graceful_timeout = 25

# Seconds without a sign of life from a worker. Not a limit for requests: a gthread worker gives signs while they wait.
timeout = 30

# Recycling workers hides leaks, and there is none to hide.
max_requests = 0

# gunicorn takes the headers SCRIPT_NAME and PATH_INFO, and the scheme, from whom it trusts as a proxy. Nothing here
# asks for any of them: trust no forwarded header from anybody, and compare no caller's address with the trusted ones.
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
forwarded_allow_ips = "*"

# The control socket would be written below $HOME, which is read-only or missing on some hosts.
control_socket_disable = True

# The service writes a line for each request itself, with all that gunicorn's would say. Requests that never reach it,
# because they are malformed, have a line of the worker's.
accesslog = None

# With SCENEXT_LOG_FORMAT=json gunicorn's own lines are JSON too.
if os.environ.get("SCENEXT_LOG_FORMAT", "").strip().lower() == "json":
    logger_class = "scenext_service.serving.json_logger.JsonLogger"


def on_starting(server: Any) -> None:
    """Refuse gevent with a preloaded application: its ssl is the unpatched one, and every HTTPS call would fail."""
    if server.cfg.preload_app and server.cfg.worker_class_str == "gevent":
        sys.exit("scenext_service cannot start: for gevent, preload_app must be False; see docs/deploy/server.md")


def post_worker_init(worker: Any) -> None:
    """Have SIGTERM, which is also how a reload ends a worker, end the calls that wait: they would last up to 900 s."""
    application: Any = worker.app.wsgi()
    end: Any = signal.getsignal(signal.SIGTERM)

    def end_waits_too(number: int, frame: Any) -> None:
        application.stop()
        end(number, frame)

    signal.signal(signal.SIGTERM, end_waits_too)
    signal.siginterrupt(signal.SIGTERM, False)  # as gunicorn has it: a system call that was under way goes on


def when_ready(server: Any) -> None:
    """Warn of slots that take all threads, and keep the garbage collector away from what is there before the fork.

    It would write to every object, and so end the sharing of the memory with the workers: 8 MB for each of them.
    """
    slots = os.environ.get("SCENEXT_UPSTREAM_SLOTS", "")
    if slots.isdecimal() and server.cfg.threads <= int(slots) and server.cfg.worker_class_str != "gevent":
        server.log.warning("SCENEXT_UPSTREAM_SLOTS is not below the %d threads", server.cfg.threads)
    gc.collect()
    gc.freeze()


def child_exit(server: Any, worker: Any) -> None:
    """Take a worker that ended out of the metrics, where there are any (SCENEXT_METRICS)."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)
