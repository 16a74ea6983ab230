"""Protobuf's primitive types from bytes. Readers give the index behind a value, or `UNSURE`: ask the reference."""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudstream.engine.kernels.memory import Address, byte_at, word_at
from fraudstream.engine.kernels.numbers import LAST_INSTANT_MS, UNSURE

INT64, INT32, UINT64, UINT32, SIGNED, FIXED32, SFIXED32, FIXED64 = range(8)
"""How an integer is written; SIGNED in zigzag, FIXED64 whether signed or not."""
VARINT, EIGHT, DELIMITED, FOUR = 0, 1, 2, 5
"""Wire types."""


@njit(cache=True, nogil=True, forceinline=True)
def read_varint(buffer: Address, i: int, end: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first, as the int64 with these bits."""
    if i >= end:
        return UNSURE, 0
    byte = byte_at(buffer, i)
    i += 1
    value = np.uint64(byte & 0x7F)
    shift = 7
    while byte >= 0x80:
        if i >= end or shift > 63:
            return UNSURE, 0
        byte = byte_at(buffer, i)
        i += 1
        if shift == 63 and byte > 1:
            return UNSURE, 0
        value |= np.uint64(byte & 0x7F) << np.uint64(shift)
        shift += 7
    return i, int(np.int64(value))


@njit(cache=True, nogil=True, forceinline=True)
def read_whole(buffer: Address, i: int, end: int, form: int) -> tuple[int, int]:
    """An integer that fits what it is declared as."""
    if form == FIXED32 or form == SFIXED32:
        if end - i < 4:
            return UNSURE, 0
        value = np.int64(word_at(buffer, i) & np.uint64(0xFFFFFFFF))
        return i + 4, int(value - 4294967296 if form == SFIXED32 and value >= 2147483648 else value)
    if form == FIXED64:
        return (i + 8, int(np.int64(word_at(buffer, i)))) if end - i >= 8 else (UNSURE, 0)
    i, value = read_varint(buffer, i, end)
    if form == SIGNED:
        raw = np.uint64(value)
        return i, int(np.int64(raw >> np.uint64(1)) ^ -np.int64(raw & np.uint64(1)))
    if form == INT32 and (value < -2147483648 or value > 2147483647):
        return UNSURE, 0
    if form == UINT32 and (value < 0 or value > 4294967295):
        return UNSURE, 0
    if form == UINT64 and value < 0:
        return UNSURE, 0
    return i, value


@njit(cache=True, nogil=True, forceinline=True)
def skip_field(buffer: Address, i: int, end: int, wire_type: int) -> int:
    """The index behind a value of a wire type; groups are for the reference decoder."""
    if wire_type == VARINT:
        after, _ = read_varint(buffer, i, end)
        return after
    size = 8 if wire_type == EIGHT else 4
    if wire_type == DELIMITED:
        i, size = read_varint(buffer, i, end)
    elif wire_type != EIGHT and wire_type != FOUR:
        return UNSURE
    return i + size if i != UNSURE and 0 <= size <= end - i else UNSURE


@njit(cache=True, nogil=True)
def skip_repeated(buffer: Address, i: int, end: int, wire_type: int, element: int) -> int:
    """The index behind one element of a repeated number, or behind many in one piece."""
    if wire_type == element:
        return skip_field(buffer, i, end, wire_type)
    if wire_type != DELIMITED:
        return UNSURE
    i, size = read_varint(buffer, i, end)
    if i == UNSURE or size < 0 or size > end - i:
        return UNSURE
    last = i + size
    while i < last:
        i = skip_field(buffer, i, last, element)
        if i == UNSURE:
            return UNSURE
    return i


@njit(cache=True, nogil=True)
def read_instant(buffer: Address, i: int, end: int) -> tuple[int, int]:
    """Epoch ms of a Timestamp whose length stands at i."""
    i, size = read_varint(buffer, i, end)
    if i == UNSURE or size < 0 or size > end - i:
        return UNSURE, 0
    last = i + size
    seconds = nanos = 0
    while i < last:
        tag = byte_at(buffer, i)
        i, value = read_varint(buffer, i + 1, last)
        if i == UNSURE or value < 0:
            return UNSURE, 0
        if tag == 0x08:
            seconds = value
        elif tag == 0x10 and value <= 999_999_999:
            nanos = value
        else:
            return UNSURE, 0
    if seconds > LAST_INSTANT_MS // 1_000:
        return UNSURE, 0
    return last, seconds * 1_000 + nanos // 1_000_000
