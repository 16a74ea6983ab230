"""A TCP proxy that understands as much of Kafka's protocol as faults need: frames, and the API key of a request.

Every request is four bytes of length, then API key, version and correlation id; a response is its length and the
correlation id of its request. Addresses of the broker in metadata and coordinator responses are replaced by the
proxy's, which are as long, so that all of a client's traffic passes here.

    proxy = Proxy("127.0.0.1:9092")
    proxy.rule = lambda api: Act.HOLD if api == END_TXN else Act.PASS
    proxy.network.latency_s = 0.05
"""

from __future__ import annotations

import contextlib
import enum
import random
import socket
import struct
import threading
import time
from collections.abc import Callable

PRODUCE, METADATA, FIND_COORDINATOR, HEARTBEAT = 0, 3, 10, 12
ADD_PARTITIONS, ADD_OFFSETS, END_TXN, TXN_OFFSET_COMMIT = 24, 25, 26, 28
NAMES = {
    PRODUCE: "Produce",
    HEARTBEAT: "Heartbeat",
    ADD_PARTITIONS: "AddPartitions",
    ADD_OFFSETS: "AddOffsets",
    END_TXN: "EndTxn",
    TXN_OFFSET_COMMIT: "TxnOffsetCommit",
}


class Act(enum.Enum):
    """What becomes of one request."""

    PASS = "passes"
    HOLD = "is kept, and its client's connection is cut; `release` sends it on, late"
    WITHHOLD = "reaches the broker; its reply is dropped, and the client's connection is cut"
    SILENCE = "reaches the broker; its reply is dropped, and the client waits"
    DROP = "does not reach the broker; the client's connection is cut"
    DELAY = "reaches the broker; its reply comes `delay_s` later"


class Network:
    """What is wrong with the way between clients and broker; nothing at first.

    Attributes:
        latency_s: Every frame takes so much longer, each way.
        loss: The share of frames of which a packet is lost: they come one or two retransmission times later, and one
            in ten of these connections is given up.
        late, cut: How many frames were late by loss, how many connections it cost.
    """

    RETRANSMISSION_S = 0.2

    def __init__(self) -> None:
        self.latency_s = 0.0
        self.loss = 0.0
        self.late = self.cut = 0
        self._whole = threading.Event()
        self._whole.set()
        self._dice = random.Random(0)

    def part(self) -> None:
        """Nothing comes through any more; connections stay open, as they do when a cable is pulled."""
        self._whole.clear()

    def heal(self) -> None:
        """All is well; what waited in a partition arrives now."""
        self.latency_s = self.loss = 0.0
        self._whole.set()

    def carry(self) -> None:
        """Takes as long as a frame takes; raises OSError where its connection is lost."""
        self._whole.wait()
        if self.loss and self._dice.random() < self.loss:
            self.late += 1
            time.sleep(self.RETRANSMISSION_S * self._dice.choice((1, 3)))
            if self._dice.random() < 0.1:
                self.cut += 1
                raise ConnectionResetError("too much was lost")
        if self.latency_s:
            time.sleep(self.latency_s)
        self._whole.wait()


class Proxy:
    """Listens on a port of its own until closed.

    Args:
        target: The broker's address; its host must be written as the broker advertises it.

    Attributes:
        address: What clients connect to.
        rule: What to do with a request, by its API key; asked once for each.
        network: What happens to all frames.
        seen: How often each act was done, by API key and act.
        held: The requests that are kept.
        delay_s: Of delayed replies.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._host, self._port = host, int(port)
        self._listener = socket.create_server((host, 0))
        self._own_port = self._listener.getsockname()[1]
        self.address = f"{host}:{self._own_port}"
        self.rule: Callable[[int], Act] = lambda _: Act.PASS
        self.network = Network()
        self.seen: dict[tuple[int, Act], int] = {}
        self.held: list[tuple[socket.socket, bytes]] = []
        self.delay_s = 1.0
        self.sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cuts everything."""
        for each in [self._listener, *self.sockets]:
            _cut(each)
        self.network.heal()

    def release(self) -> int:
        """Sends what was held on to the broker, on the connections it came for; returns how much it was."""
        with self._lock:
            held, self.held = self.held, []
        for upstream, frame in held:
            with contextlib.suppress(OSError):  # the broker may have gone since
                upstream.sendall(frame)
        return len(held)

    def saw(self, api: int, act: Act) -> int:
        """How often an act was done to a kind of request."""
        return self.seen.get((api, act), 0)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                upstream = socket.create_connection((self._host, self._port), 10)
            except OSError:
                _cut(client)
                continue
            upstream.settimeout(None)
            for each in (client, upstream):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.sockets.add(each)
            Connection(self, client, upstream).start()

    def act_on(self, api: int) -> Act:
        """Asks the rule, and counts."""
        with self._lock:
            act = self.rule(api)
            self.seen[api, act] = self.seen.get((api, act), 0) + 1
        return act

    def rewritten(self, api: int, frame: bytes) -> bytes:
        """A response with the proxy's port where the broker's was."""
        if api not in (METADATA, FIND_COORDINATOR):
            return frame
        host = self._host.encode()
        return frame.replace(host + struct.pack(">i", self._port), host + struct.pack(">i", self._own_port))


class Connection:
    """One client's connection and the one to the broker behind it."""

    def __init__(self, proxy: Proxy, client: socket.socket, upstream: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._upstream = upstream
        self._asked: dict[int, tuple[int, Act]] = {}
        self._keep_upstream = False

    def start(self) -> None:
        """Passes both ways on threads of their own."""
        for way in (self._requests, self._responses):
            threading.Thread(target=self._until_cut, args=(way,), daemon=True).start()

    def _until_cut(self, way: Callable[[], None]) -> None:
        try:
            way()
        except OSError:
            pass
        finally:
            self._let_go(self._client)
            if not self._keep_upstream:
                self._let_go(self._upstream)

    def _let_go(self, each: socket.socket) -> None:
        _cut(each)
        self._proxy.sockets.discard(each)

    def _requests(self) -> None:
        while (frame := _frame(self._client)) is not None:
            api, _, correlation = struct.unpack_from(">hhi", frame, 4)
            act = self._proxy.act_on(api)
            self._asked[correlation] = api, act
            if act is Act.DROP:
                return
            if act is Act.HOLD:
                self._keep_upstream = True
                self._proxy.held.append((self._upstream, frame))
                return
            self._proxy.network.carry()
            self._upstream.sendall(frame)

    def _responses(self) -> None:
        while (frame := _frame(self._upstream)) is not None:
            (correlation,) = struct.unpack_from(">i", frame, 4)
            api, act = self._asked.pop(correlation)
            if act is Act.WITHHOLD:
                return
            if act is Act.SILENCE:
                continue
            if act is Act.DELAY:
                time.sleep(self._proxy.delay_s)
            self._proxy.network.carry()
            self._client.sendall(self._proxy.rewritten(api, frame))


def once(api: int, act: Act, times: int = 1) -> Callable[[int], Act]:
    """A rule: the first requests of a kind are acted upon, all others pass."""
    left = [times]

    def rule(asked: int) -> Act:
        if asked == api and left[0]:
            left[0] -= 1
            return act
        return Act.PASS

    return rule


def _frame(source: socket.socket) -> bytes | None:
    """The next frame with its length before it; None at the end."""
    head = _exactly(source, 4)
    if head is None:
        return None
    body = _exactly(source, struct.unpack(">i", head)[0])
    return None if body is None else head + body


def _exactly(source: socket.socket, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        got = source.recv(min(65_536, count - len(parts)))
        if not got:
            return None
        parts += got
    return bytes(parts)


def _cut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
