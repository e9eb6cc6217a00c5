"""gunicorn's settings, each with its reason. `python -m scenext_service` and gunicorn.conf.py use them.

Overridden by GUNICORN_CMD_ARGS and by the command line.

Source: gunicorn's manual, "Settings"; ipv6(7), `IPV6_V6ONLY`; the kernel's documentation, "IP Sysctl", `bindv6only`.
"""

import os
import socket

from ...environment import exit_on_config_error, integer, one_of, read
from ..capacity import raise_descriptor_limit, thread_limit, worker_capacity
from ..logs import FORMATTERS
from .hooks import child_exit as child_exit
from .hooks import on_starting as on_starting
from .hooks import post_worker_init as post_worker_init
from .hooks import pre_exec as pre_exec
from .hooks import when_ready as when_ready

LOOPBACK = "127.0.0.1:8000"


def bound_addresses(port: int) -> list[str]:
    """Return the addresses to bind.

    A platform that sets PORT routes to it from outside, on Railway over IPv6 only. So listen on every interface, in
    both address families. Without PORT (0), the server runs on a personal machine and listens on loopback only.
    """
    if not port:
        return [LOOPBACK]
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::", 0))
            ipv6_only = sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    except OSError:  # the system has no IPv6, for example with ipv6.disable=1
        return [f"0.0.0.0:{port}"]
    # `[::]` accepts IPv4 too, unless net.ipv6.bindv6only is 1. If it does, binding 0.0.0.0 would fail with EADDRINUSE.
    return [f"[::]:{port}", f"0.0.0.0:{port}"] if ipv6_only else [f"[::]:{port}"]


with exit_on_config_error():
    _port = read(os.environ, "PORT", integer(1, 65_535), 0)
    _workers = read(os.environ, "WEB_CONCURRENCY", integer(1, 1_000), 2)
    _format = read(os.environ, "SCENEXT_LOG_FORMAT", one_of(*FORMATTERS), "logfmt")

# Used if the command line names no application.
wsgi_app = "scenext_service.wsgi:app"

# Every interface in both address families if a platform sets PORT, otherwise loopback.
bind = bound_addresses(_port)

# Heroku sets WEB_CONCURRENCY by the size of the dyno. The default is two: for a second core, and so that one worker
# serves if the other is killed (`kill -9`).
workers = _workers

# gunicorn's gthread, with changes to how it accepts and shares connections, passes them to threads, limits their time,
# rejects malformed requests, and closes.
worker_class = "scenext_service.server.gunicorn.worker.Worker"
threads, worker_connections = worker_capacity(workers, thread_limit(), raise_descriptor_limit())

# Load the application once, before the fork: startup is faster, memory is shared, and an invalid configuration fails
# at startup.
preload_app = True

# Seconds. Heroku's router keeps its connections for 90 s. The router must close first, because no router retries a POST
# that it sent on a closed connection.
keepalive = 95

# Seconds. Platforms kill the process 30 s after SIGTERM. A call to Scenext lasts at most SCENEXT_TIMEOUT (20) and ends
# before that. `post_worker_init` ends waiting calls.
graceful_timeout = 25

# Seconds without a heartbeat from a worker. Not a limit for requests: a gthread worker sends heartbeats during them.
timeout = 30

# Recycling workers would hide memory leaks, and none is known.
max_requests = 0

# gunicorn takes SCRIPT_NAME, PATH_INFO and the scheme from the headers of trusted proxies. The service needs none of
# them. So accept these headers from no client, and skip the comparison of each client's address with the trusted ones.
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
forwarded_allow_ips = "*"

# By default gunicorn uses the C parser, gunicorn_h1c, if it is installed. Version 0.4.1 accepts malformed requests that
# gunicorn 27.0.1's own parser rejects, for example a request line with two spaces.
http_parser = "python"

# Real clients, proxies and platforms together send about 40 header fields and 16 KiB. gunicorn's defaults allow
# 795 KiB, and 200 unfinished requests of that size take 280 MB. `connections.Unreader` also limits the whole head to
# 64 KiB.
limit_request_fields = 64
limit_request_field_size = 8190

# gunicorn would create the control socket below $HOME, which is read-only or missing on some hosts.
control_socket_disable = True

# The service logs each request itself, with every field of gunicorn's access log. The worker logs malformed requests,
# which never reach the service.
accesslog = None

# gunicorn's own log records have the service's format.
_logger = {"logfmt": "LogfmtLogger", "json": "JsonLogger"}[_format]
logger_class = f"scenext_service.server.gunicorn.hooks.{_logger}"
