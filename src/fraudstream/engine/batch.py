"""A batch: the events the engine works on at once, in processing order, with where they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudstream.engine.column import Bools, Column, Int64s, UInt64s
from fraudstream.engine.decode import Decoded
from fraudstream.engine.kernels.gather import copy_spans, rebase
from fraudstream.engine.kernels.memory import PADDING

Bytes = npt.NDArray[np.uint8]
Int32s = npt.NDArray[np.int32]


@dataclass(slots=True)
class Batch:
    """n events of one topic.

    Attributes:
        buffer: uint8: the events' bytes, and texts that had escapes.
        start: int64[n]: where each event's bytes start in it.
        length: int64[n]: how many they are.
        columns: A column for every `ColumnSpec` of the event, by name.
        event_at_ms: int64[n]: event time.
        timestamp_ms: int64[n]: the records' Kafka timestamps.
        partition: int32[n].
        offset: int64[n].
        topic: The topic they came from.
    """

    buffer: Bytes
    start: Int64s
    length: Int64s
    columns: dict[str, Column]
    event_at_ms: Int64s
    timestamp_ms: Int64s
    partition: Int32s
    offset: Int64s
    topic: str

    @classmethod
    def of(cls, decoded: Decoded, topic: str, partition: Int32s, offset: Int64s) -> Batch:
        """All rows of a decoded chunk, the rejected ones too, with their coordinates; nothing is copied."""
        return cls(
            decoded.buffer,
            decoded.start,
            decoded.length,
            decoded.columns,
            decoded.event_at_ms,
            decoded.timestamp_ms,
            partition,
            offset,
            topic,
        )

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: Int64s) -> Batch:
        """The given rows, in that order, over the same buffer."""
        return Batch(
            self.buffer,
            self.start[rows],
            self.length[rows],
            {name: column.take(rows) for name, column in self.columns.items()},
            self.event_at_ms[rows],
            self.timestamp_ms[rows],
            self.partition[rows],
            self.offset[rows],
            self.topic,
        )


def gather(parts: Sequence[tuple[Batch, Int64s]], order: Int64s | None = None) -> Batch:
    """One batch of chosen rows of several.

    Rows of a single batch keep its buffer; those of several get a new one that holds nothing else.

    Args:
        parts: Batches of one event and topic, and of each the rows that are wanted; at least one.
        order: int64[n]: the rows of the result in their order, as indexes into all chosen rows, one part after another;
            that order itself unless said.
    """
    if len(parts) == 1:
        batch, rows = parts[0]
        return batch.take(rows if order is None else rows[order])
    chosen = [batch.take(rows) for batch, rows in parts]
    length = np.concatenate([part.length for part in chosen])
    start = np.cumsum(length) - length
    at = int(length.sum())
    names = [name for name, column in chosen[0].columns.items() if column.start is not None]
    texts: dict[str, list[Int64s]] = {name: [] for name in names}
    aside: list[tuple[Bytes, Int64s, Int64s, int]] = []
    row = 0
    for part in chosen:
        new = start[row : row + len(part)]
        row += len(part)
        for name, moved in texts.items():
            text = part.columns[name]
            assert text.start is not None and text.length is not None
            places, after = rebase(text.start, text.length, part.start, part.length, new, at)
            if after != at:
                outside = np.flatnonzero(places >= at)
                aside.append((part.buffer, text.start[outside], text.length[outside], at))
            moved.append(places)
            at = after
    buffer = np.zeros(at + PADDING, np.uint8)
    at = 0
    for part in chosen:
        copy_spans(buffer, at, part.buffer, part.start, part.length)
        at += int(part.length.sum())
    for source, text_start, text_length, place in aside:
        copy_spans(buffer, place, source, text_start, text_length)
    joined = Batch(
        buffer,
        start,
        length,
        {name: _joined([part.columns[name] for part in chosen], texts.get(name)) for name in chosen[0].columns},
        np.concatenate([part.event_at_ms for part in chosen]),
        np.concatenate([part.timestamp_ms for part in chosen]),
        np.concatenate([part.partition for part in chosen]),
        np.concatenate([part.offset for part in chosen]),
        chosen[0].topic,
    )
    return joined if order is None else joined.take(order)


def _joined(parts: list[Column], start: list[Int64s] | None) -> Column:
    """One column of several; `start` says where its texts stand now."""
    valid: Bools | None = None
    if any(part.valid is not None for part in parts):
        valid = np.concatenate([np.ones(len(part), np.bool_) if part.valid is None else part.valid for part in parts])
    values = np.concatenate([part.values for part in parts])
    if start is None:
        return Column(parts[0].type, values, valid)
    high: list[UInt64s] = [part.high for part in parts if part.high is not None]
    length: list[Int64s] = [part.length for part in parts if part.length is not None]
    return Column(parts[0].type, values, valid, np.concatenate(high), np.concatenate(start), np.concatenate(length))
