"""What the client library tells of itself every few seconds: its connections, its queues, and how partitions stand."""

from __future__ import annotations

import time
from typing import NamedTuple

import msgspec

INTERVAL_MS = 2_000
_Place = tuple[str, int]


class _Times(msgspec.Struct):
    p99: int = 0  # microseconds
    cnt: int = 0


class _Broker(msgspec.Struct):
    nodeid: int = -1
    state: str = ""
    rtt: _Times = msgspec.field(default_factory=_Times)


class _Partition(msgspec.Struct):
    hi_offset: int = -1
    ls_offset: int = -1


class _Topic(msgspec.Struct):
    partitions: dict[str, _Partition] = {}


class _Document(msgspec.Struct):
    """See STATISTICS.md of librdkafka."""

    brokers: dict[str, _Broker] = {}
    topics: dict[str, _Topic] = {}
    rx_bytes: int = 0
    tx_bytes: int = 0
    msg_cnt: int = 0
    replyq: int = 0


class Unstable(NamedTuple):
    """What of a partition no reader of committed records may see yet: an open transaction, or one that hangs.

    Attributes:
        records: Offsets from the last stable one to the end.
        since_s: Since when the last stable offset has not moved, by the monotonic clock.
    """

    records: int
    since_s: float


class ClientStatistics:
    """The newest statistics of one client, or of one after another in its place.

    The client calls `take` on the thread that polls; any thread may read.

    Attributes:
        rtt_s: The 99th percentile of the round trips to each broker, by its id, over the last seconds.
        received_bytes, sent_bytes: Over the network.
        waiting: Records, errors and events that wait to be polled, or records that wait to be sent.
        unstable: By partition, where something is.
        connected: Whether there is a connection to any broker.
    """

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(_Document).decode
        self.rtt_s: dict[str, float] = {}
        self.received_bytes = 0
        self.sent_bytes = 0
        self.waiting = 0
        self.unstable: dict[_Place, Unstable] = {}
        self.connected = True  # whoever was made has reached one
        self._stable: dict[_Place, tuple[int, float]] = {}
        self._before = _Document()

    def configuration(self) -> dict[str, object]:
        """What a client has to be given."""
        return {"statistics.interval.ms": INTERVAL_MS, "stats_cb": self.take}

    def unready(self) -> str | None:
        """Why nothing can be read now; None where it can."""
        return None if self.connected else "no Kafka broker can be reached"

    def take(self, document: str | bytes) -> None:
        """Takes note of a document."""
        seen, before = self._decode(document), self._before
        self._before = seen
        # A client that was built anew counts from nothing.
        self.received_bytes += seen.rx_bytes - (before.rx_bytes if seen.rx_bytes >= before.rx_bytes else 0)
        self.sent_bytes += seen.tx_bytes - (before.tx_bytes if seen.tx_bytes >= before.tx_bytes else 0)
        self.connected = any(broker.state == "UP" for broker in seen.brokers.values())
        self.waiting = seen.msg_cnt + seen.replyq
        self.rtt_s = {
            str(broker.nodeid): broker.rtt.p99 / 1e6
            for broker in seen.brokers.values()
            if broker.nodeid >= 0 and broker.rtt.cnt
        } or self.rtt_s
        self._note_stable(seen)

    def _note_stable(self, seen: _Document) -> None:
        now_s = time.monotonic()
        unstable: dict[_Place, Unstable] = {}
        stable: dict[_Place, tuple[int, float]] = {}
        for name, topic in seen.topics.items():
            for number, partition in topic.partitions.items():
                if partition.ls_offset < 0 or number == "-1":
                    continue
                place = name, int(number)
                at, since_s = self._stable.get(place, (-1, now_s))
                stable[place] = (at, since_s) if at == partition.ls_offset else (partition.ls_offset, now_s)
                if partition.hi_offset > partition.ls_offset:
                    unstable[place] = Unstable(partition.hi_offset - partition.ls_offset, stable[place][1])
        self._stable, self.unstable = stable, unstable
