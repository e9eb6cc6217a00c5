"""gunicorn's settings, each with its reason: `python -m scenext_service` starts it with them, gunicorn.conf.py too.

Source: gunicorn's manual, "Settings". Overridden by GUNICORN_CMD_ARGS and by the command line.
"""

import os
from pathlib import Path

from ..environment import Environment, or_exit
from .capacity import allowed_threads, capacity, descriptors
from .hooks import child_exit as child_exit
from .hooks import on_starting as on_starting
from .hooks import post_worker_init as post_worker_init
from .hooks import pre_exec as pre_exec
from .hooks import when_ready as when_ready
from .logs import FORMATTERS

with or_exit():
    _environment = Environment(os.environ)
    _port = _environment.whole("PORT", 0, 1, 65_535)
    _workers = _environment.whole("WEB_CONCURRENCY", 2, 1, 1_000)
    _format = _environment.choice("SCENEXT_LOG_FORMAT", tuple(FORMATTERS), "logfmt")

# Where the command line names no application.
wsgi_app = "scenext_service.wsgi:app"

# A platform that sets PORT routes to it from outside, on Railway over IPv6 only. Without PORT this is somebody's own
# machine, where nobody else has business with the server.
_everywhere = "[::]" if Path("/proc/net/if_inet6").exists() else "0.0.0.0"
bind = f"{_everywhere}:{_port}" if _port else "127.0.0.1:8000"

# Heroku sets WEB_CONCURRENCY by the size of the dyno; elsewhere two, for a second core and for `kill -9`.
workers = _workers

# The class is gunicorn's gthread, except for how it takes and shares connections, hands them to threads, limits their
# time, refuses malformed requests, and closes.
worker_class = "scenext_service.serving.worker.Worker"
threads, worker_connections = capacity(workers, allowed_threads(), descriptors())

# Calls of Scenext and calls that wait are capped below the threads, so that there is always a thread for everything
# else, slow uploads included: a request of which the first byte is there has a thread until the last is, 60 s at most.
_caps = {"SCENEXT_UPSTREAM_SLOTS": threads * 4 // 5, "SCENEXT_WAITING_CALLS": threads // 2}
raw_env = [f"{name}={most}" for name, most in _caps.items() if name not in _environment]

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

# gunicorn's own lines look like the service's.
_logger = {"logfmt": "LogfmtLogger", "json": "JsonLogger"}[_format]
logger_class = f"scenext_service.serving.gunicorn_log.{_logger}"
