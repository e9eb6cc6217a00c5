"""Serve the sandbox's responses over HTTP on loopback, as a Scenext API for a server that is not in sandbox mode."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from scenext_service.scenext.sandbox.adapter import ADDRESS_HEADER, Sandbox

_ID = re.compile(rb"(sandbox-[0-9]{13})-[\w-]+")  # its end has words of the question, unlike an id of Scenext


@contextmanager
def scenext_api(media: str) -> Iterator[str]:
    """Run the API; yield its URL. `media` is the URL of a server in sandbox mode, which serves the linked files."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {**self.headers, ADDRESS_HEADER: media}
            url = f"http://{self.headers['Host']}{self.path}"
            response = Sandbox().send(requests.Request(self.command, url, headers, data=body).prepare())
            content = _ID.sub(rb"\1", response.content)
            self.send_response(response.status_code)
            self.send_header("Content-Type", response.headers["Content-Type"])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815  # the base class chooses the name

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
