"""gunicorn's server hooks, from startup to shutdown, and its logger.

Source: gunicorn's manual, "Settings", "Server Hooks"; gunicorn 27.0.1, `arbiter.Arbiter.reexec` and
`glogging.Logger.setup`, whose `logconfig_dict` would enable the access log again.
"""

import gc
import logging
import os
import signal
import sys
from typing import Any

from gunicorn.glogging import Logger

from ..logs import FORMATTERS, StandardStreams


def on_starting(server: Any) -> None:
    """Exit if gevent has a preloaded application. Its ssl module is unpatched, so every HTTPS call would fail."""
    if server.cfg.preload_app and server.cfg.worker_class_str == "gevent":
        sys.exit("scenext_service cannot start: for gevent, preload_app must be False; see docs/deploy/server.md")


def when_ready(server: Any) -> None:
    """Divide the threads, log the startup record, and exempt all existing objects from garbage collection.

    The collector would write to every object, and the workers would no longer share that memory: 8 MB for each of them.
    """
    if server.cfg.preload_app:
        endpoint = " ".join(f"{listener}/mcp" for listener in server.LISTENERS)
        _divide_threads(server.app)
        _log_startup(server.app, endpoint=endpoint)
    gc.collect()
    gc.freeze()


def post_worker_init(worker: Any) -> None:
    """Make SIGTERM end waiting calls, which could last up to 900 s. A reload ends a worker with SIGTERM too.

    If a wrapper hides the service's application, gunicorn's own handler stays.
    """
    # Without preload_app, each worker has its own application, and a reload may change the number of threads.
    _divide_threads(worker.app)
    # Without preload_app, the master has no application, so the first worker logs the startup record for all.
    if not worker.cfg.preload_app and worker.age == 1:
        _log_startup(worker.app)
    end_waits: Any = getattr(worker.app.wsgi(), "stop", None)
    if end_waits is None:
        return
    previous: Any = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: Any) -> None:
        end_waits()
        previous(number, frame)

    signal.signal(signal.SIGTERM, stop)
    signal.siginterrupt(signal.SIGTERM, False)  # as gunicorn sets it: restart interrupted system calls


def pre_exec(server: Any) -> None:
    """Make USR2 run `python -m gunicorn` as a module again.

    gunicorn 27.0.1 would run its `__main__.py` as a file, with the file's folder first on the import path. The folder's
    `http` would hide Python's. Restore the command with `-m`.
    """
    python, program, *arguments = server.START_CTX["args"]
    if program.endswith("__main__.py"):
        server.START_CTX["args"] = [python, "-m", "gunicorn", *arguments]


def child_exit(server: Any, worker: Any) -> None:
    """Remove a worker that has exited from the metrics, if they are enabled (SCENEXT_METRICS)."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)


def _divide_threads(app: Any) -> None:
    """Pass the number of threads to the application. No-op if a wrapper hides the service's application.

    gevent has a greenlet for each connection, so its number is that of connections.
    """
    threads = app.cfg.worker_connections if app.cfg.worker_class_str == "gevent" else app.cfg.threads
    if use_threads := getattr(app.wsgi(), "use_threads", None):
        use_threads(threads)


def _log_startup(app: Any, **fields: str) -> None:
    """Let the application log its startup record. No-op if a wrapper hides the service's application.

    gevent has no threads.
    """
    threads = None if app.cfg.worker_class_str == "gevent" else app.cfg.threads
    if log_startup := getattr(app.wsgi(), "log_startup", None):
        log_startup(workers=app.cfg.workers, threads=threads, **fields)


class LogfmtLogger(Logger):
    """gunicorn's logger with our formatter. A log file or syslog server that the operator configures is kept."""

    log_format = "logfmt"

    def setup(self, cfg: Any) -> None:
        """Set up gunicorn's handlers, then replace the one for stderr. A reload calls this again."""
        log = self.error_log
        log.handlers = [handler for handler in log.handlers if not isinstance(handler, StandardStreams)]
        super().setup(cfg)
        log.handlers = [self._reformat(handler) for handler in log.handlers]

    def _reformat(self, handler: logging.Handler) -> logging.Handler:
        if type(handler) is logging.StreamHandler:  # not a FileHandler, which is a subclass
            return StandardStreams(self.log_format)
        handler.setFormatter(FORMATTERS[self.log_format]())
        return handler


class JsonLogger(LogfmtLogger):
    """gunicorn's logger for SCENEXT_LOG_FORMAT=json."""

    log_format = "json"
