"""Serving: the application's base class, logs, metrics, health checks and gunicorn.

    application  Flask application: request IDs, JSON errors, request log
    capacity     threads, connections and memory: the platform's limits, and how calls share the threads
    health       `/health`, `/healthz` and `/metrics`
    logs         log records as logfmt or JSON
    metrics      Prometheus metrics over all processes
    gunicorn     gunicorn's settings, hooks and worker, and every change to gunicorn with its reason and its test

Nothing here depends on MCP or Scenext.
"""
