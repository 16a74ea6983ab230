"""Events written with the generated schemas are read as what they were, by our decoder and by the formats' own."""

from __future__ import annotations

import io
import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import fastavro
import msgspec
import numpy as np
import pytest
from decoding import EVENT, NOW_MS, now, values_of
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudstream.define.pipeline import Format, Pipeline, Topic
from fraudstream.engine.decode import Decoder
from fraudstream.engine.decode_framed import FramedDecoder
from fraudstream.engine.event_records import EventRecords, event_schema
from fraudstream.engine.protobuf_schema import ProtobufSchema
from fraudstream.engine.schemas import WriterSchema
from fraudstream.errors import DataError, UsageError
from fraudstream.pipelines import SHIPPED, find_plan, names
from fraudstream.runner.warmup import sample
from fraudstream.schema.event import Event, Field, FieldType

PIPELINE = Pipeline(name="my-events", event=EVENT, input=Topic(name="events"))
FORMS = (Format.AVRO, Format.PROTOBUF)


class Known:
    """A registry with one schema."""

    def __init__(self, schema: WriterSchema) -> None:
        self._schema = schema

    def schema(self, schema_id: int) -> WriterSchema:
        return self._schema


def reader(pipeline: Pipeline, form: Format) -> FramedDecoder:
    return FramedDecoder(pipeline.event, form, Known(event_schema(pipeline, form)))


READERS = {form: reader(PIPELINE, form) for form in FORMS}
WRITERS = {form: EventRecords(PIPELINE, form, 7) for form in FORMS}
events: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "id": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
        "at": st.datetimes(datetime(1970, 1, 1), datetime(2026, 11, 1)).map(str),
        "count": st.integers(-(2**63), 2**63 - 1),
        "amount": st.integers(-(10**12), 10**12).map(lambda minor: str(Decimal(minor) / 100)),
    },
    optional={
        "v": st.floats(allow_nan=False, allow_infinity=False),
        "online": st.booleans(),
        "seen_ms": st.integers(0, 10**12),
        "seen_s": st.integers(0, 10**9),
        "client": st.sampled_from([{}, {"ip": "é"}, {"device": {"id": "d"}}, {"ip": "", "device": {"id": None}}]),
        "place": st.sampled_from(["Paris", "nowhere", {"lat": 1.5, "lon": -2}, {"lat": 1.5}]),
        "merchant": st.just({"where": {"latitude": 89.5, "longitude": -179}}),
    },
)  # fmt: skip


@given(st.lists(events, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(cases: list[dict[str, Any]]) -> None:
    lines = [json.dumps(case).encode() for case in cases]
    expected = Decoder(EVENT).decode([*lines], now(len(lines)))
    assert not expected.rejects
    for form in FORMS:
        found = READERS[form].decode([*WRITERS[form](lines)], now(len(lines)))
        assert not found.rejects
        for name in expected.columns:
            assert values_of(found, name) == values_of(expected, name), (form, name)


@pytest.mark.parametrize("name", names())
def test_shipped_pipelines_have_schemas_that_their_libraries_take(name: str) -> None:
    pipeline = find_plan(name, SHIPPED, {}).pipeline
    lines = [sample(pipeline.event, row) for row in range(4)]
    expected = Decoder(pipeline.event).decode([*lines], now(4))
    for form in FORMS:
        records = EventRecords(pipeline, form, 7)(lines)
        found = reader(pipeline, form).decode([*records], now(4))
        for column in expected.columns:
            assert values_of(found, column) == values_of(expected, column)
    avro = fastavro.parse_schema(json.loads(event_schema(pipeline, Format.AVRO).text))
    record = EventRecords(pipeline, Format.AVRO, 7)(lines)[0]
    stream = io.BytesIO(record[5:])
    fastavro.schemaless_reader(stream, avro)
    assert stream.read() == b""
    message = ProtobufSchema(event_schema(pipeline, Format.PROTOBUF).text).message((0,))
    parsed = message.FromString(EventRecords(pipeline, Format.PROTOBUF, 7)(lines)[0][6:])
    assert json_format.MessageToDict(parsed)


def test_the_schema_of_an_event() -> None:
    event = Event(
        fields=(
            Field(name="id", type=FieldType.STRING),
            Field(name="card", type=FieldType.STRING, path="card.hash", aliases=("card.token", "pan")),
            Field(name="amount", type=FieldType.DECIMAL, required=False),
            Field(name="at", type=FieldType.TIMESTAMP, path="meta.at", required=False),
        )
    )
    pipeline = Pipeline(name="my-payments", event=event, input=Topic(name="payments"))
    avro = json.loads(event_schema(pipeline, Format.AVRO).text)
    assert [each["name"] for each in avro["fields"]] == ["id", "card", "amount", "meta"]
    assert avro["fields"][1]["type"]["fields"] == [{"name": "hash", "type": "string", "aliases": ["token"]}]
    assert avro["fields"][2]["type"][1]["logicalType"] == "decimal"
    assert avro["fields"][3]["type"][0] == "null", "an object is there if anything in it is"
    assert event_schema(pipeline, Format.PROTOBUF).text.splitlines()[5:] == [
        "message MyPayments {",
        "  string id = 1;",
        "  message Card {",
        "    string hash = 1;",
        "  }",
        "  Card card = 2;",
        "  optional string amount = 3;",
        "  message Meta {",
        "    google.protobuf.Timestamp at = 1;",
        "  }",
        "  Meta meta = 4;",
        "}",
    ]
    odd = msgspec.structs.replace(event.fields[0], path="no-name")
    with pytest.raises(UsageError, match="'no-name' is no name in a schema"):
        event_schema(msgspec.structs.replace(pipeline, event=Event(fields=(odd,))), Format.AVRO)


def test_what_is_no_event_is_not_written() -> None:
    with pytest.raises(DataError, match="Not every event is one of the pipeline: id: absent"):
        WRITERS[Format.AVRO]([b"{}"])
    assert np.int64(NOW_MS) > 0
