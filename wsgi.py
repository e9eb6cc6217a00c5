"""The WSGI entry point: `app` for gunicorn, `application` for mod_wsgi, uWSGI and Elastic Beanstalk."""

import sys

from scenext_service import create_app
from scenext_service.config import ConfigError

try:
    app = application = create_app()
except ConfigError as error:
    sys.exit(f"scenext_service cannot start: {error}")

# Have the end of a process end the calls that wait. For gunicorn it is in gunicorn.conf.py.
apache = sys.modules.get("mod_wsgi")
if apache is not None:
    apache.subscribe_shutdown(lambda *args, **kwargs: app.stop())
