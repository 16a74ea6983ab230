"""What reading Avro and Protobuf costs beside JSON: the same events, decoded to the same columns, on one core.

The times are the best of runs, in microseconds a record; JSON is timed in the same run. Prints JSON, or writes it.
"""

from __future__ import annotations

import argparse
import io
import json
import random
from pathlib import Path
from typing import Any

import fastavro
import numpy as np

from bench.decode import CARD, NOW_MS, ROWS, TERMINAL, card_event, microseconds, terminal_event
from fraudstream.define.pipeline import Format
from fraudstream.engine.decode import Decoder
from fraudstream.engine.decode_framed import FramedDecoder
from fraudstream.engine.schemas import WriterSchema
from fraudstream.schema.event import Event, FieldType
from fraudstream.units import parse_instant

AVRO = {
    FieldType.STRING: "string",
    FieldType.INTEGER: "long",
    FieldType.FLOAT: "double",
    FieldType.DECIMAL: {"type": "bytes", "logicalType": "decimal", "precision": 15, "scale": 2},
    FieldType.TIMESTAMP: {"type": "long", "logicalType": "timestamp-millis"},
}


class OneSchema:
    def __init__(self, schema: WriterSchema) -> None:
        self._schema = schema

    def schema(self, schema_id: int) -> WriterSchema:
        return self._schema


def avro_records(event: Event, events: list[dict[str, Any]]) -> tuple[WriterSchema, list[bytes | None]]:
    fields = [{"name": field.name, "type": AVRO[field.type]} for field in event.fields]
    schema = {"type": "record", "name": "Event", "fields": fields}
    parsed = fastavro.parse_schema(schema)
    records: list[bytes | None] = []
    for each in events:
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, parsed, typed(event, each))
        records.append(b"\0\0\0\0\1" + stream.getvalue())
    return WriterSchema("AVRO", json.dumps(schema)), records


def typed(event: Event, members: dict[str, Any]) -> dict[str, Any]:
    """The event's values as the types of its schema have them."""
    found = dict(members)
    for field in event.fields:
        if field.type is FieldType.TIMESTAMP:
            found[field.name] = parse_instant(members[field.name])
        elif field.type is FieldType.DECIMAL:
            found[field.name] = round(members[field.name] * 100).to_bytes(8, "big", signed=True).lstrip(b"\0") or b"\0"
            if found[field.name][0] >= 0x80:
                found[field.name] = b"\0" + found[field.name]
    return found


def measured(event: Event, events: list[dict[str, Any]]) -> dict[str, Any]:
    times = np.full(ROWS, NOW_MS)
    json_records: list[bytes | None] = [json.dumps(each, separators=(",", ":")).encode() for each in events]
    schema, records = avro_records(event, events)
    plain, framed = Decoder(event), FramedDecoder(event, Format.AVRO, OneSchema(schema))
    decoded = framed.decode(records, times)
    assert decoded.ok.all() and not decoded.slow_rows
    assert plain.decode(json_records, times).ok.all()
    parsed = fastavro.parse_schema(json.loads(schema.text))
    bodies = [record[5:] for record in records if record is not None]
    json_us = microseconds(lambda: plain.decode(json_records, times))
    avro_us = microseconds(lambda: framed.decode(records, times))
    return {
        "json_bytes": round(sum(len(record or b"") for record in json_records) / ROWS),
        "avro_bytes": round(sum(len(record or b"") for record in records) / ROWS),
        "json_us": json_us,
        "avro_us": avro_us,
        "avro_one_record_us": microseconds(lambda: framed.decode(records[:1], times[:1]), 1),
        "json_over_avro": round(json_us / avro_us, 2),
        "fastavro_us": microseconds(lambda: [fastavro.schemaless_reader(io.BytesIO(each), parsed) for each in bodies]),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    source = random.Random(1)
    results = {
        "rows": ROWS,
        "terminal_payments": measured(TERMINAL, [terminal_event(source, row) for row in range(ROWS)]),
        "card_payments": measured(CARD, [card_event(source, row, 6) for row in range(ROWS)]),
    }
    text = json.dumps(results, indent=1) + "\n"
    if out is None:
        print(text, end="")
    else:
        out.write_text(text)


if __name__ == "__main__":
    main()
