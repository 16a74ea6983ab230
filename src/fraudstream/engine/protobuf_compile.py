"""From a message type and an event to the tables by which the scan reads the one's records as the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from fraudstream.engine.kernels import protobuf_bytes as of
from fraudstream.engine.kernels import protobuf_scan as op
from fraudstream.engine.kernels.fingerprint import fingerprint
from fraudstream.engine.kernels.scan_memory import address
from fraudstream.engine.protobuf_read import DECIMAL, TIMESTAMP, WRAPPERS
from fraudstream.engine.wanted import Wanted
from fraudstream.schema.columns import ColumnSpec, columns_of
from fraudstream.schema.event import Event, FieldType, TimeFormat

_GREATEST_NUMBER = 2_048
_MOST_NODES = 1_000
# By the number of a field's type in a descriptor: its wire type, and how the scan reads an integer of it.
_WIRE = {
    1: of.EIGHT, 2: of.FOUR, 3: of.VARINT, 4: of.VARINT, 5: of.VARINT, 6: of.EIGHT, 7: of.FOUR, 8: of.VARINT,
    9: of.DELIMITED, 11: of.DELIMITED, 12: of.DELIMITED, 13: of.VARINT, 14: of.VARINT, 15: of.FOUR, 16: of.EIGHT,
    17: of.VARINT, 18: of.VARINT,
}  # fmt: skip
_WHOLE = {
    3: of.INT64, 4: of.UINT64, 5: of.INT32, 7: of.FIXED32, 13: of.UINT32, 15: of.SFIXED32, 16: of.FIXED64,
    18: of.SIGNED, 6: of.FIXED64, 17: of.SIGNED,
}  # fmt: skip
_UNLIKE = (6, 17)
"""fixed64 may be beyond an int64, and sint32 is cut to 32 bits: the reference decoder reads them."""
_DOUBLE, _FLOAT, _BOOL, _STRING, _ENUM = 1, 2, 8, 9, 14


class CompiledProtobuf:
    """Tables and the memory they lie in.

    Attributes:
        program: For the kernel.
        symbols: The names of enums, which have to stand in the buffer.
    """

    def __init__(self, tables: _Tables) -> None:
        self._arrays = {
            name: np.array([*values, 0], np.uint64 if name == "symbols" else np.int64).view(np.int64)
            for name, values in tables.flat().items()
        }
        self.symbols = bytes(tables.texts)
        self.program = op.ProtobufProgram(
            **{name: address(array) for name, array in self._arrays.items()},
            default_count=len(tables.defaults),
            place_count=len(tables.places),
            node_count=len(tables.nodes),
            oneof_count=len(tables.oneofs),
        )


def compile_protobuf(descriptor: Any, event: Event) -> CompiledProtobuf | None:
    """The tables for the records of a message type; None where the reference decoder has to read them all.

    Args:
        descriptor: The type; `converter_of` takes it for this event.
        event: What is wanted.
    """
    tables = _Tables(columns_of(event))
    try:
        tables.node(descriptor, Wanted.of(columns_of(event)))
    except _NotForTheScan:
        return None
    return CompiledProtobuf(tables)


class _NotForTheScan(Exception):
    """The scan does not know what to do with something."""


class _Tables:
    def __init__(self, columns: tuple[ColumnSpec, ...]) -> None:
        self._columns = columns
        self.nodes: list[list[int]] = []
        self.lookup: list[int] = []
        self.entries: list[list[int]] = []
        self.symbols: list[int] = []
        self.texts = bytearray()
        self.defaults: list[tuple[int, int, int, int]] = []
        self.places: list[tuple[int, int, int]] = []
        self.oneofs: dict[tuple[int, str], int] = {}
        self._read: set[int] = set()
        self._of_type: dict[str, int] = {}

    def flat(self) -> dict[str, list[int]]:
        return {
            "nodes": [each for node in self.nodes for each in node],
            "lookup": self.lookup,
            "entries": [each for entry in self.entries for each in entry],
            "symbols": self.symbols,
            "defaults": [each for default in self.defaults for each in default],
            "places": [each for place in self.places for each in place],
        }

    def node(self, descriptor: Any, wanted: Wanted | None) -> int:
        """The node of a message: of its type, where nobody wants anything of it."""
        if wanted is None and descriptor.full_name in self._of_type:
            return self._of_type[descriptor.full_name]
        fields = list(descriptor.fields)
        greatest = max((field.number for field in fields), default=0)
        if greatest > _GREATEST_NUMBER or len(self.nodes) > _MOST_NODES:
            raise _NotForTheScan
        number = len(self.nodes)
        self.nodes.append([len(self.lookup), greatest])
        self.lookup += [-1] * (greatest + 1)
        if wanted is None:
            self._of_type[descriptor.full_name] = number
        of_fields = (
            [None] * len(fields) if wanted is None else wanted.of_fields([(f.name, f.json_name) for f in fields])
        )
        for field, inner in zip(fields, of_fields, strict=True):
            self.lookup[self.nodes[number][0] + field.number] = self._field(field, inner, number)
        return number

    def _field(self, field: Any, wanted: Wanted | None, node: int) -> int:
        """The entry of a field."""
        if field.type not in _WIRE:
            raise _NotForTheScan  # a group
        wire_type, oneof = _WIRE[field.type], self._oneof(field, node)
        if wanted is not None and field.is_repeated:
            if field.type != field.TYPE_MESSAGE or not field.message_type.GetOptions().map_entry:
                raise _NotForTheScan
            return self._add(wire_type, op.GIVE_UP)  # a key has to be looked for
        if field.type == field.TYPE_MESSAGE:
            return self._message(field, wanted, oneof)
        if field.is_repeated and wire_type != of.DELIMITED:
            return self._add(wire_type, op.SKIP_REPEATED, b=wire_type)
        if wanted is None:
            return self._add(wire_type, op.SKIP_TEXT if field.type == _STRING else op.SKIP, oneof=oneof)
        return self._scalar(field, wanted, node, oneof)

    def _scalar(self, field: Any, wanted: Wanted, node: int, oneof: int) -> int:
        first = -1
        for index in reversed(wanted.columns):
            if index in self._read:
                raise _NotForTheScan  # two fields may be read into one column: which counts, the reference says
            self._read.add(index)
            spec = self._columns[index]
            if spec.sensitive and spec.type is not FieldType.STRING:
                raise _NotForTheScan  # a token is made of its digits, which are not there
            what, b, c = self._reading(field, spec)
            first = self._add(_WIRE[field.type], what, index, b, c, oneof, first)
            if not field.has_presence:
                self.defaults.append((node, index, what, b))
        return first

    def _message(self, field: Any, wanted: Wanted | None, oneof: int) -> int:
        kind = field.message_type
        name = kind.full_name
        if wanted is None or name not in (TIMESTAMP, DECIMAL, *WRAPPERS):
            own = kind.fields_by_name.get("name")
            if wanted is not None and wanted.columns:
                # A city's name may stand in the message; where it cannot, there is no name.
                inside = dict(wanted.inside)
                if own is not None:
                    inside["name"] = Wanted([*wanted.columns])
                    self._place(wanted)
                wanted = Wanted(inside=inside)
            return self._add(of.DELIMITED, op.MESSAGE, b=self.node(kind, wanted), oneof=oneof)
        if name == TIMESTAMP:
            if len(wanted.columns) != 1 or wanted.columns[0] in self._read:
                raise _NotForTheScan
            self._read.add(wanted.columns[0])
            return self._add(of.DELIMITED, op.INSTANT, wanted.columns[0], oneof=oneof)
        inner = Wanted(inside={"value": Wanted([*wanted.columns])})
        return self._add(of.DELIMITED, op.MESSAGE, b=self.node(kind, inner), oneof=oneof)

    def _place(self, wanted: Wanted) -> None:
        location = self._columns[wanted.columns[0]].location
        axes = [index for index, spec in enumerate(self._columns) if spec.location == location]
        if len(wanted.columns) != 1 or len(axes) != 3:
            raise _NotForTheScan
        self.places.append((axes[0], axes[1], axes[2]))

    def _reading(self, field: Any, spec: ColumnSpec) -> tuple[int, int, int]:
        """What reads a scalar into a column."""
        kind = field.type
        is_instant = spec.type is FieldType.TIMESTAMP
        if kind in _WHOLE:
            if kind in _UNLIKE:
                return op.GIVE_UP, 0, 0
            what = {FieldType.INTEGER: op.WHOLE, FieldType.DECIMAL: op.WHOLE_DECIMAL, FieldType.FLOAT: op.WHOLE_FLOAT}
            if not is_instant and spec.type not in what:
                raise _NotForTheScan
            times = 1_000 if spec.format is TimeFormat.EPOCH_S else 1
            return op.WHOLE_INSTANT if is_instant else what[spec.type], _WHOLE[kind], times
        if kind in (_DOUBLE, _FLOAT):
            if is_instant:
                return op.GIVE_UP, 0, 0
            return (
                op.SINGLE if kind == _FLOAT else op.DOUBLE_DECIMAL if spec.type is FieldType.DECIMAL else op.DOUBLE,
                0,
                0,
            )
        if kind == _ENUM and spec.type is FieldType.STRING:
            return op.SYMBOL, *self._names(field.enum_type)
        if kind == _BOOL and spec.type is FieldType.BOOLEAN:
            return op.FLAG, 0, 0
        if kind == _STRING:
            of_text = {
                FieldType.STRING: op.TEXT,
                FieldType.DECIMAL: op.TEXT_DECIMAL,
                FieldType.TIMESTAMP: op.ISO_INSTANT,
            }
            return of_text[spec.type], 0, 0
        raise _NotForTheScan

    def _names(self, enum: Any) -> tuple[int, int]:
        """Puts an enum's names where the kernel finds them, that of the default first."""
        first = len(self.symbols) // 5
        found = sorted(enum.values_by_number.items(), key=lambda each: each[0] != 0)
        for number, value in found:
            text = value.name.encode()
            self.symbols += [number % 2**64, len(self.texts), len(text), *fingerprint(text)]
            self.texts += text
        return first, len(found)

    def _oneof(self, field: Any, node: int) -> int:
        group = field.containing_oneof
        if group is None or len(group.fields) < 2:
            return -1
        return self.oneofs.setdefault((node, group.name), len(self.oneofs))

    def _add(
        self, wire_type: int, what: int, column: int = 0, b: int = 0, c: int = 0, oneof: int = -1, following: int = -1
    ) -> int:
        self.entries.append([wire_type, what, column, b, c, oneof, following])
        return len(self.entries) - 1
