"""Avro and Protobuf events have the tokens of JSON events, and no value of a sensitive field is in what is written."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import msgspec
import numpy as np
import pytest
from decoding import now, values_of

from fraudstream.define.pipeline import Format, Pipeline, Topic
from fraudstream.engine.avro_read import read_avro
from fraudstream.engine.avro_schema import parse_avro
from fraudstream.engine.batch import Batch, gather
from fraudstream.engine.decision_wire import DecisionRecords, decision_schema
from fraudstream.engine.decode import Decoder
from fraudstream.engine.decode_framed import FramedDecoder
from fraudstream.engine.decode_values import Refused
from fraudstream.engine.event_json import EventWriter
from fraudstream.engine.event_records import EventRecords, event_schema
from fraudstream.engine.program import Program
from fraudstream.engine.schemas import WriterSchema
from fraudstream.plan.compile import plan_of
from fraudstream.schema.event import Event, Field, FieldType
from fraudstream.state.ids import Labels

from .test_written import Known as OneSchema

EVENT = Event(
    fields=(
        Field(name="id", type=FieldType.STRING),
        Field(name="card", type=FieldType.STRING, sensitive=True),
        Field(name="bank", type=FieldType.STRING, sensitive=True),
        Field(name="account", type=FieldType.INTEGER, sensitive=True, required=False),
    ),
)
SCHEMA = {
    "type": "record", "name": "Payment",
    "fields": [
        {"name": "id", "type": "string"}, {"name": "card", "type": "string"},
        {"name": "bank", "type": {"type": "enum", "name": "Bank", "symbols": ["NORTH", "SOUTH"]}},
        {"name": "account", "type": ["null", "long"]},
    ],
}  # fmt: skip
PARSED = fastavro.parse_schema(SCHEMA)
EVENTS: list[dict[str, Any]] = [
    {"id": f"e{n}", "card": str(4_111_111_111_111_111 + n % 3), "bank": ("NORTH", "SOUTH")[n % 2],
     "account": None if n % 4 else 10**15 + n} for n in range(40)
]  # fmt: skip


class Known:
    """A registry with one schema."""

    def schema(self, schema_id: int) -> WriterSchema | None:
        return WriterSchema("AVRO", json.dumps(SCHEMA))


def written(members: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, PARSED, members)
    return b"\0\0\0\0\7" + stream.getvalue()


def test_avro_events_have_the_tokens_of_json_events() -> None:
    decoded = FramedDecoder(EVENT, Format.AVRO, Known()).decode([written(each) for each in EVENTS], now(40))
    as_json = Decoder(EVENT).decode([json.dumps(each).encode() for each in EVENTS], now(40))
    assert decoded.ok.all() and decoded.slow_rows == sum(each["account"] is not None for each in EVENTS)
    whole = Batch.of(decoded, "t", np.zeros(40, np.int32), np.arange(40))
    rows = np.arange(40)
    batch = gather([(whole, rows[::2]), (whole, rows[1::2])], np.argsort(np.r_[rows[::2], rows[1::2]]))
    for name in ("id", "card", "bank", "account"):
        assert values_of(decoded, name) == values_of(batch, name) == values_of(as_json, name)  # type: ignore[arg-type]
        for part in ("values", "high"):
            mine, other = (getattr(each.columns[name], part) for each in (decoded, as_json))
            valid = decoded.columns[name].valid
            assert (mine == other)[slice(None) if valid is None else valid].all()
    texts = EventWriter(EVENT).texts(batch, rows)
    assert [json.loads(text)["card"] for text in texts] == values_of(as_json, "card")
    assert not any(b"41111111" in text or b"NORTH" in text or b"10000000" in text for text in texts)


def test_protobuf_events_have_the_tokens_of_json_events() -> None:
    raw = Pipeline(name="raw", event=EVENT, input=Topic(name="raw"))
    lines = [json.dumps(each).encode() for each in EVENTS]
    records = EventRecords(raw, Format.PROTOBUF, 7)(lines)
    assert b"4111111111111111" in records[0], "the input holds values"
    decoder = FramedDecoder(EVENT, Format.PROTOBUF, OneSchema(event_schema(raw, Format.PROTOBUF)))
    decoded, as_json = decoder.decode([*records], now(40)), Decoder(EVENT).decode([*lines], now(40))
    assert decoded.ok.all()
    for name in ("id", "card", "bank", "account"):
        assert values_of(decoded, name) == values_of(as_json, name)


def test_decisions_in_any_format_hold_tokens_and_no_values() -> None:
    event = msgspec.structs.replace(
        EVENT, id="account", fields=tuple(msgspec.structs.replace(f, required=True) for f in EVENT.fields)
    )
    plan = plan_of(Pipeline(name="raw", event=event, input=Topic(name="raw")))
    lines = [json.dumps({**each, "account": 10**15 + n}).encode() for n, each in enumerate(EVENTS)]
    decoded = Decoder(event).decode([*lines], now(40))
    program, rows = Program(plan), np.arange(40)
    batch = Batch.of(decoded, "raw", np.zeros(40, np.int32), rows)
    decisions = program.decide(program.new_state(), batch, Labels.none(), 0)
    schema = fastavro.parse_schema(json.loads(decision_schema(plan, Format.AVRO).text))
    sent = DecisionRecords(plan, Format.AVRO, 7)(decisions, rows)
    found = [fastavro.schemaless_reader(io.BytesIO(each[5:]), schema) for each in sent]
    assert [each["event"]["account"] for each in found] == values_of(decoded, "account")
    assert [each["decision"]["event_id"] for each in found] == values_of(decoded, "account")
    for record in [*sent, *DecisionRecords(plan, Format.PROTOBUF, 7)(decisions, rows)]:
        assert b"41111111" not in record and b"NORTH" not in record and b"10000000" not in record


def test_a_refusal_does_not_say_a_number_that_was_read() -> None:
    """A card's number where the schema has a choice, a length or an int: the bytes of another schema."""
    number = 4_111_111_111_111_111
    for kind in (["null", "string"], "string", "bytes", "int", {"type": "array", "items": "string"}):
        fields = [{"name": "card", "type": kind}, {"name": "id", "type": "string"}]
        schema = parse_avro(json.dumps({"type": "record", "name": "R", "fields": fields}))
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, "long", number)
        with pytest.raises(Refused) as refused:
            read_avro(stream.getvalue() + b"\0\0", 0, schema)
        assert str(number) not in refused.value.reason, refused.value.reason
