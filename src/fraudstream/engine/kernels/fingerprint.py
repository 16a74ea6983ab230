"""128-bit fingerprints: what stands for texts, integers and compound keys everywhere behind the decoder.

Texts take MurmurHash3 x64 128 (Austin Appleby, public domain) with a fixed seed; equal fingerprints are taken to be
equal texts (a collision among a billion texts has a probability of about 10^-21). It is not a cryptographic hash.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fraudstream.engine.column import Int64s, UInt64s
from fraudstream.engine.kernels.memory import PADDING, Address, address_of, word_at

SEED = 0x66726175
_MASK = (1 << 64) - 1
_C1, _C2 = 0x87C37B91114253D5, 0x4CF5AD432745937F
_GAMMA = 0x9E3779B97F4A7C15
_MIX1, _MIX2 = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53
_SPLIT1, _SPLIT2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

_U_SEED = np.uint64(SEED)
_U_C1, _U_C2, _U_GAMMA = np.uint64(_C1), np.uint64(_C2), np.uint64(_GAMMA)
_U_MIX1, _U_MIX2 = np.uint64(_MIX1), np.uint64(_MIX2)
_U_SPLIT1, _U_SPLIT2 = np.uint64(_SPLIT1), np.uint64(_SPLIT2)
_FIVE, _ADD1, _ADD2 = np.uint64(5), np.uint64(0x52DCE729), np.uint64(0x38495AB5)
_ALL = np.uint64(_MASK)


@njit(cache=True, nogil=True, forceinline=True)
def _rotated(word: np.uint64, bits: int) -> np.uint64:
    return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))


@njit(cache=True, nogil=True, forceinline=True)
def _finished(word: np.uint64) -> np.uint64:
    word = (word ^ (word >> np.uint64(33))) * _U_MIX1
    word = (word ^ (word >> np.uint64(33))) * _U_MIX2
    return word ^ (word >> np.uint64(33))


@njit(cache=True, nogil=True, forceinline=True)
def _block(h1: np.uint64, h2: np.uint64, k1: np.uint64, k2: np.uint64) -> tuple[np.uint64, np.uint64]:
    """One step of MurmurHash3: sixteen more bytes."""
    h1 ^= _rotated(k1 * _U_C1, 31) * _U_C2
    h1 = (_rotated(h1, 27) + h2) * _FIVE + _ADD1
    h2 ^= _rotated(k2 * _U_C2, 33) * _U_C1
    h2 = (_rotated(h2, 31) + h1) * _FIVE + _ADD2
    return h1, h2


@njit(cache=True, nogil=True, forceinline=True)
def _end(h1: np.uint64, h2: np.uint64, length: int) -> tuple[np.uint64, np.uint64]:
    h1 ^= np.uint64(length)
    h2 ^= np.uint64(length)
    h1 += h2
    h2 += h1
    h1 = _finished(h1)
    h2 = _finished(h2)
    h1 += h2
    return h1, h2 + h1


@njit(cache=True, nogil=True)
def fingerprint_span(buffer: Address, start: int, length: int) -> tuple[np.uint64, np.uint64]:
    """The fingerprint of `length` bytes from `start`; the buffer has `PADDING` spare bytes."""
    h1, h2 = _U_SEED, _U_SEED
    at = start
    last = start + (length & ~15)
    while at < last:
        h1, h2 = _block(h1, h2, word_at(buffer, at), word_at(buffer, at + 8))
        at += 16
    rest = length & 15
    if rest > 8:
        k2 = word_at(buffer, at + 8) & (_ALL >> np.uint64(8 * (16 - rest)))
        h2 ^= _rotated(k2 * _U_C2, 33) * _U_C1
    if rest > 0:
        k1 = word_at(buffer, at) & (_ALL >> np.uint64(8 * max(8 - rest, 0)))
        h1 ^= _rotated(k1 * _U_C1, 31) * _U_C2
    return _end(h1, h2, length)


@njit(cache=True, nogil=True)
def fingerprint_spans(buffer: np.ndarray, start: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fingerprints (low, high) of n texts that stand in one buffer with `PADDING` spare bytes."""
    low = np.empty(len(start), np.uint64)
    high = np.empty(len(start), np.uint64)
    base = address_of(buffer)
    for row in range(len(start)):
        low[row], high[row] = fingerprint_span(base, start[row], length[row])
    return low, high


@njit(cache=True, nogil=True)
def _fingerprint_integers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low = np.empty(len(values), np.uint64)
    high = np.empty(len(values), np.uint64)
    for row in range(len(values)):
        word = np.uint64(values[row]) + _U_GAMMA
        word = (word ^ (word >> np.uint64(30))) * _U_SPLIT1
        word = (word ^ (word >> np.uint64(27))) * _U_SPLIT2
        low[row] = word ^ (word >> np.uint64(31))
        high[row] = _finished(low[row] + _U_GAMMA)
    return low, high


@njit(cache=True, nogil=True)
def _absorb(h1: np.ndarray, h2: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    for row in range(len(h1)):
        h1[row], h2[row] = _block(h1[row], h2[row], low[row], high[row])


@njit(cache=True, nogil=True)
def _finish(h1: np.ndarray, h2: np.ndarray, length: int) -> None:
    for row in range(len(h1)):
        h1[row], h2[row] = _end(h1[row], h2[row], length)


def fingerprint(text: bytes) -> tuple[int, int]:
    """The fingerprint (low, high) of a text's UTF-8 bytes: the plain twin of what the decoder computes."""
    return murmur3(text, SEED)


def fingerprints(texts: list[bytes]) -> tuple[UInt64s, UInt64s]:
    """The fingerprints (low, high), uint64[n] each, of n texts."""
    buffer = np.frombuffer(bytearray().join([*texts, bytes(PADDING)]), np.uint8)
    length = np.fromiter(map(len, texts), np.int64, len(texts))
    low, high = fingerprint_spans(buffer, np.cumsum(length) - length, length)
    return low, high


def fingerprint_integer(value: int) -> tuple[int, int]:
    """The fingerprint (low, high) of an int64: the plain twin of `fingerprint_integers`."""
    word = (value + _GAMMA) & _MASK
    word = ((word ^ (word >> 30)) * _SPLIT1) & _MASK
    word = ((word ^ (word >> 27)) * _SPLIT2) & _MASK
    low = word ^ (word >> 31)
    return low, _mixed((low + _GAMMA) & _MASK)


def fingerprint_integers(values: Int64s) -> tuple[UInt64s, UInt64s]:
    """The fingerprints (low, high), uint64[n] each, of int64[n].

    Different integers have different low halves: it is splitmix64's finaliser, which is a bijection.
    """
    low, high = _fingerprint_integers(values)
    return low, high


def combine(lows: list[UInt64s], highs: list[UInt64s]) -> tuple[UInt64s, UInt64s]:
    """The fingerprints of a compound key from those of its parts, in their order.

    It is the fingerprint of the parts' fingerprints written one after another (16 bytes each, little-endian).

    Args:
        lows: The low halves: one uint64[n] for each part.
        highs: The high halves likewise.
    """
    h1 = np.full(len(lows[0]), _U_SEED)
    h2 = h1.copy()
    for low, high in zip(lows, highs, strict=True):
        _absorb(h1, h2, low, high)
    _finish(h1, h2, 16 * len(lows))
    return h1, h2


def murmur3(text: bytes, seed: int) -> tuple[int, int]:
    """MurmurHash3 x64 128 of a text, in plain Python."""
    h1 = h2 = seed
    whole = len(text) & ~15
    for at in range(0, whole, 16):
        h1 ^= _turned(_low_product(int.from_bytes(text[at : at + 8], "little"), _C1), 31) * _C2 & _MASK
        h1 = ((_turned(h1, 27) + h2) * 5 + 0x52DCE729) & _MASK
        h2 ^= _turned(_low_product(int.from_bytes(text[at + 8 : at + 16], "little"), _C2), 33) * _C1 & _MASK
        h2 = ((_turned(h2, 31) + h1) * 5 + 0x38495AB5) & _MASK
    k1 = int.from_bytes(text[whole : whole + 8], "little")
    k2 = int.from_bytes(text[whole + 8 :], "little")
    h2 ^= _turned(_low_product(k2, _C2), 33) * _C1 & _MASK
    h1 ^= _turned(_low_product(k1, _C1), 31) * _C2 & _MASK
    h1 ^= len(text)
    h2 ^= len(text)
    h1 = (h1 + h2) & _MASK
    h2 = (h2 + h1) & _MASK
    h1, h2 = _mixed(h1), _mixed(h2)
    h1 = (h1 + h2) & _MASK
    return h1, (h2 + h1) & _MASK


def _low_product(left: int, right: int) -> int:
    return left * right & _MASK


def _turned(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & _MASK


def _mixed(word: int) -> int:
    word = (word ^ (word >> 33)) * _MIX1 & _MASK
    word = (word ^ (word >> 33)) * _MIX2 & _MASK
    return word ^ (word >> 33)
