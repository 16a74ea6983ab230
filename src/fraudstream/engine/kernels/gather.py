"""Copying chosen records, and the texts their columns point to, into a compact buffer."""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudstream.engine.column import Int64s
from fraudstream.engine.kernels.memory import address_of, copy_bytes


@njit(cache=True, nogil=True)
def copy_spans(target: np.ndarray, at: int, source: np.ndarray, start: Int64s, length: Int64s) -> None:
    """Copy n spans of source to target, one behind the other from `at` on."""
    to, origin = address_of(target), address_of(source)
    for row in range(len(start)):
        copy_bytes(to, at, origin, start[row], length[row])
        at += length[row]


@njit(cache=True, nogil=True)
def rebase(start: Int64s, length: Int64s, old: Int64s, size: Int64s, new: Int64s, aside: int) -> tuple[Int64s, int]:
    """Where texts stand once their records have moved.

    Args:
        start: int64[n]: where each text stands now.
        length: int64[n]: how many bytes it has.
        old: int64[n]: where its record stands now.
        size: int64[n]: how many bytes the record has.
        new: int64[n]: where the record will stand.
        aside: Where the first text outside its record (it had escapes) will stand.

    Returns:
        int64[n] where each text will stand, and where the next one outside its record will.
    """
    moved = np.empty(len(start), np.int64)
    for row in range(len(start)):
        within = start[row] - old[row]
        if within >= 0 and within + length[row] <= size[row]:
            moved[row] = new[row] + within
        else:
            moved[row] = aside
            aside += length[row]
    return moved, aside
