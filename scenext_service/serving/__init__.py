"""How the service is served: gunicorn's worker, logs, metrics, health.

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
