"""From a writer's schema and an event to the program that reads the one's records as the other.

Fields are found by name: at each level of a field's path the record's field of that name, else one that had the name
before (an alias in the writer's schema). What nobody wants is passed over.
"""

from __future__ import annotations

import numpy as np

from fraudstream.engine.avro_schema import TIMES, AvroType
from fraudstream.engine.kernels import avro_scan as op
from fraudstream.engine.kernels.fingerprint import fingerprint
from fraudstream.engine.kernels.scan_memory import address
from fraudstream.engine.schemas import SchemaUnusable
from fraudstream.engine.wanted import Wanted, require_columns
from fraudstream.schema.columns import ColumnSpec, columns_of
from fraudstream.schema.event import Event, FieldType, TimeFormat

_MOST_CODE = 10_000
_MOST_VALUES = 50_000
_MOST_DIGITS = 18
_MILLISECONDS = {TimeFormat.EPOCH_MS: 1, TimeFormat.EPOCH_S: 1_000}


class Compiled:
    """A program and the memory it lies in.

    Attributes:
        program: For the kernel.
        symbols: The texts of enums, which have to stand in the buffer.
    """

    def __init__(self, code: list[tuple[int, int, int, int]], table: list[int], symbols: bytes) -> None:
        self._code = np.array(code, np.int64)
        self._table = np.array([*table, 0], np.uint64).view(np.int64)
        self.program = op.AvroProgram(address(self._code), address(self._table))
        self.symbols = symbols


def compile_avro(schema: AvroType, event: Event) -> Compiled:
    """The program for the records of a schema.

    Args:
        schema: The writer's.
        event: What is wanted.

    Raises:
        SchemaUnusable: No record of it can be an event: what is required is not in it, or of another type.
    """
    columns = columns_of(event)
    compiler = _Compiler(columns)
    compiler.emit(schema, Wanted.of(columns))
    compiler.add(op.END)
    names = [each.names[0] for each in schema.fields]
    require_columns(event, compiler.found, compiler.clashes, schema.name, names)
    if len(compiler.code) > _MOST_CODE:
        return Compiled([(op.GIVE_UP, 0, 0, 0)], [], b"")
    return Compiled(compiler.code, compiler.table, bytes(compiler.symbols))


class _Compiler:
    def __init__(self, columns: tuple[ColumnSpec, ...]) -> None:
        self._columns = columns
        self.code: list[tuple[int, int, int, int]] = []
        self.table: list[int] = []
        self.symbols = bytearray()
        self.found: set[int] = set()
        self.clashes: dict[int, str] = {}
        self._open: list[AvroType] = []
        self._values = 0

    def add(self, what: int, a: int = 0, b: int = 0, c: int = 0) -> int:
        """Appends an instruction; its place."""
        self.code.append((what, a, b, c))
        return len(self.code) - 1

    def emit(self, kind: AvroType, wanted: Wanted | None) -> None:
        """Appends what reads or passes over a value.

        Raises:
            SchemaUnusable: Records within records make it more values than anybody writes.
        """
        self._values += 1
        if self._values > _MOST_VALUES:
            raise SchemaUnusable(f"a record of it has more than {_MOST_VALUES} values")
        if len(self.code) > _MOST_CODE or any(kind is each for each in self._open):
            self._give_up(wanted)  # a record that holds itself, or is as good as endless
        elif kind.kind == "union":
            self._union(kind, wanted)
        elif kind.kind == "record":
            self._record(kind, wanted)
        elif kind.kind in ("array", "map"):
            self._items(kind, wanted)
        elif kind.kind != "null":
            self._scalar(kind, wanted)

    def _give_up(self, wanted: Wanted | None) -> None:
        self.add(op.GIVE_UP)
        if wanted is not None:
            self.found.update(wanted.all_columns())

    def _union(self, kind: AvroType, wanted: Wanted | None) -> None:
        at = len(self.table)
        self.table += [0] * len(kind.inner)
        self.add(op.UNION, len(kind.inner), at)
        jumps = []
        for place, branch in enumerate(kind.inner):
            self.table[at + place] = len(self.code)
            self.emit(branch, wanted)
            jumps.append(self.add(op.JUMP))
        for jump in jumps:
            self.code[jump] = (op.JUMP, len(self.code), 0, 0)

    def _record(self, kind: AvroType, wanted: Wanted | None) -> None:
        if wanted is not None and not self._is_object(wanted, kind):
            return
        self._open.append(kind)
        of_fields = (
            [None] * len(kind.fields) if wanted is None else wanted.of_fields([each.names for each in kind.fields])
        )
        for each, inner in zip(kind.fields, of_fields, strict=True):
            self.emit(each.type, inner)
        self._open.pop()

    def _items(self, kind: AvroType, wanted: Wanted | None) -> None:
        if wanted is not None:
            if kind.kind == "map" and wanted.inside:
                self._give_up(wanted)  # a key has to be looked for in each record
            else:
                self._clash(wanted.all_columns(), kind)
            return
        block = self.add(op.BLOCK)
        if kind.kind == "map":
            self.add(op.SKIP_TEXT)
        self.emit(kind.inner[0], None)
        self.add(op.NEXT, block + 1, block)
        self.code[block] = (op.BLOCK, len(self.code), 0, 0)

    def _is_object(self, wanted: Wanted, kind: AvroType) -> bool:
        """Whether nobody wants a plain value where an object stands; else such records are left to the reference."""
        if all(self._columns[index].location for index in wanted.columns):
            return True
        self._clash(wanted.columns, kind)
        return False

    def _clash(self, columns: list[int], kind: AvroType) -> None:
        """Something else is wanted here."""
        self.add(op.GIVE_UP)
        for index in columns:
            self.clashes.setdefault(index, str(kind))

    def _scalar(self, kind: AvroType, wanted: Wanted | None) -> None:
        if wanted is None:
            self.add(*_passing(kind))
            return
        if not wanted.columns or any(not _is_place(wanted, self._columns, name) for name in wanted.inside):
            self._clash(wanted.all_columns(), kind)
            return
        for place, index in enumerate(wanted.columns):
            reading = self._reading(kind, self._columns[index])
            if reading is None:
                self._clash([index], kind)
                return
            if place:
                self.add(op.AGAIN)
            self.add(reading[0], index, *reading[1:])
            self.found.add(index)

    def _reading(self, kind: AvroType, spec: ColumnSpec) -> tuple[int, ...] | None:
        """What reads a value into a column, without the column; None where it is of another type."""
        is_int = int(kind.kind == "int")
        is_whole = kind.kind in ("int", "long") and kind.logical is None
        match spec.type:
            case FieldType.STRING if kind.kind == "string":
                return (op.TEXT,)
            case FieldType.STRING if kind.kind == "enum":
                return op.SYMBOL, self._symbols(kind), len(kind.symbols)
            case FieldType.INTEGER if is_whole and spec.sensitive:
                return (op.GIVE_UP,)  # a token is made of its digits, which are not there
            case FieldType.INTEGER if is_whole:
                return op.WHOLE, is_int
            case FieldType.DECIMAL if is_whole:
                return op.WHOLE_DECIMAL, is_int
            case FieldType.DECIMAL if kind.logical == "decimal":
                if kind.scale > _MOST_DIGITS:
                    return (op.GIVE_UP,)
                return (
                    (op.BYTES_DECIMAL, kind.scale)
                    if kind.kind == "bytes"
                    else (op.FIXED_DECIMAL, kind.scale, kind.size)
                )
            case FieldType.DECIMAL if kind.kind in ("double", "string"):
                return (op.DOUBLE_DECIMAL if kind.kind == "double" else op.TEXT_DECIMAL,)
            case FieldType.FLOAT if is_whole:
                return op.WHOLE_FLOAT, is_int
            case FieldType.FLOAT if kind.kind in ("float", "double"):
                return (op.SINGLE if kind.kind == "float" else op.DOUBLE,)
            case FieldType.BOOLEAN if kind.kind == "boolean":
                return (op.FLAG,)
            case FieldType.TIMESTAMP if kind.logical in TIMES:
                times, divided = TIMES[kind.logical]
                return op.WHOLE_INSTANT, is_int, times << 32 | divided
            case FieldType.TIMESTAMP if is_whole and spec.format in _MILLISECONDS:
                return op.WHOLE_INSTANT, is_int, _MILLISECONDS[spec.format] << 32 | 1
            case FieldType.TIMESTAMP if kind.kind == "double" and spec.format in _MILLISECONDS:
                return (op.GIVE_UP,)
            case FieldType.TIMESTAMP if kind.kind == "string" and spec.format is TimeFormat.ISO8601:
                return (op.ISO_INSTANT,)
        return None

    def _symbols(self, kind: AvroType) -> int:
        """Puts an enum's symbols where the kernel finds them; their place in `table`."""
        first = len(self.table)
        for symbol in kind.symbols:
            text = symbol.encode()
            self.table += [len(self.symbols), len(text), *fingerprint(text)]
            self.symbols += text
        return first


def _is_place(wanted: Wanted, columns: tuple[ColumnSpec, ...], name: str) -> bool:
    """Whether what is wanted inside a value are coordinates, for which its text may stand."""
    return all(columns[index].location for index in wanted.inside[name].columns) and not wanted.inside[name].inside


def _passing(kind: AvroType) -> tuple[int, ...]:
    match kind.kind:
        case "int" | "long":
            return op.SKIP_LONG, int(kind.kind == "int")
        case "bytes":
            return (op.SKIP_BYTES,)
        case "string":
            return (op.SKIP_TEXT,)
        case "boolean":
            return (op.SKIP_BOOLEAN,)
        case "enum":
            return op.SKIP_ENUM, len(kind.symbols)
        case _:
            return op.SKIP_FIXED, {"float": 4, "double": 8}.get(kind.kind, kind.size)
