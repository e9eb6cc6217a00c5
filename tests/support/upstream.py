"""A Scenext on loopback that misbehaves on demand: the first part of a request's path names how it is answered.

Plain sockets, because no HTTP server can be made to break HTTP. It is its own proxy too: `CONNECT` opens a tunnel to
itself, and the first label of the host names how that goes.
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
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import orjson

CERTIFICATE = Path(__file__).with_name("loopback.pem")  # of 127.0.0.1, localhost and two hosts behind the proxy
MIB = 1024 * 1024

JOB: dict[str, Any] = {
    "task_id": "12345",
    "status": "IN_PROGRESS",
    "progress": [{"id": "frame1", "image": "https://oss.scenext.example/1.png?Expires=1&Signature=a%2Fb"}],
    "未公布的字段": {"deep": [1, 2.5, None, "…"]},
}
GOOD = orjson.dumps({"status": "success", "data": JOB})


class Request(NamedTuple):
    """A request as it arrived; the names of its headers in lower case."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Exchange(NamedTuple):
    """A request to be answered, on the socket it came from."""

    upstream: "Upstream"
    sock: socket.socket
    request: Request

    def send(self, data: bytes) -> None:
        self.sock.settimeout(None)
        self.sock.sendall(data)

    def hung_up(self, seconds: float | None = None) -> bool:
        """Wait for the client to hang up, and tell whether it has."""
        self.sock.settimeout(seconds)
        try:
            return not self.sock.recv(65536)
        except TimeoutError:
            return False

    def drip(self, data: bytes) -> None:
        """Send a byte every 20 ms until the client hangs up."""
        for byte in data:
            self.send(bytes([byte]))
            if self.hung_up(0.02):
                return

    def flood(self, data: bytes) -> None:
        """Send the same again and again until the client hangs up, which ends in an OSError."""
        while True:
            self.send(data)


Behaviour = Callable[[Exchange], Any]  # what it returns tells whether the connection is kept


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    """Write an answer."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _chunks(*chunks: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


def padded(size: int) -> bytes:
    """Write the good answer's body in so many bytes."""
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


def _every_other(bad: Behaviour) -> Behaviour:
    """Answer well the first time, badly the second, and so on."""

    def behave(exchange: Exchange) -> Any:
        if len(exchange.upstream.requests) % 2 == 0:
            return bad(exchange)
        exchange.send(answer(200, GOOD))
        return True

    return behave


def _echoing(status: int) -> Behaviour:
    """Answer as some APIs do: with what they refuse."""

    def behave(exchange: Exchange) -> None:
        message = f"no such key: {exchange.request.headers['authorization']}"
        exchange.send(answer(status, orjson.dumps({"status": "error", "message": message})))

    return behave


def own(request: Request, size: int = 0) -> bytes:
    """Write the answer to one request: whose it is, and about which job; padded to `size` bytes in all."""
    data = {"task_id": request.target.rpartition("/")[2], "of": request.headers["authorization"][-8:], "pad": ""}
    plain = answer(200, orjson.dumps({"status": "success", "data": data}))
    if not size:
        return plain
    data["pad"] = "x" * (size - len(plain) - 2)  # two more digits in the length
    return answer(200, orjson.dumps({"status": "success", "data": data}))


def _own(before: bytes = b"", between: float = 0, after: float | None = None, size: int = 0) -> Behaviour:
    """Answer a request of its own, with something before it, or once more after it: in seconds; 0 is in one piece."""

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
    """Write an informational response, as a content delivery network sends it before the answer."""
    return b"HTTP/1.1 %d Early\r\nLink: </style.css>; rel=preload\r\n\r\n" % status


# What makes a client take one request's answer for another's.
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
    "twice-8192": _own(after=0, size=8192),  # http.client reads so much at a time; TLS keeps the rest
    "twice-and-reset": lambda exchange: _own(after=0)(exchange) and _resetting(exchange),
    "twice-after-1-ms": _own(after=0.001),
    "twice-after-20-ms": _own(after=0.02),
    "two-framings": _own(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: gzip\r\n\r\n{}", 0.02),
}

_BOMB = gzip.compress(bytes(64 * MIB))
_HEAD = answer(200, GOOD).removesuffix(GOOD)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# Whole answers, after which the connection is kept.
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

# Everything else; the connection is closed unless the behaviour returns True.
BEHAVIOURS: Mapping[str, Behaviour] = {
    **SHIFTS,
    "until-close": _sending(b"HTTP/1.0 200 OK\r\n\r\n" + GOOD),
    "not-kept": _sending(answer(200, GOOD)),  # without `Connection: close`
    "echo": _echoing(200),
    "echo-401": _echoing(401),
    "hold": _holding,
    "late": _late,
    "good-then-closed": _every_other(_closing),
    "good-then-401": _every_other(_sending(answer(401, b"{}"))),
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
    """The server. Everything it got is in `requests`; `answers` takes a test's own answers, by name."""

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
        self.connections = 0  # accepted so far
        self.arrived = threading.Semaphore(0)  # counts the requests that `hold` keeps waiting
        self.let_go = threading.Event()  # lets them go

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
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not SSLSocket's: it is in use in its thread
        for thread in self._threads:
            thread.join(5)
        assert not any(thread.is_alive() for thread in self._threads)

    def environ(self, behaviour: str) -> dict[str, str]:
        """Return the variables that have a service call this, over the network, and be answered so."""
        base_url = f"{self.url}/{behaviour}"
        return {"SCENEXT_SANDBOX": "", "SCENEXT_API_BASE_URL": base_url, "no_proxy": "*", "NO_PROXY": "*"}

    def open_connections(self, expected: int) -> int:
        """Return how many connections are open, once they are as many as expected or two seconds have passed."""
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
                if error.errno != errno.EMFILE:  # a test took all descriptors before this thread was here again
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
        with suppress(OSError):  # the client hung up
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
    """Answer a CONNECT; tell whether TLS follows."""
    label = exchange.request.target.split(".")[0]
    if label == "refused":
        exchange.send(answer(407))
        return False
    if label == "garbage":
        exchange.send(b"220 mail.example ESMTP\r\n")
        return False
    if label == "silent" or (label == "stalled" and exchange.hung_up(1.4)):
        return not exchange.hung_up()
    exchange.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    if label == "deaf":
        exchange.upstream.let_go.wait(2)
        return False
    if label in ("closed", "reset"):
        exchange.hung_up()  # no: this takes the greeting of TLS
        return _closing(exchange) if label == "closed" else _resetting(exchange)
    return True


def _receive(number: int, sock: socket.socket) -> Request | None:
    """Read a request; None where there is none: an end, or TLS, which is answered as web servers do."""
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
    """Yield a port that refuses connections, and that nobody else can take."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@contextmanager
def deaf_port() -> Iterator[int]:
    """Yield a port that takes connections, and never reads from one."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]
