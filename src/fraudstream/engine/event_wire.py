"""Events as Avro or Protobuf of the schema that `schema/generate.py` makes of them: columns to bytes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudstream.define.pipeline import Format
from fraudstream.engine.column import Bools, Column, Int64s
from fraudstream.engine.event_json import Columns
from fraudstream.engine.wire_writer import WireWriter
from fraudstream.schema.event import Field, FieldType
from fraudstream.schema.generate import Member, Shape, Words

_NULL, _FIRST = b"\0", b"\2"
_FIRST_MESSAGE = b"\0"
_VARINT, _EIGHT_BYTES, _DELIMITED = 0, 1, 2
_WIRE_TYPES = {FieldType.INTEGER: _VARINT, FieldType.BOOLEAN: _VARINT, FieldType.FLOAT: _EIGHT_BYTES}


Texts = Mapping[str, tuple[npt.NDArray[Any], tuple[str, ...]]]
"""By name, for `Words`: int8[n], which of the texts, -1 for none; for many bool[K, n], which of the K texts hit."""


def frame(form: Format, schema_id: int) -> bytes:
    """What a record begins with: a zero and the schema's id; in Protobuf the place of its first message type, too."""
    head = b"\0" + schema_id.to_bytes(4, "big")
    return head if form is Format.AVRO else head + _FIRST_MESSAGE


def add_avro(writer: WireWriter, shape: Shape, batch: Columns, words: Texts = MappingProxyType({})) -> None:
    """Appends an object to an Avro record's template.

    Args:
        writer: The template.
        shape: What the object holds.
        batch: What was decoded.
        words: What `Words` stand for.
    """
    for member in shape.members.values():
        if isinstance(member, Words):
            _add_words(writer, member, words, _FIRST, _NULL, b"")
            continue
        if isinstance(member, Field) and member.type is FieldType.LOCATION:
            _add_avro_place(writer, member, batch)
            continue
        with nullcontext() if member.required else writer.option(_there(member, batch), _FIRST, _NULL):
            if isinstance(member, Shape):
                add_avro(writer, member, batch, words)
            elif member.type is FieldType.DECIMAL:
                writer.decimal(batch.columns[member.name].values.astype(np.int64, copy=False))
            else:
                _add_plain(writer, member, batch)


def _add_avro_place(writer: WireWriter, field: Field, batch: Columns) -> None:
    """A city's name, else a record of its coordinates, else null; the branches are in this order behind null."""
    named, placed = _named(field, batch), _placed(field, batch)
    branch = np.where(named, 1, np.where(placed, 2, 0)) - field.required
    writer.choice(np.maximum(branch, 0), [b"\0", b"\2", b"\4"])
    with writer.option(named, b"", b""):
        writer.column_text(batch.columns[field.name], batch.buffer)
    with writer.option(placed & ~named, b"", b""):
        for part in (".lat", ".lon"):
            axis = batch.columns[field.name + part]
            with writer.option(axis.valid, _FIRST, _NULL):
                writer.double(axis.values.astype(np.float64, copy=False))


def add_protobuf(
    writer: WireWriter, shape: Shape, batch: Columns, rows: Int64s, words: Texts = MappingProxyType({})
) -> None:
    """Appends an object's fields to a Protobuf message's template.

    Args:
        writer: The template of the given rows.
        shape: What the object holds.
        batch: What was decoded.
        rows: int64[m].
        words: What `Words` stand for.
    """
    for number, member in enumerate(shape.members.values(), 1):
        if isinstance(member, Words):
            tagged = tag(number, _DELIMITED)
            _add_words(writer, member, words, tagged, b"", tagged)
            continue
        wire_type = _DELIMITED if isinstance(member, Shape) else _WIRE_TYPES.get(member.type, _DELIMITED)
        with writer.option(None if member.required else _there(member, batch), tag(number, wire_type), b""):
            if isinstance(member, Shape):
                inner = WireWriter(rows, zigzag=False)
                add_protobuf(inner, member, batch, rows, words)
                writer.message(inner)
            elif member.type is FieldType.LOCATION:
                writer.message(_protobuf_place(member, batch, rows))
            elif member.type is FieldType.DECIMAL:
                column = batch.columns[member.name]
                writer.decimal_text(column.values.astype(np.int64, copy=False), column.type.scale)
            elif member.type is FieldType.TIMESTAMP:
                writer.instant(batch.columns[member.name].values.astype(np.int64, copy=False))
            else:
                _add_plain(writer, member, batch)


def _protobuf_place(field: Field, batch: Columns, rows: Int64s) -> WireWriter:
    """The message of a place: its coordinates, or its name alone."""
    inner = WireWriter(rows, zigzag=False)
    named = _named(field, batch)
    for number, part in enumerate((".lat", ".lon"), 1):
        axis = batch.columns[field.name + part]
        with inner.option(_valid(axis) & ~named, tag(number, _EIGHT_BYTES), b""):
            inner.double(axis.values.astype(np.float64, copy=False))
    with inner.option(named, tag(3, _DELIMITED), b""):
        inner.column_text(batch.columns[field.name], batch.buffer)
    return inner


def _add_words(
    writer: WireWriter, member: Words, words: Texts, present: bytes, absent: bytes, each_behind: bytes
) -> None:
    """A text or several; `each_behind` stands before each of several."""
    which, texts = words[member.name]
    if member.many:
        writer.texts(which, [each_behind + writer.sized(text.encode()) for text in texts])
        return
    literals = [writer.sized(text.encode()) for text in texts]
    is_plain = member.required and not each_behind
    with nullcontext() if is_plain else writer.option(None if member.required else which >= 0, present, absent):
        writer.choice(np.maximum(which, 0), literals)


def tag(number: int, wire_type: int) -> bytes:
    """What stands before a Protobuf field: its number, and how its value is written."""
    value, found = number << 3 | wire_type, bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _add_plain(writer: WireWriter, field: Field, batch: Columns) -> None:
    """A value that both formats write alike."""
    column = batch.columns[field.name]
    match field.type:
        case FieldType.STRING:
            writer.column_text(column, batch.buffer)
        case FieldType.FLOAT:
            writer.double(column.values.astype(np.float64, copy=False))
        case FieldType.BOOLEAN:
            writer.flag(column.values.astype(np.bool_, copy=False))
        case _:
            writer.long(column.values.astype(np.int64, copy=False))


def _there(member: Member, batch: Columns) -> Bools | None:
    """bool[n], where it is; None: everywhere."""
    if isinstance(member, Field):
        if member.type is FieldType.LOCATION:
            return _named(member, batch) | _placed(member, batch)
        return batch.columns[member.name].valid
    assert isinstance(member, Shape), "words are always there where their object is"
    found = [_there(each, batch) for each in member.members.values()]
    known = [each for each in found if each is not None]
    return np.logical_or.reduce(known) if len(known) == len(found) else None


def _named(field: Field, batch: Columns) -> Bools:
    return _valid(batch.columns[field.name])


def _placed(field: Field, batch: Columns) -> Bools:
    return _valid(batch.columns[f"{field.name}.lat"]) | _valid(batch.columns[f"{field.name}.lon"])


def _valid(column: Column) -> Bools:
    return np.ones(len(column), np.bool_) if column.valid is None else column.valid
