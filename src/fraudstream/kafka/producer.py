"""Sends past and simulated events fast: idempotent, in order within a partition, without transactions."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from fraudstream.errors import BrokerUnreachable, TopicError
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.client import build, check_reachable, client_config, explain
from fraudstream.kafka.clientstats import ClientStatistics
from fraudstream.kafka.headers import Headers, in_order
from fraudstream.settings import Settings

_SENDING = {
    "partitioner": "murmur2_random",  # the Java clients' partitioner
    "compression.type": "lz4",
    "acks": "all",
    "enable.idempotence": True,
    "linger.ms": 5,
    "batch.size": 1_048_576,
    "batch.num.messages": 100_000,
    "queue.buffering.max.messages": 300_000,
    "queue.buffering.max.kbytes": 262_144,
    "message.max.bytes": 1_114_112,  # as of the transactional producer
    "delivery.report.only.error": True,
    "message.timeout.ms": 30_000,
}
_FULL_WAIT_S = 0.02


class BulkProducer:
    """An idempotent producer for streams of records; equal keys stay in order.

    Args:
        settings: Which cluster, as whom.
        statistics: Takes what the client tells of itself.
    """

    def __init__(self, settings: Settings, statistics: ClientStatistics | None = None) -> None:
        self._settings = settings
        self._failed: list[tuple[str, KafkaError]] = []
        config = client_config(settings) | _SENDING | dict(settings.kafka_properties)
        config |= {} if statistics is None else statistics.configuration()
        config |= {"on_delivery": self._on_delivery, "error_cb": self._on_error}
        self._producer = build(Producer, settings, config)
        self._fatal: KafkaError | None = None
        self.sent = 0

    def send(
        self,
        topic: str,
        values: Sequence[bytes],
        keys: Sequence[bytes | None] | None = None,
        headers: Mapping[int, Headers] | None = None,
    ) -> None:
        """Hands records to the client; waits while its queue is full.

        Args:
            topic: Where to.
            values: One a record.
            keys: One a record, deciding the partition as Java clients do; without one it is random.
            headers: Of records that have some, by their place; each of them costs more than one without.

        Raises:
            BrokerUnreachable, TopicError: Records sent earlier, or these, could not be delivered.
        """
        if headers:
            in_order(
                len(values), headers,
                lambda part: self.send(topic, values[part], None if keys is None else keys[part]),
                lambda row, own: self._send_one(topic, values[row], None if keys is None else keys[row], own),
            )  # fmt: skip
            return
        if keys is None:
            records: list[dict[str, Any]] = [{"value": value} for value in values]
        else:
            records = [{"value": value, "key": key} for value, key in zip(values, keys, strict=True)]
        self.sent += len(records)
        while records:
            queued = self._producer.produce_batch(topic, records)
            self._producer.poll(0)
            if queued < len(records):
                records = self._left_over(topic, records)
                self._producer.poll(_FULL_WAIT_S)
            else:
                records = []
            self._check(topic)

    def _send_one(self, topic: str, value: bytes, key: bytes | None, headers: Headers) -> None:
        self.sent += 1
        while True:
            try:
                self._producer.produce(topic, value=value, key=key, headers=headers)
                break
            except BufferError:
                self._producer.poll(_FULL_WAIT_S)
                self._check(topic)
            except KafkaException as failed:
                raise explain(self._settings, failed.args[0], f"Sending to {topic}") from None
        self._check(topic)

    def flush(self, timeout_s: float = 60.0) -> None:
        """Waits until everything sent is stored by the brokers.

        Raises:
            BrokerUnreachable, TopicError: Not everything was, within the time.
        """
        deadline = time.monotonic() + timeout_s
        while self._producer.flush(0.5) and time.monotonic() < deadline:
            self._check("the topics")
        self._check("the topics")
        if len(self._producer):
            raise BrokerUnreachable(
                f"{len(self._producer):,} records were not taken by {self._settings.bootstrap_servers} "
                f"within {timeout_s:g} s.",
                "See whether the broker is well (`fraudstream kafka status`); they may be lost.",
            )

    def drop(self) -> None:
        """Forgets what has not been stored; the producer is of no use any more."""
        self._producer.purge()

    def _left_over(self, topic: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The records that met a full queue, to be sent again; any other refusal is an error."""
        again = []
        for record in records:
            error = record.pop("_error", None)
            if error is None:
                continue
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise TopicError(
                    f"A record of {len(record['value']):,} bytes for {topic} is larger than the producer takes.",
                    "Leave it out, or raise message.max.bytes in the settings and on the topic.",
                )
            if error.code() != KafkaError._QUEUE_FULL:
                raise explain(self._settings, error, f"Sending to {topic}")
            again.append(record)
        return again

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append((message.topic() or "", error))

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error

    def _check(self, topic: str) -> None:
        if self._failed:
            topic, error = self._failed[0]
            count = len(self._failed)
            raise explain(self._settings, error, f"Sending to {topic} ({count:,} record{'s' * (count > 1)} not stored)")
        if self._fatal is not None:
            raise explain(self._settings, self._fatal, f"Sending to {topic}")


def require_topics(settings: Settings, names: Iterable[str]) -> None:
    """Makes sure that a broker answers and has these topics, before anything is sent.

    Raises:
        BrokerUnreachable, SettingError: No broker answers, or it refuses us.
        TopicError: A topic is missing.
    """
    check_reachable(settings)
    existing = KafkaAdmin(settings).topics()
    for name in names:
        if name not in existing:
            near = difflib.get_close_matches(name, existing, 1)
            guess = f" Did you mean {near[0]}?" if near else ""
            raise TopicError(
                f"There is no topic {name!r} at {settings.bootstrap_servers}.{guess}",
                f"Create it with `fraudstream topics create {name} --partitions 6`.",
            )
