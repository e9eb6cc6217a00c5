"""`GET /healthz`, and `GET /metrics` where an operator asked for it.

`/healthz` says that this process is alive, which version it is, and whether it runs in the sandbox. It touches nothing
else, so a slow Scenext never makes a platform restart a healthy process. Platforms ask for it every few seconds, so its
line in the log is one for debugging.
"""

import logging

from flask import Blueprint, Response, jsonify

from ..version import VERSION
from .application import noted
from .metrics import Metrics


def create_blueprint(sandbox: bool, metrics: Metrics | None = None) -> Blueprint:
    """Make the blueprint; `/healthz` answers `{"status": "ok", "version": str, "sandbox": bool}`."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz", provide_automatic_options=False)
    def healthz() -> Response:
        return noted(jsonify(status="ok", version=VERSION, sandbox=sandbox), logging.DEBUG)

    if metrics is not None:

        @blueprint.get("/metrics", provide_automatic_options=False)
        def page() -> Response:
            content, media_type = metrics.page()
            return noted(Response(content, content_type=media_type))

    return blueprint
