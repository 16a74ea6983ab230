"""Decode records that name their schema: Avro and Protobuf in Confluent's wire format, to the very columns of JSON.

A record is a zero, the schema's id in four bytes, and what was written with that schema. A chunk may mix schemas: each
is compiled once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fraudstream.define.pipeline import Format
from fraudstream.engine.avro_compile import Compiled, compile_avro
from fraudstream.engine.avro_read import read_avro
from fraudstream.engine.avro_schema import parse_avro
from fraudstream.engine.column import Bools, Int64s
from fraudstream.engine.decode import Decoded, Decoder, Scanned
from fraudstream.engine.decode_cells import Bytes, Matrices, joined
from fraudstream.engine.decode_values import Refused, Value
from fraudstream.engine.event_json import EventWriter
from fraudstream.engine.kernels.avro_scan import scan_avro
from fraudstream.engine.kernels.protobuf_scan import ProtobufProgram, scan_protobuf
from fraudstream.engine.protobuf_compile import CompiledProtobuf, compile_protobuf
from fraudstream.engine.protobuf_read import ProtobufReader
from fraudstream.engine.protobuf_schema import ProtobufSchema
from fraudstream.engine.reject import Reject, RejectClass
from fraudstream.engine.schemas import Schemas, SchemaUnusable, WriterSchema
from fraudstream.engine.tokenise import Tokeniser
from fraudstream.schema.event import Event

HEADER_BYTES = 5
ASKED_AGAIN_S = 10.0
"""How long an id that the registry does not know is taken for unknown."""
_SLOW_S = 1.0
"""A registry that has not answered for so long is waited for."""
_MOST_UNKNOWN = 10_000


class Reader(NamedTuple):
    """How records of one schema are read.

    Attributes:
        tree: From a record to its tree; raises `Refused`.
        compiled: What the kernel does with it; None where it does nothing with it.
        refused: Why records of the first message type cannot be read; other types of the schema may be.
    """

    tree: Callable[[bytes], dict[str, Any]]
    compiled: Compiled | CompiledProtobuf | None = None
    refused: Refused | None = None


class FramedDecoder(Decoder):
    """Decodes chunks of records that name their schema. Two threads may use it at once.

    Args:
        event: What is wanted of the records.
        form: How they are written.
        schemas: Who has the schemas.
        give_up: Ends waiting for one.
    """

    def __init__(
        self, event: Event, form: Format, schemas: Schemas, give_up: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(event)
        self._give_up = give_up
        self._form = form
        self._schemas = schemas
        self._readers: dict[int, Reader | Refused] = {}
        self._unknown_until: dict[int, float] = {}
        self._lock = threading.Lock()
        self._asking: tuple[int, float] | None = None
        self._writer = EventWriter(event)
        self._load()

    @property
    def waits_for(self) -> str | None:
        """The schema that was asked for a while ago and has not come."""
        asking = self._asking
        if asking is None or time.monotonic() - asking[1] < _SLOW_S:
            return None
        return f"the schema registry does not give schema {asking[0]}"

    def give_up(self) -> None:
        """Ends waiting for a schema: whoever decodes gets RegistryUnreachable."""
        self._give_up()

    def tree(self, record: bytes | None) -> dict[str, Any]:
        """What a record holds, as the reference decoder reads it.

        Raises:
            Refused: It is no record of its schema.
            RegistryUnreachable: Its schema is not known, and cannot be asked for now.
        """
        framed = self._reference.sized(record)
        reader = self._reader(_schema_id(framed))
        if isinstance(reader, Refused):
            raise reader
        return reader.tree(framed)

    def _scan(self, values: list[bytes | None]) -> Scanned:
        buffer, start, length = joined(values)
        ids = _schema_ids(buffer, start, length)
        readers = {each: self._reader(each) for each in np.unique(ids[ids >= 0]).tolist()}
        compiled = {
            each: reader.compiled
            for each, reader in readers.items()
            if isinstance(reader, Reader) and reader.compiled is not None
        }
        symbols = b"".join(each.symbols for each in compiled.values())
        cells = Matrices(self._columns, len(values), len(symbols))
        cells.side[:] = np.frombuffer(symbols, np.uint8)
        ok = np.zeros(len(values), np.bool_)
        places = cells.addresses(len(buffer))
        fits = length <= self._event.max_bytes
        symbols_at = len(buffer)
        begin = start + HEADER_BYTES
        for each, found in compiled.items():
            here = (ids == each) & fits
            if isinstance(found, Compiled):
                rows = np.flatnonzero(here)
                scan_avro(
                    buffer, begin, start + length, rows, found.program, symbols_at, self._compiled.paths, places, ok
                )
            else:  # other message types than the first, whose place is 0, are the reference's
                rows = np.flatnonzero(here & (length > HEADER_BYTES) & (buffer[begin] == 0))
                scan_protobuf(
                    buffer, begin + 1, start + length, rows, found.program, symbols_at, self._compiled.paths, places, ok
                )
            symbols_at += len(found.symbols)
        return Scanned(buffer, start, length, cells, ok, len(symbols))

    def _refer(self, record: bytes | None, timestamp_ms: int, row: int) -> dict[str, Value] | Reject:
        try:
            tree = self.tree(record)
        except Refused as refused:
            return Reject(row, refused.kind, refused.reason)
        return self._reference.convert(tree, timestamp_ms, row)

    def _replace(self, tokeniser: Tokeniser, decoded: Decoded, cells: Matrices, sure: Bools, records_end: int) -> None:
        """Puts tokens into the columns; events are written from them, and records are not passed on."""
        tokeniser.in_columns(decoded, self._sensitive, sure)

    def _rewritten(self, tokeniser: Tokeniser, record: bytes) -> bytes:
        return b""

    def _finish(self, decoded: Decoded) -> None:
        """Refuses events that would be too long as JSON, for whoever reads them from a decision."""
        rows = np.flatnonzero(decoded.ok & (self._writer.most_bytes(decoded) > self._event.max_bytes))
        texts = self._writer.texts(decoded, rows) if len(rows) else []
        for row, text in zip(rows.tolist(), texts, strict=True):
            if len(text) > self._event.max_bytes:
                reason = f"The event has {len(text)} bytes as JSON; allowed are {self._event.max_bytes}."
                decoded.rejects.append(Reject(row, RejectClass.TOO_LARGE, reason))
                decoded.ok[row] = False

    def _load(self) -> None:
        """Loads or compiles the kernel now, and not when the first record waits for it."""
        nothing = np.empty(0, np.int64)
        buffer, start, length = joined([])
        places, ok = Matrices(self._columns, 0, 0).addresses(0), np.empty(0, np.bool_)
        paths = self._compiled.paths
        if self._form is Format.AVRO:
            scan_avro(buffer, start, length, nothing, Compiled([], [], b"").program, 0, paths, places, ok)
        else:
            empty = ProtobufProgram._make([0] * len(ProtobufProgram._fields))
            scan_protobuf(buffer, start, length, nothing, empty, 0, paths, places, ok)

    def _reader(self, schema_id: int) -> Reader | Refused:
        with self._lock:
            known = self._readers.get(schema_id)
            if known is not None:
                return known
            if self._unknown_until.get(schema_id, 0) < time.monotonic():
                self._asking = schema_id, time.monotonic()
                try:
                    found = self._schemas.schema(schema_id)
                finally:
                    self._asking = None
                if found is not None:
                    self._readers[schema_id] = made = reader_of(schema_id, found, self._event, self._form)
                    return made
                if len(self._unknown_until) >= _MOST_UNKNOWN:
                    self._unknown_until.clear()
                self._unknown_until[schema_id] = time.monotonic() + ASKED_AGAIN_S
        return Refused(RejectClass.UNKNOWN_SCHEMA, f"The registry has no schema {schema_id}.")


def reader_of(schema_id: int, schema: WriterSchema, event: Event, form: Format) -> Reader | Refused:
    """How records of a schema are read, or why none can be.

    Args:
        schema_id: The schema's id.
        schema: The schema.
        event: What is wanted.
        form: What the records are meant to be.
    """
    try:
        if schema.kind != form.upper():
            raise SchemaUnusable(f"it is {schema.kind}, and the topic's format is {form}")
        if form is Format.PROTOBUF:
            of_types = ProtobufSchema(schema.text, schema.references)
            read = ProtobufReader(of_types, schema_id, event)
            refused = read.first()
            is_scanned = refused is None and of_types.is_proto3
            compiled = compile_protobuf(of_types.message((0,)).DESCRIPTOR, event) if is_scanned else None
            return Reader(lambda record: read(record, HEADER_BYTES), compiled, refused)
        parsed = parse_avro(schema.text, [text for _, text in schema.references])
        return Reader(lambda record: read_avro(record, HEADER_BYTES, parsed), compile_avro(parsed, event))
    except (SchemaUnusable, RecursionError) as unusable:
        why = "it is nested too deeply" if isinstance(unusable, RecursionError) else unusable
        return Refused(RejectClass.INCOMPATIBLE_SCHEMA, f"schema {schema_id}: {why}.")


def _schema_ids(buffer: Bytes, start: Int64s, length: Int64s) -> Int64s:
    """int64[n]: the schema each record names; -1 where it names none."""
    head = buffer[start[:, None] + np.arange(HEADER_BYTES)]  # what a short record lacks is there: spare bytes
    ids = head[:, 1:].copy().view(">u4").ravel().astype(np.int64)
    return np.where((head[:, 0] == 0) & (length >= HEADER_BYTES), ids, -1)


def _schema_id(record: bytes) -> int:
    if len(record) < HEADER_BYTES or record[0] != 0:
        begins = record[:HEADER_BYTES].hex(" ")
        raise Refused(
            RejectClass.BAD_FRAME,
            f"The record begins with {begins}; a zero and a schema's id in four bytes are expected.",
        )
    return int.from_bytes(record[1:HEADER_BYTES], "big")
