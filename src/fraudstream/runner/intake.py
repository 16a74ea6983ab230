"""Fetched records on their way to the engine: held, merged by event time across partitions, and cut into batches.

Each partition is a lane, a queue in offset order. A record's place in the merge is the greatest event time of its lane
so far, so the merge never reorders a lane. While a lane is behind, more of its records are to come and none can be
placed before its newest fetched one: that is how far the merge may go. Caught up, what has been fetched is merged and
passed on at once, since waiting would cost latency.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fraudstream import failpoints
from fraudstream.engine.batch import Batch, gather
from fraudstream.engine.column import Bools, Int64s
from fraudstream.engine.decode import Decoded, Decoder
from fraudstream.engine.event_ids import EventIds
from fraudstream.engine.reject import Reject
from fraudstream.runner.labels import DecodedLabels, decode_labels
from fraudstream.state.ids import Labels

Place = tuple[str, int]
"""A topic and a partition."""

_EARLIEST = -(2**63)


class Rejected(NamedTuple):
    """A record that becomes a dead letter, with all that is known of it."""

    reject: Reject
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


@dataclass(slots=True)
class Portion:
    """What the engine processes in one go, and where the input stands afterwards.

    Attributes:
        batch: The events, in processing order.
        labels: The labels, with their places among the events.
        rejected: The records that become dead letters.
        next_offsets: The next offset to process of each lane that moved.
    """

    batch: Batch
    labels: Labels
    rejected: list[Rejected]
    next_offsets: dict[Place, int]

    @property
    def n_records(self) -> int:
        """How many input records it holds."""
        return len(self.batch) + len(self.labels) + len(self.rejected)


@dataclass(slots=True)
class _Chunk:
    """Consecutive records of one lane: rows of what was decoded in one go."""

    source: Batch | DecodedLabels
    ok: Bools
    rows: Int64s
    offsets: Int64s
    merge_at: Int64s
    rejected: dict[int, Rejected]
    taken: int = 0

    @property
    def left(self) -> int:
        return len(self.rows) - self.taken


@dataclass(slots=True)
class _Lane:
    place: Place
    labels: bool
    chunks: deque[_Chunk] = field(default_factory=deque)
    newest_ms: int = _EARLIEST
    rows: int = 0


class Intake:
    """The lanes of one assignment.

    Args:
        decoder: The events' decoder.
        labels_topic: The topic of labels, if there is one.
        ids: How labels name events.
    """

    def __init__(self, decoder: Decoder, labels_topic: str | None, ids: EventIds) -> None:
        self._decoder = decoder
        self._labels_topic = labels_topic
        self._ids = ids
        self._lanes: dict[Place, _Lane] = {}
        nothing = np.empty(0, np.int64)
        self._empty = Batch.of(decoder.decode([], nothing), "", nothing.astype(np.int32), nothing)

    def assign(self, places: Iterable[Place]) -> None:
        """Begins anew with these lanes; what was held is dropped."""
        # Lanes of labels come first: at equal times a label is known to the event.
        ordered = sorted(places, key=lambda place: (place[0] != self._labels_topic, place))
        self._lanes = {place: _Lane(place, place[0] == self._labels_topic) for place in ordered}

    @property
    def waits_for(self) -> str | None:
        """What keeps records from being decoded now; None where nothing does. For any thread."""
        return self._decoder.waits_for

    def give_up(self) -> None:
        """Ends what it waits for, which raises then; may be called from a signal handler."""
        self._decoder.give_up()

    @property
    def held(self) -> int:
        """How many records wait."""
        return sum(lane.rows for lane in self._lanes.values())

    def waiting(self) -> dict[Place, int]:
        """How many records of each lane wait."""
        return {place: lane.rows for place, lane in self._lanes.items()}

    def waiting_below(self, stop_at: Mapping[Place, int]) -> bool:
        """Whether a record with an offset below its lane's limit waits."""
        return any(
            lane.chunks and lane.chunks[0].offsets[lane.chunks[0].taken] < stop_at[place]
            for place, lane in self._lanes.items()
        )

    def add(self, messages: Sequence[Any]) -> dict[Place, int]:
        """Decodes fetched records and puts them into their lanes; returns the next offset to fetch of each."""
        failpoints.hit("after-poll")
        if self._labels_topic is None:
            return self._add(messages, self._decoder.decode)
        fetched: dict[Place, int] = {}
        of_labels = [message.topic() == self._labels_topic for message in messages]
        labels = [message for message, is_label in zip(messages, of_labels, strict=True) if is_label]
        if labels:
            fetched |= self._add(labels, lambda values, times: decode_labels(values, times, self._ids))
            messages = [message for message, is_label in zip(messages, of_labels, strict=True) if not is_label]
        if messages:
            fetched |= self._add(messages, self._decoder.decode)
        return fetched

    def _add(
        self, messages: Sequence[Any], decode: Callable[[list[bytes | None], Int64s], Decoded | DecodedLabels]
    ) -> dict[Place, int]:
        count = len(messages)
        topic = messages[0].topic()
        partitions = np.fromiter((message.partition() for message in messages), np.int64, count)
        offsets = np.fromiter((message.offset() for message in messages), np.int64, count)
        timestamps = np.fromiter((message.timestamp()[1] for message in messages), np.int64, count)
        decoded = decode([message.value() for message in messages], timestamps)
        source: Batch | DecodedLabels
        if isinstance(decoded, Decoded):
            times, source = decoded.event_at_ms, Batch.of(decoded, topic, partitions.astype(np.int32), offsets)
        else:
            times, source = decoded.labelled_at_ms, decoded
        # A reject has no place in time of its own: it takes its predecessor's.
        times = np.where(decoded.ok, times, _EARLIEST)
        rejected = {
            reject.row: Rejected(
                reject,
                topic,
                int(partitions[reject.row]),
                int(offsets[reject.row]),
                int(timestamps[reject.row]),
                messages[reject.row].key(),
                messages[reject.row].value(),
            )
            for reject in decoded.rejects
        }
        fetched: dict[Place, int] = {}
        for partition in np.unique(partitions).tolist():
            lane = self._lanes.get((topic, partition))
            if lane is None:
                continue  # revoked since it was fetched
            rows = np.flatnonzero(partitions == partition)
            merge_at = np.maximum(np.maximum.accumulate(times[rows]), lane.newest_ms)
            lane.newest_ms = int(merge_at[-1])
            lane.chunks.append(_Chunk(source, decoded.ok, rows, offsets[rows], merge_at, rejected))
            lane.rows += len(rows)
            fetched[lane.place] = int(offsets[rows[-1]]) + 1
        return fetched

    def frontier(self, behind: Iterable[Place]) -> int | None:
        """How far the merge may go while these lanes are behind: None is without limit."""
        limits = [self._lanes[place].newest_ms for place in behind if place in self._lanes]
        return min(limits, default=None)

    def take(
        self, max_rows: int, frontier: int | None = None, stop_at: Mapping[Place, int] | None = None
    ) -> Portion | None:
        """The next portion, or None where nothing may be passed on.

        Args:
            max_rows: At most so many records.
            frontier: Only records that merge at or before this instant.
            stop_at: Only offsets below these (replay up to what was committed).
        """
        candidates: list[tuple[_Lane, Int64s]] = []
        for lane in self._lanes.values():
            merge_at = self._ready(lane, max_rows, frontier, stop_at)
            if len(merge_at):
                candidates.append((lane, merge_at))
        if not candidates:
            return None
        merge_at = np.concatenate([each for _, each in candidates])
        lane_of = np.repeat(np.arange(len(candidates)), [len(each) for _, each in candidates])
        order = np.argsort(merge_at, kind="stable")[:max_rows]
        counts = np.bincount(lane_of[order], minlength=len(candidates))
        # What was chosen of each lane are its first records; `places` counts among the chosen ones, lane after lane.
        places = np.searchsorted(np.sort(order), order)
        return self._portion([(lane, int(n)) for (lane, _), n in zip(candidates, counts, strict=True)], places)

    def _ready(self, lane: _Lane, max_rows: int, frontier: int | None, stop_at: Mapping[Place, int] | None) -> Int64s:
        """The merge places of the lane's records that may be passed on, `max_rows` at most."""
        parts: list[Int64s] = []
        wanted = max_rows
        for chunk in lane.chunks:
            end = min(len(chunk.rows), chunk.taken + wanted)
            if frontier is not None:
                end = min(end, int(np.searchsorted(chunk.merge_at, frontier, side="right")))
            if stop_at is not None:
                end = min(end, int(np.searchsorted(chunk.offsets, stop_at[lane.place], side="left")))
            if end > chunk.taken:
                parts.append(chunk.merge_at[chunk.taken : end])
                wanted -= end - chunk.taken
            if end < len(chunk.rows) or wanted <= 0:
                break
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _portion(self, counts: list[tuple[_Lane, int]], order: Int64s) -> Portion:
        """Takes so many records from each lane, and brings them into the merged order."""
        event_parts: list[tuple[Batch, Int64s]] = []
        label_parts: list[tuple[DecodedLabels, Int64s]] = []
        rejected: list[Rejected] = []
        next_offsets: dict[Place, int] = {}
        kinds = []
        for lane, count in counts:
            for chunk, rows, last_offset in _pop(lane, count):
                ok = chunk.ok[rows]
                if not ok.all():
                    rejected += [chunk.rejected[row] for row in rows[~ok].tolist()]
                if isinstance(chunk.source, Batch):
                    event_parts.append((chunk.source, rows[ok]))
                else:
                    label_parts.append((chunk.source, rows[ok]))
                kinds.append(np.where(ok, _LABEL if lane.labels else _EVENT, _REJECT))
                next_offsets[lane.place] = last_offset + 1
        kind = np.concatenate(kinds)
        rank: Int64s = np.empty(len(kind), np.int64)
        for each in (_EVENT, _LABEL):
            rank[kind == each] = np.arange(np.count_nonzero(kind == each))
        merged = kind[order]
        events = gather(event_parts or [(self._empty, np.empty(0, np.int64))], rank[order[merged == _EVENT]])
        position = np.cumsum(merged == _EVENT)[merged == _LABEL]
        labels = _labels(label_parts, rank[order[merged == _LABEL]], position)
        return Portion(events, labels, rejected, next_offsets)


_EVENT, _LABEL, _REJECT = range(3)


def _pop(lane: _Lane, count: int) -> list[tuple[_Chunk, Int64s, int]]:
    """The lane's next `count` records as (chunk, rows of its source, last offset)."""
    taken = []
    lane.rows -= count
    while count:
        chunk = lane.chunks[0]
        end = chunk.taken + min(count, chunk.left)
        taken.append((chunk, chunk.rows[chunk.taken : end], int(chunk.offsets[end - 1])))
        count -= end - chunk.taken
        chunk.taken = end
        if not chunk.left:
            lane.chunks.popleft()
    return taken


def _labels(parts: list[tuple[DecodedLabels, Int64s]], order: Int64s, position: Int64s) -> Labels:
    if not parts:
        return Labels.none()
    low, high, fraud, labelled_at = (
        np.concatenate([getattr(decoded, name)[rows] for decoded, rows in parts])[order]
        for name in ("low", "high", "fraud", "labelled_at_ms")
    )
    return Labels(position, low, high, fraud, labelled_at)
