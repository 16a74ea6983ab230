"""The compiled scan run as plain Python, so that a fuzzer sees its branches and every access is checked for bounds.

Import it before anything of the engine, in a process of its own: it turns the compiler off and puts checked memory in
the place of the raw one.
"""

from __future__ import annotations

import bisect
import ctypes
import os
from typing import Any

os.environ["NUMBA_DISABLE_JIT"] = "1"

import numpy as np

from fraudstream.engine.kernels import memory

np.seterr(over="ignore")  # compiled integers wrap around without a word


class OutOfBounds(BaseException):
    """The scan read or wrote outside of the arrays it was given; no Exception, so that nothing swallows it."""


class _Regions:
    """The arrays whose addresses the scan has."""

    def __init__(self) -> None:
        self._arrays: dict[int, np.ndarray] = {}
        self._starts: list[int] = []

    def add(self, array: np.ndarray) -> int:
        start = int(array.__array_interface__["data"][0])
        if start not in self._arrays:
            bisect.insort(self._starts, start)
        self._arrays[start] = array
        return start

    def checked(self, base: Any, offset: int, size: int) -> int:
        """The address `offset` bytes behind a base that lies within an array."""
        base = int(base)
        start = self._starts[bisect.bisect_right(self._starts, base) - 1]
        at = base + int(offset)
        if at < start or at + size > start + self._arrays[start].nbytes:
            raise OutOfBounds(f"{size} bytes from {at - start} of an array of {self._arrays[start].nbytes}")
        return at

    def keep_only(self, starts: set[int]) -> None:
        """Forget the arrays of earlier calls."""
        self._arrays = {start: self._arrays[start] for start in sorted(starts)}
        self._starts = list(self._arrays)

    def known(self) -> set[int]:
        return set(self._arrays)


REGIONS = _Regions()


def _byte_at(base: Any, index: Any) -> int:
    return ctypes.c_uint8.from_address(REGIONS.checked(base, index, 1)).value


def _put_byte(base: Any, index: Any, value: Any) -> None:
    ctypes.c_uint8.from_address(REGIONS.checked(base, index, 1)).value = int(value) & 255


def _word_at(base: Any, index: Any) -> np.uint64:
    return np.uint64(ctypes.c_uint64.from_address(REGIONS.checked(base, index, 8)).value)


def _put_word(base: Any, index: Any, value: Any) -> None:
    ctypes.c_uint64.from_address(REGIONS.checked(base, index, 8)).value = int(value)


def _int_at(base: Any, index: Any) -> int:
    return ctypes.c_int64.from_address(REGIONS.checked(base, 8 * index, 8)).value


def _put_int(base: Any, index: Any, value: Any) -> None:
    ctypes.c_int64.from_address(REGIONS.checked(base, 8 * index, 8)).value = int(value)


def _float_at(base: Any, index: Any) -> float:
    return ctypes.c_double.from_address(REGIONS.checked(base, 8 * index, 8)).value


def _copy_bytes(target: Any, at: Any, source: Any, start: Any, length: Any) -> None:
    ctypes.memmove(REGIONS.checked(target, at, length), REGIONS.checked(source, start, length), int(length))


def _multiply_high(left: Any, right: Any) -> np.uint64:
    return np.uint64(int(left) * int(right) >> 64)


def _trailing_zeros(word: Any) -> int:
    return (int(word) & -int(word)).bit_length() - 1 if word else 64


for _name, _function in {
    "address_of": REGIONS.add,
    "byte_at": _byte_at,
    "put_byte": _put_byte,
    "word_at": _word_at,
    "put_word": _put_word,
    "int_at": _int_at,
    "put_int": _put_int,
    "float_at": _float_at,
    "copy_bytes": _copy_bytes,
    "trailing_zeros": _trailing_zeros,
    "leading_zeros": lambda word: 64 - int(word).bit_length(),
    "multiply_high": _multiply_high,
    "float_of_bits": lambda bits: np.uint64(bits).view(np.float64),
    "bits_of_float": lambda number: int(np.float64(number).view(np.int64)),
}.items():
    setattr(memory, _name, _function)


def check_the_scan() -> None:
    """Adapt what only the compiled scan can do; called once its modules are imported."""
    from fraudstream.engine import decode_cells
    from fraudstream.engine.kernels import json_scan, json_text, scan_memory

    plain_hash = json_text.hash_bytes
    # NumPy refuses to make a negative number unsigned, the compiler does not.
    wrapped = lambda buffer, i, length, seed: plain_hash(buffer, i, length, np.uint64(seed % 2**64))  # noqa: E731
    json_scan.hash_bytes = wrapped
    for module in (decode_cells, scan_memory):
        module.address = REGIONS.add
