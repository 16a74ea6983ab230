"""A pipeline whose input is Avro or Protobuf, and its payments as the writers of several schemas send them."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro

from fraudstream.define.decision import Action, Rule
from fraudstream.define.feature import Feature, FeatureKind
from fraudstream.define.pipeline import Format, Pipeline, Topic
from fraudstream.engine.schemas import WriterSchema
from fraudstream.schema.event import Event, Field, FieldType

START_MS = 1_767_225_600_000

EVENT = Event(
    id="id",
    time="at",
    key="card",
    amount="amount",
    fields=(
        Field(name="id", type=FieldType.STRING),
        Field(name="at", type=FieldType.TIMESTAMP),
        Field(name="card", type=FieldType.STRING, sensitive=False),
        Field(name="amount", type=FieldType.DECIMAL),
        Field(name="country", type=FieldType.STRING, path="merchant.country", required=False),
        Field(name="note", type=FieldType.STRING, required=False),
    ),
)

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "string"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "card", "type": "string"},
    {"name": "amount", "type": DECIMAL},
    {
        "name": "merchant",
        "type": ["null", {"type": "record", "name": "Merchant", "fields": [{"name": "country", "type": "string"}]}],
        "default": None,
    },
]


def pipeline(form: Format = Format.AVRO, partitions: int = 1) -> Pipeline:
    """Counts and sums by card; 900 and more are blocked."""
    return Pipeline(
        name="payments",
        event=EVENT,
        input=Topic(name="payments", partitions=partitions, format=form),
        features=(
            Feature(name="card_count", kind=FeatureKind.COUNT, by=("card",), over="1h"),
            Feature(name="card_sum", kind=FeatureKind.SUM, of="amount", by=("card",), over="1h"),
        ),
        rules=(Rule(code="HIGH", when="amount >= 900", action=Action.BLOCK),),
    )


def avro(*changed: dict[str, Any], without: tuple[str, ...] = ()) -> WriterSchema:
    """The schema with other or more fields, and without some."""
    named = {each["name"]: each for each in FIELDS} | {each["name"]: each for each in changed}
    fields = [each for name, each in named.items() if name not in without]
    return WriterSchema(
        "AVRO", json.dumps({"type": "record", "name": "Payment", "namespace": "shop", "fields": fields})
    )


def framed(schema_id: int, body: bytes) -> bytes:
    """Confluent's wire format."""
    return b"\0" + schema_id.to_bytes(4, "big") + body


def written(schema: WriterSchema, members: dict[str, Any], schema_id: int) -> bytes:
    """A record as fastavro writes it."""
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(json.loads(schema.text)), members)
    return framed(schema_id, stream.getvalue())


def payment(number: int, cents: int = 1_050, **changes: Any) -> dict[str, Any]:
    """A payment; a second after the one numbered before it. Members given as `...` are left out."""
    members = {
        "id": f"p{number}",
        "at": START_MS + 1_000 * number,
        "card": f"c{number % 3}",
        "amount": cents.to_bytes(5, "big", signed=True),
        "merchant": {"country": "DE"} if number % 2 else None,
        **changes,
    }
    return {name: value for name, value in members.items() if value is not ...}
