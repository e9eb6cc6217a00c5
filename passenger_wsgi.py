"""The WSGI entry point under the name that Passenger, and cPanel with it, expects."""

from wsgi import application

__all__ = ["application"]
