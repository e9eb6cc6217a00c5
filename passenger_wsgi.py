"""What Passenger looks for: the WSGI entry point under the name that cPanel and Passenger give it."""

from wsgi import application

__all__ = ["application"]
