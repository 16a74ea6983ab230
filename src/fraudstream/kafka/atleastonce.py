"""Delivery without transactions, for clusters or consumers that cannot have them: nothing is lost, some may come twice.

Records are stored first, then the input's offsets are committed. A scorer that dies in between makes the same decisions
again, with the same input coordinates, by which a consumer can tell them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from fraudstream import failpoints
from fraudstream.errors import BrokerUnreachable
from fraudstream.kafka.client import check_reachable, explain
from fraudstream.kafka.clientstats import ClientStatistics
from fraudstream.kafka.headers import Headers
from fraudstream.kafka.producer import BulkProducer
from fraudstream.kafka.transactions import TransactionInDoubt
from fraudstream.settings import Settings

STORED_WITHIN_S = 10.0
COMMITTED_WITHIN_S = 60.0
_PLACE_LOST = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError._FENCED,
}
_PASSING = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._WAIT_COORD,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
}


class AtLeastOnceProducer:
    """The methods that the committer calls on `AlternatingProducer`, without what makes them atomic.

    Args:
        settings: Which cluster, as whom.

    Attributes:
        commit_offsets: Commits offsets for the group's member (`InputConsumer.commit`); set before the first commit.
        statistics: What the client tells of itself.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: BulkProducer | None = None
        self.statistics = [ClientStatistics()]
        self.commit_offsets: Callable[[Sequence[TopicPartition]], None] | None = None

    def open(self, timeout_s: float = 30.0) -> None:
        """Builds the producer; raises BrokerUnreachable where nobody answers in `timeout_s`."""
        check_reachable(self._settings, timeout_s)
        self._producer = BulkProducer(self._settings, *self.statistics)

    def begin(self) -> None:
        """Nothing has to be begun; raises TransactionInDoubt where a rebuild failed."""
        if self._producer is None:
            raise TransactionInDoubt("there is no producer: a rebuild failed")

    def send(
        self,
        topic: str,
        values: Sequence[bytes],
        keys: Sequence[bytes | None] | None = None,
        *,
        headers: Mapping[int, Headers] | None = None,
    ) -> None:
        """Hands records to the client; raises TransactionInDoubt where they cannot be stored."""
        assert self._producer is not None
        try:
            self._producer.send(topic, values, keys, headers)
        except BrokerUnreachable as away:
            raise TransactionInDoubt(str(away)) from None

    def commit(self, offsets: Sequence[TopicPartition], group_metadata: Any) -> float:
        """Waits until the records are stored, then commits the offsets; returns the milliseconds it took.

        What has been stored is not sent again while only the offsets' coordinator is away: they are tried until
        `COMMITTED_WITHIN_S` is over.

        Raises:
            TransactionInDoubt: One of the two failed; the records may be there and will come again.
            BrokerUnreachable, TopicError, SettingError: The offsets may not be committed, now or ever.
        """
        assert self._producer is not None and self.commit_offsets is not None
        started = time.monotonic()
        try:
            self._producer.flush(STORED_WITHIN_S)
            failpoints.hit("before-offsets")
        except BrokerUnreachable as away:
            raise TransactionInDoubt(str(away)) from None
        deadline = time.monotonic() + COMMITTED_WITHIN_S
        while offsets:
            try:
                self.commit_offsets(offsets)
                break
            except KafkaException as failed:
                error = failed.args[0]
            if error.code() in _PLACE_LOST:
                raise TransactionInDoubt(f"the offsets were not committed: {error.str()}")
            if time.monotonic() > deadline or not (error.retriable() or error.code() in _PASSING):
                raise explain(self._settings, error, "Committing offsets")
            time.sleep(0.2)
        return (time.monotonic() - started) * 1_000

    def rebuild(self, timeout_s: float = 30.0) -> None:
        """Drops what is not stored yet, and begins with a new producer."""
        self.close()
        self.open(timeout_s)

    def close(self) -> None:
        """Lets the producer go, with what it has not sent."""
        if self._producer is not None:
            self._producer.drop()
            self._producer = None
