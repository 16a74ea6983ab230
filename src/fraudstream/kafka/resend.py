"""Sends records again, each with a note of where it went, in one transaction; and fetches records by their place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from fraudstream.errors import BrokerUnreachable, FencedError, FraudstreamError
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.client import build, client_config, explain
from fraudstream.settings import Settings

Spot = tuple[str, int, int]
"""A topic, a partition and an offset."""

_TIMEOUT_S = 30.0
_FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
_SENDING = {
    "partitioner": "murmur2_random",  # the Java clients' partitioner
    "acks": "all",
    "enable.idempotence": True,
    "compression.type": "lz4",
    "message.max.bytes": 1_114_112,
    "transaction.timeout.ms": 60_000,
}


class Again(NamedTuple):
    """A record as it is sent again.

    Attributes:
        topic, partition: Where to.
        timestamp_ms: The Kafka timestamp it had; negative where it had none.
        key, value: Its bytes.
        headers: What is said of it.
    """

    topic: str
    partition: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class Resender:
    """Sends records again. One at a time: a second one with the same id stops the first, between two transactions.

    Args:
        settings: Which cluster, as whom.
        transactional_id: The same for everyone who might send the same records.

    Raises:
        BrokerUnreachable, SettingError, TopicError: The cluster does not answer, or refuses us.
    """

    def __init__(self, settings: Settings, transactional_id: str) -> None:
        self._settings = settings
        self._id = transactional_id
        config = client_config(settings) | _SENDING | dict(settings.kafka_properties)
        self._producer: Any = build(Producer, settings, config | {"transactional.id": transactional_id})
        try:
            self._producer.init_transactions(_TIMEOUT_S)
        except KafkaException as failed:
            raise explain(settings, failed.args[0], f"Opening transactions as {transactional_id}") from None

    def send(
        self, records: Sequence[Again], notes_topic: str, notes: Callable[[Sequence[Spot]], Sequence[bytes]]
    ) -> list[Spot]:
        """Sends records and a note on each in one transaction; returns where the records stand.

        Args:
            records: The records.
            notes_topic: Where the notes go.
            notes: The notes, made from the places of the records.

        Raises:
            FencedError: Another process sends now.
            BrokerUnreachable, TopicError, SettingError: It was not done, or that is not known; the notes tell.
        """
        places: dict[int, Spot] = {}
        failed: list[KafkaError] = []
        try:
            self._producer.begin_transaction()
            for number, each in enumerate(records):
                self._produce(each, self._noting(number, places, failed))
            self._flush(failed)
            found = [places[number] for number in range(len(records))]
            for note in notes(found):
                self._producer.produce(notes_topic, note, on_delivery=self._noting(-1, {}, failed))
            self._flush(failed)
            self._producer.commit_transaction(_TIMEOUT_S)
        except KafkaException as refused:
            raise self._explained(refused.args[0]) from None
        return found

    def _produce(self, each: Again, told: Callable[..., None]) -> None:
        named = {} if each.timestamp_ms < 0 else {"timestamp": each.timestamp_ms}
        while True:
            try:
                self._producer.produce(
                    each.topic, each.value, each.key, each.partition, headers=each.headers, on_delivery=told, **named
                )
                return
            except BufferError:
                self._producer.poll(0.1)

    def _flush(self, failed: list[KafkaError]) -> None:
        if self._producer.flush(_TIMEOUT_S):
            raise BrokerUnreachable(f"{self._settings.bootstrap_servers} did not take the records.", "Try again.")
        if failed:
            raise self._explained(failed[0])

    def _noting(self, number: int, places: dict[int, Spot], failed: list[KafkaError]) -> Callable[..., None]:
        def told(error: KafkaError | None, message: Any) -> None:
            if error is not None:
                failed.append(error)
            else:
                places[number] = (message.topic(), message.partition(), message.offset())

        return told

    def _explained(self, error: KafkaError) -> FraudstreamError:
        if error.code() in _FENCED:
            return FencedError(f"Another process sends as {self._id} now.", "Let it finish.")
        return explain(self._settings, error, f"Sending as {self._id}")

    def close(self) -> None:
        """Aborts what is open; the broker would, too, after a minute."""
        with suppress(KafkaException):  # none is open, or the next one with this id aborts it
            self._producer.abort_transaction(3.0)


def records_at(settings: Settings, places: Iterable[Spot]) -> dict[Spot, tuple[bytes | None, bytes | None]]:
    """Key and value of the records at some places, as far as their topics still hold them.

    Raises:
        BrokerUnreachable, TopicError: The topics cannot be read.
    """
    wanted = set(places)
    kept = KafkaAdmin(settings).beginning_offsets({topic for topic, _, _ in wanted}) if wanted else {}
    ends = KafkaAdmin(settings).end_offsets({topic for topic, _, _ in wanted}) if wanted else {}
    found: dict[Spot, tuple[bytes | None, bytes | None]] = {}
    config = client_config(settings) | {"group.id": "fraudstream-tail", "enable.auto.commit": False}
    consumer: Any = build(
        Consumer, settings, config | {"auto.offset.reset": "latest"} | dict(settings.kafka_properties)
    )
    try:
        for topic, partition, offset in sorted(wanted):
            if not kept.get((topic, partition), 0) <= offset < ends.get((topic, partition), 0):
                continue
            consumer.assign([TopicPartition(topic, partition, offset)])
            message = _first(consumer)
            if message is not None and message.offset() == offset:
                found[topic, partition, offset] = (message.key(), message.value())
    finally:
        consumer.close()
    return found


def _first(consumer: Any) -> Any:
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            return message
    return None
