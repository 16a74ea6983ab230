"""Where the input stands: next offsets, as they are committed with every batch of decisions.

The sequence, the place of the next event in processing order, rides along as the offsets' metadata, and so does what
was approved without the model or let through: they are committed with them or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fraudstream.engine.fallback import Account
from fraudstream.engine.spent import NO_PERIOD, Spent
from fraudstream.kafka.partition import TopicPartition
from fraudstream.runner.intake import Place


class Reached(msgspec.Struct, omit_defaults=True):
    """What was reached with the offsets.

    Attributes:
        sequence: The place of the next event in processing order.
        since_ms, spent_minor: The running period in which money was approved without the model, and how much.
        sample: The period and the money of the let-through sample; None where nothing was let through.
    """

    sequence: int = 0
    since_ms: int = 0
    spent_minor: int = 0
    sample: tuple[int, int] | None = None

    @classmethod
    def of(cls, sequence: int, account: Account) -> Reached:
        """What is reached with a sequence and an account."""
        sample = account.sample
        passed = None if sample.period == NO_PERIOD else (sample.period, sample.minor)
        return cls(sequence, account.since_ms, account.spent_minor, passed)

    def account(self) -> Account:
        """The account to go on with."""
        return Account(self.since_ms, self.spent_minor, None if self.sample is None else Spent(*self.sample))


def to_commit(next_offsets: Mapping[Place, int], reached: Reached) -> list[TopicPartition]:
    """What the transaction commits: next offsets, each with what was reached."""
    metadata = msgspec.json.encode(reached).decode()
    return [
        TopicPartition(topic, partition, offset, metadata=metadata)
        for (topic, partition), offset in sorted(next_offsets.items())
    ]


def committed_positions(partitions: Iterable[TopicPartition]) -> tuple[dict[Place, int], Reached]:
    """The committed next offsets, without partitions that have none, and what was reached."""
    positions: dict[Place, int] = {}
    reached = Reached()
    for partition in partitions:
        if partition.offset < 0:
            continue
        positions[partition.topic, partition.partition] = partition.offset
        try:
            found = msgspec.json.decode(partition.metadata or "{}", type=Reached)
        except msgspec.MsgspecError:
            continue  # committed by another tool; the replay counts anew
        reached = max(reached, found, key=lambda each: each.sequence)
    return positions, reached


def to_text(positions: Mapping[Place, int]) -> dict[str, int]:
    """Positions as a snapshot's header holds them."""
    return {f"{topic}/{partition}": offset for (topic, partition), offset in sorted(positions.items())}


def from_text(texts: Mapping[str, int]) -> dict[Place, int]:
    """Positions back from a snapshot's header."""
    positions: dict[Place, int] = {}
    for text, offset in texts.items():
        topic, _, partition = text.rpartition("/")
        positions[topic, int(partition)] = offset
    return positions
