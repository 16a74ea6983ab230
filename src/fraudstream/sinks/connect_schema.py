"""The schema of a pipeline's output records as Kafka Connect has it, for records that carry none.

Connect's `JsonConverter` takes one schema for all records of a topic (`schema.content`, Kafka 4.2 and newer) and reads
of each record what the schema names. Sensitive fields are texts: tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fraudstream.define.pipeline import Form
from fraudstream.plan.plan import Plan
from fraudstream.schema.event import Field, FieldType, TimeFormat
from fraudstream.schema.types import Kind, ValueType, type_of

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_FLOAT: Schema = {"type": "double"}
_LONG: Schema = {"type": "int64"}
_BOOLEAN: Schema = {"type": "boolean"}
_INSTANT: Schema = {"type": "int64", "name": "org.apache.kafka.connect.data.Timestamp", "version": 1}
_WRITTEN_INSTANT: Schema = {"type": "string", "name": "io.debezium.time.ZonedTimestamp", "version": 1}
"""An instant as ISO 8601; sinks that know nothing of the name have its text."""
_KINDS = {
    Kind.STRING: _TEXT,
    Kind.INTEGER: _LONG,
    Kind.FLOAT: _FLOAT,
    Kind.BOOLEAN: _BOOLEAN,
    Kind.TIMESTAMP: _INSTANT,
}
_CODES: Schema = {"type": "array", "items": _TEXT}


def connect_schema(plan: Plan, form: Form, *, quoted_decimals: bool = False) -> Schema:
    """The schema of the records of one form.

    What identifies the decision is required, so a record that no scorer wrote is an error and not a row of nulls.
    Everything else is optional: a topic also holds what earlier versions of the pipeline wrote.

    Args:
        plan: The pipeline.
        form: The form of the route.
        quoted_decimals: Whether the decimals of events stand in quotes, and so are text to Connect.
    """
    event = _event(plan, quoted_decimals=quoted_decimals)
    if form is Form.FLAT:
        return _struct({**event, **_FLAT_DECISION}, required=("decision_id",))
    if form is Form.ALERT:
        return _struct(_alert(plan), required=("alert_id",))
    return _struct({"event": _struct(event), "decision": _decision(plan)}, required=("decision",))


def _struct(fields: Mapping[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    listed = [{**schema, "field": name, "optional": name not in required} for name, schema in fields.items()]
    return {"type": "struct", "fields": listed, "optional": False}


_PLACE = _struct(
    {"topic": _TEXT, "partition": {"type": "int32"}, "offset": _LONG}, required=("topic", "partition", "offset")
)
_FLAT_DECISION: dict[str, Schema] = {
    "fraud_score": _FLOAT,
    "is_fraud": _BOOLEAN,
    "risk_level": _TEXT,
    "threshold": _FLOAT,
    "scored_at": _WRITTEN_INSTANT,
    "scoring_latency_ms": _LONG,
    "decision_id": _TEXT,
    "outcome": _TEXT,
    "reasons": _CODES,
}


def _decision(plan: Plan) -> Schema:
    fields: dict[str, Schema] = {
        "event_id": _of(plan, plan.pipeline.event.id),
        "input": _PLACE,
        "sequence": _LONG,
        "outcome": _TEXT,
        "score": _FLOAT,
        "model_score": _FLOAT,
        "risk_level": _TEXT,
        "threshold": _FLOAT,
        "reasons": _CODES,
        "rules": _CODES,
        "features": _features(plan),
        "versions": _versions(plan),
        "flags": _CODES,
        "duplicate_of": _struct({"partition": {"type": "int32"}, "offset": _LONG}),
        "event_at": _INSTANT,
        "decided_at": _INSTANT,
    }
    return _struct(fields, required=("input",))


def _alert(plan: Plan) -> dict[str, Schema]:
    event = plan.pipeline.event
    amount = event.field(event.amount or "")
    return {
        "alert_id": _TEXT,
        "transaction_id": _of(plan, event.id),
        "key": _of(plan, event.key),
        **({} if amount is None else {"amount": _value(type_of(amount))}),
        "score": _FLOAT,
        "risk_level": _TEXT,
        "reasons": _CODES,
        "rules": _CODES,
        "event_at": _WRITTEN_INSTANT,
        "alert_at": _WRITTEN_INSTANT,
        "action_required": _TEXT,
        "features": _features(plan),
        "input": _PLACE,
        "versions": _versions(plan),
    }


def _of(plan: Plan, name: str | None) -> Schema:
    """The value of an event's field; text where there is none and coordinates stand in."""
    field = plan.pipeline.event.field(name or "")
    return _TEXT if field is None else _value(type_of(field))


def _features(plan: Plan) -> Schema:
    return _struct({feature.name: _value(plan.types[feature.name]) for feature in plan.features})


def _versions(plan: Plan) -> Schema:
    names = ["pipeline", "rules", "lists"] + (["model"] if plan.pipeline.model else [])
    return _struct(dict.fromkeys(names, _TEXT))


def _value(kind: ValueType) -> Schema:
    """A value that a scorer writes."""
    return _decimal(kind.scale) if kind.kind is Kind.DECIMAL else _KINDS[kind.kind]


def _decimal(scale: int) -> Schema:
    """As many digits as the 64 bits of minor units have."""
    return {
        "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "version": 1,
        "parameters": {"scale": str(scale), "connect.decimal.precision": "19"},
    }  # fmt: skip


def _event(plan: Plan, *, quoted_decimals: bool) -> dict[str, Schema]:
    """The members of an event as whoever sent it wrote them, and tokens."""
    tree: dict[str, Any] = {}
    for field in plan.pipeline.event.fields:
        *outer, name = (field.path or field.name).split(".")
        inner = tree
        for level in outer:
            if not isinstance(inner.get(level), dict):  # a location's object, of which another field is a part
                inner[level] = {}
            inner = inner[level]
        inner.setdefault(name, field)
    return _members(tree, quoted_decimals)


def _members(tree: Mapping[str, Any], quoted_decimals: bool) -> dict[str, Schema]:
    return {
        name: _written(entry, quoted_decimals)
        if isinstance(entry, Field)
        else _struct(_members(entry, quoted_decimals))
        for name, entry in tree.items()
    }


def _written(field: Field, quoted_decimals: bool) -> Schema:
    match field.type:
        case FieldType.DECIMAL:
            return _TEXT if quoted_decimals else _decimal(field.scale)
        case FieldType.TIMESTAMP:
            return _INSTANT_BY_FORMAT[field.format]
        case _:
            return _value(type_of(field))


_INSTANT_BY_FORMAT = {TimeFormat.ISO8601: _TEXT, TimeFormat.EPOCH_MS: _INSTANT, TimeFormat.EPOCH_S: _FLOAT}
