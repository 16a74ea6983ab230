"""Memory that cannot be overrun unseen: arrays whose last byte is the last before a page that no one may touch.

The scan reads and writes by address, without bounds. In such memory a read or write past an array's end is a
segmentation fault on the spot instead of a wrong value some day.
"""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np

from fraudstream.engine import decode

_NO_ACCESS = 0
_PAGE = mmap.PAGESIZE
_LIBC = ctypes.CDLL(None, use_errno=True)


def guarded(array: np.ndarray) -> np.ndarray:
    """A copy of an array that ends where a forbidden page begins; another such page lies before its first page."""
    size = array.nbytes
    pages = -(-size // _PAGE)
    memory = mmap.mmap(-1, (pages + 2) * _PAGE)
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (0, pages + 1):
        if _LIBC.mprotect(ctypes.c_void_p(first + page * _PAGE), ctypes.c_size_t(_PAGE), _NO_ACCESS) != 0:
            raise OSError(ctypes.get_errno(), "mprotect failed")
    start = (pages + 1) * _PAGE - size
    copy = np.frombuffer(memory, np.uint8, size, start).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


class _GuardedMatrices(decode.Matrices):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        for name, array in vars(self).items():
            setattr(self, name, guarded(array))


def guard_the_decoder(monkeypatch: Any) -> None:
    """Makes every decoder of this process work in guarded memory: the records' bytes and what the scan writes."""
    plain = decode.joined

    def joined(values: list[bytes | None]) -> Any:
        buffer, start, length = plain(values)
        return guarded(buffer), start, length

    monkeypatch.setattr(decode, "joined", joined)
    monkeypatch.setattr(decode, "Matrices", _GuardedMatrices)
