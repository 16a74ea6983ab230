"""Real servers on this machine, which take, refuse, keep silent and cut off as they are told."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller

from fraudstream.testing.behaviour import Behaviour

CERTIFICATE = Path(__file__).with_name("localhost.pem")


def server_tls() -> ssl.SSLContext:
    """What a server on this machine speaks TLS with; clients trust it by naming `CERTIFICATE`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


class Request(NamedTuple):
    """What came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What is answered."""

    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed
    body: bytes = b"ok"


class Receiver:
    """An HTTP server. It may be closed and opened again at the same port.

    Attributes:
        answer: What to answer; a function of the request.
        requests: What was taken, in order.
        heard: How many requests came, whatever became of them.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.behaviour = Behaviour.TAKES
        self.answer: Callable[[Request], Answer] = lambda _: Answer()
        self.refusal = Answer(503)
        self.requests: list[Request] = []
        self.heard = 0
        self._tls = tls
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.open()

    def open(self) -> None:
        """Takes connections."""
        if self._server is None:
            self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
            if self._tls:
                self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
            self._server.daemon_threads = True
            self._server.block_on_close = False
            self.port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Takes no more connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def behave(self, behaviour: Behaviour) -> None:
        """Does so from now on."""
        self.behaviour = behaviour
        if behaviour is Behaviour.GONE:
            self.close()
        else:
            self.open()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.heard += 1
                request = Request(self.command, self.path, headers, body)
                if receiver.behaviour is Behaviour.CUTS:
                    self.close_connection = True
                    return
                if receiver.behaviour is Behaviour.SILENT:
                    time.sleep(5)
                    self.close_connection = True
                    return
                if receiver.behaviour is Behaviour.REFUSES:
                    answer = receiver.refusal
                else:
                    answer = receiver.answer(request)
                    receiver.requests.append(request)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_POST  # noqa: N815 - the name is http.server's

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@contextmanager
def receiver(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """An HTTP server while this lasts."""
    made = Receiver(tls)
    try:
        yield made
    finally:
        made.close()


class Mailbox:
    """An SMTP server."""

    def __init__(self) -> None:
        self.behaviour = Behaviour.TAKES
        self.letters: list[bytes] = []
        self.port = free_port()
        self._controller: Controller | None = None
        self._silent: socket.socket | None = None
        self.open()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Takes a letter, or does not."""
        if self.behaviour is Behaviour.REFUSES:
            return "451 not now"
        if self.behaviour is Behaviour.CUTS:
            server.transport.abort()
            return "451 cut"
        self.letters.append(envelope.content)
        return "250 taken"

    def open(self) -> None:
        """Takes connections."""
        if self._controller is None:
            self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
            self._controller.start()

    def close(self) -> None:
        """Takes no more connections."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None
        if self._silent is not None:
            self._silent.close()
            self._silent = None

    def behave(self, behaviour: Behaviour) -> None:
        """Does so from now on."""
        self.behaviour = behaviour
        self.close()
        if behaviour is Behaviour.SILENT:
            self._silent = socket.create_server(("127.0.0.1", self.port))
        elif behaviour is not Behaviour.GONE:
            self.open()


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """An SMTP server while this lasts."""
    made = Mailbox()
    try:
        yield made
    finally:
        made.close()


class Syslog:
    """A syslog server over TCP or TLS that reads to the end of each connection, as rsyslog and syslog-ng do."""

    def __init__(self, tls: ssl.SSLContext | None = None, *, with_length: bool = False) -> None:
        self.behaviour = Behaviour.TAKES
        self.lines: list[str] = []
        self.heard = 0
        self.port = free_port()
        self._tls = tls
        self._with_length = with_length
        self._listening: socket.socket | None = None
        self.open()

    def open(self) -> None:
        """Takes connections."""
        if self._listening is None:
            self._listening = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._serve, args=(self._listening,), daemon=True).start()

    def close(self) -> None:
        """Takes no more connections."""
        if self._listening is not None:
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
            self._listening.close()
            self._listening = None

    def behave(self, behaviour: Behaviour) -> None:
        """Does so from now on."""
        self.behaviour = behaviour
        if behaviour is Behaviour.GONE:
            self.close()
        else:
            self.open()

    def _serve(self, listening: socket.socket) -> None:
        while True:
            try:
                taken, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._take, args=(taken,), daemon=True).start()

    def _take(self, taken: socket.socket) -> None:
        self.heard += 1
        try:
            if self.behaviour in (Behaviour.REFUSES, Behaviour.CUTS):
                # Closed with RST: before anything is read, or after a little was.
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if self.behaviour is Behaviour.CUTS:
                    taken.recv(10)
                taken.close()
                return
            if self.behaviour is Behaviour.SILENT:
                time.sleep(5)
                taken.close()
                return
            if self._tls:
                taken = self._tls.wrap_socket(taken, server_side=True)
            data = b""
            while more := taken.recv(65_536):
                data += more
            self.lines += self._frames(data)
            taken.close()
        except OSError:
            pass

    def _frames(self, data: bytes) -> list[str]:
        if not self._with_length:
            return data.decode().splitlines()
        frames = []
        while data:
            length, _, data = data.partition(b" ")
            frames.append(data[: int(length)].decode())
            data = data[int(length) :]
        return frames


@contextmanager
def syslog(tls: ssl.SSLContext | None = None, *, with_length: bool = False) -> Iterator[Syslog]:
    """A syslog server while this lasts."""
    made = Syslog(tls, with_length=with_length)
    try:
        yield made
    finally:
        made.close()


def free_port() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port
