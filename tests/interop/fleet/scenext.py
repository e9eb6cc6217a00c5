"""A Scenext on loopback that knows who asked it for what: each instance of the fleet has a base URL of its own."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LATENCY = 0.3  # seconds for every answer
ENDLESS = "endless"  # a job that never ends; all others end at once


@dataclass(slots=True)
class Question:
    """A request that came: through which instance, of which call, and when (time.monotonic())."""

    instance: str
    request_id: str
    task_id: str  # that was asked for, or that a job got
    starts: bool  # a job
    came: float


class Scenext:
    """The jobs that were started, and every request."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.port = 0
        self._lock = threading.Lock()
        self._jobs = {ENDLESS}

    def url(self, instance: str) -> str:
        """Return the base URL for an instance."""
        return f"http://127.0.0.1:{self.port}/{instance}"

    def note(self, instance: str, request_id: str, task_id: str | None) -> Question:
        """Write a request down; start a job where it asks for none."""
        with self._lock:
            name = task_id or f"job-{len(self._jobs)}"
            self._jobs |= {name} if task_id is None else set()
            question = Question(instance, request_id, name, task_id is None, time.monotonic())
            self.questions.append(question)
            return question

    def knows(self, task_id: str) -> bool:
        """Tell whether there is such a job."""
        return task_id in self._jobs


@contextmanager
def scenext() -> Iterator[Scenext]:
    """Run one."""
    here = Scenext()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(None)

        def do_GET(self) -> None:
            self._answer(self.path.split("/")[-1])

        def _answer(self, task_id: str | None) -> None:
            question = here.note(self.path.split("/")[1], self.headers["X-Request-ID"], task_id)
            time.sleep(LATENCY)
            status = "IN_PROGRESS" if question.task_id == ENDLESS or question.starts else "COMPLETED"
            data: Any = {"task_id": question.task_id, "status": status, "progress": []}
            known = here.knows(question.task_id)
            body = json.dumps({"status": "success", "data": data} if known else {"status": "error"}).encode()
            with suppress(ConnectionError):
                self.send_response(200 if known else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 1000

        def handle_error(self, *args: Any) -> None:
            """Say nothing of an instance that was killed."""

    with Server(("127.0.0.1", 0), Handler) as server:
        here.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield here
        finally:
            server.shutdown()
            thread.join()
