"""`GET /healthz`: that this process is alive, which version it is, and whether it plays in the sandbox.

It touches nothing else, so a slow Scenext never makes a platform restart a healthy process.
"""

from flask import Blueprint, Response, jsonify

from .version import VERSION


def create_blueprint(sandbox: bool) -> Blueprint:
    """Make the blueprint; it answers `{"status": "ok", "version": str, "sandbox": bool}`."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz", provide_automatic_options=False)
    def healthz() -> Response:
        return jsonify(status="ok", version=VERSION, sandbox=sandbox)

    return blueprint
