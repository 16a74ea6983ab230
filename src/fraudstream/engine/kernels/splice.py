"""Putting tokens into records' bytes in the place of values, for a whole chunk at once."""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudstream.engine.column import Int64s
from fraudstream.engine.kernels.memory import address_of, copy_bytes, put_byte

_QUOTE = 34


@njit(cache=True, nogil=True)
def splice(
    target: np.ndarray,
    target_start: Int64s,
    buffer: np.ndarray,
    start: Int64s,
    length: Int64s,
    value_start: np.ndarray,
    value_length: np.ndarray,
    slot: np.ndarray,
    tokens: np.ndarray,
    token_length: np.ndarray,
    token_start: np.ndarray,
) -> None:
    """Copies n records and writes a token in quotes where a value stood.

    Args:
        target: uint8: where the new records go.
        target_start: int64[n]: where each starts there.
        buffer: uint8: the records.
        start: int64[n].
        length: int64[n].
        value_start: int64[k, ≥ n]: where each of k values starts in the buffer, its quote included.
        value_length: int64[k, ≥ n].
        slot: int64[k, n]: the token that stands for it; -1: it stays.
        tokens: uint8[slots, width].
        token_length: int64[k, n]: the tokens' lengths.
        token_start: int64[k, n]: filled in: where each token starts in `target`.
    """
    to, origin, written = address_of(target), address_of(buffer), address_of(tokens)
    width = tokens.shape[1]
    for row in range(len(start)):
        at, place, end = target_start[row], start[row], start[row] + length[row]
        while True:
            first = -1
            for index in range(slot.shape[0]):
                at_or_behind = slot[index, row] >= 0 and value_start[index, row] >= place
                if at_or_behind and (first < 0 or value_start[index, row] < value_start[first, row]):
                    first = index
            if first < 0:
                break
            before, size = value_start[first, row] - place, token_length[first, row]
            copy_bytes(to, at, origin, place, before)
            at += before
            put_byte(to, at, _QUOTE)
            copy_bytes(to, at + 1, written, slot[first, row] * width, size)
            put_byte(to, at + 1 + size, _QUOTE)
            token_start[first, row] = at + 1
            at += size + 2
            place = value_start[first, row] + value_length[first, row]
        copy_bytes(to, at, origin, place, end - place)


@njit(cache=True, nogil=True)
def moved_texts(
    text_start: Int64s,
    start: Int64s,
    length: Int64s,
    target_start: Int64s,
    aside: int,
    grown: np.ndarray,
    value_start: np.ndarray,
) -> Int64s:
    """Where texts stand once tokens have been written.

    Args:
        text_start: int64[n]: where each text stands in the buffer.
        start: int64[n]: where its record stood there.
        length: int64[n].
        target_start: int64[n]: where the record stands now.
        aside: How far what stands behind all records has moved.
        grown: int64[k, n]: by how much each of the k values grew.
        value_start: int64[k, ≥ n].
    """
    moved = np.empty(len(text_start), np.int64)
    for row in range(len(text_start)):
        within = text_start[row] - start[row]
        if 0 <= within < length[row]:
            moved[row] = target_start[row] + within
            for index in range(grown.shape[0]):
                if value_start[index, row] < text_start[row]:
                    moved[row] += grown[index, row]
        else:
            moved[row] = text_start[row] + aside
    return moved


@njit(cache=True, nogil=True)
def tokens_of_rows(slot: Int64s, low: np.ndarray, high: np.ndarray, of_low: np.ndarray, of_high: np.ndarray) -> None:
    """Puts the fingerprints of tokens into the rows (`low`, `high`) that have one."""
    for row in range(len(slot)):
        if slot[row] >= 0:
            low[row] = of_low[slot[row]]
            high[row] = of_high[slot[row]]
