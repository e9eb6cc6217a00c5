"""The WSGI entry point in this folder: `app` for gunicorn, `application` for mod_wsgi, uWSGI and Elastic Beanstalk."""

from scenext_service.wsgi import app, application

__all__ = ["app", "application"]
