"""The accounts of a run: every input record accounted for, how quickly, and how rightly."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import msgspec

from fraudstream.demo.watch import Seen, percentiles
from fraudstream.kafka.tail import Record, TopicTail
from fraudstream.settings import Settings

Coordinates = tuple[int, int]


class Proof(NamedTuple):
    """What became of every input record.

    Attributes:
        records: Input records on the topic.
        decisions, dead_letters: What they became.
        missing: Records that became neither.
        twice: Records that became something more than once.
        latency_ms_p50, latency_ms_p99: From produce to a read_committed consumer, live events only.
    """

    records: int
    decisions: int
    dead_letters: int
    missing: int
    twice: int
    latency_ms_p50: float
    latency_ms_p99: float

    @property
    def holds(self) -> bool:
        """Whether nothing is missing and nothing is there twice."""
        return self.missing == 0 and self.twice == 0

    def line(self) -> str:
        """The proof in one line."""
        return (
            f"{self.records:,} in = {self.decisions:,} decisions + {self.dead_letters:,} dead letters, "
            f"{self.missing:,} missing, {self.twice:,} twice"
        )


class Quality(NamedTuple):
    """How right the alerts were, against the simulator's truth."""

    frauds: int
    flagged: int
    caught: int

    @property
    def precision(self) -> float:
        """The share of flagged events that are fraud."""
        return self.caught / self.flagged if self.flagged else 0.0

    @property
    def recall(self) -> float:
        """The share of fraud that was flagged."""
        return self.caught / self.frauds if self.frauds else 0.0


class _Input(msgspec.Struct):
    partition: int
    offset: int


class _DeadLetter(msgspec.Struct):
    input: _Input


def prove(settings: Settings, topic: str, dead_letters: str, seen: list[Seen], live_from_ms: int) -> Proof:
    """Compares the input topic, read anew, with the decisions that were seen and the dead letters.

    Args:
        settings: Which cluster.
        topic: The input topic.
        dead_letters: The dead letters' topic; all of it belongs to this input.
        seen: Every decision on the scores' topic.
        live_from_ms: Records from this instant on count for the latency.
    """
    produced_at: dict[Coordinates, int] = {
        (record.partition, record.offset): record.timestamp_ms for record in _everything(settings, topic)
    }
    letters = [
        (letter.input.partition, letter.input.offset)
        for letter in (
            msgspec.json.decode(record.value or b"", type=_DeadLetter) for record in _everything(settings, dead_letters)
        )
    ]
    answered = Counter([(each.partition, each.offset) for each in seen])
    answered.update(letters)
    latencies = [
        each.seen_at_ms - produced
        for each in seen
        if (produced := produced_at.get((each.partition, each.offset), 0)) >= live_from_ms
    ]
    return Proof(
        len(produced_at),
        len(seen),
        len(letters),
        sum(1 for place in produced_at if place not in answered),
        sum(1 for count in answered.values() if count > 1),
        *percentiles(latencies),
    )


def _everything(settings: Settings, topic: str) -> list[Record]:
    tail = TopicTail(settings, [topic], from_beginning=True)
    try:
        return list(tail.to_end())
    finally:
        tail.close()


def judge(truth: Path, seen: list[Seen]) -> Quality:
    """Precision and recall over the events of a truth file."""
    flagged = {each.event_id for each in seen if each.flagged}
    decided = {each.event_id for each in seen}
    frauds = caught = flagged_here = 0
    with truth.open(encoding="utf-8") as lines:
        for line in lines:
            row = msgspec.json.decode(line, type=_Truth)
            if row.event_id not in decided:
                continue
            frauds += row.is_fraud
            flagged_here += row.event_id in flagged
            caught += row.is_fraud and row.event_id in flagged
    return Quality(frauds, flagged_here, caught)


class _Truth(msgspec.Struct):
    event_id: str
    is_fraud: bool
