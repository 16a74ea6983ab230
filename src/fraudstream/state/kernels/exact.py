"""128-bit arithmetic: sums of squares stay exact, and become a float once."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, forceinline=True)
def square(value):
    """A value's square as (low, high) halves of 128 bits."""
    magnitude = np.uint64(-value) if value < 0 else np.uint64(value)
    low32 = magnitude & np.uint64(0xFFFFFFFF)
    high32 = magnitude >> np.uint64(32)
    cross = low32 * high32
    low = low32 * low32
    total = low + (cross << np.uint64(33))
    carry = np.uint64(1) if total < low else np.uint64(0)
    return total, high32 * high32 + (cross >> np.uint64(31)) + carry


@njit(cache=True, nogil=True, forceinline=True)
def _multiply(a, b):
    """The product of two unsigned 64-bit numbers as (low, high) halves of 128 bits."""
    mask = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    a_low, a_high, b_low, b_high = a & mask, a >> shift, b & mask, b >> shift
    low = a_low * b_low
    middle = a_high * b_low + (low >> shift)
    other = a_low * b_high + (middle & mask)
    return (other << shift) | (low & mask), a_high * b_high + (middle >> shift) + (other >> shift)


@njit(cache=True, nogil=True, forceinline=True)
def _to_float(low, high):
    """An unsigned 128-bit number as the nearest float64."""
    if high == np.uint64(0):
        return np.float64(low)
    shift = 0
    while high != np.uint64(0):
        sticky = low & np.uint64(1)
        low = (low >> np.uint64(1)) | (high << np.uint64(63)) | sticky
        high >>= np.uint64(1)
        shift += 1
    # The lowest bit remembers what was shifted out, so that this one conversion rounds correctly.
    return np.float64(low) * 2.0**shift


@njit(cache=True, nogil=True, forceinline=True)
def variance(count, total, low, high):
    """The sample variance from exact sums: (n·Σx² - (Σx)²) / (n·(n-1)), rounded only where it becomes a float."""
    n = np.uint64(count)
    first_low, carry = _multiply(low, n)
    first_high = high * n + carry
    square_low, square_high = square(total)
    borrow = np.uint64(1) if first_low < square_low else np.uint64(0)
    numerator = _to_float(first_low - square_low, first_high - square_high - borrow)
    return numerator / np.float64(count * (count - 1))
