"""Events as the records that a pipeline reads: what a simulator sends where the input is Avro or Protobuf."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from fraudstream.define.pipeline import Format, Pipeline
from fraudstream.engine.decode import Decoder
from fraudstream.engine.event_wire import add_avro, add_protobuf, frame
from fraudstream.engine.schemas import WriterSchema
from fraudstream.engine.wire_writer import WireWriter
from fraudstream.errors import DataError
from fraudstream.schema.generate import avro_text, proto_text, shape_of

_NO_TIMESTAMP_MS = 2**62


def event_schema(pipeline: Pipeline, form: Format) -> WriterSchema:
    """The schema of a pipeline's events, made from its fields.

    Raises:
        UsageError: A field stands at a path that a schema cannot have.
    """
    shape = shape_of(pipeline.event, pipeline.name)
    return WriterSchema(form.upper(), avro_text(shape) if form is Format.AVRO else proto_text(shape))


class EventRecords:
    """Makes records of events in JSON.

    Args:
        pipeline: Whose events.
        form: Avro or Protobuf.
        schema_id: The id of `event_schema` in the registry.
    """

    def __init__(self, pipeline: Pipeline, form: Format, schema_id: int) -> None:
        # What is sent is what the input is to hold: values, and no tokens in their place.
        fields = tuple(msgspec.structs.replace(field, sensitive=False) for field in pipeline.event.fields)
        self._decoder = Decoder(msgspec.structs.replace(pipeline.event, fields=fields))
        self._shape = shape_of(pipeline.event, pipeline.name)
        self._form = form
        self._head = frame(form, schema_id)

    def __call__(self, values: Sequence[bytes]) -> list[bytes]:
        """The records of the events.

        Raises:
            DataError: One of them is no event of the pipeline.
        """
        decoded = self._decoder.decode([*values], np.full(len(values), _NO_TIMESTAMP_MS))
        if decoded.rejects:
            first = decoded.rejects[0]
            raise DataError(f"Not every event is one of the pipeline: {first.reason}", "Compare them with its fields.")
        rows = np.arange(len(values), dtype=np.int64)
        if self._form is Format.AVRO:
            writer = WireWriter(rows, zigzag=True)
            add_avro(writer, self._shape, decoded)
            return writer.write(self._head)
        writer = WireWriter(rows, zigzag=False)
        add_protobuf(writer, self._shape, decoded, rows)
        return writer.write(self._head)
