"""Loads or compiles every kernel by sending a few made-up events through the whole engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from fraudstream.define.fallback import MODEL_SCORE
from fraudstream.define.pipeline import Form
from fraudstream.engine.batch import Batch, gather
from fraudstream.engine.decide import BLOCK
from fraudstream.engine.decisions import Decisions
from fraudstream.engine.decode import Decoder
from fraudstream.engine.encode import Encoder
from fraudstream.engine.kernels.fingerprint import fingerprint
from fraudstream.engine.program import Program
from fraudstream.plan.compile import plan_of
from fraudstream.schema.event import Event, Field, FieldType, TimeFormat
from fraudstream.state.ids import Labels

_AT_MS = 1_767_225_600_000
_COUNT = 4


def warm_up(program: Program, decoder: Decoder) -> None:
    """Runs each stage once, on a state of its own, so that the first events do not wait for the compiler.

    Kernels are compiled when they are first called with some types of arguments, so this calls them as the loop does:
    events of several fetches, with nulls and escapes, with labels, written in every form.
    """
    plan = program.plan
    state = program.new_state()
    values: list[bytes | None] = [sample(plan.pipeline.event, row) for row in range(_COUNT)]
    times = np.full(_COUNT, _AT_MS, np.int64)
    rows = np.arange(_COUNT, dtype=np.int64)
    parts = []
    for part in range(2):
        decoded = decoder.decode(values, times)
        batch = Batch.of(decoded, "warm-up", np.zeros(_COUNT, np.int32), rows + part * _COUNT)
        parts.append((batch, np.flatnonzero(decoded.ok)))
    low, high = (np.array([half], np.uint64) for half in fingerprint(b"0"))
    one = np.ones(1, np.int64)
    labels = Labels(one, low, high, one, one * _AT_MS) if plan.label_retention_ms else Labels.none()
    for batch in (gather(parts[:1]), gather(parts)):
        program.learn(program.new_state(), batch, labels)
        program.decide(program.new_state(), batch, labels, _AT_MS, frozenset({MODEL_SCORE}))
        decisions = _all_alerts(program.decide(state, batch, labels, _AT_MS))
        encoder = Encoder(plan)
        for form in Form:
            encoder.encode(form, decisions, np.arange(len(batch), dtype=np.int64))
    if plan.pipeline.max_keys is not None:
        # Keys are evicted long after the start, and the stream should not wait for the compiler then either.
        tight = Program(plan_of(msgspec.structs.replace(plan.pipeline, max_keys=1)))
        tight.learn(tight.new_state(), batch, labels)


def _all_alerts(decisions: Decisions) -> Decisions:
    """The decisions as if all were alerts of the model, so that their explanations are written, too."""
    n, inputs = len(decisions.batch), max(len(decisions.inputs), 1)
    return replace(
        decisions,
        outcome=np.full(n, BLOCK, np.int8),
        duplicate=np.zeros(n, np.bool_),
        model_score=np.ones(n),
        contributions=lambda rows: (0.0, np.ones((len(rows), inputs))) if decisions.inputs else None,
    )


def sample(event: Event, row: int) -> bytes:
    """A record of an event; odd ones leave out what may be missing."""
    tree: dict[str, Any] = {}
    for field in event.fields:
        if row % 2 and not field.required:
            continue
        *outer, last = (field.path or field.name).split(".")
        level = tree
        for name in outer:
            level = level.setdefault(name, {})
        level[last] = _value(field, row)
    return msgspec.json.encode(tree)


def _value(field: Field, row: int) -> Any:
    if field.type is FieldType.TIMESTAMP:
        if field.format is TimeFormat.ISO8601:
            return f"2026-01-01T00:00:0{row}Z"
        return (_AT_MS if field.format is TimeFormat.EPOCH_MS else _AT_MS // 1_000) + row
    values: dict[FieldType, Any] = {
        FieldType.STRING: 'with "escapes"' if row == 2 else str(row),
        FieldType.INTEGER: row,
        FieldType.DECIMAL: row,
        FieldType.FLOAT: row + 0.5,
        FieldType.BOOLEAN: row % 2 == 0,
        FieldType.LOCATION: {"lat": 48.1 + row, "lon": 11.6},
    }
    return values[field.type]
