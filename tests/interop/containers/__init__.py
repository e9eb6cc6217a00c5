"""The image of the `Dockerfile`, built and run without Docker: `python -m tests.interop.containers.run`."""
