"""How the service is served: gunicorn's worker, logs, metrics, health.

    settings      gunicorn's settings
    capacity      how many threads and connections the platform allows
    hooks         what gunicorn calls at its start, at its end, and in between
    gunicorn_log  gunicorn's own lines
    worker        gunicorn's threaded worker, with its changes
    accepting     how it takes new connections
    connections   how long their clients may take, and how they end
    threads       its threads
    leaving       whether a client is still there
    address       where a client reached the service
    logs          log lines
    metrics       Prometheus metrics of all processes
    health        `/healthz` and `/metrics`

Nothing here knows MCP or Scenext.
"""
