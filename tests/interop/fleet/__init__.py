"""Run three instances behind routers: `python -m tests.interop.fleet.run`."""
