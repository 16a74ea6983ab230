"""The vectorised engine as one of the suite's engines: rows to columns, in batches cut anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Column
from fraudstream.engine.featurize import Featurizer, split_coordinates
from fraudstream.engine.kernels.fingerprint import fingerprint
from fraudstream.plan.plan import Plan
from fraudstream.schema.event import FieldType
from fraudstream.schema.types import Kind, ValueType
from fraudstream.state.ids import Labels
from fraudstream.state.state import State
from fraudstream.testing.cases import EventRow, LabelRow
from fraudstream.testing.oracle import Answer

Rows = Sequence[EventRow | LabelRow]


def vectorised(plan: Plan, rows: Rows, *, cuts: Sequence[int] = ()) -> list[Answer]:
    """The engine the stream runs, over batches that end after the rows named by `cuts`."""
    featurize, state = Featurizer(plan), State(plan)
    answers: list[Answer] = []
    for begin, end in pairwise([0, *sorted(cuts), len(rows)]):
        answers += run(plan, featurize, state, rows[begin:end])
    return answers


def run(plan: Plan, featurize: Featurizer, state: State, rows: Rows) -> list[Answer]:
    """The answers of one batch."""
    events = [row for row in rows if isinstance(row, EventRow)]
    features = featurize(state, batch_of(plan, events), labels_of(rows))
    partition, offset = split_coordinates(features.first)
    values = {name: _values(column) for name, column in features.columns.items()}
    answers = [
        Answer(
            features={feature.name: values[feature.name][row] for feature in plan.features},
            late=bool(features.late[row]),
            duplicate_of=(int(partition[row]), int(offset[row])) if features.first[row] >= 0 else None,
            sequence=state.sequence + row,
        )
        for row in range(len(events))
    ]
    state.sequence += len(events)
    return answers


def batch_of(plan: Plan, events: Sequence[EventRow]) -> Batch:
    """Rows as the columns the decoder would give."""
    nothing = np.zeros(len(events), np.int64)
    return Batch(
        np.zeros(0, np.uint8),
        nothing,
        nothing,
        {spec.name: _column(spec.type, spec.scale, [row.fields[spec.name] for row in events]) for spec in plan.columns},
        np.array([row.event_at for row in events], np.int64),
        nothing,
        np.array([row.partition for row in events], np.int32),
        np.array([row.offset for row in events], np.int64),
        "events",
    )


def labels_of(rows: Rows) -> Labels:
    """The labels among the rows, each with the number of events before it."""
    labels = [(i, row) for i, row in enumerate(rows) if isinstance(row, LabelRow)]
    prints = [fingerprint(str(row.event_id).encode()) for _, row in labels]
    before = np.cumsum([isinstance(row, EventRow) for row in rows])
    return Labels(
        np.array([before[i] for i, _ in labels], np.int64),
        np.array([low for low, _ in prints], np.uint64),
        np.array([high for _, high in prints], np.uint64),
        np.array([row.is_fraud for _, row in labels], np.int64),
        np.array([row.labelled_at for _, row in labels], np.int64),
    )


def _column(kind: FieldType, scale: int, values: list) -> Column:
    valid = np.array([value is not None for value in values], np.bool_)
    if kind is FieldType.STRING:
        prints = [fingerprint((value or "").encode()) for value in values]
        low, high = (np.array([each[half] for each in prints], np.uint64) for half in (0, 1))
        return Column(ValueType(Kind.STRING), low, valid, high)
    dtype = {FieldType.FLOAT: np.float64, FieldType.BOOLEAN: np.bool_}.get(kind, np.int64)
    numbers = np.array([0 if value is None else value for value in values], dtype)
    return Column(ValueType(Kind(kind.value), scale), numbers, valid)


def _values(column: Column) -> list:
    listed = column.values.tolist()
    if column.valid is None:
        return listed
    return [value if valid else None for value, valid in zip(listed, column.valid.tolist(), strict=True)]
