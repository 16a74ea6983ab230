"""The scan of Protobuf: messages of one type from bytes straight into columns, one pass over each record.

What stands at each field's number is said by tables, one for each place in the tree of wanted messages and one for each
type that nobody wants anything of, which is checked all the same. It accepts a record only where the reference decoder
would with the same values; the rest it leaves to that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from fraudstream.engine.column import Bools, Int64s
from fraudstream.engine.kernels.avro_bytes import after_text, read_double, read_single, rescaled, units_of_double
from fraudstream.engine.kernels.avro_scan import put_text
from fraudstream.engine.kernels.fingerprint import fingerprint_span
from fraudstream.engine.kernels.json_scan import complete
from fraudstream.engine.kernels.memory import Address, address_of, byte_at, float_at, int_at, put_byte, put_int
from fraudstream.engine.kernels.numbers import (
    LARGEST_DECIMAL,
    LAST_INSTANT_MS,
    UNSURE,
    float_bits,
    read_decimal_text,
    read_iso_text,
)
from fraudstream.engine.kernels.protobuf_bytes import (
    INT32,
    read_instant,
    read_varint,
    read_whole,
    skip_field,
    skip_repeated,
)
from fraudstream.engine.kernels.scan_memory import DEEPEST, LONGEST_TEXT, Cells, Paths

(
    GIVE_UP,
    SKIP,
    SKIP_TEXT,
    SKIP_REPEATED,
    MESSAGE,
    TEXT,
    TEXT_DECIMAL,
    ISO_INSTANT,
    SYMBOL,
    WHOLE,
    WHOLE_DECIMAL,
    WHOLE_FLOAT,
    WHOLE_INSTANT,
    SINGLE,
    DOUBLE,
    DOUBLE_DECIMAL,
    FLAG,
    INSTANT,
) = range(18)
"""What an entry does with its field's value:

    GIVE_UP        the reference decoder has to look
    SKIP           passes over it
    SKIP_TEXT      … a string
    SKIP_REPEATED  … one element, or many in one piece   -, the elements' wire type
    MESSAGE        goes into it                          -, its node
    TEXT           a string
    TEXT_DECIMAL   … as minor units
    ISO_INSTANT    … as epoch ms
    SYMBOL         an enum's name                        the column, where its names begin in `symbols`, how many
    WHOLE          an integer                            the column, how it is written
    WHOLE_DECIMAL  … as minor units                      likewise
    WHOLE_FLOAT    … as a float                          likewise
    WHOLE_INSTANT  … as epoch ms                         likewise, times so much
    SINGLE, DOUBLE a float, a double
    DOUBLE_DECIMAL … as minor units
    FLAG           a bool
    INSTANT        google.protobuf.Timestamp
"""
ENTRY = 7
"""An entry's int64: wire type, what to do, column, two operands, its `oneof` or -1, the next entry or -1."""
_MOST_STEPS = 100_000


class ProtobufProgram(NamedTuple):
    """What to do with the records of one message type.

    Attributes:
        nodes: int64[nodes, 2]: where a node's entries begin in `lookup`, and its greatest field number.
        lookup: int64: the entry of a field's number, or -1.
        entries: int64[entries, ENTRY].
        symbols: int64: of each enum's name its number, start, length and the halves of its fingerprint.
        defaults: int64[defaults, 4]: node, column, what, and the operand: what a field has that is not there.
        default_count: How many.
        places: int64[places, 3]: name, latitude and longitude columns of messages with a name.
        place_count: How many.
        node_count, oneof_count: How many of these.
    """

    nodes: Address
    lookup: Address
    entries: Address
    symbols: Address
    defaults: Address
    default_count: int
    places: Address
    place_count: int
    node_count: int
    oneof_count: int


@njit(cache=True, nogil=True)
def _number(buffer: Address, i: int, end: int, what: int, column: int, b: int, c: int, paths: Paths) -> tuple[int, int]:
    """The index behind a value that is no text, and what stands in its cell."""
    if what == INSTANT:
        return read_instant(buffer, i, end)
    if what == FLAG:
        i, value = read_varint(buffer, i, end)
        return (i, value) if 0 <= value <= 1 else (UNSURE, 0)
    scale = int_at(paths.scale, column)
    if what == TEXT_DECIMAL or what == ISO_INSTANT:
        i, length = read_varint(buffer, i, end)
        if i == UNSURE or length < 0 or length > end - i:
            return UNSURE, 0
        if what == ISO_INSTANT:
            return read_iso_text(buffer, i, i + length)
        return read_decimal_text(buffer, i, i + length, scale)
    if what == SINGLE or what == DOUBLE or what == DOUBLE_DECIMAL:
        size = 4 if what == SINGLE else 8
        if end - i < size:
            return UNSURE, 0
        real = read_single(buffer, i) if what == SINGLE else read_double(buffer, i)
        if what == DOUBLE_DECIMAL:
            return units_of_double(i + size, real, scale)
    else:
        i, value = read_whole(buffer, i, end, b)
        if what == WHOLE or i == UNSURE:
            return i, value
        if what == WHOLE_DECIMAL:
            if value > LARGEST_DECIMAL or value < -LARGEST_DECIMAL:
                return UNSURE, 0
            return rescaled(i, value, 0, scale)
        if what == WHOLE_INSTANT:
            return (i, value * c) if 0 <= value <= LAST_INSTANT_MS // c else (UNSURE, 0)
        size, real = 0, np.float64(value)
    if not abs(real) <= float_at(paths.bound, column) or abs(real) == np.inf:
        return UNSURE, 0
    return i + size, float_bits(real + 0.0)


@njit(cache=True, nogil=True, forceinline=True)
def _put_symbol(
    symbols: Address, first: int, count: int, number: int, symbols_at: int, column: int, row: int, paths: Paths,
    cells: Cells
) -> bool:  # fmt: skip
    for place in range(first, first + count):
        at = 5 * place
        if int_at(symbols, at) == number:
            start, length = symbols_at + int_at(symbols, at + 1), int_at(symbols, at + 2)
            put_text(start, length, column, row, paths, cells, int_at(symbols, at + 3), int_at(symbols, at + 4))
            return True
    return False


@njit(cache=True, nogil=True)
def _take(
    buffer: Address, i: int, end: int, what: int, column: int, b: int, c: int, row: int, symbols: Address,
    symbols_at: int, paths: Paths, cells: Cells
) -> int:  # fmt: skip
    """Read a value into a column's cell; the index behind it."""
    cell = column * cells.stride + row
    if what == INSTANT and byte_at(cells.valid, cell):
        return UNSURE  # a message that comes again is merged with the one before
    put_byte(cells.valid, cell, 1)
    if what == TEXT:
        i, length = read_varint(buffer, i, end)
        if i == UNSURE or length < 0 or length > end - i or length > LONGEST_TEXT:
            return UNSURE
        if after_text(buffer, i, i + length, False) == UNSURE:
            return UNSURE
        low, high = fingerprint_span(buffer, i, length)
        put_text(i, length, column, row, paths, cells, np.int64(low), np.int64(high))
        return i + length
    if what == SYMBOL:
        i, number = read_whole(buffer, i, end, INT32)
        if i == UNSURE or not _put_symbol(symbols, b, c, number, symbols_at, column, row, paths, cells):
            return UNSURE
        return i
    i, number = _number(buffer, i, end, what, column, b, c, paths)
    put_int(cells.numbers, cell, number)
    return i


@njit(cache=True, nogil=True)
def _finish(row: int, program: ProtobufProgram, symbols_at: int, paths: Paths, cells: Cells, seen: Address) -> bool:
    """Give fields that are not there what they have then; of places with a name only that."""
    for place in range(program.default_count):
        at = 4 * place
        node, column = int_at(program.defaults, at), int_at(program.defaults, at + 1)
        what, b = int_at(program.defaults, at + 2), int_at(program.defaults, at + 3)
        cell = column * cells.stride + row
        if int_at(seen, node) != row + 1 or byte_at(cells.valid, cell):
            continue
        if what == TEXT_DECIMAL or what == ISO_INSTANT:
            return False
        put_byte(cells.valid, cell, 1)
        put_int(cells.numbers, cell, 0)
        if what == TEXT:
            low, high = fingerprint_span(paths.keys, 0, 0)
            put_text(0, 0, column, row, paths, cells, np.int64(low), np.int64(high))
        elif what == SYMBOL and not _put_symbol(
            program.symbols, b, 1, int_at(program.symbols, 5 * b), symbols_at, column, row, paths, cells
        ):
            return False
    for place in range(program.place_count):
        name = int_at(program.places, 3 * place)
        if byte_at(cells.valid, name * cells.stride + row):
            is_empty = int_at(cells.length, int_at(paths.text, name) * cells.stride + row) == 0
            if is_empty:
                put_byte(cells.valid, name * cells.stride + row, 0)
            else:
                for axis in range(1, 3):
                    put_byte(cells.valid, int_at(program.places, 3 * place + axis) * cells.stride + row, 0)
    return complete(row, paths, cells)


@njit(cache=True, nogil=True)
def _scan_record(
    buffer: Address, i: int, end: int, row: int, program: ProtobufProgram, symbols_at: int, paths: Paths, cells: Cells,
    ends: Address, stack: Address, seen: Address, chosen: Address
) -> bool:  # fmt: skip
    """Scan one record; False if it is not certain to be right."""
    level = node = 0
    put_int(ends, 0, end)
    put_int(stack, 0, 0)
    put_int(seen, 0, row + 1)
    for _ in range(_MOST_STEPS):
        while i == end:
            if level == 0:
                return _finish(row, program, symbols_at, paths, cells, seen)
            level -= 1
            end, node = int_at(ends, level), int_at(stack, level)
        i, tag = read_varint(buffer, i, end)
        number, wire_type = tag >> 3, tag & 7
        if i == UNSURE or number < 1 or tag > 0xFFFFFFFF:
            return False
        entry = -1
        if number <= int_at(program.nodes, 2 * node + 1):
            entry = int_at(program.lookup, int_at(program.nodes, 2 * node) + number)
        if entry < 0:
            i = skip_field(buffer, i, end, wire_type)
            if i == UNSURE:
                return False
            continue
        began = i
        while entry >= 0:
            at = ENTRY * entry
            what, column = int_at(program.entries, at + 1), int_at(program.entries, at + 2)
            b, c, oneof = (
                int_at(program.entries, at + 3),
                int_at(program.entries, at + 4),
                int_at(program.entries, at + 5),
            )
            if what == GIVE_UP or (what != SKIP_REPEATED and wire_type != int_at(program.entries, at)):
                return False
            if oneof >= 0:
                mark = (row + 1) << 32 | number
                before = int_at(chosen, oneof)
                if before >> 32 == row + 1 and before != mark:
                    return False
                put_int(chosen, oneof, mark)
            i = began
            if what == SKIP:
                i = skip_field(buffer, i, end, wire_type)
            elif what == SKIP_REPEATED:
                i = skip_repeated(buffer, i, end, wire_type, b)
            elif what == SKIP_TEXT or what == MESSAGE:
                i, size = read_varint(buffer, i, end)
                if i == UNSURE or size < 0 or size > end - i:
                    return False
                if what == SKIP_TEXT:
                    i = after_text(buffer, i, i + size, True)
                else:
                    level += 1
                    if level == DEEPEST:
                        return False
                    end, node = i + size, b
                    put_int(ends, level, end)
                    put_int(stack, level, node)
                    put_int(seen, node, row + 1)
            else:
                i = _take(buffer, i, end, what, column, b, c, row, program.symbols, symbols_at, paths, cells)
            if i == UNSURE:
                return False
            entry = int_at(program.entries, at + 6)
    return False


@njit(cache=True, nogil=True)
def scan_protobuf(
    buffer: np.ndarray, start: Int64s, end: Int64s, rows: Int64s, program: ProtobufProgram, symbols_at: int,
    paths: Paths, cells: Cells, sure: Bools
) -> None:  # fmt: skip
    """Scan records of one message type; the arguments are those of `avro_scan.scan_avro`."""
    base = address_of(buffer)
    ends, stack = np.zeros(DEEPEST, np.int64), np.zeros(DEEPEST, np.int64)
    seen, chosen = np.zeros(program.node_count, np.int64), np.zeros(program.oneof_count + 1, np.int64)
    for place in range(len(rows)):
        row = rows[place]
        sure[row] = _scan_record(
            base, start[row], end[row], row, program, symbols_at, paths, cells,
            address_of(ends), address_of(stack), address_of(seen), address_of(chosen),
        )  # fmt: skip
