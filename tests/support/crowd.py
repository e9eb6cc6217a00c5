"""A load generator and a slow Scenext, each in its own process so that they do not distort the measurements.

    python -m tests.support.crowd upstream
        print its port, then execute the commands on stdin: `latency 1`, `hang`, `peak`
    python -m tests.support.crowd crowd
        read a plan from stdin; print `there` once it is ready, `warm` once calls count, then its report

Both exit on their own: the upstream at the end of stdin, the crowd at the end of its plan. Every call has a unique id
and job, which are checked in its response. A response that belongs to another call counts as wrong.
"""

import asyncio
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from tests.support.messages import KEY, META
from tests.support.names import TOOLS
from tests.support.pages import ROOT

PATIENCE = 60.0  # seconds until a caller stops waiting for a response
MISSING = "missing"  # the upstream responds 404 for job ids with this prefix
BUSY = "This server has reached its limit of concurrent Scenext calls"


@dataclass(frozen=True)
class Group:
    """A number of callers that loop: each sends a call, waits for its response, then pauses."""

    kind: str
    callers: int
    pause: float = 0.0  # seconds
    kept: bool = True  # whether the connection stays open between calls


@dataclass(frozen=True)
class Plan:
    """The callers and their duration. Calls that start within the first `warm` seconds are checked but not counted."""

    groups: list[Group]
    seconds: float
    warm: float = 0.0
    one_by_one: bool = False  # each caller connects, and gets a response from /healthz, before the next one connects
    most: int = 10**9  # total number of calls


@dataclass(frozen=True)
class Figures:
    """Number and latency of the responses with one outcome; latencies are in milliseconds."""

    calls: int = 0
    p50: float = 0.0
    p99: float = 0.0
    max: float = 0.0


@dataclass(frozen=True)
class Loss:
    """A call without a response. Times are from `time.monotonic()`, which all processes share."""

    kind: str
    port: int  # the client port, or 0 if there was no connection
    opened: float
    sent: float
    reason: str


@dataclass
class Report:
    """The results of a plan; `figures` are keyed by kind of call, then by outcome: `ok`, `busy`, `error`."""

    figures: dict[str, dict[str, Figures]] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # responses that do not match their call
    seconds: float = 0.0  # duration without the warm-up
    farewells: int = 0  # responses with `Connection: close`, including the warm-up
    # By outcome, including the warm-up: the time of the last response, and the seconds that the slowest took.
    last: dict[str, float] = field(default_factory=dict)
    longest: dict[str, float] = field(default_factory=dict)
    lag: Figures = field(default_factory=Figures)  # of the load generator itself: the delay of its timers

    def of(self, kind: str, outcome: str = "ok") -> Figures:
        return self.figures.get(kind, {}).get(outcome, Figures())

    def calls(self, outcome: str) -> int:
        return sum(outcomes[outcome].calls for outcomes in self.figures.values() if outcome in outcomes)

    def __str__(self) -> str:
        longest = ", ".join(f"{outcome} {seconds:.2f} s" for outcome, seconds in self.longest.items())
        lost = f"lost {len(self.losses)}, wrong {len(self.wrong)}, closing {self.farewells}"
        lines = [f"  {self.seconds:.1f} s, {lost}, longest {longest}"]
        rows = [(kind, outcome, row) for kind, rows in sorted(self.figures.items()) for outcome, row in rows.items()]
        for kind, outcome, row in [*rows, ("(this crowd's own", "lag)", self.lag)]:
            rate = row.calls / self.seconds if self.seconds else 0
            lines.append(
                f"  {kind:>9} {outcome:5} {row.calls:6} {rate:7.1f}/s  p50 {row.p50:8.1f}  p99 {row.p99:8.1f}"
                f"  max {row.max:8.1f} ms"
            )
        return "\n".join(lines)


# Each function returns the message of one call, and a predicate that checks its result.


def _tool(number: int, name: str, arguments: dict[str, str]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


def _query(number: int) -> tuple[Any, Callable[[Any], bool]]:
    job = f"job-{number}"
    message = _tool(number, "query_video_status", {"task_id": job})
    message["params"]["_meta"] = META
    return message, lambda result: bool(result["structuredContent"]["task_id"] == job)


def _missing(number: int) -> tuple[Any, Callable[[Any], bool]]:
    message = _tool(number, "query_video_status", {"task_id": f"{MISSING}-{number}"})
    return message, lambda result: bool(result["isError"]) and "no such job" in result["content"][0]["text"]


def _generate(number: int) -> tuple[Any, Callable[[Any], bool]]:
    question = f"{number} + 1 = ?"
    message = _tool(number, "gen_video", {"question": question})
    return message, lambda result: bool(result["structuredContent"]["task_id"] == question)


def _list(number: int) -> tuple[Any, Callable[[Any], bool]]:
    message = {"jsonrpc": "2.0", "id": number, "method": "tools/list"}
    return message, lambda result: [tool["name"] for tool in result["tools"]] == [*TOOLS]


KINDS = {"query": _query, "missing": _missing, "generate": _generate, "list": _list}
HEALTH = "health"
HEALTHY = b'"status":"ok"'


def _request(kind: str, number: int, kept: bool) -> tuple[bytes, Callable[[int, bytes], str]]:
    """Return the bytes of a request, and a function from the status and body of its response to the outcome."""
    last = "" if kept else "Connection: close\r\n"
    if kind == HEALTH:
        head = f"GET /healthz HTTP/1.1\r\nHost: localhost\r\n{last}\r\n"
        return head.encode(), lambda status, body: "ok" if status == 200 and HEALTHY in body else "wrong"
    message, right = KINDS[kind](number)
    content = orjson.dumps(message)
    modern = ""
    if "_meta" in message.get("params", {}):
        name = message["params"]["name"]
        modern = f"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {message['method']}\r\nMcp-Name: {name}\r\n"
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{modern}{last}"
        f"Authorization: Bearer {KEY}\r\nContent-Length: {len(content)}\r\n\r\n"
    )

    def outcome(status: int, body: bytes) -> str:
        try:
            answer = orjson.loads(body)
            if status != 200 or answer["id"] != number:
                return "wrong"
            result = answer["result"]
            if result.get("isError") and kind != "missing":
                return "busy" if result["content"][0]["text"].startswith(BUSY) else "error"
            return "ok" if right(result) else "wrong"
        except (ValueError, KeyError, TypeError, IndexError):
            return "wrong"

    return head.encode() + content, outcome


class _Connection:
    """The connection of one caller, with its client port and the time at which it opened."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        self.opened = time.monotonic()
        self.port: int = writer.get_extra_info("sockname")[1]

    async def exchange(self, request: bytes) -> tuple[int, bytes, bool]:
        """Send a request; return the status, the body, and whether the server will close the connection."""
        self._writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        _, _, length = head.partition("\r\ncontent-length:")
        body = await self.reader.readexactly(int(length.split("\r\n", 1)[0]))
        return int(head[9:12]), body, "\r\nconnection: close\r\n" in head

    def close(self) -> None:
        self._writer.close()


class Crowd:
    """The callers of a plan, on one event loop."""

    def __init__(self, port: int, plan: Plan) -> None:
        self._port = port
        self._plan = plan
        self._report = Report()
        self._times: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._lags: list[float] = []
        self._calls = 0
        self._begin = self._end = 0.0  # time.monotonic(), set once the callers are ready

    async def run(self) -> Report:
        """Execute the plan; return its report."""
        lag = asyncio.create_task(self._watch_lag())
        # Stagger the callers of a group with pauses, so that they do not stay synchronized.
        cast = [(group, group.pause * n / group.callers) for group in self._plan.groups for n in range(group.callers)]
        came = [await self._greet() if self._plan.one_by_one else None for _ in cast]
        say("there")
        self._begin = time.monotonic() + self._plan.warm
        self._end = self._begin + self._plan.seconds
        callers = [asyncio.create_task(self._call(*role, there)) for role, there in zip(cast, came, strict=True)]
        await asyncio.sleep(self._plan.warm)
        say("warm")
        await asyncio.gather(*callers)
        lag.cancel()
        report = self._report
        report.seconds = min(time.monotonic(), self._end) - self._begin
        report.figures = {
            kind: {outcome: _figures(times) for outcome, times in outcomes.items()}
            for kind, outcomes in self._times.items()
        }
        report.lag = _figures(self._lags)
        return report

    async def _watch_lag(self) -> None:
        while True:
            due = time.monotonic() + 0.01
            await asyncio.sleep(0.01)
            self._lags.append(time.monotonic() - due)

    async def _greet(self) -> _Connection:
        async with asyncio.timeout(PATIENCE):
            connection = await self._connect()
            request, outcome_of = _request(HEALTH, 0, kept=True)
            status, body, _ = await connection.exchange(request)
        assert outcome_of(status, body) == "ok"
        return connection

    async def _connect(self) -> _Connection:
        return _Connection(*await asyncio.open_connection("127.0.0.1", self._port))

    async def _call(self, group: Group, delay: float, connection: _Connection | None) -> None:
        await asyncio.sleep(delay)
        while time.monotonic() < self._end and self._calls < self._plan.most:
            self._calls += 1
            number = self._calls
            if connection is not None and connection.reader.at_eof():  # the server closed the idle connection
                connection.close()
                connection = None
            sent = time.monotonic()
            try:
                if connection is None:
                    async with asyncio.timeout(PATIENCE):
                        connection = await self._connect()
                request, outcome_of = _request(group.kind, number, group.kept)
                async with asyncio.timeout(PATIENCE):
                    status, body, closing = await connection.exchange(request)
            except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
                self._lost(group.kind, connection, sent, repr(error))
                if connection is None:
                    return  # the server accepts no connections any more
                connection.close()
                connection = None
                continue
            self._answered(group.kind, sent, outcome_of(status, body), body)
            if closing:
                self._report.farewells += group.kept
                connection.close()
                connection = None
            if group.pause:
                await asyncio.sleep(group.pause)
        if connection is not None:
            connection.close()

    def _lost(self, kind: str, connection: _Connection | None, sent: float, reason: str) -> None:
        port, opened = (connection.port, connection.opened) if connection else (0, sent)
        self._report.losses.append(Loss(kind, port, opened, sent, reason))

    def _answered(self, kind: str, sent: float, outcome: str, body: bytes) -> None:
        now = time.monotonic()
        if outcome == "wrong":
            self._report.wrong.append(f"{kind}: {body[:500]!r}")
        self._report.last[outcome] = now
        self._report.longest[outcome] = max(now - sent, self._report.longest.get(outcome, 0))
        if self._begin <= sent:
            self._times[kind][outcome].append(now - sent)


def _figures(times: list[float]) -> Figures:
    if not times:
        return Figures()
    ordered = [round(seconds * 1000, 2) for seconds in sorted(times)]
    count = len(ordered)
    return Figures(count, ordered[count // 2], ordered[min(count - 1, count * 99 // 100)], ordered[-1])


class Scenext:
    """The upstream. It responds after `latency` seconds; calls that arrive while it hangs never get a response."""

    def __init__(self) -> None:
        self._latency = 0.0
        self._hangs = False
        self._open = 0
        self._peak = 0
        self._seen: Counter[str] = Counter()

    async def run(self) -> None:
        """Serve until stdin ends."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        say(str(server.sockets[0].getsockname()[1]))
        while line := (await asyncio.to_thread(sys.stdin.readline)).split():
            match line:
                case ["latency", seconds]:
                    self._latency, self._hangs = float(seconds), False
                case ["hang"]:
                    self._hangs = True
            say(f"{self._peak} {self._seen['GET']} {self._seen['POST']}")
            self._peak = self._open

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, target, _ = head.split(" ", 2)
                _, _, length = head.lower().partition("\r\ncontent-length:")
                body = await reader.readexactly(int(length.split("\r\n", 1)[0] or 0))
                self._seen[method] += 1
                self._open += 1
                self._peak = max(self._peak, self._open)
                try:
                    if self._hangs:
                        await reader.read(1)  # until the client closes the connection
                        break
                    if self._latency:
                        await asyncio.sleep(self._latency)
                finally:
                    self._open -= 1
                writer.write(_answer(method, target, body))
                await writer.drain()
        writer.close()


def _answer(method: str, target: str, body: bytes) -> bytes:
    status, job = 200, target.rpartition("/")[2]
    answer: dict[str, Any] = {"status": "success", "data": {"task_id": job, "status": "IN_PROGRESS", "progress": []}}
    if method == "POST":
        answer["data"] = {"task_id": orjson.loads(body)["question"]}
    elif job.startswith(MISSING):
        status, answer = 404, {"status": "error", "message": "no such job"}
    content = orjson.dumps(answer)
    return b"HTTP/1.1 %d Whatever\r\nContent-Length: %d\r\n\r\n%b" % (status, len(content), content)


def say(line: str) -> None:
    """Print a line for the process that started this one."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Peer:
    """Handle of a child process that runs one of the two roles."""

    def __init__(self, role: str) -> None:
        command = [sys.executable, "-m", "tests.support.crowd", role]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, text=False
        )

    def tell(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")

    def hear(self) -> bytes:
        assert self._process.stdout is not None
        line: bytes = self._process.stdout.readline()
        assert line, f"{self._process.args!r} ended with {self._process.wait(10)}"
        return line

    def end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Upstream:
    """Handle of the slow Scenext."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.url = f"http://127.0.0.1:{int(peer.hear())}"

    def latency(self, seconds: float) -> int:
        """Respond after the given seconds from now on; return the peak of concurrent calls since the last command."""
        return self._obey(f"latency {seconds}")

    def hang(self) -> int:
        """Leave new calls without a response; return the peak of concurrent calls since the last command."""
        return self._obey("hang")

    def _obey(self, command: str) -> int:
        self._peer.tell(command.encode())
        return int(self._peer.hear().split()[0])


class Calls:
    """Handle of a running crowd."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def wait_until(self, word: str) -> None:
        """Wait for `there`, when one-by-one callers have connected; then for `warm`, when calls start to count."""
        assert self._peer.hear().decode() == f"{word}\n"

    def report(self) -> Report:
        """Wait for the end of the plan, and return its report."""
        found = orjson.loads(self._peer.hear())
        found["figures"] = {
            kind: {outcome: Figures(**figures) for outcome, figures in outcomes.items()}
            for kind, outcomes in found["figures"].items()
        }
        found["losses"] = [Loss(**loss) for loss in found["losses"]]
        return Report(**found | {"lag": Figures(**found["lag"])})


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Run the slow Scenext in a child process."""
    peer = Peer("upstream")
    try:
        yield Upstream(peer)
    finally:
        peer.end()


@contextmanager
def crowd(port: int, plan: Plan) -> Iterator[Calls]:
    """Run a plan against a server in a child process."""
    peer = Peer("crowd")
    try:
        peer.tell(orjson.dumps({"port": port, **asdict(plan)}))
        yield Calls(peer)
    finally:
        peer.end()


def main(role: str) -> None:
    """Run as the upstream or as the crowd."""
    if role == "upstream":
        asyncio.run(Scenext().run())
        return
    given = orjson.loads(sys.stdin.readline())
    groups = [Group(**group) for group in given.pop("groups")]
    report = asyncio.run(Crowd(given.pop("port"), Plan(groups, **given)).run())
    say(orjson.dumps(asdict(report)).decode())


if __name__ == "__main__":
    main(sys.argv[1])
