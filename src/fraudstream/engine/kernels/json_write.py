"""Writing records: a program of parts run over the rows of a batch, into one buffer.

A part is eight int64: what it is (`SPAN`, …), its prefix's place and length among the literals, three operands, the
address of its `valid` flags or 0, and whether its arrays have an element for each written record (1) or for each row of
the batch (0).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudstream.engine.column import Int64s
from fraudstream.engine.kernels.json_text import needs_escape
from fraudstream.engine.kernels.memory import (
    Address,
    address_of,
    byte_at,
    copy_bytes,
    int_at,
    put_byte,
    put_word,
    word_at,
)

LITERAL, SPAN, TEXT, INTEGER, DECIMAL, BOOLEAN, INSTANT, CHOICE, LIST, UNLESS_NULL = range(10)
"""What a part writes behind its prefix, and its operands:

    LITERAL      nothing
    SPAN         raw bytes                          buffer, start int64[], length int64[]
    TEXT         a JSON string                      buffer, start int64[], length int64[]
    INTEGER      a number                           values int64[]
    DECIMAL      a number in plain notation         values int64[], scale
    BOOLEAN      true or false                      values bool[]
    INSTANT      "2026-11-22T20:00:00.000Z"         values int64[] of epoch ms
    CHOICE       one of several literals            index int8[], the first one's place in `choices`
    LIST         a JSON array of those that hit     hits bool[count, n], the first one's place, count << 40 | n
    UNLESS_NULL  nothing, but null instead of the   how many parts
                 next parts where it is not valid
"""

_NULL = np.uint64(0x6C6C756E)
_TRUE = np.uint64(0x65757274)
_FALSE = np.uint64(0x65736C6166)
_SHORT = 64
_HUNDRED = np.uint64(100)
_TEN = np.uint64(10)
_LIST_SHIFT = 40


@njit(cache=True, nogil=True, forceinline=True)
def _put_span(out: Address, at: int, source: Address, start: int, length: int) -> int:
    """Copy a span; short ones in whole words, up to seven bytes too many, which what follows overwrites."""
    if length > _SHORT:
        copy_bytes(out, at, source, start, length)
    else:
        for place in range(0, length, 8):
            put_word(out, at + place, word_at(source, start + place))
    return at + length


@njit(cache=True, nogil=True, forceinline=True)
def _put_digits(out: Address, end: int, value: np.uint64, digits: int) -> np.uint64:
    """Write the lowest `digits` digits of a number so that they end at `end`; the number without them."""
    while digits >= 2:
        pair = value % _HUNDRED
        value //= _HUNDRED
        tens = pair // _TEN
        end -= 2
        put_byte(out, end, np.int64(tens) + 48)
        put_byte(out, end + 1, np.int64(pair - tens * _TEN) + 48)
        digits -= 2
    if digits == 1:
        put_byte(out, end - 1, np.int64(value % _TEN) + 48)
        value //= _TEN
    return value


@njit(cache=True, nogil=True, forceinline=True)
def _digits_of(value: np.uint64) -> np.int64:
    digits = 1
    while value >= np.uint64(10_000):
        value //= np.uint64(10_000)
        digits += 4
    return digits + (value >= _TEN) + (value >= _HUNDRED) + (value >= np.uint64(1_000))


@njit(cache=True, nogil=True, forceinline=True)
def put_decimal(out: Address, at: int, value: int, scale: int) -> int:
    """Write minor units of 10^-scale in plain notation."""
    if value < 0:
        put_byte(out, at, 45)
        at += 1
    # Negating the smallest int64 leaves it as it is, and as uint64 that is its absolute value.
    size = np.uint64(-value if value < 0 else value)
    digits = max(_digits_of(size), scale + 1)
    if scale == 0:
        _put_digits(out, at + digits, size, digits)
        return at + digits
    whole = _put_digits(out, at + digits + 1, size, scale)
    put_byte(out, at + digits - scale, 46)
    _put_digits(out, at + digits - scale, whole, digits - scale)
    return at + digits + 1


@njit(cache=True, nogil=True)
def _put_text(out: Address, at: int, source: Address, start: int, length: int) -> int:
    """Write UTF-8 text as a JSON string."""
    put_byte(out, at, 34)
    at += 1
    end = start + length
    while start < end:
        word = word_at(source, start)
        if needs_escape(word) == np.uint64(0):
            put_word(out, at, word)
            step = min(8, end - start)
            start += step
            at += step
            continue
        for place in range(start, min(start + 8, end)):
            byte = byte_at(source, place)
            if byte == 34 or byte == 92:
                put_byte(out, at, 92)
                put_byte(out, at + 1, byte)
                at += 2
            elif byte < 32:
                put_byte(out, at, 92)
                put_byte(out, at + 1, 117)
                put_byte(out, at + 2, 48)
                put_byte(out, at + 3, 48)
                put_byte(out, at + 4, 48 + (byte >> 4))
                put_byte(out, at + 5, (byte & 15) + (48 if byte & 15 < 10 else 87))
                at += 6
            else:
                put_byte(out, at, byte)
                at += 1
        start = min(start + 8, end)
    put_byte(out, at, 34)
    return at + 1


@njit(cache=True, nogil=True)
def _put_instant(out: Address, at: int, epoch_ms: int) -> int:
    """Write epoch ms as "2026-11-22T20:00:00.000Z" (Hinnant, civil_from_days)."""
    days, of_day = epoch_ms // 86_400_000, epoch_ms % 86_400_000
    shifted = days + 719_468
    era, of_era = shifted // 146_097, shifted % 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year += era * 400 + (month <= 2)
    put_byte(out, at, 34)
    _put_digits(out, at + 5, np.uint64(year), 4)
    put_byte(out, at + 5, 45)
    _put_digits(out, at + 8, np.uint64(month), 2)
    put_byte(out, at + 8, 45)
    _put_digits(out, at + 11, np.uint64(day), 2)
    put_byte(out, at + 11, 84)
    _put_digits(out, at + 14, np.uint64(of_day // 3_600_000), 2)
    put_byte(out, at + 14, 58)
    _put_digits(out, at + 17, np.uint64(of_day // 60_000 % 60), 2)
    put_byte(out, at + 17, 58)
    _put_digits(out, at + 20, np.uint64(of_day // 1_000 % 60), 2)
    put_byte(out, at + 20, 46)
    _put_digits(out, at + 24, np.uint64(of_day % 1_000), 3)
    put_byte(out, at + 24, 90)
    put_byte(out, at + 25, 34)
    return at + 26


@njit(cache=True, nogil=True)
def _put_list(
    out: Address, at: int, hits: Address, row: int, size: int, literals: Address, choices: Address, first: int
) -> int:
    """Write a JSON array of the literals whose flags are set."""
    put_byte(out, at, 91)
    at += 1
    count, rows = size >> _LIST_SHIFT, size & ((1 << _LIST_SHIFT) - 1)
    written = False
    for place in range(count):
        if byte_at(hits, place * rows + row):
            if written:
                put_byte(out, at, 44)
                at += 1
            written = True
            choice = 2 * (first + place)
            at = _put_span(out, at, literals, int_at(choices, choice), int_at(choices, choice + 1))
    put_byte(out, at, 93)
    return at + 1


@njit(cache=True, nogil=True, forceinline=True)
def _put_value(out: Address, at: int, part: Address, row: int, literals: Address, choices: Address) -> int:
    """Write what a part holds for a row, where it is not null."""
    kind, a, b, c = int_at(part, 0), int_at(part, 3), int_at(part, 4), int_at(part, 5)
    if kind == INTEGER:
        return put_decimal(out, at, int_at(a, row), 0)
    if kind == DECIMAL:
        return put_decimal(out, at, int_at(a, row), b)
    if kind == SPAN:
        return _put_span(out, at, a, int_at(b, row), int_at(c, row))
    if kind == TEXT:
        return _put_text(out, at, a, int_at(b, row), int_at(c, row))
    if kind == BOOLEAN:
        true = byte_at(a, row) != 0
        put_word(out, at, _TRUE if true else _FALSE)
        return at + (4 if true else 5)
    if kind == CHOICE:
        choice = 2 * (b + byte_at(a, row))
        return _put_span(out, at, literals, int_at(choices, choice), int_at(choices, choice + 1))
    if kind == LIST:
        return _put_list(out, at, a, row, c, literals, choices, b)
    if kind == INSTANT:
        return _put_instant(out, at, int_at(a, row))
    return at


@njit(cache=True, nogil=True)
def write_rows(
    parts: np.ndarray, rows: Int64s, first: int, last: int, literals: np.ndarray, choices: np.ndarray, out: np.ndarray
) -> Int64s:
    """Write a record for each row.

    Args:
        parts: int64[p, 8].
        rows: int64[m]: rows of the batch.
        first: The first record to write.
        last: The record to stop before.
        literals: uint8: the text of all literals, with spare bytes.
        choices: int64[k, 2]: place and length of the literals that CHOICE and LIST choose from.
        out: uint8: large enough for these records at their longest, with spare bytes.

    Returns:
        int64[last - first + 1]: where each record starts, and where the last one ends.
    """
    base, text, choice = address_of(out), address_of(literals), address_of(choices)
    program = address_of(parts)
    offsets = np.empty(last - first + 1, np.int64)
    at = 0
    for record in range(first, last):
        offsets[record - first] = at
        place = 0
        while place < len(parts):
            part = program + 64 * place
            place += 1
            at = _put_span(base, at, text, int_at(part, 1), int_at(part, 2))
            row = record if int_at(part, 7) else rows[record]
            valid = int_at(part, 6)
            if valid != 0 and byte_at(valid, row) == 0:
                put_word(base, at, _NULL)
                at += 4
                if int_at(part, 0) == UNLESS_NULL:
                    place += int_at(part, 3)
            else:
                at = _put_value(base, at, part, row, text, choice)
    offsets[last - first] = at
    return offsets


@njit(cache=True, nogil=True)
def split_at_commas(text: np.ndarray, count: int) -> tuple[Int64s, Int64s]:
    """Start and length of each of `count` members of a JSON array of numbers and nulls, `[1.5,null]`."""
    base = address_of(text)
    start, length = np.empty(count, np.int64), np.empty(count, np.int64)
    at = 1
    for member in range(count):
        start[member] = at
        while byte_at(base, at) != 44 and byte_at(base, at) != 93:
            at += 1
        length[member] = at - start[member]
        at += 1
    return start, length


@njit(cache=True, nogil=True)
def without_brace(buffer: np.ndarray, start: Int64s, length: Int64s, rows: Int64s) -> tuple[Int64s, np.ndarray]:
    """How long an object's bytes are without its closing brace, int64[m], and int8[m], 1 where it has no members."""
    base = address_of(buffer)
    shorter, empty = np.empty(len(rows), np.int64), np.zeros(len(rows), np.int8)
    for record in range(len(rows)):
        first = start[rows[record]]
        last = first + length[rows[record]] - 1
        while byte_at(base, last) != 125:
            last -= 1
        shorter[record] = last - first
        inner = last - 1
        while byte_at(base, inner) <= 32:
            inner -= 1
        # No member ends with a brace that opens, so one in front of the white space is the object's own.
        empty[record] = byte_at(base, inner) == 123
    return shorter, empty
