"""The loop that every sink runs: read committed records, hand them over, go on from where the target says it stands.

The target keeps the offsets together with what was written, so it alone knows how far it has come: after any doubt,
where it went away or did not answer a commit, the loop asks it and reads on from there.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from fraudstream.errors import FraudstreamError
from fraudstream.kafka.clientstats import ClientStatistics
from fraudstream.kafka.series import kafka_series, lag_series
from fraudstream.kafka.tail import Record, TopicTail
from fraudstream.settings import Settings
from fraudstream.telemetry.histogram import SECONDS, Histogram
from fraudstream.telemetry.series import Series, counter, gauge, histogram

LOGGER = logging.getLogger("fraudstream.sinks")

Place = tuple[str, int]

_POLL_S = 0.1
_LOOK_S = 60.0
"""So often it is looked whether a topic has more partitions."""
_LAG_S = 1.0
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0


class Target(Protocol):
    """Where a sink writes to.

    Attributes:
        unavailable: The errors that mean that it went away and may come back.
    """

    unavailable: tuple[type[FraudstreamError], ...]

    def positions(self) -> Mapping[Place, int]:
        """The next offset to read, by (topic, partition), as it was written with the last rows."""

    def write(self, records: Sequence[Record]) -> None:
        """Writes what the records say, and the offsets after them, together or not at all."""

    def series(self) -> Iterable[Series]:
        """What became of the records, as metrics."""


class Pace(NamedTuple):
    """How much is written at once.

    Attributes:
        records: At most so many.
        wait_s: So long a record waits for others at most.
    """

    records: int
    wait_s: float


@dataclass(slots=True)
class Progress:
    """What a sink has done since it was started.

    Attributes:
        records: Records written.
        writes: In how many transactions.
        interruptions: How often the target went away.
        by_topic: Records written, by topic.
        durations: How long each transaction took, seconds.
        written_at_s: When the last one was written, epoch seconds; None: none was.
        seconds: Since the start.
    """

    records: int = 0
    writes: int = 0
    interruptions: int = 0
    by_topic: Counter[str] = field(default_factory=Counter)
    durations: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    written_at_s: float | None = None
    started_at_s: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started_at_s


class SinkLoop:
    """Reads topics into a target, until stopped or caught up.

    Args:
        settings: Which Kafka, as whom.
        topics: The topics.
        target: Where to.
        pace: How much at once.
        skip_missing: Go on with the oldest record kept where records were deleted before they were read.

    Attributes:
        progress: What it has done.
        moved_at_s, stuck_after_s: As of `Watched` in `telemetry/exporter.py`.
    """

    stuck_after_s = 600.0  # one write may take long, and so may compacting what is there

    def __init__(
        self,
        settings: Settings,
        topics: Sequence[str],
        target: Target,
        pace: Pace,
        *,
        skip_missing: bool = False,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._target = target
        self._pace = pace
        self._skip_missing = skip_missing
        self._stopping = False
        self._was_away = False
        self._waits_for: str | None = "the target has not said yet where it stands"
        self._clients = {"consumer": [ClientStatistics()]}
        self._lags: Mapping[Place, int] = {}
        self.progress = Progress()
        self.progress.by_topic.update(dict.fromkeys(topics, 0))
        self.moved_at_s = time.monotonic()

    def stop(self) -> None:
        """Makes `run` end soon; may be called from a signal handler. What has been read is still written."""
        self._stopping = True

    def run(self, *, until_caught_up: bool = False) -> Progress:
        """Runs until stopped, or until everything there was at the start has been written.

        Raises:
            BrokerUnreachable, TopicError: The topics cannot be read.
            FencedError: Another process writes to the same target.
        """
        pause_s = _SHORTEST_PAUSE_S
        while not self._stopping:
            written = self.progress.writes
            try:
                tail = TopicTail(
                    self._settings,
                    self._topics,
                    positions=self._target.positions(),
                    skip_missing=self._skip_missing,
                    statistics=self._clients["consumer"][0],
                )
                self._waits_for = None
                try:
                    if not self._follow(tail, until_caught_up):
                        break
                finally:
                    tail.close()
            except self._target.unavailable as away:
                self.progress.interruptions += 1
                self._was_away, self._waits_for = True, away.found
                pause_s = _SHORTEST_PAUSE_S if self.progress.writes > written else min(2 * pause_s, _LONGEST_PAUSE_S)
                LOGGER.warning(
                    "%s Trying again in %.1f s.",
                    away,
                    pause_s,
                    extra={"kind": "retry", "attempts": self.progress.interruptions, "records": self.progress.records},
                )
                self._sleep(pause_s)
        return self.progress

    def _follow(self, tail: TopicTail, until_caught_up: bool) -> bool:
        """Reads and writes; returns whether to go on with a new reader, because partitions were added."""
        pending: list[Record] = []
        since_s, looked_s = 0.0, time.monotonic()
        lag_at_s = 0.0
        while True:
            self.moved_at_s = time.monotonic()
            found = tail.poll(self._pace.records - len(pending), _POLL_S)
            now_s = time.monotonic()
            since_s = since_s if pending else now_s
            pending += found
            ended = self._stopping or (until_caught_up and tail.caught_up and not found)
            grown = False
            if now_s - looked_s >= _LOOK_S:
                looked_s, grown = now_s, tail.has_grown()
            enough = len(pending) >= self._pace.records or now_s - since_s >= self._pace.wait_s
            if pending and (ended or grown or enough):
                self._write(pending)
                pending = []
            if now_s - lag_at_s >= _LAG_S:
                lag_at_s, self._lags = now_s, _with(tail.lag(), pending)
            if ended or grown:
                return not ended

    def _write(self, records: Sequence[Record]) -> None:
        progress, started_s = self.progress, time.monotonic()
        self._target.write(records)
        progress.durations.add_one(time.monotonic() - started_s)
        progress.records += len(records)
        progress.by_topic.update(record.topic for record in records)
        progress.writes += 1
        progress.written_at_s = time.time()
        if self._was_away:
            self._was_away = False
            LOGGER.warning(
                "It is back: %d records written, going on.",
                len(records),
                extra={"kind": "back", "records": progress.records},
            )

    def unready(self) -> str | None:
        """Why nothing is written now; None where it is, or would be if there were anything. For any thread."""
        return self._waits_for or self._clients["consumer"][0].unready()

    def series(self) -> Iterable[Series]:
        """The sink's metrics, for any thread."""
        progress = self.progress
        yield counter("sink_records_total", "Records written.", progress.by_topic, "topic")
        yield counter("sink_writes_total", "Transactions that wrote them.", progress.writes)
        yield histogram("sink_write_duration_seconds", "How long these took.", progress.durations)
        yield gauge("sink_last_write_timestamp_seconds", "When the last one ended.", progress.written_at_s)
        yield counter("sink_interruptions_total", "How often the target went away.", progress.interruptions)
        yield from self._target.series()
        yield lag_series(self._lags)
        yield from kafka_series(self._clients)

    def _sleep(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until_s:
            self.moved_at_s = time.monotonic()
            time.sleep(0.05)


def next_offsets(records: Sequence[Record]) -> dict[Place, int]:
    """Where each partition stands after these records, which are in offset order."""
    return {(record.topic, record.partition): record.offset + 1 for record in records}


def _with(lags: Mapping[Place, int], pending: Sequence[Record]) -> dict[Place, int]:
    """The lags with the records that are read but not written yet."""
    waiting = Counter((record.topic, record.partition) for record in pending)
    return {place: lag + waiting[place] for place, lag in lags.items()}
