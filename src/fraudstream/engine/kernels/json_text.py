"""JSON strings, literals and numbers in bytes: checked and skipped, or unescaped.

A reader takes the index of a value's first byte and returns the index behind it, or `UNSURE` where the reference
decoder has to look. Nothing here stops at a record's end: who reads past it ends behind it, which the caller checks.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudstream.engine.kernels.memory import Address, byte_at, put_byte, trailing_zeros, word_at
from fraudstream.engine.kernels.numbers import UNSURE

_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_SPACES = np.uint64(0x2020202020202020)
_QUOTES = np.uint64(0x2222222222222222)
_BACKSLASHES = np.uint64(0x5C5C5C5C5C5C5C5C)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_HASH = np.uint64(0x9E3779B97F4A7C15)
_TRUE, _NULL, _ALSE = np.uint64(0x65757274), np.uint64(0x6C6C756E), np.uint64(0x65736C61)
_LOW_HALF = np.uint64(0xFFFFFFFF)

QUOTE, BACKSLASH = 34, 92


@njit(cache=True, nogil=True, forceinline=True)
def after_space(buffer: Address, i: int) -> int:
    """The index of the first byte from i on that is not JSON white space."""
    byte = byte_at(buffer, i)
    while byte <= 32 and (byte == 32 or byte == 10 or byte == 13 or byte == 9):
        i += 1
        byte = byte_at(buffer, i)
    return i


@njit(cache=True, nogil=True, forceinline=True)
def _continues(buffer: Address, i: int, count: int) -> bool:
    for place in range(i, i + count):  # noqa: SIM110 - Numba compiles no generators in a row
        if byte_at(buffer, place) & 0xC0 != 0x80:
            return False
    return True


@njit(cache=True, nogil=True)
def after_character(buffer: Address, i: int) -> int:
    """The index behind a UTF-8 character of two to four bytes (Unicode 16, table 3-7); UNSURE if it is none."""
    first, second = byte_at(buffer, i), byte_at(buffer, i + 1)
    if 0xC2 <= first <= 0xDF:
        return i + 2 if _continues(buffer, i + 1, 1) else UNSURE
    if 0xE0 <= first <= 0xEF:
        lowest = 0xA0 if first == 0xE0 else 0x80
        highest = 0x9F if first == 0xED else 0xBF
        return i + 3 if lowest <= second <= highest and _continues(buffer, i + 2, 1) else UNSURE
    if 0xF0 <= first <= 0xF4:
        lowest = 0x90 if first == 0xF0 else 0x80
        highest = 0x8F if first == 0xF4 else 0xBF
        return i + 4 if lowest <= second <= highest and _continues(buffer, i + 2, 2) else UNSURE
    return UNSURE


@njit(cache=True, nogil=True, forceinline=True)
def hexadecimal(buffer: Address, i: int) -> int:
    """The number that four hexadecimal digits spell, or UNSURE."""
    number = 0
    for place in range(i, i + 4):
        digit = byte_at(buffer, place)
        if 48 <= digit <= 57:
            digit -= 48
        elif 97 <= digit | 32 <= 102:
            digit = (digit | 32) - 87
        else:
            return UNSURE
        number = number * 16 + digit
    return number


@njit(cache=True, nogil=True)
def _after_escape(buffer: Address, i: int) -> int:
    """The index behind an escape whose backslash is at i; UNSURE for surrogates and what is no escape."""
    kind = byte_at(buffer, i + 1)
    if kind in (34, 92, 47, 98, 102, 110, 114, 116):
        return i + 2
    if kind != 117:
        return UNSURE
    code = hexadecimal(buffer, i + 2)
    if code == UNSURE or 0xD800 <= code <= 0xDFFF:
        return UNSURE
    return i + 6


@njit(cache=True, nogil=True, forceinline=True)
def needs_escape(word: np.uint64) -> np.uint64:
    """The high bit of each byte of a word that is a quote, a backslash or a control character.

    Above the lowest such byte there may be false ones (borrows): only whether there is one, and the lowest, count.
    """
    quotes = word ^ _QUOTES
    backslashes = word ^ _BACKSLASHES
    return (((quotes - _ONES) & ~quotes) | ((backslashes - _ONES) & ~backslashes) | ((word - _SPACES) & ~word)) & _HIGHS


@njit(cache=True, nogil=True)
def closing_quote(buffer: Address, i: int, end: int) -> tuple[int, bool]:
    """The index of the quote that closes a string whose text starts at i, and whether the text has escapes."""
    escapes = False
    while i < end:
        word = word_at(buffer, i)
        special = needs_escape(word) | (word & _HIGHS)  # or is not ASCII
        if special == np.uint64(0):
            i += 8
            continue
        i += trailing_zeros(special) >> 3
        byte = byte_at(buffer, i)
        if byte == QUOTE:
            return i, escapes
        if byte == BACKSLASH:
            escapes = True
            i = _after_escape(buffer, i)
        elif byte >= 0x80:
            i = after_character(buffer, i)
        else:
            return UNSURE, escapes
        if i == UNSURE:
            return UNSURE, escapes
    return UNSURE, escapes


@njit(cache=True, nogil=True)
def unescape(buffer: Address, i: int, close: int, target: Address, at: int) -> int:
    """Write the text of a checked string with escapes as UTF-8 into target; the index behind it there.

    UNSURE where it holds NUL. It is never longer than what it was written as.
    """
    while i < close:
        byte = byte_at(buffer, i)
        if byte != BACKSLASH:
            put_byte(target, at, byte)
            i += 1
            at += 1
            continue
        kind = byte_at(buffer, i + 1)
        i += 2
        code = kind
        if kind == 117:
            code = hexadecimal(buffer, i)
            i += 4
        elif kind == 98:
            code = 8
        elif kind == 102:
            code = 12
        elif kind == 110:
            code = 10
        elif kind == 114:
            code = 13
        elif kind == 116:
            code = 9
        if code == 0:
            return UNSURE
        if code < 0x80:
            put_byte(target, at, code)
            at += 1
        elif code < 0x800:
            put_byte(target, at, 0xC0 | code >> 6)
            put_byte(target, at + 1, 0x80 | code & 0x3F)
            at += 2
        else:
            put_byte(target, at, 0xE0 | code >> 12)
            put_byte(target, at + 1, 0x80 | code >> 6 & 0x3F)
            put_byte(target, at + 2, 0x80 | code & 0x3F)
            at += 3
    return at


@njit(cache=True, nogil=True, forceinline=True)
def _after_digits(buffer: Address, i: int) -> int:
    while 48 <= byte_at(buffer, i) <= 57:
        i += 1
    return i


@njit(cache=True, nogil=True)
def after_number(buffer: Address, i: int) -> int:
    """The index behind a JSON number."""
    i += byte_at(buffer, i) == 45
    first = i
    i = _after_digits(buffer, i)
    if i == first or (i > first + 1 and byte_at(buffer, first) == 48):
        return UNSURE
    if byte_at(buffer, i) == 46:
        first = i + 1
        i = _after_digits(buffer, first)
        if i == first:
            return UNSURE
    if byte_at(buffer, i) | 32 == 101:
        first = i + 1
        first += byte_at(buffer, first) in (43, 45)
        i = _after_digits(buffer, first)
        if i == first:
            return UNSURE
    return i


@njit(cache=True, nogil=True, forceinline=True)
def after_literal(buffer: Address, i: int) -> tuple[int, int]:
    """The index behind true, false or null, and 1, 0 or -1 for which it is."""
    word = word_at(buffer, i)
    if word & _LOW_HALF == _TRUE:
        return i + 4, 1
    if word & _LOW_HALF == _NULL:
        return i + 4, -1
    if byte_at(buffer, i) == 102 and (word >> np.uint64(8)) & _LOW_HALF == _ALSE:
        return i + 5, 0
    return UNSURE, 0


@njit(cache=True, nogil=True, forceinline=True)
def same_bytes(buffer: Address, i: int, other: Address, j: int, length: int) -> bool:
    """Whether `length` bytes are equal; both arrays have spare bytes."""
    while length >= 8:
        if word_at(buffer, i) != word_at(other, j):
            return False
        i += 8
        j += 8
        length -= 8
    if length == 0:
        return True
    return (word_at(buffer, i) ^ word_at(other, j)) << np.uint64(64 - 8 * length) == np.uint64(0)


@njit(cache=True, nogil=True)
def hash_bytes(buffer: Address, i: int, length: int, seed: int) -> np.uint64:
    """A quick 64-bit hash of a few bytes for a small table."""
    state = np.uint64(seed) * _HASH + np.uint64(length)
    while length > 0:
        word = word_at(buffer, i)
        if length < 8:
            word &= _ALL >> np.uint64(64 - 8 * length)
        state = (state ^ word) * _HASH
        state ^= state >> np.uint64(29)
        i += 8
        length -= 8
    return state
