"""The engine that scores live, behind the suite's interface: rows become JSON, are decoded, and go on in batches."""

from __future__ import annotations

import json
from itertools import cycle
from typing import Any

import numpy as np

from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Column
from fraudstream.engine.decode import Decoder
from fraudstream.engine.fallback import Account
from fraudstream.engine.kernels.fingerprint import fingerprint
from fraudstream.engine.program import Program
from fraudstream.plan.plan import Plan
from fraudstream.schema.event import Field, FieldType, TimeFormat
from fraudstream.schema.types import Kind
from fraudstream.state.ids import Labels
from fraudstream.testing.cases import EventRow, LabelRow
from fraudstream.testing.decide import Verdict
from fraudstream.testing.oracle import Answer, Value
from fraudstream.units import format_instant, format_money

OUTCOMES = ("approve", "review", "block")
RISK_LEVELS = ("LOW", "MEDIUM", "HIGH", "CRITICAL")


def vectorised(plan: Plan, rows: Any, sizes: tuple[int, ...] = (1, 3, 2, 7)) -> list[Answer]:
    """The answers, where the stream is cut into batches of these sizes, again and again."""
    return [answer for answer, _ in decisions(plan, rows, sizes)]


def decisions(
    plan: Plan, rows: Any, sizes: tuple[int, ...] = (1, 3, 2, 7), off: frozenset[str] = frozenset()
) -> list[tuple[Answer, Verdict]]:
    """The answers and verdicts, without a model; `off` names rules that are switched off."""
    account = Account()
    program = Program(plan)
    state, decoder = program.new_state(), Decoder(plan.pipeline.event)
    result: list[tuple[Answer, Verdict]] = []
    for chunk in _chunks(rows, sizes):
        events = [row for row in chunk if isinstance(row, EventRow)]
        decoded = decoder.decode(
            [encoded(plan, row) for row in events], np.array([row.event_at for row in events], np.int64)
        )
        assert decoded.ok.all(), decoded.rejects
        partition = np.array([row.partition for row in events], np.int32)
        offset = np.array([row.offset for row in events], np.int64)
        batch = Batch.of(decoded, "events", partition, offset)
        found = program.decide(state, batch, labels_of(chunk), 0, off, account)
        values = {name: plain_values(column) for name, column in found.features.items()}
        for i in range(len(events)):
            first = (int(found.duplicate_partition[i]), int(found.duplicate_offset[i]))
            answer = Answer(
                features={name: column[i] for name, column in values.items()},
                late=bool(found.late[i]),
                duplicate_of=first if found.duplicate[i] else None,
                sequence=int(found.sequence[i]),
            )
            hits = [code for code, hit in zip(found.rule_codes, found.rule_hits[:, i], strict=True) if hit]
            score = None if np.isnan(found.score[i]) else float(found.score[i])
            outcome, level = OUTCOMES[found.outcome[i]], RISK_LEVELS[found.risk_level[i]]
            by_amount, over_limit = (mask is not None and bool(mask[i]) for mask in (found.by_amount, found.over_limit))
            verdict = Verdict(outcome, score, level, tuple(hits), by_amount, over_limit)  # type: ignore[arg-type]
            result.append((answer, verdict))
    return result


def plain_values(column: Column) -> list[Value]:
    """A column's values as the oracle gives them."""
    valid = np.ones(len(column), np.bool_) if column.valid is None else column.valid
    values = column.values != 0 if column.type.kind is Kind.BOOLEAN else column.values
    return [value if is_valid else None for value, is_valid in zip(values.tolist(), valid.tolist(), strict=True)]


def encoded(plan: Plan, row: EventRow) -> bytes:
    """The event as JSON that decodes to its fields."""
    event = {field.name: _json_value(field, row) for field in plan.pipeline.event.fields}
    return json.dumps({name: value for name, value in event.items() if value is not None}).encode()


def _json_value(field: Field, row: EventRow) -> Any:
    value = row.fields[field.name]
    if field.type is FieldType.LOCATION and value is None:
        point = {axis: row.fields[f"{field.name}.{axis}"] for axis in ("lat", "lon")}
        return None if None in point.values() else point
    if value is not None and field.type is FieldType.DECIMAL:
        return format_money(int(value), field.scale).replace(",", "")
    if value is not None and field.type is FieldType.TIMESTAMP and field.format is TimeFormat.ISO8601:
        return format_instant(int(value))
    return value


def _chunks(rows: Any, sizes: tuple[int, ...]) -> list[list[EventRow | LabelRow]]:
    chunks, at = [], 0
    for size in cycle(sizes):
        if at >= len(rows):
            return chunks
        chunks.append(list(rows[at : at + size]))
        at += size
    return chunks


def labels_of(chunk: list[EventRow | LabelRow]) -> Labels:
    events, found = 0, []
    for row in chunk:
        if isinstance(row, LabelRow):
            low, high = fingerprint(row.event_id.encode())
            found.append((events, low, high, int(row.is_fraud), row.labelled_at))
        else:
            events += 1
    position, low, high, fraud, at = zip(*found, strict=True) if found else [()] * 5
    return Labels(
        np.array(position, np.int64),
        np.array(low, np.uint64),
        np.array(high, np.uint64),
        np.array(fraud, np.int64),
        np.array(at, np.int64),
    )
