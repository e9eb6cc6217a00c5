"""gunicorn finds this file by itself in the folder of `gunicorn wsgi:app`; the settings are the package's."""

from scenext_service.serving.settings import *  # noqa: F403
