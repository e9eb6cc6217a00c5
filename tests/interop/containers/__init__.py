"""Build the image of the `Dockerfile` and run it without Docker: `python -m tests.interop.containers.run`."""
