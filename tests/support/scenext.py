"""A simulated Scenext on loopback that charges each job on arrival, and records which instance of the service asked.

Each instance has its own base URL.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LATENCY = 0.3  # seconds for an answer
ENDLESS = "endless"  # a job that never ends; all others end at once
VIDEO = "https://oss.scenext.example/video.mp4"


@dataclass(slots=True)
class Question:
    """A received request: through which instance, for which call, and when (time.monotonic())."""

    instance: str
    request_id: str
    task_id: str  # the queried job, or the new one
    starts: bool  # whether the request starts a job
    came: float


class Scenext:
    """The started jobs and all requests."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.port = 0
        self._lock = threading.Lock()
        self._jobs = {ENDLESS}

    def url(self, instance: str) -> str:
        """Return the base URL for an instance."""
        return f"http://127.0.0.1:{self.port}/{instance}"

    def note(self, instance: str, request_id: str, task_id: str | None) -> Question:
        """Record a request. Without a task id, it starts a job."""
        with self._lock:
            name = task_id or f"job-{len(self._jobs)}"
            self._jobs |= {name} if task_id is None else set()
            question = Question(instance, request_id, name, task_id is None, time.monotonic())
            self.questions.append(question)
            return question

    def knows(self, task_id: str) -> bool:
        """Return whether the job exists."""
        return task_id in self._jobs

    def charges(self) -> int:
        """Return the number of jobs that were started."""
        return sum(question.starts for question in self.questions)


@contextmanager
def scenext(start_seconds: float = LATENCY) -> Iterator[Scenext]:
    """Run a simulated Scenext, which answers a request to start a job after `start_seconds`."""
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
            time.sleep(start_seconds if question.starts else LATENCY)
            data: Any = {"task_id": question.task_id, "status": "IN_PROGRESS", "progress": []}
            if not question.starts and task_id != ENDLESS:
                data |= {"status": "COMPLETED", "result": {"video_url": VIDEO}}
            known = here.knows(question.task_id)
            body = json.dumps({"status": "success", "data": data} if known else {"status": "error"}).encode()
            with suppress(ConnectionError):
                self.send_response(200 if known else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Suppress the request log."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 1000

        def handle_error(self, *args: Any) -> None:
            """Suppress the errors of connections to a killed instance."""

    with Server(("127.0.0.1", 0), Handler) as server:
        here.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield here
        finally:
            server.shutdown()
            thread.join()
