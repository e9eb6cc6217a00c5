"""Three instances behind haproxy: `python -m tests.interop.fleet.run`."""
