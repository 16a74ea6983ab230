"""A history as a table for data scientists: point-in-time features, and labels as they were known at an instant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Column
from fraudstream.engine.program import Program
from fraudstream.errors import DataError, UsageError
from fraudstream.plan.plan import Plan
from fraudstream.schema.event import FieldType
from fraudstream.schema.types import Kind
from fraudstream.training.dataset import featurized
from fraudstream.training.history import History
from fraudstream.training.truth import Truth

EVENT_TIME, FRAUD, LABELLED_AT = "event_time", "is_fraud", "labelled_at"
_OWN = (EVENT_TIME, FRAUD, LABELLED_AT)


@dataclass(frozen=True)
class FeatureTable:
    """What came of a history.

    Attributes:
        frame: A row for each event in event-time order, without duplicates: `event_time`, the event's fields, every
            feature, and with truth `is_fraud` (null where it was not known yet) and `labelled_at`.
        duplicates: How many events had the id of an earlier one.
        later: How many events happened after the instant.
        as_of_ms: The instant.
    """

    frame: pl.DataFrame
    duplicates: int
    later: int
    as_of_ms: int


def feature_table(
    plan: Plan,
    history: History,
    truth: Truth | None,
    label_delay_ms: int,
    as_of_ms: int | None = None,
    show: Callable[[int], None] = lambda events: None,
) -> FeatureTable:
    """Runs a history through the engine and keeps what it knew about each event when it happened.

    A sensitive field is given as a number for each of its values instead: rows can be told apart and joined by it, and
    no card number leaves.

    Args:
        plan: The pipeline's plan; it may have no model.
        history: Its events.
        truth: What they really were.
        label_delay_ms: How long after an event its label comes, where no label says when it came; an event older than
            that of which nobody said that it was fraud is genuine.
        as_of_ms: Nothing that happened or became known later is in the table; the last event's time unless given.
        show: Called with the number of rows done.

    Raises:
        UsageError: A field has the name of one of the table's own columns.
        DataError: No row is an event until then, or the truth is about other events.
    """
    names = [field.name for field in plan.pipeline.event.fields if field.type is not FieldType.LOCATION]
    names += [feature.name for feature in plan.features]
    taken = next((name for name in names if name in _OWN), None)
    if taken is not None:
        raise UsageError(f"The table has a column {taken!r} of its own, and so has the event.", "Rename the field.")
    as_of_ms = history.last_at_ms if as_of_ms is None else as_of_ms
    known = None if truth is None else truth.as_known_at(as_of_ms)
    parts, duplicates, later, events = [], 0, 0, 0
    for part in featurized(Program(plan), history, known, label_delay_ms):
        batch = part.batch
        rows = part.once[batch.event_at_ms[part.once] <= as_of_ms]
        duplicates += len(batch) - len(part.once)
        later += len(part.once) - len(rows)
        columns = {EVENT_TIME: _instants(batch.event_at_ms[rows])}
        columns |= {name: _series(part.features.columns[name].take(rows), batch) for name in names}
        if part.fraud is not None:
            # Nobody spoke of it, and its label would have come by now; or somebody did.
            is_known = (part.known_at_ms <= as_of_ms)[rows]
            columns[FRAUD] = pl.Series(part.fraud[rows]).set(pl.Series(~is_known), None)
            columns[LABELLED_AT] = _instants(part.known_at_ms[rows]).set(pl.Series(~is_known), None)
        parts.append(pl.DataFrame(columns))
        events += len(batch)
        show(events)
    frame = pl.concat(parts)
    if not len(frame):
        raise DataError(
            f"None of the {events:,} events of {history.name} had happened by then.", "Give a later instant."
        )
    numbered = [field.name for field in plan.pipeline.event.fields if field.sensitive and field.name in frame.columns]
    return FeatureTable(frame.with_columns(_numbers(frame[name]) for name in numbered), duplicates, later, as_of_ms)


def _series(column: Column, batch: Batch) -> pl.Series:
    kind = column.type.kind
    if kind is Kind.STRING:
        assert column.start is not None and column.length is not None
        raw = batch.buffer.data
        spans = zip(column.start.tolist(), column.length.tolist(), strict=True)
        values = pl.Series([str(raw[start : start + length], "utf-8") for start, length in spans], dtype=pl.String)
    elif kind is Kind.TIMESTAMP:
        values = _instants(column.values)
    else:
        values = pl.Series(column.as_float() if kind is Kind.DECIMAL else column.values)
    return values if column.valid is None else values.set(pl.Series(~column.valid), None)


def _instants(at_ms: npt.NDArray[np.generic]) -> pl.Series:
    return pl.Series(at_ms.astype(np.int64)).cast(pl.Datetime("ms", "UTC"))


def _numbers(values: pl.Series) -> pl.Series:
    """A number for each value instead of it, from 0 in the order of their first row."""
    return values.cast(pl.String).cast(pl.Categorical).to_physical().cast(pl.Int64)
