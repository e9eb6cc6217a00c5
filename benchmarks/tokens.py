"""Measure what it costs a model to follow a job until its end: `python benchmarks/tokens.py`.

Every server runs as it is started in production, in the environments of run.py, and calls a Scenext that plays jobs of
15 minutes. All jobs are followed at the same time and in real time, so a run takes 17 minutes. Some are a bit shorter
and some longer, because how soon an end is told depends on where in a wait it falls.

Tokens are counted with gpt-tokenizer, which is installed from tokens/package-lock.json with the npm on the PATH; Node
comes with the `interop` extra of setup.cfg. Counted is what the results add to the conversation, not what the model
says. Hosts hand their model the content blocks, or `structuredContent`, or both, so each half has its figures.

Replaces the section "Tokens" of results.md beside this file; with --host, only the rows of the hosts whose names have
that word. Fails where a target is missed, or a job was not followed to its end.
"""

import argparse
import base64
import datetime
import http.client
import json
import random
import re
import signal
import socket
import string
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median
from typing import Any
from urllib.parse import quote

import servers
from load import START_TIMEOUT, free_port, stop
from servers import HERE, SCENEXT_MCP, SCENEXT_MCP_NEW, SHIPPED, Server

MINUTES = 15
FRAMES = (10, 40)  # of a job
LINKS = (217, 376)  # characters: as documented, and with a few parameters more
# Jobs of each sort, and the seconds between their ends: together a wait of 110 s and a turn. No multiple of them is 30
# or 55, a shorter wait and a turn: those would be met at the same few places again and again.
ENDS, APART = 20, 5.75
SPREAD = 15.0  # seconds over which the jobs begin, so that not all are asked after at once

# Seconds.
TURN = 5.0  # that a model takes
EVERY = 30.0  # between the questions of one that is not told to wait
SILENCE = 60.0  # after which a client gives up
MOST_CALLS = 150  # of one follower; then its job is lost

COUNTER = HERE / "tokens"
RESULTS = HERE / "results.md"
HEADING = "## Tokens"

BOTH, JSON_ONLY = "application/json, text/event-stream", "application/json"
AGAIN = "Call query_video_status again now"

# What a host declares that draws cards, and what the card does there (scenext_service/views/card.js).
EXTENSION = {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}}
CARD_WAIT, CARD_PAUSE = 25, 5.0  # seconds
TOLD = "The video of the Scenext job {task_id} is ready, and the card shows it to the user: {video}"

EXPIRES = 1798761600  # the beginning of 2027
PARAMETERS = (
    "&x-oss-process=image%2Fresize%2Cm_lfit%2Cw_1280%2Fformat%2Cpng&response-content-type=image%2Fpng"
    "&response-content-disposition=inline&response-content-language=zh"
)


class Lost(Exception):
    """A job that was not followed to its end. It voids the run."""


def seeded(seed: str) -> random.Random:
    """Return chance that is the same in every run."""
    return random.Random(seed)  # noqa: S311


def identifier(chance: random.Random) -> str:
    """Return a UUID."""
    return str(uuid.UUID(bytes=chance.randbytes(16), version=4))


@dataclass(frozen=True)
class Job:
    """A job at Scenext, with `link` characters in each of its links. Times are of time.monotonic()."""

    task_id: str
    frames: int
    link: int
    start: float
    end: float

    def data(self, now: float) -> dict[str, Any]:
        """Return what Scenext says of it: the frames appear evenly, the first with the start."""
        done = now >= self.end
        drawn = self.frames if done else 1 + int(self.frames * (now - self.start) / (self.end - self.start))
        data = {
            "task_id": self.task_id,
            "status": "COMPLETED" if done else "IN_PROGRESS",
            "progress": [
                {"id": f"frame{number}", "image": self.signed("frame_img", f"frame{number}.png")}
                for number in range(1, drawn + 1)
            ],
        }
        return data | {"points": 10, "result": {"video_url": self.video}} if done else data

    @property
    def video(self) -> str:
        """The link of the finished video."""
        return self.signed("video", "video.mp4")

    def signed(self, folder: str, name: str) -> str:
        """Return a link in the form that Scenext's API reference shows; the key's id makes up its length."""
        chance = seeded(f"{self.task_id}/{name}")
        owner = identifier(seeded(self.task_id))
        signature = quote(base64.b64encode(chance.randbytes(20)), safe="")
        more = PARAMETERS if self.link > min(LINKS) else ""
        before = f"https://oss.scenext.cn/{folder}/{owner}/{self.task_id}/{name}?OSSAccessKeyId=LTAI5t"
        after = f"&Expires={EXPIRES}{more}&Signature={signature}"
        key = chance.choices(string.ascii_letters + string.digits, k=self.link - len(before) - len(after))
        return before + "".join(key) + after


@dataclass(frozen=True)
class Result:
    """What one call gave: the text of its blocks, `structuredContent` as compact JSON, and the time.monotonic().

    Or what a card told the model, which is no call, and the same text in either half.
    """

    content: str
    structured: str | None
    data: dict[str, Any]  # the job
    came: float
    called: bool = True


@dataclass(frozen=True)
class Host:
    """A host of some kind, connected to a server on a port."""

    kind: "Kind"
    port: int

    def call(self, job: Job, **arguments: Any) -> Result:
        """Ask after a job. Raises Lost unless the answer is about it."""
        return self._result(job, self._post(servers.CALL, {"task_id": job.task_id, **arguments}))

    def start(self, job: Job) -> Result:
        """Have a job started: Scenext gives it the id that the question is. Raises Lost unless it is that one."""
        return self._result(job, self._post(servers.CALL, {"question": job.task_id}, "gen_video"))

    def _result(self, job: Job, result: Any) -> Result:
        content = "\n".join(block["text"] for block in result["content"])
        structured = result.get("structuredContent")
        if result.get("isError"):
            raise Lost(content[:300])
        data = json.loads(result["content"][0]["text"]) if structured is None else structured
        if data["task_id"] != job.task_id:
            raise Lost(f"another job: {content[:300]}")
        written = None if structured is None else json.dumps(structured, ensure_ascii=False, separators=(",", ":"))
        return Result(content, written, data, time.monotonic())

    def longest_wait(self) -> int:
        """Return the seconds that the tool's description tells a model to wait."""
        tools = self._post(servers.LIST, {})["tools"]
        description = next(tool["description"] for tool in tools if tool["name"] == "query_video_status")
        found = re.search(r"wait_seconds\W(\d+)\W.*frames\W+none", description)
        if found is None:
            raise Lost(f"the tool does not tell how long to wait: {description}")
        return int(found[1])

    def _post(self, operation: str, arguments: Mapping[str, Any], tool: str = "query_video_status") -> Any:
        server = self.kind.server
        headers, body = servers.message(server.eras[0], operation)
        message = json.loads(body)
        if operation == servers.CALL:
            message["params"] |= {"name": tool, "arguments": arguments}
        if "Mcp-Name" in headers:
            headers["Mcp-Name"] = tool
        if self.kind.token:
            message["params"].setdefault("_meta", {})["progressToken"] = 1
        if self.kind.card:
            message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = {"extensions": EXTENSION}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SILENCE)
        try:
            connection.request("POST", server.path, json.dumps(message), headers | {"Accept": self.kind.accept})
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.headers.get_content_type() == "text/event-stream":  # the answer is the last of its messages
            text = [line for line in text.split("\n") if line.startswith("data: ")][-1].removeprefix("data: ")
        answer = json.loads(text)
        if response.status != 200 or "result" not in answer:
            raise Lost(f"HTTP {response.status}: {text[:300]}")
        return answer["result"]


Follow = Callable[[Host, Job], Iterator[Result]]  # begins with the model's first call, ends with the job


def by_next(host: Host, job: Job) -> Iterator[Result]:
    """Call as the tool's description says, and again for as long as `next` says so."""
    longest = host.longest_wait()
    while True:
        result = host.call(job, wait_seconds=longest, frames="none")
        if json.loads(result.content) != result.data:
            raise Lost(f"the halves differ: {result.content[:300]}")
        yield result
        step = result.data["next"]
        if not step.startswith(AGAIN) or job.task_id not in step:
            return
        time.sleep(TURN)


def every_30_s(host: Host, job: Job) -> Iterator[Result]:
    """Call with nothing but the job's id, at fixed times."""
    due = time.monotonic()
    while True:
        result = host.call(job)
        yield result
        if result.data["status"] != "IN_PROGRESS":
            return
        due += EVERY
        time.sleep(max(due - time.monotonic(), 0))


def by_card(host: Host, job: Job) -> Iterator[Result]:
    """Start the job. Then a card asks after it, whose answers no model reads, and tells what has come of it."""
    yield host.start(job)
    wait = 0
    while (result := host.call(job, wait_seconds=wait, frames="all")).data["status"] == "IN_PROGRESS":
        time.sleep(CARD_PAUSE)
        wait = CARD_WAIT
    told = TOLD.format(task_id=job.task_id, video=result.data["result"]["video_url"])
    yield Result(told, told, result.data, result.came, called=False)


@dataclass(frozen=True)
class Target:
    """The most that following a job may take: calls, and tokens of either half."""

    calls: int
    tokens: int


LATEST, USUAL = 16, 8  # seconds from a job's end until it is told: the most, and the median


@dataclass(frozen=True)
class Kind:
    """A kind of host: what it is connected to, and how its model follows a job."""

    name: str
    server: Server
    follow: Follow
    max_wait: int | None = None  # SCENEXT_MAX_WAIT
    accept: str = BOTH
    token: bool = False  # whether it asks for progress
    card: bool = False  # whether it draws cards
    target: Target | None = None


KINDS = (
    Kind("with a progress token, SCENEXT_MAX_WAIT=110", SHIPPED, by_next, 110, token=True, target=Target(10, 1600)),
    Kind("with streams, as shipped", SHIPPED, by_next, target=Target(18, 2400)),
    Kind("JSON only", SHIPPED, by_next, accept=JSON_ONLY, target=Target(33, 4000)),
    Kind("a card in the chat, as shipped", SHIPPED, by_card, card=True, target=Target(1, 600)),
    Kind("scenext_service without the new arguments, every 30 s", SHIPPED, every_30_s),
    Kind("scenext-mcp 1.2.4, every 30 s", SCENEXT_MCP, every_30_s),
    Kind("scenext-mcp 1.2.4, newest packages, every 30 s", SCENEXT_MCP_NEW, every_30_s),
)


@dataclass(frozen=True)
class Followed:
    """A job that was followed to its end."""

    kind: Kind
    job: Job
    results: list[Result]

    @property
    def late(self) -> float:
        """Seconds from the job's end to the answer that says so."""
        return self.results[-1].came - self.job.end

    @property
    def calls(self) -> int:
        """How many calls the model made."""
        return sum(result.called for result in self.results)

    def read(self) -> dict[str, list[list[str]]]:
        """Return the texts that the model gets with each result, by what its host hands on of it."""
        read = {"content": [[result.content] for result in self.results]}
        if all(result.structured is not None for result in self.results):
            read["structured"] = [[result.structured or ""] for result in self.results]
            both = zip(read["content"], read["structured"], self.results, strict=True)
            read["both"] = [content + structured if result.called else content for content, structured, result in both]
        return read


def follow(host: Host, job: Job) -> Followed:
    """Follow a job from one turn after its start. Raises Lost."""
    time.sleep(max(job.start + TURN - time.monotonic(), 0))
    results: list[Result] = []
    for result in host.kind.follow(host, job):
        results.append(result)
        if len(results) > MOST_CALLS:
            raise Lost("too many calls")
    last = results[-1]
    if last.data["status"] != "COMPLETED" or job.video not in last.content:
        raise Lost(f"the model stopped: {last.content[:300]}")
    return Followed(host.kind, job, results)


def main() -> None:
    """Follow all jobs, write the section, and fail where a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    minutes = f"of a job, at least 1 (default {MINUTES}); with others than {MINUTES} nothing is written"
    parser.add_argument("--minutes", type=float, default=MINUTES, help=minutes)
    some = "measure only the hosts whose names have this word, and keep the other rows"
    parser.add_argument("--host", default="", metavar="WORD", help=some)
    options = parser.parse_args()
    kinds = [kind for kind in KINDS if options.host in kind.name]
    if not kinds:
        parser.error(f"there is no host with {options.host} in its name")
    if 60 * options.minutes <= max(shifts()):
        parser.error("a job must last a minute")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # so that the servers are ended too
    for environment in sorted({kind.server.environment for kind in kinds}):
        servers.install(environment)
    subprocess.run(["npm", "ci", "--no-fund", "--no-audit", "--silent"], cwd=COUNTER, check=True)
    followed = run(kinds, options.minutes)
    costs = counted(followed)
    judged = targets(kinds, followed, costs)
    lines = [*rows(kinds, followed, costs), *verdicts(judged)]
    print("\n".join(lines))
    if options.minutes == MINUTES:
        results = RESULTS.read_text()
        RESULTS.write_text(replaced(results, section(kinds, lines, results)))
    if missed := [what for what, limit, value in judged if value > limit]:
        sys.exit(f"missed: {', '.join(missed)}")


def run(kinds: list[Kind], minutes: float) -> list[Followed]:
    """Follow a job of each sort in these kinds of host, for each of the ends. Ends the program where one is lost."""
    lengths = [60 * minutes + shift for shift in shifts()]
    sorts = [(frames, link, length) for frames in FRAMES for link in LINKS for length in lengths]
    jobs: dict[str, Job] = {}
    followed: list[Followed] = []
    lost: list[str] = []

    def one(host: Host, job: Job) -> None:
        try:
            followed.append(follow(host, job))
        except Exception as error:
            lost.append(f"{host.kind.name}: {error!r}")

    with ExitStack() as stack:
        upstream = stack.enter_context(scenext(jobs))
        served = {(kind.server.name, kind.max_wait): kind for kind in kinds}
        ports = {key: stack.enter_context(serving(kind, upstream)) for key, kind in served.items()}
        hosts = [Host(kind, ports[kind.server.name, kind.max_wait]) for kind in kinds]
        cast = [(host, *sort) for sort in sorts for host in hosts]
        names = seeded("jobs")
        beginning = time.monotonic() + 1
        threads = []
        for number, (host, frames, link, length) in enumerate(cast):
            start = beginning + SPREAD * number / len(cast)
            task_id = identifier(names)
            jobs[task_id] = Job(task_id, frames, link, start, start + length)
            threads.append(threading.Thread(target=one, args=(host, jobs[task_id]), daemon=True))
        until = time.time() + max(job.end for job in jobs.values()) - time.monotonic()
        print(f"following {len(cast)} jobs until {time.strftime('%H:%M:%S', time.localtime(until))}", file=sys.stderr)
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not lost:
                thread.join(1)
        if lost:
            sys.exit(f"void: {lost[0]}")
    return followed


def shifts() -> list[float]:
    """Return by how many seconds each job of a sort is longer than was asked for."""
    return [APART * (number - (ENDS - 1) / 2) for number in range(ENDS)]


@contextmanager
def scenext(jobs: Mapping[str, Job]) -> Iterator[str]:
    """Run a Scenext that knows these jobs; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # which keeps connections
        wbufsize = -1  # one packet for head and body: the second would wait for the first to be acknowledged

        def do_GET(self) -> None:
            self._answer(jobs[self.path.rpartition("/")[2]].data(time.monotonic()))

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer({"task_id": asked["question"]})

        def _answer(self, data: dict[str, Any]) -> None:
            body = json.dumps({"status": "success", "data": data}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Many(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 1024

    with Many(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextmanager
def serving(kind: Kind, upstream: str) -> Iterator[int]:
    """Run the server of a kind of host; yield its port."""
    port = free_port()
    wait = {} if kind.max_wait is None else {"SCENEXT_MAX_WAIT": str(kind.max_wait)}
    environ = servers.environ(upstream, logs=False) | wait
    arguments = kind.server.arguments(port, logs=False)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(arguments, cwd=servers.ROOT, env=environ, stdout=output, stderr=output)
        try:
            end = time.monotonic() + START_TIMEOUT
            while not listening(port):
                if process.poll() is not None or time.monotonic() > end:
                    output.seek(0)
                    sys.exit(f"{kind.server.name} did not start:\n{output.read().decode(errors='replace')[-2000:]}")
                time.sleep(0.02)
            yield port
        finally:
            stop(process)


def listening(port: int) -> bool:
    """Tell whether a port accepts connections."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class Cost:
    """Tokens that come into the conversation, and those that are read once more in a later turn."""

    added: int
    again: int


Costs = dict[str, Cost]  # by what the host hands on: `content`, `structured`, `both`


def counted(followed: list[Followed]) -> list[Costs]:
    """Count the tokens of each job that was followed."""
    texts = list({text for one in followed for each in one.read().values() for result in each for text in result})
    node = ["node", str(COUNTER / "count.mjs")]
    done = subprocess.run(node, input=json.dumps(texts), stdout=subprocess.PIPE, text=True, check=True)
    tokens: dict[str, int] = dict(zip(texts, json.loads(done.stdout), strict=True))
    return [
        {name: cost([sum(tokens[text] for text in result) for result in each]) for name, each in one.read().items()}
        for one in followed
    ]


def cost(tokens: list[int]) -> Cost:
    """Return what results of so many tokens cost: each is read once, and again in the turn after each later one."""
    return Cost(sum(tokens), sum(count * later for later, count in enumerate(reversed(tokens))))


Judged = list[tuple[str, float, float]]  # what, the most that it may be, what it is


def targets(kinds: list[Kind], followed: list[Followed], costs: list[Costs]) -> Judged:
    """Return what was to be reached, each with the most that was measured for it."""
    judged: Judged = []
    for kind in kinds:
        if kind.target is None:
            continue
        mine = [(one, each) for one, each in zip(followed, costs, strict=True) if one.kind is kind]
        added = [each[half].added for _, each in mine for half in ("content", "structured")]
        late = [one.late for one, _ in mine]
        judged += [
            (f"{kind.name}: calls", kind.target.calls, max(one.calls for one, _ in mine)),
            (f"{kind.name}: tokens added", kind.target.tokens, max(added)),
            (f"{kind.name}: the end is told after s, the latest", LATEST, max(late)),
            (f"{kind.name}: the end is told after s, median", USUAL, median(late)),
        ]
    return judged


def section(kinds: list[Kind], lines: list[str], results: str) -> str:
    """Return the section of the results: these lines of some kinds of host, and those that it has of the others."""
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    old = results.partition(f"{HEADING}\n")[2]
    kept = [kind for kind in KINDS if kind not in kinds]
    lines = [*lines, *(line for line in old.splitlines() if any(is_of(kind, line) for kind in kept))]
    date = re.search(r"\d{4}-\d\d-\d\d", old)
    dates = f"{date[0]}; {kinds[0].name}: {today}" if kept and date else today
    about = (
        f"`python benchmarks/tokens.py`, {dates}. Jobs of {MINUTES} minutes, give or take {max(shifts()):.0f} s, that"
        f" are followed in real time through real servers. A row has {ENDS} of them, {APART:g} s apart at their ends,"
        " as how soon an end is told depends on where in a wait it falls; its figures are medians. The first call comes"
        f" {TURN:g} s after the job's start. In the first three hosts the model does what `next` says, and takes"
        f" {TURN:g} s for each turn. In the next, a card follows the job, whose questions no model reads: counted are"
        " the model's one call, `gen_video`, which no other row has in it, and what the card tells it at the end."
        " Tokens are those of o200k_base, of results only. Added: what the model reads where"
        " its host hands on the content, `structuredContent`, or both. Read again: the same tokens, once more in each"
        " later turn until the end. But for medians, the targets are for the job that took most, and for the half that"
        " did."
    )
    names = ("content", "structured", "both")
    heads = ["host", "frames", "link", "calls", *(f"{name}, added" for name in names)]
    heads += [*(f"{name}, read again" for name in names), "told after s, median", "latest"]
    table = [f"| {' | '.join(heads)} |", "|---" + "|--:" * (len(heads) - 1) + "|"]
    judged = ["| what | target | measured | |", "|---|---|---|---|"]
    for kind in KINDS:
        mine = [line for line in lines if is_of(kind, line)]
        table += [line for line in mine if line.startswith(f"| {kind.name} |")]
        judged += [line for line in mine if line.startswith(f"| {kind.name}: ")]
    return "\n\n".join([HEADING, about, "\n".join(table), "\n".join(judged)]) + "\n"


def is_of(kind: Kind, line: str) -> bool:
    """Tell whether a line of the section is about a kind of host."""
    return line.startswith((f"| {kind.name} |", f"| {kind.name}: "))


def rows(kinds: list[Kind], followed: list[Followed], costs: list[Costs]) -> list[str]:
    """Return what each sort of job cost in each kind of host."""
    lines = []
    for kind in kinds:
        for frames in FRAMES:
            for link in LINKS:
                mine = [
                    (one, each)
                    for one, each in zip(followed, costs, strict=True)
                    if one.kind is kind and (one.job.frames, one.job.link) == (frames, link)
                ]
                late = [one.late for one, _ in mine]
                cells = [kind.name, frames, link, f"{median(one.calls for one, _ in mine):g}"]
                for field in ("added", "again"):
                    for name in ("content", "structured", "both"):
                        figures = [getattr(each[name], field) for _, each in mine if name in each]
                        cells.append(f"{median(figures):,.0f}" if figures else "–")
                cells += [f"{median(late):.1f}", f"{max(late):.1f}"]
                lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def verdicts(judged: Judged) -> list[str]:
    """Return the targets, in the form of the others in the results."""
    lines = []
    for what, limit, value in judged:
        verdict = "reached" if value <= limit else "missed"
        lines.append(f"| {what} | <= {limit:,} | {value:,.{0 if isinstance(value, int) else 1}f} | {verdict} |")
    return lines


def replaced(text: str, section: str) -> str:
    """Return the results with this section in place of the one that they have, or at their end."""
    before, _, old = text.partition(f"{HEADING}\n")
    _, heading, after = old.partition("\n## ")
    return f"{before.rstrip()}\n\n{section}{heading}{after}"


if __name__ == "__main__":
    main()
