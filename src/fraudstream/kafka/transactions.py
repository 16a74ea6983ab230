"""Output records and input offsets in one Kafka transaction, with every doubt reported instead of hidden.

    producer.open()
    producer.begin()
    producer.send("fraud-scores", values, keys)
    producer.commit(next_offsets, consumer.group_metadata())

How a commit can end: it returns (done) · `TransactionAborted` (certainly not done; this producer may begin again) ·
`TransactionInDoubt` (done or not done; `rebuild`, then ask the group's committed offsets which) · `FencedError`
(another process took over; stop). After Aborted and InDoubt the owner rewinds input and state to the committed offsets.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from fraudstream import failpoints
from fraudstream.errors import FencedError, TopicError
from fraudstream.kafka.client import LOGGER, build, client_config, explain
from fraudstream.kafka.clientstats import ClientStatistics
from fraudstream.kafka.doubt import STATISTICS_INTERVAL_MS, DoubtWatch
from fraudstream.kafka.headers import Headers, in_order
from fraudstream.settings import Settings

_FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
_FINAL_AT_OPEN = {
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError._AUTHENTICATION,
}
_SENDING = {
    "partitioner": "murmur2_random",  # the Java clients' partitioner
    "compression.type": "lz4",
    "acks": "all",
    "enable.idempotence": True,
    "linger.ms": 2,
    "batch.size": 1_048_576,
    "batch.num.messages": 100_000,
    "queue.buffering.max.messages": 1_000_000,
    "queue.buffering.max.kbytes": 262_144,
    "message.max.bytes": 1_114_112,  # 1 MiB of event and 64 KiB of decision around it
    "delivery.report.only.error": True,
    "retry.backoff.ms": 2,
    "retry.backoff.max.ms": 250,
    "statistics.interval.ms": STATISTICS_INTERVAL_MS,
}


class TransactionAborted(Exception):
    """The transaction is certainly not committed. Rewind to the committed offsets and begin again."""


class TransactionInDoubt(Exception):
    """Whether the transaction is committed is not known, or the producer cannot be trusted with another.

    Call `rebuild`, then rewind to the committed offsets.
    """


class TransactionExpired(TransactionInDoubt):
    """The transaction was open for longer than the broker allows and was aborted there.

    A process that was stopped (or a machine that slept) finds this when it goes on. It cannot be told from being
    fenced by a successor: before `rebuild`, make sure that the group has no other member (`admin.group_members`).
    """


class TransactionalProducer:
    """One producer with a stable transactional id; a new one with the same id fences this one.

    Args:
        settings: Which cluster, as whom.
        transactional_id: The same after every restart, other for every scorer.
        transaction_timeout_ms: The broker aborts a transaction open for longer; a crashed scorer holds up readers for
            as long, unless it is restarted sooner.
        slow_commit_ms: A commit that takes longer counts as doubtful. Must stay below `socket.timeout.ms`.

    Attributes:
        statistics: What the client tells of itself.
    """

    def __init__(
        self,
        settings: Settings,
        transactional_id: str,
        *,
        transaction_timeout_ms: int = 10_000,
        slow_commit_ms: int = 4_000,
    ) -> None:
        self._settings = settings
        self.transactional_id = transactional_id
        self._timeout_ms = transaction_timeout_ms
        self._slow_commit_s = slow_commit_ms / 1_000
        self._producer: Any = None
        self.statistics = ClientStatistics()
        self._watch = DoubtWatch(self.statistics)
        self._begun_at = 0.0
        self._ended_at = 0.0
        self.in_transaction = False
        self.rebuilds = 0

    def open(self, timeout_s: float = 30.0) -> None:
        """Builds the producer and registers its id, which aborts what a predecessor left open and fences it.

        Raises:
            BrokerUnreachable: The transaction coordinator did not answer in `timeout_s`.
            SettingError, TopicError: The cluster refused who we are, or the use of the transactional id.
        """
        self._watch = watch = DoubtWatch(self.statistics)
        config = client_config(self._settings) | _SENDING | dict(self._settings.kafka_properties)
        config |= {
            "transactional.id": self.transactional_id,
            "transaction.timeout.ms": self._timeout_ms,
            "message.timeout.ms": self._timeout_ms,
            "socket.timeout.ms": self._timeout_ms,
            "error_cb": watch.on_error,
            "stats_cb": watch.on_statistics,
            "logger": watch,
        }
        self._producer = build(Producer, self._settings, config)
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._producer.init_transactions(max(0.5, deadline - time.monotonic()))
                break
            except KafkaException as failed:
                error = failed.args[0]
                if error.code() not in _FINAL_AT_OPEN and error.retriable() and time.monotonic() < deadline:
                    continue
                self._destroy()
                raise explain(self._settings, error, f"Opening transactions as {self.transactional_id}") from None
        failpoints.hit("init")
        self._producer.poll(0)
        trouble = watch.forget()
        if trouble:
            LOGGER.warning("while opening transactions as %s: %s", self.transactional_id, trouble)
        self.in_transaction = False

    def begin(self) -> None:
        """Begins a transaction.

        Raises:
            TransactionInDoubt: Something happened since the last one that this producer should not outlive.
        """
        if self._producer is None:
            raise TransactionInDoubt("there is no producer: it was not opened, or a rebuild failed")
        self._serve()
        if time.monotonic() - self._ended_at > 2 * STATISTICS_INTERVAL_MS / 1_000:
            # Every request of the last transaction was answered, and its statistics are in: an idle connection that
            # was closed since then leaves nothing behind.
            self._watch.forget()
        if self._watch.reason:
            raise TransactionInDoubt(self._watch.reason)
        try:
            self._producer.begin_transaction()
        except KafkaException as failed:
            raise self._doubt(failed.args[0]) from None
        self._begun_at = time.monotonic()
        self.in_transaction = True
        failpoints.hit("after-begin")

    def send(
        self,
        topic: str,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None] | None = None,
        partition: int = -1,
        headers: Mapping[int, Headers] | None = None,
    ) -> None:
        """Hands a batch of records to the producer; `commit` waits until they are stored.

        Args:
            topic: Where to.
            values: One a record; None is a tombstone.
            keys: One a record, deciding the partition as Java clients do; None: partitions at random.
            partition: Sends all to this partition whatever their keys.
            headers: Of records that have some, by their place; each of them costs more than one without.

        Raises:
            TopicError: A record is larger than the cluster takes; the transaction cannot be committed any more.
            TransactionInDoubt: The producer does not take records any more.
        """
        if headers:
            of = keys or [None] * len(values)
            in_order(
                len(values), headers,
                lambda part: self.send(topic, values[part], None if keys is None else keys[part], partition),
                lambda row, own: self._send_one(topic, values[row], of[row], partition, own),
            )  # fmt: skip
            return
        if keys is None:
            records: list[dict[str, Any]] = [{"value": value} for value in values]
        else:
            records = [{"value": value, "key": key} for value, key in zip(values, keys, strict=True)]
        give_up_at = self._begun_at + self._timeout_ms / 1_000
        while records:
            try:
                queued = self._producer.produce_batch(topic, records, partition=partition)
            except BufferError:
                queued = 0
            except KafkaException as failed:
                raise self._doubt(failed.args[0]) from None
            if queued == len(records):
                return
            records = self._left_over(topic, records)
            if records and time.monotonic() > give_up_at:
                raise TransactionInDoubt(f"the producer's queue did not empty in {self._timeout_ms} ms")
            self._producer.poll(0.01)

    def commit(self, offsets: Sequence[TopicPartition], group_metadata: Any) -> float:
        """Commits the records sent and the input offsets, both or neither; returns the milliseconds it took.

        Args:
            offsets: The *next* offset of each input partition, with metadata if wanted.
            group_metadata: From `InputConsumer.group_metadata()`, read after the latest poll.

        Raises:
            TransactionAborted, TransactionInDoubt, FencedError: See the head of this module.
        """
        started = time.monotonic()
        deadline = min(started + self._timeout_ms / 1_000, self._begun_at + self._timeout_ms / 1_000)
        producer = self._producer  # a call that never returns must not find the next producer when it does
        failpoints.hit("before-offsets")
        if offsets:
            self._insist(
                producer,
                lambda left_s: producer.send_offsets_to_transaction(list(offsets), group_metadata, left_s),
                deadline,
            )
        failpoints.hit("after-offsets")
        self._insist(producer, lambda left_s: producer.commit_transaction(left_s), deadline)
        failpoints.hit("after-commit")
        self.in_transaction = False
        self._ended_at = time.monotonic()
        took_s = self._ended_at - started
        self._serve()
        if took_s > self._slow_commit_s:
            raise TransactionInDoubt(f"the commit took {took_s:.1f} s")
        if self._watch.reason:
            raise TransactionInDoubt(self._watch.reason)
        return took_s * 1_000

    def abort(self, timeout_s: float | None = None) -> None:
        """Aborts the open transaction; does nothing where none is open.

        Raises:
            TransactionInDoubt: The abort failed; only a rebuild ends the transaction.
            FencedError: Another process took over.
        """
        if not self.in_transaction:
            return
        self.in_transaction = False
        try:
            self._producer.abort_transaction(self._timeout_ms / 1_000 if timeout_s is None else timeout_s)
        except KafkaException as failed:
            raise self._doubt(failed.args[0]) from None
        self._ended_at = time.monotonic()
        self._serve()
        if self._watch.reason:
            raise TransactionInDoubt(self._watch.reason)

    def close_hanging(
        self, outputs: Sequence[TopicPartition], offsets: Sequence[TopicPartition], group_metadata: Any
    ) -> None:
        """Aborts a transaction on all these partitions, and with it what an earlier one left hanging on them.

        A partition whose marker never came takes the next marker of the same producer id for it.

        Raises:
            TransactionInDoubt, FencedError: As for `commit`.
        """
        self.begin()
        for each in outputs:
            self._producer.produce(each.topic, value=None, key=b"never committed", partition=each.partition)
        timeout_s = self._timeout_ms / 1_000
        if self._producer.flush(timeout_s):
            raise TransactionInDoubt("the records that close a hanging transaction could not be sent")
        try:
            self._producer.send_offsets_to_transaction(list(offsets), group_metadata, timeout_s)
        except KafkaException as failed:
            raise self._doubt(failed.args[0]) from None
        self.abort()

    def rebuild(self, timeout_s: float = 30.0) -> None:
        """Destroys the producer and opens a new one under the same id, with a new epoch that fences what is late.

        Raises:
            BrokerUnreachable: No answer in `timeout_s`; may be called again.
        """
        self._destroy()
        self.rebuilds += 1
        self.open(timeout_s)

    def close(self, timeout_s: float = 3.0) -> None:
        """Aborts what is open, if that succeeds within `timeout_s`, and lets the producer go."""
        if self._producer is not None:
            try:
                self.abort(timeout_s)
            except (TransactionInDoubt, FencedError) as reason:
                LOGGER.warning("aborting on close: %s", reason)
            self._destroy()

    def _send_one(self, topic: str, value: bytes | None, key: bytes | None, partition: int, headers: Headers) -> None:
        give_up_at = self._begun_at + self._timeout_ms / 1_000
        while True:
            try:
                self._producer.produce(topic, value=value, key=key, partition=partition, headers=headers)
                return
            except BufferError:
                self._producer.poll(0.01)
            except KafkaException as failed:
                if failed.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    raise self._too_large(topic, value) from None
                raise self._doubt(failed.args[0]) from None
            if time.monotonic() > give_up_at:
                raise TransactionInDoubt(f"the producer's queue did not empty in {self._timeout_ms} ms")

    def _too_large(self, topic: str, value: bytes | None) -> TopicError:
        return TopicError(
            f"A record of {len(value or b''):,} bytes for {topic} is larger than the producer's message.max.bytes.",
            f"The limit is {_SENDING['message.max.bytes']:,} bytes; cap the size of input events below it.",
        )

    def _insist(self, producer: Any, call: Any, deadline: float) -> None:
        """The same call again while Kafka says that it may succeed and time is left."""
        while True:
            error = None
            try:
                call(max(0.1, deadline - time.monotonic()))
            except KafkaException as failed:
                error = failed.args[0]
            if producer is not self._producer:
                raise TransactionInDoubt("the producer was rebuilt while its commit was on the way")
            if error is None:
                return
            if error.txn_requires_abort():
                LOGGER.warning("transaction of %s must be aborted: %s", self.transactional_id, error.str())
                self.abort()
                raise TransactionAborted(error.str())
            if not error.retriable() or time.monotonic() >= deadline:
                raise self._doubt(error)

    def _doubt(self, error: KafkaError) -> Exception:
        """The exception for an error after which this producer is not to be used again."""
        open_for_s = time.monotonic() - self._begun_at
        if error.code() in _FENCED:
            if self._begun_at and open_for_s * 1_000 >= self._timeout_ms:
                return TransactionExpired(f"the transaction was open for {open_for_s:.0f} s: {error.str()}")
            return FencedError(
                f"Another process took over the transactional id {self.transactional_id} ({error.str()}).",
                "Only one scorer may run under one id: stop the other, or start this one with another group.",
            )
        return TransactionInDoubt(f"{error.name()}: {error.str()}")

    def _left_over(self, topic: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The records not taken because the queue was full, in order; anything else than a full queue raises."""
        left = [record for record in records if "_error" in record]
        for record in left:
            error = record.pop("_error")
            code = error.code() if isinstance(error, KafkaError) else None
            if code == KafkaError.MSG_SIZE_TOO_LARGE:
                raise self._too_large(topic, record["value"])
            if code != KafkaError._QUEUE_FULL:
                raise TransactionInDoubt(f"a record for {topic} was refused: {error}")
        return left

    def _serve(self) -> None:
        """Lets the client deliver its callbacks (errors, statistics, logs)."""
        self._producer.poll(0)

    def _destroy(self) -> None:
        if self._producer is None:
            return
        self.in_transaction = False
        # Dropping the last reference destroys it at once. Its own close() would abort first, and waits for ever where
        # no broker answers.
        self._producer.purge()
        self._producer = None
