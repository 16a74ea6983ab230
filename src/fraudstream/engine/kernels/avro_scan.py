"""The scan of Avro: records of one writer's schema from bytes straight into columns, one pass over each record.

It runs a program, an instruction of four int64 (what to do, and three operands) for each thing the schema says stands
next. It accepts a record only where the reference decoder would with the same values; the rest it leaves to that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from fraudstream.engine.column import Bools, Int64s
from fraudstream.engine.kernels.avro_bytes import (
    after_text,
    read_big_endian,
    read_double,
    read_long,
    read_single,
    rescaled,
    units_of_double,
)
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
from fraudstream.engine.kernels.scan_memory import DEEPEST, LONGEST_TEXT, Cells, Paths

(
    END,
    GIVE_UP,
    SKIP_LONG,
    SKIP_BYTES,
    SKIP_TEXT,
    SKIP_FIXED,
    SKIP_BOOLEAN,
    SKIP_ENUM,
    UNION,
    JUMP,
    BLOCK,
    NEXT,
    AGAIN,
    TEXT,
    SYMBOL,
    WHOLE,
    WHOLE_DECIMAL,
    WHOLE_FLOAT,
    WHOLE_INSTANT,
    SINGLE,
    DOUBLE,
    DOUBLE_DECIMAL,
    BYTES_DECIMAL,
    FIXED_DECIMAL,
    FLAG,
    ISO_INSTANT,
    TEXT_DECIMAL,
) = range(27)
"""What an instruction does, and its operands. Those from TEXT on fill a cell; their first operand is the column.

    END              the record is over
    GIVE_UP          the reference decoder has to look
    SKIP_LONG        passes over an int or long            1 where it is an int
    SKIP_BYTES       … bytes
    SKIP_TEXT        … a string
    SKIP_FIXED       … so many bytes                       how many
    SKIP_BOOLEAN     … a boolean
    SKIP_ENUM        … an enum                             how many symbols
    UNION            goes where the branch is read         how many branches, where they begin in `table`
    JUMP             goes on elsewhere                     where
    BLOCK            begins a block of an array or map     where it goes on behind the last one
    NEXT             begins the next item, if there is one where items begin, where BLOCK stands
    AGAIN            goes back to where the last value began, which another column reads, too
    TEXT             a string
    SYMBOL           an enum's symbol                      -, where symbols begin in `table`, how many
    WHOLE            an int or long                        -, 1 where it is an int
    WHOLE_DECIMAL    … as minor units                      -, 1 where it is an int
    WHOLE_FLOAT      … as a float                          -, 1 where it is an int
    WHOLE_INSTANT    … as epoch ms                         -, 1 where it is an int, times << 32 | divided by
    SINGLE           a float
    DOUBLE           a double
    DOUBLE_DECIMAL   … as minor units
    BYTES_DECIMAL    a decimal in bytes as minor units     -, the writer's scale
    FIXED_DECIMAL    a decimal in fixed                    -, the writer's scale, how many bytes
    FLAG             a boolean
    ISO_INSTANT      a string as epoch ms
    TEXT_DECIMAL     … as minor units
"""
_MOST_STEPS = 1_000_000
"""The reference decoder looks at records that take more steps."""


class AvroProgram(NamedTuple):
    """What to do with the records of one writer's schema.

    Attributes:
        code: int64[instructions, 4].
        table: int64: where branches begin; of each enum's symbols (start in the buffer's symbols, length, the halves of
            the fingerprint).
    """

    code: Address
    table: Address


@njit(cache=True, nogil=True, forceinline=True)
def put_text(start: int, length: int, column: int, row: int, paths: Paths, cells: Cells, low: int, high: int) -> None:
    """Put a text's place and fingerprint into a column's cell."""
    cell = int_at(paths.text, column) * cells.stride + row
    put_int(cells.numbers, column * cells.stride + row, low)
    put_int(cells.high, cell, high)
    put_int(cells.start, cell, start)
    put_int(cells.length, cell, length)


@njit(cache=True, nogil=True)
def _read_text(buffer: Address, i: int, end: int, column: int, row: int, paths: Paths, cells: Cells) -> int:
    i, length = read_long(buffer, i, end)
    if i == UNSURE or length < 0 or length > end - i or length > LONGEST_TEXT:
        return UNSURE
    if after_text(buffer, i, i + length, False) == UNSURE:
        return UNSURE
    low, high = fingerprint_span(buffer, i, length)
    put_text(i, length, column, row, paths, cells, np.int64(low), np.int64(high))
    return i + length


@njit(cache=True, nogil=True)
def _read_symbol(
    buffer: Address, i: int, end: int, column: int, row: int, first: int, count: int, table: Address,
    symbols_at: int, paths: Paths, cells: Cells
) -> int:  # fmt: skip
    i, symbol = read_long(buffer, i, end)
    if i == UNSURE or symbol < 0 or symbol >= count:
        return UNSURE
    at = first + 4 * symbol
    start, length = symbols_at + int_at(table, at), int_at(table, at + 1)
    put_text(start, length, column, row, paths, cells, int_at(table, at + 2), int_at(table, at + 3))
    return i


@njit(cache=True, nogil=True, forceinline=True)
def _read_whole(buffer: Address, i: int, end: int, is_int: int) -> tuple[int, int]:
    i, value = read_long(buffer, i, end)
    if is_int and (value < -2147483648 or value > 2147483647):
        return UNSURE, 0
    return i, value


@njit(cache=True, nogil=True, forceinline=True)
def _read_number(
    buffer: Address, i: int, end: int, what: int, column: int, b: int, c: int, paths: Paths
) -> tuple[int, int]:
    """The index behind a value that is no text, and what stands in its cell."""
    if what == WHOLE:
        return _read_whole(buffer, i, end, b)
    scale = int_at(paths.scale, column)
    if what == WHOLE_DECIMAL:
        i, value = _read_whole(buffer, i, end, b)
        if i == UNSURE or value > LARGEST_DECIMAL or value < -LARGEST_DECIMAL:
            return UNSURE, 0
        return rescaled(i, value, 0, scale)
    if what == WHOLE_INSTANT:
        i, value = _read_whole(buffer, i, end, b)
        times, units = c >> 32, value // (c & 0xFFFFFFFF)
        if i == UNSURE or value < 0 or units > LAST_INSTANT_MS // times:
            return UNSURE, 0
        return i, units * times
    if what == BYTES_DECIMAL or what == FIXED_DECIMAL:
        size = c
        if what == BYTES_DECIMAL:
            i, size = read_long(buffer, i, end)
        if i == UNSURE or size < 1 or size > 8 or size > end - i:
            return UNSURE, 0
        return rescaled(i + size, read_big_endian(buffer, i, size), b, scale)
    if what == DOUBLE_DECIMAL:
        if end - i < 8:
            return UNSURE, 0
        return units_of_double(i + 8, read_double(buffer, i), scale)
    if what == FLAG:
        byte = byte_at(buffer, i)
        return (i + 1, byte) if i < end and byte <= 1 else (UNSURE, 0)
    if what == ISO_INSTANT or what == TEXT_DECIMAL:
        i, length = read_long(buffer, i, end)
        if i == UNSURE or length < 0 or length > end - i:
            return UNSURE, 0
        if what == ISO_INSTANT:
            return read_iso_text(buffer, i, i + length)
        return read_decimal_text(buffer, i, i + length, scale)
    real = 0.0
    if what == WHOLE_FLOAT:
        i, value = _read_whole(buffer, i, end, b)
        real = np.float64(value)
    else:
        size = 4 if what == SINGLE else 8
        if end - i < size:
            return UNSURE, 0
        real = read_single(buffer, i) if what == SINGLE else read_double(buffer, i)
        i += size
    if not abs(real) <= float_at(paths.bound, column) or abs(real) == np.inf:
        return UNSURE, 0
    return i, float_bits(real + 0.0)


@njit(cache=True, nogil=True, forceinline=True)
def _skip(buffer: Address, i: int, end: int, what: int, a: int) -> int:
    """The index behind a value that nobody wants."""
    if what == SKIP_FIXED:
        return i + a if a <= end - i else UNSURE
    if what == SKIP_BOOLEAN:
        return i + 1 if i < end and byte_at(buffer, i) <= 1 else UNSURE
    if what == SKIP_LONG:
        after, _ = _read_whole(buffer, i, end, a)
        return after
    i, number = read_long(buffer, i, end)
    if what == SKIP_ENUM:
        return i if 0 <= number < a else UNSURE
    if i == UNSURE or number < 0 or number > end - i:
        return UNSURE
    return after_text(buffer, i, i + number, True) if what == SKIP_TEXT else i + number


@njit(cache=True, nogil=True)
def _scan_record(
    buffer: Address, i: int, end: int, row: int, code: Address, table: Address, symbols_at: int,
    paths: Paths, cells: Cells, left: Address
) -> bool:  # fmt: skip
    """Scan one record; False if it is not certain to be right."""
    depth = -1
    items, most_items = 0, end - i
    began = i
    at = 0
    for _ in range(_MOST_STEPS):
        what, a, b, c = int_at(code, at), int_at(code, at + 1), int_at(code, at + 2), int_at(code, at + 3)
        at += 4
        if what >= TEXT:
            cell = a * cells.stride + row
            if byte_at(cells.valid, cell):
                return False
            put_byte(cells.valid, cell, 1)
            began = i
            if what == TEXT:
                i = _read_text(buffer, i, end, a, row, paths, cells)
            elif what == SYMBOL:
                i = _read_symbol(buffer, i, end, a, row, b, c, table, symbols_at, paths, cells)
            else:
                i, number = _read_number(buffer, i, end, what, a, b, c, paths)
                put_int(cells.numbers, cell, number)
        elif what == UNION:
            i, branch = read_long(buffer, i, end)
            if branch < 0 or branch >= a:
                return False
            at = 4 * int_at(table, b + branch)
        elif what == JUMP:
            at = 4 * a
        elif what == END:
            return i == end and complete(row, paths, cells)
        elif what == BLOCK:
            i, count = read_long(buffer, i, end)
            items += count
            if count < 0 or items > most_items or i == UNSURE:
                return False
            if count == 0:
                at = 4 * a
            else:
                depth += 1
                if depth == DEEPEST:
                    return False
                put_int(left, depth, count)
        elif what == NEXT:
            count = int_at(left, depth) - 1
            put_int(left, depth, count)
            at = 4 * a
            if count == 0:
                depth -= 1
                at = 4 * b
        elif what == AGAIN:
            i = began
        elif what == GIVE_UP:
            return False
        else:
            i = _skip(buffer, i, end, what, a)
        if i == UNSURE:
            return False
    return False


@njit(cache=True, nogil=True)
def scan_avro(
    buffer: np.ndarray, start: Int64s, end: Int64s, rows: Int64s, program: AvroProgram, symbols_at: int,
    paths: Paths, cells: Cells, sure: Bools
) -> None:  # fmt: skip
    """Scan records of one schema.

    Args:
        buffer: uint8: the records' bytes, the symbols of enums, and `PADDING` spare zero bytes.
        start: int64[n], where each record's own bytes begin, behind the schema's id.
        end: int64[n], where they end.
        rows: int64[m], which records.
        program: What to do.
        symbols_at: Where the schema's symbols stand in the buffer.
        paths: Of the columns.
        cells: Where the values go.
        sure: bool[n], set for those that were accepted.
    """
    base = address_of(buffer)
    left = np.zeros(DEEPEST, np.int64)
    for place in range(len(rows)):
        row = rows[place]
        sure[row] = _scan_record(
            base, start[row], end[row], row, program.code, program.table, symbols_at, paths, cells, address_of(left)
        )
