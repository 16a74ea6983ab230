"""Topics as readers of either isolation see them; part of the checker, and like it free of everything it checks."""

from __future__ import annotations

import hashlib
import time
from typing import Any, NamedTuple

from confluent_kafka import Consumer, IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec


class Record(NamedTuple):
    """A record, where it lies, and the timestamp it came with (epoch milliseconds)."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    at_ms: int = 0

    @property
    def fingerprint(self) -> tuple[str, int, int, str]:
        """What two readers must agree on."""
        digest = hashlib.blake2b(self.value or b"", digest_size=12).hexdigest()
        return self.topic, self.partition, self.offset, digest


def consumer_of(bootstrap: str, group: str, *, committed: bool = True) -> Consumer:
    """A reader that joins nothing and commits nothing."""
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "reconnect.backoff.max.ms": 500,
            "log_level": 0,
        }
    )


def partitions_of(consumer: Consumer, topics: list[str]) -> list[TopicPartition]:
    """Every partition of the topics, from the start."""
    return [
        TopicPartition(topic, partition, 0)
        for topic in topics
        for partition in consumer.list_topics(topic, timeout=20).topics[topic].partitions
    ]


def read_all(bootstrap: str, topic: str, *, committed: bool = True, timeout_s: float = 180) -> list[Record]:
    """Every record of a topic up to its high watermark; raises where that cannot be reached (a hanging transaction)."""
    consumer = consumer_of(bootstrap, f"checker-{time.time_ns()}", committed=committed)
    try:
        places = partitions_of(consumer, [topic])
        consumer.assign(places)
        left = {place.partition for place in places}
        records: list[Record] = []
        deadline = time.monotonic() + timeout_s
        while left:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} could not be read to its end: partitions {sorted(left)}")
            for message in consumer.consume(20_000, 0.2):
                if message.error() is None:
                    left.add(message.partition())
                    records.append(record_of(message))
                elif message.error().name() == "_PARTITION_EOF":
                    left.discard(message.partition())
        return records
    finally:
        consumer.close()


def record_of(message: Any) -> Record:
    """A client's message as a record."""
    return Record(
        message.topic(), message.partition(), message.offset(), message.key(), message.value(), message.timestamp()[1]
    )


def ends(bootstrap: str, topics: list[str], *, stable: bool) -> dict[tuple[str, int], int]:
    """The last stable offset of every partition, or its high watermark."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    level = IsolationLevel.READ_COMMITTED if stable else IsolationLevel.READ_UNCOMMITTED
    places = [
        TopicPartition(topic, partition)
        for topic in topics
        for partition in admin.list_topics(topic, timeout=20).topics[topic].partitions
    ]
    latest = {place: OffsetSpec.latest() for place in places}
    answers = admin.list_offsets(latest, isolation_level=level, request_timeout=30)
    return {(place.topic, place.partition): future.result(60).offset for place, future in answers.items()}


def committed_offsets(bootstrap: str, group: str, topic: str) -> dict[int, int]:
    """The group's committed next offset of each partition; 0 where it has none."""
    consumer = consumer_of(bootstrap, group)
    try:
        asked = [TopicPartition(place.topic, place.partition) for place in partitions_of(consumer, [topic])]
        return {place.partition: max(0, place.offset) for place in consumer.committed(asked, timeout=30)}
    finally:
        consumer.close()
