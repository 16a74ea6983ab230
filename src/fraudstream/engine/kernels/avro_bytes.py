"""Avro's primitive types from bytes. A reader gives the index behind a value, or `UNSURE`: the reference must look."""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudstream.engine.kernels.json_text import after_character
from fraudstream.engine.kernels.memory import Address, byte_at, float_of_bits, trailing_zeros, word_at
from fraudstream.engine.kernels.numbers import LARGEST_DECIMAL, POWERS, UNSURE

_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_LONGEST_LONG = 10
_EXACT = 2.0**53


@njit(cache=True, nogil=True, forceinline=True)
def read_long(buffer: Address, i: int, end: int) -> tuple[int, int]:
    """An int or long: seven bits a byte, the lowest first, zigzag."""
    if i >= end or i < 0:
        return UNSURE, -1
    byte = byte_at(buffer, i)
    i += 1
    value = np.uint64(byte & 0x7F)
    shift = 7
    while byte >= 0x80:
        if i >= end or shift > 63:
            return UNSURE, -1
        byte = byte_at(buffer, i)
        i += 1
        if shift == 63 and byte > 1:
            return UNSURE, -1
        value |= np.uint64(byte & 0x7F) << np.uint64(shift)
        shift += 7
    return i, int(np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1)))


@njit(cache=True, nogil=True, forceinline=True)
def read_double(buffer: Address, i: int) -> float:
    """The float64 at i."""
    return float_of_bits(word_at(buffer, i))


@njit(cache=True, nogil=True, forceinline=True)
def read_single(buffer: Address, i: int) -> float:
    """The float32 at i."""
    bits = np.int64(word_at(buffer, i) & np.uint64(0xFFFFFFFF))
    exponent, fraction = (bits >> 23) & 0xFF, bits & 0x7FFFFF
    if exponent == 0xFF:
        return np.inf
    size = fraction * 2.0**-149 if exponent == 0 else (fraction + 8388608) * 2.0 ** (exponent - 150)
    return -size if bits >> 31 else size


@njit(cache=True, nogil=True, forceinline=True)
def read_big_endian(buffer: Address, i: int, size: int) -> int:
    """An integer of one to eight bytes in two's complement, the highest first."""
    value = byte_at(buffer, i)
    if value >= 0x80:
        value -= 256
    for place in range(i + 1, i + size):
        value = value << 8 | byte_at(buffer, place)
    return value


@njit(cache=True, nogil=True, forceinline=True)
def rescaled(i: int, value: int, scale: int, wanted: int) -> tuple[int, int]:
    """Minor units of another scale, exactly."""
    if wanted >= scale:
        power = POWERS[wanted - scale]
        if abs(value) > LARGEST_DECIMAL // power or value == -(2**63):
            return UNSURE, 0
        return i, value * power
    power = POWERS[scale - wanted]
    units = value // power
    if units * power != value or abs(units) > LARGEST_DECIMAL:
        return UNSURE, 0
    return i, units


@njit(cache=True, nogil=True, forceinline=True)
def units_of_double(i: int, number: float, scale: int) -> tuple[int, int]:
    """The minor units that a float64 was made from: of at most 15 digits there are only one, if any."""
    scaled = number * POWERS[scale]
    if not abs(scaled) <= LARGEST_DECIMAL:
        return UNSURE, 0
    units = int(np.rint(scaled))
    if np.float64(units) / POWERS[scale] != number:
        return UNSURE, 0
    return i, units


@njit(cache=True, nogil=True)
def after_text(buffer: Address, i: int, end: int, with_nul: bool) -> int:
    """The end of a text if it is UTF-8, and without NUL unless that is allowed."""
    while i < end:
        word = word_at(buffer, i)
        if end - i < 8:  # what is behind the end counts as harmless
            kept = _ALL >> np.uint64(64 - 8 * (end - i))
            word = (word & kept) | (_ONES & ~kept)
        special = word & _HIGHS
        if not with_nul:
            special |= (word - _ONES) & ~word & _HIGHS
        if special == np.uint64(0):
            i += 8
            continue
        i += trailing_zeros(special) >> 3
        if byte_at(buffer, i) < 0x80:
            return UNSURE
        i = after_character(buffer, i)
        if i == UNSURE or i > end:
            return UNSURE
    return end
