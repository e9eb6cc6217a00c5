"""The WSGI entry point: `app` for gunicorn, `application` for mod_wsgi, uWSGI and Elastic Beanstalk."""

import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any

from . import create_app
from .environment import ConfigError, startup_error
from .server.application import Service
from .server.capacity import return_large_blocks, server_threads

log = logging.getLogger(__name__)

mod_wsgi = sys.modules.get("mod_wsgi")

NO_APPLICATION = 22  # exit status on which uWSGI with `need-app` exits instead of restarting the process


def load() -> Service | Callable[..., Iterable[bytes]]:
    """Create the application. An invalid setting ends the process.

    mod_wsgi would continue and log a traceback for each attempt, so it gets `service_unavailable` as the application.
    """
    return_large_blocks()
    try:
        service = create_app()
    except ConfigError as error:
        sys.stderr.write(f"{startup_error(error)}\n")
        if mod_wsgi is None:
            sys.exit(NO_APPLICATION if "uwsgi" in sys.modules else 1)
        return service_unavailable
    if threads := server_threads({}):
        service.use_threads(threads)
    _log_startup(service)
    if mod_wsgi is not None:  # shutdown ends waiting calls; for gunicorn see server.gunicorn.hooks
        mod_wsgi.subscribe_shutdown(lambda *args, **kwargs: service.stop())
    return service


_SERVICE_UNAVAILABLE = (
    b'{"error":"service_unavailable",'
    b'"message":"The service did not start because a setting is invalid. The server log names the setting."}\n'
)


def service_unavailable(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Respond to every request with 503, as a WSGI application in place of one with an invalid setting."""
    start_response("503 Service Unavailable", [("Content-Type", "application/json")])
    return [_SERVICE_UNAVAILABLE]


def _log_startup(service: Service) -> None:
    """Log the startup record, except under gunicorn with this service's settings, where its hooks add more fields."""
    if "scenext_service.server.gunicorn.settings" in sys.modules:
        return
    if "gunicorn.arbiter" in sys.modules:
        log.warning(
            "gunicorn runs without the settings of this service, by default with one worker that handles one request at"
            " a time. Add --config FOLDER/gunicorn.conf.py, or start it with `python -m scenext_service`."
        )
    service.log_startup()


app = application = load()
