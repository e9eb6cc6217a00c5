"""Run Claude Code, which follows videos as tasks if it has a terminal, against a simulated Scenext.

    python -m tests.interop.clients.tasks

Installs the Claude Code of `clients.json`. Each scenario has a service of its own, a scripted model on loopback, and a
Claude Code behind a pseudo-terminal: with `--print` it does not follow tasks. The scenarios are a completed and a
failed video, an outage between two polls, a key that is refused, a stop, an exit, and Claude Code without tasks. The
model reports what it reads. Prints one line for each scenario, and exits with status 1 if any fails.

The other clients that follow tasks are in the table that `run.py` writes.
"""

import fcntl
import json
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from scenext_service.mcp.tasks import EXTENSION
from scenext_service.tools.job_ids import job_of
from tests.support.server import Server, running
from tests.support.upstream import Upstream, answer

from . import documented
from .run import KEY, clients, install

START_TIMEOUT = 90  # seconds until Claude Code has started a video
POLL_TIMEOUT = 120  # seconds until it reports the end; it polls every 30 seconds
SILENCE = 35  # seconds after which a poll would have come
PARALLEL = 2  # Claude Code takes seconds of a core to start

PREFIX = "mcp__scenext__"
QUESTION = {"question": "Why is the sky blue?"}
LINK = "https://h.example/v.mp4?Expires=1&Signature=a%2Fb"


def data(**job: Any) -> bytes:
    """Return Scenext's response about job 12345, which also starts it."""
    return answer(200, json.dumps({"status": "success", "data": {"task_id": "12345", **job}}).encode())


RUNNING = data(status="IN_PROGRESS", progress=[{"id": "frame1", "image": "https://h.example/1.png"}])
COMPLETED = data(status="COMPLETED", result={"video_url": LINK})
FAILED = data(status="FAILED", result={"error": "The question is not readable"})
OUTAGE = answer(503)
REFUSED = answer(401, b'{"status": "error", "message": "This key was revoked"}')

Input = dict[str, Any]
Plan = list[tuple[str, Input | Callable[[list[str]], Input]]]  # tool calls; the input may depend on the results so far


@dataclass
class Model:
    """A scripted model, which makes the planned calls one after another, and collects what it reads."""

    plan: Plan
    results: list[str] = field(default_factory=list)  # of the planned calls
    notifications: list[str] = field(default_factory=list)

    def reply(self, request: Any) -> tuple[str, Input] | None:
        """Return the tool call that responds to a request, or None for words."""
        if PREFIX not in json.dumps(request):  # such as the request for a title
            return None
        parts = [
            part
            for message in request["messages"]
            if isinstance(message["content"], list)
            for part in message["content"]
        ]
        used = {part["id"]: part["name"] for part in parts if part["type"] == "tool_use"}
        self.results = [
            text(part["content"])
            for part in parts
            if part["type"] == "tool_result" and used[part["tool_use_id"]] != "ToolSearch"
        ]
        texts = [part["text"] for part in parts if part["type"] == "text"]
        self.notifications = [found for found in texts if "<task-notification>" in found]
        if len(self.results) == len(self.plan):
            return None
        name, planned = self.plan[len(self.results)]
        if name not in [tool.get("name") for tool in request.get("tools", [])]:
            return "ToolSearch", {"query": f"select:{name}", "max_results": 1}
        return name, planned(self.results) if callable(planned) else planned


def text(content: Any) -> str:
    """Return the text of a tool result."""
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


@contextmanager
def served(model: Model) -> Iterator[str]:
    """Serve a model as the Anthropic API on loopback; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = self.path.startswith("/v1/messages") and "messages/" not in self.path
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for event, values in events(request, model.reply(request)) if found else ():
                self.wfile.write(f"event: {event}\ndata: {json.dumps({'type': event, **values})}\n\n".encode())

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def events(request: Any, call: tuple[str, Input] | None) -> Iterator[tuple[str, Input]]:
    """Yield the events of a response with one tool call, or with words."""
    usage = {"input_tokens": 1, "output_tokens": 1}
    block: Input = {"type": "text", "text": ""}
    delta: Input = {"type": "text_delta", "text": "Understood."}
    if call is not None:
        block = {"type": "tool_use", "id": f"toolu_{os.urandom(6).hex()}", "name": call[0], "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call[1])}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": request["model"], "content": []}
    yield "message_start", {"message": {**message, "stop_reason": None, "usage": usage}}
    yield "content_block_start", {"index": 0, "content_block": block}
    yield "content_block_delta", {"index": 0, "delta": delta}
    yield "content_block_stop", {"index": 0}
    yield "message_delta", {"delta": {"stop_reason": "tool_use" if call else "end_turn"}, "usage": usage}
    yield "message_stop", {}


class Terminal:
    """A program behind a pseudo-terminal, whose output is read until it ends."""

    def __init__(self, command: list[str], folder: Path, environ: Mapping[str, str]) -> None:
        self.output = b""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], command, environ)  # noqa: S606
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with suppress(OSError):  # raised when the program has ended
            while chunk := os.read(self._fd, 65_536):
                self.output += chunk

    def type(self, words: str) -> None:
        """Type some words and press Enter."""
        os.write(self._fd, words.encode())
        time.sleep(1)  # Claude Code takes text with a line break in one read for pasted text
        os.write(self._fd, b"\r")

    def close(self, by: signal.Signals = signal.SIGKILL) -> None:
        """End the program, by a signal."""
        with suppress(ProcessLookupError):
            os.killpg(self._pid, by)
        os.waitpid(self._pid, 0)
        os.close(self._fd)


@dataclass
class Scene:
    """A service on a simulated Scenext, and Claude Code with a scripted model."""

    upstream: Upstream
    service: Server
    model: Model
    folder: Path  # in which Claude Code works
    environ: Mapping[str, str]
    terminal: Terminal | None = None

    def starts(self) -> None:
        """Start Claude Code, and ask it for a video. Raises Failed unless it starts one."""
        terminal = self.run("--allowedTools", f"{PREFIX}*,TaskStop")
        self.until(lambda: "❯".encode() in terminal.output, "the prompt", START_TIMEOUT)
        terminal.type("Make a video.")
        self.until(lambda: len(self.model.results) == len(self.model.plan), "the results of all calls", START_TIMEOUT)

    def run(self, *options: str) -> Terminal:
        """Start Claude Code."""
        self.terminal = Terminal(["claude", *options], self.folder, self.environ)
        return self.terminal

    def polls(self) -> int:
        """Return how often Scenext was asked for the job."""
        return sum(request.method == "GET" for request in self.upstream.requests)

    def until(self, condition: Callable[[], Any], what: str, seconds: float = POLL_TIMEOUT) -> None:
        """Wait for a condition. Raises Failed."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                screen = self.terminal.output[-2000:].decode(errors="replace") if self.terminal else ""
                raise Failed(f"no sign of {what} after {seconds} seconds; read: {self.read()}; screen: {screen!r}")
            time.sleep(0.2)

    def read(self) -> str:
        """Return what the model has read."""
        return "\n".join([*self.model.results, *self.model.notifications])

    def notified(self, *words: str) -> None:
        """Wait for the notification about the end of the task. Raises Failed unless it has all words."""
        self.until(lambda: self.model.notifications, "a notification")
        expect(self.model.notifications[-1], *words)


class Failed(Exception):
    """A scenario that did not go as described."""


def expect(found: str, *words: str) -> None:
    """Raise Failed unless a text has all words."""
    missing = [word for word in words if word not in found]
    if missing:
        raise Failed(f"{missing} not in {found}")


GEN: tuple[str, Input] = (f"{PREFIX}gen_video", QUESTION)


def task_id(results: list[str]) -> str:
    """Return the id of the task in the result of the first call. Raises Failed if Claude Code did not get a task."""
    found = re.search(r"started server-side task (\S+)\. ", results[0])
    if not found or job_of(found[1]) != "12345":
        raise Failed(f"no task in {results[0]}")
    return found[1]


def completed(scene: Scene) -> None:
    """The model learns the link, and until then it can query the job by the id of the task."""
    scene.starts()
    expect(scene.model.results[1], '"status":"IN_PROGRESS"')
    scene.upstream.answers["job"] = COMPLETED
    scene.notified("<status>completed</status>", LINK.replace("&", "&amp;"), "unescape it first")


def failed(scene: Scene) -> None:
    """The model learns the reason."""
    scene.starts()
    scene.upstream.answers["job"] = FAILED
    scene.notified("The question is not readable", "Tell the user why the job 12345 failed")


def outage(scene: Scene) -> None:
    """An outage between two polls is not reported, and the video is."""
    scene.starts()
    scene.upstream.answers["job"] = OUTAGE
    before = scene.polls()
    scene.until(lambda: scene.polls() > before, "a poll in the outage")
    scene.upstream.answers["job"] = COMPLETED
    scene.notified("<status>completed</status>", "v.mp4")
    expect(scene.service.output(), "method=tasks/get task_id=12345 key=caller outcome=ok failure=ServerFault")


def refused(scene: Scene) -> None:
    """The model learns at the next poll that the key was refused, and that the job continues."""
    scene.starts()
    scene.upstream.answers["job"] = REFUSED
    before = scene.polls()
    scene.notified("Scenext refused the API key: “This key was revoked”", "The job 12345 continues.")
    if scene.polls() != before + 1:
        raise Failed(f"{scene.polls() - before} polls until the notification")


def stopped(scene: Scene) -> None:
    """A stop is acknowledged, and ends the polls."""
    scene.starts()
    scene.until(lambda: "method=tasks/cancel" in scene.service.output(), "a cancellation")
    expect(scene.service.output(), "method=tasks/cancel task_id=12345 key=caller outcome=ok")
    before = scene.polls()
    time.sleep(SILENCE)
    if scene.polls() > before:
        raise Failed("it polls after the stop")


def resumed(scene: Scene) -> None:
    """An exit does not cancel the task. The conversation that is continued gets the video."""
    scene.starts()
    assert scene.terminal is not None
    scene.terminal.close(signal.SIGTERM)
    scene.upstream.answers["job"] = COMPLETED
    scene.run("--continue", "--allowedTools", f"{PREFIX}*")
    scene.notified("<status>completed</status>", "v.mp4")
    if "method=tasks/cancel" in scene.service.output():
        raise Failed("the exit cancels the task")


def inside(scene: Scene) -> None:
    """Without background tasks, the call itself waits for the video."""
    scene.upstream.answers["job"] = RUNNING
    threading.Timer(20, lambda: scene.upstream.answers.update(job=COMPLETED)).start()
    scene.starts()
    expect(scene.model.results[0], LINK)


def without(scene: Scene) -> None:
    """Without tasks, the result is the one of every other client."""
    scene.starts()
    expect(scene.model.results[0], '"task_id":"12345"', "call query_video_status with this task_id")


def printed(scene: Scene) -> None:
    """With `--print` Claude Code declares no tasks, so the result is the one of every other client."""
    command = ["claude", "--print", "Make a video.", "--allowedTools", f"{PREFIX}*", "--max-turns", "5"]
    subprocess.run(command, cwd=scene.folder, env=scene.environ, capture_output=True, check=True, timeout=START_TIMEOUT)
    expect(scene.model.results[0], '"task_id":"12345"', "call query_video_status with this task_id")


QUERY: tuple[str, Any] = (f"{PREFIX}query_video_status", lambda results: {"task_id": task_id(results)})
STOP: tuple[str, Any] = (
    "TaskStop",
    lambda results: {"task_id": re.findall(r"TaskStop with task_id \"(\w+)\"", results[0])[0]},
)

# Each scenario, its plan, and the switches of Claude Code.
SCENARIOS: list[tuple[Callable[[Scene], None], Plan, dict[str, str]]] = [
    (completed, [GEN, QUERY], {}),
    (failed, [GEN], {}),
    (outage, [GEN], {}),
    (refused, [GEN], {}),
    (stopped, [GEN, STOP], {}),
    (resumed, [GEN], {}),
    (inside, [GEN], {"CLAUDE_CODE_DISABLE_MCP_TASK_BACKGROUND": "1"}),
    (without, [GEN], {"CLAUDE_CODE_DISABLE_MCP_TASKS": "1"}),
    (printed, [GEN], {}),
]

DEAD_PROXY = "http://127.0.0.1:9"  # keeps Claude Code on loopback
QUIET = dict.fromkeys(
    (
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        "DISABLE_AUTOUPDATER",
        "DISABLE_ERROR_REPORTING",
        "DISABLE_TELEMETRY",
    ),
    "1",
)


@contextmanager
def staged(plan: Plan, switches: Mapping[str, str], binaries: Path) -> Iterator[Scene]:
    """Run a service, a model, and a home for Claude Code, with the configuration of docs/connect.md."""
    with tempfile.TemporaryDirectory() as logs, tempfile.TemporaryDirectory() as home, Upstream() as upstream:
        upstream.answers["job"] = RUNNING
        folder, model = Path(home, "work"), Model(plan)
        folder.mkdir()
        project = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
        approved = {"approved": ["none"], "rejected": []}
        settings = {
            "hasCompletedOnboarding": True,
            "customApiKeyResponses": approved,
            "projects": {str(folder): project},
        }
        Path(home, ".claude.json").write_text(json.dumps(settings), encoding="utf-8")
        with (
            served(model) as address,
            running(Path(logs), {**upstream.environ("job"), "WEB_CONCURRENCY": "1"}) as service,
        ):
            environ = {
                **QUIET,
                **switches,
                "PATH": f"{binaries}:{os.environ['PATH']}",
                "HOME": home,
                "LANG": "C.UTF-8",
                "TERM": "xterm-256color",
                "ANTHROPIC_API_KEY": "none",
                "ANTHROPIC_BASE_URL": address,
                "HTTP_PROXY": DEAD_PROXY,
                "HTTPS_PROXY": DEAD_PROXY,
                "NO_PROXY": "127.0.0.1",
            }
            block = next(iter(documented.of("Claude Code"))).text
            command = block.replace("https://YOUR-APP.example.com/mcp", f"{service.url}/mcp").replace(
                "YOUR_API_KEY", KEY
            )
            subprocess.run(shlex.split(command), cwd=folder, env=environ, capture_output=True, check=True, timeout=60)
            scene = Scene(upstream, service, model, folder, environ)
            try:
                yield scene
            finally:
                if scene.terminal is not None:
                    scene.terminal.close()


def attempt(scenario: Callable[[Scene], None], plan: Plan, switches: Mapping[str, str], binaries: Path) -> str | None:
    """Run a scenario; return its problem, or None."""
    try:
        with staged(plan, switches, binaries) as scene:
            scenario(scene)
    except (Failed, subprocess.SubprocessError) as problem:
        return str(problem)
    return None


def main() -> None:
    """Install, run and print the results."""
    (client,) = [client for client in clients() if client.name == "claude-code"]
    install(client)
    binaries = client.environment / "node_modules" / ".bin"
    with ThreadPoolExecutor(PARALLEL) as pool:
        started = [(row[0], pool.submit(attempt, *row, binaries)) for row in SCENARIOS]
    problems = 0
    for scenario, future in started:
        problem = future.result()
        problems += problem is not None
        print(f"{scenario.__name__:<12}{problem or 'ok'}")
    print(f"tasks in Claude Code {client.version}: {len(started) - problems} passed, {problems} failed ({EXTENSION})")
    sys.exit(problems > 0)


if __name__ == "__main__":
    main()
