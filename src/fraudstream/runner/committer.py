"""One portion's records and offsets on their way into Kafka, while the loop goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent import futures
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol

from fraudstream import failpoints
from fraudstream.engine.decisions import Decisions
from fraudstream.kafka.clientstats import ClientStatistics
from fraudstream.kafka.headers import Headers
from fraudstream.kafka.partition import TopicPartition
from fraudstream.kafka.transactions import TransactionInDoubt
from fraudstream.runner.intake import Portion
from fraudstream.runner.outputs import Records

LOST_S = 15.0
"""A commit not answered by then never will be: its own limit is 10 s, which librdkafka may miss for ever (its issue
5456: the offsets' coordinator went away)."""


class OutputProducer(Protocol):
    """How a portion reaches Kafka: exactly once (`AlternatingProducer`) or at least once (`AtLeastOnceProducer`)."""

    @property
    def statistics(self) -> list[ClientStatistics]: ...  # noqa: D102 - the classes say it
    def open(self) -> None: ...  # noqa: D102
    def begin(self) -> None: ...  # noqa: D102
    def send(  # noqa: D102
        self,
        topic: str,
        values: Sequence[bytes],
        keys: Sequence[bytes | None] | None = None,
        *,
        headers: Mapping[int, Headers] | None = None,
    ) -> None: ...
    def commit(self, offsets: Sequence[TopicPartition], group_metadata: Any) -> float: ...  # noqa: D102
    def rebuild(self) -> None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class Prepared(NamedTuple):
    """A portion that has been decided and written, ready for its transaction."""

    portion: Portion
    decisions: Decisions
    records: list[Records]
    offsets: list[TopicPartition]


class Committed(NamedTuple):
    """A portion whose transaction was answered, when (epoch milliseconds), and how long it took.

    None where the answer got lost, and only the committed offsets told.
    """

    prepared: Prepared
    at_ms: int
    took_s: float | None = None


_Answer = Future[tuple[int, float]]
_Work = SimpleQueue[tuple[_Answer, Prepared, Any] | None]


class Committer:
    """Runs transactions one after another on a thread of its own; at most one is in flight.

    Every method raises what `OutputProducer.commit` raises, for the transaction in flight.
    """

    def __init__(self, producer: OutputProducer) -> None:
        self._producer = producer
        self._work = self._start()
        self._future: _Answer | None = None
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
        self._future = Future()
        self._work.put((self._future, prepared, group_metadata))

    def wait(self, timeout_s: float) -> None:
        """Waits for the transaction in flight, at most so long; how it ended is for `settle` to say."""
        if self._future is not None:
            futures.wait([self._future], timeout_s)

    def settle(self, within_s: float = LOST_S) -> Committed | None:
        """Waits for the transaction in flight; None where there is none."""
        if self._future is None:
            return None
        future, self._future = self._future, None
        try:
            at_ms, took_s = future.result(within_s)
        except TimeoutError:
            if future.done():
                raise
            # The thread is left behind inside the client library; what it might still do there, the next producer's
            # epoch fences.
            self.close()
            self._work = self._start()
            raise TransactionInDoubt(f"the commit was not answered in {within_s:g} s") from None
        prepared, self.last = self.last, None
        assert prepared is not None
        return Committed(prepared, at_ms, took_s)

    def _commit(self, prepared: Prepared, group_metadata: Any) -> tuple[int, float]:
        started_s = time.perf_counter()
        self._producer.begin()
        for records in prepared.records:
            self._producer.send(records.topic, records.values, records.keys, headers=records.headers)
            failpoints.hit("after-first-produce")
        self._producer.commit(prepared.offsets, group_metadata)
        return time.time_ns() // 1_000_000, time.perf_counter() - started_s

    def close(self) -> None:
        """Ends the thread once it has nothing to do."""
        self._work.put(None)

    def _start(self) -> _Work:
        """A new thread, one that does not keep the process alive, and the queue it serves."""
        work: _Work = SimpleQueue()
        threading.Thread(target=self._serve, args=(work,), name="commit", daemon=True).start()
        return work

    def _serve(self, work: _Work) -> None:
        while (item := work.get()) is not None:
            future, prepared, group_metadata = item
            try:
                future.set_result(self._commit(prepared, group_metadata))
            except BaseException as error:  # it is the loop's, which gets it from `settle`
                future.set_exception(error)
