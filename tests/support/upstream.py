"""A Scenext on loopback that misbehaves on demand: the first segment of a request's path selects the behaviour.

It uses plain sockets, because no HTTP server can be made to violate HTTP. It is also its own proxy: `CONNECT` opens a
tunnel to itself, and the first label of the host selects the behaviour of the tunnel.
"""

import errno
import gzip
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import orjson

CERTIFICATE = Path(__file__).with_name("loopback.pem")  # for 127.0.0.1, localhost and two hosts behind the proxy
MIB = 1024 * 1024

JOB: dict[str, Any] = {
    "task_id": "12345",
    "status": "IN_PROGRESS",
    "progress": [{"id": "frame1", "image": "https://oss.scenext.example/1.png?Expires=1&Signature=a%2Fb"}],
    "未公布的字段": {"deep": [1, 2.5, None, "…"]},
}
GOOD = orjson.dumps({"status": "success", "data": JOB})


class Request(NamedTuple):
    """A received request; header names are in lower case."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Exchange(NamedTuple):
    """A request, with the socket for its response."""

    upstream: "Upstream"
    sock: socket.socket
    request: Request

    def send(self, data: bytes) -> None:
        self.sock.settimeout(None)
        self.sock.sendall(data)

    def hung_up(self, seconds: float | None = None) -> bool:
        """Wait for the client to close the connection, at most for `seconds`; return whether it has."""
        self.sock.settimeout(seconds)
        try:
            return not self.sock.recv(65536)
        except TimeoutError:
            return False

    def drip(self, data: bytes) -> None:
        """Send a byte every 20 ms until the data or the connection ends."""
        for byte in data:
            self.send(bytes([byte]))
            if self.hung_up(0.02):
                return

    def flood(self, data: bytes) -> None:
        """Send the same data repeatedly until the client closes the connection, which raises OSError."""
        while True:
            self.send(data)


Behaviour = Callable[[Exchange], Any]  # returns whether to keep the connection open


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    """Return a raw HTTP response."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _chunks(*chunks: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


def padded(size: int) -> bytes:
    """Return the body of a successful response, padded to `size` bytes."""
    return GOOD + b" " * (size - len(GOOD))


def _closing(exchange: Exchange) -> bool:
    return False


def _sending(data: bytes, then: Behaviour = _closing) -> Behaviour:
    def behave(exchange: Exchange) -> Any:
        exchange.send(data)
        return then(exchange)

    return behave


def _dripping(data: bytes) -> Behaviour:
    return lambda exchange: exchange.drip(data)


def _flooding(data: bytes) -> Behaviour:
    return lambda exchange: exchange.flood(data)


def _resetting(exchange: Exchange) -> bool:
    exchange.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def _silent(exchange: Exchange) -> bool:
    return not exchange.hung_up()


def _late(exchange: Exchange) -> bool:
    if not exchange.hung_up(0.6):
        exchange.send(answer(200, GOOD))
    return True


def _holding(exchange: Exchange) -> bool:
    exchange.upstream.arrived.release()
    exchange.upstream.let_go.wait(10)
    exchange.send(answer(200, GOOD))
    return True


def _holding_start(exchange: Exchange) -> bool:
    """Hold a POST, which starts a job, until the test releases it; respond to a status query at once."""
    if exchange.request.method == "POST":
        return _holding(exchange)
    exchange.send(answer(200, GOOD))
    return True


def _good_then_silent(exchange: Exchange) -> bool:
    """Respond with success until the test sets `hangs`, then not at all."""
    if exchange.upstream.hangs.is_set():
        return _silent(exchange)
    exchange.send(answer(200, GOOD))
    return True


def _every_other(bad: Behaviour) -> Behaviour:
    """Alternate between a successful response and the bad behaviour."""

    def behave(exchange: Exchange) -> Any:
        if len(exchange.upstream.requests) % 2 == 0:
            return bad(exchange)
        exchange.send(answer(200, GOOD))
        return True

    return behave


def _echoing(status: int) -> Behaviour:
    """Respond as some APIs do, with the rejected key in the message."""

    def behave(exchange: Exchange) -> None:
        message = f"no such key: {exchange.request.headers['authorization']}"
        exchange.send(answer(status, orjson.dumps({"status": "error", "message": message})))

    return behave


def own(request: Request, size: int = 0) -> bytes:
    """Return a response that names the job and the end of the key of its request, padded to `size` bytes in total."""
    data = {"task_id": request.target.rpartition("/")[2], "of": request.headers["authorization"][-8:], "pad": ""}
    plain = answer(200, orjson.dumps({"status": "success", "data": data}))
    if not size:
        return plain
    data["pad"] = "x" * (size - len(plain) - 2)  # the length has two more digits
    return answer(200, orjson.dumps({"status": "success", "data": data}))


def _own(before: bytes = b"", between: float = 0, after: float | None = None, size: int = 0) -> Behaviour:
    """Respond with `own`, preceded by other bytes or followed by the same response.

    `between` and `after` are delays in seconds. With 0, both parts are sent together. With None, nothing is repeated.
    """

    def behave(exchange: Exchange) -> bool:
        written = own(exchange.request, size)
        if before and between:
            exchange.send(before)
            exchange.hung_up(between)
        elif before:
            written = before + written
        if after == 0:
            written *= 2
        exchange.send(written)
        if after:
            exchange.hung_up(after)
            exchange.send(written)
        return True

    return behave


def informational(status: int) -> bytes:
    """Return an informational response, which content delivery networks send before the final response."""
    return b"HTTP/1.1 %d Early\r\nLink: </style.css>; rel=preload\r\n\r\n" % status


# Behaviours that can make a client take the response to one request for that to another.
SHIFTS: Mapping[str, Behaviour] = {
    "after-102": _own(informational(102), 0.02),
    "after-103": _own(informational(103), 0.02),
    "after-103-at-once": _own(informational(103)),
    "after-104-to-199": _own(informational(104) + informational(199), 0.02),
    "after-101": _own(informational(101), 0.02),
    "body-of-204": _own(b"HTTP/1.1 204 No Content\r\n\r\n", 0.02),
    "body-of-204-with-length": _own(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 0.02),
    "body-of-304": _own(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n", 0.02),
    "twice-at-once": _own(after=0),
    "twice-8192": _own(after=0, size=8192),  # http.client reads in blocks of this size; TLS buffers the rest
    "twice-and-reset": lambda exchange: _own(after=0)(exchange) and _resetting(exchange),
    "twice-after-1-ms": _own(after=0.001),
    "twice-after-20-ms": _own(after=0.02),
    "two-framings": _own(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: gzip\r\n\r\n{}", 0.02),
}

_BOMB = gzip.compress(bytes(64 * MIB))
_HEAD = answer(200, GOOD).removesuffix(GOOD)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# Complete responses, after which the connection stays open.
ANSWERS: Mapping[str, bytes] = {
    "api": answer(200, GOOD),
    "created": answer(201, GOOD),
    "chunked": _chunks(GOOD[:9], GOOD[9:], b""),
    "gzip": answer(200, gzip.compress(GOOD), "Content-Encoding: gzip"),
    "deflate": answer(200, zlib.compress(GOOD), "Content-Encoding: deflate"),
    "after-continue": _CONTINUE * 3 + answer(200, GOOD),
    "largest": answer(200, padded(4 * MIB)),
    "cookie": answer(200, GOOD, "Set-Cookie: session=of-another-caller; Path=/"),
    "empty": answer(200),
    "no-content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "html": answer(200, b"<html><body>It works!</body></html>", "Content-Type: text/html"),
    "not-utf-8": answer(200, b'{"status": "success", "data": {"x": "\xff"}}'),
    "array": answer(200, b"[" + GOOD + b"]"),
    "no-data": answer(200, b'{"status": "success"}'),
    "data-array": answer(200, b'{"status": "success", "data": [1]}'),
    "rejected": answer(200, b'{"status": "error", "message": "This job was removed"}'),
    "firewall": answer(403, b"<html><body>Your request was blocked.</body></html>", "Content-Type: text/html"),
    "too-large": answer(200, padded(5 * MIB)),
    "bomb": answer(200, _BOMB, "Content-Encoding: gzip"),
    "broken-gzip": answer(200, b"\x1f\x8b\x08" + GOOD, "Content-Encoding: gzip"),
    "cut-gzip": answer(200, gzip.compress(GOOD)[:40], "Content-Encoding: gzip"),
    "limited": answer(429, b'{"status": "error", "message": "Slow down"}', "Retry-After: 7"),
    "too-many-headers": answer(200, GOOD, *(f"X-{n}: y" for n in range(200))),
    "too-long-header": answer(200, GOOD, f"X-Long: {'y' * 70_000}"),
    "parts": answer(200, b'{"status": "success", "data": {"x": [' + b"[],[]," * 300_000 + b"[]]}}"),
    "two-lengths": answer(200, GOOD, "Content-Length: 1"),
}

# All other behaviours. The connection is closed unless the behaviour returns True.
BEHAVIOURS: Mapping[str, Behaviour] = {
    **SHIFTS,
    "until-close": _sending(b"HTTP/1.0 200 OK\r\n\r\n" + GOOD),
    "not-kept": _sending(answer(200, GOOD)),  # without `Connection: close`
    "echo": _echoing(200),
    "echo-401": _echoing(401),
    "hold": _holding,
    "hold-start": _holding_start,
    "good-then-silent": _good_then_silent,
    "late": _late,
    "good-then-closed": _every_other(_closing),
    "good-then-401": _every_other(_sending(answer(401, b'{"status": "error", "message": "because"}'))),
    "closed": _closing,
    "reset": _resetting,
    "half-head": _sending(_HEAD[:-9]),
    "half-body": _sending(_HEAD + GOOD[:-9]),
    "half-chunked": _sending(_chunks(GOOD)),
    "half-chunk": _sending(_chunks(GOOD)[:-9]),
    "bad-chunk": _sending(_chunks() + b"zz\r\n" + GOOD),
    "bad-status": _sending(b"HTTP/1.1 fine\r\n\r\n"),
    "not-http": _sending(b"220 mail.example ESMTP\r\n"),
    "silent": _silent,
    "silent-body": _sending(_HEAD, _silent),
    "drip-continue": _dripping(_CONTINUE * 99),
    "drip-head": _dripping(_HEAD + GOOD),
    "drip-body": _sending(_HEAD, _dripping(GOOD)),
    "drip-chunks": _sending(_chunks(), _dripping(b"1\r\n{\r\n" * 99)),
    "drip-gzip": _sending(ANSWERS["bomb"].removesuffix(_BOMB), _dripping(_BOMB)),
    "endless-body": _sending(b"HTTP/1.1 200 OK\r\n\r\n", _flooding(bytes(65536))),
    "endless-continue": _flooding(_CONTINUE),
    "endless-headers": _sending(b"HTTP/1.1 200 OK\r\n", _flooding(b"X: y\r\n")),
    "endless-line": _sending(b"HTTP/1.1 200 ", _flooding(b"y" * 65536)),
}


class Upstream:
    """The simulated server. `requests` records all requests; tests can add responses to `answers`, by name."""

    def __init__(self, *, tls: bool = False) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(CERTIFICATE)
        self._tls = tls
        self._open: dict[int, socket.socket] = {}
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopping = False
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.answers = dict(ANSWERS)
        self.requests: list[Request] = []
        self.connections = 0  # number accepted so far
        self.arrived = threading.Semaphore(0)  # counts the requests that `hold` is holding
        self.let_go = threading.Event()  # releases the held requests
        self.hangs = threading.Event()  # makes `good-then-silent` stop responding

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping = True
        self.let_go.set()
        socket.create_connection(self._listener.getsockname()).close()  # wakes accept()
        self._threads[0].join(5)
        self._listener.close()
        with self._changed:
            for sock in self._open.values():
                with suppress(OSError):
                    socket.socket.shutdown(
                        sock, socket.SHUT_RDWR
                    )  # SSLSocket's own shutdown is not safe here, because another thread uses the socket
        for thread in self._threads:
            thread.join(5)
        assert not any(thread.is_alive() for thread in self._threads)

    def environ(self, behaviour: str) -> dict[str, str]:
        """Return the environment variables that connect the service to this upstream with the given behaviour.

        The repeat window is off, because most tests send equal calls and expect each to arrive.
        """
        return {
            "SCENEXT_SANDBOX": "",
            "SCENEXT_API_BASE_URL": f"{self.url}/{behaviour}",
            "SCENEXT_REPEAT_WINDOW": "0",
            "no_proxy": "*",
            "NO_PROXY": "*",
        }

    def open_connections(self, expected: int) -> int:
        """Wait up to two seconds for the expected number of open connections; return the actual number."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._open) == expected, 2)
            return len(self._open)

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError as error:
                if error.errno != errno.EMFILE:  # a test has used up all descriptors
                    raise
                time.sleep(0.01)
                continue
            if self._stopping:
                sock.close()
                return
            self.connections += 1
            self._keep(self.connections, sock)
            self._start(self._serve, self.connections, sock)

    def _keep(self, number: int, sock: socket.socket | None) -> None:
        with self._changed:
            if sock is None:
                self._open.pop(number).close()
            else:
                self._open[number] = sock
            self._changed.notify_all()

    def _secure(self, number: int, sock: socket.socket) -> socket.socket:
        secure = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self._keep(number, secure)
        secure.do_handshake()
        return secure

    def _serve(self, number: int, sock: socket.socket) -> None:
        with suppress(OSError):  # the client closed the connection
            if self._tls:
                sock = self._secure(number, sock)
            while request := _receive(number, sock):
                self.requests.append(request)
                exchange = Exchange(self, sock, request)
                if request.method == "CONNECT":
                    if not _tunnel(exchange):
                        break
                    sock = self._secure(number, sock)
                elif not self._behave(exchange):
                    break
        self._keep(number, None)

    def _behave(self, exchange: Exchange) -> Any:
        name = urlsplit(exchange.request.target).path.split("/")[1]
        if name.startswith("status-"):
            self.answers[name] = answer(int(name[7:]), b'{"status": "error", "message": "because"}')
        if name not in self.answers:
            return BEHAVIOURS[name](exchange)
        exchange.send(self.answers[name])
        return True


def _tunnel(exchange: Exchange) -> bool:
    """Respond to a CONNECT; return whether TLS follows."""
    label = exchange.request.target.split(".")[0]
    if label == "refused":
        exchange.send(answer(407))
        return False
    if label == "garbage":
        exchange.send(b"220 mail.example ESMTP\r\n")
        return False
    if label == "silent" or (label == "stalled" and exchange.hung_up(2.5)):
        return not exchange.hung_up()
    exchange.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    if label == "deaf":
        exchange.upstream.let_go.wait(2)
        return False
    if label in ("closed", "reset"):
        exchange.hung_up()  # reads the TLS ClientHello
        return _closing(exchange) if label == "closed" else _resetting(exchange)
    return True


def _receive(number: int, sock: socket.socket) -> Request | None:
    """Read a request. Return None at the end of the connection, or on TLS, which gets a 400 as from web servers."""
    data = b""
    sock.settimeout(None)
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if piece.startswith(b"\x16\x03"):
            sock.sendall(answer(400, b"The plain HTTP request was sent to HTTPS port"))
        if not piece or piece.startswith(b"\x16\x03"):
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += (piece := sock.recv(65536))
        if not piece:
            return None
    method, target, _ = first.split(" ")
    return Request(number, method, target, headers, body)


@contextmanager
def closed_port() -> Iterator[int]:
    """Yield a port that refuses connections, and that no other process can bind."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@contextmanager
def full_listener(host: str, port: int = 0) -> Iterator[socket.socket]:
    """Yield a listener with a full backlog, which drops every SYN until connections are accepted."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family))
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket(family))
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener


def resolved(listener: socket.socket) -> Any:
    """Return the address of a listener as getaddrinfo returns it."""
    return (listener.family, socket.SOCK_STREAM, 0, "", listener.getsockname())


@contextmanager
def dead_address(host: str, port: int = 0) -> Iterator[Any]:
    """Yield a loopback address that drops every SYN, as getaddrinfo returns it."""
    with full_listener(host, port) as listener:
        yield resolved(listener)


@contextmanager
def deaf_port() -> Iterator[int]:
    """Yield a port that accepts connections and never reads from them."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]
