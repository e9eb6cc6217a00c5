"""The WSGI entry point: `app` for gunicorn, `application` for mod_wsgi, uWSGI and Elastic Beanstalk."""

import sys

from scenext_service import create_app
from scenext_service.config import ConfigError

try:
    app = application = create_app()
except ConfigError as error:
    sys.exit(f"scenext_service cannot start: {error}")
