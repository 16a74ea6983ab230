"""Encode: decisions to the bytes of output records, in the form a route asks for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import orjson

from fraudstream.define.decision import Outcome, RiskLevel
from fraudstream.define.fallback import BY_AMOUNT, MODEL_SCORE, OVER_LIMIT
from fraudstream.define.pipeline import Form, Format
from fraudstream.engine.batch import Batch
from fraudstream.engine.column import Bools, Column, Int64s
from fraudstream.engine.decisions import Decisions
from fraudstream.engine.event_json import EventWriter
from fraudstream.engine.explanation import Explainer, Spans
from fraudstream.engine.kernels.json_write import without_brace
from fraudstream.engine.record_writer import OutputMemory, RecordWriter
from fraudstream.plan.plan import Plan
from fraudstream.schema.types import Kind
from fraudstream.units import format_instant

FLAGS = ("late", "duplicate", "degraded", "let_through")

_OUTCOMES = tuple(f'"{outcome.value}"' for outcome in Outcome)
_RISK_LEVELS = tuple(f'"{level.value}"' for level in RiskLevel)
_ACTIONS = ("null", '"REVIEW"', '"BLOCK"')


class Encoder:
    """Writes the decisions of a plan. One thread at a time may use it.

    Args:
        plan: The plan; it says how reasons are worded.
    """

    def __init__(self, plan: Plan) -> None:
        self._memory = OutputMemory()
        self._explain = Explainer(plan)
        # What was not JSON is written from its columns; else the event's own bytes are passed on.
        pipeline = plan.pipeline
        self._event = None if pipeline.input.format is Format.JSON else EventWriter(pipeline.event)

    def encode(self, form: Form, decisions: Decisions, rows: Int64s) -> tuple[list[bytes], list[bytes | None]]:
        """The values and keys of the output records of the given rows, int64[m].

        A record's key is the text of the event's key; None where the pipeline has no key field, or the event no key.
        """
        writer = RecordWriter(rows, self._memory)
        match form:
            case Form.ENVELOPE:
                self._envelope(writer, decisions, rows)
            case Form.FLAT:
                self._flat(writer, decisions, rows)
            case Form.ALERT:
                _alert(writer, decisions, self._explain(decisions))
        return writer.write(), keys_of(decisions, rows)

    def _envelope(self, writer: RecordWriter, decisions: Decisions, rows: Int64s) -> None:
        """The event's bytes and the whole decision."""
        batch = decisions.batch
        writer.literal('{"event":')
        if self._event is None:
            writer.span(batch.buffer, batch.start, batch.length)
        else:
            self._event.add_to(writer, batch, rows)
            writer.literal("}")
        writer.literal(',"decision":{"event_id":')
        _event_id(writer, decisions)
        _input(writer, decisions)
        writer.literal(',"sequence":')
        writer.integer(decisions.sequence)
        writer.literal(',"outcome":')
        writer.choice(decisions.outcome, _OUTCOMES)
        writer.literal(',"score":')
        writer.number(decisions.score)
        writer.literal(',"model_score":')
        writer.number(decisions.model_score)
        writer.literal(',"risk_level":')
        writer.choice(decisions.risk_level, _RISK_LEVELS)
        writer.literal(f',"threshold":{_json(decisions.threshold)}')
        _reasons_and_rules(writer, decisions, self._explain(decisions))
        _features(writer, decisions)
        writer.literal(f',"versions":{_json(decisions.versions)},"flags":')
        writer.hits(np.stack([getattr(decisions, flag) for flag in FLAGS]), FLAGS)
        if decisions.off:
            writer.literal(f',"off":{_json(decisions.off)}')
        writer.literal(',"duplicate_of":')
        writer.nothing_where_null(decisions.duplicate, parts=3)
        writer.literal('{"partition":')
        writer.integer(decisions.duplicate_partition)
        writer.literal(',"offset":')
        writer.integer(decisions.duplicate_offset)
        writer.literal("}")
        writer.nothing()
        writer.literal(',"event_at":')
        writer.integer(batch.event_at_ms)
        writer.literal(f',"decided_at":{decisions.decided_at_ms}}}}}')

    def _flat(self, writer: RecordWriter, decisions: Decisions, rows: Int64s) -> None:
        """The event's own members, then the decision's, in one object."""
        batch = decisions.batch
        if self._event is None:
            shorter, empty = without_brace(batch.buffer, batch.start, batch.length, rows)
            writer.span(batch.buffer, batch.start[rows], shorter, each=True)
            writer.choice(empty, (',"fraud_score":', '"fraud_score":'), each=True)
        else:
            self._event.add_to(writer, batch, rows)
            writer.literal(',"fraud_score":')
        writer.number(decisions.score)
        writer.literal(',"is_fraud":')
        writer.boolean(decisions.outcome > 0)
        writer.literal(',"risk_level":')
        writer.choice(decisions.risk_level, _RISK_LEVELS)
        decided_at_ms = decisions.decided_at_ms
        writer.literal(f',"threshold":{_json(decisions.threshold)},"scored_at":"{format_instant(decided_at_ms)}"')
        writer.literal(',"scoring_latency_ms":')
        writer.integer(decided_at_ms - batch.timestamp_ms, batch.timestamp_ms >= 0)
        writer.literal(',"decision_id":')
        _coordinates(writer, decisions)
        writer.literal(',"outcome":')
        writer.choice(decisions.outcome, _OUTCOMES)
        writer.literal(',"reasons":')
        writer.hits(*reasons_of(decisions))
        writer.literal("}")


def _alert(writer: RecordWriter, decisions: Decisions, explanations: Spans) -> None:
    """What a person or a case system needs to act on."""
    batch = decisions.batch
    writer.literal('{"alert_id":')
    _coordinates(writer, decisions)
    writer.literal(',"transaction_id":')
    _event_id(writer, decisions)
    writer.literal(',"key":')
    _value(writer, decisions, decisions.key)
    writer.literal(',"amount":')
    _value(writer, decisions, decisions.amount)
    writer.literal(',"score":')
    writer.number(decisions.score)
    writer.literal(',"risk_level":')
    writer.choice(decisions.risk_level, _RISK_LEVELS)
    _reasons_and_rules(writer, decisions, explanations)
    writer.literal(',"event_at":')
    writer.instant(batch.event_at_ms)
    writer.literal(f',"alert_at":"{format_instant(decisions.decided_at_ms)}","action_required":')
    writer.choice(decisions.outcome, _ACTIONS)
    _features(writer, decisions)
    _input(writer, decisions)
    writer.literal(f',"versions":{_json(decisions.versions)}}}')


def _coordinates(writer: RecordWriter, decisions: Decisions) -> None:
    """`"topic-partition-offset"`; a topic's name needs no escapes."""
    writer.literal(f'"{decisions.batch.topic}-')
    writer.integer(decisions.batch.partition)
    writer.literal("-")
    writer.integer(decisions.batch.offset)
    writer.literal('"')


def _input(writer: RecordWriter, decisions: Decisions) -> None:
    writer.literal(f',"input":{{"topic":"{decisions.batch.topic}","partition":')
    writer.integer(decisions.batch.partition)
    writer.literal(',"offset":')
    writer.integer(decisions.batch.offset)
    writer.literal("}")


def _event_id(writer: RecordWriter, decisions: Decisions) -> None:
    """The id field's value; the event's coordinates where events have no id."""
    if decisions.event_id is None:
        _coordinates(writer, decisions)
    else:
        _value(writer, decisions, decisions.event_id)


def _value(writer: RecordWriter, decisions: Decisions, column: Column | None) -> None:
    if column is None:
        writer.literal("null")
    else:
        writer.column(column, decisions.batch.buffer)


def _features(writer: RecordWriter, decisions: Decisions) -> None:
    writer.literal(',"features":')
    write_features(writer, decisions.features, decisions.batch)


def write_features(writer: RecordWriter, features: Mapping[str, Column], batch: Batch) -> None:
    """The features of a batch's events as one JSON object an event."""
    writer.literal("{")
    for place, (name, column) in enumerate(features.items()):
        writer.literal(("," if place else "") + f"{_json(name)}:")
        writer.column(column, batch.buffer)
    writer.literal("}")


def _reasons_and_rules(writer: RecordWriter, decisions: Decisions, explanations: Spans) -> None:
    writer.literal(',"reasons":')
    writer.hits(*reasons_of(decisions))
    writer.literal(',"rules":')
    writer.hits(decisions.rule_hits, decisions.rule_codes)
    writer.span(*explanations)


def reasons_of(decisions: Decisions) -> tuple[Bools, tuple[str, ...]]:
    """bool[reasons, n] and the codes: those of rules, then the model's, then those of the fallback if it decided."""
    hits, codes = [decisions.rule_hits, decisions.by_model], [MODEL_SCORE]
    for rows, code in ((decisions.by_amount, BY_AMOUNT), (decisions.over_limit, OVER_LIMIT)):
        if rows is not None:
            hits.append(rows)
            codes.append(code)
    return np.vstack(hits), (*decisions.rule_codes, *codes)


def keys_of(decisions: Decisions, rows: Int64s) -> list[bytes | None]:
    """The keys of output records: the text of the event's key; None where the pipeline has none, or the event."""
    if decisions.key is None:
        return [None] * len(rows)
    return _texts(decisions, decisions.key, rows)


def _texts(decisions: Decisions, column: Column, rows: Int64s) -> list[bytes | None]:
    """A column's values as text: strings as they are, numbers in plain notation."""
    writer = RecordWriter(rows)
    if column.type.kind is Kind.STRING:
        assert column.start is not None
        assert column.length is not None
        length = column.length if column.valid is None else np.where(column.valid, column.length, 0)
        writer.span(decisions.batch.buffer, column.start, length)
    else:
        writer.column(Column(column.type, column.values), decisions.batch.buffer)
    texts: list[bytes | None] = [*writer.write()]
    if column.valid is not None:
        for place in np.flatnonzero(~column.valid[rows]).tolist():
            texts[place] = None
    return texts


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
