"""One portion's records and offsets on their way into Kafka, while the loop goes on."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from fraudstream import failpoints
from fraudstream.engine.decisions import Decisions
from fraudstream.kafka.alternating import AlternatingProducer
from fraudstream.kafka.partition import TopicPartition
from fraudstream.runner.intake import Portion
from fraudstream.runner.outputs import Records


class Prepared(NamedTuple):
    """A portion that has been decided and written, ready for its transaction."""

    portion: Portion
    decisions: Decisions
    records: list[Records]
    offsets: list[TopicPartition]


class Committed(NamedTuple):
    """A portion whose transaction was answered, and when (epoch milliseconds)."""

    prepared: Prepared
    at_ms: int


class Committer:
    """Runs transactions one after another on a thread of its own; at most one is in flight.

    Every method raises what `AlternatingProducer.commit` raises, for the transaction in flight.
    """

    def __init__(self, producer: AlternatingProducer) -> None:
        self._producer = producer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._future: Future[int] | None = None
        self.last: Prepared | None = None
        """The portion of the last transaction that was begun, until it is settled."""

    @property
    def in_flight(self) -> bool:
        """Whether a transaction is on its way."""
        return self._future is not None and not self._future.done()

    def submit(self, prepared: Prepared, group_metadata: Any) -> None:
        """Begins a portion's transaction; the one before must be settled."""
        assert self._future is None, "the transaction before is not settled"
        self.last = prepared
        self._future = self._thread.submit(self._commit, prepared, group_metadata)

    def settle(self) -> Committed | None:
        """Waits for the transaction in flight; None where there is none."""
        if self._future is None:
            return None
        future, self._future = self._future, None
        at_ms = future.result()
        prepared, self.last = self.last, None
        assert prepared is not None
        return Committed(prepared, at_ms)

    def _commit(self, prepared: Prepared, group_metadata: Any) -> int:
        self._producer.begin()
        for records in prepared.records:
            self._producer.send(records.topic, records.values, records.keys)
            failpoints.hit("after-first-produce")
        self._producer.commit(prepared.offsets, group_metadata)
        return time.time_ns() // 1_000_000

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown()
