"""Events as JSON, for records that are none: what is declared, so written that it decodes to the same columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import orjson

from fraudstream.engine.column import Column, Int64s
from fraudstream.engine.decode_cells import SPARE, Bytes
from fraudstream.engine.record_writer import RecordWriter
from fraudstream.schema.columns import columns_of
from fraudstream.schema.event import Event, Field, FieldType, TimeFormat

_SECOND_DIGITS = 3
_LONGEST_NUMBER = 40
_ESCAPED_BYTES = 6


class Columns(Protocol):
    """A batch, or a chunk that was decoded."""

    buffer: Bytes
    columns: dict[str, Column]

    def __len__(self) -> int: ...


class EventWriter:
    """Writes events as JSON objects: the declared fields at their paths, null where there is nothing.

    Args:
        event: What the events hold.
    """

    def __init__(self, event: Event) -> None:
        self._parts: list[tuple[str, Field]] = []
        tree: dict[str, object] = {}
        for field in event.fields:
            *outer, last = field.paths[0].split(".")
            place = tree
            for name in outer:
                place = place.setdefault(name, {})  # type: ignore[assignment]
            place.setdefault(last, field)
        self._literal = ""
        self._add(tree)
        self._most_bytes = len(self._literal.encode()) + sum(len(text.encode()) for text, _ in self._parts)
        self._most_bytes += _LONGEST_NUMBER * len(columns_of(event))

    def add_to(self, writer: RecordWriter, batch: Columns, rows: Int64s) -> None:
        """Appends the events, but for the brace that closes them, to a record's template.

        Args:
            writer: The template of the given rows.
            batch: What was decoded.
            rows: int64[m].
        """
        for literal, field in self._parts:
            writer.literal(literal)
            _write(writer, field, batch, rows)
        writer.literal(self._literal[:-1])

    def texts(self, batch: Columns, rows: Int64s) -> list[bytes]:
        """The events of the given rows, int64[m]."""
        writer = RecordWriter(rows)
        self.add_to(writer, batch, rows)
        writer.literal("}")
        return writer.write()

    def most_bytes(self, batch: Columns) -> Int64s:
        """int64[n]: what no event has more bytes than."""
        most = np.full(len(batch), self._most_bytes, np.int64)
        for column in batch.columns.values():
            if column.length is not None:
                most += _ESCAPED_BYTES * column.length
        return most

    def _add(self, tree: Mapping[str, object]) -> None:
        for place, (name, inner) in enumerate(tree.items()):
            self._literal += ("," if place else "{") + orjson.dumps(name).decode() + ":"
            if isinstance(inner, Field):
                self._parts.append((self._literal, inner))
                self._literal = ""
            elif isinstance(inner, dict):
                self._add(inner)
        self._literal += "}"


def _write(writer: RecordWriter, field: Field, batch: Columns, rows: Int64s) -> None:
    column = batch.columns[field.name]
    if field.type is FieldType.LOCATION:
        _write_place(writer, field.name, batch, rows)
    elif field.type is not FieldType.TIMESTAMP:
        writer.column(column, batch.buffer)
    elif field.format is TimeFormat.ISO8601:
        if column.valid is not None:
            writer.nothing_where_null(column.valid, parts=1)
        writer.instant(column.values.astype(np.int64, copy=False))
    else:
        digits = _SECOND_DIGITS if field.format is TimeFormat.EPOCH_S else 0
        writer.decimal(column.values.astype(np.int64, copy=False), digits, column.valid)


def _write_place(writer: RecordWriter, place: str, batch: Columns, rows: Int64s) -> None:
    """A city's name; an object with the coordinates where there is none, null where there are none either."""
    name, lat, lon = (batch.columns[place + part] for part in ("", ".lat", ".lon"))
    named = np.ones(len(rows), np.bool_) if name.valid is None else name.valid[rows]
    texts, coordinates = RecordWriter(rows[named]), RecordWriter(rows[~named])
    texts.column(name, batch.buffer)
    assert lat.valid is not None and lon.valid is not None, "coordinates may be missing"
    coordinates.nothing_where_null(lat.valid | lon.valid, parts=3)
    coordinates.literal('{"lat":')
    coordinates.column(lat, batch.buffer)
    coordinates.literal(',"lon":')
    coordinates.column(lon, batch.buffer)
    coordinates.literal("}")
    coordinates.nothing()
    (text, text_length), (pair, pair_length) = texts.write_joined(), coordinates.write_joined()
    length = np.concatenate([text_length, pair_length])
    start = np.cumsum(length) - length
    order = np.empty(len(rows), np.int64)
    order[np.argsort(~named, kind="stable")] = np.arange(len(rows))
    writer.span(np.frombuffer(text + pair + SPARE, np.uint8), start[order], length[order], each=True)
