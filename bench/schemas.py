"""What Avro and Protobuf cost beside JSON: the same events decoded to the same columns, decisions written, on one core.

The times are the best of runs, in microseconds a record; JSON is timed in the same run. Prints JSON, or writes it.
"""

from __future__ import annotations

import argparse
import io
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastavro
import numpy as np

from bench.decode import CARD, NOW_MS, ROWS, TERMINAL, card_event, microseconds, terminal_event
from fraudstream.define.pipeline import Form, Format, Pipeline, Topic
from fraudstream.engine.batch import Batch
from fraudstream.engine.decision_wire import DecisionRecords
from fraudstream.engine.decode import Decoder
from fraudstream.engine.decode_framed import FramedDecoder
from fraudstream.engine.encode import Encoder
from fraudstream.engine.event_records import EventRecords, event_schema
from fraudstream.engine.program import Program
from fraudstream.engine.schemas import WriterSchema
from fraudstream.pipelines import SHIPPED, find_plan
from fraudstream.runner.warmup import sample
from fraudstream.schema.event import Event
from fraudstream.state.ids import Labels


class OneSchema:
    def __init__(self, schema: WriterSchema) -> None:
        self._schema = schema

    def schema(self, schema_id: int) -> WriterSchema:
        return self._schema


def measured(event: Event, events: list[dict[str, Any]]) -> dict[str, Any]:
    times = np.full(ROWS, NOW_MS)
    lines = [json.dumps(each, separators=(",", ":")).encode() for each in events]
    pipeline = Pipeline(name="bench", event=event, input=Topic(name="events"))
    plain = Decoder(event)
    assert plain.decode([*lines], times).ok.all()
    json_us = microseconds(lambda: plain.decode([*lines], times))
    result: dict[str, Any] = {"json_bytes": mean_bytes(lines), "json_us": json_us}
    for form in (Format.AVRO, Format.PROTOBUF):
        schema, writer = event_schema(pipeline, form), EventRecords(pipeline, form, 1)
        records = writer(lines)
        framed = FramedDecoder(event, form, OneSchema(schema))
        decoded = framed.decode([*records], times)
        assert decoded.ok.all()
        assert form is not Format.AVRO or not decoded.slow_rows
        taken_us = microseconds(lambda framed=framed, records=records: framed.decode([*records], times))
        result |= {
            f"{form}_bytes": mean_bytes(records),
            f"{form}_us": taken_us,
            f"{form}_over_json": round(taken_us / json_us, 2),
            f"{form}_written_us": microseconds(lambda writer=writer: writer(lines)),
        }
    avro = fastavro.parse_schema(json.loads(event_schema(pipeline, Format.AVRO).text))
    bodies = [record[5:] for record in EventRecords(pipeline, Format.AVRO, 1)(lines)]
    result["fastavro_us"] = microseconds(
        lambda: [fastavro.schemaless_reader(io.BytesIO(each), avro) for each in bodies]
    )
    return result


def encoding() -> dict[str, Any]:
    """Envelopes of a shipped pipeline with all its features, in each form."""
    plan = find_plan("terminal-payments", SHIPPED, {})
    lines: list[bytes | None] = [sample(plan.pipeline.event, row) for row in range(4)]
    decoded = Decoder(plan.pipeline.event).decode(lines * (ROWS // 4), np.full(ROWS, NOW_MS))
    batch = Batch.of(decoded, "events", np.zeros(ROWS, np.int32), np.arange(ROWS))
    program, rows = Program(plan), np.arange(ROWS)
    decisions = program.decide(program.new_state(), batch, Labels.none(), NOW_MS)
    encoder = Encoder(plan)
    values, _ = encoder.encode(Form.ENVELOPE, decisions, rows)
    result = {
        "features": len(plan.features),
        "json_bytes": mean_bytes(values),
        "json_us": microseconds(lambda: encoder.encode(Form.ENVELOPE, decisions, rows)),
    }
    for form in (Format.AVRO, Format.PROTOBUF):
        writer = DecisionRecords(plan, form, 1)
        result[f"{form}_bytes"] = mean_bytes(writer(decisions, rows))
        result[f"{form}_us"] = microseconds(lambda writer=writer: writer(decisions, rows))
    return result


def mean_bytes(records: Sequence[bytes]) -> int:
    return round(sum(map(len, records)) / len(records))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    source = random.Random(1)
    results = {
        "rows": ROWS,
        "terminal_payments": measured(TERMINAL, [terminal_event(source, row) for row in range(ROWS)]),
        "card_payments": measured(CARD, [card_event(source, row, 6) for row in range(ROWS)]),
        "decisions": encoding(),
    }
    text = json.dumps(results, indent=1) + "\n"
    if out is None:
        print(text, end="")
    else:
        out.write_text(text)


if __name__ == "__main__":
    main()
