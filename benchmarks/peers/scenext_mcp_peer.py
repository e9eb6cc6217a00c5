"""Peer: scenext-mcp, unchanged except for the address of its API; stateless, with JSON responses, for uvicorn."""

import os

from scenext_mcp import server

server.API_BASE_URL = os.environ["SCENEXT_API_BASE_URL"]

app = server.mcp.http_app(stateless_http=True, json_response=True)
