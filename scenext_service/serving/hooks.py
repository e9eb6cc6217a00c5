"""What gunicorn calls at the turns of its life.

Source: gunicorn's manual, "Settings", "Server Hooks"; gunicorn 27.0.1, `arbiter.Arbiter.reexec`.
"""

import gc
import os
import signal
import sys
from typing import Any


def on_starting(server: Any) -> None:
    """Refuse gevent with a preloaded application: its ssl is the unpatched one, and every HTTPS call would fail."""
    if server.cfg.preload_app and server.cfg.worker_class_str == "gevent":
        sys.exit("scenext_service cannot start: for gevent, preload_app must be False; see docs/deploy/server.md")


def when_ready(server: Any) -> None:
    """Say what runs, warn of slots that take all threads, and keep the garbage collector away from what is there.

    It would write to every object, and so end the sharing of the memory with the workers: 8 MB for each of them.
    """
    if server.cfg.preload_app:
        endpoint = " ".join(f"{listener}/mcp" for listener in server.LISTENERS)
        _announce(server.app, endpoint=endpoint)
    slots = os.environ.get("SCENEXT_UPSTREAM_SLOTS", "")
    if slots.isdecimal() and server.cfg.threads <= int(slots) and server.cfg.worker_class_str != "gevent":
        server.log.warning("SCENEXT_UPSTREAM_SLOTS is not below the %d threads", server.cfg.threads)
    gc.collect()
    gc.freeze()


def post_worker_init(worker: Any) -> None:
    """Have SIGTERM, which is also how a reload ends a worker, end the calls that wait: they would last up to 900 s."""
    if not worker.cfg.preload_app and worker.age == 1:  # the first worker speaks for all: the master has no application
        _announce(worker.app)
    application: Any = worker.app.wsgi()
    end: Any = signal.getsignal(signal.SIGTERM)

    def end_waits_too(number: int, frame: Any) -> None:
        application.stop()
        end(number, frame)

    signal.signal(signal.SIGTERM, end_waits_too)
    signal.siginterrupt(signal.SIGTERM, False)  # as gunicorn has it: a system call that was under way goes on


def pre_exec(server: Any) -> None:
    """Have USR2 run `python -m gunicorn` again as what it was: run as a file, its folder would hide Python's `http`."""
    python, program, *arguments = server.START_CTX["args"]
    if program.endswith("__main__.py"):
        server.START_CTX["args"] = [python, "-m", "gunicorn", *arguments]


def child_exit(server: Any, worker: Any) -> None:
    """Take a worker that ended out of the metrics, where there are any (SCENEXT_METRICS)."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)


def _announce(app: Any, **where: str) -> None:
    """Have the application say what runs, and on what; one that is put around ours cannot. gevent has no threads."""
    threads = None if app.cfg.worker_class_str == "gevent" else app.cfg.threads
    if announce := getattr(app.wsgi(), "announce", None):
        announce(workers=app.cfg.workers, threads=threads, **where)
