"""Decisions as Avro or Protobuf: the envelope of an event and its decision, with the schema that a plan gives it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fraudstream.define.decision import Outcome, RiskLevel
from fraudstream.define.pipeline import Format
from fraudstream.engine.column import Bools, Column, Floats, Int64s
from fraudstream.engine.decisions import Decisions
from fraudstream.engine.decode_cells import Bytes
from fraudstream.engine.encode import FLAGS, reasons_of
from fraudstream.engine.event_wire import Texts, add_avro, add_protobuf, frame
from fraudstream.engine.schemas import WriterSchema
from fraudstream.engine.wire_writer import WireWriter
from fraudstream.plan.plan import Plan
from fraudstream.schema.event import Field, FieldType
from fraudstream.schema.generate import Member, Shape, Words, avro_text, proto_text, record_name, shape_of
from fraudstream.schema.types import FLOAT, INTEGER, TIMESTAMP, ValueType

_OUTCOMES = tuple(outcome.value for outcome in Outcome)
_RISK_LEVELS = tuple(level.value for level in RiskLevel)
_VERSIONS = ("pipeline", "rules", "lists", "model")


def decision_schema(plan: Plan, form: Format) -> WriterSchema:
    """The schema of a plan's decisions, made from its event and its features.

    Raises:
        UsageError: A field stands at a path that a schema cannot have.
    """
    shape = decision_shape(plan)
    return WriterSchema(form.upper(), avro_text(shape) if form is Format.AVRO else proto_text(shape))


def decision_shape(plan: Plan) -> Shape:
    """What an envelope holds: the event's declared fields, and the decision."""
    pipeline, of = plan.pipeline, plan.pipeline.event.with_tokens
    name = f"{record_name(pipeline.name)}Decision"
    event = Shape(f"{name}Event", shape_of(of, f"{pipeline.name}-decision-event").members)
    features: dict[str, Member] = {
        feature.name: _field(f"features.{feature.name}", plan.types[feature.name], required=False)
        for feature in plan.features
    }
    given: dict[str, Member] = {}
    identity = of.field(of.id or "")
    if identity is not None:
        given["event_id"] = Field(name="event_id", type=identity.type, scale=identity.scale)
    coordinates = {part: _field(part, INTEGER) for part in ("partition", "offset")}
    first = {part: _field(f"duplicate_of.{part}", INTEGER, required=False) for part in ("partition", "offset")}
    given |= {
        "input": Shape(f"{name}Input", {"topic": Words("topic"), **coordinates}),
        "sequence": _field("sequence", INTEGER),
        "outcome": Words("outcome"),
        "score": _field("score", FLOAT, required=False),
        "model_score": _field("model_score", FLOAT, required=False),
        "risk_level": Words("risk_level"),
        "threshold": _field("threshold", FLOAT, required=False),
        "reasons": Words("reasons", many=True),
        "rules": Words("rules", many=True),
        **({"features": Shape(f"{name}Features", features)} if features else {}),
        "versions": Shape(
            f"{name}Versions", {part: Words(f"versions.{part}", required=part != "model") for part in _VERSIONS}
        ),
        "flags": Words("flags", many=True),
        "off": Words("off", many=True),
        "duplicate_of": Shape(f"{name}First", {**first}),
        "event_at": _field("event_at", TIMESTAMP),
        "decided_at": _field("decided_at", TIMESTAMP),
    }
    return Shape(name, {"event": event, "decision": Shape(f"{name}Made", given)})


class DecisionRecords:
    """Writes decisions as records of their schema.

    Args:
        plan: Whose decisions.
        form: Avro or Protobuf.
        schema_id: The id of `decision_schema` in the registry.
    """

    def __init__(self, plan: Plan, form: Format, schema_id: int) -> None:
        self._shape = decision_shape(plan)
        self._form = form
        self._head = frame(form, schema_id)
        WireWriter(np.empty(0, np.int64), zigzag=True).write()  # loads the kernel before a decision waits for it

    def __call__(self, decisions: Decisions, rows: Int64s) -> list[bytes]:
        """The records of the given rows, int64[m]."""
        batch, words = _columns(decisions), _words(decisions)
        if self._form is Format.AVRO:
            writer = WireWriter(rows, zigzag=True)
            add_avro(writer, self._shape, batch, words)
        else:
            writer = WireWriter(rows, zigzag=False)
            add_protobuf(writer, self._shape, batch, rows, words)
        return writer.write(self._head)


@dataclass
class _Made:
    """A batch and its decisions as columns."""

    buffer: Bytes
    columns: dict[str, Column]
    count: int

    def __len__(self) -> int:
        return self.count


def _columns(decisions: Decisions) -> _Made:
    batch, n = decisions.batch, len(decisions.batch)
    threshold = np.nan if decisions.threshold is None else decisions.threshold
    columns = {
        **batch.columns,
        "partition": Column(INTEGER, batch.partition.astype(np.int64)),
        "offset": Column(INTEGER, batch.offset),
        "sequence": Column(INTEGER, decisions.sequence),
        "score": _number(decisions.score),
        "model_score": _number(decisions.model_score),
        "threshold": _number(np.full(n, threshold)),
        "duplicate_of.partition": Column(INTEGER, decisions.duplicate_partition, decisions.duplicate),
        "duplicate_of.offset": Column(INTEGER, decisions.duplicate_offset, decisions.duplicate),
        "event_at": Column(TIMESTAMP, batch.event_at_ms),
        "decided_at": Column(TIMESTAMP, np.full(n, decisions.decided_at_ms, np.int64)),
    }
    if decisions.event_id is not None:
        columns["event_id"] = decisions.event_id
    for name, column in decisions.features.items():
        columns[f"features.{name}"] = (
            _number(column.values.astype(np.float64, copy=False), column.valid) if column.type == FLOAT else column
        )
    return _Made(batch.buffer, columns, n)


def _words(decisions: Decisions) -> Texts:
    n = len(decisions.batch)
    reasons, codes = reasons_of(decisions)
    always = np.zeros(n, np.int8)
    known = {name: decisions.versions.get(name) for name in _VERSIONS}
    return {
        "topic": (always, (decisions.batch.topic,)),
        "outcome": (decisions.outcome, _OUTCOMES),
        "risk_level": (decisions.risk_level, _RISK_LEVELS),
        "reasons": (reasons, codes),
        "rules": (decisions.rule_hits, decisions.rule_codes),
        "flags": (np.stack([getattr(decisions, flag) for flag in FLAGS]), FLAGS),
        "off": (np.ones((len(decisions.off), n), np.bool_), decisions.off),
        **{
            f"versions.{name}": (always if text is not None else always - 1, (text or "",))
            for name, text in known.items()
        },
    }


def _number(values: Floats, valid: Bools | None = None) -> Column:
    """A column of floats in which NaN is null."""
    is_number = ~np.isnan(values)
    return Column(FLOAT, values, is_number if valid is None else is_number & valid)


def _field(name: str, kind: ValueType, *, required: bool = True) -> Field:
    return Field(name=name, type=FieldType(kind.kind.value), scale=kind.scale, required=required)
