"""Choosing an alert's reasons, and writing values as people read them."""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudstream.engine.column import Floats, Int64s
from fraudstream.engine.kernels.json_write import put_decimal
from fraudstream.engine.kernels.memory import Address, address_of, put_byte

WHOLE, AMOUNT, NUMBER, SHARE, DURATION = range(5)
"""How a value is written: `plan.plan.Style`."""
LONGEST_VALUE = 40
"""Bytes."""

_UNKNOWN, _PERCENT, _MILLISECONDS = b"unknown", b" %", b" ms"
_UNITS = (b" s", b" min", b" h", b" days")
_UNIT_MS = (1_000.0, 60_000.0, 3_600_000.0, 86_400_000.0)
_LARGEST = 9e18
_MOST_DECIMALS = 6


@njit(cache=True, nogil=True)
def choose_reasons(
    contributions: Floats, group: Int64s, groups: int, most: int
) -> tuple[Int64s, Floats, Int64s, Floats]:
    """The groups of inputs that raised each margin most.

    Args:
        contributions: float64[m, inputs].
        group: int64[inputs], the group of each input.
        groups: How many groups there are.
        most: How many to choose at most; only groups that add something are.

    Returns:
        int64[m, most] the groups, most raising first, of equal ones the first, -1 where there are no more; float64[m,
        most] what each adds; int64[m, most] its input that adds most; float64[m] what all other groups add.
    """
    m, inputs = contributions.shape
    chosen, leading = np.full((m, most), -1, np.int64), np.full((m, most), -1, np.int64)
    sums, rest = np.zeros((m, most)), np.zeros(m)
    total, best, taken = np.empty(groups), np.empty(groups, np.int64), np.empty(groups, np.bool_)
    for row in range(m):
        total[:], best[:], taken[:] = 0.0, -1, False
        for place in range(inputs):
            into = group[place]
            total[into] += contributions[row, place]
            if best[into] < 0 or contributions[row, place] > contributions[row, best[into]]:
                best[into] = place
        for rank in range(most):
            highest = -1
            for each in range(groups):
                if not taken[each] and total[each] > 0.0 and (highest < 0 or total[each] > total[highest]):
                    highest = each
            if highest < 0:
                break
            taken[highest] = True
            chosen[row, rank], sums[row, rank], leading[row, rank] = highest, total[highest], best[highest]
        for each in range(groups):
            if not taken[each]:
                rest[row] += total[each]
    return chosen, sums, leading, rest


@njit(cache=True, nogil=True)
def _put_word(out: Address, at: int, word: bytes) -> int:
    for letter in word:
        put_byte(out, at, letter)
        at += 1
    return at


@njit(cache=True, nogil=True)
def _put_number(out: Address, at: int, value: float) -> int:
    """Write a number to three significant digits, with six decimals at most and none that says nothing."""
    decimals, size = 0, abs(value)
    while size < 100.0 and decimals < _MOST_DECIMALS and size > 0.0:
        size *= 10.0
        decimals += 1
    scaled = np.int64(np.rint(value * 10.0**decimals))
    while decimals > 0 and scaled % 10 == 0:
        scaled //= 10
        decimals -= 1
    return put_decimal(out, at, scaled, decimals)


@njit(cache=True, nogil=True)
def write_values(values: Floats, style: np.ndarray, scale: np.ndarray, out: np.ndarray) -> tuple[Int64s, Int64s]:
    """Write values as people read them.

    Args:
        values: float64[n], null as NaN; durations in milliseconds, shares from 0 to 1.
        style: int8[n], how each is written.
        scale: int8[n], of amounts how many decimals.
        out: uint8[n * LONGEST_VALUE or more], what is written to.

    Returns:
        Where each text starts, int64[n], and how many bytes it has, int64[n].
    """
    base = address_of(out)
    start, length = np.empty(len(values), np.int64), np.empty(len(values), np.int64)
    at = 0
    for row in range(len(values)):
        start[row] = at
        value = values[row]
        if np.isnan(value):
            at = _put_word(base, at, _UNKNOWN)
        elif style[row] == SHARE:
            at = _put_number(base, at, min(max(100.0 * value, -_LARGEST), _LARGEST))
            at = _put_word(base, at, _PERCENT)
        elif style[row] == DURATION:
            unit = -1
            for each in range(4):
                if value >= (1.0 if each == 0 else 2.0) * _UNIT_MS[each]:
                    unit = each
            at = _put_number(base, at, min(max(value / (1.0 if unit < 0 else _UNIT_MS[unit]), -_LARGEST), _LARGEST))
            at = _put_word(base, at, _MILLISECONDS if unit < 0 else _UNITS[unit])
        elif style[row] == NUMBER:
            at = _put_number(base, at, min(max(value, -_LARGEST), _LARGEST))
        else:
            decimals = scale[row] if style[row] == AMOUNT else 0
            scaled = min(max(value * 10.0**decimals, -_LARGEST), _LARGEST)
            at = put_decimal(base, at, np.int64(np.rint(scaled)), decimals)
        length[row] = at - start[row]
    return start, length
