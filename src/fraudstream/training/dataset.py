"""History to what a model learns from: the stream's own features, the truth, and when each event happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fraudstream.engine.batch import Batch
from fraudstream.engine.contribute import key_of
from fraudstream.engine.featurize import Features
from fraudstream.engine.program import Program
from fraudstream.errors import DataError
from fraudstream.plan.plan import Plan
from fraudstream.state.ids import Labels
from fraudstream.training.history import History
from fraudstream.training.truth import UNKNOWN_MS, Truth, Words
from fraudstream.units import format_duration

Matrix = npt.NDArray[np.float32]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Dataset:
    """n events in the order of event time.

    Attributes:
        matrix: float32[n, inputs], the model's inputs, null as the model's number for it: what the scorer will give it.
        fraud: bool[n], the truth; None where nothing tells it.
        event_at_ms: int64[n], ascending.
        key: uint64[n], a number for each event's key (card, customer, account); None where events have no key field.
        amount: float64[n], each event's amount, NaN where it has none; None where events have no amount field.
        events: How many events there were, duplicates among them.
        duplicates: How many had the id of an earlier one: they are not learned from again.
        known_at_ms: int64[n], when the truth of each was known; None: at once.
    """

    matrix: Matrix
    fraud: Bools | None
    event_at_ms: Int64s
    key: npt.NDArray[np.uint64] | None
    amount: npt.NDArray[np.float64] | None
    events: int
    duplicates: int
    known_at_ms: Int64s | None = None

    def fraud_known_by(self, at_ms: int) -> Bools:
        """bool[n]: which events were known to be fraud at that instant; of the others nothing else was assumed."""
        assert self.fraud is not None
        return self.fraud if self.known_at_ms is None else self.fraud & (self.known_at_ms <= at_ms)

    def known_after(self, delay_ms: int) -> Dataset:
        """The same, but nothing is known to be fraud sooner than the delay after it."""
        if self.known_at_ms is None:
            return self
        return replace(self, known_at_ms=np.maximum(self.known_at_ms, self.event_at_ms + delay_ms))

    def settled(self, delay_ms: int, name: str) -> Dataset:
        """The events that are as old as labels take, so that silence about them means that they are genuine.

        Raises:
            DataError: There are none; the message calls the history by its name.
        """
        settled = self.until(int(self.event_at_ms[-1]) - delay_ms)
        if not len(settled.event_at_ms):
            raise DataError(
                f"The history of {name} is shorter than the {format_duration(delay_ms)} that labels take.",
                "Give a longer history, or a shorter --label-delay.",
            )
        return settled

    def until(self, at_ms: int) -> Dataset:
        """The events up to an instant."""
        end = int(np.searchsorted(self.event_at_ms, at_ms, side="right"))
        return replace(
            self,
            matrix=self.matrix[:end],
            fraud=None if self.fraud is None else self.fraud[:end],
            event_at_ms=self.event_at_ms[:end],
            key=None if self.key is None else self.key[:end],
            amount=None if self.amount is None else self.amount[:end],
            events=self.events - len(self.event_at_ms) + end,
            known_at_ms=None if self.known_at_ms is None else self.known_at_ms[:end],
        )


@dataclass(frozen=True)
class Part:
    """A batch of history with what the stream would have known about it.

    Attributes:
        batch: n events.
        features: Their features.
        once: int64[k], the rows that are no duplicates.
        fraud: bool[n], the truth; None where nothing tells it.
        known_at_ms: int64[n], when the truth of each was known.
    """

    batch: Batch
    features: Features
    once: Int64s
    fraud: Bools | None
    known_at_ms: Int64s


def featurized(program: Program, history: History, truth: Truth | None, label_delay_ms: int) -> Iterator[Part]:
    """Runs a history through the engine that runs the stream.

    A label reaches the features when it would have come: at its `labelled_at`, or the delay after its event. An event
    at that very instant knows it already, as in the stream. So no feature sees the future.

    Args:
        program: Of the plan.
        history: Its events.
        truth: What they really were.
        label_delay_ms: How long after an event its label comes.

    Raises:
        DataError: No row is an event, or the truth is about other events.
    """
    plan, event = program.plan, program.plan.pipeline.event
    state = program.new_state()
    waiting = WaitingLabels() if truth is not None and plan.label_retention_ms else None
    events = spoken_of = 0
    for batch in history.batches():
        labels, fraud, known_at_ms = Labels.none(), None, batch.event_at_ms + label_delay_ms
        if truth is not None:
            fraud, labelled_at_ms, found = truth.of(batch, event)
            spoken_of += found
            known_at_ms = np.where(labelled_at_ms == UNKNOWN_MS, known_at_ms, labelled_at_ms)
            if waiting is not None:
                waiting.add(plan, batch, fraud, known_at_ms)
                if truth.corrected is not None:
                    waiting.add_words(truth.corrected.of(batch, event))
                labels = waiting.due(batch.event_at_ms)
        features = program.featurize(state, batch, labels)
        events += len(batch)
        yield Part(batch, features, np.flatnonzero(features.first < 0), fraud, known_at_ms)
    if truth is not None and not spoken_of and len(truth.fraud):
        raise DataError(
            f"{truth.source} speaks of none of the {events:,} events.", "Give the truth that belongs to this history."
        )


def make_dataset(
    plan: Plan,
    history: History,
    truth: Truth | None,
    label_delay_ms: int,
    show: Callable[[int], None] = lambda events: None,
) -> Dataset:
    """What a plan's model learns from: see `featurized`.

    Args:
        plan: A plan with a model.
        history: Its events.
        truth: What they really were.
        label_delay_ms: How long after an event its label comes.
        show: Called with the number of rows done.

    Raises:
        DataError: No row is an event, or the truth is about other events.
    """
    model, event = plan.pipeline.model, plan.pipeline.event
    assert model is not None
    program = Program(plan)
    most = len(history)
    matrix = np.empty((most, len(model.features)), np.float32)
    frauds, times, known_at_ms = np.zeros(most, np.bool_), np.empty(most, np.int64), np.empty(most, np.int64)
    keys = np.empty(most if event.key else 0, np.uint64)
    amounts = np.empty(most if event.amount else 0, np.float64)
    rows = events = 0
    for part in featurized(program, history, truth, label_delay_ms):
        batch, once = part.batch, part.once
        place = slice(rows, rows + len(once))
        for column, values in enumerate(program.inputs(part.features)):
            matrix[place, column] = values[once]
        times[place], known_at_ms[place] = batch.event_at_ms[once], part.known_at_ms[once]
        if event.key:
            keys[place] = key_of(batch.columns, (event.key,), len(batch))[0][once]
        if event.amount:
            amounts[place] = batch.columns[event.amount].as_float()[once]
        if part.fraud is not None:
            frauds[place] = part.fraud[once]
        rows, events = place.stop, events + len(batch)
        show(events)
    np.nan_to_num(matrix[:rows], copy=False, nan=model.missing)  # as the scorer does
    return Dataset(
        matrix[:rows],
        frauds[:rows] if truth is not None else None,
        times[:rows],
        keys[:rows] if event.key else None,
        amounts[:rows] if event.amount else None,
        events,
        events - rows,
        known_at_ms[:rows] if truth is not None else None,
    )


class WaitingLabels:
    """Labels that have not come yet: of frauds, and those that correct one."""

    def __init__(self) -> None:
        self._due_ms = np.empty(0, np.int64)
        self._fraud = np.empty(0, np.int64)
        self._low = np.empty(0, np.uint64)
        self._high = np.empty(0, np.uint64)

    def add(self, plan: Plan, batch: Batch, fraud: Bools, due_ms: Int64s) -> None:
        """Takes note of a batch's frauds. Genuine events have nothing to say: that is what is assumed of them."""
        rows = np.flatnonzero(fraud)
        assert plan.pipeline.event.id is not None
        low, high, _ = key_of(batch.take(rows).columns, (plan.pipeline.event.id,), len(rows))
        self.add_words(Words(low, high, np.ones(len(rows), np.bool_), due_ms[rows]))

    def add_words(self, words: Words) -> None:
        """Takes note of labels by the ids of their events; to say the same twice does no harm."""
        self._due_ms = np.concatenate([self._due_ms, words.labelled_at_ms])
        self._low, self._high = np.concatenate([self._low, words.low]), np.concatenate([self._high, words.high])
        self._fraud = np.concatenate([self._fraud, words.fraud.astype(np.int64)])

    def due(self, event_at_ms: Int64s) -> Labels:
        """The labels that come before the last of these events or with it, with their places among them."""
        ready = self._due_ms <= event_at_ms[-1]
        rows = np.flatnonzero(ready)
        rows = rows[np.argsort(self._due_ms[rows], kind="stable")]
        due_ms = self._due_ms[rows]
        position = np.searchsorted(event_at_ms, due_ms, side="left").astype(np.int64)
        labels = Labels(position, self._low[rows], self._high[rows], self._fraud[rows], due_ms)
        self._due_ms, self._fraud = self._due_ms[~ready], self._fraud[~ready]
        self._low, self._high = self._low[~ready], self._high[~ready]
        return labels
