"""Protobuf records to trees, by descriptors from the registry: what is wanted of a message, and no more.

A field that knows whether it is there (`optional`, a message, one of several) is null where it is not. One that does
not has its type's default there, as Protobuf says: 0, false, an empty text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fraudstream.engine.decode_values import Instant, Number, Refused
from fraudstream.engine.protobuf_schema import ProtobufSchema
from fraudstream.engine.reject import RejectClass
from fraudstream.engine.schemas import SchemaUnusable
from fraudstream.engine.wanted import Wanted, require_columns
from fraudstream.schema.columns import ColumnSpec, columns_of
from fraudstream.schema.event import Event, FieldType, TimeFormat

_MOST_INDEXES = 64
TIMESTAMP = "google.protobuf.Timestamp"
DECIMAL = "google.type.Decimal"
_SIZED = ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32")
WRAPPERS = {f"google.protobuf.{name}Value" for name in (*_SIZED, "Bool", "String", "Bytes")}
_CONTAINERS = ("object", "map", "array")

Convert = Callable[[Any], Any]


class _Part(NamedTuple):
    """A wanted field of a message: its name, whether it knows that it is there, the names it is given by, and how."""

    name: str
    has_presence: bool
    given_as: tuple[str, ...]
    convert: Convert


class ProtobufReader:
    """Reads the records of one schema.

    Args:
        schema: The schema.
        schema_id: Its id, for reasons.
        event: What is wanted.

    Raises:
        SchemaUnusable: No record of its first message type can be an event.
    """

    def __init__(self, schema: ProtobufSchema, schema_id: int, event: Event) -> None:
        self._schema, self._id, self._event = schema, schema_id, event
        self._types: dict[tuple[int, ...], tuple[Any, Convert]] = {}

    def first(self) -> Refused | None:
        """Why records of the schema's first message type cannot be read; None where they can."""
        found = self._type((0,))
        return found if isinstance(found, Refused) else None

    def __call__(self, record: bytes, at: int) -> dict[str, Any]:
        """The tree of a record, as `avro_read.read_avro` gives one.

        Args:
            record: The bytes.
            at: Where the message's place in the schema begins.

        Raises:
            Refused: It is not what the schema says, or of a message type that is no event.
        """
        from google.protobuf.message import DecodeError

        indexes, at = _indexes(record, at)
        known = self._types.get(indexes) or self._type(indexes)
        if isinstance(known, Refused):
            raise known
        self._types[indexes] = known  # only types there are, or whoever sends many places would fill the memory
        message, convert = known
        try:
            parsed = message.FromString(record[at:])
        except DecodeError as error:
            raise Refused(RejectClass.MALFORMED, f"Not Protobuf of its schema: {str(error)[:120]}.") from None
        try:
            found: dict[str, Any] = convert(parsed)
        except UnicodeDecodeError:  # proto2 does not look at them before
            raise Refused(RejectClass.NOT_UTF8, "A string of the record is not UTF-8.") from None
        return found

    def _type(self, indexes: tuple[int, ...]) -> tuple[Any, Convert] | Refused:
        message = self._schema.message(indexes)
        if message is None:
            place = ".".join(map(str, indexes))
            return Refused(RejectClass.BAD_FRAME, f"Schema {self._id} has no message type {place}.")
        try:
            return message, converter_of(message.DESCRIPTOR, self._event)
        except SchemaUnusable as unusable:
            return Refused(RejectClass.INCOMPATIBLE_SCHEMA, f"schema {self._id}: {unusable}.")


def converter_of(descriptor: Any, event: Event) -> Convert:
    """What makes a tree of a message.

    Args:
        descriptor: The message type.
        event: What is wanted.

    Raises:
        SchemaUnusable: No such message can be an event.
    """
    matcher = _Matcher(columns_of(event))
    convert = matcher.message(descriptor, Wanted.of(columns_of(event)))
    require_columns(event, matcher.found, matcher.clashes, descriptor.full_name, [f.name for f in descriptor.fields])
    return convert


class _Matcher:
    def __init__(self, columns: tuple[ColumnSpec, ...]) -> None:
        self._columns = columns
        self.found: set[int] = set()
        self.clashes: dict[int, str] = {}

    def message(self, descriptor: Any, wanted: Wanted) -> Convert:
        fields = list(descriptor.fields)
        names = [(each.name, each.json_name) for each in fields]
        parts = [
            _Part(each.name, each.has_presence, _given(pair, wanted), self._field(each, inner))
            for each, pair, inner in zip(fields, names, wanted.of_fields(names), strict=True)
            if inner is not None
        ]

        def convert(message: Any) -> dict[str, Any]:
            tree = {}
            for name, has_presence, given_as, inner in parts:
                if has_presence and not message.HasField(name):
                    continue
                value = inner(getattr(message, name))
                for each in given_as:
                    tree[each] = value
            return tree

        return convert

    def _field(self, field: Any, wanted: Wanted) -> Convert:
        if field.is_repeated:
            entry = field.message_type
            if entry is not None and entry.GetOptions().map_entry:
                return self._map(entry, wanted)
            self._note(wanted, "array", f"repeated {_words(field)}")
            return list
        return self._single(field, wanted)

    def _map(self, entry: Any, wanted: Wanted) -> Convert:
        self.found.update(wanted.all_columns())
        self._note(Wanted(wanted.columns), "map", "a map")
        inner = self._single(entry.fields_by_name["value"], Wanted())
        return lambda found: {str(key): inner(value) for key, value in found.items()}

    def _single(self, field: Any, wanted: Wanted) -> Convert:
        if field.message_type is not None:
            return self._of_message(field.message_type, wanted)
        kind = field.cpp_type
        if kind in (field.CPPTYPE_INT32, field.CPPTYPE_INT64, field.CPPTYPE_UINT32, field.CPPTYPE_UINT64):
            self._note(wanted, "whole", _words(field))
            return Number
        if kind in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT):
            self._note(wanted, "double" if kind == field.CPPTYPE_DOUBLE else "float", _words(field))
            return lambda value: Number(repr(value))
        if kind == field.CPPTYPE_BOOL:
            self._note(wanted, "boolean", _words(field))
            return bool
        if kind == field.CPPTYPE_ENUM:
            self._note(wanted, "string", _words(field))
            names = {number: each.name for number, each in field.enum_type.values_by_number.items()}
            return lambda value: names.get(value, Number(value))
        self._note(wanted, "string" if field.type == field.TYPE_STRING else "bytes", _words(field))
        return lambda value: value

    def _of_message(self, descriptor: Any, wanted: Wanted) -> Convert:
        name = descriptor.full_name
        if name == TIMESTAMP:
            self._note(wanted, "instant", name)
            return lambda value: Instant(value.seconds * 1_000 + value.nanos // 1_000_000)
        if name == DECIMAL:
            self._note(wanted, "string", name)
            return lambda value: value.value
        if name in WRAPPERS:
            inner = self._single(descriptor.fields_by_name["value"], wanted)
            return lambda value: inner(value.value)
        object_of = self.message(descriptor, Wanted(inside=wanted.inside))
        own = descriptor.fields_by_name.get("name")
        if (
            own is not None
            and own.type == own.TYPE_STRING
            and wanted.columns
            and all(self._columns[index].location for index in wanted.columns)
        ):
            # A place may have a name and coordinates in one message: the name goes before.
            self._note(Wanted(wanted.columns), "string", name)
            return lambda value: value.name if value.name else object_of(value)
        self._note(Wanted(wanted.columns), "object", name)
        return object_of

    def _note(self, wanted: Wanted, kind: str, words: str) -> None:
        """Notes which columns can be read from a value, and for which something else stands there."""
        for index in wanted.columns:
            if _is_readable(kind, self._columns[index]):
                self.found.add(index)
            else:
                self.clashes.setdefault(index, words)
        if kind not in _CONTAINERS:
            for each in wanted.inside.values():
                for index in each.all_columns():
                    self.clashes.setdefault(index, words)


def _is_readable(kind: str, spec: ColumnSpec) -> bool:
    """Whether a column can be read from a value of a kind; a place's other form is no clash, but is noted as one."""
    match spec.type:
        case FieldType.STRING:
            return kind == "string"
        case FieldType.INTEGER:
            return kind == "whole"
        case FieldType.DECIMAL:
            return kind in ("whole", "double", "string")
        case FieldType.FLOAT:
            return kind in ("whole", "double", "float")
        case FieldType.BOOLEAN:
            return kind == "boolean"
        case _:
            is_text = spec.format is TimeFormat.ISO8601
            return kind == "instant" or (kind == "string" if is_text else kind in ("whole", "double"))


def _given(names: tuple[str, str], wanted: Wanted) -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys(names) if name in wanted.inside)


def _words(field: Any) -> str:
    if field.enum_type is not None:
        return f"enum {field.enum_type.full_name}"
    return _TYPES[field.type]


_TYPES = (
    *("", "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string"),
    *("group", "message", "bytes", "uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64"),
)


def _indexes(record: bytes, at: int) -> tuple[tuple[int, ...], int]:
    """The place of a record's message type, and where its bytes begin."""
    count, at = _varint(record, at)
    if count == 0:
        return (0,), at
    if not 0 < count <= _MOST_INDEXES:
        raise Refused(
            RejectClass.BAD_FRAME, f"The record's message type has {count} levels; 1 to {_MOST_INDEXES} may be."
        )
    indexes = []
    for _ in range(count):
        index, at = _varint(record, at)
        indexes.append(index)
    return tuple(indexes), at


def _varint(record: bytes, at: int) -> tuple[int, int]:
    number = 0
    for place in range(5):
        if at + place >= len(record):
            break
        byte = record[at + place]
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at + place + 1
    raise Refused(RejectClass.BAD_FRAME, "Behind the schema's id the place of the message type is expected.")
