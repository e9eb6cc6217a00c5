"""The WSGI entry point: `app` for gunicorn, `application` for mod_wsgi, uWSGI and Elastic Beanstalk."""

import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any

from . import create_app
from .environment import ConfigError, refusal
from .serving.application import Service

log = logging.getLogger(__name__)

apache = sys.modules.get("mod_wsgi")

NO_APPLICATION = 22  # the exit status after which uWSGI, with `need-app`, ends rather than starts the process again


def load() -> Service | Callable[..., Iterable[bytes]]:
    """Make the application. A bad setting ends the process; mod_wsgi would go on, and print a trace each time."""
    try:
        made = create_app()
    except ConfigError as error:
        sys.stderr.write(f"{refusal(error)}\n")
        if apache is None:
            sys.exit(NO_APPLICATION if "uwsgi" in sys.modules else 1)
        return refuse
    _announce(made)
    if apache is not None:  # the end of a process ends the calls that wait; for gunicorn: serving.hooks
        apache.subscribe_shutdown(lambda *args, **kwargs: made.stop())
    return made


def refuse(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer whatever comes in the place of an application that could not be made."""
    start_response("503 Service Unavailable", [("Content-Type", "application/json")])
    return [b'{"error":"service_unavailable","message":"a setting cannot be used; the log of the server names it"}\n']


def _announce(made: Service) -> None:
    """Have the application say what runs, unless gunicorn has our settings: then its hooks do, and know more."""
    if "scenext_service.serving.settings" in sys.modules:
        return
    if "gunicorn.arbiter" in sys.modules:
        log.warning(
            "gunicorn runs without the settings of this service, by default with one worker for one request at a time;"
            " name gunicorn.conf.py with --config, or start it with `python -m scenext_service`"
        )
    made.announce()


app = application = load()
