"""`GET /healthz`, and `GET /metrics` where an operator asked for it.

`/healthz` tells that this process is alive, which version it is, and whether it plays in the sandbox. It touches
nothing else, so a slow Scenext never makes a platform restart a healthy process.
"""

from flask import Blueprint, Response, jsonify, request

from ..version import VERSION
from .metrics import Metrics


def create_blueprint(sandbox: bool, metrics: Metrics | None = None) -> Blueprint:
    """Make the blueprint; `/healthz` answers `{"status": "ok", "version": str, "sandbox": bool}`."""
    blueprint = Blueprint("health", __name__)

    @blueprint.before_request
    def note_path() -> None:
        request.environ["scenext.path"] = request.path  # for gunicorn's access log

    @blueprint.get("/healthz", provide_automatic_options=False)
    def healthz() -> Response:
        return jsonify(status="ok", version=VERSION, sandbox=sandbox)

    if metrics is not None:

        @blueprint.get("/metrics", provide_automatic_options=False)
        def page() -> Response:
            content, media_type = metrics.page()
            return Response(content, content_type=media_type)

    return blueprint
