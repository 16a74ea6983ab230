"""Where the input stands: next offsets, as they are committed with every batch of decisions.

The sequence, the place of the next event in processing order, rides along as the offsets' metadata: it is committed
with them or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fraudstream.kafka.partition import TopicPartition
from fraudstream.runner.intake import Place


class _Metadata(msgspec.Struct):
    sequence: int = 0


def to_commit(next_offsets: Mapping[Place, int], sequence: int) -> list[TopicPartition]:
    """What the transaction commits: next offsets, each with the sequence reached."""
    metadata = msgspec.json.encode(_Metadata(sequence)).decode()
    return [
        TopicPartition(topic, partition, offset, metadata=metadata)
        for (topic, partition), offset in sorted(next_offsets.items())
    ]


def committed_positions(partitions: Iterable[TopicPartition]) -> tuple[dict[Place, int], int]:
    """The committed next offsets, without partitions that have none, and the sequence reached."""
    positions: dict[Place, int] = {}
    sequence = 0
    for partition in partitions:
        if partition.offset < 0:
            continue
        positions[partition.topic, partition.partition] = partition.offset
        try:
            found = msgspec.json.decode(partition.metadata or "{}", type=_Metadata).sequence
        except msgspec.MsgspecError:
            found = 0  # committed by another tool; the replay counts anew
        sequence = max(sequence, found)
    return positions, sequence


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
