"""`GET /health` and `GET /healthz`, which are equivalent, and `GET /metrics` if the operator enables it.

The health endpoints report that this process is alive, its version, and whether it runs the sandbox. They depend on
nothing else, so a slow Scenext API never makes a platform restart a healthy process. Platforms poll them every few
seconds, so these requests are logged at level DEBUG.

There are two paths because Cloud Run's front end responds to `/healthz` itself, with a 404.

Source: Cloud Run's manual, "Known issues", "Reserved URL paths".
"""

import logging

from flask import Blueprint, Response, jsonify, request

from .. import __version__
from .metrics import Metrics


def create_blueprint(sandbox: bool, metrics: Metrics | None = None) -> Blueprint:
    """Create the blueprint. `/health` and `/healthz` return `{"status": "ok", "version": str, "sandbox": bool}`."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/health", provide_automatic_options=False)
    @blueprint.get("/healthz", provide_automatic_options=False)
    def health() -> Response:
        request.environ["scenext.log_level"] = logging.DEBUG
        return jsonify(status="ok", version=__version__, sandbox=sandbox)

    if metrics is not None:

        @blueprint.get("/metrics", provide_automatic_options=False)
        def prometheus() -> Response:
            content, media_type = metrics.render()
            return Response(content, content_type=media_type)

    return blueprint
