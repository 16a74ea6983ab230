"""Avro events have the same tokens as JSON events, and no value of a sensitive field is in what is written of them."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import numpy as np
from decoding import now, values_of

from fraudstream.define.pipeline import Format
from fraudstream.engine.batch import Batch, gather
from fraudstream.engine.decode import Decoder
from fraudstream.engine.decode_framed import FramedDecoder
from fraudstream.engine.event_json import EventWriter
from fraudstream.engine.schemas import WriterSchema
from fraudstream.schema.event import Event, Field, FieldType

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
