"""Writing Avro and Protobuf: a program of parts run over the rows of a batch, into one buffer, as `json_write` does it.

A part is eight int64: what it is, its prefix's place and length among the literals, three operands, what is added to
an operand's kind, and whether its arrays have an element for each written record (1) or for each row of the batch (0).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudstream.engine.column import Int64s
from fraudstream.engine.kernels.json_write import put_decimal
from fraudstream.engine.kernels.memory import Address, address_of, byte_at, copy_bytes, int_at, put_byte, put_word

LITERAL, OPTION, LONG, DOUBLE, DECIMAL, DECIMAL_TEXT, FLAG, TEXT, CHOICE, TEXTS, INSTANT = range(11)
"""What a part writes behind its prefix, and its operands; `zigzag` says that numbers are signed, as Avro's are:

    LITERAL       nothing
    OPTION        one of two literals, and after the  valid bool[], how many parts, the first one's place
                  second the next parts not
    LONG          a number                            values int64[]
    DOUBLE        a float64                           values float64[]
    DECIMAL       a length, and big-endian bytes      values int64[]
    DECIMAL_TEXT  a length, and plain notation        values int64[], scale
    FLAG          0 or 1                              values bool[]
    TEXT          a length, and bytes                 buffer, start int64[], length int64[]
    CHOICE        one of several literals             index int8[], the first one's place
    TEXTS         those literals that hit; for zigzag hits bool[count, n], the first one's place, count << 40 | n
                  as an array's block
    INSTANT       google.protobuf.Timestamp           values int64[] of epoch ms
"""

_SHIFT = 40


@njit(cache=True, nogil=True, forceinline=True)
def _put_number(out: Address, at: int, value: int, zigzag: int) -> int:
    """Seven bits a byte, the lowest first."""
    rest = np.uint64(value)
    if zigzag:
        rest = (rest << np.uint64(1)) ^ np.uint64(value >> 63)
    while rest >= np.uint64(0x80):
        put_byte(out, at, np.int64(rest & np.uint64(0x7F)) | 0x80)
        rest >>= np.uint64(7)
        at += 1
    put_byte(out, at, np.int64(rest))
    return at + 1


@njit(cache=True, nogil=True, forceinline=True)
def _put_big_endian(out: Address, at: int, value: int) -> int:
    """The length and the bytes of the shortest two's complement."""
    size = 1
    while size < 8 and (value >> (8 * size - 1)) != (value >> 63):
        size += 1
    put_byte(out, at, 2 * size)
    for place in range(size):
        put_byte(out, at + 1 + place, (value >> (8 * (size - 1 - place))) & 0xFF)
    return at + 1 + size


@njit(cache=True, nogil=True, forceinline=True)
def _put_instant(out: Address, at: int, epoch_ms: int) -> int:
    after = _put_number(out, at + 2, epoch_ms // 1_000, 0)
    put_byte(out, at + 1, 0x08)
    put_byte(out, after, 0x10)
    after = _put_number(out, after + 1, epoch_ms % 1_000 * 1_000_000, 0)
    put_byte(out, at, after - at - 1)
    return after


@njit(cache=True, nogil=True, forceinline=True)
def _put_choice(out: Address, at: int, literals: Address, choices: Address, place: int) -> int:
    length = int_at(choices, 2 * place + 1)
    copy_bytes(out, at, literals, int_at(choices, 2 * place), length)
    return at + length


@njit(cache=True, nogil=True)
def _put_texts(
    out: Address, at: int, hits: Address, row: int, size: int, literals: Address, choices: Address, first: int,
    zigzag: int
) -> int:  # fmt: skip
    count, rows = size >> _SHIFT, size & ((1 << _SHIFT) - 1)
    if zigzag:
        found = 0
        for place in range(count):
            found += byte_at(hits, place * rows + row)
        if found:
            at = _put_number(out, at, found, 1)
    for place in range(count):
        if byte_at(hits, place * rows + row):
            at = _put_choice(out, at, literals, choices, first + place)
    if zigzag:
        put_byte(out, at, 0)
        at += 1
    return at


@njit(cache=True, nogil=True, forceinline=True)
def _put_value(out: Address, at: int, part: Address, row: int, literals: Address, choices: Address) -> int:
    kind, a, b, c, zigzag = int_at(part, 0), int_at(part, 3), int_at(part, 4), int_at(part, 5), int_at(part, 6)
    if kind == LONG:
        return _put_number(out, at, int_at(a, row), zigzag)
    if kind == DOUBLE:
        put_word(out, at, np.uint64(int_at(a, row)))
        return at + 8
    if kind == DECIMAL:
        return _put_big_endian(out, at, int_at(a, row))
    if kind == DECIMAL_TEXT:
        after = put_decimal(out, at + 1, int_at(a, row), b)
        put_byte(out, at, after - at - 1)
        return after
    if kind == FLAG:
        put_byte(out, at, byte_at(a, row) != 0)
        return at + 1
    if kind == TEXT:
        length = int_at(c, row)
        at = _put_number(out, at, length, zigzag)
        copy_bytes(out, at, a, int_at(b, row), length)
        return at + length
    if kind == CHOICE:
        return _put_choice(out, at, literals, choices, b + byte_at(a, row))
    if kind == TEXTS:
        return _put_texts(out, at, a, row, c, literals, choices, b, zigzag)
    if kind == INSTANT:
        return _put_instant(out, at, int_at(a, row))
    return at


@njit(cache=True, nogil=True)
def write_wire(parts: np.ndarray, rows: Int64s, literals: np.ndarray, choices: np.ndarray, out: np.ndarray) -> Int64s:
    """Write a record for each row.

    Args:
        parts: int64[p, 8].
        rows: int64[m]: rows of the batch.
        literals: uint8: the bytes of all literals.
        choices: int64[k, 2]: place and length of the literals that parts choose from.
        out: uint8: large enough for all records at their longest, with spare bytes.

    Returns:
        int64[m + 1]: where each record starts, and where the last one ends.
    """
    base, text, choice = address_of(out), address_of(literals), address_of(choices)
    program = address_of(parts)
    offsets = np.empty(len(rows) + 1, np.int64)
    at = 0
    for record in range(len(rows)):
        offsets[record] = at
        place = 0
        while place < len(parts):
            part = program + 64 * place
            place += 1
            length = int_at(part, 2)
            copy_bytes(base, at, text, int_at(part, 1), length)
            at += length
            row = record if int_at(part, 7) else rows[record]
            if int_at(part, 0) == OPTION:
                present = byte_at(int_at(part, 3), row) != 0
                at = _put_choice(base, at, text, choice, int_at(part, 5) + (0 if present else 1))
                if not present:
                    place += int_at(part, 4)
            else:
                at = _put_value(base, at, part, row, text, choice)
    offsets[len(rows)] = at
    return offsets
