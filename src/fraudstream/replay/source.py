"""A history to run again: from a file with its truth, or from decisions on record with the labels that came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Bools, Int64s, UInt64s
from fraudstream.engine.contribute import key_of
from fraudstream.engine.decode import Decoder
from fraudstream.plan.plan import Plan
from fraudstream.replay.label_order import LabelOrder, RecordedLabels
from fraudstream.replay.past import CHUNK, Past, PastLabels
from fraudstream.schema.event import Event
from fraudstream.state.ids import Labels
from fraudstream.training.dataset import WaitingLabels
from fraudstream.training.history import History
from fraudstream.training.truth import UNKNOWN_MS, Truth


@dataclass
class Step:
    """Some events of a history, in processing order.

    Attributes:
        batch: The events.
        row: int64[n], each one's place in the history, counted from 0.
        labels: The labels that come with them.
        fraud: bool[n], what they really are, where it is known.
        known: bool[n], where it is.
    """

    batch: Batch
    row: Int64s
    labels: Labels
    fraud: Bools
    known: Bools


class Source(Protocol):
    """A history.

    Attributes:
        name: What it is called, for people.
        in_time_order: Whether no event is older than the one before it.
    """

    name: str
    in_time_order: bool

    def __len__(self) -> int: ...

    def steps(self, plan: Plan) -> Iterator[Step]:
        """The history from its beginning, read as the plan's events."""

    def events(self, plan: Plan, rows: Int64s) -> Batch:
        """A few of its events, by their places; they are events of the plan."""


class FileSource:
    """A history file in the order of event time.

    Args:
        history: The file, read as one event.
        reopen: Reads it as another.
        truth: What its events really were; None: unknown.
        label_delay_ms: How long after an event its label comes.
    """

    in_time_order = True

    def __init__(
        self, history: History, reopen: Callable[[Event], History], truth: Truth | None, label_delay_ms: int
    ) -> None:
        self.name = history.name
        self.history, self._reopen, self._truth, self._delay_ms = history, reopen, truth, label_delay_ms

    def __len__(self) -> int:
        return len(self.history)

    def steps(self, plan: Plan) -> Iterator[Step]:
        """The history from its beginning."""
        history, truth = self.history, self._truth
        if plan.pipeline.event != history.event:
            history = self._reopen(plan.pipeline.event)
        waiting = WaitingLabels() if truth is not None and plan.label_retention_ms else None
        for batch in history.batches():
            labels = Labels.none()
            fraud, known = np.zeros(len(batch), np.bool_), np.zeros(len(batch), np.bool_)
            if truth is not None:
                fraud, labelled_at_ms, _ = truth.of(batch, plan.pipeline.event)
                known[:] = True  # no word in a file of truth means genuine
                if waiting is not None:
                    is_unknown = labelled_at_ms == UNKNOWN_MS
                    due_ms = np.where(is_unknown, batch.event_at_ms + self._delay_ms, labelled_at_ms)
                    waiting.add(plan, batch, fraud, due_ms)
                    if truth.corrected is not None:
                        waiting.add_words(truth.corrected.of(batch, plan.pipeline.event))
                    labels = waiting.due(batch.event_at_ms)
            yield Step(batch, batch.offset, labels, fraud, known)

    def events(self, plan: Plan, rows: Int64s) -> Batch:
        """A few of its events."""
        history = self.history
        decoded = Decoder(plan.pipeline.event).decode(
            list(history.source.records(rows, history.event, history.columns)), np.full(len(rows), -1, np.int64)
        )
        return Batch.of(decoded, self.name, np.zeros(len(rows), np.int32), rows)


class RecordedSource:
    """Decisions on record with their events, in the order in which they were made.

    An event counts as known once it has a label, or once the label delay is over: whoever suffers a fraud says so.

    Args:
        name: Where they are from, for people.
        past: The events.
        topic: The input topic they came from.
        labels: The labels that came.
        label_delay_ms: How long after an event its label comes at the latest.
    """

    in_time_order = False

    def __init__(self, name: str, past: Past, topic: str, labels: PastLabels | None, label_delay_ms: int) -> None:
        self.name = name
        self._past, self._topic, self._labels, self._delay_ms = past, topic, labels, label_delay_ms

    def __len__(self) -> int:
        return len(self._past)

    def steps(self, plan: Plan) -> Iterator[Step]:
        """The history from its beginning."""
        past, decoder = self._past, Decoder(plan.pipeline.event)
        waiting = RecordedLabels(self._labels if plan.label_retention_ms else None, LabelOrder.BY_BOTH)
        verdicts = None if self._labels is None else _Verdicts(self._labels)
        for start in range(0, len(self), CHUNK):
            rows = slice(start, min(start + CHUNK, len(self)))
            decoded = decoder.decode(list(past.values[rows]), past.timestamp_ms[rows])
            whole = Batch.of(decoded, self._topic, past.partition[rows].astype(np.int32), past.offset[rows])
            good = np.flatnonzero(decoded.ok)  # a candidate may read events otherwise, and refuse some
            batch = whole.take(good)
            if not len(good):
                continue
            fraud, known = np.zeros(len(batch), np.bool_), np.zeros(len(batch), np.bool_)
            if verdicts is not None and plan.pipeline.event.id is not None:
                low, high, _ = key_of(batch.columns, (plan.pipeline.event.id,), len(batch))
                fraud, known = verdicts.of(low, high)
                known |= batch.event_at_ms <= verdicts.newest_ms - self._delay_ms
            labels = waiting.due(batch.event_at_ms, past.decided_at_ms[rows][good])
            yield Step(batch, rows.start + good, labels, fraud, known)

    def events(self, plan: Plan, rows: Int64s) -> Batch:
        """A few of its events."""
        past = self._past
        decoded = Decoder(plan.pipeline.event).decode(
            [past.values[row] for row in rows.tolist()], past.timestamp_ms[rows]
        )
        return Batch.of(decoded, self._topic, past.partition[rows].astype(np.int32), past.offset[rows])


class _Verdicts:
    """The last word of the labels on each event."""

    def __init__(self, labels: PastLabels) -> None:
        found = labels.decoded
        order = np.lexsort((found.fraud, found.labelled_at_ms, found.high, found.low))
        last = np.ones(len(order), np.bool_)
        last[:-1] = (np.diff(found.low[order]) != 0) | (np.diff(found.high[order]) != 0)
        kept = order[last]
        self._low, self._high, self._fraud = found.low[kept], found.high[kept], found.fraud[kept] != 0
        self.newest_ms = int(found.labelled_at_ms.max()) if len(found) else 0

    def of(self, low: UInt64s, high: UInt64s) -> tuple[Bools, Bools]:
        """bool[n] fraud and bool[n] labelled, of events by the fingerprints of their ids."""
        if not len(self._low):
            return np.zeros(len(low), np.bool_), np.zeros(len(low), np.bool_)
        place = np.minimum(np.searchsorted(self._low, low), len(self._low) - 1)
        labelled = (self._low[place] == low) & (self._high[place] == high)
        return labelled & self._fraud[place], labelled
