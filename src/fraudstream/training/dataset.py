"""History to what a model learns from: the stream's own features, the truth, and when each event happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudstream.engine.batch import Batch
from fraudstream.engine.contribute import key_of
from fraudstream.engine.program import Program
from fraudstream.errors import DataError
from fraudstream.plan.plan import Plan
from fraudstream.state.ids import Labels
from fraudstream.training.history import History
from fraudstream.training.truth import UNKNOWN_MS, Truth

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
    """

    matrix: Matrix
    fraud: Bools | None
    event_at_ms: Int64s
    key: npt.NDArray[np.uint64] | None
    amount: npt.NDArray[np.float64] | None
    events: int
    duplicates: int


def make_dataset(
    plan: Plan,
    history: History,
    truth: Truth | None,
    label_delay_ms: int,
    show: Callable[[int], None] = lambda events: None,
) -> Dataset:
    """Runs a history through the engine that runs the stream.

    A label reaches the features when it would have come: at its `labelled_at`, or the delay after its event. An event
    at that very instant knows it already, as in the stream. So no feature sees the future.

    Args:
        plan: A plan with a model.
        history: Its events.
        truth: What they really were.
        label_delay_ms: How long after an event its label comes.
        show: Called with the number of rows done.

    Raises:
        DataError: No row is an event.
    """
    model = plan.pipeline.model
    assert model is not None
    program = Program(plan)
    state = program.new_state()
    matrix = np.empty((len(history), len(model.features)), np.float32)
    frauds, times = np.zeros(len(history), np.bool_), np.empty(len(history), np.int64)
    event = plan.pipeline.event
    keys = np.empty(len(history) if event.key else 0, np.uint64)
    amounts = np.empty(len(history) if event.amount else 0, np.float64)
    waiting = WaitingLabels() if truth is not None and plan.label_retention_ms else None
    rows = events = spoken_of = 0
    for batch in history.batches():
        labels = Labels.none()
        if truth is not None:
            fraud, labelled_at_ms, found = truth.of(batch, event)
            spoken_of += found
            if waiting is not None:
                due_ms = np.where(labelled_at_ms == UNKNOWN_MS, batch.event_at_ms + label_delay_ms, labelled_at_ms)
                waiting.add(plan, batch, fraud, due_ms)
                labels = waiting.due(batch.event_at_ms)
        features = program.featurize(state, batch, labels)
        once = np.flatnonzero(features.first < 0)
        part = slice(rows, rows + len(once))
        for column, values in enumerate(program.inputs(features)):
            matrix[part, column] = values[once]
        times[part] = batch.event_at_ms[once]
        if event.key:
            keys[part] = key_of(batch.columns, (event.key,), len(batch))[0][once]
        if event.amount:
            amounts[part] = batch.columns[event.amount].as_float()[once]
        if truth is not None:
            frauds[part] = fraud[once]
        rows, events = part.stop, events + len(batch)
        show(events)
    if truth is not None and not spoken_of:
        raise DataError(
            f"{truth.source} speaks of none of the {events:,} events.", "Give the truth that belongs to this history."
        )
    np.nan_to_num(matrix[:rows], copy=False, nan=model.missing)  # as the scorer does
    return Dataset(
        matrix[:rows],
        frauds[:rows] if truth is not None else None,
        times[:rows],
        keys[:rows] if event.key else None,
        amounts[:rows] if event.amount else None,
        events,
        events - rows,
    )


class WaitingLabels:
    """Frauds whose label has not come yet."""

    def __init__(self) -> None:
        self._due_ms = np.empty(0, np.int64)
        self._low = np.empty(0, np.uint64)
        self._high = np.empty(0, np.uint64)

    def add(self, plan: Plan, batch: Batch, fraud: Bools, due_ms: Int64s) -> None:
        """Takes note of a batch's frauds. Genuine events have nothing to say: that is what is assumed of them."""
        rows = np.flatnonzero(fraud)
        assert plan.pipeline.event.id is not None
        low, high, _ = key_of(batch.take(rows).columns, (plan.pipeline.event.id,), len(rows))
        self._due_ms = np.concatenate([self._due_ms, due_ms[rows]])
        self._low, self._high = np.concatenate([self._low, low]), np.concatenate([self._high, high])

    def due(self, event_at_ms: Int64s) -> Labels:
        """The labels that come before the last of these events or with it, with their places among them."""
        ready = self._due_ms <= event_at_ms[-1]
        rows = np.flatnonzero(ready)
        rows = rows[np.argsort(self._due_ms[rows], kind="stable")]
        due_ms = self._due_ms[rows]
        position = np.searchsorted(event_at_ms, due_ms, side="left").astype(np.int64)
        labels = Labels(position, self._low[rows], self._high[rows], np.ones(len(rows), np.int64), due_ms)
        self._due_ms, self._low, self._high = self._due_ms[~ready], self._low[~ready], self._high[~ready]
        return labels
