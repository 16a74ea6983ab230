"""Reads topics without being part of anything: no group, no committed offsets, committed records only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from fraudstream.errors import BrokerUnreachable, TopicError
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.client import LOGGER, build, check_reachable, client_config, explain
from fraudstream.kafka.clientstats import ClientStatistics
from fraudstream.settings import Settings

_WAIT_S = 0.2
_AT_ONCE = 500
# What the client library overcomes by itself.
_PASSING = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._TIMED_OUT}


Place = tuple[str, int]
"""A topic and a partition."""


class Record(NamedTuple):
    """A committed record.

    Attributes:
        timestamp_ms: Its Kafka timestamp, epoch milliseconds.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class TopicTail:
    """The committed records of some topics, from their beginning or from now on.

    Where "now" is, is decided here, so nothing that is committed afterwards is missed, however late it is read.

    Args:
        settings: Which cluster, as whom.
        topics: The topics.
        from_beginning: Whether to begin with the oldest record kept.
        newest: With how many records before the end to begin, by topic, about, of all its partitions together.
        since_ms: With the first record of each partition to begin whose Kafka timestamp is not before this.
        fetch_wait_ms: How long the broker may wait with an answer while there is nothing; what comes is sent at once.
        positions: The next offset to read by (topic, partition), in place of both; partitions that it does not name are
            read from their beginning. What was deleted before it was read is an error then.
        skip_missing: With `positions`: go on at the oldest record kept where one is not there.
        statistics: Takes what the client tells of itself.

    Attributes:
        complete: The topics of which it begins with the first record there ever was: nothing was left out or deleted.

    Raises:
        BrokerUnreachable, SettingError: No broker answers, or it refuses us.
        TopicError: A topic is missing, or does not hold what it is to be read from.
    """

    def __init__(
        self,
        settings: Settings,
        topics: Sequence[str],
        *,
        from_beginning: bool = False,
        newest: Mapping[str, int] | None = None,
        since_ms: int | None = None,
        fetch_wait_ms: int = 20,
        positions: Mapping[Place, int] | None = None,
        skip_missing: bool = False,
        statistics: ClientStatistics | None = None,
    ) -> None:
        check_reachable(settings)
        self._settings = settings
        self._topics = list(dict.fromkeys(topics))
        admin = KafkaAdmin(settings)
        admin.partitions_of(self._topics)
        self._ends = admin.end_offsets(self._topics)
        starts = dict(self._ends)
        if positions is not None:
            kept = admin.beginning_offsets(self._topics)
            there = _there(settings, positions, kept, self._ends, skip_missing=skip_missing)
            # Partitions may have been added between the two questions: `has_grown` tells of them.
            starts = {place: there.get(place, kept[place]) for place in self._ends}
        elif since_ms is not None:
            starts |= admin.offsets_since(self._topics, since_ms)
        elif from_beginning or newest:
            kept = admin.beginning_offsets(self._topics)
            for topic in self._topics:
                ends = {place: end for place, end in self._ends.items() if place[0] == topic}
                count = 2**62 if from_beginning else (newest or {}).get(topic, 0)
                starts |= backwards(kept, ends, count)
        self.complete = {topic for topic in self._topics if not any(starts[p] for p in starts if p[0] == topic)}
        how: dict[str, Any] = {
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest" if positions is None else "error",
            "fetch.wait.max.ms": fetch_wait_ms,
            "fetch.queue.backoff.ms": 5,
            "error_cb": lambda error: LOGGER.warning("reader: %s", error.str()),
        }
        how |= {} if statistics is None else statistics.configuration()
        self._consumer = _reader(settings, how)
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        self._read_to: dict[Place, int] = {}  # where the log ended, behind the last transaction's marker
        self._open = {place for place, end in self._ends.items() if end > starts[place]}

    def poll(self, at_most: int = 10_000, wait_s: float = 0.1) -> list[Record]:
        """Up to so many records: waits at most `wait_s` for the first, and not at all for the rest.

        Raises:
            BrokerUnreachable, TopicError: The topics cannot be read any more.
        """
        first = self._consumer.poll(wait_s)
        messages = [] if first is None else [first, *self._consumer.consume(at_most - 1, 0)]
        return [
            Record(
                message.topic(),
                message.partition(),
                message.offset(),
                message.timestamp()[1],
                message.key(),
                message.value(),
            )
            for message in messages
            if self._is_record(message)
        ]

    def __iter__(self) -> Iterator[Record | None]:
        """The records as they come, in offset order within a partition; None whenever nothing came for 0.2 s."""
        while True:
            found = self.poll(_AT_ONCE, _WAIT_S)
            if not found:
                yield None
            yield from found

    def to_end(self, timeout_s: float = 60.0) -> Iterator[Record]:
        """The records there were when this was made; ends when they have been read.

        Raises:
            BrokerUnreachable: Nothing came for `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        if not self._open:
            return
        for record in self:
            if record is not None:
                if record.offset < self._ends[record.topic, record.partition]:
                    yield record
                deadline = time.monotonic() + timeout_s  # from now, however long the record's reader took
            elif self.caught_up:
                return
            elif time.monotonic() > deadline:
                timed_out = KafkaError(KafkaError._TIMED_OUT)
                raise explain(self._settings, timed_out, f"Reading {', '.join(self._topics)} to the end")

    def lag(self) -> dict[Place, int]:
        """Records not yet read, by partition, from what the last fetches told; without those that nothing is known of.

        While catching up the figure includes transaction markers and aborted records.
        """
        lags: dict[Place, int] = {}
        for place in self._consumer.position(self._consumer.assignment()):
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            if high >= 0 and place.offset >= 0:
                key = (place.topic, place.partition)
                lags[key] = max(0, high - max(place.offset, self._read_to.get(key, 0)))
        return lags

    @property
    def caught_up(self) -> bool:
        """Whether all that there was when this was made has been read."""
        return not self._open

    def has_grown(self) -> bool:
        """Whether a topic has partitions that are not read, because they were added, and that can be read already."""
        try:
            return len(KafkaAdmin(self._settings).end_offsets(self._topics)) > len(self._ends)
        except (BrokerUnreachable, TopicError):  # for a moment a new partition has no leader
            return False

    def close(self) -> None:
        """Lets the connection go."""
        self._consumer.close()

    def _is_record(self, message: Any) -> bool:
        error = message.error()
        if error is None:
            if message.offset() + 1 >= self._ends[message.topic(), message.partition()]:
                self._open.discard((message.topic(), message.partition()))
            return True
        if error.code() == KafkaError._PARTITION_EOF:
            self._read_to[message.topic(), message.partition()] = message.offset()
            if message.offset() >= self._ends[message.topic(), message.partition()]:
                self._open.discard((message.topic(), message.partition()))
        elif error.fatal() or not (error.retriable() or error.code() in _PASSING):
            raise explain(self._settings, error, f"Reading {message.topic() or ', '.join(self._topics)}")
        return False


def _reader(settings: Settings, how: Mapping[str, Any]) -> Any:
    """A client that reads committed records, says where partitions end, and is part of no group."""
    config = client_config(settings) | {
        "group.id": "fraudstream-tail",  # the client wants one; it is never joined
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    }
    return build(Consumer, settings, config | dict(how) | dict(settings.kafka_properties))


def backwards(kept: Mapping[Place, int], ends: Mapping[Place, int], count: int) -> dict[Place, int]:
    """The offsets from which on there are about so many records, shared out evenly to partitions that have them.

    Args:
        kept: The first offset kept of each partition.
        ends: The offset after the last of each.
        count: How many records.
    """
    starts = dict(ends)
    least_first = sorted(ends, key=lambda place: ends[place] - kept[place])
    for done, place in enumerate(least_first):
        share = -(-count // (len(least_first) - done))
        starts[place] = max(kept[place], ends[place] - share)
        count -= ends[place] - starts[place]
    return starts


def _there(
    settings: Settings,
    positions: Mapping[Place, int],
    kept: Mapping[Place, int],
    ends: Mapping[Place, int],
    *,
    skip_missing: bool,
) -> dict[Place, int]:
    """The positions that are there, of the partitions that are there."""
    there = {place: offset for place, offset in positions.items() if place in ends}
    for place, offset in there.items():
        if kept[place] <= offset <= ends[place]:
            continue
        if not skip_missing:
            topic, partition = place
            raise TopicError(
                f"Partition {partition} of {topic} at {settings.bootstrap_servers} holds the offsets {kept[place]} to "
                f"{ends[place]}, but it has been read up to {offset}.",
                "Records were deleted before they were read, or the topic was made anew. To go on with the oldest "
                "record there is, give --skip-missing once.",
            )
        there[place] = kept[place]
    return there


def all_records(settings: Settings, topic: str) -> Iterator[Record]:
    """The committed records that a topic holds now, those of each partition in their order.

    Raises:
        BrokerUnreachable, TopicError: The topic cannot be read.
    """
    tail = TopicTail(settings, [topic], from_beginning=True)
    try:
        yield from tail.to_end()
    finally:
        tail.close()


def last_records(
    settings: Settings, topics: Sequence[str], wanted: Callable[[bytes | None], bool], timeout_s: float = 60.0
) -> list[Record]:
    """The newest committed record of every partition whose value is wanted, as `read_committed` readers see it now.

    Partitions without one are left out; they are read to their beginning.

    Raises:
        BrokerUnreachable, TopicError: They could not be read within `timeout_s`.
    """
    deadline, admin = time.monotonic() + timeout_s, KafkaAdmin(settings)
    begins, start = admin.beginning_offsets(topics), admin.end_offsets(topics)
    found: dict[Place, Any] = {}
    consumer, reach = _reader(settings, {}), 64
    try:
        while left := [place for place, offset in start.items() if place not in found and offset > begins[place]]:
            # Records of others and markers take offsets, too; all that is left is read at once.
            start |= {place: max(begins[place], start[place] - reach) for place in left}
            consumer.assign([TopicPartition(*place, start[place]) for place in left])
            found |= _last_of(consumer, set(left), wanted, deadline)
            reach *= 16
    except KafkaException as failed:
        raise explain(settings, failed.args[0], f"Reading the end of {', '.join(topics)}") from None
    finally:
        consumer.close()
    return [
        Record(*place, last.offset(), last.timestamp()[1], last.key(), last.value())
        for place, last in sorted(found.items())
    ]


def _last_of(
    consumer: Any, left: set[Place], wanted: Callable[[bytes | None], bool], deadline: float
) -> dict[Place, Any]:
    """The last wanted message of each partition assigned, from where it was assigned to its end."""
    last: dict[Place, Any] = {}
    while left:
        if time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        for message in consumer.consume(1_000, 0.1):
            error, place = message.error(), (message.topic(), message.partition())
            if error is None:
                if wanted(message.value()):
                    last[place] = message
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(place)
            elif error.fatal() or not (error.retriable() or error.code() in _PASSING):
                raise KafkaException(error)
    return last
